//! Source code: kept as it is, in blocks that begin where a line without indentation follows an empty one.

use super::{BlockKind, Budget, ReadDocument, Reader, blocks_between};
use crate::RetrieverError;

pub(super) struct SourceCode;

impl Reader for SourceCode {
    fn read(&self, text: String, budget: &Budget) -> Result<ReadDocument, RetrieverError> {
        budget.check_text(text.len())?;
        let mut cuts = vec![(0, BlockKind::Code)];
        let mut offset = 0;
        let mut after_empty = false;
        for line in text.split_inclusive('\n') {
            let empty = line.trim().is_empty();
            // A closing bracket or an `else` belongs to what was opened above.
            let begins = line.starts_with(|first: char| {
                !first.is_whitespace() && !matches!(first, '}' | ')' | ']')
            });
            if after_empty && begins {
                cuts.push((offset, BlockKind::Code));
            }
            after_empty = empty;
            offset += line.len();
        }
        Ok(ReadDocument {
            outline: blocks_between(&text, &cuts),
            text,
            ..ReadDocument::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Limits;

    #[test]
    fn definitions_are_blocks_and_nothing_is_changed() {
        let code = "import os\n\n\n# Says hello.\ndef hello():\n    a = 1\n\n    return a\n\nclass B:\n    pass\n";
        let read = SourceCode
            .read(code.to_owned(), &Budget::new(&Limits::default()))
            .unwrap();
        assert_eq!(read.text, code);
        let slices: Vec<_> = read.outline.iter().map(|b| &code[b.range()]).collect();
        assert_eq!(
            slices,
            [
                "import os",
                "# Says hello.\ndef hello():\n    a = 1\n\n    return a",
                "class B:\n    pass"
            ]
        );
    }
}
