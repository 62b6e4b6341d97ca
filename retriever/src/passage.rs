//! Passages: contiguous slices of a document's text that keep its structure.
//!
//! A heading starts a passage. Paragraphs, list items, table rows and code blocks stay whole unless one alone exceeds a
//! passage; then it is cut between sentences or lines, then between words, then between characters.

mod sentences;
mod split;

use std::ops::Range;

use crate::read::{Block, BlockKind};
use crate::settings::PassageSettings;

pub use self::sentences::sentences;
use self::split::Splitter;

/// Changes whenever the same text and outline would be cut differently.
pub(crate) const VERSION: &str = "passage-2";

/// A token of the embedder and the byte of the text where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub id: u32,
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
    /// The page it starts on.
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

struct Open {
    range: Range<usize>,
    only_headings: bool,
    context: Option<String>,
    page: Option<u32>,
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
                if self.open.as_ref().is_some_and(|open| !open.only_headings) {
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

    fn add(&mut self, piece: Range<usize>, block: &Block) {
        let is_heading = matches!(block.kind, BlockKind::Heading(_));
        if let Some(open) = &self.open {
            let joined = self.splitter.cost(open.range.start..piece.end);
            let full = self.splitter.cost(open.range.clone()) >= self.settings.target_tokens;
            if joined > self.settings.max_tokens || (full && !open.only_headings) {
                self.close();
            }
        }
        if let Some(open) = &mut self.open {
            open.range.end = piece.end;
            open.only_headings &= is_heading;
        } else {
            let context = self
                .table_head
                .clone()
                .filter(|_| block.kind == BlockKind::TableRow)
                .and_then(|head| self.text[head].lines().next())
                .map(|line| truncated(line, 512).to_owned());
            self.open = Some(Open {
                range: piece,
                only_headings: is_heading,
                context,
                page: block.page,
            });
        }
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.passages.push(Passage {
            bytes: open.range,
            chars: 0..0,
            heading: self
                .headings
                .iter()
                .map(|(_, words)| words.clone())
                .collect(),
            context: open.context,
            page: open.page,
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

fn count_code_points(text: &str, passages: &mut [Passage]) {
    let (mut byte, mut chars) = (0, 0);
    for passage in passages {
        chars += text[byte..passage.bytes.start].chars().count();
        let inside = text[passage.bytes.clone()].chars().count();
        passage.chars = chars..chars + inside;
        chars += inside;
        byte = passage.bytes.end;
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
        }
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
