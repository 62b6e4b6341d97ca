//! What searches see: roster, snapshot and delta of one generation, replaced as a whole.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use roaring::RoaringBitmap;
use unicode_segmentation::UnicodeSegmentation;

use super::delta::DeltaView;
use super::roster::Roster;
use super::snapshot::Snapshot;
use super::text::{self, TextView};
use super::{Best, Scored, analysis};
use crate::filters::Filters;
use crate::pipeline::Pipeline;
use crate::rank::rerank::WeightedQuery;
use crate::{Access, RetrieverError, Timestamp};

/// Words of a query that are weighed for a reranker.
const MAX_WEIGHED_WORDS: usize = 512;

/// Callers with different tokens whose readable passages are remembered.
const REMEMBERED_CALLERS: usize = 64;

/// What a caller may find in one generation at some instants.
pub(crate) struct Readable {
    access: Access,
    hidden: Arc<RoaringBitmap>,
    pub keys: RoaringBitmap,
    words: text::Statistics,
}

/// One generation, as searches see it. Never changes.
pub(crate) struct Published {
    pub generation: u64,
    pub roster: Roster,
    pub base: Option<Arc<Snapshot>>,
    pub delta: DeltaView,
    /// What made the passages, and embeds queries.
    pub pipeline: Arc<Pipeline>,
    /// The last answer of [`Roster::not_in_force`]: with dated documents it costs a walk over them.
    not_in_force: Mutex<Option<(Arc<RoaringBitmap>, Range<i64>)>>,
    /// The last answers of [`Published::readable`], the last used at the end.
    readable: Mutex<Vec<Arc<Readable>>>,
}

impl Published {
    pub(crate) fn new(
        generation: u64,
        roster: Roster,
        base: Option<Arc<Snapshot>>,
        delta: DeltaView,
        pipeline: Arc<Pipeline>,
    ) -> Self {
        Self {
            generation,
            roster,
            base,
            delta,
            pipeline,
            not_in_force: Mutex::new(None),
            readable: Mutex::default(),
        }
    }

    /// Nothing at all, before the catalogue is read.
    pub(crate) fn empty(pipeline: Arc<Pipeline>) -> Self {
        Self::new(0, Roster::default(), None, DeltaView::default(), pipeline)
    }

    /// The same documents under another number and with another delta.
    pub(crate) fn renewed(&self, generation: u64, roster: Roster, delta: DeltaView) -> Self {
        let (base, pipeline) = (self.base.clone(), Arc::clone(&self.pipeline));
        Self::new(generation, roster, base, delta, pipeline)
    }

    /// What a caller may find at an instant, with the statistics of its words.
    pub(crate) fn readable(
        &self,
        access: &Access,
        at: Timestamp,
    ) -> Result<Arc<Readable>, RetrieverError> {
        let hidden = self.hidden(at);
        let mut cached = self.readable.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |one: &Arc<Readable>| one.access == *access && Arc::ptr_eq(&one.hidden, &hidden);
        if let Some(position) = cached.iter().position(same) {
            // The last used is the last to go.
            let found = cached.remove(position);
            cached.push(Arc::clone(&found));
            return Ok(found);
        }
        drop(cached);
        let keys = self.roster.readable(access, at, &hidden);
        let readable = Arc::new(Readable {
            access: access.clone(),
            hidden,
            words: text::Statistics::over(&self.texts(), &keys)?,
            keys,
        });
        cached = self.readable.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.len() >= REMEMBERED_CALLERS {
            cached.remove(0);
        }
        cached.push(Arc::clone(&readable));
        Ok(readable)
    }

    fn hidden(&self, at: Timestamp) -> Arc<RoaringBitmap> {
        let mut cached = self
            .not_in_force
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match &*cached {
            Some((hidden, span)) if span.contains(&at.as_milliseconds()) => Arc::clone(hidden),
            _ => {
                let (hidden, span) = self.roster.not_in_force(at);
                let hidden = Arc::new(hidden);
                *cached = Some((Arc::clone(&hidden), span));
                hidden
            }
        }
    }

    /// The passages that a search of this caller may rank.
    pub(crate) fn allowed(&self, readable: &Readable, filters: &Filters) -> RoaringBitmap {
        let mut allowed = readable.keys.clone();
        self.roster.filter(&mut allowed, filters);
        allowed
    }

    fn texts(&self) -> Vec<&TextView> {
        let base = self.base.as_ref().map(|base| &base.text);
        base.into_iter().chain(&self.delta.text).collect()
    }

    /// BM25 over base and delta.
    pub(crate) fn search_text(
        &self,
        terms: &[String],
        readable: &Readable,
        allowed: &RoaringBitmap,
        limit: usize,
    ) -> Result<Vec<Scored>, RetrieverError> {
        text::search(&self.texts(), &readable.words, terms, allowed, limit)
    }

    /// The inverse document frequency of each term among the readable passages.
    pub(crate) fn inverse_frequencies(&self, terms: &[String], readable: &Readable) -> Vec<f32> {
        let passages = readable.words.passages();
        readable
            .words
            .frequencies(&self.texts(), terms)
            .into_iter()
            .map(|frequency| text::inverse_frequency(frequency, passages))
            .collect()
    }

    /// Which of the terms a passage has.
    pub(crate) fn having(&self, terms: &[String], key: u32) -> Result<Vec<bool>, RetrieverError> {
        text::having(&self.texts(), terms, key)
    }

    /// A query with the weight of each of its words: the inverse document frequency of its rarest term.
    pub(crate) fn weigh<'q>(&self, query: &'q str, readable: &Readable) -> WeightedQuery<'q> {
        let words = query.split_word_bound_indices().take(MAX_WEIGHED_WORDS);
        let weight = |word: &str| {
            let terms = analysis::content_terms(word);
            let weights = self.inverse_frequencies(&terms, readable);
            weights.into_iter().fold(0.0, f32::max)
        };
        WeightedQuery {
            tokens: Vec::new(),
            text: query,
            words: words
                .map(|(start, word)| (start..start + word.len(), weight(word)))
                .collect(),
        }
    }

    /// Cosine over base and delta.
    pub(crate) fn search_vectors(
        &self,
        query: &[f32],
        allowed: &RoaringBitmap,
        limit: usize,
    ) -> Vec<Scored> {
        let mut best = Best::new(limit);
        if query.iter().all(|x| *x == 0.0) {
            return Vec::new();
        }
        if let Some(base) = &self.base {
            base.score(query, allowed, &mut best, limit);
        }
        for block in &self.delta.vectors {
            block.score(query, allowed, &mut best, limit);
        }
        best.into_sorted()
    }

    /// Passages that the indexes still hold though their documents are gone.
    pub(crate) fn dead_passages(&self) -> u64 {
        let base = self.base.as_ref().map_or(0, |base| base.keys.len());
        (base + self.delta.keys.len()).saturating_sub(self.roster.live().len())
    }
}

/// The generation that searches see now.
pub(crate) struct Current(RwLock<Arc<Published>>);

impl Current {
    pub(crate) fn new(published: Published) -> Self {
        Self(RwLock::new(Arc::new(published)))
    }

    pub(crate) fn load(&self) -> Arc<Published> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn store(&self, published: Published) {
        let next = Arc::new(published);
        let before = std::mem::replace(
            &mut *self.0.write().unwrap_or_else(PoisonError::into_inner),
            next,
        );
        // Dropped after the lock is free: the last reader of a snapshot unmaps its files.
        drop(before);
    }
}
