//! Snapshots: writing new ones, choosing which serves, removing old ones, and checking them all.

use std::sync::{Arc, PoisonError};

use serde::Serialize;

use super::Inner;
use crate::index::snapshot::{self, Manifest, Plan, Snapshot};
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

/// What a check found. Nothing is wrong when `problems` is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Live documents.
    pub documents: usize,
    /// Live passages.
    pub passages: u64,
    /// Snapshots whose digests were compared.
    pub snapshots: usize,
    /// What is wrong, and with what.
    pub problems: Vec<String>,
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
        let serving = self.serving();
        GenerationInfo {
            number: manifest.generation,
            active: serving == Some(manifest.generation),
            created_at: manifest.created_at,
            passages: manifest.passages,
            pipeline: manifest.pipeline,
        }
    }

    fn serving(&self) -> Option<u64> {
        let published = self.current.load();
        published.base.as_ref().map(|base| base.manifest.generation)
    }

    pub(super) fn rebuild(&self) -> Result<GenerationInfo, RetrieverError> {
        // A snapshot has the number of its generation: a rebuild without changes needs a new one.
        {
            let delta = self.lock_writing();
            let generation = self
                .catalogue
                .write(&self.content_pipeline, |written| Ok(written.generation))?;
            let now = self.current.load();
            self.current.store(crate::index::publish::Published::new(
                generation,
                now.roster.clone(),
                now.base.clone(),
                delta.view(),
            ));
        }
        self.compact()?;
        self.active()
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
        self.wanted.compaction_begins();
        self.compact_now()
            .inspect_err(|_| self.wanted.purge_at(std::time::Instant::now()))
    }

    fn compact_now(&self) -> Result<(), RetrieverError> {
        if let Some(number) = self.write_snapshot()? {
            let folder = self.generations.join(number.to_string());
            let base = Arc::new(Snapshot::load(&folder, false)?);
            self.serve(base)?;
        }
        self.prune()
    }

    /// `None` when the snapshot of this generation is there already.
    fn write_snapshot(&self) -> Result<Option<u64>, RetrieverError> {
        let dimensions = self.embedder.dimensions();
        let stop = || self.wanted.stopping();
        let mut number = 0;
        let mut exists = false;
        // The generation is certain only inside the catalogue's transaction: look first, and look again there.
        let wanted = self.current.load().generation;
        if self.generations.join(wanted.to_string()).exists() {
            return Ok(None);
        }
        let plan = Plan {
            generations: &self.generations,
            pipeline: &self.index_pipeline,
            catalogue: self.catalogue.id(),
            dimensions,
            stop: &stop,
        };
        let mut building = snapshot::Building::start(&plan)?;
        self.catalogue.each_passage(
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

    fn serve(&self, base: Arc<Snapshot>) -> Result<(), RetrieverError> {
        let number = base.manifest.generation;
        let mut delta = self.lock_writing();
        let now = self.current.load();
        *delta = self.new_delta(&now.roster, Some(&base))?;
        self.catalogue.set_active_snapshot(number)?;
        self.current.store(crate::index::publish::Published::new(
            now.generation,
            now.roster.clone(),
            Some(base),
            delta.view(),
        ));
        Ok(())
    }

    /// Removes snapshots that are too many or hold what was deleted, and notes what is gone for good.
    fn prune(&self) -> Result<(), RetrieverError> {
        let unpurged = self.catalogue.unpurged()?;
        let serving = self.serving();
        let numbers = snapshot::list(&self.generations)?;
        let excess = numbers
            .len()
            .saturating_sub(self.settings.compaction.kept_snapshots.max(1));
        for (position, number) in numbers.iter().enumerate() {
            let holds_deleted = unpurged.is_some_and(|deleted| *number < deleted);
            if Some(*number) != serving && (position < excess || holds_deleted) {
                snapshot::remove(&self.generations, *number)?;
            }
        }
        let Some(deleted) = unpurged else {
            // Texts that were replaced stay in the log until it is emptied. While a reader needs it, the next time will do.
            if !self.catalogue.empty_log()? {
                tracing::debug!("the catalogue's log is in use and was not emptied");
            }
            return Ok(());
        };
        let clean = serving.is_none_or(|number| number >= deleted);
        if clean && self.catalogue.empty_log()? {
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
        let base = Snapshot::load(&self.generations.join(number.to_string()), true)?;
        if base.manifest.pipeline != self.index_pipeline {
            return Err(RetrieverError::Snapshot {
                generation: number,
                problem: format!("another pipeline made it: `{}`", base.manifest.pipeline),
            });
        }
        self.fits(&base.manifest)?;
        self.serve(Arc::new(base))?;
        self.active()
    }

    pub(super) fn rollback(&self) -> Result<GenerationInfo, RetrieverError> {
        let serving = self.serving();
        let kept = snapshot::list(&self.generations)?;
        let earlier = |number: &&u64| serving.is_some_and(|serving| **number < serving);
        match kept.iter().rev().find(earlier) {
            Some(before) => self.activate(*before),
            None => Err(RetrieverError::NoEarlierSnapshot { kept }),
        }
    }

    pub(super) fn verify(&self) -> Result<VerifyReport, RetrieverError> {
        let _nothing_is_removed = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut report = VerifyReport {
            problems: self.catalogue.check()?,
            ..VerifyReport::default()
        };
        for number in snapshot::list(&self.generations)? {
            report.snapshots += 1;
            let folder = self.generations.join(number.to_string());
            let checked = snapshot::verify(&folder).and_then(|manifest| self.fits(&manifest));
            if let Err(error) = checked {
                report.problems.push(error.to_string());
            }
        }
        report.problems.extend(self.catalogue.check_documents()?);
        self.verify_served(&mut report)?;
        Ok(report)
    }

    /// Compares what is served with the catalogue.
    fn verify_served(&self, report: &mut VerifyReport) -> Result<(), RetrieverError> {
        // The lock keeps writers out, so that catalogue and publication are of one moment.
        let _nothing_is_written = self.lock_writing();
        let published = self.current.load();
        let (generation, entries) = self.catalogue.documents()?;
        if generation != published.generation {
            report.problems.push(format!(
                "the catalogue is at generation {generation}, searches at {}",
                published.generation
            ));
        }
        for entry in &entries {
            if published
                .roster
                .get(&entry.document.id)
                .is_none_or(|served| **served != *entry)
            {
                report
                    .problems
                    .push(format!("`{}` is not served as stored", entry.document.id));
            }
        }
        if published.roster.documents() > entries.len() {
            report
                .problems
                .push("documents are served that the catalogue does not hold".to_owned());
        }
        let base = published
            .base
            .as_ref()
            .map(|base| base.keys.clone())
            .unwrap_or_default();
        let unserved = published.roster.live() - (base | &published.delta.keys);
        if !unserved.is_empty() {
            report
                .problems
                .push(format!("{} passages are in no index", unserved.len()));
        }
        report.documents = entries.len();
        report.passages = published.roster.live().len();
        Ok(())
    }
}
