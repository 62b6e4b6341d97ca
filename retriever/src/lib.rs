//! Documents in, the passages that answer a question out.
//!
//! A SQLite catalogue holds the truth; a text index (tantivy) and a vector index are derived from it and published together.
//! What a caller may not read takes no part in ranking, and every hit is checked again. Start reading at `search.rs`.

mod access;
mod catalogue;
mod document;
mod embed;
mod erasure;
mod error;
mod filters;
mod index;
mod ingest;
mod neural;
mod passage;
mod pipeline;
mod rank;
mod read;
mod retriever;
mod search;
mod settings;
mod timestamp;

#[cfg(test)]
#[path = "../tests/it/growth.rs"]
mod growth;

pub use self::access::{Access, AccessList, PUBLIC, check_token};
pub use self::document::{
    Content, Document, DocumentChange, DocumentId, DocumentInput, Format, Metadata, Page,
    PassageId, Purge, Stored,
};
pub use self::embed::{Embedder, PassageVectors, QueryToken, QueryVectors};
pub use self::erasure::{BackupHolding, DeletionReceipt, ErasureReport, Finding, PlacePurge};
pub use self::error::RetrieverError;
pub use self::filters::{Filters, OneOrMany};
pub use self::index::snapshot::Manifest;
pub use self::passage::{Token, sentences};
pub use self::rank::sentences::{HeadedSentence, Nearness};
pub use self::read::{Archive, ArchiveEntry, ArchiveLimits, LeftOut, read_worker};
pub use self::retriever::{
    Building, GenerationInfo, PipelineFingerprints, Retriever, Statistics, VerifyReport,
};
pub use self::search::{
    Dropped, Explanation, Hit, Listed, Reason, SearchRequest, SearchResult, SearchTimings, Signals,
    Stage, StageRankings, Stages, Whereabouts,
};
pub use self::settings::{
    CompactionSettings, EmbedderKind, Fusion, Limits, OpenEmbedder, PassageSettings,
    RankingSettings, RerankerKind, RetrieverSettings,
};
pub use self::timestamp::Timestamp;

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
