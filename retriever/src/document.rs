//! Documents as callers hand them in and get them back.

mod format;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Access, AccessList, RetrieverError, Timestamp};

pub use self::format::Format;

/// Free metadata of a document; filters match on its values.
pub type Metadata = serde_json::Map<String, Value>;

/// A document's name, chosen by whoever puts it: 1 to 512 bytes, no control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DocumentId(String);

impl DocumentId {
    /// The longest id, bytes.
    pub const MAX_BYTES: usize = 512;

    /// Checks the rule.
    ///
    /// # Errors
    /// Empty, longer than 512 bytes, or with control characters.
    pub fn new(id: impl Into<String>) -> Result<Self, RetrieverError> {
        let id = id.into();
        if id.is_empty() || id.len() > Self::MAX_BYTES {
            return Err(RetrieverError::invalid(
                "id",
                format!("has 1 to {} bytes, got {}", Self::MAX_BYTES, id.len()),
            ));
        }
        if id.chars().any(char::is_control) {
            return Err(RetrieverError::invalid("id", "has no control characters"));
        }
        Ok(Self(id))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DocumentId {
    type Error = RetrieverError;
    fn try_from(id: String) -> Result<Self, Self::Error> {
        Self::new(id)
    }
}

impl FromStr for DocumentId {
    type Err = RetrieverError;
    fn from_str(id: &str) -> Result<Self, Self::Err> {
        Self::new(id)
    }
}

impl From<DocumentId> for String {
    fn from(id: DocumentId) -> Self {
        id.0
    }
}

/// A passage's name: its document's id, `#`, and its place in it from 0. It says nothing across versions of the document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PassageId(String);

impl PassageId {
    /// The passage of a document at a place.
    #[must_use]
    pub fn new(document: &DocumentId, position: usize) -> Self {
        Self(format!("{document}#{position}"))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PassageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a document holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Text that is already decoded.
    Text {
        /// The text.
        text: String,
        /// How it is written.
        format: Format,
    },
    /// The bytes of a file.
    Bytes {
        /// The file.
        bytes: Vec<u8>,
        /// Its MIME type, such as `text/html; charset=utf-8`.
        content_type: String,
    },
}

impl Content {
    /// Plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text {
            text: text.into(),
            format: Format::Text,
        }
    }

    /// Markdown.
    pub fn markdown(text: impl Into<String>) -> Self {
        Self::Text {
            text: text.into(),
            format: Format::Markdown,
        }
    }
}

/// A document to put. What it leaves out, Markdown front matter and then the settings fill in.
#[derive(Clone, Debug)]
pub struct DocumentInput {
    /// Its name; putting the same id again replaces the document.
    pub id: DocumentId,
    /// What it holds.
    pub content: Content,
    /// Shown beside quotes, and searched.
    pub title: Option<String>,
    /// Where it came from.
    pub uri: Option<String>,
    /// Who may read it. `None` takes what its front matter says, then `default_acl`, then the default of the settings; where
    /// none of them says anything only `admin` reads it.
    pub acl: Option<Vec<String>>,
    /// Who may read it when neither `acl` nor its front matter says so: the default of the batch that it comes in.
    pub default_acl: Option<Vec<String>>,
    /// For filters.
    pub metadata: Metadata,
    /// Not shown before this instant: neither by its name, but to `admin`, nor by searches that do not ask for a later one.
    pub effective_from: Option<Timestamp>,
    /// Not found from this instant on, unless a search asks for an earlier one. By its name it can be read still.
    pub effective_until: Option<Timestamp>,
    /// The document that this one replaces: whoever sees this one is not shown that one. For a document that the writer may
    /// not read, as for one that does not exist, this says nothing.
    pub supersedes: Option<DocumentId>,
    /// The source it belongs to.
    pub source: Option<String>,
}

impl DocumentInput {
    /// A document with an id and content, and nothing else said.
    #[must_use]
    pub fn new(id: DocumentId, content: Content) -> Self {
        Self {
            id,
            content,
            title: None,
            uri: None,
            acl: None,
            default_acl: None,
            metadata: Metadata::new(),
            effective_from: None,
            effective_until: None,
            supersedes: None,
            source: None,
        }
    }
}

/// What to change about a stored document. `None` leaves a field as it is, `Some(None)` removes what it says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DocumentChange {
    /// Who may read it.
    pub acl: Option<Option<Vec<String>>>,
    /// Shown beside quotes, and searched: the only field for which passages are made again.
    pub title: Option<Option<String>>,
    /// Where it came from.
    pub uri: Option<Option<String>>,
    /// Merged into what is there: nested objects too, and null removes a key.
    pub metadata: Option<Option<Metadata>>,
    /// Not shown before this instant.
    pub effective_from: Option<Option<Timestamp>>,
    /// Not found from this instant on.
    pub effective_until: Option<Option<Timestamp>>,
}

/// The answer to a put: it is durable, and searches find it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Its name.
    pub id: DocumentId,
    /// Counts the changes of this document, from 1.
    pub version: u64,
    /// How many passages it has.
    pub passages: usize,
    /// The generation in which it is visible.
    pub generation: u64,
    /// Whether the same document was there already, so that nothing was done.
    pub unchanged: bool,
    /// What of it could not be read, such as a page that is only an image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A document as it stands, without its text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Document {
    /// Its name.
    pub id: DocumentId,
    /// Counts the changes of this document, from 1.
    pub version: u64,
    /// Shown beside quotes.
    pub title: Option<String>,
    /// Where it came from.
    pub uri: Option<String>,
    /// The source it belongs to.
    pub source: Option<String>,
    /// How it was written.
    pub format: Format,
    /// Who may read it.
    pub acl: AccessList,
    /// For filters.
    pub metadata: Metadata,
    /// Not shown before this instant.
    pub effective_from: Option<Timestamp>,
    /// Not shown from this instant on.
    pub effective_until: Option<Timestamp>,
    /// The document that this one replaces.
    pub supersedes: Option<DocumentId>,
    /// What its writer may read: only that can be superseded. Everything, where nothing is superseded.
    #[serde(skip)]
    pub(crate) supersedes_as: Access,
    /// How many passages it has.
    pub passages: usize,
    /// What of it could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The generation of its last change.
    pub generation: u64,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Which page of a listing.
#[derive(Clone, Debug)]
pub struct Page {
    /// The last id of the page before; `None` for the first.
    pub after: Option<DocumentId>,
    /// How many, at most.
    pub limit: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            after: None,
            limit: 100,
        }
    }
}

/// Whether a deleted document's bytes have left the data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purge {
    /// No search finds it; the snapshots that hold its words are being replaced.
    Pending,
    /// No file of the retriever holds it.
    Done,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_neither_empty_nor_long_nor_has_control_characters() {
        assert!(DocumentId::new("handbook/leave.md").is_ok());
        assert!(DocumentId::new("ü/日本 👩‍🚀").is_ok());
        for id in ["", "a\nb", "a\0"] {
            assert!(DocumentId::new(id).is_err(), "{id:?}");
        }
        assert!(DocumentId::new("x".repeat(513)).is_err());
    }
}
