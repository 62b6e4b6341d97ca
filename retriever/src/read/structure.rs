//! Appends headings, paragraphs, items, tables, code and pages to one text, with the outline that says where each stands.

use super::{Block, BlockKind, Budget, ReadDocument, Stated};
use crate::RetrieverError;

/// A text on its way.
pub(super) struct Structure<'b> {
    text: String,
    outline: Vec<Block>,
    page: Option<u32>,
    budget: &'b Budget,
}

impl<'b> Structure<'b> {
    pub(super) fn new(budget: &'b Budget) -> Self {
        Self {
            text: String::new(),
            outline: Vec::new(),
            page: None,
            budget,
        }
    }

    /// What follows is on this page, from 1.
    pub(super) fn page(&mut self, number: u32) {
        self.page = Some(number);
    }

    /// Level 1 to 6; others are taken for the nearest.
    pub(super) fn heading(&mut self, level: u8, words: &str) -> Result<(), RetrieverError> {
        self.push(BlockKind::Heading(level.clamp(1, 6)), &one_line(words))
    }

    pub(super) fn paragraph(&mut self, words: &str) -> Result<(), RetrieverError> {
        self.push(BlockKind::Paragraph, words)
    }

    /// An item of a list that is in `depth` others.
    pub(super) fn item(&mut self, depth: usize, words: &str) -> Result<(), RetrieverError> {
        if words.trim().is_empty() {
            return Ok(());
        }
        let indent = "  ".repeat(depth.min(8));
        self.push(BlockKind::ListItem, &format!("{indent}- {}", words.trim()))
    }

    pub(super) fn table_head<C: AsRef<str>>(&mut self, cells: &[C]) -> Result<(), RetrieverError> {
        let rule = "---|".repeat(cells.len());
        self.push(BlockKind::TableHead, &format!("{}\n|{rule}", row(cells)))
    }

    /// Nothing when all cells are empty.
    pub(super) fn table_row<C: AsRef<str>>(&mut self, cells: &[C]) -> Result<(), RetrieverError> {
        if cells.iter().all(|cell| cell.as_ref().trim().is_empty()) {
            return Ok(());
        }
        self.push(BlockKind::TableRow, &row(cells))
    }

    /// Appends what another reader made.
    pub(super) fn append(&mut self, read: &ReadDocument) -> Result<(), RetrieverError> {
        for block in &read.outline {
            let words = read.text.get(block.range()).unwrap_or_default();
            self.push(block.kind, words)?;
        }
        Ok(())
    }

    /// The bytes so far.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    pub(super) fn finish(self, title: Option<String>, warnings: Vec<String>) -> ReadDocument {
        ReadDocument {
            text: self.text,
            outline: self.outline,
            stated: Stated {
                title,
                ..Stated::default()
            },
            warnings,
        }
    }

    fn push(&mut self, kind: BlockKind, words: &str) -> Result<(), RetrieverError> {
        let words = words.trim_end();
        let body = words.trim_start();
        if body.is_empty() {
            return Ok(());
        }
        if !self.text.is_empty() {
            let last = self.outline.last().map(|block| block.kind);
            let tight = match kind {
                BlockKind::ListItem => last == Some(BlockKind::ListItem),
                BlockKind::TableRow => {
                    matches!(last, Some(BlockKind::TableRow | BlockKind::TableHead))
                }
                _ => false,
            };
            self.text.push_str(if tight { "\n" } else { "\n\n" });
        }
        // White space before the first word stays outside the block.
        self.text.push_str(&words[..words.len() - body.len()]);
        let start = self.text.len();
        self.text.push_str(body);
        let mut block = Block::new(kind, start..self.text.len());
        block.page = self.page;
        self.outline.push(block);
        self.budget.check_text(self.text.len())?;
        self.budget.check_time()
    }
}

/// `| a | b |`
fn row<C: AsRef<str>>(cells: &[C]) -> String {
    let mut line = String::from("|");
    for cell in cells {
        line.push(' ');
        line.push_str(&one_line(cell.as_ref()));
        line.push_str(" |");
    }
    line
}

/// Runs of white space as one space.
pub(super) fn one_line(words: &str) -> String {
    let mut line = String::with_capacity(words.len());
    for word in words.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// Whether the first row of a table names its columns: every cell says something, and none is a number or a date.
pub(super) fn is_head<C: AsRef<str>>(cells: &[C]) -> bool {
    let names = |cell: &str| {
        let cell = cell.trim();
        !cell.is_empty() && cell.len() < 200 && !cell.starts_with(|c: char| c.is_ascii_digit())
    };
    !cells.is_empty() && cells.iter().all(|cell| names(cell.as_ref()))
}
