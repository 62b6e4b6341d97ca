//! After a deletion: its receipt as it stands, and the search for what is left of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::PoisonError;

use super::Inner;
use crate::catalogue::{Backup, Deletion};
use crate::document::Purge;
use crate::erasure::{
    self, BackupHolding, DeletionReceipt, ErasureReport, Finding, PlacePurge, Search,
};
use crate::index::snapshot;
use crate::{DocumentId, RetrieverError, Timestamp};

/// Findings that are told; one is enough to know that something is left.
const MOST_FINDINGS: usize = 100;
/// Phrases of one search.
const MOST_PHRASES: usize = 100;
/// Bytes of one phrase.
const MOST_PHRASE_BYTES: usize = 64 << 10;

impl Inner {
    pub(super) fn receipt(&self, id: &DocumentId) -> Result<DeletionReceipt, RetrieverError> {
        let deletion = self.catalogue.deletion(id)?;
        let deletion = deletion.ok_or_else(|| RetrieverError::NotDeleted(id.clone()))?;
        self.receipt_of(deletion)
    }

    pub(super) fn receipt_of(&self, deletion: Deletion) -> Result<DeletionReceipt, RetrieverError> {
        let backups = self.catalogue.backups_before(deletion.generation)?;
        let backups = backups
            .into_iter()
            .map(|backup| BackupHolding {
                holds: erasure::holding(Path::new(&backup.path), &deletion.document),
                path: backup.path,
                made_at: backup.made_at,
            })
            .collect();
        let places: Vec<PlacePurge> = deletion
            .places
            .into_iter()
            .map(|(place, purged_at)| PlacePurge { place, purged_at })
            .collect();
        let receipt = DeletionReceipt {
            purge: if places.iter().all(|place| place.purged_at.is_some()) {
                Purge::Done
            } else {
                Purge::Pending
            },
            id: deletion.document,
            deleted_at: deletion.deleted_at,
            generation: deletion.generation,
            places,
            backups,
            issued_at: Timestamp::now(),
            key: String::new(),
            signature: String::new(),
        };
        Ok(receipt.sign(&self.receipt_key))
    }

    /// Notes a backup of the catalogue as of a generation.
    pub(super) fn note_backup(&self, path: String, generation: u64) -> Result<(), RetrieverError> {
        self.catalogue.note_backup(&Backup {
            path,
            made_at: Timestamp::now(),
            generation,
        })
    }

    pub(super) fn verify_erased(
        &self,
        id: &DocumentId,
        phrases: &[String],
    ) -> Result<ErasureReport, RetrieverError> {
        check_phrases(phrases)?;
        let deletion = self.catalogue.deletion(id)?;
        let mut report = ErasureReport {
            id: id.clone(),
            erased: false,
            deleted_at: deletion.as_ref().map(|deletion| deletion.deleted_at),
            problems: Vec::new(),
            findings: Vec::new(),
            pieces: 0,
            shared: 0,
            files: 0,
            bytes: 0,
            skipped: erasure::skipped(&self.data),
        };
        self.check_structure(id, deletion.as_ref(), &mut report)?;
        let search = Search::new(deletion.and_then(|deletion| deletion.trace), phrases);
        report.pieces = search.pieces();
        if search.is_empty() {
            report.problems.push(
                "there is nothing to search the files for: no digests of its text were kept, and no phrase is given"
                    .to_owned(),
            );
        }
        self.search_files(&search, &mut report)?;
        report.erased = report.problems.is_empty() && report.findings.is_empty();
        Ok(report)
    }

    /// What must be so without a look at any text.
    fn check_structure(
        &self,
        id: &DocumentId,
        deletion: Option<&Deletion>,
        report: &mut ErasureReport,
    ) -> Result<(), RetrieverError> {
        let problems = &mut report.problems;
        if self.current.load().roster.get(id).is_some() {
            problems.push("a document of this id is there".to_owned());
        }
        let rows = self.catalogue.rows_of(id)?;
        if rows > 0 {
            problems.push(format!("the catalogue holds {rows} rows of it, or of none"));
        }
        let Some(deletion) = deletion else {
            problems.push("it was never deleted".to_owned());
            return Ok(());
        };
        let waiting = deletion.places.iter().filter(|(_, at)| at.is_none());
        for (place, _) in waiting {
            problems.push(format!("`{place}` is not purged yet"));
        }
        let _nothing_is_removed = self
            .snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for number in snapshot::list(&self.generations)? {
            if number < deletion.generation {
                problems.push(format!(
                    "the snapshot of generation {number} was made before the deletion, in generation {}",
                    deletion.generation
                ));
            }
        }
        Ok(())
    }

    fn search_files(
        &self,
        search: &Search,
        report: &mut ErasureReport,
    ) -> Result<(), RetrieverError> {
        let mut findings = Vec::new();
        for path in erasure::files(&self.data)? {
            let name = path.strip_prefix(&self.data).unwrap_or(&path);
            let name = name.to_string_lossy().into_owned();
            // The same piece again and again in one file is told once.
            let mut told = BTreeSet::new();
            let size = erasure::search_file(&path, search, &mut |offset, number| {
                if told.insert(number) {
                    findings.push((name.clone(), offset, number));
                }
            })?;
            report.files += usize::from(size.is_some());
            report.bytes += size.unwrap_or(0);
        }
        let mut shared = BTreeSet::new();
        if !findings.is_empty() {
            self.catalogue.each_text(&mut |text| {
                search.find(text, &mut |_, _, number| {
                    shared.insert(number);
                });
            })?;
        }
        report.shared = shared.len();
        let own = findings
            .into_iter()
            .filter(|(.., number)| !shared.contains(number));
        report
            .findings
            .extend(own.take(MOST_FINDINGS).map(|(file, offset, number)| {
                let is_piece = number < search.pieces();
                Finding {
                    file,
                    offset,
                    what: if is_piece { "text" } else { "phrase" },
                }
            }));
        Ok(())
    }
}

fn check_phrases(phrases: &[String]) -> Result<(), RetrieverError> {
    if phrases.len() > MOST_PHRASES {
        let problem = format!("has at most {MOST_PHRASES}, got {}", phrases.len());
        return Err(RetrieverError::invalid("phrases", problem));
    }
    let long = phrases
        .iter()
        .find(|phrase| phrase.len() > MOST_PHRASE_BYTES);
    long.map_or(Ok(()), |long| {
        Err(RetrieverError::too_long(
            "phrases",
            MOST_PHRASE_BYTES,
            long.len(),
            "bytes each",
        ))
    })
}
