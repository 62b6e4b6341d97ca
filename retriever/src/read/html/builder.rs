//! Builds text and outline from the tags and characters of a page.

use html5ever::tokenizer::Tag;

use super::elements::{is_block, is_skipped, is_void, named};
use super::export::{Export, is_content};
use crate::read::{Block, BlockKind, ReadDocument, Stated};

/// Lists inside one another that are indented each; the items of deeper ones stand as far in as those of the last.
const MAX_LIST_INDENT: usize = 8;

/// Where a list stands: how many items it has had, when it counts them.
#[derive(Clone, Copy)]
struct List {
    numbered: Option<u32>,
}

/// The state between two tokens.
#[derive(Default)]
pub(super) struct Builder {
    text: String,
    outline: Vec<(Block, bool)>,
    title: String,
    in_title: bool,
    /// The element being skipped and how many of that name are open inside it.
    skipping: Option<(String, usize)>,
    in_main: usize,
    /// In the element that an export marks as the content: how many of its kind are open inside it.
    in_content: Option<usize>,
    /// Among the comments below the content of an export.
    in_comments: bool,
    export: Export,
    preformatted: usize,
    lists: Vec<List>,
    /// Lists opened beyond the indentation that is shown.
    deeper_lists: usize,
    row: Option<Row>,
    /// The block being filled: its words so far.
    words: String,
    kind: Option<BlockKind>,
}

/// A row of a table while it is open.
#[derive(Default)]
struct Row {
    cells: Vec<String>,
    heads: usize,
    /// Words between cells are in none, and are left out.
    in_cell: bool,
}

impl Builder {
    pub(super) fn text_bytes(&self) -> usize {
        self.text.len() + self.words.len()
    }

    pub(super) fn text(&mut self, text: &str) {
        if self.in_title {
            self.title.push_str(text);
        } else if self.skipping.is_some() {
            self.export.text(text);
        } else if self.preformatted > 0 && self.row.is_none() {
            self.words.push_str(text);
        } else {
            push_collapsed(&mut self.words, text);
        }
    }

    pub(super) fn open(&mut self, tag: &Tag) {
        let name = &*tag.name;
        if let Some((skipped, depth)) = &mut self.skipping {
            if name == skipped {
                *depth += 1;
                return;
            }
            // Pages forget to close their navigation; content that is marked as such ends it.
            let ends = matches!(name, "main" | "article" | "body")
                || is_content(tag)
                || skipped == "head" && name == "h1";
            if name == "title" && skipped == "head" && self.title.is_empty() {
                self.in_title = true;
            }
            if !ends {
                return self.export.open(name);
            }
            self.skipping = None;
            self.export.end();
        }
        if name == "title" {
            self.in_title = self.title.is_empty();
            if !self.in_title {
                self.skip(tag);
            }
            return;
        }
        if is_skipped(tag) {
            self.skip(tag);
            return;
        }
        self.open_content(tag);
        self.open_block(name);
    }

    /// What an export says a page holds: its content, and the comments below it.
    fn open_content(&mut self, tag: &Tag) {
        if let Some(depth) = &mut self.in_content {
            *depth += usize::from(&*tag.name == "div");
        } else if is_content(tag) {
            self.flush();
            self.in_content = Some(0);
            self.in_main += 1;
            self.export.is_marked = true;
        } else if self.export.is_marked && &*tag.name == "h2" {
            self.flush();
            let is_comments = named(tag, &["comments"]);
            if is_comments != self.in_comments && (is_comments || named(tag, &["attachments"])) {
                self.in_comments = is_comments;
                self.in_main = usize::from(is_comments);
            }
        }
    }

    fn close_content(&mut self) {
        match &mut self.in_content {
            Some(0) => {
                self.flush();
                self.in_content = None;
                self.in_main = self.in_main.saturating_sub(1);
            }
            Some(depth) => *depth -= 1,
            None => {}
        }
    }

