//! Changing what is said about a stored document. Its passages stay, unless its title, which is part of them, is another.

use super::Inner;
use super::prepared::{Changes, Prepared, is_unchanged, store, unchanged};
use super::supersession::Supersession;
use crate::document::{DocumentChange, Metadata, Stored};
use crate::ingest::{self, Draft};
use crate::{Access, AccessList, Document, DocumentId, RetrieverError, Timestamp};

impl Inner {
    pub(super) fn change(
        &self,
        id: &DocumentId,
        change: DocumentChange,
        writer: &Access,
    ) -> Result<Stored, RetrieverError> {
        // From here on nothing else changes it: what is merged into is what is stored.
        let mut delta = self.lock_writing();
        let now = self.current.load();
        let entry = now
            .roster
            .get(id)
            .filter(|entry| writer.may_read(&entry.document.acl))
            .ok_or_else(|| RetrieverError::NotFound(id.clone()))?;
        let default_acl = self.settings.default_acl.as_deref();
        let mut document = merged(&entry.document, change, default_acl)?;
        ingest::check_said(&document, &self.settings)?;
        let retitled = document.title != entry.document.title;
        // Whom it supersedes stays its own writer's word: who changes its list does not lend it what they may read.
        let as_before = entry.document.supersedes_as.clone();
        Supersession::of(&now.roster, &as_before).admit(&mut document)?;
        document.updated_at = Timestamp::now();
        let mut one = Prepared {
            draft: Draft {
                document,
                text: String::new(),
                outline: Vec::new(),
                content_hash: entry.content_hash.clone(),
            },
            passages: None,
            pipeline: now.pipeline.number,
        };
        if retitled {
            self.recut(&mut one)?;
            one = self.settle_against(one, &now)?;
        }
        if is_unchanged(&one, &now) {
            return Ok(unchanged(&one, &now));
        }
        let (stored, generation, changes) = self.catalogue.write(|written| {
            let mut changes = Changes::default();
            let stored = store(written, one, &now, &mut changes)?;
            Ok((stored, written.generation, changes))
        })?;
        self.publish(&mut delta, generation, changes, None)?;
        Ok(stored)
    }

    /// The stored text under the new title.
    fn recut(&self, one: &mut Prepared) -> Result<(), RetrieverError> {
        let draft = &mut one.draft;
        let id = &draft.document.id;
        let stored = self
            .catalogue
            .text(id, |_, _| true)?
            .ok_or_else(|| RetrieverError::NotFound(id.clone()))?;
        draft.content_hash = ingest::content_hash(&draft.document, &stored.text, &stored.outline);
        (draft.text, draft.outline) = (stored.text, stored.outline);
        Ok(())
    }
}

/// The document with a change merged into it.
fn merged(
    stored: &Document,
    change: DocumentChange,
    default_acl: Option<&[String]>,
) -> Result<Document, RetrieverError> {
    let mut document = stored.clone();
    if let Some(acl) = change.acl {
        let tokens = acl.unwrap_or_else(|| default_acl.unwrap_or_default().to_vec());
        document.acl = AccessList::new(tokens)?;
    }
    if let Some(title) = change.title {
        document.title = title.filter(|title| !title.trim().is_empty());
    }
    if let Some(uri) = change.uri {
        document.uri = uri;
    }
    match change.metadata {
        Some(Some(patch)) => merge(&mut document.metadata, patch),
        Some(None) => document.metadata = Metadata::new(),
        None => {}
    }
    if let Some(from) = change.effective_from {
        document.effective_from = from;
    }
    if let Some(until) = change.effective_until {
        document.effective_until = until;
    }
    Ok(document)
}

/// JSON merge patch, RFC 7396: objects are merged, null removes, anything else replaces.
fn merge(into: &mut Metadata, patch: Metadata) {
    for (key, value) in patch {
        match value {
            serde_json::Value::Null => {
                into.shift_remove(&key);
            }
            serde_json::Value::Object(inner) => {
                let there = into.entry(key).or_insert_with(|| Metadata::new().into());
                if !there.is_object() {
                    *there = Metadata::new().into();
                }
                if let Some(there) = there.as_object_mut() {
                    merge(there, inner);
                }
            }
            value => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_is_merged_as_the_rfc_says() {
        for (stored, patch, want) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": "b"}),
                json!({"b": "c"}),
                json!({"a": "b", "b": "c"}),
            ),
            (
                json!({"a": "b", "b": 1}),
                json!({"a": null}),
                json!({"b": 1}),
            ),
            (json!({"a": [1]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
            (
                json!({"a": "c"}),
                json!({"a": {"b": 1}}),
                json!({"a": {"b": 1}}),
            ),
        ] {
            let mut merged: Metadata = serde_json::from_value(stored).unwrap();
            merge(&mut merged, serde_json::from_value(patch).unwrap());
            assert_eq!(serde_json::Value::Object(merged), want);
        }
    }
}
