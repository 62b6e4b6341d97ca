//! Plain text: paragraphs end at blank lines. The text is kept as it came.

use super::{Block, BlockKind, Budget, ReadDocument, Reader, trimmed};
use crate::RetrieverError;

pub(super) struct Plain;

impl Reader for Plain {
    fn read(&self, text: String, budget: &Budget) -> Result<ReadDocument, RetrieverError> {
        budget.check_text(text.len())?;
        let mut outline = Vec::new();
        let mut start = 0;
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            if line.trim().is_empty() {
                push(&mut outline, &text, start, offset);
                start = offset + line.len();
            }
            offset += line.len();
        }
        push(&mut outline, &text, start, text.len());
        Ok(ReadDocument {
            text,
            outline,
            ..ReadDocument::default()
        })
    }
}

fn push(outline: &mut Vec<Block>, text: &str, start: usize, end: usize) {
    if let Some(range) = trimmed(text, start..end) {
        outline.push(Block::new(BlockKind::Paragraph, range));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Limits;

    #[test]
    fn blank_lines_end_paragraphs_and_the_text_stays_as_it_came() {
        let text = "one\r\nstill one\r\n \r\n\n  two\n";
        let read = Plain
            .read(text.to_owned(), &Budget::new(&Limits::default()))
            .unwrap();
        assert_eq!(read.text, text);
        let slices: Vec<_> = read.outline.iter().map(|b| &text[b.range()]).collect();
        assert_eq!(slices, ["one\r\nstill one", "two"]);
    }
}
