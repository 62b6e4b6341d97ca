//! Which document supersedes which once a batch is stored. In a circle none of them would be found any more.

use std::collections::HashMap;

use crate::document::Document;
use crate::index::roster::Roster;
use crate::{DocumentId, RetrieverError};

/// What is stored, and over it what the documents of a batch say that were admitted so far.
pub(super) struct Supersession<'a> {
    stored: &'a Roster,
    said: HashMap<DocumentId, Option<DocumentId>>,
}

impl<'a> Supersession<'a> {
    /// Before the first document of a batch. Whoever holds this holds the lock for writing, too.
    pub(super) fn of(stored: &'a Roster) -> Self {
        Self {
            stored,
            said: HashMap::new(),
        }
    }

    /// Takes the next document of the batch.
    ///
    /// # Errors
    /// It would close a circle; then it counts as not put.
    pub(super) fn admit(&mut self, document: &Document) -> Result<(), RetrieverError> {
        if let Some(older) = &document.supersedes
            && self.leads_to(older, &document.id)
        {
            return Err(RetrieverError::invalid(
                "supersedes",
                format!("closes a circle: `{older}` leads back to `{}`", document.id),
            ));
        }
        self.said
            .insert(document.id.clone(), document.supersedes.clone());
        Ok(())
    }

    /// Whether `to` comes after `from`. A chain that never ends, which older versions of this program could store, leads anywhere.
    fn leads_to(&self, from: &DocumentId, to: &DocumentId) -> bool {
        let longest = self.stored.superseding() + self.said.len();
        let mut chain = std::iter::successors(Some(from), |at| self.after(at));
        chain
            .by_ref()
            .take(longest + 1)
            .any(|document| document == to)
            || chain.next().is_some()
    }

    /// The document that a document supersedes.
    fn after(&self, document: &DocumentId) -> Option<&DocumentId> {
        match self.said.get(document) {
            Some(said) => said.as_ref(),
            None => self.stored.get(document)?.document.supersedes.as_ref(),
        }
    }
}
