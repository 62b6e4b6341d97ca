//! Answers without a model: the best sentences by word overlap, embedding and rank, quoted, in milliseconds.
//!
//! The baseline that every model is reported beside, and what stands in when the engine cannot answer.
//!
//! A sentence scores `0.70 · overlap + 0.20 · cosine + 0.10 · rank`: the question's terms that stand in it, weighted by
//! inverse document frequency (terms that stand only in its headings or its passage count by a share); the cosine of
//! question and sentence under the static embedder; and the reciprocal rank of its passage.

use std::collections::HashSet;

use quoin_retriever::{Access, Hit, Retriever, RetrieverError};

use crate::answer::citable::citable;
use crate::answer::prompt::{PromptPassage, PromptSentence};

/// Passages looked at.
const MAX_PASSAGES: usize = 10;
/// Share that a term in the title or headings counts.
const HEADING_SHARE: f32 = 0.6;
/// Share that a term elsewhere in the passage counts.
const PASSAGE_SHARE: f32 = 0.35;
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
    let weights = retriever.term_weights(question, access)?;
    let total: f32 = weights.iter().map(|(_, weight)| weight).sum();
    let mut candidates = Vec::new();
    for (rank, hit) in hits.iter().take(MAX_PASSAGES).enumerate() {
        let frame = Frame::of(retriever, hit);
        for bytes in citable(&hit.text) {
            let terms = retriever
                .terms(&hit.text[bytes.clone()])
                .into_iter()
                .collect();
            let overlap = frame.overlap(&weights, total, &terms);
            candidates.push((rank, bytes, terms, overlap));
        }
    }
    let mut texts = vec![question.to_owned()];
    texts.extend(
        candidates
            .iter()
            .map(|(rank, bytes, ..)| hits[*rank].text[bytes.clone()].to_owned()),
    );
    // By the bundled table, whatever embeds passages: fifty sentences must not take a transformer's time.
    let vectors = retriever.embed_quickly(&texts)?;
    let mut scored: Vec<(Extracted, HashSet<String>)> = candidates
        .into_iter()
        .enumerate()
        .map(|(index, (rank, bytes, terms, overlap))| {
            let cosine = dot(&vectors[0], &vectors[index + 1]).clamp(0.0, 1.0);
            #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
            let score = 0.70 * overlap + 0.20 * cosine + 0.10 / (1.0 + rank as f32);
            let passage = PromptPassage {
                number: rank + 1,
                hit: hits[rank].clone(),
                sentences: vec![PromptSentence {
                    marker: index + 1,
                    bytes,
                }],
            };
            (Extracted { passage, score }, terms)
        })
        .collect();
    scored.sort_by(|(left, _), (right, _)| right.score.total_cmp(&left.score));
    Ok(complementary(scored, &weights, total, most))
}

/// The best sentence, then those nearly as good that hold terms of the question which the chosen ones do not.
fn complementary(
    scored: Vec<(Extracted, HashSet<String>)>,
    weights: &[(String, f32)],
    total: f32,
    most: usize,
) -> Vec<Extracted> {
    let mut chosen: Vec<Extracted> = Vec::new();
    let mut covered: HashSet<String> = HashSet::new();
    for (candidate, terms) in scored {
        let best = chosen.first().map_or(0.0, |first| first.score);
        let new: f32 = weights
            .iter()
            .filter(|(term, _)| terms.contains(term) && !covered.contains(term))
            .map(|(_, weight)| weight)
            .sum();
        let adds = new >= NEW_TERMS * total;
        if chosen.len() >= most || candidate.score < FURTHER * best || (!chosen.is_empty() && !adds)
        {
            continue;
        }
        covered.extend(terms);
        chosen.push(candidate);
    }
    chosen
}

/// The terms around a sentence.
struct Frame {
    headings: HashSet<String>,
    passage: HashSet<String>,
}

impl Frame {
    fn of(retriever: &Retriever, hit: &Hit) -> Self {
        let mut headings: HashSet<String> = hit
            .title
            .iter()
            .flat_map(|title| retriever.terms(title))
            .collect();
        headings.extend(
            hit.heading
                .iter()
                .flat_map(|heading| retriever.terms(heading)),
        );
        Self {
            headings,
            passage: retriever.terms(&hit.text).into_iter().collect(),
        }
    }

    /// The weighted share of the question's terms that the sentence, its headings or its passage hold, 0 to 1.
    fn overlap(&self, weights: &[(String, f32)], total: f32, sentence: &HashSet<String>) -> f32 {
        if total <= 0.0 {
            return 0.0;
        }
        let held: f32 = weights
            .iter()
            .map(|(term, weight)| {
                let share = if sentence.contains(term) {
                    1.0
                } else if self.headings.contains(term) {
                    HEADING_SHARE
                } else if self.passage.contains(term) {
                    PASSAGE_SHARE
                } else {
                    0.0
                };
                share * weight
            })
            .sum();
        held / total
    }
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}
