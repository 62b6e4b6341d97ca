//! PDF: pages in order, lines joined to paragraphs, larger print as headings, rows of aligned columns as rows of a table.
//! What runs along the edge of every page is kept once.

mod layout;
mod margins;
mod page;
mod widths;

use std::panic::{AssertUnwindSafe, catch_unwind};

use pdf_extract::{Document, Object, output_doc_page};

use self::layout::Part;
use self::page::PageOutput;
use super::structure::Structure;
use super::warnings::Warnings;
use super::{Budget, ReadDocument};
use crate::RetrieverError;
use crate::settings::Limits;

const FORMAT: &str = "pdf";

pub(super) fn read(
    bytes: &[u8],
    limits: &Limits,
    budget: &Budget,
) -> Result<ReadDocument, RetrieverError> {
    let mut document = Document::load_mem(bytes).map_err(|error| {
        let problem = error.to_string();
        unreadable(if problem.to_lowercase().contains("password") {
            PASSWORD.to_owned()
        } else {
            problem
        })
    })?;
    // Many are encrypted with an empty password, so that only what may be done with them is limited.
    if document.is_encrypted() && document.decrypt("").is_err() {
        return Err(unreadable(PASSWORD));
    }
    widths::list_ranges(&mut document);
    let numbers: Vec<u32> = document.get_pages().into_keys().collect();
    if numbers.len() > limits.pages {
        return Err(RetrieverError::TooLarge {
            what: "a PDF",
            limit: limits.pages as u64,
            got: numbers.len() as u64,
            unit: "pages",
        });
    }
    let mut warnings = Warnings::default();
    let mut pages = Vec::with_capacity(numbers.len());
    for number in numbers {
        budget.check_time()?;
        let mut output = PageOutput::new(budget);
        let read = catch_unwind(AssertUnwindSafe(|| {
            output_doc_page(&document, &mut output, number)
        }));
        if let Some(error) = output.exceeded.take() {
            return Err(error);
        }
        if !matches!(read, Ok(Ok(()))) {
            warnings.add(format!("page {number} is damaged: not all of it was read"));
        } else if output.is_empty() {
            warnings.add(format!("page {number} has no text (an image?)"));
        }
        pages.push((number, output.into_lines()));
    }
    if pages.iter().all(|(_, lines)| lines.is_empty()) {
        return Err(unreadable(
            "no page has text: images of pages need character recognition first",
        ));
    }
    margins::remove_repeated(&mut pages);
    let body = layout::body_size(&pages);
    let mut structure = Structure::new(budget);
    for (number, lines) in &pages {
        structure.page(*number);
        for part in layout::parts(lines, body) {
            match part {
                Part::Heading(level, words) => structure.heading(level, &words)?,
                Part::Paragraph(words) => structure.paragraph(&words)?,
                Part::Item(words) => structure.item(0, &words)?,
                Part::Row(cells) => structure.table_row(&cells)?,
            }
        }
    }
    Ok(structure.finish(title(&document), warnings.into_lines()))
}

const PASSWORD: &str = "it is encrypted: remove its password first";

fn unreadable(problem: impl Into<String>) -> RetrieverError {
    RetrieverError::Unreadable {
        format: FORMAT,
        problem: problem.into(),
    }
}

/// The title in the document's information, where somebody wrote one.
fn title(document: &Document) -> Option<String> {
    let information = document.trailer.get(b"Info").ok()?;
    let information = match information {
        Object::Reference(id) => document.get_dictionary(*id).ok()?,
        other => other.as_dict().ok()?,
    };
    let bytes = information.get(b"Title").ok()?.as_str().ok()?;
    let words = match bytes.strip_prefix(b"\xfe\xff") {
        Some(wide) => {
            let units = wide
                .chunks_exact(2)
                .map(|two| u16::from_be_bytes([two[0], two[1]]));
            String::from_utf16_lossy(&units.collect::<Vec<u16>>())
        }
        None => String::from_utf8_lossy(bytes).into_owned(),
    };
    let words: String = words.chars().filter(|one| !one.is_control()).collect();
    let words = words.trim();
    let lower = words.to_ascii_lowercase();
    let written = words.chars().count() > 2
        && !matches!(lower.as_str(), "untitled" | "document" | "(anonymous)")
        && !lower.starts_with("microsoft word - ")
        && std::path::Path::new(&lower).extension().is_none_or(|kind| {
            !["doc", "docx", "pdf", "htm", "html", "indd"]
                .iter()
                .any(|one| kind == *one)
        });
    written.then(|| words.to_owned())
}
