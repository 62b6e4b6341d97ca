//! Checking: the catalogue against itself, snapshots against their digests and against the catalogue, passage by passage, and
//! what is served against what is stored; and rebuilding what the catalogue can replace.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use roaring::RoaringBitmap;
use serde::Serialize;

use super::Inner;
use crate::RetrieverError;
use crate::index::IndexedPassage;
use crate::index::publish::Published;
use crate::index::snapshot::{self, Snapshot};
use crate::index::text::Terms;
use crate::index::vector::{Block, Vector};

/// What a check found. Nothing is wrong when `problems` is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Live documents.
    pub documents: usize,
    /// Live passages.
    pub passages: u64,
    /// Snapshots whose digests and passages were compared.
    pub snapshots: usize,
    /// What is wrong, and with what.
    pub problems: Vec<String>,
    /// What was wrong and has been rebuilt from the catalogue.
    pub repaired: Vec<String>,
}

/// Two indexes of the same passages, to be held against the catalogue.
struct Indexes<'a> {
    text: HashMap<u32, Terms>,
    vectors: Vec<&'a Block>,
    keys: &'a RoaringBitmap,
    /// Passages of which the text index has other words, and the vector index another vector.
    other_words: Vec<u32>,
    other_vector: Vec<u32>,
}

impl<'a> Indexes<'a> {
    fn new(text: HashMap<u32, Terms>, vectors: Vec<&'a Block>, keys: &'a RoaringBitmap) -> Self {
        Self {
            text,
            vectors,
            keys,
            other_words: Vec::new(),
            other_vector: Vec::new(),
        }
    }

    fn compare(&mut self, passage: &IndexedPassage) {
        let key = passage.key;
        if !self.keys.contains(key) {
            return;
        }
        if self.text.get(&key) != Some(&Terms::of_words(&passage.words)) {
            self.other_words.push(key);
        }
        let stored = Some(&passage.vector).filter(|vector| !vector.is_none());
        let held: Option<Vector> = self.vectors.iter().find_map(|block| block.vector(key));
        if held.as_ref() != stored {
            self.other_vector.push(key);
        }
    }

    /// Whether both indexes hold the passages that they are said to hold.
    fn is_of_its_keys(&self) -> bool {
        let rows = self.vectors.iter().flat_map(|block| block.keys());
        self.text.len() as u64 == self.keys.len()
            && self.text.keys().all(|key| self.keys.contains(*key))
            && rows.into_iter().all(|key| self.keys.contains(*key))
    }
}

impl Inner {
    pub(super) fn verify(&self) -> Result<VerifyReport, RetrieverError> {
        let _nothing_is_removed = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut report = VerifyReport {
            problems: told(self.catalogue.check()),
            ..VerifyReport::default()
        };
        for number in snapshot::list(&self.generations)? {
            report.snapshots += 1;
            report.problems.extend(told(self.check_snapshot(number)));
        }
        report
            .problems
            .extend(told(self.catalogue.check_documents()));
        report.problems.extend(told(self.check_delta()));
        if let Err(error) = self.verify_served(&mut report) {
            report.problems.push(in_words(&error));
        }
        Ok(report)
    }

    /// Rebuilds from the catalogue what can be rebuilt, if anything is wrong, and says what then still is.
    pub(super) fn repair(&self) -> Result<VerifyReport, RetrieverError> {
        let before = self.verify()?;
        if before.problems.is_empty() {
            return Ok(before);
        }
        let served = {
            let _one_at_a_time = self
                .snapshots
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let serving = self.serving_snapshot();
            let mut served = None;
            for number in snapshot::list(&self.generations)? {
                if told(self.check_snapshot(number)).is_empty() {
                    continue;
                }
                if serving == Some(number) {
                    // It goes once another one serves.
                    served = serving;
                } else {
                    snapshot::remove(&self.generations, number)?;
                }
            }
            served
        };
        let rebuilt = self.rebuild();
        if rebuilt.is_ok()
            && let Some(served) = served
            && snapshot::list(&self.generations)?.contains(&served)
        {
            snapshot::remove(&self.generations, served)?;
        }
        let mut after = self.verify()?;
        if let Err(error) = rebuilt {
            after.problems.push(in_words(&error));
        }
        let left = &after.problems;
        after.repaired = before
            .problems
            .into_iter()
            .filter(|problem| !left.contains(problem))
            .collect();
        Ok(after)
    }

