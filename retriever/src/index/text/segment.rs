//! What is looked up of a segment over and over: the key of each of its passages, and how many words they have.

use std::sync::Arc;

use roaring::RoaringBitmap;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocId, DocSet, SegmentReader, TERMINATED, Term};

use super::super::gallop;

/// The passages of a segment.
#[derive(Debug)]
pub(super) struct Passages {
    /// By the segment's own numbers.
    keys: Vec<u32>,
    /// With those numbers, ascending; `None` when the keys ascend as they are.
    by_key: Option<(Vec<u32>, Vec<DocId>)>,
    pub(super) all: RoaringBitmap,
    pub(super) tokens: u64,
}

impl Passages {
    pub(super) fn read(segment: &SegmentReader, words: Field) -> tantivy::Result<Arc<Self>> {
        let column = segment.fast_fields().u64("key")?;
        let lengths = segment.get_fieldnorms_reader(words)?;
        let documents = 0..segment.max_doc();
        // Keys are written from `u32`; what is not one is no passage's.
        let key = |document| {
            column
                .first(document)
                .and_then(|key| u32::try_from(key).ok())
        };
        let keys: Vec<u32> = documents
            .clone()
            .map(|document| key(document).unwrap_or(u32::MAX))
            .collect();
        let by_key = (!keys.is_sorted()).then(|| {
            let mut both: Vec<(u32, DocId)> = keys.iter().copied().zip(0..).collect();
            both.sort_unstable();
            both.into_iter().unzip()
        });
        Ok(Arc::new(Self {
            all: keys.iter().copied().collect(),
            tokens: documents.map(|one| u64::from(lengths.fieldnorm(one))).sum(),
            keys,
            by_key,
        }))
    }

    pub(super) fn key(&self, document: DocId) -> u32 {
        self.keys[document as usize]
    }

    pub(super) fn keys(&self) -> &[u32] {
        &self.keys
    }

    /// The segment's numbers of those of its passages that are in `some`, ascending.
    pub(super) fn among(&self, some: &RoaringBitmap) -> Vec<DocId> {
        let ascending = self.by_key.as_ref().map_or(&self.keys, |(keys, _)| keys);
        let mut found = Vec::new();
        let mut place = 0;
        for key in &self.all & some {
            place += gallop(&ascending[place..], key);
            let document = match &self.by_key {
                Some((_, documents)) => documents[place],
                None => DocId::try_from(place).unwrap_or(TERMINATED),
            };
            found.push(document);
        }
        if self.by_key.is_some() {
            found.sort_unstable();
        }
        found
    }
}

/// Calls `found` with the place in `documents`, which ascend, of each that has the term, and how often it has it.
pub(super) fn each_with(
    segment: &SegmentReader,
    term: &Term,
    documents: &[DocId],
    mut found: impl FnMut(usize, u32),
) -> tantivy::Result<()> {
    use tantivy::postings::Postings;
    let index = segment.inverted_index(term.field())?;
    let Some(mut postings) = index.read_postings(term, IndexRecordOption::WithFreqs)? else {
        return Ok(());
    };
    for (place, document) in documents.iter().enumerate() {
        if postings.doc() < *document {
            postings.seek(*document);
        }
        if postings.doc() == TERMINATED {
            break;
        }
        if postings.doc() == *document {
            found(place, postings.term_freq());
        }
    }
    Ok(())
}
