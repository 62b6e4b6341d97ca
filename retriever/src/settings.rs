//! What can be set, with defaults that were measured.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Embedder, RetrieverError};

/// Everything the retriever can be told.
#[derive(Clone, Debug, Default)]
pub struct RetrieverSettings {
    /// The access list of documents that come without one; without it only `admin` reads those.
    pub default_acl: Option<Vec<String>>,
    /// What one document may cost.
    pub limits: Limits,
    /// How documents are cut.
    pub passages: PassageSettings,
    /// What makes vectors of passages and queries.
    pub embedder: EmbedderKind,
    /// Who runs models in folders that hold none of the BERT family.
    pub other_embedders: Option<OpenEmbedder>,
    /// Whether the vectors of a passage's tokens are stored beside it, 128 bytes a token, for late interaction. Left out: where
    /// the embedder makes them.
    pub token_vectors: Option<bool>,
    /// How stages are combined.
    pub ranking: RankingSettings,
    /// The program, with its arguments, that calls [`crate::read_worker`]: files of formats that only large libraries read are
    /// read in such a child process. `None` reads them in this process, where a hostile file can end it.
    pub reader_command: Option<Vec<OsString>>,
    /// When the delta is folded into a new snapshot.
    pub compaction: CompactionSettings,
    /// Places outside the retriever that hold something of documents. A deletion is not done before each is noted as purged.
    pub outer_places: Vec<&'static str>,
}

/// What one document may cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Size of a document as it comes, bytes.
    pub document_bytes: usize,
    /// Size of its text once read, bytes.
    pub text_bytes: usize,
    /// Passages of one document.
    pub passages: usize,
    /// Metadata of one document, bytes of JSON.
    pub metadata_bytes: usize,
    /// Time to read one document.
    pub read_time: Duration,
    /// What the parts of a zip (an Office file) may have when inflated, all together, bytes.
    pub expanded_bytes: usize,
    /// Parts of a zip.
    pub archive_entries: usize,
    /// Pages or slides of one document.
    pub pages: usize,
    /// Address space of the child process that reads a file, bytes.
    pub reader_memory_bytes: u64,
    /// A query, bytes.
    pub query_bytes: usize,
    /// Different terms of a query that take part; further ones are ignored.
    pub query_terms: usize,
    /// Hits of one search.
    pub top_k: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes: 64 << 20,
            text_bytes: 64 << 20,
            passages: 200_000,
            metadata_bytes: 64 << 10,
            read_time: Duration::from_secs(20),
            expanded_bytes: 256 << 20,
            archive_entries: 10_000,
            pages: 10_000,
            reader_memory_bytes: 2 << 30,
            query_bytes: 64 << 10,
            query_terms: 256,
            top_k: 1000,
        }
    }
}

impl PassageSettings {
    /// Largest `max_tokens`.
    pub const MOST_TOKENS: usize = 2048;

    /// # Errors
    /// A number is out of its range, or they do not fit together.
    pub fn check(&self) -> Result<(), RetrieverError> {
        let wrong = |field, problem| Err(RetrieverError::invalid(field, problem));
        if !(16..=Self::MOST_TOKENS).contains(&self.max_tokens) {
            let most = Self::MOST_TOKENS;
            return wrong(
                "max_tokens",
                format!("is 16 to {most}, got {}", self.max_tokens),
            );
        }
        if self.target_tokens == 0 || self.target_tokens > self.max_tokens {
            let most = self.max_tokens;
            return wrong(
                "target_tokens",
                format!("is 1 to `max_tokens`, {most}, got {}", self.target_tokens),
            );
        }
        if self.overlap_tokens > self.target_tokens / 2 {
            let most = self.target_tokens / 2;
            return wrong(
                "overlap_tokens",
                format!(
                    "is at most half of `target_tokens`, {most}, got {}",
                    self.overlap_tokens
                ),
            );
        }
        Ok(())
    }
}

