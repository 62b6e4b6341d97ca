//! What bytes look like by how they begin: a file under a wrong name is told by what it is.

use crate::RetrieverError;
use crate::document::Format;

/// A PDF may have other bytes before its mark.
const PDF_WINDOW: usize = 1024;

const SIGNATURES: [(&[u8], &str); 12] = [
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a zip (or an Office file)"),
    (b"PK\x05\x06", "an empty zip"),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an Office file of before 2007, or one with a password",
    ),
    (b"{\\rtf", "an RTF document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x1f\x8b", "a gzip file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3\0", "a SQLite database"),
];
const PDF: usize = 0;
const ZIP: usize = 1;
const OLD_OFFICE: usize = 3;

/// Refuses bytes that cannot be of the format that was announced.
///
/// # Errors
/// Says what they look like.
pub(super) fn check(bytes: &[u8], format: Format) -> Result<(), RetrieverError> {
    let found = SIGNATURES
        .iter()
        .position(|(mark, _)| bytes.starts_with(mark));
    let fits = match format {
        Format::Pdf => {
            found == Some(PDF) || {
                let window = &bytes[..bytes.len().min(PDF_WINDOW)];
                let marked = window.windows(5).any(|five| five == b"%PDF-");
                found.is_none() && marked
            }
        }
        Format::Docx | Format::Pptx => found == Some(ZIP),
        Format::Spreadsheet => matches!(found, Some(ZIP | OLD_OFFICE)),
        _ => found.is_none(),
    };
    if fits {
        return Ok(());
    }
    let problem = match found {
        Some(place) => format!("by how it begins it is {}", SIGNATURES[place].1),
        None if bytes.is_empty() => "it is empty".to_owned(),
        None => "it does not begin as such a file does".to_owned(),
    };
    Err(RetrieverError::Unreadable {
        format: format.name(),
        problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_under_a_wrong_name_are_told_by_what_they_are() {
        let problem = |bytes: &[u8], format| check(bytes, format).unwrap_err().to_string();
        assert_eq!(
            problem(b"%PDF-1.7", Format::Text),
            "cannot read the document as text: by how it begins it is a PDF"
        );
        assert!(problem(b"PK\x03\x04", Format::Pdf).contains("a zip"));
        assert!(problem(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Format::Docx).contains("password"));
        assert!(problem(b"", Format::Docx).contains("empty"));
        assert!(problem(b"hello", Format::Pdf).contains("does not begin"));
        assert!(check(b"\n\njunk %PDF-1.4", Format::Pdf).is_ok());
        assert!(check(b"PK\x03\x04", Format::Spreadsheet).is_ok());
        assert!(check(b"plain", Format::Code).is_ok());
    }
}
