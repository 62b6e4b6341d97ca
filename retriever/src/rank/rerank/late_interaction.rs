//! Late interaction: for each token of the query the most similar token of the passage, weighted by how rare the query's token
//! is. `Σ idf(q) · max cos(q, d) / Σ idf(q)` (after Khattab and Zaharia, 2020).

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::{Candidate, Reads, Reranker, WeightedQuery};
use crate::embed::{Embedder, StaticTable, normalise};
use crate::index::vector::dot;
use crate::neural::{Linear, unpack_nibbles};

/// Tokens of a query that take part.
const MAX_QUERY_TOKENS: usize = 128;

/// A token of the query: its unit vector and the weight of the word that it is of.
pub(crate) type Weighted = (Vec<f32>, f32);

/// `Σ weight · most / Σ weight`, where `most` has a value for each token of the query.
fn mean(query: &[Weighted], most: &[f32]) -> f32 {
    let all: f32 = query.iter().map(|(_, weight)| weight).sum();
    let sum: f32 = most.iter().zip(query).map(|(most, (_, w))| most * w).sum();
    if all > 0.0 { sum / all } else { 0.0 }
}

/// The length of an int8 vector.
fn length(row: &[i8]) -> f32 {
    let squares = row.iter().map(|v| i32::from(*v) * i32::from(*v));
    #[expect(clippy::cast_precision_loss, reason = "at most 127² a component")]
    let sum = squares.sum::<i32>() as f32;
    sum.sqrt().max(1e-6)
}

/// The tokens of a query, laid out to be multiplied by.
pub(crate) struct QueryUnits {
    query: Vec<Weighted>,
    units: Linear,
    dimensions: usize,
}

impl QueryUnits {
    /// Of vectors of so many components.
    pub(crate) fn of(query: Vec<Weighted>, dimensions: usize) -> Self {
        let rows: Vec<f32> = query.iter().flat_map(|(unit, _)| unit).copied().collect();
        Self {
            units: Linear::new(&rows, query.len(), dimensions, Vec::new()),
            query,
            dimensions,
        }
    }

    /// With the tokens of a text, `[tokens, dimensions]`, of any length each; 0 where either has none.
    pub(crate) fn similarity(&self, mut vectors: Vec<f32>) -> f32 {
        if self.query.is_empty() {
            return 0.0;
        }
        let whole = vectors.chunks_exact_mut(self.dimensions);
        let count = whole.len();
        whole.for_each(normalise);
        vectors.truncate(count * self.dimensions);
        let mut products = Vec::new();
        self.units.apply(&vectors, count, &mut products);
        let mut most = vec![0.0_f32; self.query.len()];
        for products in products.chunks_exact(self.query.len()) {
            for (most, product) in most.iter_mut().zip(products) {
                *most = most.max(*product);
            }
        }
        mean(&self.query, &most)
    }
}

/// Over the static table's vectors of tokens.
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

    fn query(&self, query: &WeightedQuery<'_>) -> Vec<Weighted> {
        let mut tokens: Vec<(u32, f32)> = self
            .table
            .tokenize(query.text)
            .iter()
            .take(MAX_QUERY_TOKENS)
            .map(|token| (token.id, query.weight(token.start as usize)))
            .filter(|(_, weight)| *weight > 0.0)
            .collect();
        tokens.sort_by_key(|token| token.0);
        tokens.dedup_by_key(|token| token.0);
        tokens
            .into_iter()
            .map(|(token, weight)| (self.unit(token), weight))
            .collect()
    }

    /// Cosine of every query token with one token of a passage.
    fn similarities(&self, query: &[Weighted], token: u32) -> Vec<f32> {
        let (row, _) = self.table.row(token);
        if row.is_empty() {
            return vec![0.0; query.len()];
        }
        let length = length(row);
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

    fn reads(&self) -> Reads {
        Reads::Tokens
    }

    fn by_default(&self) -> bool {
        true
    }

    fn weight(&self) -> f32 {
        0.15
    }

    fn score(&self, query: &WeightedQuery<'_>, candidates: &[Candidate]) -> Vec<f32> {
        let query = self.query(query);
        let mut all: Vec<u32> = candidates.iter().flat_map(tokens).copied().collect();
        all.sort_unstable();
        all.dedup();
        let similarities: HashMap<u32, Vec<f32>> = all
            .par_iter()
            .with_min_len(256)
            .map(|token| (*token, self.similarities(&query, *token)))
            .collect();
        let score = |candidate: &Candidate| {
            let mut most = vec![0.0_f32; query.len()];
            for token in tokens(candidate) {
                for (most, similar) in most.iter_mut().zip(&similarities[token]) {
                    *most = most.max(*similar);
                }
            }
            mean(&query, &most)
        };
        candidates.iter().map(score).collect()
    }
}

