//! Questions that nobody wrote: from documents by templates, and from the log by what people said of its answers.
//!
//! The templates are of English, and so is what they look for; documents in another language give table questions at best.

mod amounts;
mod candidates;
mod log;
mod prose;
mod sample;
mod table;
mod unanswerable;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::candidates::{Candidate, settle};
use self::words::Lexicon;
use crate::answers::normalise;
use crate::dataset::Question;

pub use self::log::{FromLog, LogFeedback, LogRow, from_log};

/// A passage of a document as the retriever cut it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePassage {
    /// The headings it stands under, outermost first.
    pub heading: Vec<String>,
    /// The slice of the document's text. Tables are rows of `| a | b |` or `a | b`, the head first.
    pub text: String,
    /// Code points of the document's text.
    pub start: usize,
    pub end: usize,
}

/// A document that questions are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceDocument {
    pub id: String,
    pub title: String,
    /// Access tokens; public without any. Who asks holds all of them.
    pub acl: Vec<String>,
    pub text: String,
    pub passages: Vec<SourcePassage>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct GenerateOptions {
    /// How many questions are wanted; there may be fewer to be had.
    pub questions: usize,
    pub seed: u64,
    /// The share of them that the documents do not answer, 0 to 1.
    pub unanswerable: f64,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            questions: 200,
            seed: 1,
            unanswerable: 0.2,
        }
    }
}

/// The questions, and what was to be chosen from.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    pub questions: Vec<Question>,
    /// Questions that could have been chosen, by kind.
    pub available: BTreeMap<String, usize>,
    /// Left out: the documents answer them in more than one way.
    pub ambiguous: usize,
    /// Written more than once with the same answer, and made one.
    pub merged: usize,
}

/// Writes questions that documents answer, or look as if they did.
///
/// Kinds are `generated/table`, `generated/definition`, `generated/number`, `generated/heading` and `generated/unanswerable`.
/// Gold quotes stand in the document's text letter by letter; a passage that does not is passed over. The sample goes round the
/// kinds, and within a kind round the documents.
#[must_use]
pub fn from_documents(documents: &[SourceDocument], options: &GenerateOptions) -> Generated {
    let lexicon = Lexicon::of(documents);
    let mut tables = Vec::new();
    let mut candidates = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        tables.extend(table::tables(index, document));
        candidates.extend(prose::candidates(index, document, &lexicon));
    }
    candidates.extend(
        tables
            .iter()
            .flat_map(|table| table.candidates(documents, &lexicon)),
    );
    let (answerable, ambiguous, merged) = settle(candidates, documents);
    let asked: BTreeSet<String> = answerable
        .iter()
        .map(|candidate| normalise(&candidate.question))
        .collect();
    let nowhere: Vec<Candidate> =
        unanswerable::candidates(&tables, &answerable, documents, &lexicon)
            .into_iter()
            .filter(|candidate| !asked.contains(&normalise(&candidate.question)))
            .collect();
    let (nowhere, _, more_merged) = settle(nowhere, documents);
    let mut available: BTreeMap<String, usize> = BTreeMap::new();
    for candidate in answerable.iter().chain(&nowhere) {
        *available.entry(candidate.kind.to_owned()).or_default() += 1;
    }
    Generated {
        questions: sample::choose(answerable, nowhere, documents, options),
        available,
        ambiguous,
        merged: merged + more_merged,
    }
}

/// `sha256:<hex>` of a question's text after [`normalise`]: what a lineage holds of a question that was trained on.
#[must_use]
pub fn question_digest(question: &str) -> String {
    format!("sha256:{}", hex_digest(&normalise(question)))
}

/// The questions that an adapter was trained on: its lineage's row ids hold the question's id or its [`question_digest`].
#[must_use]
pub fn trained_on<'a>(questions: &'a [Question], row_ids: &BTreeSet<String>) -> Vec<&'a Question> {
    let is_known = |question: &&Question| {
        row_ids.contains(&question.id) || row_ids.contains(&question_digest(&question.question))
    };
    questions.iter().filter(is_known).collect()
}

fn hex_digest(text: &str) -> String {
    let digest = crate::report::sha256_text(Sha256::new_with_prefix(text));
    digest.trim_start_matches("sha256:").to_owned()
}