    /// A snapshot's files against their digests, and its passages against those of the catalogue. What has gone from the catalogue
    /// since has nothing to be compared with; it is masked, and leaves with the next snapshot.
    fn check_snapshot(&self, number: u64) -> Result<Vec<String>, RetrieverError> {
        let folder = self.generations.join(number.to_string());
        let manifest = snapshot::verify(&folder)?;
        self.fits(&manifest)?;
        let pipeline = self.stored_pipeline(|known| known.fingerprint == manifest.pipeline)?;
        let wrong = |problem: String| format!("the snapshot of generation {number}: {problem}");
        let Some(pipeline) = pipeline else {
            let made_by = &manifest.pipeline;
            return Ok(vec![wrong(format!(
                "an unknown pipeline made it: `{made_by}`"
            ))]);
        };
        let snapshot = Snapshot::load(&folder, false)?;
        let text = snapshot.text.contents()?;
        let mut indexes = Indexes::new(text, vec![&snapshot.vectors], &snapshot.keys);
        let mut problems = Vec::new();
        if !indexes.is_of_its_keys() {
            problems.push("its indexes hold other passages than it says".to_owned());
        }
        self.catalogue.each_passage(
            pipeline.number,
            manifest.dimensions,
            &mut |_| Ok(()),
            &mut |passage| {
                indexes.compare(&passage);
                Ok(())
            },
        )?;
        problems.extend(self.named(&indexes)?);
        Ok(problems.into_iter().map(wrong).collect())
    }

    /// What is in memory beside the snapshot against the catalogue.
    fn check_delta(&self) -> Result<Vec<String>, RetrieverError> {
        let published = self.current.load();
        let delta = &published.delta;
        let Some(text) = &delta.text else {
            return Ok(Vec::new());
        };
        let vectors = delta.vectors.iter().map(Arc::as_ref).collect();
        let mut indexes = Indexes::new(text.contents()?, vectors, &delta.keys);
        let mut problems = Vec::new();
        if !indexes.is_of_its_keys() {
            problems.push("its indexes hold other passages than it says".to_owned());
        }
        let dimensions = published.pipeline.embedder.dimensions();
        let stored = self
            .catalogue
            .indexed_passages(delta.keys.iter(), dimensions)?;
        for passage in &stored {
            indexes.compare(passage);
        }
        problems.extend(self.named(&indexes)?);
        let wrong = |problem| format!("what was written since the snapshot: {problem}");
        Ok(problems.into_iter().map(wrong).collect())
    }

    /// What was found different, each with a document that it is so of.
    fn named(&self, indexes: &Indexes<'_>) -> Result<Vec<String>, RetrieverError> {
        let mut problems = Vec::new();
        for (what, keys) in [
            ("words", &indexes.other_words),
            ("vectors", &indexes.other_vector),
        ] {
            let Some(first) = keys.first() else { continue };
            let row = self.catalogue.passage_rows(&[*first])?.pop().flatten();
            let such_as = row.map_or_else(String::new, |row| {
                format!(", such as of `{}`", row.document)
            });
            let count = keys.len();
            problems.push(format!(
                "the {what} of {count} passages are not those of the catalogue{such_as}"
            ));
        }
        Ok(problems)
    }

    /// Compares what is served with the catalogue.
    fn verify_served(&self, report: &mut VerifyReport) -> Result<(), RetrieverError> {
        // The lock keeps writers out, so that catalogue and publication are of one moment.
        let _nothing_is_written = self.lock_writing();
        let published = self.current.load();
        let (generation, entries) = self.catalogue.documents(published.pipeline.number)?;
        let problems = &mut report.problems;
        if generation != published.generation {
            problems.push(format!(
                "the catalogue is at generation {generation}, searches at {}",
                published.generation
            ));
        }
        for entry in &entries {
            let served = published.roster.get(&entry.document.id);
            if served.is_none_or(|served| **served != *entry) {
                problems.push(format!("`{}` is not served as stored", entry.document.id));
            }
        }
        if published.roster.documents() > entries.len() {
            problems.push("documents are served that the catalogue does not hold".to_owned());
        }
        let unserved = unserved(&published);
        if !unserved.is_empty() {
            problems.push(format!("{} passages are in no index", unserved.len()));
        }
        report.documents = entries.len();
        report.passages = published.roster.live().len();
        Ok(())
    }
}

/// Live passages that neither the snapshot nor the delta holds.
fn unserved(published: &Published) -> RoaringBitmap {
    let live = published.roster.live() - &published.delta.keys;
    match &published.base {
        Some(base) => live - &base.keys,
        None => live,
    }
}

/// What a check found, or that it could not be made: a damaged file is a finding, not a failure.
fn told(checked: Result<Vec<String>, RetrieverError>) -> Vec<String> {
    checked.unwrap_or_else(|error| vec![in_words(&error)])
}

fn in_words(error: &RetrieverError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
