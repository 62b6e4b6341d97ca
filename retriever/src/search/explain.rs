//! How a result came about: terms, candidates, and what was ranked but is no hit.

use std::collections::HashSet;

use super::hits::{Chosen, Places};
use super::{Asked, Dropped, Explanation, Ranked, Reason};
use crate::index::analysis;
use crate::retriever::Inner;
use crate::{Access, PassageId, RetrieverError};

/// Passages that an explanation names beside the hits.
const DROPPED: usize = 50;

impl Inner {
    /// Covers what the caller may read at this moment, and nothing else.
    pub(super) fn explain(
        &self,
        asked: &Asked<'_>,
        ranked: &Ranked,
        chosen: &Chosen,
        access: &Access,
    ) -> Result<Explanation, RetrieverError> {
        let ranking = &asked.published.pipeline.ranking;
        let reranker = asked
            .published
            .pipeline
            .reranker
            .as_ref()
            .filter(|_| ranked.reranked.is_some());
        Ok(Explanation {
            terms: ranked.terms.clone(),
            stop_words: analysis::stop_words(asked.query, &ranked.terms),
            searchable_passages: asked.allowed.len(),
            bm25_candidates: ranked.text.len(),
            vector_candidates: ranked.vector.len(),
            fusion: format!(
                "{:?}, vector weight {}",
                ranking.fusion, ranking.vector_weight
            ),
            reranker: reranker.map(|reranker| reranker.name().to_owned()),
            signals: None,
            dropped: self.dropped(ranked, chosen, access)?,
        })
    }

    fn dropped(
        &self,
        ranked: &Ranked,
        chosen: &Chosen,
        access: &Access,
    ) -> Result<Vec<Dropped>, RetrieverError> {
        let hits: HashSet<&PassageId> = chosen.hits.iter().map(|hit| &hit.passage).collect();
        let looked_at = &ranked.last[..ranked.last.len().min(chosen.hits.len() + DROPPED)];
        let keys: Vec<u32> = looked_at.iter().map(|scored| scored.0).collect();
        let places = Places::of(ranked);
        let mut dropped = Vec::new();
        let rows = self.catalogue.passage_rows(&keys)?;
        for (index, ((key, score), row)) in looked_at.iter().zip(rows).enumerate() {
            let Some(row) = row.filter(|row| access.may_read(&row.acl)) else {
                continue;
            };
            let passage = PassageId::new(&row.document, row.position);
            if hits.contains(&passage) {
                continue;
            }
            let duplicate_of = chosen.set_aside.get(key).cloned();
            dropped.push(Dropped {
                document: row.document,
                passage,
                rank: index + 1,
                score: *score,
                stages: places.stages(*key),
                reason: match duplicate_of {
                    Some(_) => Reason::NearDuplicate,
                    None => Reason::BeyondTopK,
                },
                duplicate_of,
            });
        }
        Ok(dropped)
    }
}
