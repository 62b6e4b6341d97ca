//! Readers: bytes of one format in, one clean text with its outline out.
//!
//! Offsets everywhere refer to that text. The outline says what each part of it is, so that the text can be cut again
//! without the original. A reader never recurses with its input and stops at its limits.

mod archive;
mod container;
mod delimited;
mod docx;
mod front_matter;
mod html;
mod isolated;
mod json_lines;
mod mail;
mod markdown;
mod pdf;
mod plain;
mod pptx;
mod signature;
mod source_code;
mod spreadsheet;
mod structure;
mod warnings;
mod xml;

use std::ffi::OsString;
use std::ops::Range;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::document::{Content, Format, Metadata};
use crate::settings::Limits;
use crate::{DocumentId, RetrieverError, Timestamp};

/// Changes whenever a reader would give another text or outline for the same bytes.
pub(crate) const VERSION: &str = "read-3";

/// What a part of a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BlockKind {
    /// A heading, of level 1 to 6.
    Heading(u8),
    /// Running text.
    Paragraph,
    /// One item of a list, without the lists inside it.
    ListItem,
    /// The head of a table, with the rule below it.
    TableHead,
    /// A row of a table; never split unless it exceeds a passage.
    TableRow,
    /// Lines of code; split between lines only.
    Code,
}

/// A part of a text. Blocks come in order, do not overlap, and together hold all that is not white space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Block {
    pub kind: BlockKind,
    pub start: usize,
    pub end: usize,
    /// The page it is on, from 1, for formats that have pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
}

impl Block {
    pub(crate) fn new(kind: BlockKind, range: Range<usize>) -> Self {
        Self {
            kind,
            start: range.start,
            end: range.end,
            page: None,
        }
    }

    pub(crate) fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

/// A document, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ReadDocument {
    pub text: String,
    pub outline: Vec<Block>,
    /// What the document says about itself; the input's own words go first.
    pub stated: Stated,
    /// What could not be read, for people; bounded by [`warnings::Warnings`].
    pub warnings: Vec<String>,
}

/// What a document says about itself, in front matter or a `<title>`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stated {
    pub title: Option<String>,
    pub uri: Option<String>,
    pub acl: Option<Vec<String>>,
    pub metadata: Metadata,
    pub effective_from: Option<Timestamp>,
    pub effective_until: Option<Timestamp>,
    pub supersedes: Option<DocumentId>,
}

/// What a reader must not exceed.
pub(crate) struct Budget {
    text_bytes: usize,
    deadline: Instant,
    started: Instant,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        let started = Instant::now();
        Self {
            text_bytes: limits.text_bytes,
            deadline: started + limits.read_time,
            started,
        }
    }

    pub(crate) fn check_text(&self, bytes: usize) -> Result<(), RetrieverError> {
        if bytes <= self.text_bytes {
            return Ok(());
        }
        Err(RetrieverError::TooLarge {
            what: "the text of a document",
            limit: self.text_bytes as u64,
            got: bytes as u64,
            unit: "bytes",
        })
    }

    pub(crate) fn check_time(&self) -> Result<(), RetrieverError> {
        let now = Instant::now();
        if now < self.deadline {
            return Ok(());
        }
        let milliseconds = |from: Instant, to: Instant| {
            u64::try_from(to.duration_since(from).as_millis()).unwrap_or(u64::MAX)
        };
        Err(RetrieverError::TooLarge {
            what: "reading a document",
            limit: milliseconds(self.started, self.deadline),
            got: milliseconds(self.started, now),
            unit: "ms",
        })
    }
}

/// Reads one format.
pub(crate) trait Reader: Send + Sync {
    /// Text in that format in, clean text with its outline out.
    fn read(&self, text: String, budget: &Budget) -> Result<ReadDocument, RetrieverError>;
}

/// The reader of a format.
pub(crate) fn reader(format: Format) -> &'static dyn Reader {
    match format {
        Format::Text => &plain::Plain,
        Format::Markdown => &markdown::Markdown,
        Format::Html => &html::Html,
        Format::Csv => &delimited::Delimited,
        Format::JsonLines => &json_lines::JsonLines,
        Format::Code => &source_code::SourceCode,
        Format::Mail => &mail::Mail,
        Format::Pdf | Format::Docx | Format::Pptx | Format::Spreadsheet => &Binary,
    }
}

/// Stands where text was given as a format that is not text.
struct Binary;

impl Reader for Binary {
    fn read(&self, _: String, _: &Budget) -> Result<ReadDocument, RetrieverError> {
        Err(RetrieverError::invalid(
            "content_type",
            "is of a format that is not text: send the file as bytes",
        ))
    }
}

/// Reads the bytes of a format that is not text, in this process.
fn read_file(
    format: Format,
    bytes: &[u8],
    limits: &Limits,
) -> Result<ReadDocument, RetrieverError> {
    let budget = Budget::new(limits);
    match format {
        Format::Pdf => pdf::read(bytes, limits, &budget),
        Format::Docx => docx::read(bytes, limits, &budget),
        Format::Pptx => pptx::read(bytes, limits, &budget),
        Format::Spreadsheet => spreadsheet::read(bytes, limits, &budget),
        _ => Binary.read(String::new(), &budget),
    }
}

pub use self::archive::{Archive, ArchiveEntry, ArchiveLimits, LeftOut};
pub use self::isolated::read_worker;

