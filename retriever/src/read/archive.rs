//! Archives: a zip is a folder of files in one file. Its entries are listed, with the reason where one is not to be read, and read
//! one at a time within limits. What an entry says about its size is not believed, and nothing is written to a disk.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use zip::ZipReadOptions;
use zip::read::{Config, OwnedZipFileEntry};
use zip::unstable::read::ZipIterable;

use crate::RetrieverError;
use crate::document::Format;

/// A zip inside a zip has this extension, and is not opened.
const NESTED: &str = "zip";
/// Below this size an entry may be any number of times larger than its compressed form, bytes.
const SMALL: u64 = 1 << 20;

/// What an archive may cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArchiveLimits {
    /// Entries, folders included.
    pub entries: usize,
    /// One entry when inflated, bytes.
    pub entry_bytes: u64,
    /// All entries that are read when inflated, bytes.
    pub expanded_bytes: u64,
    /// How many times larger than its compressed form an entry of more than 1 MiB may be.
    pub ratio: u64,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self {
            entries: 100_000,
            entry_bytes: 48 << 20,
            expanded_bytes: 16 << 30,
            ratio: 200,
        }
    }
}

/// A file in an archive, to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// Its path inside, with `/`: relative, without `.` and `..`, and of no other entry.
    pub path: String,
    /// What it is, by its extension.
    pub format: Format,
    /// Its size when inflated, as the archive says, bytes.
    pub bytes: u64,
    /// Which of the archive's entries it is.
    place: usize,
}

/// An entry that is not to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its path as the archive names it.
    pub path: String,
    /// Why.
    pub reason: String,
    /// Whether it should have been read, and cannot be.
    pub is_failure: bool,
}

/// An open archive.
pub struct Archive {
    file: BufReader<File>,
    all: Vec<OwnedZipFileEntry>,
    entries: Vec<ArchiveEntry>,
    left_out: Vec<LeftOut>,
    limits: ArchiveLimits,
    expanded: u64,
}

impl Archive {
    /// Opens a zip and looks at the names in it.
    ///
    /// # Errors
    /// The file cannot be read, is not a zip, or has more entries than the limit.
    pub fn open(path: &Path, limits: ArchiveLimits) -> Result<Self, RetrieverError> {
        let file = File::open(path).map_err(RetrieverError::io("read", path))?;
        let mut listing =
            ZipIterable::try_new(BufReader::new(file), Config::default()).map_err(damaged)?;
        if listing.len() > limits.entries {
            return Err(RetrieverError::TooLarge {
                what: "a zip",
                limit: limits.entries as u64,
                got: listing.len() as u64,
                unit: "entries",
            });
        }
        let mut all = Vec::with_capacity(listing.len());
        for entry in listing.files().map_err(damaged)? {
            all.push(OwnedZipFileEntry::from(entry.map_err(damaged)?));
        }
        let file = File::open(path).map_err(RetrieverError::io("read", path))?;
        let mut archive = Self {
            file: BufReader::new(file),
            all,
            entries: Vec::new(),
            left_out: Vec::new(),
            limits,
            expanded: 0,
        };
        archive.sort_out();
        Ok(archive)
    }

    /// The files to read, in the order of the archive.
    #[must_use]
    pub fn entries(&self) -> &[ArchiveEntry] {
        &self.entries
    }

