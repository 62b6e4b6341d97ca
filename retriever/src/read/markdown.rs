//! Markdown: the text stays as it came, without its front matter; pulldown-cmark tells where blocks start.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::{BlockKind, Budget, ReadDocument, Reader, Stated, blocks_between, front_matter};
use crate::RetrieverError;

/// More containers inside one another than this are not Markdown that someone wrote.
const MAX_NESTING: usize = 256;
/// Parsing costs the number of lines times their nesting, so long lines of markers are refused up front.
const MAX_MARKERS_IN_A_ROW: usize = 512;

pub(super) struct Markdown;

impl Reader for Markdown {
    fn read(&self, mut text: String, budget: &Budget) -> Result<ReadDocument, RetrieverError> {
        budget.check_text(text.len())?;
        let mut stated = Stated::default();
        if let Some((yaml, body)) = front_matter::split(&text) {
            stated = front_matter::parse(yaml)?;
            text.drain(..body);
        } else {
            front_matter::refuse_lost_list(&text)?;
        }
        refuse_marker_runs(&text)?;
        let cuts = cut_points(&text, budget, &mut stated)?;
        Ok(ReadDocument {
            outline: blocks_between(&text, &cuts),
            stated,
            text,
            warnings: Vec::new(),
        })
    }
}

/// Where blocks start. Always has 0, so that nothing is left out.
fn cut_points(
    text: &str,
    budget: &Budget,
    stated: &mut Stated,
) -> Result<Vec<(usize, BlockKind)>, RetrieverError> {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_STRIKETHROUGH;
    let mut cuts = Cuts::default();
    let mut depth = 0_usize;
    let mut top = TopHeading::default();
    for (count, (event, range)) in Parser::new_ext(text, options)
        .into_offset_iter()
        .enumerate()
    {
        if count % 4096 == 0 {
            budget.check_time()?;
        }
        top.take(&event);
        match event {
            Event::Start(tag) => {
                depth += 1;
                if depth > MAX_NESTING {
                    return Err(too_nested(depth));
                }
                cuts.open(&tag, range.start);
            }
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                cuts.close(tag, range.end);
            }
            Event::Rule => cuts.push(range.start, BlockKind::Paragraph),
            _ => {}
        }
    }
    stated.title = stated.title.take().or(top.words);
    Ok(cuts.points)
}

/// The words of the first heading of level 1 that has any: the title of a document that states none.
#[derive(Default)]
struct TopHeading {
    words: Option<String>,
    /// Those of the heading that is open.
    open: Option<String>,
}

impl TopHeading {
    fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(Tag::Heading {
                level: HeadingLevel::H1,
                ..
            }) if self.words.is_none() => self.open = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                if let Some(words) = self.open.take()
                    && !words.trim().is_empty()
                {
                    self.words = Some(words.trim().to_owned());
                }
            }
            Event::Text(words) | Event::Code(words) => self.add(words),
            Event::SoftBreak | Event::HardBreak => self.add(" "),
            _ => {}
        }
    }

    fn add(&mut self, words: &str) {
        if let Some(open) = &mut self.open {
            open.push_str(words);
        }
    }
}

/// Cut points as they are found, in order.
struct Cuts {
    points: Vec<(usize, BlockKind)>,
    /// The next block starts inside a container that has just been opened: it shares the container's start.
    joined: bool,
}

impl Default for Cuts {
    fn default() -> Self {
        Self {
            points: vec![(0, BlockKind::Paragraph)],
            joined: false,
        }
    }
}

impl Cuts {
    fn push(&mut self, at: usize, kind: BlockKind) {
        if let Some(last) = self.points.last_mut() {
            if at < last.0 {
                return;
            }
            if at == last.0 {
                last.1 = kind;
                return;
            }
        }
        self.points.push((at, kind));
    }

    fn open(&mut self, tag: &Tag<'_>, at: usize) {
        let kind = match tag {
            Tag::Item => {
                self.push(at, BlockKind::ListItem);
                self.joined = true;
                return;
            }
            Tag::BlockQuote(_) | Tag::FootnoteDefinition(_) => {
                if !self.joined {
                    self.push(at, BlockKind::Paragraph);
                }
                self.joined = true;
                return;
            }
            Tag::Heading { level, .. } => BlockKind::Heading(*level as u8),
            Tag::Paragraph | Tag::HtmlBlock => BlockKind::Paragraph,
            Tag::CodeBlock(_) => BlockKind::Code,
            Tag::TableHead => BlockKind::TableHead,
            Tag::TableRow => BlockKind::TableRow,
            _ => return,
        };
        if self.joined {
            self.joined = false;
            if matches!(kind, BlockKind::Paragraph | BlockKind::Heading(_)) {
                return;
            }
        }
        self.push(at, kind);
    }

