//! Cuts one block that exceeds a passage: between sentences or lines, then words, then characters.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::{Token, sentences};
use crate::read::{Block, BlockKind, trimmed};
use crate::settings::PassageSettings;

/// A stretch that the embedder takes for one unknown token still costs one token in so many bytes.
const BYTES_PER_TOKEN: usize = 16;

/// What the parts of a block are cut into, from coarse to fine.
#[derive(Clone, Copy)]
enum Level {
    Sentences,
    Lines,
    Words,
    Characters,
}

pub(super) struct Splitter<'a> {
    text: &'a str,
    tokens: &'a [Token],
    target: usize,
    max: usize,
}

impl<'a> Splitter<'a> {
    pub(super) fn new(text: &'a str, tokens: &'a [Token], settings: &PassageSettings) -> Self {
        Self {
            text,
            tokens,
            target: settings.target_tokens,
            max: settings.max_tokens,
        }
    }

    /// What a slice counts as, in tokens.
    pub(super) fn cost(&self, range: Range<usize>) -> usize {
        let before = |end: usize| {
            self.tokens
                .partition_point(|token| (token.start as usize) < end)
        };
        let tokens = before(range.end) - before(range.start);
        tokens.max(range.len() / BYTES_PER_TOKEN)
    }

    /// The block whole, or cut into pieces of which none exceeds a passage.
    pub(super) fn pieces(&self, block: &Block) -> Vec<Range<usize>> {
        let mut pieces = Vec::new();
        let level = match block.kind {
            BlockKind::Code => Level::Lines,
            BlockKind::TableHead | BlockKind::TableRow => Level::Words,
            _ => Level::Sentences,
        };
        self.cut(block.range(), level, &mut pieces);
        pieces
    }

    fn cut(&self, range: Range<usize>, level: Level, pieces: &mut Vec<Range<usize>>) {
        if self.cost(range.clone()) <= self.max {
            pieces.extend(trimmed(self.text, range));
            return;
        }
        let parts = self.parts(range, level);
        let mut open: Option<Range<usize>> = None;
        for part in parts {
            if let Some(before) = open.take() {
                let joined = before.start..part.end;
                if self.cost(before.clone()) < self.target && self.cost(joined.clone()) <= self.max
                {
                    open = Some(joined);
                    continue;
                }
                pieces.extend(trimmed(self.text, before));
            }
            if self.cost(part.clone()) <= self.max {
                open = Some(part);
            } else {
                match level {
                    Level::Sentences | Level::Lines => self.cut(part, Level::Words, pieces),
                    Level::Words => self.cut(part, Level::Characters, pieces),
                    // One character alone is never cut.
                    Level::Characters => pieces.extend(trimmed(self.text, part)),
                }
            }
        }
        pieces.extend(open.and_then(|last| trimmed(self.text, last)));
    }

    fn parts(&self, range: Range<usize>, level: Level) -> Vec<Range<usize>> {
        let slice = &self.text[range.clone()];
        let shift = |part: Range<usize>| range.start + part.start..range.start + part.end;
        match level {
            Level::Sentences => sentences(slice).into_iter().map(shift).collect(),
            Level::Lines => consecutive(slice.split_inclusive('\n'))
                .map(shift)
                .collect(),
            Level::Words => consecutive(slice.split_inclusive(char::is_whitespace))
                .map(shift)
                .collect(),
            Level::Characters => consecutive(slice.graphemes(true)).map(shift).collect(),
        }
    }
}

/// The ranges of parts that follow one another without gaps.
fn consecutive<'t>(parts: impl Iterator<Item = &'t str>) -> impl Iterator<Item = Range<usize>> {
    parts.scan(0, |end, part| {
        let start = *end;
        *end += part.len();
        Some(start..*end)
    })
}
