//! How well each sentence of the passages answers a question, by words, meaning and rank; no language model is asked.
//!
//! First, of every sentence, `0.70 · overlap + 0.20 · cosine + 0.10 · rank`: the question's terms that stand in it, weighted by
//! inverse document frequency (terms that stand only in its headings or its passage count by a share); the cosine of
//! question and sentence under the static embedder; and the reciprocal rank of its passage. Then the best of them are compared
//! with the question by the sentence encoder, which knows the same thing in other words: `0.25 · first + 0.375 · cosine +
//! 0.375 · late interaction`.

use std::collections::HashSet;
use std::ops::Range;

use quoin_retriever::{Access, HeadedSentence, Hit, Retriever, RetrieverError};

use crate::answer::citable::citable;
use crate::answer::prompt::heading_line;

/// Passages looked at.
const MAX_PASSAGES: usize = 10;
/// Sentences that the encoder looks at.
const ENCODED: usize = 8;
/// What the first score counts beside the encoder's two.
const FIRST_SHARE: f32 = 0.25;
/// Share that a term in the title or headings counts.
const HEADING_SHARE: f32 = 0.6;
/// Share that a term elsewhere in the passage counts.
const PASSAGE_SHARE: f32 = 0.35;

/// A sentence and how well it answers.
#[derive(Clone, Debug)]
pub struct ScoredSentence {
    /// Which of the hits it is from, from 0.
    pub hit: usize,
    /// Bytes of the hit's text.
    pub bytes: Range<usize>,
    /// 0 to 1.
    pub score: f32,
    /// Its terms.
    pub terms: HashSet<String>,
}

/// Every sentence of the first hits, in order, scored.
#[derive(Clone, Debug, Default)]
pub struct ScoredSentences {
    /// In the order of the hits, and of their texts.
    pub sentences: Vec<ScoredSentence>,
    /// The question's terms and what each is worth.
    pub weights: Vec<(String, f32)>,
}

impl ScoredSentences {
    /// Scores the citable sentences of the first `MAX_PASSAGES` hits.
    ///
    /// Blocking: reads the statistics of what the caller may read, and embeds the sentences.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn of(
        retriever: &Retriever,
        question: &str,
        access: &Access,
        hits: &[Hit],
    ) -> Result<Self, RetrieverError> {
        let weights = retriever.term_weights(question, access)?;
        let total: f32 = weights.iter().map(|(_, weight)| weight).sum();
        let mut texts = vec![question.to_owned()];
        let mut sentences = Vec::new();
        for (rank, hit) in hits.iter().take(MAX_PASSAGES).enumerate() {
            let frame = Frame::of(retriever, hit);
            for bytes in citable(&hit.text) {
                let text = &hit.text[bytes.clone()];
                let terms = retriever.terms(text).into_iter().collect();
                #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
                let score =
                    0.70 * frame.overlap(&weights, total, &terms) + 0.10 / (1.0 + rank as f32);
                texts.push(text.to_owned());
                sentences.push(ScoredSentence {
                    hit: rank,
                    bytes,
                    score,
                    terms,
                });
            }
        }
        // By the bundled table, whatever embeds passages: fifty sentences must not take a transformer's time.
        let vectors = retriever.embed_quickly(&texts)?;
        for (sentence, vector) in sentences.iter_mut().zip(&vectors[1..]) {
            sentence.score += 0.20 * dot(&vectors[0], vector).clamp(0.0, 1.0);
        }
        let mut scored = Self { sentences, weights };
        scored.encode(retriever, question, access, hits)?;
        Ok(scored)
    }

    /// Looks closer at the best: what is not looked at keeps its first score, and stands behind.
    fn encode(
        &mut self,
        retriever: &Retriever,
        question: &str,
        access: &Access,
        hits: &[Hit],
    ) -> Result<(), RetrieverError> {
        let mut best: Vec<&mut ScoredSentence> = self.sentences.iter_mut().collect();
        best.sort_by(|left, right| right.score.total_cmp(&left.score));
        for sentence in &mut best {
            sentence.score *= FIRST_SHARE;
        }
        best.truncate(ENCODED);
        let headings: Vec<String> = hits.iter().take(MAX_PASSAGES).map(heading_line).collect();
        let headed: Vec<HeadedSentence<'_>> = best
            .iter()
            .map(|sentence| HeadedSentence {
                headings: &headings[sentence.hit],
                text: &hits[sentence.hit].text[sentence.bytes.clone()],
            })
            .collect();
        let near = retriever.nearness(question, &headed, access)?;
        for (sentence, near) in best.into_iter().zip(near) {
            let both = near.cosine.clamp(0.0, 1.0) + near.late_interaction.clamp(0.0, 1.0);
            sentence.score += (1.0 - FIRST_SHARE) * both / 2.0;
        }
        Ok(())
    }

    /// The score of the sentence that begins at this byte of a hit's text; none for hits that were not looked at.
    #[must_use]
    pub fn score(&self, hit: usize, start: usize) -> Option<f32> {
        self.sentences
            .binary_search_by_key(&(hit, start), |sentence| {
                (sentence.hit, sentence.bytes.start)
            })
            .ok()
            .map(|found| self.sentences[found].score)
    }
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
