//! Which document supersedes which once a batch is stored. In a circle none of them would be found any more.

use std::collections::HashMap;

use crate::document::Document;
use crate::index::roster::Roster;
use crate::{Access, AccessList, DocumentId, RetrieverError};

/// What is stored, and over it what the documents of a batch say that were admitted so far.
pub(super) struct Supersession<'a> {
    stored: &'a Roster,
    writer: &'a Access,
    said: HashMap<DocumentId, Said>,
}

/// What decides which document a document supersedes, and who can supersede it.
#[derive(Clone)]
struct Said {
    acl: AccessList,
    supersedes: Option<DocumentId>,
    supersedes_as: Access,
}

impl Said {
    fn by(document: &Document) -> Self {
        Self {
            acl: document.acl.clone(),
            supersedes: document.supersedes.clone(),
            supersedes_as: document.supersedes_as.clone(),
        }
    }
}

/// Whether the document that is put would come after itself.
enum Circle {
    None,
    /// Through documents that the writer may read.
    Seen,
    /// Through some that the writer may not read.
    Unseen,
}

impl<'a> Supersession<'a> {
    /// Before the first document of a batch. Whoever holds this holds the lock for writing, too.
    pub(super) fn of(stored: &'a Roster, writer: &'a Access) -> Self {
        Self {
            stored,
            writer,
            said: HashMap::new(),
        }
    }

    /// Takes the next document of the batch, and notes in it as whom it supersedes.
    ///
    /// # Errors
    /// It would close a circle that the writer can see; then it counts as not put. One that the writer cannot see must not
    /// show in the answer either: such a document is taken, and supersedes nothing.
    pub(super) fn admit(&mut self, document: &mut Document) -> Result<(), RetrieverError> {
        if let Some(older) = &document.supersedes {
            document.supersedes_as = match self.circle(older, document) {
                Circle::None => self.writer.clone(),
                Circle::Unseen => Access::nobody(),
                Circle::Seen => {
                    return Err(RetrieverError::invalid(
                        "supersedes",
                        format!("closes a circle: `{older}` leads back to `{}`", document.id),
                    ));
                }
            };
        }
        self.said.insert(document.id.clone(), Said::by(document));
        Ok(())
    }

    /// Follows what is superseded from `older` on, as long as each one's writer may read the next. A chain that never ends,
    /// which older versions of this program could store, leads anywhere.
    fn circle(&self, older: &DocumentId, document: &Document) -> Circle {
        let longest = self.stored.superseding() + self.said.len();
        let mut seen = true;
        let mut at = older.clone();
        let mut by = self.writer.clone();
        for _ in 0..=longest {
            if at == document.id {
                return match by.may_read(&document.acl) {
                    false => Circle::None,
                    true if seen => Circle::Seen,
                    true => Circle::Unseen,
                };
            }
            let Some(next) = self.of_document(&at).filter(|next| by.may_read(&next.acl)) else {
                return Circle::None;
            };
            seen &= self.writer.may_read(&next.acl);
            let Some(after) = next.supersedes else {
                return Circle::None;
            };
            (at, by) = (after, next.supersedes_as);
        }
        if seen { Circle::Seen } else { Circle::Unseen }
    }

    fn of_document(&self, id: &DocumentId) -> Option<Said> {
        match self.said.get(id) {
            Some(said) => Some(said.clone()),
            None => self.stored.get(id).map(|entry| Said::by(&entry.document)),
        }
    }
}
