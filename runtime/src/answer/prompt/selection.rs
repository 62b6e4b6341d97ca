//! What is shown of the passages to a model with little room: the sentences that score best without it.
//!
//! One long passage does not crowd out the others, and half the tokens hold as many of the sentences that answer as whole
//! passages do.

use quoin_engine::Generator;

use super::wording::{passage_parts, sentence_parts};
use super::{MAX_MARKERS, PromptInput, Shown};
use crate::answer::sentences::ScoredSentences;

/// The hits of which something is shown, best first, with their best sentences in order.
pub(super) fn choose<'a>(
    generator: &dyn Generator,
    input: &PromptInput<'a>,
    scored: &ScoredSentences,
    mut tokens_left: usize,
) -> Vec<Shown<'a>> {
    let mut best: Vec<_> = scored.sentences.iter().collect();
    best.sort_by(|left, right| right.score.total_cmp(&left.score));
    let mut shown: Vec<Option<Shown<'a>>> = input.hits.iter().map(|_| None).collect();
    let mut markers = 0;
    for sentence in best {
        if markers == MAX_MARKERS {
            break;
        }
        let hit = &input.hits[sentence.hit];
        let mut tokens = generator.count_tokens(&sentence_parts(hit, &sentence.bytes, MAX_MARKERS));
        let passage = &mut shown[sentence.hit];
        if passage.is_none() {
            tokens += generator.count_tokens(&passage_parts(MAX_MARKERS, hit, &[], input));
        }
        if tokens <= tokens_left {
            tokens_left -= tokens;
            markers += 1;
            let passage = passage.get_or_insert_with(|| Shown {
                rank: sentence.hit,
                hit,
                sentences: Vec::new(),
            });
            passage.sentences.push(sentence.bytes.clone());
        }
    }
    let mut shown: Vec<Shown<'a>> = shown.into_iter().flatten().collect();
    for passage in &mut shown {
        passage.sentences.sort_by_key(|bytes| bytes.start);
    }
    shown
}
