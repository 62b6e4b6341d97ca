//! What is known of one adapter version: its manifest, and that what is stored is still what was registered.
//!
//! Beside the manifest lies `SHA256SUMS`, which `sha256sum -c` checks too: it covers the manifest, which covers the rest.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::base::BaseIdentity;
use crate::check::Lora;
use crate::digest::{canonical, digest_of, hash_file, hex_of};
use crate::error::AdapterError;
use crate::files;
use crate::lineage::{LINEAGE, LINEAGE_BYTES_MAX, Lineage};
use crate::name::{AdapterId, AdapterName};
use crate::signature::{self, Signature};
use crate::trust::{KeyId, Trust};

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
    /// What the digest was signed with, when it was added; none for an unsigned one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
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

    /// Where it comes from, if its folder said so. Reads a file; the error is that it is not the one that was registered.
    pub fn lineage(&self) -> Result<Option<Lineage>, AdapterError> {
        let Some(file) = self.files.iter().find(|file| file.name == LINEAGE) else {
            return Ok(None);
        };
        let bytes = files::read_bounded(&self.folder.join(LINEAGE), LINEAGE_BYTES_MAX)
            .map_err(|error| self.damaged(LINEAGE, error.reason()))?;
        let hash = hex_of(&bytes);
        if hash != file.sha256 {
            let reason = format!("has sha256 {hash}, registered with {}", file.sha256);
            return Err(self.damaged(LINEAGE, reason));
        }
        Lineage::parse(&bytes)
            .map(Some)
            .map_err(|error| self.damaged(LINEAGE, error.reason()))
    }

    /// Whose signature it carries, as its manifest says.
    #[must_use]
    pub fn signed_by(&self) -> Option<KeyId> {
        self.signature.as_ref().map(|signature| signature.key.id())
    }

    /// What a signature of this version is of; see [`signed_message`](crate::signed_message).
    #[must_use]
    pub fn signed_message(&self) -> String {
        signature::message(&self.digest)
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
            signature: None,
            folder: PathBuf::new(),
        }
    }

    /// Writes the manifest and the sums of everything into the folder that holds the files.
    pub(crate) fn seal(&self, folder: &Path) -> Result<(), AdapterError> {
        let manifest = self.to_json();
        let mut sums = String::new();
        for file in self.stored() {
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
            .map_err(|error| damaged(error.reason()))?;
        let mut version: Self = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(format!("does not parse: {error}")))?;
        if version.id() != *id {
            return Err(damaged(format!("says that it is `{}`", version.id())));
        }
        folder.clone_into(&mut version.folder);
        Ok(version)
    }

    /// The files, and the signature's.
    fn stored(&self) -> impl Iterator<Item = &StoredFile> {
        let signature = self.signature.as_ref().map(|signature| &signature.file);
        self.files.iter().chain(signature)
    }

    /// Reads everything that is stored again and names the first file that differs from what was registered; then asks
    /// whether who signed it is trusted.
    pub(crate) fn verify(&self, trust: &Trust) -> Result<(), AdapterError> {
        let sums_path = self.folder.join(SUMS);
        let sums = files::read_bounded(&sums_path, MANIFEST_BYTES_MAX)
            .map_err(|error| self.damaged(SUMS, error.reason()))?;
        let listed = String::from_utf8_lossy(&sums);
        // First, so that a manifest that was changed is not taken for a change of the file that it tells of.
        let of_manifest = self.verify_manifest(&listed)?;
        let of_files = self.verify_files()?;
        if listed != format!("{of_files}{of_manifest}\n") {
            return Err(self.damaged(SUMS, "differs from the manifest"));
        }
        self.refuse_strangers()?;
        self.lineage()?;
        self.check_signature(trust)
    }

    /// Whether the recorded signature is one of the recorded digest, by a trusted key.
    pub(crate) fn check_signature(&self, trust: &Trust) -> Result<(), AdapterError> {
        if let Some(signature) = &self.signature {
            signature::check(&self.folder, signature, &self.digest)
                .map_err(|reason| self.damaged(&signature.file.name, reason))?;
        }
        let subject = format!("adapter `{}`", self.id());
        signature::check_trusted(&subject, self.signature.as_ref(), trust)
    }

    /// Compares the files with the manifest, and returns the lines of `SHA256SUMS` that belong to them.
    fn verify_files(&self) -> Result<String, AdapterError> {
        let mut lines = String::new();
        for file in self.stored() {
            let (hash, bytes) = self.hash(&file.name)?;
            if (&hash, bytes) != (&file.sha256, file.bytes) {
                let reason = format!(
                    "has sha256 {hash} and {bytes} bytes, registered with {} and {}",
                    file.sha256, file.bytes
                );
                return Err(self.damaged(&file.name, reason));
            }
            let _ = writeln!(lines, "{hash}  {}", file.name);
        }
        Ok(lines)
    }

    /// Compares the manifest with `SHA256SUMS`, as it is `listed`, and with the digest that it states itself. Returns the line of
    /// `SHA256SUMS` that belongs to it.
    fn verify_manifest(&self, listed: &str) -> Result<String, AdapterError> {
        let (hash, _) = self.hash(MANIFEST)?;
        let line = format!("{hash}  {MANIFEST}");
        if !listed.lines().any(|listed| listed == line) {
            let reason = format!("has sha256 {hash}, which `{SUMS}` does not list");
            return Err(self.damaged(MANIFEST, reason));
        }
        if self.digest != content_digest(&self.files, &self.base.digest) {
            return Err(self.damaged(
                MANIFEST,
                "has a digest that is not that of its files and base",
            ));
        }
        Ok(line)
    }

    fn refuse_strangers(&self) -> Result<(), AdapterError> {
        let mut known: BTreeSet<&str> = self.stored().map(|file| file.name.as_str()).collect();
        known.extend([MANIFEST, SUMS]);
        let unreadable =
            |error: std::io::Error| self.damaged(".", format!("cannot be listed: {error}"));
        for entry in fs::read_dir(&self.folder).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            let name = name.to_string_lossy();
            if !known.contains(&*name) {
                return Err(self.damaged(&name, "was not registered"));
            }
        }
        Ok(())
    }

    fn hash(&self, file: &str) -> Result<(String, u64), AdapterError> {
        hash_file(&self.folder.join(file))
            .map_err(|error| self.damaged(file, format!("cannot be read: {error}")))
    }

    pub(crate) fn damaged(&self, file: &str, reason: impl Into<String>) -> AdapterError {
        AdapterError::Damaged {
            adapter: self.id(),
            file: file.to_owned(),
            reason: reason.into(),
        }
    }
}

pub(crate) fn content_digest(files: &[StoredFile], base_digest: &str) -> String {
    let content = json!({ "base": base_digest, "files": files });
    digest_of(canonical(&content).as_bytes())
}

/// Now, in UTC, to the second, as RFC 3339 writes it.
pub(crate) fn now() -> String {
    let second = Timestamp::now().as_second();
    Timestamp::from_second(second)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::now;

    #[test]
    fn times_are_utc_to_the_second() {
        let written = now();
        assert_eq!(written.len(), "2026-11-20T13:45:00Z".len(), "{written}");
        assert!(written.ends_with('Z'), "{written}");
    }
}