fn tokens(candidate: &Candidate) -> &[u32] {
    match candidate {
        Candidate::Tokens(tokens) => tokens,
        _ => &[],
    }
}

/// Over the vectors of tokens that an embedder made of the passages and that are stored beside them.
pub(crate) struct TokenLateInteraction {
    dimensions: usize,
    weight: f32,
}

impl TokenLateInteraction {
    /// For the rows that an embedder makes.
    pub(crate) fn of(embedder: &dyn Embedder) -> Self {
        Self {
            dimensions: embedder.token_dimensions(),
            weight: embedder.late_interaction_weight(),
        }
    }
}

impl Reranker for TokenLateInteraction {
    fn name(&self) -> &'static str {
        "token-late-interaction"
    }

    fn reads(&self) -> Reads {
        Reads::TokenVectors
    }

    fn by_default(&self) -> bool {
        true
    }

    fn weight(&self) -> f32 {
        self.weight
    }

    fn depth(&self) -> usize {
        100
    }

    fn score(&self, query: &WeightedQuery<'_>, candidates: &[Candidate]) -> Vec<f32> {
        let weighted: Vec<Weighted> = query
            .tokens
            .iter()
            .take(MAX_QUERY_TOKENS)
            .map(|token| (token.vector.clone(), query.weight(token.start as usize)))
            .filter(|(vector, weight)| *weight > 0.0 && vector.len() == self.dimensions)
            .collect();
        let units = QueryUnits::of(weighted, self.dimensions);
        let candidates = candidates.par_iter().with_min_len(4);
        candidates
            .map(|candidate| match candidate {
                Candidate::TokenVectors(rows) => {
                    let mut vectors = Vec::with_capacity(rows.len() * 2);
                    unpack_nibbles(rows, &mut vectors);
                    units.similarity(vectors)
                }
                _ => 0.0,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::candidates;
    use super::super::tests::{evenly, keeps_the_contract};
    use super::*;
    use crate::neural::pack_nibbles;

    #[test]
    fn static_late_interaction_keeps_the_contract_and_prefers_the_passage_with_the_words() {
        let table = crate::embed::bundled().unwrap();
        let reranker = StaticLateInteraction::new(Arc::clone(&table));
        keeps_the_contract(&reranker, table.as_ref());
        let texts = ["the pump resets itself", "holidays are paid"].map(str::to_owned);
        let given = candidates(reranker.reads(), table.as_ref(), &texts).unwrap();
        let scores = reranker.score(&evenly(table.as_ref(), "reset the pump"), &given);
        assert!(scores[0] > scores[1]);
    }

    #[test]
    fn late_interaction_over_stored_vectors_keeps_the_contract() {
        let folder = crate::neural::tests::fixture("embedder");
        let embedder = crate::embed::NeuralEmbedder::open(&folder).unwrap();
        let reranker = TokenLateInteraction::of(&embedder);
        keeps_the_contract(&reranker, &embedder);
        let texts = ["pump", "the pump resets itself", ""].map(str::to_owned);
        let given = candidates(reranker.reads(), &embedder, &texts).unwrap();
        let scores = reranker.score(&evenly(&embedder, "pump"), &given);
        assert!(scores[0] > scores[1] && scores[1] > scores[2], "{scores:?}");
    }

    #[test]
    fn each_token_of_a_query_counts_by_its_most_similar_one_and_its_words_weight() {
        let token = |start, vector: [f32; 2]| crate::QueryToken {
            start,
            vector: vector.to_vec(),
        };
        let query = WeightedQuery {
            text: "pump the valve",
            words: vec![(0..4, 3.0), (5..8, 0.0), (9..14, 1.0)],
            tokens: vec![
                token(0, [1.0, 0.0]),
                token(5, [0.6, 0.8]),
                token(9, [0.0, 1.0]),
            ],
        };
        let rows = |rows: &[f32]| Candidate::TokenVectors(pack_nibbles(rows).collect());
        let given = [
            rows(&[7.0, 0.0, 0.0, -7.0]),
            rows(&[0.0, 3.0]),
            rows(&[5.25, 7.0]),
            rows(&[]),
        ];
        let reranker = TokenLateInteraction {
            dimensions: 2,
            weight: 0.5,
        };
        let scores = reranker.score(&query, &given);
        for (score, want) in scores.iter().zip([0.75, 0.25, 0.65, 0.0]) {
            assert!((score - want).abs() < 0.02, "{scores:?}");
        }
    }
}
