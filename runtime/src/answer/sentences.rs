//! How well each sentence of the passages answers a question, by words, meaning and rank; no language model is asked.
//!
//! First, of every sentence, `0.70 · overlap + 0.20 · cosine + 0.10 · rank`: the question's terms that stand in it, weighted by
//! inverse document frequency (terms that stand only in its headings or its passage count by a share); the cosine of
//! question and sentence under the static embedder; and the reciprocal rank of its passage. Then the best of them are compared
//! with the question by the sentence encoder, which knows the same thing in other words: `0.25 · first + 0.375 · cosine +
//! 0.375 · late interaction`.
//!
//! A line that leads to others, a question of a list of questions, `Such as:`, a heading without a sign, answers nothing itself:
//! it scores half, and counts as a heading of what follows.

mod frame;

use std::collections::HashSet;
use std::ops::Range;

use quoin_retriever::{Access, HeadedSentence, Hit, Retriever, RetrieverError};

use self::frame::{Frame, has_ended, leads};
use crate::answer::citable::citable;
use crate::answer::prompt::heading_line;

/// Passages looked at.
const MAX_PASSAGES: usize = 10;
/// Sentences that the encoder looks at.
const ENCODED: usize = 8;
/// What the first score counts beside the encoder's two.
const FIRST_SHARE: f32 = 0.25;
/// What a leading line keeps of its score.
const LEADING_SHARE: f32 = 0.5;

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
    /// The line of its passage that leads to it, bytes.
    led_by: Option<Range<usize>>,
    /// What counts of its scores: less of such a line.
    share: f32,
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
            let mut led_by: Option<(Range<usize>, HashSet<String>)> = None;
            for bytes in citable(&hit.text) {
                let text = &hit.text[bytes.clone()];
                let terms: HashSet<String> = retriever.terms(text).into_iter().collect();
                let leads = leads(hit, &bytes);
                let share = if leads { LEADING_SHARE } else { 1.0 };
                if leads {
                    led_by = Some((bytes.clone(), terms.clone()));
                } else if let Some((line, _)) = &led_by
                    && has_ended(&hit.text[line.end..bytes.start])
                {
                    led_by = None;
                }
                let own = led_by.as_ref().filter(|_| !leads);
                let overlap = frame.overlap(&weights, total, &terms, own.map(|(_, terms)| terms));
                #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
                let score = share * (0.70 * overlap + 0.10 / (1.0 + rank as f32));
                texts.push(text.to_owned());
                sentences.push(ScoredSentence {
                    hit: rank,
                    led_by: own.map(|(line, _)| line.clone()),
                    bytes,
                    score,
                    terms,
                    share,
                });
            }
        }
        // By the bundled table, whatever embeds passages: fifty sentences must not take a transformer's time.
        let vectors = retriever.embed_quickly(&texts)?;
        for (sentence, vector) in sentences.iter_mut().zip(&vectors[1..]) {
            sentence.score += 0.20 * sentence.share * dot(&vectors[0], vector).clamp(0.0, 1.0);
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
        for sentence in &mut best {
            sentence.score *= FIRST_SHARE;
        }
        best.sort_by(|left, right| right.score.total_cmp(&left.score));
        best.truncate(ENCODED);
        let headings: Vec<String> = best
            .iter()
            .map(|sentence| {
                let hit = &hits[sentence.hit];
                let line = sentence.led_by.clone().map(|line| &hit.text[line]);
                [heading_line(hit).as_str(), line.unwrap_or_default()].join(" ")
            })
            .collect();
        let headed: Vec<HeadedSentence<'_>> = best
            .iter()
            .zip(&headings)
            .map(|(sentence, headings)| HeadedSentence {
                headings,
                text: &hits[sentence.hit].text[sentence.bytes.clone()],
            })
            .collect();
        let near = retriever.nearness(question, &headed, access)?;
        for (sentence, near) in best.into_iter().zip(near) {
            let both = near.cosine.clamp(0.0, 1.0) + near.late_interaction.clamp(0.0, 1.0);
            sentence.score += (1.0 - FIRST_SHARE) * sentence.share * both / 2.0;
        }
        Ok(())
    }

    /// The greatest score; 0 without sentences.
    #[must_use]
    pub fn best(&self) -> f32 {
        let scores = self.sentences.iter().map(|sentence| sentence.score);
        scores.fold(0.0, f32::max)
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

#[cfg(test)]
impl ScoredSentence {
    /// With a score and nothing else.
    pub(crate) fn scored(hit: usize, bytes: Range<usize>, score: f32) -> Self {
        Self {
            hit,
            bytes,
            score,
            terms: HashSet::new(),
            led_by: None,
            share: 1.0,
        }
    }
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}
