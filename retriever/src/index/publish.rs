//! What searches see: roster, snapshot and delta of one generation, replaced as a whole.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use roaring::RoaringBitmap;

use super::delta::DeltaView;
use super::roster::Roster;
use super::snapshot::Snapshot;
use super::text::{self, DocumentFrequencies, TextView};
use super::{Best, Scored};
use crate::filters::Filters;
use crate::pipeline::Pipeline;
use crate::{Access, RetrieverError, Timestamp};

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

    /// The passages that a search of this caller may rank.
    pub(crate) fn allowed(
        &self,
        access: &Access,
        filters: &Filters,
        at: Timestamp,
    ) -> RoaringBitmap {
        let mut cached = self
            .not_in_force
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let hidden = match &*cached {
            Some((hidden, span)) if span.contains(&at.as_milliseconds()) => Arc::clone(hidden),
            _ => {
                let (hidden, span) = self.roster.not_in_force(at);
                let hidden = Arc::new(hidden);
                *cached = Some((Arc::clone(&hidden), span));
                hidden
            }
        };
        drop(cached);
        self.roster.allowed(access, filters, at, &hidden)
    }

    /// BM25 over base and delta.
    pub(crate) fn search_text(
        &self,
        terms: &[String],
        allowed: &RoaringBitmap,
        limit: usize,
    ) -> Result<Vec<Scored>, RetrieverError> {
        let base = self.base.as_ref().map(|base| &base.text);
        let views: Vec<&TextView> = base.into_iter().chain(&self.delta.text).collect();
        text::search(&views, terms, allowed, limit)
    }

    /// How many passages of base and delta hold each term.
    pub(crate) fn document_frequencies(&self, terms: &[String]) -> DocumentFrequencies {
        let base = self.base.as_ref().map(|base| &base.text);
        let views: Vec<&TextView> = base.into_iter().chain(&self.delta.text).collect();
        text::document_frequencies(&views, terms)
    }

    /// Cosine over base and delta.
    pub(crate) fn search_vectors(
        &self,
        query: &[f32],
        allowed: &RoaringBitmap,
        limit: usize,
    ) -> Result<Vec<Scored>, RetrieverError> {
        let mut best = Best::new(limit);
        if query.iter().all(|x| *x == 0.0) {
            return Ok(Vec::new());
        }
        if let Some(base) = &self.base {
            base.score(query, allowed, &mut best, limit)?;
        }
        for block in &self.delta.vectors {
            block.score(query, allowed, &mut best, limit);
        }
        Ok(best.into_sorted())
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
