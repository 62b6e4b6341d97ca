//! Reports of evaluations, beside the version that they are about: `<name>/<version>.reports/<sha256>.json`.
//!
//! A version is immutable and a report comes later, so it is no part of it: it is named by its own digest, which is what a gate
//! cites. Reports are never replaced. That one is gone is noticed by whoever names it, not by [`Registry::verify`].

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::digest::{digest_of, is_digest};
use crate::error::AdapterError;
use crate::files;
use crate::name::AdapterId;
use crate::registry::Registry;
use crate::version::AdapterVersion;

pub const REPORT_BYTES_MAX: u64 = 8 << 20;
pub const REPORTS_MAX: usize = 100;

/// One report, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StoredReport {
    /// `sha256:…` of its bytes.
    pub digest: String,
    pub bytes: u64,
}

/// What [`Registry::attach_report`] found or made.
#[derive(Debug)]
pub struct AttachedReport {
    pub report: StoredReport,
    /// False when these bytes were attached to this version before.
    pub is_new: bool,
}

impl Registry {
    /// Stores a report of an evaluation of a version: a JSON object of at most [`REPORT_BYTES_MAX`], one of at most
    /// [`REPORTS_MAX`] of that version. It is there whole and for good when this returns, also after a crash.
    pub fn attach_report(
        &self,
        id: &AdapterId,
        report: &[u8],
    ) -> Result<AttachedReport, AdapterError> {
        check(report)?;
        let _copying = self.share_incoming()?;
        let _change = self.lock_changes()?;
        let version = self.show(id)?;
        let stored = StoredReport {
            digest: digest_of(report),
            bytes: report.len() as u64,
        };
        let present = version.reports()?;
        if present.iter().any(|other| other.digest == stored.digest) {
            version.report(&stored.digest)?;
            return Ok(AttachedReport {
                report: stored,
                is_new: false,
            });
        }
        if present.len() >= REPORTS_MAX {
            let found = format!("{REPORTS_MAX} of `{id}` already");
            let limit = format!("must be at most {REPORTS_MAX}");
            return Err(refused("the number of reports", found, limit));
        }
        self.place(&version, &stored, report)?;
        Ok(AttachedReport {
            report: stored,
            is_new: true,
        })
    }

    /// The bytes of one report, which have the digest that it is named by.
    pub fn report(&self, id: &AdapterId, digest: &str) -> Result<Vec<u8>, AdapterError> {
        self.show(id)?.report(digest)
    }

    fn place(
        &self,
        version: &AdapterVersion,
        stored: &StoredReport,
        report: &[u8],
    ) -> Result<(), AdapterError> {
        let folder = folder_of(version);
        fs::create_dir_all(&folder).map_err(AdapterError::io("create", &folder))?;
        if let Some(named) = folder.parent() {
            files::sync_folder(named)?;
        }
        let incoming = self.incoming();
        let copying = TempDir::new_in(&incoming)
            .map_err(AdapterError::io("create a folder in", &incoming))?;
        let name = file_name(&stored.digest);
        let written = copying.path().join(&name);
        files::write_new(&written, report)?;
        let target = folder.join(&name);
        fs::rename(&written, &target).map_err(AdapterError::io("rename to", &target))?;
        files::sync_folder(&folder)
    }
}

impl AdapterVersion {
    /// The reports of this version in the order of their digests, as their names say: [`Registry::verify`] reads them.
    pub fn reports(&self) -> Result<Vec<StoredReport>, AdapterError> {
        let folder = folder_of(self);
        let mut reports = Vec::new();
        if !folder.is_dir() {
            return Ok(reports);
        }
        for entry in fs::read_dir(&folder).map_err(AdapterError::io("list", &folder))? {
            let entry = entry.map_err(AdapterError::io("list", &folder))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let digest = digest_in(&name)
                .ok_or_else(|| self.damaged(&shown(&folder, &name), "is no report"))?;
            let metadata = entry
                .metadata()
                .map_err(AdapterError::io("read", &entry.path()))?;
            reports.push(StoredReport {
                digest,
                bytes: metadata.len(),
            });
        }
        reports.sort();
        Ok(reports)
    }

    pub(crate) fn report(&self, digest: &str) -> Result<Vec<u8>, AdapterError> {
        let not_found = || AdapterError::ReportNotFound {
            adapter: self.id(),
            digest: digest.chars().take(80).collect(),
        };
        if !is_digest(digest) {
            return Err(not_found());
        }
        let folder = folder_of(self);
        let name = file_name(digest);
        let path = folder.join(&name);
        if !files::is_there(&path) {
            return Err(not_found());
        }
        let file = shown(&folder, &name);
        let bytes = files::read_bounded(&path, REPORT_BYTES_MAX)
            .map_err(|error| self.damaged(&file, error.reason()))?;
        let found = digest_of(&bytes);
        if found != digest {
            return Err(self.damaged(&file, format!("has digest `{found}`")));
        }
        Ok(bytes)
    }

    /// Reads all reports again; the error names the first one that is not what its name says.
    pub(crate) fn verify_reports(&self) -> Result<(), AdapterError> {
        for report in self.reports()? {
            self.report(&report.digest)?;
        }
        Ok(())
    }
}

fn check(report: &[u8]) -> Result<(), AdapterError> {
    if report.len() as u64 > REPORT_BYTES_MAX {
        let found = format!("{} bytes", report.len());
        let limit = format!("must be at most {REPORT_BYTES_MAX}");
        return Err(refused("its size", found, limit));
    }
    serde_json::from_slice::<Map<String, Value>>(report)
        .map_err(|error| refused("its content", error.to_string(), "must be a JSON object"))?;
    Ok(())
}

fn refused(field: &str, found: impl Into<String>, limit: impl Into<String>) -> AdapterError {
    AdapterError::refused("report", field, found, limit)
}

/// Beside the folder of the version, under its name with `.reports` behind: no version has such a number.
fn folder_of(version: &AdapterVersion) -> PathBuf {
    let mut folder = version.folder.clone().into_os_string();
    folder.push(".reports");
    folder.into()
}

fn file_name(digest: &str) -> String {
    format!("{}.json", digest.trim_start_matches("sha256:"))
}

fn digest_in(name: &str) -> Option<String> {
    let digest = format!("sha256:{}", name.strip_suffix(".json")?);
    is_digest(&digest).then_some(digest)
}

/// As errors name it: with the folder that it lies in.
fn shown(folder: &Path, name: &str) -> String {
    let folder = folder.file_name().unwrap_or_default().to_string_lossy();
    format!("{folder}/{name}")
}
