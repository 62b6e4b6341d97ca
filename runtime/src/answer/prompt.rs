//! Question and passages in, messages within the token budget out.
//!
//! Passages stand before the question and in an order that does not depend on it (document, then position), so that
//! prompts share their beginnings in the prefix cache. What it says is in
//! `wording`; what is shown of a passage to a model with little room, in `selection`.

mod selection;
mod wording;

use std::ops::Range;

use quoin_engine::{Generator, Message};
use quoin_retriever::Hit;

use self::wording::passage_parts;
use crate::answer::citable::citable;
use crate::answer::sentences::ScoredSentences;
use crate::answer::types::AnswerRequest;
use crate::config::Citing;

pub(crate) use self::wording::heading_line;
pub use self::wording::{closed_book, rewriting};

/// Most sentences that get a marker in one prompt.
pub const MAX_MARKERS: usize = 64;

/// How a model is prompted; part of the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptStyle {
    /// The bare marker format that the bundled model was trained on, with a shortlist behind the question; the cited
    /// sentences are a text answer.
    Pointer,
    /// Instructions in words, for models that follow them.
    Instruct,
}

impl PromptStyle {
    /// Most tokens of a prompt: what the model was trained on, where that is less than its context.
    const fn prompt_tokens(self) -> usize {
        match self {
            Self::Pointer => 400,
            Self::Instruct => usize::MAX,
        }
    }

    /// The name and version of the template, for the release's digest.
    #[must_use]
    pub const fn template(self) -> &'static str {
        match self {
            Self::Pointer => "pointer-2",
            Self::Instruct => "instruct-1",
        }
    }
}

/// One sentence of the prompt.
#[derive(Clone, Debug)]
pub struct PromptSentence {
    /// The number in `[[n]]`, from 1, over all passages.
    pub marker: usize,
    /// Bytes of the passage's text.
    pub bytes: Range<usize>,
}

/// One passage of the prompt.
#[derive(Clone, Debug)]
pub struct PromptPassage {
    /// From 1, in the order of the prompt.
    pub number: usize,
    /// Its place among the hits, from 0: best first.
    pub rank: usize,
    /// Where it came from.
    pub hit: Hit,
    /// Its sentences; those that got no marker are left out.
    pub sentences: Vec<PromptSentence>,
}

/// A prompt that fits.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// What the engine gets.
    pub messages: Vec<Message>,
    /// What can be cited.
    pub passages: Vec<PromptPassage>,
    /// Hits that the budget left out.
    pub left_out: usize,
}

/// The question does not fit, even without passages.
#[derive(Debug, thiserror::Error)]
#[error(
    "`question` and `history` take {tokens} tokens, and the model leaves {limit} for them: shorten them"
)]
pub struct QuestionTooLong {
    /// Tokens without passages.
    pub tokens: usize,
    /// Tokens available.
    pub limit: usize,
}

/// What a prompt is made from.
pub struct PromptInput<'a> {
    /// The request; its question is the last part of the prompt.
    pub request: &'a AnswerRequest,
    /// The question as one that stands alone, for models that are not shown what was said before.
    pub standalone: &'a str,
    /// Best first.
    pub hits: &'a [Hit],
    /// What their sentences score without a model, for models that are shown a shortlist.
    pub scored: Option<ScoredSentences>,
    /// The schema in words, for models that read it; `None` for plain text.
    pub schema: Option<String>,
    /// How the model is prompted.
    pub style: PromptStyle,
    /// How it cites.
    pub citing: Citing,
    /// Most generated tokens, kept free.
    pub max_tokens: usize,
}

impl Prompt {
    /// Takes hits, best first, until the context is full, and puts them in document order.
    ///
    /// # Errors
    /// [`QuestionTooLong`] when not even the question fits.
    pub fn fit(
        generator: &dyn Generator,
        input: &PromptInput<'_>,
    ) -> Result<Self, QuestionTooLong> {
        let description = generator.description();
        let limit = description
            .context_length
            .saturating_sub(input.max_tokens)
            .saturating_sub(description.template_tokens)
            .min(input.style.prompt_tokens());
        let mut frame: usize = input
            .frame(&[])
            .iter()
            .map(|message| generator.count_tokens(&message.parts) + 8)
            .sum();
        if input.scored.is_some() {
            frame += generator.count_tokens(&[wording::longest_shortlist()]);
        }
        if frame > limit {
            return Err(QuestionTooLong {
                tokens: frame,
                limit,
            });
        }
        let mut shown = match &input.scored {
            Some(scored) => selection::choose(generator, input, scored, limit - frame),
            None => choose(generator, input, limit - frame),
        };
        let left_out = input.hits.len() - shown.len();
        shown.sort_by(|left, right| {
            (&left.hit.document, left.hit.position).cmp(&(&right.hit.document, right.hit.position))
        });
        let passages = number(shown);
        let messages = input.frame(&passages);
        Ok(Self {
            messages,
            passages,
            left_out,
        })
    }
}

/// A hit that is shown, its place among the hits, and its sentences that are shown.
struct Shown<'a> {
    rank: usize,
    hit: &'a Hit,
    sentences: Vec<Range<usize>>,
}

/// The hits that fit into the tokens, best first.
fn choose<'a>(
    generator: &dyn Generator,
    input: &PromptInput<'a>,
    mut tokens_left: usize,
) -> Vec<Shown<'a>> {
    let whole = input.shows_whole_passages();
    let mut markers = 0;
    let mut chosen = Vec::new();
    for (rank, hit) in input.hits.iter().enumerate() {
        // Counted with the widest marker, so that renumbering in document order cannot outgrow the budget.
        let count = |ranges: &[Range<usize>]| {
            let sentences = numbered(ranges, MAX_MARKERS);
            generator.count_tokens(&passage_parts(MAX_MARKERS, hit, &sentences, input))
        };
        let mut sentences = citable(&hit.text);
        if !whole {
            sentences.truncate(MAX_MARKERS - markers);
        }
        let mut tokens = count(&sentences);
        while !whole && tokens > tokens_left && chosen.is_empty() && sentences.len() > 1 {
            sentences.truncate(sentences.len() / 2);
            tokens = count(&sentences);
        }
        if sentences.is_empty() || tokens > tokens_left {
            continue;
        }
        tokens_left -= tokens;
        if !whole {
            markers += sentences.len();
        }
        chosen.push(Shown {
            rank,
            hit,
            sentences,
        });
    }
    chosen
}

fn numbered(ranges: &[Range<usize>], first: usize) -> Vec<PromptSentence> {
    ranges
        .iter()
        .enumerate()
        .map(|(index, bytes)| PromptSentence {
            marker: first + index,
            bytes: bytes.clone(),
        })
        .collect()
}

fn number(shown: Vec<Shown<'_>>) -> Vec<PromptPassage> {
    let mut first = 1;
    shown
        .into_iter()
        .enumerate()
        .map(|(index, shown)| {
            let sentences = numbered(&shown.sentences, first);
            first += sentences.len();
            PromptPassage {
                number: index + 1,
                rank: shown.rank,
                hit: shown.hit.clone(),
                sentences,
            }
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
