//! Rerankers: a closer look at the best candidates.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::embed::{Embedder, StaticTable, normalise};
use crate::index::vector::dot;

/// Tokens of a query that take part.
const MAX_QUERY_TOKENS: usize = 128;

/// A query whose words have weights.
pub(crate) struct WeightedQuery<'a> {
    pub text: &'a str,
    /// Where each word starts and ends, bytes, in order, and what it is worth: nothing for a stop word.
    pub words: Vec<(Range<usize>, f32)>,
}

impl WeightedQuery<'_> {
    /// What the word at a byte is worth.
    fn weight(&self, byte: usize) -> f32 {
        let next = self.words.partition_point(|(range, _)| range.start <= byte);
        match next.checked_sub(1).map(|word| &self.words[word]) {
            Some((range, weight)) if range.contains(&byte) => *weight,
            _ => 0.0,
        }
    }
}

/// A passage as a reranker sees it.
pub(crate) struct Candidate {
    /// The embedder's tokens.
    pub tokens: Vec<u32>,
}

/// Scores passages against a query; a higher score is better, and scores of one query compare with each other only.
pub(crate) trait Reranker: Send + Sync {
    /// For explanations.
    fn name(&self) -> &'static str;

    /// One score a candidate, in their order.
    fn score(&self, query: &WeightedQuery<'_>, candidates: &[Candidate]) -> Vec<f32>;
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

    /// The different tokens of a query, each with its unit vector and the weight of the word that it is of.
    fn query(&self, query: &WeightedQuery<'_>) -> Vec<(Vec<f32>, f32)> {
        let mut tokens: Vec<(u32, f32)> = self
            .table
            .tokenize(query.text)
            .iter()
            .take(MAX_QUERY_TOKENS)
            .map(|token| (token.id, query.weight(token.start as usize)))
            .filter(|(_, weight)| *weight > 0.0)
            .collect();
        tokens.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
        tokens.dedup_by_key(|token| token.0);
        tokens
            .into_iter()
            .map(|(token, weight)| (self.unit(token), weight))
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

    fn score(&self, query: &WeightedQuery<'_>, candidates: &[Candidate]) -> Vec<f32> {
        let query = self.query(query);
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

    /// Every word is worth the same.
    fn evenly(text: &str) -> WeightedQuery<'_> {
        WeightedQuery {
            text,
            words: vec![(0..text.len(), 1.0)],
        }
    }

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
            let scores = reranker.score(&evenly(query), &candidates);
            assert_eq!(scores.len(), candidates.len());
            assert!(scores.iter().all(|score| score.is_finite()));
            assert_eq!(scores, reranker.score(&evenly(query), &candidates));
        }
        assert!(reranker.score(&evenly("pump"), &[]).is_empty());
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
        let scores = reranker.score(&evenly("reset the pump"), &candidates);
        assert!(scores[0] > scores[1]);
    }
}
