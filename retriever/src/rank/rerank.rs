//! Rerankers: a closer look at the best candidates.

mod cross_encoder;
pub(crate) mod late_interaction;

use std::ops::Range;

use crate::RetrieverError;
use crate::embed::{self, Embedder, QueryToken};

pub(crate) use self::cross_encoder::CrossEncoder;
pub(crate) use self::late_interaction::{StaticLateInteraction, TokenLateInteraction};

/// A query whose words have weights.
pub(crate) struct WeightedQuery<'a> {
    pub text: &'a str,
    /// Where each word starts and ends, bytes, in order, and what it is worth: nothing for a stop word.
    pub words: Vec<(Range<usize>, f32)>,
    /// What the embedder made of it, where the reranker reads [`Reads::TokenVectors`].
    pub tokens: Vec<QueryToken>,
}

impl WeightedQuery<'_> {
    /// What the word at a byte is worth.
    fn weight(&self, byte: usize) -> f32 {
        self.word_at(byte).map_or(0.0, |word| self.words[word].1)
    }

    /// What each of some tokens, by the bytes where they start, is worth when those of one word share its weight.
    pub(super) fn shares(&self, starts: &[usize]) -> Vec<f32> {
        let words: Vec<Option<usize>> = starts.iter().map(|start| self.word_at(*start)).collect();
        let share = |word: Option<usize>| {
            let Some(at) = word else { return 0.0 };
            let pieces = words.iter().filter(|other| **other == word).count();
            #[expect(clippy::cast_precision_loss, reason = "pieces of a word")]
            let pieces = pieces as f32;
            self.words[at].1 / pieces
        };
        words.iter().copied().map(share).collect()
    }

    fn word_at(&self, byte: usize) -> Option<usize> {
        let next = self.words.partition_point(|(range, _)| range.start <= byte);
        let word = next.checked_sub(1)?;
        self.words[word].0.contains(&byte).then_some(word)
    }
}

/// What a reranker looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// [`Candidate::Tokens`].
    Tokens,
    /// [`Candidate::TokenVectors`].
    TokenVectors,
    /// [`Candidate::Text`].
    Text,
}

/// A passage as a reranker sees it; one that it cannot read, or that is empty, gets the lowest score.
#[derive(Clone, Debug)]
pub(crate) enum Candidate {
    /// The embedder's tokens.
    Tokens(Vec<u32>),
    /// As [`crate::PassageVectors::tokens`].
    TokenVectors(Vec<u8>),
    /// Its words, with its title and headings.
    Text(String),
}

/// Scores passages against a query; a higher score is better, and scores of one query compare with each other only.
pub(crate) trait Reranker: Send + Sync {
    /// For explanations, and in the digest of a release: a digest of everything that decides its scores.
    fn name(&self) -> &str;

    /// What it is to be given.
    fn reads(&self) -> Reads;

    /// Whether searches use it that do not say, where the settings do not say either: it is quick, and better on all that was
    /// measured.
    fn by_default(&self) -> bool;

    /// The share of its score in the final one, where the settings do not say.
    fn weight(&self) -> f32;

    /// How many passages it is given, where the settings do not say.
    fn depth(&self) -> usize {
        50
    }

    /// One finite score a candidate, in their order.
    fn score(&self, query: &WeightedQuery<'_>, candidates: &[Candidate]) -> Vec<f32>;
}

/// Texts that are not in the catalogue, as a reranker reads them.
///
/// # Errors
/// The embedder fails.
pub(crate) fn candidates(
    reads: Reads,
    embedder: &dyn Embedder,
    texts: &[String],
) -> Result<Vec<Candidate>, RetrieverError> {
    let tokens = || {
        texts
            .iter()
            .map(|text| embed::ids(&embedder.tokenize(text)))
    };
    Ok(match reads {
        Reads::Tokens => tokens().map(Candidate::Tokens).collect(),
        Reads::TokenVectors => {
            let tokens: Vec<Vec<u32>> = tokens().collect();
            let vectors = embedder.embed_passages_and_tokens(&tokens)?;
            let vectors = vectors.into_iter().map(|one| one.tokens);
            vectors.map(Candidate::TokenVectors).collect()
        }
        Reads::Text => texts.iter().cloned().map(Candidate::Text).collect(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Every word is worth the same.
    pub(crate) fn evenly<'a>(embedder: &dyn Embedder, text: &'a str) -> WeightedQuery<'a> {
        WeightedQuery {
            text,
            words: vec![(0..text.len(), 1.0)],
            tokens: embedder.embed_query_and_tokens(text).unwrap().tokens,
        }
    }

    /// What every reranker must keep.
    pub(crate) fn keeps_the_contract(reranker: &dyn Reranker, embedder: &dyn Embedder) {
        let texts = ["the pump resets itself", "holidays are paid", "", "pump"].map(str::to_owned);
        let given = candidates(reranker.reads(), embedder, &texts).unwrap();
        for query in ["how do I reset the pump?", "", "👩‍🚀"] {
            let query = evenly(embedder, query);
            let scores = reranker.score(&query, &given);
            assert_eq!(scores.len(), given.len());
            assert!(scores.iter().all(|score| score.is_finite()));
            assert_eq!(scores, reranker.score(&query, &given));
            // A score is of the passage alone, not of those beside it.
            for (candidate, score) in given.iter().zip(&scores) {
                let alone = reranker.score(&query, std::slice::from_ref(candidate));
                assert!((alone[0] - score).abs() < 1e-5);
            }
        }
        let query = evenly(embedder, "pump");
        assert!(reranker.score(&query, &[]).is_empty());
        for strange in [
            Candidate::Tokens(vec![u32::MAX]),
            Candidate::TokenVectors(vec![1; 77]),
            Candidate::Text("\u{0}".to_owned()),
        ] {
            assert!(reranker.score(&query, &[strange])[0].is_finite());
        }
        assert!(!reranker.name().is_empty() && (0.0..=1.0).contains(&reranker.weight()));
    }
}
