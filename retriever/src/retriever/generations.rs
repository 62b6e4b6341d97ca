//! Snapshots: writing new ones, choosing which serves, and removing old ones.

use std::sync::{Arc, PoisonError};

use serde::Serialize;

use super::Inner;
use crate::catalogue::{Serving, StoredPipeline};
use crate::index::publish::Published;
use crate::index::snapshot::{self, Manifest, Plan, Snapshot};
use crate::pipeline::Pipeline;
use crate::{RetrieverError, Timestamp};

/// A snapshot that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GenerationInfo {
    /// The catalogue's generation that it holds.
    pub number: u64,
    /// Whether searches use it.
    pub active: bool,
    /// When it was written.
    pub created_at: Timestamp,
    /// Passages in it, also those that are gone since.
    pub passages: u64,
    /// Fingerprint of the pipeline that made it.
    pub pipeline: String,
}

impl Inner {
    pub(super) fn generations(&self) -> Result<Vec<GenerationInfo>, RetrieverError> {
        let mut infos = Vec::new();
        for number in snapshot::list(&self.generations)? {
            let manifest = snapshot::read_manifest(&self.generations.join(number.to_string()))?;
            infos.push(self.info(manifest));
        }
        Ok(infos)
    }

    fn info(&self, manifest: Manifest) -> GenerationInfo {
        let serving = self.serving_snapshot();
        GenerationInfo {
            number: manifest.generation,
            active: serving == Some(manifest.generation),
            created_at: manifest.created_at,
            passages: manifest.passages,
            pipeline: manifest.pipeline,
        }
    }

    pub(super) fn serving_snapshot(&self) -> Option<u64> {
        let published = self.current.load();
        published.base.as_ref().map(|base| base.manifest.generation)
    }

    pub(super) fn rebuild(&self) -> Result<GenerationInfo, RetrieverError> {
        if self.current.load().pipeline.number != self.configured.number {
            self.build()?;
            return self.active();
        }
        // A snapshot has the number of its generation: a rebuild without changes needs a new one.
        self.count_a_generation()?;
        self.compact()?;
        self.active()
    }

    /// Counts a generation in which nothing has changed.
    pub(super) fn count_a_generation(&self) -> Result<(), RetrieverError> {
        let delta = self.lock_writing();
        let generation = self.catalogue.write(|written| Ok(written.generation))?;
        let now = self.current.load();
        self.current
            .store(now.renewed(generation, now.roster.clone(), delta.view()));
        Ok(())
    }

    fn active(&self) -> Result<GenerationInfo, RetrieverError> {
        let published = self.current.load();
        match &published.base {
            Some(base) => Ok(self.info(base.manifest.clone())),
            None => Err(RetrieverError::UnknownGeneration {
                wanted: published.generation,
                kept: Vec::new(),
            }),
        }
    }

    /// Writes a snapshot of the catalogue as it is, serves from it, and removes those that are not kept.
    pub(super) fn compact(&self) -> Result<(), RetrieverError> {
        let _one_at_a_time = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.compact_alone()
    }

    /// As [`Self::compact`], while a pipeline is being built, which may hold the lock already.
    pub(super) fn compact_beside_a_build(&self) -> Result<(), RetrieverError> {
        match self.snapshots.try_lock() {
            Ok(_one_at_a_time) => self.compact_alone(),
            Err(_) => Ok(()),
        }
    }

    /// With the lock of snapshots held.
    fn compact_alone(&self) -> Result<(), RetrieverError> {
        self.wanted.compaction_begins();
        self.compact_now()
            .inspect_err(|_| self.wanted.purge_at(std::time::Instant::now()))
    }

    fn compact_now(&self) -> Result<(), RetrieverError> {
        let pipeline = Arc::clone(&self.current.load().pipeline);
        let dimensions = pipeline.embedder.dimensions();
        // This generation's snapshot may be another than the one that serves: that of another pipeline, or one that was gone back from.
        // Without a new one, what serves would hold what was deleted until the next write.
        if self.serves_what_was_deleted()?
            && self
                .generations
                .join(self.current.load().generation.to_string())
                .exists()
        {
            self.count_a_generation()?;
        }
        // The generation is certain only inside the catalogue's transaction: look first, and look again there.
        let wanted = self.current.load().generation;
        if !self.generations.join(wanted.to_string()).exists()
            && let Some(number) =
                self.write_snapshot(pipeline.number, &pipeline.fingerprint, dimensions)?
        {
            self.serve(Arc::new(self.load_snapshot(number)?))?;
        }
        self.prune()
    }

    /// Whether the snapshot that serves was written before a deletion that is not purged.
    fn serves_what_was_deleted(&self) -> Result<bool, RetrieverError> {
        let serving = self.serving_snapshot();
        let deleted = self.catalogue.unpurged()?;
        Ok(deleted.is_some_and(|deleted| serving.is_some_and(|number| number < deleted)))
    }

    pub(super) fn load_snapshot(&self, number: u64) -> Result<Snapshot, RetrieverError> {
        Snapshot::load(&self.generations.join(number.to_string()), false)
    }

