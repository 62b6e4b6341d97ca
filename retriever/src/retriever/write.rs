//! Writing: prepare beside one another, commit one after another, publish.

use std::sync::{MutexGuard, PoisonError};

use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::Inner;
use super::prepared::{Changes, Prepared, is_unchanged, store, unchanged};
use super::supersession::Supersession;
use crate::catalogue::NewPassage;
use crate::document::{DocumentInput, Stored};
use crate::erasure::{self, DeletionReceipt};
use crate::index::delta::DeltaWriter;
use crate::index::publish::Published;
use crate::index::roster::Roster;
use crate::index::snapshot::Snapshot;
use crate::ingest::{self, Draft};
use crate::pipeline::Pipeline;
use crate::{Access, DocumentId, RetrieverError, Timestamp};

/// Documents that share a transaction.
const GROUP_DOCUMENTS: usize = 128;
/// And their size, bytes; one document may exceed it alone.
const GROUP_BYTES: usize = 8 << 20;

impl Inner {
    pub(super) fn put_batch(
        &self,
        inputs: Vec<DocumentInput>,
        writer: &Access,
    ) -> Result<Vec<Result<Stored, RetrieverError>>, RetrieverError> {
        let mut results = Vec::with_capacity(inputs.len());
        let mut inputs = inputs.into_iter().peekable();
        while inputs.peek().is_some() {
            let mut group = Vec::new();
            let mut bytes = 0;
            let mut ids = std::collections::HashSet::new();
            while let Some(input) = inputs.next_if(|next| {
                let fits =
                    group.len() < GROUP_DOCUMENTS && (bytes < GROUP_BYTES || group.is_empty());
                // The same id twice is two writes, one after the other.
                fits && !ids.contains(&next.id)
            }) {
                bytes += size(&input);
                ids.insert(input.id.clone());
                group.push(input);
            }
            results.extend(self.put_group(group, writer)?);
        }
        Ok(results)
    }

    fn put_group(
        &self,
        group: Vec<DocumentInput>,
        writer: &Access,
    ) -> Result<Vec<Result<Stored, RetrieverError>>, RetrieverError> {
        let before = self.current.load();
        let prepared: Vec<Result<Prepared, RetrieverError>> = group
            .into_par_iter()
            .map(|input| self.prepare(ingest::draft(input, &self.settings)?, &before))
            .collect();
        let mut delta = self.lock_writing();
        // What was current while preparing may not be any more.
        let now = self.current.load();
        let mut supersession = Supersession::of(&now.roster, writer);
        let prepared: Vec<Result<Prepared, RetrieverError>> = prepared
            .into_iter()
            .map(|one| {
                let mut one = self.settle_against(one?, &now)?;
                supersession.admit(&mut one.draft.document)?;
                Ok(one)
            })
            .collect();
        if prepared.iter().flatten().all(|one| is_unchanged(one, &now)) {
            return Ok(prepared
                .into_iter()
                .map(|one| one.map(|one| unchanged(&one, &now)))
                .collect());
        }
        let (results, changes) = self.catalogue.write(|written| {
            let mut changes = Changes::default();
            let mut results = Vec::with_capacity(prepared.len());
            for one in prepared {
                results.push(match one {
                    Ok(one) if is_unchanged(&one, &now) => Ok(unchanged(&one, &now)),
                    Ok(one) => Ok(store(written, one, &now, &mut changes)?),
                    Err(error) => Err(error),
                });
            }
            Ok((results, (written.generation, changes)))
        })?;
        let (generation, changes) = changes;
        self.publish(&mut delta, generation, changes, None)?;
        Ok(results)
    }

    /// Cuts and embeds what is new in a draft.
    fn prepare(&self, draft: Draft, now: &Published) -> Result<Prepared, RetrieverError> {
        let mut prepared = Prepared {
            draft,
            passages: None,
            pipeline: now.pipeline.number,
        };
        if !prepared.is_there(now) {
            prepared.passages = Some(self.cut_and_embed(&prepared.draft, &now.pipeline)?);
        }
        Ok(prepared)
    }

    fn cut_and_embed(
        &self,
        draft: &Draft,
        pipeline: &Pipeline,
    ) -> Result<Vec<NewPassage>, RetrieverError> {
        ingest::cut_and_embed(
            &draft.text,
            &draft.outline,
            draft.document.title.as_deref(),
            pipeline,
            &self.settings.limits,
        )
    }

