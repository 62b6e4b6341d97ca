//! Passages: contiguous slices of a document's text that keep its structure.
//!
//! A heading starts a passage. Paragraphs, list items, table rows and code blocks stay whole unless one alone exceeds a
//! passage; then it is cut between sentences or lines, then between words, then between characters. A page ends a passage.

mod sentences;
mod split;

use std::ops::Range;

use crate::read::{Block, BlockKind};
use crate::settings::PassageSettings;

pub use self::sentences::sentences;
use self::split::Splitter;

/// Changes whenever the same text and outline would be cut differently.
pub(crate) const VERSION: &str = "passage-3";

/// A token of the embedder and the byte of the text where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// In the embedder's vocabulary.
    pub id: u32,
    /// Byte.
    pub start: u32,
}

/// A slice of a document, before it has a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    /// Bytes of the document's text.
    pub bytes: Range<usize>,
    /// Code points of the document's text.
    pub chars: Range<usize>,
    /// The headings it stands under, outermost first.
    pub heading: Vec<String>,
    /// The head of the table whose rows it starts with, when the head is in an earlier passage.
    pub context: Option<String>,
    /// The page it is on.
    pub page: Option<u32>,
}

/// Cuts a text. `tokens` are those of the whole text, in order.
pub(crate) fn cut(
    text: &str,
    outline: &[Block],
    tokens: &[Token],
    settings: &PassageSettings,
) -> Vec<Passage> {
    let splitter = Splitter::new(text, tokens, settings);
    let mut cutter = Cutter {
        text,
        splitter: &splitter,
        settings,
        headings: Vec::new(),
        open: None,
        table_head: None,
        passages: Vec::new(),
    };
    for block in outline {
        cutter.block(block);
    }
    cutter.close();
    let mut passages = cutter.passages;
    count_code_points(text, &mut passages);
    passages
}

/// A part of a text that is never cut, and what it is of.
#[derive(Clone)]
struct Piece {
    range: Range<usize>,
    is_heading: bool,
    is_row: bool,
    is_prose: bool,
    page: Option<u32>,
}

/// A passage that still grows.
struct Open {
    pieces: Vec<Piece>,
    context: Option<String>,
}

impl Open {
    fn range(&self) -> Range<usize> {
        let start = self.pieces.first().map_or(0, |piece| piece.range.start);
        start..self.pieces.last().map_or(start, |piece| piece.range.end)
    }

    fn only_headings(&self) -> bool {
        self.pieces.iter().all(|piece| piece.is_heading)
    }

    /// The page of its body; of headings alone, the first one's.
    fn page(&self) -> Option<u32> {
        let body = self.pieces.iter().find(|piece| !piece.is_heading);
        body.or(self.pieces.first()).and_then(|piece| piece.page)
    }

    /// Whether the next page begins: a quote from a passage is then on the page that the passage names. Headings go with what
    /// stands under them.
    fn ends_at(&self, page: Option<u32>) -> bool {
        !self.only_headings() && self.page() != page
    }
}

struct Cutter<'a> {
    text: &'a str,
    splitter: &'a Splitter<'a>,
    settings: &'a PassageSettings,
    headings: Vec<(u8, String)>,
    open: Option<Open>,
    table_head: Option<Range<usize>>,
    passages: Vec<Passage>,
}

impl Cutter<'_> {
    fn block(&mut self, block: &Block) {
        match block.kind {
            BlockKind::Heading(level) => {
                if self.open.as_ref().is_some_and(|open| !open.only_headings()) {
                    self.close();
                }
                while self
                    .headings
                    .last()
                    .is_some_and(|(above, _)| *above >= level)
                {
                    self.headings.pop();
                }
                let words = heading_words(&self.text[block.range()]);
                self.headings.push((level, words));
                self.table_head = None;
            }
            BlockKind::TableHead => self.table_head = Some(block.range()),
            BlockKind::TableRow => {}
            _ => self.table_head = None,
        }
        for piece in self.splitter.pieces(block) {
            self.add(piece, block);
        }
    }

    fn add(&mut self, range: Range<usize>, block: &Block) {
        let piece = Piece {
            range,
            is_heading: matches!(block.kind, BlockKind::Heading(_)),
            is_row: block.kind == BlockKind::TableRow,
            is_prose: matches!(block.kind, BlockKind::Paragraph | BlockKind::ListItem),
            page: block.page,
        };
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.ends_at(piece.page))
        {
            self.close();
        }
        let mut repeated = None;
        if let Some(open) = &self.open {
            let range = open.range();
            let joined = self.splitter.cost(range.start..piece.range.end);
            let full = self.splitter.cost(range) >= self.settings.target_tokens;
            if joined > self.settings.max_tokens || (full && !open.only_headings()) {
                repeated = self.overlap(&open.pieces, &piece);
                self.close();
            }
        }
        if let Some(open) = &mut self.open {
            open.pieces.push(piece);
        } else {
            let pieces: Vec<Piece> = repeated.into_iter().chain([piece]).collect();
            self.open = Some(Open {
                context: self.context(&pieces[0]),
                pieces,
            });
        }
    }

    /// The end of a passage that is closed for its size, as far as it is to be repeated before the next piece: never all of it.
    fn overlap(&self, pieces: &[Piece], next: &Piece) -> Option<Piece> {
        if self.settings.overlap_tokens == 0 {
            return None;
        }
        let (first, last) = (pieces.first()?.range.start, pieces.last()?.range.end);
        let fits = |start: usize| {
            start > first
                && self.splitter.cost(start..last) <= self.settings.overlap_tokens
                && self.splitter.cost(start..next.range.end) <= self.settings.max_tokens
        };
        let mut found = None;
        for piece in pieces.iter().rev().take_while(|piece| !piece.is_heading) {
            let starts = if piece.is_prose {
                sentences(&self.text[piece.range.clone()])
            } else {
                std::iter::once(0..piece.range.len()).collect()
            };
            for sentence in starts.iter().rev() {
                let start = piece.range.start + sentence.start;
                if !fits(start) {
                    return found;
                }
                found = Some(Piece {
                    range: start..last,
                    ..piece.clone()
                });
            }
        }
        found
    }

    /// The head of the table that a passage goes on with.
    fn context(&self, first: &Piece) -> Option<String> {
        let head = self.table_head.clone().filter(|_| first.is_row)?;
        let line = self.text[head].lines().next()?;
        Some(truncated(line, 512).to_owned())
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.passages.push(Passage {
            bytes: open.range(),
            chars: 0..0,
            heading: self
                .headings
                .iter()
                .map(|(_, words)| words.clone())
                .collect(),
            page: open.page(),
            context: open.context,
        });
    }
}