/// Reads a document's content within its limits.
///
/// # Errors
/// Too large, of a type that no reader knows, not valid in its encoding, or not readable as its format.
pub(crate) fn read(
    content: Content,
    limits: &Limits,
    reader_command: Option<&[OsString]>,
) -> Result<(Format, ReadDocument), RetrieverError> {
    let size = match &content {
        Content::Text { text, .. } => text.len(),
        Content::Bytes { bytes, .. } => bytes.len(),
    };
    if size > limits.document_bytes {
        return Err(RetrieverError::TooLarge {
            what: "a document",
            limit: limits.document_bytes as u64,
            got: size as u64,
            unit: "bytes",
        });
    }
    let (text, format) = match content {
        Content::Text { text, format } => (text, format),
        Content::Bytes {
            bytes,
            content_type,
        } => {
            let format = Format::from_content_type(&content_type).ok_or_else(|| {
                RetrieverError::invalid(
                    "content_type",
                    format!(
                        "is one of {}, got `{}`",
                        Format::media_types().join(", "),
                        content_type.escape_debug().take(80).collect::<String>()
                    ),
                )
            })?;
            signature::check(&bytes, format)?;
            if format.is_file() {
                let document = isolated::read(format, bytes, limits, reader_command)?;
                return Ok((format, document));
            }
            if format == Format::Mail {
                let document = mail::read(&bytes, &Budget::new(limits))?;
                return Ok((format, document));
            }
            (decode(bytes, format, &content_type)?, format)
        }
    };
    // A byte order mark says how the bytes were written; before front matter it would hide it.
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.trim_start_matches('\u{feff}').to_owned(),
        None => text,
    };
    let budget = Budget::new(limits);
    let document = reader(format).read(text, &budget)?;
    budget.check_text(document.text.len())?;
    Ok((format, document))
}

/// UTF-8; or HTML that says it is Latin-1, or a table or code that is not UTF-8, which are read as Windows-1252.
fn decode(bytes: Vec<u8>, format: Format, content_type: &str) -> Result<String, RetrieverError> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error)
            if matches!(format, Format::Csv | Format::Code)
                || format == Format::Html && html::says_latin1(error.as_bytes(), content_type) =>
        {
            Ok(html::decode_latin1(error.as_bytes()))
        }
        Err(error) => Err(RetrieverError::Unreadable {
            format: format.name(),
            problem: format!("invalid UTF-8 at byte {}", error.utf8_error().valid_up_to()),
        }),
    }
}

/// The blocks between cut points, trimmed; what is only white space falls away.
fn blocks_between(text: &str, cuts: &[(usize, BlockKind)]) -> Vec<Block> {
    let mut blocks = Vec::with_capacity(cuts.len());
    for (position, (start, kind)) in cuts.iter().enumerate() {
        let end = cuts.get(position + 1).map_or(text.len(), |next| next.0);
        if let Some(range) = trimmed(text, *start..end) {
            blocks.push(Block::new(*kind, range));
        }
    }
    blocks
}

/// `range` without the white space at its ends, or `None` when nothing else is there. Indentation before the first word stays out.
pub(crate) fn trimmed(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let slice = text.get(range.clone())?;
    let start = range.start + (slice.len() - slice.trim_start().len());
    let end = range.start + slice.trim_end().len();
    (start < end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What every reader must keep, whatever it is given.
    pub(super) fn keeps_the_contract(format: Format, input: &str) {
        let limits = Limits::default();
        let budget = Budget::new(&limits);
        let Ok(document) = reader(format).read(input.to_owned(), &budget) else {
            return;
        };
        let mut covered = 0;
        for block in &document.outline {
            assert!(block.start >= covered, "blocks are in order: {document:?}");
            let slice = document.text.get(block.range());
            assert!(slice.is_some_and(|slice| !slice.trim().is_empty()));
            let gap = &document.text[covered..block.start];
            assert!(
                gap.trim().is_empty(),
                "`{gap}` is in no block: {document:?}"
            );
            covered = block.end;
        }
        assert!(document.text[covered..].trim().is_empty());
    }

    const FORMATS: [Format; 7] = [
        Format::Text,
        Format::Markdown,
        Format::Html,
        Format::Csv,
        Format::JsonLines,
        Format::Code,
        Format::Mail,
    ];

    proptest! {
        #[test]
        fn blocks_hold_all_that_is_not_white_space(
            input in r"([#>\-*|`~ \n\t]|<[a-z/]{1,6}>|&[a-z]{1,4};|[a-z0-9éß日👩‍🚀א]|---|\|--\||1\.){0,120}"
        ) {
            for format in FORMATS {
                keeps_the_contract(format, &input);
            }
        }

        #[test]
        fn any_text_at_all_is_read(input in any::<String>()) {
            for format in FORMATS {
                keeps_the_contract(format, &input);
            }
        }
    }

    #[test]
    fn invalid_utf8_is_reported_with_its_byte() {
        let content = Content::Bytes {
            bytes: b"good \xff bad".to_vec(),
            content_type: "text/plain".into(),
        };
        let error = read(content, &Limits::default(), None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the document as text: invalid UTF-8 at byte 5"
        );
    }

    #[test]
    fn a_type_that_no_reader_knows_is_refused() {
        let content = Content::Bytes {
            bytes: vec![],
            content_type: "image/png".into(),
        };
        let error = read(content, &Limits::default(), None).unwrap_err();
        assert!(error.to_string().contains("got `image/png`"));
    }

    #[test]
    fn a_document_over_the_limit_is_refused_with_both_numbers() {
        let limits = Limits {
            document_bytes: 3,
            ..Limits::default()
        };
        let error = read(Content::text("four"), &limits, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a document may have at most 3 bytes, got 4"
        );
    }
}