    /// Holds a prepared document against what is current now that the lock is held: another may have written in between.
    pub(super) fn settle_against(
        &self,
        mut one: Prepared,
        now: &Published,
    ) -> Result<Prepared, RetrieverError> {
        if one.is_there(now) {
            one.passages = None;
        } else if one.passages.is_none() || one.pipeline != now.pipeline.number {
            one.passages = Some(self.cut_and_embed(&one.draft, &now.pipeline)?);
            one.pipeline = now.pipeline.number;
        }
        Ok(one)
    }

    pub(super) fn delete(
        &self,
        id: &DocumentId,
        access: &Access,
    ) -> Result<DeletionReceipt, RetrieverError> {
        let mut delta = self.lock_writing();
        let now = self.current.load();
        let visible = now
            .roster
            .get(id)
            .is_some_and(|entry| access.may_read(&entry.document.acl));
        if !visible {
            return Err(RetrieverError::NotFound(id.clone()));
        }
        let deleted_at = Timestamp::now();
        let salt = erasure::salt()?;
        let generation = self.catalogue.write(|written| {
            written.delete(id, deleted_at, salt, &self.settings.outer_places)?;
            Ok(written.generation)
        })?;
        self.publish(&mut delta, generation, Changes::default(), Some(id))?;
        drop(delta);
        self.purge_now_or_soon(generation)?;
        self.receipt(id)
    }

    /// Without snapshots only the log holds what was deleted, and that can be emptied at once.
    fn purge_now_or_soon(&self, generation: u64) -> Result<(), RetrieverError> {
        // One that is being written may hold it too.
        if let Ok(_nobody_writes_one) = self.snapshots.try_lock()
            && crate::index::snapshot::list(&self.generations)?.is_empty()
            && self.catalogue.wipe()?
        {
            self.catalogue.mark_purged(generation)?;
            return Ok(());
        }
        let delay = self.settings.compaction.purge_delay;
        self.wanted.purge_at(std::time::Instant::now() + delay);
        Ok(())
    }

    pub(crate) fn lock_writing(&self) -> MutexGuard<'_, DeltaWriter> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a committed write visible. Should the delta fail, it is made anew from the catalogue.
    pub(super) fn publish(
        &self,
        delta: &mut MutexGuard<'_, DeltaWriter>,
        generation: u64,
        changes: Changes,
        removed: Option<&DocumentId>,
    ) -> Result<(), RetrieverError> {
        let now = self.current.load();
        let mut roster = now.roster.clone();
        if let Some(id) = removed {
            roster.remove(id);
        }
        for entry in changes.entries {
            roster.insert(entry);
        }
        if let Err(error) = delta.add(&changes.passages) {
            tracing::error!(%error, "the delta is made anew");
            **delta = self.new_delta(&roster, now.base.as_deref(), &now.pipeline)?;
        }
        self.current
            .store(now.renewed(generation, roster, delta.view()));
        self.want_compaction();
        Ok(())
    }

    fn want_compaction(&self) {
        let now = self.current.load();
        let base = now.base.as_ref().map_or(0, |base| base.keys.len());
        let enough = (self.settings.compaction.delta_passages as u64).max(base);
        if now.delta.keys.len() > enough || now.dead_passages() > enough {
            self.wanted.compact();
        }
    }

    /// Live passages that a snapshot does not hold.
    pub(super) fn missing(roster: &Roster, base: Option<&Snapshot>) -> RoaringBitmap {
        match base {
            Some(base) => roster.live() - &base.keys,
            None => roster.live().clone(),
        }
    }

    /// A delta of the live passages that a snapshot does not hold.
    pub(super) fn new_delta(
        &self,
        roster: &Roster,
        base: Option<&Snapshot>,
        pipeline: &Pipeline,
    ) -> Result<DeltaWriter, RetrieverError> {
        let dimensions = pipeline.embedder.dimensions();
        let mut delta = DeltaWriter::new(dimensions)?;
        let missing = Self::missing(roster, base);
        delta.add(
            &self
                .catalogue
                .indexed_passages(missing.iter(), dimensions)?,
        )?;
        Ok(delta)
    }
}

fn size(input: &DocumentInput) -> usize {
    match &input.content {
        crate::Content::Text { text, .. } => text.len(),
        crate::Content::Bytes { bytes, .. } => bytes.len(),
    }
}