/// The words of a heading, without the marks that make it one.
fn heading_words(slice: &str) -> String {
    let first = slice.trim_start_matches('#').trim();
    let first = first.trim_end_matches('#').trim_end();
    let words = match first.rsplit_once('\n') {
        Some((above, rule)) if rule.trim().chars().all(|c| matches!(c, '=' | '-')) => above,
        _ => first,
    };
    let mut clean = String::with_capacity(words.len());
    for word in words.split_whitespace() {
        if !clean.is_empty() {
            clean.push(' ');
        }
        clean.extend(word.chars().filter(|c| !matches!(c, '`' | '*')));
    }
    truncated(&clean, 256).to_owned()
}

fn truncated(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// Passages may overlap, but start in order.
fn count_code_points(text: &str, passages: &mut [Passage]) {
    let (mut byte, mut chars) = (0, 0);
    for passage in passages {
        chars += text[byte..passage.bytes.start].chars().count();
        passage.chars = chars..chars + text[passage.bytes.clone()].chars().count();
        byte = passage.bytes.start;
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::document::{Content, Format};
    use crate::settings::Limits;

    /// One token a word, and one a character beyond ASCII.
    fn tokens(text: &str) -> Vec<Token> {
        let mut inside = false;
        let mut tokens = Vec::new();
        for (start, character) in text.char_indices() {
            let word = character.is_alphanumeric();
            if (word && !inside) || !character.is_ascii() {
                tokens.push(Token {
                    id: 0,
                    start: u32::try_from(start).unwrap(),
                });
            }
            inside = word;
        }
        tokens
    }

    fn cut_text(text: &str, format: Format, settings: &PassageSettings) -> (String, Vec<Passage>) {
        let content = Content::Text {
            text: text.to_owned(),
            format,
        };
        let (_, read) = crate::read::read(content, &Limits::default(), None).unwrap();
        let passages = cut(&read.text, &read.outline, &tokens(&read.text), settings);
        (read.text, passages)
    }

    fn small() -> PassageSettings {
        PassageSettings {
            target_tokens: 6,
            max_tokens: 9,
            overlap_tokens: 0,
        }
    }

    fn overlapping() -> PassageSettings {
        PassageSettings {
            overlap_tokens: 3,
            ..small()
        }
    }

    #[test]
    fn an_overlap_repeats_whole_sentences_under_the_same_heading_only() {
        let text = "# A\nOne two three. Four five. Six seven.\n\nEight nine. Ten eleven twelve. End.\n# B\nLast.";
        let (text, passages) = cut_text(text, Format::Markdown, &overlapping());
        let got: Vec<_> = passages.iter().map(|p| &text[p.bytes.clone()]).collect();
        assert_eq!(
            got,
            [
                "# A\nOne two three. Four five. Six seven.",
                "Six seven.\n\nEight nine. Ten eleven twelve. End.",
                "# B\nLast."
            ]
        );
    }

    #[test]
    fn a_heading_starts_a_passage_and_travels_with_it() {
        let text = "# Handbook\n## Leave\nTwenty days.\n\n## Pay\nMonthly.";
        let (text, passages) = cut_text(text, Format::Markdown, &PassageSettings::default());
        let got: Vec<_> = passages
            .iter()
            .map(|p| (&text[p.bytes.clone()], p.heading.join("/")))
            .collect();
        assert_eq!(
            got,
            [
                (
                    "# Handbook\n## Leave\nTwenty days.",
                    "Handbook/Leave".to_owned()
                ),
                ("## Pay\nMonthly.", "Handbook/Pay".to_owned())
            ]
        );
    }

    #[test]
    fn a_passage_ends_with_its_page_and_a_heading_goes_with_what_follows() {
        let text = "One. Two. Title Three.";
        let block = |range: Range<usize>, kind, page| Block {
            start: range.start,
            end: range.end,
            kind,
            page: Some(page),
        };
        let outline = [
            block(0..4, BlockKind::Paragraph, 1),
            block(5..9, BlockKind::Paragraph, 2),
            block(10..15, BlockKind::Heading(1), 2),
            block(16..22, BlockKind::Paragraph, 3),
        ];
        let passages = cut(text, &outline, &tokens(text), &PassageSettings::default());
        let got: Vec<_> = passages
            .iter()
            .map(|p| (&text[p.bytes.clone()], p.page))
            .collect();
        let expected = [
            ("One.", Some(1)),
            ("Two.", Some(2)),
            ("Title Three.", Some(3)),
        ];
        assert_eq!(got, expected);
    }

    #[test]
    fn a_long_table_is_cut_between_rows_and_its_head_travels_along() {
        let mut text = String::from("| Item | Price |\n|---|---|\n");
        for row in 0..20 {
            writeln!(text, "| thing {row} | {row} euro |").unwrap();
        }
        let (text, passages) = cut_text(&text, Format::Markdown, &small());
        assert!(passages.len() > 3);
        assert_eq!(passages[0].context, None);
        for passage in &passages[1..] {
            assert_eq!(passage.context.as_deref(), Some("| Item | Price |"));
            let slice = &text[passage.bytes.clone()];
            assert!(
                slice.lines().all(|line| line.ends_with("euro |")),
                "{slice}"
            );
        }
    }

    #[test]
    fn a_long_paragraph_is_cut_between_sentences() {
        let text = "One two three four five. Six seven eight nine ten. Eleven twelve.";
        let (text, passages) = cut_text(text, Format::Text, &small());
        let got: Vec<_> = passages.iter().map(|p| &text[p.bytes.clone()]).collect();
        assert_eq!(
            got,
            [
                "One two three four five.",
                "Six seven eight nine ten. Eleven twelve."
            ]
        );
    }

    #[test]
    fn a_word_without_end_is_cut_between_characters() {
        let text = "👩‍🚀x".repeat(20_000);
        let (_, passages) = cut_text(&text, Format::Text, &PassageSettings::default());
        assert!(passages.len() > 10);
    }

    proptest! {
        #[test]
        fn overlapping_passages_go_on_and_stay_small(
            text in r"(# |## |- |\||\n|\n\n|\|---\||[a-z]{1,9}[ .]|[A-Z][a-z]{1,4} |日本語。|é){0,150}"
        ) {
            let settings = overlapping();
            for format in [Format::Text, Format::Markdown] {
                let (text, passages) = cut_text(&text, format, &settings);
                for pair in passages.windows(2) {
                    prop_assert!(pair[1].bytes.start > pair[0].bytes.start);
                    prop_assert!(pair[1].bytes.end > pair[0].bytes.end);
                    let twice = pair[0].bytes.end.max(pair[1].bytes.start) - pair[1].bytes.start;
                    let twice = &text[pair[1].bytes.start..pair[1].bytes.start + twice];
                    prop_assert!(tokens(twice).len() <= settings.overlap_tokens + 1, "{}", twice);
                }
                for passage in &passages {
                    let slice = &text[passage.bytes.clone()];
                    let by_chars: String =
                        text.chars().skip(passage.chars.start).take(passage.chars.len()).collect();
                    prop_assert_eq!(&by_chars, slice);
                    prop_assert!(tokens(slice).len() <= settings.max_tokens + 1, "{}", slice);
                }
            }
        }

        #[test]
        fn passages_are_in_order_hold_everything_and_stay_small(
            text in r"(# |## |- |\||\n|\n\n|```\n| |[a-z]{1,9}[ .]|[A-Z][a-z]{1,4} |[0-9]{1,3}|日本語。|שלום |👩‍🚀|é){0,150}"
        ) {
            for format in [Format::Text, Format::Markdown, Format::Html] {
                let (text, passages) = cut_text(&text, format, &small());
                let mut end = 0;
                for passage in &passages {
                    prop_assert!(text[end..passage.bytes.start].trim().is_empty());
                    prop_assert!(passage.bytes.start >= end);
                    let slice = &text[passage.bytes.clone()];
                    prop_assert!(!slice.trim().is_empty());
                    let by_chars: String = text
                        .chars()
                        .skip(passage.chars.start)
                        .take(passage.chars.len())
                        .collect();
                    prop_assert_eq!(&by_chars, slice);
                    // A passage that starts inside a word has the rest of it as a token of its own.
                    prop_assert!(tokens(slice).len() <= small().max_tokens + 1, "{}", slice);
                    end = passage.bytes.end;
                }
                prop_assert!(text[end..].trim().is_empty());
            }
        }
    }
}
