//! Answers without a model: the sentences that score best, quoted, in milliseconds.
//!
//! The baseline that every model is reported beside, and what stands in when the engine cannot answer.

use std::collections::HashSet;

use quoin_retriever::{Access, Hit, Retriever, RetrieverError};

use crate::answer::prompt::{PromptPassage, PromptSentence};
use crate::answer::sentences::{ScoredSentence, ScoredSentences};

/// A further sentence must score at least this share of the best one,
const FURTHER: f32 = 0.85;
/// and hold terms of the question that no chosen one holds, worth at least this share of all its terms.
const NEW_TERMS: f32 = 0.25;

/// A sentence and its score, 0 to 1.
#[derive(Clone, Debug)]
pub struct Extracted {
    /// The passage, with this one sentence.
    pub passage: PromptPassage,
    /// 0 to 1.
    pub score: f32,
}

/// The best sentences for `question`, best first, at most `most`. Empty when there are no hits.
///
/// Blocking: reads the statistics of what the caller may read, and embeds the sentences.
///
/// # Errors
/// The index cannot be read.
pub fn extract(
    retriever: &Retriever,
    question: &str,
    access: &Access,
    hits: &[Hit],
    most: usize,
) -> Result<Vec<Extracted>, RetrieverError> {
    let ScoredSentences {
        mut sentences,
        weights,
    } = ScoredSentences::of(retriever, question, access, hits)?;
    sentences.sort_by(|left, right| right.score.total_cmp(&left.score));
    let chosen = complementary(sentences, &weights, most);
    Ok(chosen
        .into_iter()
        .enumerate()
        .map(|(index, sentence)| Extracted {
            score: sentence.score,
            passage: PromptPassage {
                number: sentence.hit + 1,
                rank: sentence.hit,
                hit: hits[sentence.hit].clone(),
                sentences: vec![PromptSentence {
                    marker: index + 1,
                    bytes: sentence.bytes,
                }],
            },
        })
        .collect())
}

/// The best sentence, then those nearly as good that hold terms of the question which the chosen ones do not.
fn complementary(
    scored: Vec<ScoredSentence>,
    weights: &[(String, f32)],
    most: usize,
) -> Vec<ScoredSentence> {
    let total: f32 = weights.iter().map(|(_, weight)| weight).sum();
    let mut chosen: Vec<ScoredSentence> = Vec::new();
    let mut covered: HashSet<String> = HashSet::new();
    for candidate in scored {
        let best = chosen.first().map_or(0.0, |first| first.score);
        let new: f32 = weights
            .iter()
            .filter(|(term, _)| candidate.terms.contains(term) && !covered.contains(term))
            .map(|(_, weight)| weight)
            .sum();
        let adds = new >= NEW_TERMS * total;
        if chosen.len() >= most || candidate.score < FURTHER * best || (!chosen.is_empty() && !adds)
        {
            continue;
        }
        covered.extend(candidate.terms.iter().cloned());
        chosen.push(candidate);
    }
    chosen
}
