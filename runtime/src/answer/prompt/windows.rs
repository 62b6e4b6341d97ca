//! What is shown of each passage to a model with little room: a run of sentences around the one that scores best.
//!
//! Several passages get a run each, so that one long passage does not crowd out the others; the runs then grow in turn, the
//! best passage's first.

use std::ops::Range;

use quoin_engine::Generator;
use quoin_retriever::Hit;

use super::wording::{passage_parts, sentence_parts};
use super::{MAX_MARKERS, PromptInput, Shown};
use crate::answer::citable::citable;
use crate::answer::sentences::ScoredSentences;

/// Passages that get a run.
const MAX_PASSAGES: usize = 8;

/// The hits that get a run, best first.
pub(super) fn choose<'a>(
    generator: &dyn Generator,
    input: &PromptInput<'a>,
    scored: &ScoredSentences,
    tokens: usize,
) -> Vec<Shown<'a>> {
    let mut room = Room {
        tokens,
        markers: MAX_MARKERS,
    };
    let mut windows: Vec<Window<'a>> = Vec::new();
    for (rank, hit) in input.hits.iter().enumerate() {
        if windows.len() == MAX_PASSAGES {
            break;
        }
        let frame = generator.count_tokens(&passage_parts(MAX_MARKERS, hit, &[], input));
        windows.extend(Window::open(generator, scored, rank, hit, frame, &mut room));
    }
    while windows
        .iter_mut()
        .fold(false, |grown, window| window.grow(&mut room) || grown)
    {}
    windows.into_iter().map(Window::into_shown).collect()
}

/// What is left of the prompt.
struct Room {
    tokens: usize,
    markers: usize,
}

impl Room {
    /// Takes room for one sentence, unless it is too small.
    fn take(&mut self, tokens: usize) -> bool {
        let fits = self.markers > 0 && tokens <= self.tokens;
        if fits {
            self.markers -= 1;
            self.tokens -= tokens;
        }
        fits
    }
}

/// Sentences of one hit: those from `first` to before `end` are shown.
struct Window<'a> {
    rank: usize,
    hit: &'a Hit,
    ranges: Vec<Range<usize>>,
    tokens: Vec<usize>,
    first: usize,
    end: usize,
}

impl<'a> Window<'a> {
    /// Shows the best sentence that there is room for, with the passage's frame; none if there is none.
    fn open(
        generator: &dyn Generator,
        scored: &ScoredSentences,
        rank: usize,
        hit: &'a Hit,
        frame: usize,
        room: &mut Room,
    ) -> Option<Self> {
        let ranges = citable(&hit.text);
        let tokens: Vec<usize> = ranges
            .iter()
            .map(|bytes| generator.count_tokens(&sentence_parts(hit, bytes, MAX_MARKERS)))
            .collect();
        let score = |n: &usize| scored.score(rank, ranges[*n].start).unwrap_or(0.0);
        let mut order: Vec<usize> = (0..ranges.len()).collect();
        order.sort_by(|left, right| score(right).total_cmp(&score(left)));
        let best = order.into_iter().find(|&n| room.take(frame + tokens[n]))?;
        Some(Self {
            rank,
            hit,
            ranges,
            tokens,
            first: best,
            end: best + 1,
        })
    }

    /// Shows the sentence after the run, and the one before it; false when neither is there or has room.
    fn grow(&mut self, room: &mut Room) -> bool {
        let after = self.end < self.ranges.len() && room.take(self.tokens[self.end]);
        if after {
            self.end += 1;
        }
        let before = self.first > 0 && room.take(self.tokens[self.first - 1]);
        if before {
            self.first -= 1;
        }
        after || before
    }

    fn into_shown(self) -> Shown<'a> {
        Shown {
            rank: self.rank,
            hit: self.hit,
            sentences: self.ranges[self.first..self.end].to_vec(),
        }
    }
}
