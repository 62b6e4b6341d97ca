//! The live documents of one generation: who may read them, when they hold, and which passages are theirs.
//!
//! Persistent maps share what did not change, so a write makes a new roster without copying the old one. An access list that
//! changes takes effect with the next generation, without touching an index.

use std::collections::HashMap;
use std::ops::{Bound, Range};
use std::sync::Arc;

use roaring::RoaringBitmap;
use rpds::{HashTrieMapSync, RedBlackTreeMapSync};
use serde_json::Value;

use crate::document::{Document, Metadata};
use crate::filters::Filters;
use crate::{Access, DocumentId, Timestamp};

/// A document and its passages' keys, which follow one another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub document: Document,
    pub keys: Range<u32>,
    pub content_hash: Vec<u8>,
}

impl Entry {
    fn is_dated(&self) -> bool {
        self.document.effective_from.is_some() || self.document.effective_until.is_some()
    }

    pub(crate) fn in_force(&self, at: Timestamp) -> bool {
        self.document.effective_from.is_none_or(|from| from <= at)
            && self.document.effective_until.is_none_or(|until| at < until)
    }
}

/// All live documents.
#[derive(Clone, Default)]
pub(crate) struct Roster {
    by_id: RedBlackTreeMapSync<DocumentId, Arc<Entry>>,
    by_key: RedBlackTreeMapSync<u32, Arc<Entry>>,
    live: RoaringBitmap,
    readable: HashTrieMapSync<String, RoaringBitmap>,
    facets: HashTrieMapSync<String, RoaringBitmap>,
    dated: RedBlackTreeMapSync<DocumentId, Arc<Entry>>,
    superseding: RedBlackTreeMapSync<DocumentId, Arc<Entry>>,
}

impl Roster {
    pub(crate) fn get(&self, id: &DocumentId) -> Option<&Arc<Entry>> {
        self.by_id.get(id)
    }

    /// The document that a passage belongs to.
    pub(crate) fn of_passage(&self, key: u32) -> Option<&Arc<Entry>> {
        let (_, entry) = self.by_key.range(..=key).next_back()?;
        entry.keys.contains(&key).then_some(entry)
    }

    /// The key of a document's passage at a place.
    pub(crate) fn key(&self, id: &DocumentId, position: usize) -> Option<u32> {
        let keys = &self.get(id)?.keys;
        let key = keys.start.checked_add(u32::try_from(position).ok()?)?;
        keys.contains(&key).then_some(key)
    }

    pub(crate) fn live(&self) -> &RoaringBitmap {
        &self.live
    }

    pub(crate) fn documents(&self) -> usize {
        self.by_id.size()
    }

    /// How many of them supersede another.
    pub(crate) fn superseding(&self) -> usize {
        self.superseding.size()
    }

    /// Documents in order of their ids, after one of them.
    pub(crate) fn after(&self, id: Option<&DocumentId>) -> impl Iterator<Item = &Arc<Entry>> {
        let start = id.map_or(Bound::Unbounded, |id| Bound::Excluded(id.clone()));
        self.by_id
            .range((start, Bound::Unbounded))
            .map(|(_, entry)| entry)
    }

