//! Ranking after the first stages: fusion, and reranking behind a trait.

pub(crate) mod fusion;
pub(crate) mod rerank;