    /// Writes what a pipeline has cut; `None` when there is a snapshot of this generation already.
    pub(super) fn write_snapshot(
        &self,
        pipeline: u32,
        fingerprint: &str,
        dimensions: usize,
    ) -> Result<Option<u64>, RetrieverError> {
        let stop = || self.wanted.stopping();
        let mut number = 0;
        let mut exists = false;
        let plan = Plan {
            generations: &self.generations,
            pipeline: fingerprint,
            catalogue: self.catalogue.id(),
            dimensions,
            stop: &stop,
        };
        let mut building = snapshot::Building::start(&plan)?;
        self.catalogue.each_passage(
            pipeline,
            dimensions,
            &mut |generation| {
                number = generation;
                exists = self.generations.join(generation.to_string()).exists();
                Ok(())
            },
            &mut |passage| building.add(&passage),
        )?;
        if exists {
            return Ok(None);
        }
        building.finish(number)?;
        Ok(Some(number))
    }

    /// Refuses a snapshot that cannot be of this catalogue.
    pub(super) fn fits(&self, manifest: &Manifest) -> Result<(), RetrieverError> {
        match manifest.misfit(self.catalogue.id(), self.catalogue.generation()?) {
            None => Ok(()),
            Some(problem) => Err(RetrieverError::Snapshot {
                generation: manifest.generation,
                problem,
            }),
        }
    }

    /// Serves from a snapshot of the pipeline that serves.
    fn serve(&self, base: Arc<Snapshot>) -> Result<(), RetrieverError> {
        let number = base.manifest.generation;
        let mut delta = self.lock_writing();
        let now = self.current.load();
        *delta = self.new_delta(&now.roster, Some(&base), &now.pipeline)?;
        self.catalogue.set_serving(Serving {
            pipeline: now.pipeline.number,
            snapshot: number,
            ..self.catalogue.serving()?
        })?;
        self.current.store(Published::new(
            now.generation,
            now.roster.clone(),
            Some(base),
            delta.view(),
            Arc::clone(&now.pipeline),
        ));
        Ok(())
    }

    /// Removes snapshots that are too many or hold what was deleted, forgets pipelines that no snapshot is kept of, and notes what
    /// is gone for good.
    pub(super) fn prune(&self) -> Result<(), RetrieverError> {
        let unpurged = self.catalogue.unpurged()?;
        let serving = self.catalogue.serving()?;
        let pipelines = self.catalogue.pipelines()?;
        let kept_snapshots = self.settings.compaction.kept_snapshots.max(1);
        for pipeline in &pipelines {
            // One of each pipeline that one can change to at once.
            let can_return = [serving.previous, serving.left].contains(&pipeline.number);
            let kept = if pipeline.number == serving.pipeline {
                kept_snapshots
            } else {
                if can_return {
                    self.rewrite_without_deleted(pipeline, unpurged)?;
                }
                usize::from(can_return)
            };
            self.prune_pipeline(pipeline, kept, unpurged)?;
            let forgotten = kept == 0 && pipeline.number != self.configured.number;
            if forgotten {
                let stop = || self.wanted.stopping();
                self.catalogue.forget_pipeline(pipeline.number, &stop)?;
            }
        }
        self.note_purge(unpurged)
    }

    /// The manifests of a pipeline's snapshots, by number.
    fn snapshots_of(&self, fingerprint: &str) -> Result<Vec<Manifest>, RetrieverError> {
        let manifests = snapshot::list(&self.generations)?
            .into_iter()
            .filter_map(|number| {
                snapshot::read_manifest(&self.generations.join(number.to_string())).ok()
            });
        Ok(manifests
            .filter(|manifest| manifest.pipeline == fingerprint)
            .collect())
    }

    fn prune_pipeline(
        &self,
        pipeline: &StoredPipeline,
        kept: usize,
        unpurged: Option<u64>,
    ) -> Result<(), RetrieverError> {
        let active = self.serving_snapshot();
        let manifests = self.snapshots_of(&pipeline.fingerprint)?;
        let excess = manifests.len().saturating_sub(kept);
        for (position, manifest) in manifests.iter().enumerate() {
            let number = manifest.generation;
            let holds_deleted = unpurged.is_some_and(|deleted| number < deleted);
            if Some(number) != active && (position < excess || holds_deleted) {
                snapshot::remove(&self.generations, number)?;
            }
        }
        Ok(())
    }

    /// Writes the snapshot of a pipeline that is kept for going back anew when it holds what was deleted.
    fn rewrite_without_deleted(
        &self,
        pipeline: &StoredPipeline,
        unpurged: Option<u64>,
    ) -> Result<(), RetrieverError> {
        let newest = self.snapshots_of(&pipeline.fingerprint)?.pop();
        if let (Some(newest), Some(deleted)) = (newest, unpurged)
            && newest.generation < deleted
        {
            self.count_a_generation()?;
            self.write_snapshot(pipeline.number, &pipeline.fingerprint, newest.dimensions)?;
        }
        Ok(())
    }

