//! Looks at a folder: which of its files take part, and which have changed. Blocks.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use crate::cli::failure::Failure;
use crate::cli::walk::{self, Found};
use crate::sources::Trouble;
use crate::sources::plan::{Known, Scan, Seen, Stamp};
use crate::sources::rules::Rules;
use crate::sources::settings::SourceConfig;

/// A file that was written this short a time ago may be half of itself.
const STABLE: Duration = Duration::from_millis(200);
/// How often it is waited for before it is taken as it is.
const MAX_WAITS: u32 = 5;
/// Within this time another write need not change the time of a file.
const TIME_GRAIN: Duration = Duration::from_secs(2);

/// What is too much.
#[derive(Clone, Copy)]
pub struct Limits {
    /// The largest file, bytes.
    pub file_bytes: u64,
}

/// What was seen.
#[derive(Default)]
pub struct Looked {
    pub scan: Scan,
    /// By path below the folder.
    pub files: HashMap<String, Candidate>,
    pub being_written: Vec<String>,
    pub skipped: BTreeMap<String, usize>,
    pub errors: Vec<Trouble>,
}

/// A file that may be put.
pub struct Candidate {
    pub found: Found,
    /// `None` when the file must be read again next time.
    pub stamp: Option<Stamp>,
    pub said: serde_json::Map<String, serde_json::Value>,
}

/// Looks at the whole folder.
///
/// # Errors
/// The folder itself cannot be read.
pub fn look(
    settings: &SourceConfig,
    known: &BTreeMap<String, Known>,
    waited: &mut HashMap<String, u32>,
    limits: Limits,
) -> Result<Looked, Failure> {
    let root = &settings.path;
    // The walk reports a folder that cannot be read like any other path in it.
    std::fs::read_dir(root).map_err(|error| {
        Failure::from(error).during(format!("cannot read `{}`", root.display()))
    })?;
    let roots = std::slice::from_ref(root);
    let walk = walk::walk(roots, settings.prefix.as_deref(), limits.file_bytes)?;
    let mut looked = Looked::default();
    for skipped in walk.skipped {
        *looked.skipped.entry(skipped.reason).or_default() += 1;
    }
    for failed in walk.failed {
        looked.trouble(below(root, &failed.path), failed.reason);
    }
    let mut rules = Rules::default();
    for found in walk.found {
        let path = below(root, &found.path);
        if settings.takes(&path) {
            looked.consider(path, found, known, waited, &mut rules);
        } else {
            *looked.skipped.entry("excluded".to_owned()).or_default() += 1;
        }
    }
    waited.retain(|path, _| looked.being_written.contains(path));
    Ok(looked)
}

impl Looked {
    /// What is known of a path with trouble stays.
    fn trouble(&mut self, path: String, reason: String) {
        self.scan.held.insert(path.clone());
        self.errors.push(Trouble { path, reason });
    }

    fn consider(
        &mut self,
        path: String,
        found: Found,
        known: &BTreeMap<String, Known>,
        waited: &mut HashMap<String, u32>,
        rules: &mut Rules,
    ) {
        let said = match rules.said(&found.path) {
            Ok(said) => said,
            Err(reason) => return self.trouble(path, reason),
        };
        let Ok(metadata) = std::fs::metadata(&found.path) else {
            // It has gone since; the next look will tell.
            self.scan.held.insert(path.clone());
            return self.being_written.push(path);
        };
        let (stamp, age) = (stamp(&metadata), age(&metadata));
        let known = known.get(&path);
        let same = known.filter(|known| known.stamp.as_ref() == Some(&stamp));
        let digest = if let Some(digest) = same.and_then(|known| known.digest.clone()) {
            digest
        } else {
            let waits = waited.entry(path.clone()).or_default();
            *waits += 1;
            let may_wait = *waits <= MAX_WAITS;
            let read = if age < STABLE && may_wait {
                None
            } else {
                digest_of(&found.path).ok()
            };
            let still = std::fs::metadata(&found.path).is_ok_and(|now| self::stamp(&now) == stamp);
            if let Some(digest) = read.filter(|_| still || !may_wait) {
                digest
            } else {
                self.scan.held.insert(path.clone());
                return self.being_written.push(path);
            }
        };
        self.scan.seen.push(Seen {
            id: found.id.clone(),
            said: serde_json::to_string(&said).unwrap_or_default(),
            path: path.clone(),
            digest,
        });
        let stamp = (age >= TIME_GRAIN).then_some(stamp);
        self.files.insert(path, Candidate { found, stamp, said });
    }
}

/// The path below the folder, with `/`; names that are not UTF-8 have no document.
fn below(root: &Path, path: &Path) -> String {
    let below: PathBuf = path
        .strip_prefix(root)
        .unwrap_or(path)
        .components()
        .collect();
    below.to_string_lossy().into_owned()
}

fn stamp(metadata: &Metadata) -> Stamp {
    Stamp {
        size: metadata.len(),
        modified_ns: i128::from(metadata.mtime()) * 1_000_000_000
            + i128::from(metadata.mtime_nsec()),
        inode: metadata.ino(),
    }
}

/// A time that lies ahead tells nothing: such a file counts as old, and as one to read again.
fn age(metadata: &Metadata) -> Duration {
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    SystemTime::now().duration_since(modified).unwrap_or(STABLE)
}

fn digest_of(path: &Path) -> std::io::Result<String> {
    let mut digest = Sha256::new();
    std::io::copy(&mut File::open(path)?, &mut digest)?;
    Ok(hex(&digest.finalize()))
}

/// SHA-256 as the plan compares it.
pub fn digest(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