    /// What follows a block and is in no other, such as a link definition, is a paragraph.
    fn close(&mut self, tag: TagEnd, at: usize) {
        if matches!(
            tag,
            TagEnd::Heading(_) | TagEnd::CodeBlock | TagEnd::Table | TagEnd::List(_)
        ) {
            self.joined = false;
            self.push(at, BlockKind::Paragraph);
        }
        if matches!(tag, TagEnd::Item | TagEnd::BlockQuote(_)) {
            self.joined = false;
        }
    }
}

fn refuse_marker_runs(text: &str) -> Result<(), RetrieverError> {
    for line in text.lines() {
        let markers = line
            .bytes()
            .take_while(|byte| matches!(byte, b'>' | b' ' | b'-' | b'*' | b'+' | b'\t'))
            .filter(|byte| matches!(byte, b'>' | b'-' | b'*' | b'+'))
            .count();
        // A rule such as `-----` is one marker repeated to the end of its line.
        if markers > MAX_MARKERS_IN_A_ROW && !is_rule(line) {
            return Err(too_nested(markers));
        }
    }
    Ok(())
}

fn is_rule(line: &str) -> bool {
    let mut marks = line.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let first = marks.next();
    matches!(first, Some(b'-' | b'*')) && marks.all(|mark| Some(mark) == first)
}

fn too_nested(got: usize) -> RetrieverError {
    RetrieverError::TooLarge {
        what: "Markdown",
        limit: MAX_NESTING as u64,
        got: got as u64,
        unit: "containers inside one another",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Limits;

    fn read(text: &str) -> ReadDocument {
        Markdown
            .read(text.to_owned(), &Budget::new(&Limits::default()))
            .unwrap()
    }

    fn blocks(text: &str) -> Vec<(BlockKind, String)> {
        let read = read(text);
        read.outline
            .iter()
            .map(|block| (block.kind, read.text[block.range()].to_owned()))
            .collect()
    }

    #[test]
    fn every_kind_of_block_is_found() {
        use BlockKind::{Code, Heading, ListItem, Paragraph, TableHead, TableRow};
        let text = "# Top\nintro\n\n- one\n  - nested\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\n```rust\nfn main() {}\n```\n\n> quoted\n\n[link]: http://x\n";
        let want = [
            (Heading(1), "# Top"),
            (Paragraph, "intro"),
            (ListItem, "- one"),
            (ListItem, "- nested"),
            (ListItem, "- two"),
            (TableHead, "| a | b |\n|---|---|"),
            (TableRow, "| 1 | 2 |"),
            (TableRow, "| 3 | 4 |"),
            (Code, "```rust\nfn main() {}\n```"),
            (Paragraph, "> quoted\n\n[link]: http://x"),
        ];
        let want: Vec<_> = want.iter().map(|(k, t)| (*k, (*t).to_owned())).collect();
        assert_eq!(blocks(text), want);
    }

    #[test]
    fn front_matter_is_stripped_and_its_title_goes_before_the_heading() {
        let read = read("---\ntitle: From above\n---\n# Heading\ntext");
        assert_eq!(read.text, "# Heading\ntext");
        assert_eq!(read.stated.title.as_deref(), Some("From above"));
    }

    #[test]
    fn the_first_heading_is_the_title_when_nothing_else_is() {
        assert_eq!(
            read("# The `x` _thing_\n").stated.title.as_deref(),
            Some("The x thing")
        );
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_an_overflow() {
        for text in [">".repeat(1_000_000), "+ ".repeat(200_000)] {
            let read = Markdown.read(text, &Budget::new(&Limits::default()));
            assert!(matches!(read, Err(RetrieverError::TooLarge { .. })));
        }
    }

    #[test]
    fn long_runs_of_inline_markers_are_read_in_bounded_time() {
        for piece in ["[", "*a_ ", "`", "<a ", "![](", "**"] {
            crate::growth::assert_bounded(piece, 200_000 / piece.len(), |count| {
                let _ = Markdown.read(piece.repeat(count), &Budget::new(&Limits::default()));
            });
        }
    }
}
