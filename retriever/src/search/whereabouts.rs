//! Where a piece of a document stands in each stage of a search: what evaluation asks to find out at which one it was lost.

use std::collections::HashSet;
use std::ops::Range;

use super::hits::{Places, hit};
use super::{Asked, Hit, SearchRequest};
use crate::index::analysis;
use crate::index::publish::Published;
use crate::retriever::Inner;
use crate::{Access, DocumentId, RetrieverError, Timestamp};

/// A piece of a document in a search.
#[derive(Clone, Debug, Default)]
pub struct Whereabouts {
    /// The passages that overlap the piece, in their order, with their places in the stages' lists. None when the caller may not
    /// read the document, or it is not in effect.
    pub passages: Vec<Hit>,
    /// One of them holds all of the piece.
    pub in_one_passage: bool,
    /// Terms of the query that the passages have, after analysis.
    pub shared_terms: usize,
    /// How many passages each stage listed.
    pub listed: Listed,
}

/// How long the stages' lists were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The text index.
    pub bm25: usize,
    /// The vector index.
    pub vector: usize,
    /// Both together.
    pub fused: usize,
    /// The reranker; none where it is off.
    pub rerank: Option<usize>,
}

impl Inner {
    /// See [`crate::Retriever::whereabouts`].
    pub(crate) fn whereabouts(
        &self,
        request: &SearchRequest,
        document: &DocumentId,
        piece: &Range<usize>,
        access: &Access,
    ) -> Result<Whereabouts, RetrieverError> {
        self.check_request(request)?;
        let published = self.current.load();
        let at = request.at.unwrap_or_else(Timestamp::now);
        let readable = published.readable(access, at)?;
        let allowed = published.allowed(&readable, &request.filters);
        let ranked = self.rank(&Asked::of(request, &published, &readable, &allowed))?;
        let keys: Vec<u32> = keys_of(&published, document)
            .filter(|key| allowed.contains(*key))
            .collect();
        let places = Places::of(&ranked);
        let rows = self.catalogue.passage_rows(&keys)?;
        let passages: Vec<Hit> = keys
            .iter()
            .zip(rows)
            .filter_map(|(key, row)| Some((key, row?)))
            .filter(|(_, row)| access.may_read(&row.acl))
            .filter(|(_, row)| row.start_char < piece.end && piece.start < row.end_char)
            .map(|(key, row)| hit(row, 0.0, places.stages(*key)))
            .collect();
        let words: HashSet<String> = passages.iter().flat_map(terms_of).collect();
        Ok(Whereabouts {
            in_one_passage: passages
                .iter()
                .any(|passage| passage.start <= piece.start && piece.end <= passage.end),
            shared_terms: ranked
                .terms
                .iter()
                .filter(|term| words.contains(*term))
                .count(),
            listed: Listed {
                bm25: ranked.text.len(),
                vector: ranked.vector.len(),
                fused: ranked.fused.len(),
                rerank: ranked.reranked.as_ref().map(Vec::len),
            },
            passages,
        })
    }
}

/// What the text index knows a passage by.
fn terms_of(passage: &Hit) -> Vec<String> {
    let around = passage.title.iter().chain(&passage.heading);
    let texts = around.map(String::as_str).chain([passage.text.as_str()]);
    texts
        .flat_map(|text| analysis::query_terms(text, usize::MAX))
        .collect()
}

/// The keys of a document's passages, in their order.
fn keys_of(published: &Published, document: &DocumentId) -> impl Iterator<Item = u32> {
    (0..).map_while(|position| published.roster.key(document, position))
}