    /// The entries that are not to be read, with the reasons; folders are not among them.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The bytes of an entry of this archive. An error concerns this entry alone, unless the limit of all of them is reached.
    ///
    /// # Errors
    /// It is damaged, compressed in a way that is not known, or exceeds a limit when inflated.
    pub fn read(&mut self, entry: &ArchiveEntry) -> Result<Vec<u8>, RetrieverError> {
        let found = self.all.get(entry.place);
        let found = found.ok_or_else(|| damaged("it has no such entry"))?;
        let by_ratio = found.compressed_size().saturating_mul(self.limits.ratio);
        let mut part = found
            .as_ref()
            .with_reader(&mut self.file, ZipReadOptions::new())
            .map_err(damaged)?;
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 << 10];
        loop {
            let read = part.read(&mut buffer).map_err(damaged)?;
            if read == 0 {
                return Ok(bytes);
            }
            bytes.extend_from_slice(&buffer[..read]);
            self.expanded += read as u64;
            let got = bytes.len() as u64;
            within("an entry of a zip", self.limits.entry_bytes, got)?;
            within(
                "an entry of a zip, by its compressed form,",
                by_ratio.max(SMALL),
                got,
            )?;
            within(
                "what is read of a zip",
                self.limits.expanded_bytes,
                self.expanded,
            )?;
        }
    }

    fn sort_out(&mut self) {
        let mut paths = HashSet::new();
        for (place, entry) in self.all.iter().enumerate() {
            if entry.is_dir() {
                continue;
            }
            let name = name(entry);
            match self.consider(entry, &name, &mut paths) {
                Ok((path, format)) => self.entries.push(ArchiveEntry {
                    path,
                    format,
                    bytes: entry.size(),
                    place,
                }),
                Err((reason, is_failure)) => self.left_out.push(LeftOut {
                    path: name,
                    reason,
                    is_failure,
                }),
            }
        }
    }

    /// The path and format of an entry; or why it is left out, and whether that is a failure.
    fn consider(
        &self,
        entry: &OwnedZipFileEntry,
        name: &str,
        paths: &mut HashSet<String>,
    ) -> Result<(String, Format), (String, bool)> {
        let skipped = |reason: &str| Err((reason.to_owned(), false));
        let failed = |reason: String| Err((reason, true));
        let path = match path_inside(name) {
            Ok(path) => path,
            Err(problem) => return failed(problem.to_owned()),
        };
        if path.split('/').any(|part| part.starts_with('.')) {
            return skipped("hidden");
        }
        if entry.is_symlink() {
            return skipped("a link inside a zip");
        }
        let extension = Path::new(&path)
            .extension()
            .map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        let Some(format) = Format::from_path(Path::new(&path)) else {
            return match extension.as_deref() {
                Some(NESTED) => skipped("a zip inside a zip is not opened"),
                Some(extension) => skipped(&format!("no reader for .{extension}")),
                None => skipped("no reader for a file without an extension"),
            };
        };
        if entry.encrypted() {
            return failed("it is encrypted".to_owned());
        }
        let limit = self.limits.entry_bytes;
        if entry.size() > limit {
            let bytes = entry.size();
            return failed(format!("it has {bytes} bytes, more than {limit}"));
        }
        if !paths.insert(path.clone()) {
            return failed("another entry has the same name".to_owned());
        }
        Ok((path, format))
    }
}

/// An entry's name. Many programs write UTF-8 without the flag that says so.
fn name(entry: &OwnedZipFileEntry) -> String {
    match std::str::from_utf8(entry.name_raw()) {
        Ok(name) => name.to_owned(),
        Err(_) => entry.name().map_or_else(
            |_| String::from_utf8_lossy(entry.name_raw()).into_owned(),
            std::borrow::Cow::into_owned,
        ),
    }
}

/// The path that a name means, or why it means none below the archive. Some programs write `\` between the parts.
fn path_inside(name: &str) -> Result<String, &'static str> {
    let name = name.replace('\\', "/");
    if name.contains('\0') {
        return Err("its name has a zero byte");
    }
    let has_drive = name.as_bytes().get(1) == Some(&b':');
    if name.starts_with('/') || has_drive {
        return Err("its path is absolute");
    }
    let mut parts = Vec::new();
    for part in Path::new(&name).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_string_lossy()),
            Component::CurDir => {}
            _ => return Err("its path leads out of the zip"),
        }
    }
    if parts.is_empty() {
        return Err("it has no name");
    }
    Ok(parts.join("/"))
}

fn within(what: &'static str, limit: u64, got: u64) -> Result<(), RetrieverError> {
    if got <= limit {
        return Ok(());
    }
    Err(RetrieverError::TooLarge {
        what,
        limit,
        got,
        unit: "bytes",
    })
}

fn damaged(error: impl std::fmt::Display) -> RetrieverError {
    RetrieverError::Unreadable {
        format: "zip",
        problem: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::path_inside;

    #[test]
    fn a_path_stays_inside_or_is_none() {
        for (name, want) in [
            ("a/b.md", Ok("a/b.md")),
            ("a\\b.md", Ok("a/b.md")),
            ("./a//b.md", Ok("a/b.md")),
            ("a/../b.md", Err("its path leads out of the zip")),
            ("../b.md", Err("its path leads out of the zip")),
            ("..\\b.md", Err("its path leads out of the zip")),
            ("/etc/passwd.md", Err("its path is absolute")),
            ("\\\\host\\b.md", Err("its path is absolute")),
            ("C:\\b.md", Err("its path is absolute")),
            ("a\0.md", Err("its name has a zero byte")),
            ("", Err("it has no name")),
            ("./", Err("it has no name")),
        ] {
            assert_eq!(path_inside(name).as_deref(), want.as_deref(), "{name:?}");
        }
    }
}
