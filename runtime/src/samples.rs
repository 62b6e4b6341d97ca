//! The sample handbook of an invented company, carried in the binary: something to ask about at the first start.
//!
//! It is written once, into a catalogue that was never written to; what a person deletes later stays deleted.

use quoin_retriever::{Content, DocumentId, DocumentInput, Retriever, RetrieverError};

/// The source that the sample documents name.
pub const SOURCE: &str = "samples";

/// Id and Markdown of every page, by id.
const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/handbook.rs"));

/// The pages as documents. Title, access list and dates stand in their front matter.
///
/// # Errors
/// A file name that is no document id; a test rules it out.
pub fn documents() -> Result<Vec<DocumentInput>, RetrieverError> {
    let document = |(id, text): &(&str, &str)| {
        let mut document = DocumentInput::new(DocumentId::new(*id)?, Content::markdown(*text));
        document.source = Some(SOURCE.to_owned());
        Ok(document)
    };
    PAGES.iter().map(document).collect()
}

/// Writes the handbook when nothing was ever written, and says how many pages it wrote. Blocks.
///
/// # Errors
/// The first page that could not be stored.
pub fn ingest_once(retriever: &Retriever) -> Result<usize, RetrieverError> {
    if retriever.generation() > 0 || retriever.statistics().documents > 0 {
        return Ok(0);
    }
    let stored = retriever.put_batch(documents()?)?;
    let stored: Vec<_> = stored.into_iter().collect::<Result<_, _>>()?;
    Ok(stored.len())
}

#[cfg(test)]
mod tests {
    use super::PAGES;

    #[test]
    fn every_page_says_who_may_read_it() {
        assert!(PAGES.len() >= 10, "only {} pages", PAGES.len());
        for (id, text) in PAGES {
            let front = text
                .strip_prefix("---\n")
                .and_then(|rest| rest.split_once("\n---\n"));
            let (front, _) = front.unwrap_or_else(|| panic!("{id} has no front matter"));
            assert!(
                front.lines().any(|line| line.starts_with("acl: [")),
                "{id} has no access list"
            );
        }
    }

    #[test]
    fn the_restricted_pages_are_not_public() {
        for (id, text) in PAGES.iter().filter(|(id, _)| id.starts_with("restricted/")) {
            assert!(!text.contains("acl: [public"), "{id}");
        }
    }

    #[test]
    fn every_page_is_a_document() {
        let documents = super::documents().expect("the ids are valid");
        assert_eq!(documents.len(), PAGES.len());
    }
}