    /// All of a catalogue at once. What many documents share is put together first: to add each of them to a persistent map costs
    /// many times as much.
    pub(crate) fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut roster = Self::default();
        let mut readable = HashMap::new();
        let mut listed = HashMap::new();
        for entry in entries {
            for token in entry.document.acl.tokens() {
                add_to(&mut readable, token, &entry.keys);
            }
            for facet in facets(&entry.document) {
                add_to(&mut listed, &facet, &entry.keys);
            }
            roster.live.insert_range(entry.keys.clone());
            roster.list(Arc::new(entry));
        }
        roster.readable = readable.into_iter().collect();
        roster.facets = listed.into_iter().collect();
        roster
    }

    pub(crate) fn insert(&mut self, entry: Entry) {
        self.remove(&entry.document.id);
        if !entry.keys.is_empty() {
            self.live.insert_range(entry.keys.clone());
            for token in entry.document.acl.tokens() {
                add(&mut self.readable, token.to_owned(), &entry.keys);
            }
            for facet in facets(&entry.document) {
                add(&mut self.facets, facet, &entry.keys);
            }
        }
        self.list(Arc::new(entry));
    }

    /// Makes a document found by its id and its keys.
    fn list(&mut self, entry: Arc<Entry>) {
        let id = entry.document.id.clone();
        if !entry.keys.is_empty() {
            self.by_key.insert_mut(entry.keys.start, Arc::clone(&entry));
        }
        if entry.is_dated() {
            self.dated.insert_mut(id.clone(), Arc::clone(&entry));
        }
        if entry.document.supersedes.is_some() {
            self.superseding.insert_mut(id.clone(), Arc::clone(&entry));
        }
        self.by_id.insert_mut(id, entry);
    }

    pub(crate) fn remove(&mut self, id: &DocumentId) -> Option<Arc<Entry>> {
        let entry = Arc::clone(self.by_id.get(id)?);
        self.by_id.remove_mut(id);
        self.dated.remove_mut(id);
        self.superseding.remove_mut(id);
        if !entry.keys.is_empty() {
            self.by_key.remove_mut(&entry.keys.start);
            self.live.remove_range(entry.keys.clone());
            for token in entry.document.acl.tokens() {
                take(&mut self.readable, token, &entry.keys);
            }
            for facet in facets(&entry.document) {
                take(&mut self.facets, &facet, &entry.keys);
            }
        }
        Some(entry)
    }

    /// The passages that a caller may find: readable, in force, and not superseded by what the caller may read.
    pub(crate) fn readable(
        &self,
        access: &Access,
        at: Timestamp,
        not_in_force: &RoaringBitmap,
    ) -> RoaringBitmap {
        let mut allowed = if access.is_admin() {
            self.live.clone()
        } else {
            let lists = access.tokens().filter_map(|token| self.readable.get(token));
            lists.fold(RoaringBitmap::new(), |all, list| all | list)
        };
        allowed -= not_in_force;
        for entry in self.superseding.values() {
            if entry.in_force(at)
                && access.may_read(&entry.document.acl)
                && let Some(old) = &entry.document.supersedes
                && let Some(old) = self.by_id.get(old)
                && entry.document.supersedes_as.may_read(&old.document.acl)
            {
                allowed.remove_range(old.keys.clone());
            }
        }
        allowed
    }

    /// The passages of documents that do not hold at an instant, and the span around it for which that is so.
    pub(crate) fn not_in_force(&self, at: Timestamp) -> (RoaringBitmap, Range<i64>) {
        let at_ms = at.as_milliseconds();
        let mut hidden = RoaringBitmap::new();
        let mut span = i64::MIN..i64::MAX;
        for entry in self.dated.values() {
            let document = &entry.document;
            for edge in [document.effective_from, document.effective_until] {
                match edge.map(Timestamp::as_milliseconds) {
                    Some(edge) if edge <= at_ms => span.start = span.start.max(edge),
                    Some(edge) => span.end = span.end.min(edge),
                    None => {}
                }
            }
            if !entry.in_force(at) {
                hidden.insert_range(entry.keys.clone());
            }
        }
        (hidden, span)
    }

    /// Takes away what does not match the filters.
    pub(crate) fn filter(&self, allowed: &mut RoaringBitmap, filters: &Filters) {
        for (key, values) in &filters.metadata {
            *allowed &= self.any_facet(values.values().map(|value| metadata_facet(key, value)));
        }
        if let Some(sources) = &filters.source {
            *allowed &= self.any_facet(sources.values().map(|source| source_facet(source)));
        }
        if let Some(prefix) = &filters.id_prefix {
            let mut some = RoaringBitmap::new();
            // A prefix that no id can have is compared with all of them.
            let start = DocumentId::new(prefix.clone()).ok();
            let start = start.map_or(Bound::Unbounded, Bound::Included);
            let entries = self
                .by_id
                .range((start, Bound::Unbounded))
                .map(|(_, entry)| entry)
                .take_while(|entry| entry.document.id.as_str().starts_with(prefix.as_str()));
            for entry in entries {
                some.insert_range(entry.keys.clone());
            }
            *allowed &= some;
        }
    }

    fn any_facet(&self, facets: impl Iterator<Item = String>) -> RoaringBitmap {
        let found = facets.filter_map(|facet| self.facets.get(&facet));
        found.fold(RoaringBitmap::new(), |all, list| all | list)
    }
}

fn add(map: &mut HashTrieMapSync<String, RoaringBitmap>, name: String, keys: &Range<u32>) {
    if let Some(list) = map.get_mut(&name) {
        list.insert_range(keys.clone());
    } else {
        let mut list = RoaringBitmap::new();
        list.insert_range(keys.clone());
        map.insert_mut(name, list);
    }
}

fn add_to(map: &mut HashMap<String, RoaringBitmap>, name: &str, keys: &Range<u32>) {
    if keys.is_empty() {
        return;
    }
    match map.get_mut(name) {
        Some(list) => {
            list.insert_range(keys.clone());
        }
        None => {
            map.insert(name.to_owned(), keys.clone().collect());
        }
    }
}

fn take(map: &mut HashTrieMapSync<String, RoaringBitmap>, name: &str, keys: &Range<u32>) {
    let emptied = map.get_mut(name).is_some_and(|list| {
        list.remove_range(keys.clone());
        list.is_empty()
    });
    if emptied {
        map.remove_mut(name);
    }
}

fn facets(document: &Document) -> Vec<String> {
    let mut facets: Vec<String> = metadata_facets(&document.metadata).collect();
    facets.extend(document.source.as_deref().map(source_facet));
    facets.sort_unstable();
    facets.dedup();
    facets
}

