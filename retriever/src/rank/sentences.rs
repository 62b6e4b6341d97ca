//! How near sentences are in meaning to a question: by a small transformer in the binary, whatever embeds passages.
//!
//! Overlap finds the sentence that has the question's words; this finds the one that says it in others. It costs some
//! milliseconds for a dozen sentences, so it is asked about the best by cheaper scores, within a bound on tokens.

use std::sync::Arc;

use super::rerank::WeightedQuery;
use super::rerank::late_interaction::{QueryUnits, Weighted};
use crate::RetrieverError;
use crate::embed::{ids, unit};
use crate::neural::{Model, Output};

/// Tokens of all sentences together.
const MAX_TOKENS: usize = 384;
/// Tokens of one sentence that are read, and of the headings above it.
const SENTENCE_TOKENS: usize = 64;
const HEADING_TOKENS: usize = 24;
/// Tokens of the question that are read.
const QUESTION_TOKENS: usize = 64;

/// How near a sentence is to a question: two scores of -1 to 1, 1 for the same words in the same places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearness {
    /// Cosine of the means of their tokens' vectors.
    pub cosine: f32,
    /// Late interaction: for each token of the question the nearest of the sentence or its headings, by how rare its word is. A word
    /// of many pieces counts once.
    pub late_interaction: f32,
}

/// A sentence with the line of headings above it.
#[derive(Clone, Copy, Debug)]
pub struct HeadedSentence<'a> {
    /// Title and headings; empty where there are none.
    pub headings: &'a str,
    /// The sentence.
    pub text: &'a str,
}

/// The transformer in the binary.
pub(crate) struct SentenceEncoder {
    model: Arc<Model>,
}

impl SentenceEncoder {
    /// # Errors
    /// The files in the binary do not fit together.
    pub(crate) fn bundled() -> Result<Self, RetrieverError> {
        Ok(Self {
            model: Model::bundled()?,
        })
    }

    /// Of everything that decides its scores.
    pub(crate) fn digest(&self) -> &str {
        self.model.digest()
    }

    /// One nearness a sentence, in their order: of as many as there is room for, so of the first ones.
    pub(crate) fn compare(
        &self,
        question: &WeightedQuery<'_>,
        sentences: &[HeadedSentence<'_>],
    ) -> Vec<Nearness> {
        let mut asked = self.model.tokenize(question.text);
        asked.truncate(QUESTION_TOKENS);
        let mut left = MAX_TOKENS;
        let read = sentences.iter().map_while(|sentence| {
            let tokens = self.tokens(sentence);
            left = left.checked_sub(tokens.len())?;
            Some(tokens)
        });
        let texts: Vec<Vec<u32>> = std::iter::once(ids(&asked)).chain(read).collect();
        let mut outputs = self.model.passages(&texts).into_iter();
        let Some(of_question) = outputs.next() else {
            return Vec::new();
        };
        let width = self.model.width();
        let rows = of_question.tokens.chunks_exact(width);
        let starts: Vec<usize> = asked.iter().map(|token| token.start as usize).collect();
        let weighted: Vec<Weighted> = rows
            .zip(question.shares(&starts))
            .map(|(row, weight)| (unit(row.to_vec()), weight))
            .filter(|(_, weight)| *weight > 0.0)
            .collect();
        let units = QueryUnits::of(weighted, width);
        let asked = unit(of_question.pooled);
        let nearness = |output: Output| Nearness {
            cosine: dot(&asked, &unit(output.pooled)),
            late_interaction: units.similarity(output.tokens),
        };
        outputs.map(nearness).collect()
    }

    fn tokens(&self, sentence: &HeadedSentence<'_>) -> Vec<u32> {
        let mut tokens = ids(&self.model.tokenize(sentence.headings));
        tokens.truncate(HEADING_TOKENS);
        let own = ids(&self.model.tokenize(sentence.text));
        tokens.extend(own.into_iter().take(SENTENCE_TOKENS));
        tokens
    }
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(question: &str, sentences: &[&str]) -> Vec<Nearness> {
        let query = WeightedQuery {
            text: question,
            words: vec![(0..question.len(), 1.0)],
            tokens: Vec::new(),
        };
        let sentences: Vec<HeadedSentence<'_>> = sentences
            .iter()
            .map(|text| HeadedSentence { headings: "", text })
            .collect();
        SentenceEncoder::bundled()
            .unwrap()
            .compare(&query, &sentences)
    }

    #[test]
    fn what_says_the_same_in_other_words_is_nearer() {
        let question = "How many days of holiday can I take?";
        let scores = compare(
            question,
            &[
                "Employees are entitled to 26 days of annual leave.",
                "The pump takes oil of grade 10 and no other.",
                question,
            ],
        );
        assert!(scores[0].cosine > scores[1].cosine + 0.1, "{scores:?}");
        assert!(scores[0].late_interaction > scores[1].late_interaction);
        assert!(
            scores[2].cosine > 0.999 && scores[2].late_interaction > 0.999,
            "{scores:?}"
        );
    }

    #[test]
    fn a_sentence_is_scored_by_itself_and_so_many_are_as_there_is_room_for() {
        let long = "word ".repeat(10_000);
        let many = vec![long.as_str(); 40];
        let scores = compare("a word", &many);
        assert_eq!(scores.len(), MAX_TOKENS / SENTENCE_TOKENS);
        let alone = compare("a word", &many[..1]);
        assert!((alone[0].cosine - scores[3].cosine).abs() < 1e-5);
        assert!(compare("a word", &[]).is_empty());
        for odd in ["", "\u{0}", "猫です", "[SEP] [PAD]"] {
            let scores = compare(odd, &[odd, "a word"]);
            assert!(scores.iter().all(|one| one.cosine.is_finite()), "{odd}");
        }
    }
}
