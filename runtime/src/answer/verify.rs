//! The last gate: every citation is resolved to its document and offsets, or it does not leave the process.

use std::collections::HashMap;

use quoin_retriever::{Access, DocumentId, Retriever};

use crate::answer::draft::Cited;
use crate::answer::prompt::PromptPassage;
use crate::answer::types::Citation;

/// A citation that names nothing in the prompt: a defect of the grammar or the engine, never of the caller.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unresolved {
    /// No sentence has this marker.
    #[error("no sentence of the prompt has the marker `[[{0}]]`")]
    Marker(usize),
    /// No passage has this number.
    #[error("no passage of the prompt has the number `{0}`")]
    Passage(usize),
    /// The words are not in the passage.
    #[error("the quote is not in passage `{0}`")]
    Quote(usize),
}

/// Resolves what the model cited against the passages that it was shown.
///
/// Each quote is trimmed of white space, and appears once. `start` and `end` count code points of the document.
///
/// # Errors
/// [`Unresolved`] when a citation names or quotes what the prompt does not hold.
pub fn resolve(cited: &[Cited], passages: &[PromptPassage]) -> Result<Vec<Citation>, Unresolved> {
    let mut citations = Vec::with_capacity(cited.len());
    for one in cited {
        let citation = match one {
            Cited::Marker(marker) => {
                let (passage, bytes) = passages
                    .iter()
                    .find_map(|passage| {
                        let sentence = passage
                            .sentences
                            .iter()
                            .find(|sentence| sentence.marker == *marker)?;
                        Some((passage, sentence.bytes.clone()))
                    })
                    .ok_or(Unresolved::Marker(*marker))?;
                slice(passage, bytes.start, bytes.end)
            }
            Cited::Quote {
                passage: number,
                quote,
            } => {
                let passage = passages
                    .iter()
                    .find(|passage| passage.number == *number)
                    .ok_or(Unresolved::Passage(*number))?;
                let start = passage
                    .hit
                    .text
                    .find(quote.as_str())
                    .ok_or(Unresolved::Quote(*number))?;
                slice(passage, start, start + quote.len())
            }
        };
        if !citation.quote.is_empty() && !citations.contains(&citation) {
            citations.push(citation);
        }
    }
    Ok(citations)
}

/// The citation of some bytes of a passage, without white space at its ends.
#[must_use]
pub fn slice(passage: &PromptPassage, start: usize, end: usize) -> Citation {
    let hit = &passage.hit;
    let text = &hit.text[start..end];
    let start = start + (text.len() - text.trim_start().len());
    let quote = text.trim();
    let first = hit.start + hit.text[..start].chars().count();
    Citation {
        document: hit.document.to_string(),
        title: hit.title.clone(),
        uri: hit.uri.clone(),
        passage: hit.passage.to_string(),
        quote: quote.to_owned(),
        start: first,
        end: first + quote.chars().count(),
        page: hit.page,
        heading: hit.heading.clone(),
    }
}

/// Keeps the citations that still stand in their documents, as the caller may read them now.
///
/// A document may have been changed, deleted or closed to the caller while the model was writing.
/// Blocking: reads each cited document once.
#[must_use]
pub fn still_standing(
    citations: Vec<Citation>,
    retriever: &Retriever,
    access: &Access,
) -> Vec<Citation> {
    let mut texts: HashMap<String, Option<String>> = HashMap::new();
    citations
        .into_iter()
        .filter(|citation| {
            let text = texts.entry(citation.document.clone()).or_insert_with(|| {
                let id = DocumentId::new(&citation.document).ok()?;
                retriever.text(&id, access).ok()
            });
            text.as_deref().is_some_and(|text| stands(citation, text))
        })
        .collect()
}

/// Whether `text[start..end] == quote`, in code points.
fn stands(citation: &Citation, text: &str) -> bool {
    let Some(from) = byte_of(text, citation.start) else {
        return false;
    };
    text[from..].starts_with(&citation.quote)
        && citation.quote.chars().count() == citation.end - citation.start
}

/// The byte at which code point `index` starts; the text's length for one past the last.
fn byte_of(text: &str, index: usize) -> Option<usize> {
    text.char_indices()
        .map(|(byte, _)| byte)
        .chain(std::iter::once(text.len()))
        .nth(index)
}
