//! What is known of one adapter version: its manifest, and that what is stored is still what was registered.
//!
//! Beside the manifest lies `SHA256SUMS`, which `sha256sum -c` checks too: it covers the manifest, which covers the rest.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::base::BaseIdentity;
use crate::check::Lora;
use crate::digest::{canonical, digest_of, hash_file, hex_of};
use crate::error::AdapterError;
use crate::files;
use crate::name::{AdapterId, AdapterName};

pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const SUMS: &str = "SHA256SUMS";
const MANIFEST_BYTES_MAX: u64 = 4 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    pub name: String,
    /// 64 hexadecimal digits.
    pub sha256: String,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseReference {
    pub id: String,
    /// `sha256:…` of the weights that the adapter belongs to.
    pub digest: String,
}

/// One immutable version, as its `manifest.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterVersion {
    pub name: AdapterName,
    pub version: u32,
    /// UTC, RFC 3339.
    pub created_at: String,
    pub files: Vec<StoredFile>,
    pub base: BaseReference,
    pub lora: Lora,
    /// `sha256:…` of the files and the base: the same content under another name or number has the same digest.
    pub digest: String,
    /// Where it lies: a PEFT folder as the engine reads it.
    #[serde(skip)]
    pub folder: PathBuf,
}

impl AdapterVersion {
    #[must_use]
    pub fn id(&self) -> AdapterId {
        AdapterId {
            name: self.name.clone(),
            version: self.version,
        }
    }

    /// Refuses a base with other weights than the adapter was registered for.
    pub fn check_base(&self, digest: &str) -> Result<(), AdapterError> {
        if self.base.digest == digest {
            return Ok(());
        }
        Err(AdapterError::BaseMismatch {
            adapter: self.id(),
            expected: self.base.digest.clone(),
            found: digest.to_owned(),
        })
    }

    pub(crate) fn new(
        name: AdapterName,
        files: Vec<StoredFile>,
        base: &BaseIdentity,
        lora: Lora,
    ) -> Self {
        Self {
            name,
            version: 0,
            created_at: now(),
            digest: content_digest(&files, &base.digest),
            files,
            base: BaseReference {
                id: base.id.clone(),
                digest: base.digest.clone(),
            },
            lora,
            folder: PathBuf::new(),
        }
    }

    /// Writes the manifest and the sums of everything into the folder that holds the files.
    pub(crate) fn seal(&self, folder: &Path) -> Result<(), AdapterError> {
        let manifest = self.to_json();
        let mut sums = String::new();
        for file in &self.files {
            let _ = writeln!(sums, "{}  {}", file.sha256, file.name);
        }
        let _ = writeln!(sums, "{}  {MANIFEST}", hex_of(manifest.as_bytes()));
        files::write_new(&folder.join(MANIFEST), manifest.as_bytes())?;
        files::write_new(&folder.join(SUMS), sums.as_bytes())?;
        files::sync_folder(folder)
    }

    fn to_json(&self) -> String {
        format!("{:#}\n", json!(self))
    }

    pub(crate) fn read(folder: &Path, id: &AdapterId) -> Result<Self, AdapterError> {
        let path = folder.join(MANIFEST);
        let damaged = |reason: String| AdapterError::Damaged {
            adapter: id.clone(),
            file: MANIFEST.to_owned(),
            reason,
        };
        let bytes = files::read_bounded(&path, MANIFEST_BYTES_MAX)
            .map_err(|error| damaged(reason_of(&error)))?;
        let mut version: Self = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(format!("does not parse: {error}")))?;
        if version.id() != *id {
            return Err(damaged(format!("says that it is `{}`", version.id())));
        }
        folder.clone_into(&mut version.folder);
        Ok(version)
    }

    /// Reads everything that is stored again and names the first file that differs from what was registered.
    pub(crate) fn verify(&self) -> Result<(), AdapterError> {
        let damaged = |file: &str, reason: String| AdapterError::Damaged {
            adapter: self.id(),
            file: file.to_owned(),
            reason,
        };
        let sums_path = self.folder.join(SUMS);
        let sums = files::read_bounded(&sums_path, MANIFEST_BYTES_MAX)
            .map_err(|error| damaged(SUMS, reason_of(&error)))?;
        let mut expected = String::new();
        for file in &self.files {
            let path = self.folder.join(&file.name);
            let (hash, bytes) = hash_file(&path)
                .map_err(|error| damaged(&file.name, format!("cannot be read: {error}")))?;
            if (&hash, bytes) != (&file.sha256, file.bytes) {
                return Err(damaged(
                    &file.name,
                    format!(
                        "has sha256 {hash} and {bytes} bytes, registered with {} and {}",
                        file.sha256, file.bytes
                    ),
                ));
            }
            let _ = writeln!(expected, "{hash}  {}", file.name);
        }
        let manifest = self.folder.join(MANIFEST);
        let (hash, _) = hash_file(&manifest)
            .map_err(|error| damaged(MANIFEST, format!("cannot be read: {error}")))?;
        let listed = String::from_utf8_lossy(&sums);
        if !listed
            .lines()
            .any(|line| line == format!("{hash}  {MANIFEST}"))
        {
            let reason = format!("has sha256 {hash}, which `{SUMS}` does not list");
            return Err(damaged(MANIFEST, reason));
        }
        let _ = writeln!(expected, "{hash}  {MANIFEST}");
        if *listed != expected {
            return Err(damaged(SUMS, "differs from the manifest".to_owned()));
        }
        if self.digest != content_digest(&self.files, &self.base.digest) {
            return Err(damaged(
                MANIFEST,
                "has a digest that is not that of its files and base".to_owned(),
            ));
        }
        self.refuse_strangers()
            .map_err(|(file, reason)| damaged(&file, reason))
    }

    fn refuse_strangers(&self) -> Result<(), (String, String)> {
        let mut known: BTreeSet<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        known.extend([MANIFEST, SUMS]);
        let unreadable =
            |error: std::io::Error| (".".to_owned(), format!("cannot be listed: {error}"));
        for entry in fs::read_dir(&self.folder).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            let name = name.to_string_lossy();
            if !known.contains(&*name) {
                return Err((name.into_owned(), "was not registered".to_owned()));
            }
        }
        Ok(())
    }
}

fn content_digest(files: &[StoredFile], base_digest: &str) -> String {
    let content = json!({ "base": base_digest, "files": files });
    digest_of(canonical(&content).as_bytes())
}

fn reason_of(error: &AdapterError) -> String {
    match error {
        AdapterError::Io { source, .. } => format!("cannot be read: {source}"),
        other => other.to_string(),
    }
}

/// Now, in UTC, to the second, as RFC 3339 writes it.
pub(crate) fn now() -> String {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    rfc3339(elapsed.as_secs())
}

/// Days to a civil date by Howard Hinnant's `civil_from_days` (chrono-Compatible Low-Level Date Algorithms), from 1970 on.
fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_calendar_says() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_735_689_599), "2024-12-31T23:59:59Z");
        assert_eq!(rfc3339(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