    fn note_purge(&self, unpurged: Option<u64>) -> Result<(), RetrieverError> {
        let Some(deleted) = unpurged else {
            // Texts that were replaced stay in the file and its log until both are wiped. While a reader needs it, the next time will do.
            if !self.catalogue.wipe()? {
                tracing::debug!("the catalogue's log is in use and was not emptied");
            }
            return Ok(());
        };
        let clean = self
            .serving_snapshot()
            .is_none_or(|number| number >= deleted);
        if clean && self.catalogue.wipe()? {
            self.catalogue.mark_purged(deleted)?;
        } else {
            let delay = self.settings.compaction.purge_delay;
            self.wanted.purge_at(std::time::Instant::now() + delay);
        }
        Ok(())
    }

    pub(super) fn activate(&self, number: u64) -> Result<GenerationInfo, RetrieverError> {
        let _one_at_a_time = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let kept = snapshot::list(&self.generations)?;
        if !kept.contains(&number) {
            return Err(RetrieverError::UnknownGeneration {
                wanted: number,
                kept,
            });
        }
        let base = Arc::new(Snapshot::load(
            &self.generations.join(number.to_string()),
            true,
        )?);
        self.fits(&base.manifest)?;
        let now = self.current.load();
        if base.manifest.pipeline == now.pipeline.fingerprint {
            self.serve(base)?;
            return self.active();
        }
        let target = self.pipeline_of(&base.manifest)?;
        // Most of what it has not cut is done while writers go on.
        self.cut_all(&target, &|| self.wanted.stopping())?;
        let configured = self.configured.number;
        let left = if target.number == configured {
            0
        } else {
            configured
        };
        self.change_to(&target, Some(base), left)?;
        self.active()
    }

    fn pipeline_of(&self, manifest: &Manifest) -> Result<Arc<Pipeline>, RetrieverError> {
        let stored = self.stored_pipeline(|stored| stored.fingerprint == manifest.pipeline)?;
        let refused = |problem: String| RetrieverError::Snapshot {
            generation: manifest.generation,
            problem,
        };
        let stored = stored.ok_or_else(|| {
            refused(format!(
                "an unknown pipeline made it: `{}`",
                manifest.pipeline
            ))
        })?;
        self.pipeline(stored.number)
            .map_err(|error| refused(error.to_string()))
    }

    /// To the pipeline that served before, if one is kept; else to the snapshot before the present one.
    pub(super) fn rollback(&self) -> Result<GenerationInfo, RetrieverError> {
        let previous = self.catalogue.serving()?.previous;
        let of_previous = self.stored_pipeline(|pipeline| pipeline.number == previous)?;
        if let Some(pipeline) = of_previous
            && let Some(newest) = self.snapshots_of(&pipeline.fingerprint)?.pop()
        {
            let back = self.activate(newest.generation)?;
            // Going back once more must not go forth.
            self.catalogue.set_serving(Serving {
                previous: 0,
                ..self.catalogue.serving()?
            })?;
            return Ok(back);
        }
        let serving = self.serving_snapshot();
        let fingerprint = self.current.load().pipeline.fingerprint.clone();
        let mut before = self.snapshots_of(&fingerprint)?;
        before.retain(|manifest| serving.is_some_and(|serving| manifest.generation < serving));
        match before.pop() {
            Some(before) => self.activate(before.generation),
            None => Err(RetrieverError::NoEarlierSnapshot {
                kept: snapshot::list(&self.generations)?,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::CompactionSettings;
    use crate::{Access, Content, DocumentId, DocumentInput, Retriever, RetrieverSettings};

    #[test]
    fn a_deletion_is_purged_though_its_snapshot_was_written_and_never_served() {
        let folder = tempfile::tempdir().unwrap();
        let settings = RetrieverSettings {
            compaction: CompactionSettings {
                automatic: false,
                ..CompactionSettings::default()
            },
            ..RetrieverSettings::default()
        };
        let retriever = Retriever::open(folder.path(), settings.clone()).unwrap();
        let id = DocumentId::new("gone").unwrap();
        for id in [&id, &DocumentId::new("stays").unwrap()] {
            let input = DocumentInput::new(id.clone(), Content::text(format!("walrus {id}")));
            retriever.put(input).unwrap();
        }
        let before = retriever.rebuild().unwrap().number;
        retriever.delete(&id, &Access::admin()).unwrap();
        let pipeline = &retriever.inner.configured;
        let written = retriever
            .inner
            .write_snapshot(
                pipeline.number,
                &pipeline.fingerprint,
                pipeline.embedder.dimensions(),
            )
            .unwrap();
        assert!(written.is_some_and(|written| written > before));
        drop(retriever);

        // As after a kill between writing and serving it.
        let retriever = Retriever::open(folder.path(), settings).unwrap();
        assert_eq!(retriever.statistics().snapshot, Some(before));
        retriever.inner.compact().unwrap();
        assert!(retriever.statistics().snapshot > written);
        assert_eq!(retriever.inner.catalogue.unpurged().unwrap(), None);
        let text = ["walrus gone".to_owned()];
        let report = retriever.verify_erased(&id, &text).unwrap();
        assert!(report.erased, "{:?}", report.problems);
    }
}
