//! Rerankers: a closer look at the best candidates.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::embed::{Embedder, StaticTable, normalise};
use crate::index::TokenCounts;
use crate::index::vector::dot;

/// Tokens of a query that take part.
const MAX_QUERY_TOKENS: usize = 128;

/// A passage as a reranker sees it.
pub(crate) struct Candidate {
    /// The embedder's tokens.
    pub tokens: Vec<u32>,
}

/// Scores passages against a query; a higher score is better, and scores of one query compare with each other only.
pub(crate) trait Reranker: Send + Sync {
    /// For explanations.
    fn name(&self) -> &'static str;

    /// One score a candidate, in their order; `counts` are the token frequencies of the generation.
    fn score(&self, query: &str, candidates: &[Candidate], counts: &[&TokenCounts]) -> Vec<f32>;
}

/// Late interaction: for each token of the query the most similar token of the passage, weighted by how rare the query's token
/// is. `Σ idf(q) · max cos(q, d) / Σ idf(q)`, over the static table's vectors (after Khattab and Zaharia, 2020).
pub(crate) struct StaticLateInteraction {
    table: Arc<StaticTable>,
    dimensions: usize,
}

impl StaticLateInteraction {
    pub(crate) fn new(table: Arc<StaticTable>) -> Self {
        Self {
            dimensions: table.dimensions(),
            table,
        }
    }

    fn unit(&self, token: u32) -> Vec<f32> {
        let (row, scale) = self.table.row(token);
        let mut unit: Vec<f32> = row.iter().map(|value| f32::from(*value) * scale).collect();
        unit.resize(self.dimensions, 0.0);
        normalise(&mut unit);
        unit
    }

    /// The different tokens of a query, each with its unit vector and its weight.
    fn query(&self, query: &str, counts: &[&TokenCounts]) -> Vec<(Vec<f32>, f32)> {
        let mut tokens: Vec<u32> = self.table.tokenize(query).iter().map(|t| t.id).collect();
        tokens.truncate(MAX_QUERY_TOKENS);
        tokens.sort_unstable();
        tokens.dedup();
        let weight = |token: u32| TokenCounts::inverse_frequency(counts, token);
        tokens
            .into_iter()
            .map(|token| (self.unit(token), weight(token)))
            .collect()
    }

    /// Cosine of every query token with one token of a passage.
    fn similarities(&self, query: &[(Vec<f32>, f32)], token: u32) -> Vec<f32> {
        let (row, _) = self.table.row(token);
        if row.is_empty() {
            return vec![0.0; query.len()];
        }
        let length = row
            .iter()
            .map(|v| i32::from(*v) * i32::from(*v))
            .sum::<i32>();
        #[expect(clippy::cast_precision_loss, reason = "at most 127² a component")]
        let length = (length as f32).sqrt().max(1e-6);
        query
            .iter()
            .map(|(unit, _)| dot(unit, row) / length)
            .collect()
    }
}

impl Reranker for StaticLateInteraction {
    fn name(&self) -> &'static str {
        "static-late-interaction"
    }

    fn score(&self, query: &str, candidates: &[Candidate], counts: &[&TokenCounts]) -> Vec<f32> {
        let query = self.query(query, counts);
        let weight: f32 = query.iter().map(|(_, weight)| weight).sum();
        if weight <= 0.0 {
            return vec![0.0; candidates.len()];
        }
        let mut all: Vec<u32> = candidates
            .iter()
            .flat_map(|c| c.tokens.iter().copied())
            .collect();
        all.sort_unstable();
        all.dedup();
        let similarities: HashMap<u32, Vec<f32>> = all
            .par_iter()
            .with_min_len(256)
            .map(|token| (*token, self.similarities(&query, *token)))
            .collect();
        candidates
            .iter()
            .map(|candidate| {
                let mut most = vec![0.0_f32; query.len()];
                for similar in candidate
                    .tokens
                    .iter()
                    .filter_map(|token| similarities.get(token))
                {
                    for (most, similar) in most.iter_mut().zip(similar) {
                        *most = most.max(*similar);
                    }
                }
                let sum: f32 = most.iter().zip(&query).map(|(most, (_, w))| most * w).sum();
                sum / weight
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every reranker must keep.
    fn keeps_the_contract(reranker: &dyn Reranker, tokens: impl Fn(&str) -> Vec<u32>) {
        let texts = ["the pump resets itself", "holidays are paid", "", "pump"];
        let candidates: Vec<Candidate> = texts
            .iter()
            .map(|text| Candidate {
                tokens: tokens(text),
            })
            .collect();
        for query in ["how do I reset the pump?", "", "👩‍🚀"] {
            let scores = reranker.score(query, &candidates, &[]);
            assert_eq!(scores.len(), candidates.len());
            assert!(scores.iter().all(|score| score.is_finite()));
            assert_eq!(scores, reranker.score(query, &candidates, &[]));
        }
        assert!(reranker.score("pump", &[], &[]).is_empty());
        assert!(!reranker.name().is_empty());
    }

    #[test]
    fn late_interaction_keeps_the_contract_and_prefers_the_passage_with_the_words() {
        let table = crate::embed::bundled().unwrap();
        let tokens = |text: &str| table.tokenize(text).iter().map(|t| t.id).collect();
        let reranker = StaticLateInteraction::new(Arc::clone(&table));
        keeps_the_contract(&reranker, tokens);
        let candidates: Vec<Candidate> = ["the pump resets itself", "holidays are paid"]
            .iter()
            .map(|text| Candidate {
                tokens: tokens(text),
            })
            .collect();
        let scores = reranker.score("reset the pump", &candidates, &[]);
        assert!(scores[0] > scores[1]);
    }
}