/// A list has each of its members, and anything else itself.
fn metadata_facets(metadata: &Metadata) -> impl Iterator<Item = String> {
    metadata.iter().flat_map(|(key, value)| {
        let values = match value {
            Value::Array(members) => members.as_slice(),
            other => std::slice::from_ref(other),
        };
        values.iter().map(move |value| metadata_facet(key, value))
    })
}

fn metadata_facet(key: &str, value: &Value) -> String {
    // 2 and 2.0 are one number; 9007199254740992 and 9007199254740993 are two, though not as `f64`.
    match value.as_f64().filter(|_| value.is_f64()) {
        Some(number) => format!("m\0{key}\0{}", plain(number)),
        None => format!("m\0{key}\0{value}"),
    }
}

/// As an integer is written, where it is one that integers of JSON reach.
fn plain(number: f64) -> String {
    const REACH: f64 = 18_446_744_073_709_551_616.0;
    if number.fract() == 0.0 && number.abs() < REACH {
        #[expect(clippy::cast_possible_truncation, reason = "it is an integer in range")]
        let integer = number as i128;
        return integer.to_string();
    }
    number.to_string()
}

fn source_facet(source: &str) -> String {
    format!("s\0{source}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u32) -> Entry {
        let tokens = vec![format!("group:{}", number % 3), "user:ann".to_owned()];
        let document = Document {
            id: DocumentId::new(format!("document-{number}")).unwrap(),
            version: 1,
            title: None,
            uri: None,
            source: Some(format!("source-{}", number % 2)),
            format: crate::Format::Text,
            acl: crate::AccessList::new(tokens).unwrap(),
            metadata: [("number".to_owned(), number.into())].into_iter().collect(),
            effective_from: None,
            effective_until: (number == 7).then(|| Timestamp::from_milliseconds(1000).unwrap()),
            supersedes: (number == 5).then(|| DocumentId::new("document-4").unwrap()),
            supersedes_as: Access::admin(),
            passages: number as usize % 4,
            warnings: Vec::new(),
            generation: 1,
            updated_at: Timestamp::from_milliseconds(0).unwrap(),
        };
        Entry {
            document,
            keys: number * 4..number * 4 + number % 4,
            content_hash: Vec::new(),
        }
    }

    #[test]
    fn all_at_once_make_the_roster_that_one_after_another_make() {
        let at_once = Roster::of((0..40).map(entry));
        let mut one_by_one = Roster::default();
        (0..40).for_each(|number| one_by_one.insert(entry(number)));
        assert_eq!(at_once.live(), one_by_one.live());
        assert_eq!(at_once.documents(), 40);
        assert_eq!(at_once.superseding(), 1);
        let at = Timestamp::from_milliseconds(2000).unwrap();
        let (hidden, _) = at_once.not_in_force(at);
        assert_eq!(hidden, one_by_one.not_in_force(at).0);
        assert_eq!(hidden.len(), 3);
        for caller in ["group:0", "group:1", "user:ann", "user:bob"] {
            let access = Access::of([caller]);
            let readable = at_once.readable(&access, at, &hidden);
            assert_eq!(
                readable,
                one_by_one.readable(&access, at, &hidden),
                "{caller}"
            );
            assert_eq!(readable.is_empty(), caller == "user:bob");
        }
        for filters in [
            r#"{"source": "source-1"}"#,
            r#"{"metadata": {"number": [6, 9]}}"#,
        ] {
            let filters: Filters = serde_json::from_str(filters).unwrap();
            let (mut left, mut right) = (at_once.live().clone(), one_by_one.live().clone());
            at_once.filter(&mut left, &filters);
            one_by_one.filter(&mut right, &filters);
            assert_eq!(left, right);
            assert!(!left.is_empty());
        }
        for key in 0..160 {
            let id = |roster: &Roster| {
                roster
                    .of_passage(key)
                    .map(|entry| entry.document.id.clone())
            };
            assert_eq!(id(&at_once), id(&one_by_one));
        }
    }

    #[test]
    fn numbers_are_one_facet_when_they_are_equal() {
        let facet = |json: &str| metadata_facet("k", &json.parse().unwrap());
        for (a, b) in [
            ("2", "2.0"),
            ("0", "-0.0"),
            ("-3", "-3.0"),
            ("20", "2e1"),
            ("9007199254740992", "9007199254740992.0"),
            ("9223372036854775808", "9223372036854775808.0"),
            ("0.5", "5e-1"),
            ("1e300", "10e299"),
        ] {
            assert_eq!(facet(a), facet(b), "{a} {b}");
        }
        for (a, b) in [
            ("9007199254740992", "9007199254740993"),
            ("18446744073709551614", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775807"),
            ("2", "\"2\""),
            ("2", "2.5"),
        ] {
            assert_ne!(facet(a), facet(b), "{a} {b}");
        }
    }
}
