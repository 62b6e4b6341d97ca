//! `[retrieval]`: which models embed and rerank, and how stages are combined.

use std::path::{Path, PathBuf};

use quoin_engine::{Device, hub};
use quoin_retriever::{
    EmbedderKind, Fusion, PassageSettings, RankingSettings, RerankerKind, RetrieverSettings,
};
use serde::{Deserialize, Serialize};

use super::{ConfigError, one_of, share};
use crate::embedder::served_by_engine;
use crate::release::local_model;

/// Retrieval.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrievalConfig {
    /// Access list of documents that come without one. Left out: only `admin` keys see them.
    pub default_acl: Option<Vec<String>>,
    /// A passage is closed when it has this many of the embedder's tokens.
    pub passage_target_tokens: usize,
    /// No passage has more.
    pub passage_max_tokens: usize,
    /// Tokens of a passage's end that the next one repeats, at most.
    pub passage_overlap_tokens: usize,
    /// `bundled` (a table, quick), `bundled-encoder` (a small transformer, better and slower), the folder of a model, a name under
    /// `<data>/models`, or a hub id that was pulled.
    pub embedder: String,
    /// Whether vectors of tokens are stored; `None` where the embedder makes them.
    pub token_vectors: Option<bool>,
    /// `auto`, `off`, `late-interaction`, or a cross-encoder, named as an embedder is.
    pub reranker: String,
    /// Whether searches rerank that do not say; `None` as suits the reranker.
    pub rerank: Option<bool>,
    /// Passages that are reranked; `None` as suits the reranker.
    pub rerank_depth: Option<usize>,
    /// The reranker's share of the final score; `None` as suits it.
    pub rerank_weight: Option<f32>,
    /// How words and vectors are combined; `None` as suits the embedder.
    pub fusion: Option<String>,
    /// The share of vectors in it, at 0 words alone, at 1 vectors alone; `None` as suits the embedder.
    pub vector_weight: Option<f32>,
}

impl Default for RetrievalConfig {
    fn default() -> Self {
        Self {
            default_acl: None,
            passage_target_tokens: PassageSettings::default().target_tokens,
            passage_max_tokens: PassageSettings::default().max_tokens,
            passage_overlap_tokens: PassageSettings::default().overlap_tokens,
            embedder: "bundled".to_owned(),
            token_vectors: None,
            reranker: "auto".to_owned(),
            rerank: None,
            rerank_depth: None,
            rerank_weight: None,
            fusion: None,
            vector_weight: None,
        }
    }
}

impl RetrievalConfig {
    /// Checks what no bound of a whole number says.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (key, got) in [
            ("retrieval.rerank_weight", self.rerank_weight),
            ("retrieval.vector_weight", self.vector_weight),
        ] {
            share(key, got.unwrap_or_default())?;
        }
        self.passages().check().map_err(ConfigError::Passages)?;
        if let Some(fusion) = &self.fusion {
            let kinds = ["min-max", "z-score", "reciprocal-rank"];
            one_of("retrieval.fusion", fusion, &kinds)?;
        }
        Ok(())
    }

    const fn passages(&self) -> PassageSettings {
        PassageSettings {
            target_tokens: self.passage_target_tokens,
            max_tokens: self.passage_max_tokens,
            overlap_tokens: self.passage_overlap_tokens,
        }
    }

    /// What the retriever is told of it. Embedding models that the engine serves run on `device`; `models` is where models lie
    /// that are named and not pointed at.
    #[must_use]
    pub fn settings(&self, device: Device, models: &Path) -> RetrieverSettings {
        let fusion = |name: &str| match name {
            "min-max" => Fusion::MinMax,
            "z-score" => Fusion::ZScore,
            _ => Fusion::ReciprocalRank,
        };
        RetrieverSettings {
            default_acl: self.default_acl.clone(),
            passages: self.passages(),
            embedder: match self.embedder.as_str() {
                "bundled" => EmbedderKind::Bundled,
                "bundled-encoder" => EmbedderKind::BundledEncoder,
                folder => EmbedderKind::Folder(found(folder, models)),
            },
            other_embedders: Some(served_by_engine(device)),
            token_vectors: self.token_vectors,
            ranking: RankingSettings {
                fusion: self.fusion.as_deref().map(fusion),
                vector_weight: self.vector_weight,
                reranker: match self.reranker.as_str() {
                    "off" => RerankerKind::Off,
                    "auto" | "late-interaction" => RerankerKind::LateInteraction,
                    folder => RerankerKind::CrossEncoder(found(folder, models)),
                },
                rerank: self.rerank,
                rerank_depth: self.rerank_depth,
                rerank_weight: self.rerank_weight,
                ..RankingSettings::default()
            },
            ..RetrieverSettings::default()
        }
    }
}

/// The folder of a model: as it is given, below `models`, or where a pull left it. What is nowhere stays as it is given, and is named
/// by whoever opens it.
fn found(name: &str, models: &Path) -> PathBuf {
    local_model(name, models)
        .or_else(|| hub::cached(name, None, models).ok().flatten())
        .unwrap_or_else(|| PathBuf::from(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_model_is_found_as_a_path_by_its_name_and_by_the_id_that_it_was_pulled_by() {
        let models = tempfile::tempdir().unwrap();
        std::fs::create_dir(models.path().join("mini")).unwrap();
        let pulled = models.path().join("models--org--mini");
        let snapshot = pulled.join("snapshots/c0ffee");
        std::fs::create_dir_all(&snapshot).unwrap();
        std::fs::create_dir_all(pulled.join("refs")).unwrap();
        std::fs::write(pulled.join("refs/main"), "c0ffee").unwrap();
        std::fs::write(snapshot.join("config.json"), "{}").unwrap();
        let whole = models.path().join("mini");
        assert_eq!(found(whole.to_str().unwrap(), Path::new("/nowhere")), whole);
        assert_eq!(found("mini", models.path()), whole);
        assert_eq!(found("org/mini", models.path()), snapshot);
        assert_eq!(
            found("org/other", models.path()),
            PathBuf::from("org/other")
        );
    }
}
