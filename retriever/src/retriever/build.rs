//! Another pipeline beside the one that serves: cut and embedded in the background, then put in its place as a whole.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use super::{Building, Inner};
use crate::catalogue::{self, NewContent, Serving, StoredPipeline};
use crate::index::publish::Published;
use crate::index::roster::{Entry, Roster};
use crate::index::snapshot::Snapshot;
use crate::pipeline::Pipeline;
use crate::{DocumentId, RetrieverError, ingest};

/// Documents that are cut between two looks at what else is due.
const BATCH: usize = 64;
/// With so few left to cut, the rest is done while writers wait.
const FEW: usize = 16;
/// After so many passes writers wait in any case, lest they stay ahead for ever.
const PASSES: usize = 8;

impl Inner {
    /// The pipeline of a number, loaded.
    pub(super) fn pipeline(&self, number: u32) -> Result<Arc<Pipeline>, RetrieverError> {
        let serving = Arc::clone(&self.current.load().pipeline);
        for loaded in [&serving, &self.configured] {
            if loaded.number == number {
                return Ok(Arc::clone(loaded));
            }
        }
        let stored = self.stored_pipeline(|stored| stored.number == number)?;
        let stored = stored.ok_or_else(|| RetrieverError::Embedder {
            problem: format!("pipeline `{number}` is not kept"),
        })?;
        Pipeline::load(stored, &self.settings).map(Arc::new)
    }

    /// The first pipeline that the catalogue knows and that is wanted.
    pub(super) fn stored_pipeline(
        &self,
        wanted: impl Fn(&StoredPipeline) -> bool,
    ) -> Result<Option<StoredPipeline>, RetrieverError> {
        Ok(self.catalogue.pipelines()?.into_iter().find(wanted))
    }

    /// How far the pipeline of the settings is, if another one serves.
    pub(super) fn building(&self, published: &Published) -> Option<Building> {
        if published.pipeline.number == self.configured.number {
            return None;
        }
        let left = self.catalogue.serving().map(|serving| serving.left);
        Some(Building {
            pipeline: self.configured.fingerprint.clone(),
            documents: self
                .catalogue
                .cut_documents(self.configured.number)
                .unwrap_or_default(),
            goes_on: left.is_ok_and(|left| left != self.configured.number),
        })
    }

    /// Builds the pipeline of the settings, and serves from it. Ends early, without an error, when the retriever closes.
    pub(super) fn build(&self) -> Result<(), RetrieverError> {
        let stop = || self.wanted.stopping();
        let target = &self.configured;
        if self.current.load().pipeline.number == target.number {
            return Ok(());
        }
        for _ in 0..PASSES {
            let cut = self.cut_all(target, &stop)?;
            if stop() {
                return Ok(());
            }
            if cut <= FEW {
                break;
            }
        }
        let _one_at_a_time = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.keep_a_way_back()?;
        self.count_a_generation()?;
        let number = self.write_snapshot(
            target.number,
            &target.fingerprint,
            target.embedder.dimensions(),
        )?;
        let base = match number {
            Some(number) => Some(Arc::new(self.load_snapshot(number)?)),
            None => None,
        };
        self.change_to(target, base, 0)?;
        tracing::info!(pipeline = %target.fingerprint, "the new passages and vectors serve");
        self.prune()
    }

    /// Few passages serve from memory alone; to go back to them later there must be a snapshot.
    fn keep_a_way_back(&self) -> Result<(), RetrieverError> {
        let serving = self.current.load();
        if serving.base.is_none() {
            let pipeline = &serving.pipeline;
            let dimensions = pipeline.embedder.dimensions();
            self.write_snapshot(pipeline.number, &pipeline.fingerprint, dimensions)?;
        }
        Ok(())
    }

    /// Serves another pipeline: what it has not cut yet is cut while writers wait, then all of it takes the place of what served.
    pub(super) fn change_to(
        &self,
        target: &Arc<Pipeline>,
        base: Option<Arc<Snapshot>>,
        left: u32,
    ) -> Result<(), RetrieverError> {
        let mut delta = self.lock_writing();
        self.cut_all(target, &|| false)?;
        let (generation, entries) = self.catalogue.documents(target.number)?;
        let roster = Roster::of(entries);
        let new = self.new_delta(&roster, base.as_deref(), target)?;
        self.catalogue.set_serving(Serving {
            pipeline: target.number,
            snapshot: base.as_ref().map_or(0, |base| base.manifest.generation),
            previous: self.current.load().pipeline.number,
            left,
        })?;
        *delta = new;
        let pipeline = Arc::clone(target);
        self.current.store(Published::new(
            generation,
            roster,
            base,
            delta.view(),
            pipeline,
        ));
        Ok(())
    }

    /// Cuts and embeds every document that a pipeline has not cut yet, and says how many those were. A deletion that is to be
    /// purged meanwhile is not kept waiting.
    pub(super) fn cut_all(
        &self,
        pipeline: &Pipeline,
        stop: &dyn Fn() -> bool,
    ) -> Result<usize, RetrieverError> {
        let (mut after, mut cut) = (0, 0);
        loop {
            let found = self.catalogue.uncut(pipeline.number, after, BATCH)?;
            let Some((last, _)) = found.last() else {
                return Ok(cut);
            };
            if stop() {
                return Ok(cut);
            }
            // What is damaged stays uncut, and is not tried again in this pass.
            after = *last;
            let ids: Vec<_> = found.into_iter().map(|(_, id)| id).collect();
            cut += self.cut(&ids, pipeline)?;
            if self.wanted.purge_is_due() {
                self.compact_beside_a_build()?;
            }
        }
    }

    /// Cuts stored documents for a pipeline, without changing what is said about them.
    fn cut(&self, ids: &[DocumentId], pipeline: &Pipeline) -> Result<usize, RetrieverError> {
        let mut entries: HashMap<DocumentId, Entry> = self.catalogue.entries(ids)?;
        let mut cuts = Vec::with_capacity(ids.len());
        for id in ids {
            let stored = match self.catalogue.text(id, |_, _| true) {
                Err(RetrieverError::Storage { source, .. }) if catalogue::is_damage(&source) => {
                    tracing::error!(document = %id, error = %source, "not cut: its text is damaged; delete it and put it again");
                    None
                }
                read => read?,
            };
            let (Some(entry), Some(stored)) = (entries.remove(id), stored) else {
                continue;
            };
            let passages = ingest::cut_and_embed(
                &stored.text,
                &stored.outline,
                entry.document.title.as_deref(),
                pipeline,
                &self.settings.limits,
            )?;
            cuts.push((entry, stored, passages));
        }
        self.catalogue.write_unseen(|written| {
            let mut done = 0;
            for (entry, stored, passages) in &cuts {
                let content = NewContent {
                    text: &stored.text,
                    outline: &stored.outline,
                    content_hash: &entry.content_hash,
                    passages,
                };
                // It may have been replaced or deleted meanwhile.
                let is_there = written.put_cut(&entry.document.id, content, pipeline.number)?;
                done += usize::from(is_there);
            }
            Ok(done)
        })
    }
}
