//! A document between being read and being stored, and what its commit changes for searches.

use crate::DocumentId;
use crate::RetrieverError;
use crate::catalogue::{NewContent, NewPassage, Written};
use crate::document::{Document, Stored};
use crate::index::IndexedPassage;
use crate::index::publish::Published;
use crate::index::roster::Entry;
use crate::ingest::{self, Draft};

/// A document on its way in.
pub(super) struct Prepared {
    pub(super) draft: Draft,
    /// `None` when the passages that are there already can stay.
    pub(super) passages: Option<Vec<NewPassage>>,
    /// The pipeline that cut them.
    pub(super) pipeline: u32,
}

impl Prepared {
    pub(super) fn id(&self) -> &DocumentId {
        &self.draft.document.id
    }

    /// Whether the same content is there already.
    pub(super) fn is_there(&self, now: &Published) -> bool {
        now.roster
            .get(self.id())
            .is_some_and(|entry| entry.content_hash == self.draft.content_hash)
    }
}

/// What a commit changes for searches.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) entries: Vec<Entry>,
    pub(super) passages: Vec<IndexedPassage>,
}

/// Whether nothing that is said about a document differs from what is stored.
pub(super) fn is_unchanged(one: &Prepared, now: &Published) -> bool {
    one.passages.is_none()
        && now.roster.get(one.id()).is_some_and(|entry| {
            let stored = &entry.document;
            let said = &one.draft.document;
            stored.acl == said.acl
                && stored.metadata == said.metadata
                && stored.uri == said.uri
                && stored.source == said.source
                && stored.effective_from == said.effective_from
                && stored.effective_until == said.effective_until
                && stored.supersedes == said.supersedes
                && stored.supersedes_as == said.supersedes_as
                && stored.warnings == said.warnings
        })
}

/// The answer when it is so.
pub(super) fn unchanged(one: &Prepared, now: &Published) -> Stored {
    let entry = now.roster.get(one.id());
    Stored {
        id: one.id().clone(),
        version: entry.map_or(0, |entry| entry.document.version),
        passages: entry.map_or(0, |entry| entry.document.passages),
        generation: now.generation,
        unchanged: true,
        warnings: one.draft.document.warnings.clone(),
    }
}

/// Writes one document into the open transaction.
pub(super) fn store(
    written: &Written<'_>,
    one: Prepared,
    now: &Published,
    changes: &mut Changes,
) -> Result<Stored, RetrieverError> {
    let draft = one.draft;
    let mut document = draft.document;
    document.version = written.next_version(&document.id)?;
    document.generation = written.generation;
    let keys = if let Some(passages) = &one.passages {
        document.passages = passages.len();
        let new = NewContent {
            text: &draft.text,
            outline: &draft.outline,
            content_hash: &draft.content_hash,
            passages,
        };
        let keys = written.put(&document, new, now.pipeline.number)?;
        changes
            .passages
            .extend(indexed(&document, new, keys.clone()));
        keys
    } else {
        let stored = now.roster.get(&document.id);
        let keys = stored.map_or(0..0, |entry| entry.keys.clone());
        document.passages = keys.len();
        written.set_attributes(&document)?;
        keys
    };
    let stored = Stored {
        id: document.id.clone(),
        version: document.version,
        passages: document.passages,
        generation: written.generation,
        unchanged: false,
        warnings: document.warnings.clone(),
    };
    changes.entries.push(Entry {
        document,
        keys,
        content_hash: draft.content_hash,
    });
    Ok(stored)
}

fn indexed<'a>(
    document: &'a Document,
    new: NewContent<'a>,
    keys: std::ops::Range<u32>,
) -> impl Iterator<Item = IndexedPassage> + 'a {
    keys.zip(new.passages).map(move |(key, part)| {
        let passage = &part.passage;
        let text = new.text.get(passage.bytes.clone()).unwrap_or_default();
        let context = passage.context.as_deref();
        IndexedPassage {
            key,
            words: ingest::indexed_words(
                document.title.as_deref(),
                &passage.heading,
                context,
                text,
            ),
            vector: part.vector.clone(),
        }
    })
}