    fn skip(&mut self, tag: &Tag) {
        if !tag.self_closing && !is_void(&tag.name) {
            self.skipping = Some((tag.name.to_string(), 0));
            self.export.begin(tag);
        }
    }

    fn open_block(&mut self, name: &str) {
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.flush();
                let level = name.as_bytes()[1] - b'0';
                self.kind = Some(BlockKind::Heading(level));
            }
            "pre" => {
                self.flush();
                self.preformatted += 1;
                self.kind = Some(BlockKind::Code);
            }
            "ul" | "ol" | "menu" => self.open_list(name == "ol"),
            "li" => self.open_item(),
            "table" | "thead" | "tbody" | "tfoot" | "caption" if self.row.is_none() => self.flush(),
            "tr" => {
                self.end_row();
                self.flush();
                self.row = Some(Row::default());
            }
            "td" | "th" => {
                self.end_cell();
                if let Some(row) = &mut self.row {
                    row.in_cell = true;
                    row.heads += usize::from(name == "th");
                }
            }
            "br" => self.line_break(),
            "main" => {
                self.flush();
                self.in_main += 1;
            }
            _ if is_block(name) => self.boundary(),
            _ => {}
        }
    }

    pub(super) fn close(&mut self, name: &str) {
        if name == "title" {
            self.in_title = false;
        }
        if let Some((skipped, depth)) = &mut self.skipping {
            if name == skipped {
                if *depth == 0 {
                    self.skipping = None;
                    self.export.end();
                } else {
                    *depth -= 1;
                }
            }
            return;
        }
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.flush(),
            "pre" => {
                self.flush();
                self.preformatted = self.preformatted.saturating_sub(1);
            }
            "ul" | "ol" | "menu" => {
                self.flush();
                if self.deeper_lists > 0 {
                    self.deeper_lists -= 1;
                } else {
                    self.lists.pop();
                }
            }
            "td" | "th" => self.end_cell(),
            "tr" | "table" => self.end_row(),
            "div" => {
                self.boundary();
                self.close_content();
            }
            "main" => {
                self.flush();
                self.in_main = self.in_main.saturating_sub(1);
            }
            _ if is_block(name) => self.boundary(),
            _ => {}
        }
    }

    /// The outline and the text of the whole page, or of its `<main>`.
    pub(super) fn finish(mut self) -> ReadDocument {
        self.end_row();
        self.flush();
        let only_main = self.outline.iter().any(|(_, in_main)| *in_main);
        let mut read = ReadDocument::default();
        let mut end_before = 0;
        for (mut block, in_main) in self.outline {
            if only_main && !in_main {
                end_before = block.end;
                continue;
            }
            let gap = &self.text[end_before..block.start];
            end_before = block.end;
            if !read.text.is_empty() {
                read.text
                    .push_str(if gap.is_empty() { "\n\n" } else { gap });
            } else if !gap.trim_start_matches('\n').is_empty() {
                read.text.push_str(gap.trim_start_matches('\n'));
            }
            let start = read.text.len();
            read.text.push_str(&self.text[block.range()]);
            block.start = start;
            block.end = read.text.len();
            read.outline.push(block);
        }
        let mut title = String::new();
        push_collapsed(&mut title, &self.title);
        read.stated = Stated {
            title: Some(self.export.title(title.trim()).to_owned())
                .filter(|title| !title.is_empty()),
            metadata: self.export.metadata(),
            ..Stated::default()
        };
        read
    }

    fn open_list(&mut self, numbered: bool) {
        self.flush();
        if self.lists.len() < MAX_LIST_INDENT {
            let numbered = numbered.then_some(0);
            self.lists.push(List { numbered });
        } else {
            self.deeper_lists += 1;
        }
    }

    fn open_item(&mut self) {
        if self.row.is_some() {
            self.boundary();
            return;
        }
        self.flush();
        self.kind = Some(BlockKind::ListItem);
    }

    /// The end of a block, or a space where blocks stand in a table cell.
    fn boundary(&mut self) {
        if self.row.is_some() {
            push_collapsed(&mut self.words, " ");
        } else if self.kind == Some(BlockKind::ListItem) && self.words.trim().is_empty() {
            // `<li><p>`: the paragraph is the item.
        } else if self.preformatted == 0 {
            self.flush();
        }
    }

    fn line_break(&mut self) {
        if self.row.is_some() || matches!(self.kind, Some(BlockKind::Heading(_))) {
            push_collapsed(&mut self.words, " ");
        } else {
            while self.words.ends_with(' ') {
                self.words.pop();
            }
            self.words.push('\n');
        }
    }

    fn end_cell(&mut self) {
        if let Some(row) = &mut self.row {
            if row.in_cell {
                row.cells.push(self.words.trim().replace('\n', " "));
            }
            self.words.clear();
            row.in_cell = false;
        }
    }

    fn end_row(&mut self) {
        self.end_cell();
        let Some(row) = self.row.take() else { return };
        let line = row.cells.join(" | ");
        if line.trim_matches([' ', '|']).is_empty() {
            return;
        }
        let first = !self.outline.last().is_some_and(|(block, _)| {
            matches!(block.kind, BlockKind::TableHead | BlockKind::TableRow)
        });
        let kind = if first && row.heads == row.cells.len() {
            BlockKind::TableHead
        } else {
            BlockKind::TableRow
        };
        self.push_block(kind, line.trim());
    }

    /// Ends the block being filled.
    fn flush(&mut self) {
        if self.row.is_some() {
            push_collapsed(&mut self.words, " ");
            return;
        }
        let kind = self.kind.take().unwrap_or(BlockKind::Paragraph);
        let words = std::mem::take(&mut self.words);
        let words = match kind {
            BlockKind::Code => words.trim_end().trim_start_matches('\n'),
            // Signs that link a heading to itself are no part of it.
            BlockKind::Heading(_) => words.trim().trim_matches(['§', '¶', '\u{1f517}']).trim(),
            _ => words.trim(),
        };
        if !words.trim().is_empty() {
            self.push_block(kind, words);
        }
    }

    fn push_block(&mut self, kind: BlockKind, words: &str) {
        if !self.text.is_empty() {
            let last = self.outline.last().map(|(block, _)| block.kind);
            let tight = match kind {
                BlockKind::ListItem => last == Some(BlockKind::ListItem),
                BlockKind::TableRow => {
                    matches!(last, Some(BlockKind::TableRow | BlockKind::TableHead))
                }
                _ => false,
            };
            self.text.push_str(if tight { "\n" } else { "\n\n" });
        }
        let marker = match kind {
            BlockKind::ListItem => self.item_marker(),
            _ => String::new(),
        };
        // White space before the first word stays outside the block.
        let lead = words.len() - words.trim_start().len();
        self.text.push_str(&words[..lead]);
        let indent = marker.len() - marker.trim_start().len();
        self.text.push_str(&marker[..indent]);
        let start = self.text.len();
        self.text.push_str(&marker[indent..]);
        self.text.push_str(&words[lead..]);
        let block = Block::new(kind, start..self.text.len());
        self.outline.push((block, self.in_main > 0));
    }

    fn item_marker(&mut self) -> String {
        let indent = "  ".repeat(self.lists.len().saturating_sub(1));
        match self.lists.last_mut() {
            Some(List {
                numbered: Some(count),
            }) => {
                *count += 1;
                format!("{indent}{count}. ")
            }
            _ => format!("{indent}- "),
        }
    }
}

/// Appends `text` with runs of white space as one space, none at the start or after a line break.
pub(super) fn push_collapsed(words: &mut String, text: &str) {
    for character in text.chars() {
        if character.is_ascii_whitespace() {
            if !words.is_empty() && !words.ends_with([' ', '\n']) {
                words.push(' ');
            }
        } else {
            words.push(character);
        }
    }
}