/// How documents are cut, in the embedder's tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassageSettings {
    /// A passage is closed when it has this many.
    pub target_tokens: usize,
    /// No passage has more.
    pub max_tokens: usize,
    /// How much of a passage's end is repeated at the beginning of the next one under the same heading, at most: whole sentences,
    /// rows and lines.
    #[serde(default)]
    pub overlap_tokens: usize,
}

impl Default for PassageSettings {
    fn default() -> Self {
        Self {
            target_tokens: 200,
            max_tokens: 256,
            overlap_tokens: 0,
        }
    }
}

/// How the ranks of the text index and the vector index become one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fusion {
    /// `Σ weight / (60 + rank)`.
    ReciprocalRank,
    /// Scores scaled to 0..1 by the smallest and the largest.
    MinMax,
    /// Scores scaled to mean 0 and standard deviation 1.
    ZScore,
}

/// Opens the embedder in a folder; `None` where it is none of its kind.
#[derive(Clone)]
pub struct OpenEmbedder(pub Arc<OpensEmbedder>);

type OpensEmbedder =
    dyn Fn(&Path) -> Option<Result<Arc<dyn Embedder>, RetrieverError>> + Send + Sync;

impl std::fmt::Debug for OpenEmbedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpenEmbedder")
    }
}

/// What makes vectors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmbedderKind {
    /// The static table in the binary.
    #[default]
    Bundled,
    /// The small transformer in the binary, which sentences are compared by: better, and twenty times as slow.
    BundledEncoder,
    /// A model of the BERT family in this folder, as sentence-transformers or transformers write it: `config.json`,
    /// `tokenizer.json`, `model.safetensors`. Or one that `other_embedders` opens.
    Folder(PathBuf),
}

/// Which reranker reorders the best candidates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RerankerKind {
    /// None.
    Off,
    /// Late interaction: over the stored vectors of tokens where there are some, else over those of the static table where that
    /// is the embedder, else none.
    #[default]
    LateInteraction,
    /// A cross-encoder of the BERT or XLM-RoBERTa family in this folder.
    CrossEncoder(PathBuf),
}

/// How stages are combined. What is left out is as was measured best for the embedder and the reranker.
#[derive(Clone, Debug, PartialEq)]
pub struct RankingSettings {
    /// How the two first stages are combined.
    pub fusion: Option<Fusion>,
    /// The share of the vector stage in it, 0 to 1. At 0 no vectors are searched, at 1 no words.
    pub vector_weight: Option<f32>,
    /// How many passages each first stage hands on.
    pub depth: usize,
    /// Which reranker there is.
    pub reranker: RerankerKind,
    /// Whether a search reranks when it does not say.
    pub rerank: Option<bool>,
    /// How many passages are reranked.
    pub rerank_depth: Option<usize>,
    /// The share of the reranker's score in the final one, 0 to 1; the rest is the fused score.
    pub rerank_weight: Option<f32>,
}

impl Default for RankingSettings {
    fn default() -> Self {
        Self {
            fusion: None,
            vector_weight: None,
            depth: 200,
            reranker: RerankerKind::default(),
            rerank: None,
            rerank_depth: None,
            rerank_weight: None,
        }
    }
}

/// When the delta is folded into a new snapshot.
#[derive(Clone, Debug)]
pub struct CompactionSettings {
    /// Passages written since the last snapshot, unless the snapshot itself holds more.
    pub delta_passages: usize,
    /// How long after a deletion the snapshots that hold it are replaced; deletions in between share one replacement.
    pub purge_delay: Duration,
    /// How many snapshots are kept, the active one included.
    pub kept_snapshots: usize,
    /// Whether compaction runs by itself, in the background.
    pub automatic: bool,
}

impl Default for CompactionSettings {
    fn default() -> Self {
        Self {
            delta_passages: 4096,
            purge_delay: Duration::from_millis(500),
            kept_snapshots: 2,
            automatic: true,
        }
    }
}
