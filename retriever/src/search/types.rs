//! What goes into a search and what comes out.

use serde::Serialize;

use crate::filters::Filters;
use crate::{DocumentId, PassageId, Timestamp};

/// A question to the retriever.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// In any words; nothing in it is syntax.
    pub query: String,
    /// How many hits, at most.
    pub top_k: usize,
    /// What to narrow the search to.
    pub filters: Filters,
    /// Whether to rerank; `None` leaves it to the settings.
    pub rerank: Option<bool>,
    /// Whether to say how the hits came about.
    pub explain: bool,
    /// The instant whose documents count; `None` for now.
    pub at: Option<Timestamp>,
}

impl SearchRequest {
    /// A query with defaults for all else.
    pub fn new(query: impl Into<String>, top_k: usize) -> Self {
        Self {
            query: query.into(),
            top_k,
            filters: Filters::default(),
            rerank: None,
            explain: false,
            at: None,
        }
    }
}

/// The answer to a search.
#[derive(Clone, Debug, Serialize)]
pub struct SearchResult {
    /// The generation that was searched.
    pub generation: u64,
    /// Best first; near-duplicates of better ones come last, and only where nothing else fills their places.
    pub hits: Vec<Hit>,
    /// How likely it is that the first hit answers the query, 0 to 1; see `search/confidence.rs`.
    pub confidence: f32,
    /// Where the time went.
    pub timings: SearchTimings,
    /// How the hits came about, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
}

/// A passage that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hit {
    /// The document it is from.
    pub document: DocumentId,
    /// The document's version.
    pub version: u64,
    /// The passage's name.
    pub passage: PassageId,
    /// The document's title.
    pub title: Option<String>,
    /// Where the document came from.
    pub uri: Option<String>,
    /// The headings it stands under, outermost first.
    pub heading: Vec<String>,
    /// Its words, verbatim.
    pub text: String,
    /// Where it starts in the document's text, in code points.
    pub start: usize,
    /// Where it ends in the document's text, in code points.
    pub end: usize,
    /// The page it starts on, from 1, for formats that have pages.
    pub page: Option<u32>,
    /// Its place among the document's passages, from 0.
    pub position: usize,
    /// Of the last stage; compares within one result only.
    pub score: f32,
    /// What each stage made of it.
    pub stages: Stages,
    /// Passages that say the same, which it stands for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<PassageId>,
    /// The better hit that says the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<PassageId>,
}

/// Rank and score of a passage in the stages that saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Stages {
    /// The text index.
    pub bm25: Option<Stage>,
    /// The vector index.
    pub vector: Option<Stage>,
    /// Both together.
    pub fused: Option<Stage>,
    /// The reranker, where it ran.
    pub rerank: Option<Stage>,
}

/// Rank and score in one stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// From 1.
    pub rank: usize,
    /// In the stage's own scale.
    pub score: f32,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct SearchTimings {
    /// Deciding which passages may be ranked.
    pub access_ms: f64,
    /// The text index.
    pub bm25_ms: f64,
    /// Embedding the query and the vector index.
    pub vector_ms: f64,
    /// Fusion and reranking.
    pub rank_ms: f64,
    /// Fetching the hits, and checking them again.
    pub fetch_ms: f64,
    /// All of it.
    pub total_ms: f64,
}

/// What the confidence of a result is made from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Signals {
    /// Of the weight of the query's words, each worth its inverse document frequency: the share of those that the first hit has,
    /// with its title and headings.
    pub covered: f32,
    /// The first hit's cosine with the query; 0 where the vector index did not hand it on.
    pub cosine: f32,
}

/// How a result came about. Counts cover what the caller may read, and nothing else.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The query's terms in the text index.
    pub terms: Vec<String>,
    /// Words of the query that took no part because every text has them.
    pub stop_words: Vec<String>,
    /// Passages that could have been ranked.
    pub searchable_passages: u64,
    /// How many the text index handed on.
    pub bm25_candidates: usize,
    /// How many the vector index handed on.
    pub vector_candidates: usize,
    /// How the two were combined.
    pub fusion: String,
    /// The reranker that ran.
    pub reranker: Option<String>,
    /// What the confidence was made from.
    pub signals: Option<Signals>,
    /// The best of what is not among the hits, in order of rank, with the reason.
    pub dropped: Vec<Dropped>,
}

/// A passage that was ranked but is no hit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dropped {
    /// The document it is from.
    pub document: DocumentId,
    /// The passage's name.
    pub passage: PassageId,
    /// After the last stage, from 1.
    pub rank: usize,
    /// Of the last stage.
    pub score: f32,
    /// What each stage made of it.
    pub stages: Stages,
    /// Why it is no hit.
    pub reason: Reason,
    /// The hit that says the same, for a near-duplicate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<PassageId>,
}

/// Why a passage that was ranked is no hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Better ones filled `top_k`.
    BeyondTopK,
    /// A hit says the same.
    NearDuplicate,
}

/// Rankings of documents by each stage, for evaluation: a document counts by its best passage.
#[derive(Clone, Debug, Default)]
pub struct StageRankings {
    /// The text index.
    pub bm25: Vec<(DocumentId, f32)>,
    /// The vector index.
    pub vector: Vec<(DocumentId, f32)>,
    /// Both together.
    pub fused: Vec<(DocumentId, f32)>,
    /// After the reranker.
    pub reranked: Vec<(DocumentId, f32)>,
}
