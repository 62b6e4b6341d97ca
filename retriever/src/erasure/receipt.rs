//! What a deletion has purged, place by place, signed.

use std::path::Path;

use ed25519_dalek::{Signature, VerifyingKey};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use super::ReceiptKey;
use crate::document::Purge;
use crate::{DocumentId, RetrieverError, Timestamp};

/// What every signed message begins with, so that no other signature of the key is one of a receipt.
const DOMAIN: &[u8] = b"quoin deletion receipt 1\n";

/// One place that held the document, and when it left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlacePurge {
    /// `catalogue`, `text_index`, `vectors`, `generations`, or a place that the program around the retriever purges.
    pub place: String,
    /// When nothing of it was left there; `None` while something may be.
    pub purged_at: Option<Timestamp>,
}

/// A backup made before the deletion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupHolding {
    /// Its folder.
    pub path: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// Whether it holds the document; `None` when it cannot be read at its path any more.
    pub holds: Option<bool>,
}

/// The answer to a deletion: no search finds the document any more, also after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeletionReceipt {
    /// What was deleted.
    pub id: DocumentId,
    /// When.
    pub deleted_at: Timestamp,
    /// The first generation without it.
    pub generation: u64,
    /// Whether its bytes are gone too, from all `places`.
    pub purge: Purge,
    /// Where it was, and when it left.
    pub places: Vec<PlacePurge>,
    /// Backups that were made before; they are not changed.
    pub backups: Vec<BackupHolding>,
    /// When this was said.
    pub issued_at: Timestamp,
    /// The public key of the server, Ed25519, hexadecimal.
    pub key: String,
    /// Over all other fields, hexadecimal.
    pub signature: String,
}

impl DeletionReceipt {
    pub(crate) fn sign(mut self, key: &ReceiptKey) -> Self {
        self.key = key.public();
        self.signature = key.sign(&self.message());
        self
    }

    /// Whether the key that the receipt names signed just this. Whose key that is, is for the reader to know.
    #[must_use]
    pub fn is_genuine(&self) -> bool {
        let key = bytes_of(&self.key).and_then(|key| VerifyingKey::from_bytes(&key).ok());
        let signature = bytes_of(&self.signature).map(|bytes| Signature::from_bytes(&bytes));
        match (key, signature) {
            (Some(key), Some(signature)) => key.verify_strict(&self.message(), &signature).is_ok(),
            _ => false,
        }
    }

    /// The fields but the signature, in the order of the type, as JSON.
    fn message(&self) -> Vec<u8> {
        let unsigned = Self {
            signature: String::new(),
            ..self.clone()
        };
        let mut message = DOMAIN.to_vec();
        // These values have no form that JSON lacks.
        message.extend(serde_json::to_vec(&unsigned).unwrap_or_default());
        message
    }
}

/// Bytes in hexadecimal, if there are just so many.
pub(super) fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok())
        .collect();
    bytes?.try_into().ok()
}

/// Whether the backup in a folder holds a document; `None` when there is none that can be read.
pub(crate) fn holding(folder: &Path, id: &DocumentId) -> Option<bool> {
    let path = folder.join("quoin.db");
    let holds = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags)?;
        connection
            .query_row(
                "SELECT 1 FROM documents WHERE id = ?1",
                [id.as_str()],
                |_| Ok(()),
            )
            .optional()
    };
    holds()
        .map(|found| found.is_some())
        .map_err(RetrieverError::storage("reading a backup"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_that_was_changed_is_not_genuine() {
        let folder = tempfile::tempdir().unwrap();
        let key = ReceiptKey::open(folder.path()).unwrap();
        let receipt = DeletionReceipt {
            id: DocumentId::new("ü").unwrap(),
            deleted_at: Timestamp::now(),
            generation: 7,
            purge: Purge::Done,
            places: vec![PlacePurge {
                place: "catalogue".to_owned(),
                purged_at: Some(Timestamp::now()),
            }],
            backups: Vec::new(),
            issued_at: Timestamp::now(),
            key: String::new(),
            signature: String::new(),
        }
        .sign(&key);
        assert!(receipt.is_genuine());
        let json = serde_json::to_string(&receipt).unwrap();
        let read: DeletionReceipt = serde_json::from_str(&json).unwrap();
        assert!(read.is_genuine());
        let changed = |change: fn(&mut DeletionReceipt)| {
            let mut receipt = receipt.clone();
            change(&mut receipt);
            receipt.is_genuine()
        };
        assert!(!changed(|receipt| receipt.generation = 8));
        assert!(!changed(|receipt| receipt.places[0].purged_at = None));
        assert!(!changed(|receipt| receipt.key.replace_range(..2, "zz")));
        assert!(!changed(|receipt| receipt.signature.truncate(10)));
        let again = ReceiptKey::open(folder.path()).unwrap();
        assert_eq!(again.public(), receipt.key);
    }
}
