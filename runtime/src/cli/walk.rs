//! Which files of the given paths become documents, under which ids, and why the others do not.
//!
//! Only looks at names and sizes; the content is read later, a batch at a time.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use quoin_retriever::{Archive, ArchiveEntry, ArchiveLimits, Format};
use serde::Serialize;
use walkdir::{DirEntry, WalkDir};

use super::failure::Failure;
use super::output;
use crate::sources::rules;

/// A file to read.
#[derive(Debug)]
pub struct Found {
    /// Where it is, or the zip that it is in.
    pub path: PathBuf,
    /// Which file of the zip it is.
    pub entry: Option<ArchiveEntry>,
    /// The id it gets: its path below the root, with `/`; a zip counts as a folder.
    pub id: String,
    /// What it is, by its extension.
    pub format: Format,
    /// Its size when it was seen.
    pub bytes: u64,
}

impl Found {
    /// Where it is, as people are told.
    pub fn shown(&self) -> PathBuf {
        match &self.entry {
            Some(entry) => inside(&self.path, &entry.path),
            None => self.path.clone(),
        }
    }
}

/// A path that is not read, on purpose.
#[derive(Debug, Serialize)]
pub struct Skipped {
    /// Where it is.
    #[serde(serialize_with = "as_shown")]
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// A file that should have been read and was not, or a document that was refused.
#[derive(Debug, Serialize)]
pub struct Failed {
    /// Where it is.
    #[serde(serialize_with = "as_shown")]
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// A path as people see it: names need not be UTF-8.
fn as_shown<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// What the walk saw.
#[derive(Debug, Default)]
pub struct Walk {
    /// To read.
    pub found: Vec<Found>,
    /// Left out.
    pub skipped: Vec<Skipped>,
    /// Could not be looked at.
    pub failed: Vec<Failed>,
}

/// Walks `roots`. Ids are relative to the root, after the root's own name when there are several roots; `prefix` is put
/// before all of them. Hidden files, unknown formats, links that lead out of the root or back to a parent, and files over
/// `limit_bytes` are left out.
///
/// # Errors
/// A root does not exist, or two roots would give the same ids.
pub fn walk(roots: &[PathBuf], prefix: Option<&str>, limit_bytes: u64) -> Result<Walk, Failure> {
    walk_all(roots, prefix, limit_bytes, false)
}

/// Walks as [`walk`] does, and into zips, which count as folders.
///
/// # Errors
/// As [`walk`].
pub fn walk_into_zips(
    roots: &[PathBuf],
    prefix: Option<&str>,
    limit_bytes: u64,
) -> Result<Walk, Failure> {
    walk_all(roots, prefix, limit_bytes, true)
}

fn walk_all(
    roots: &[PathBuf],
    prefix: Option<&str>,
    limit_bytes: u64,
    into_zips: bool,
) -> Result<Walk, Failure> {
    let mut seen = Walk::default();
    let bases = bases(roots)?;
    for (root, base) in roots.iter().zip(bases) {
        let base = match prefix {
            Some(prefix) => join(prefix.trim_end_matches('/'), &base),
            None => base,
        };
        let place = Place {
            root,
            base: &base,
            limit_bytes,
            into_zips,
        };
        walk_root(&place, &mut seen);
    }
    refuse_same_ids(&mut seen);
    Ok(seen)
}

/// What stands before the ids of each root: nothing for a single one, else the name of the root.
fn bases(roots: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let mut by_name: BTreeMap<String, &Path> = BTreeMap::new();
    let mut bases = Vec::new();
    for root in roots {
        let whole = root.canonicalize().map_err(|error| {
            Failure::from(error).during(format!("cannot read `{}`", root.display()))
        })?;
        if roots.len() == 1 {
            bases.push(String::new());
            continue;
        }
        if whole.is_file() && !is_zip(&whole) {
            // A file is its own name; two of the same name are told apart later.
            bases.push(String::new());
            continue;
        }
        let name = whole
            .file_name()
            .and_then(OsStr::to_str)
            .unwrap_or_default()
            .to_owned();
        if let Some(other) = by_name.insert(name.clone(), root) {
            return Err(Failure::usage(format!(
                "`{}` and `{}` would give their documents the same ids: both are named `{name}`",
                other.display(),
                root.display()
            ))
            .hint("ingest them one after the other, each with its own `--prefix`"));
        }
        bases.push(name);
    }
    Ok(bases)
}

/// A root and how its files are taken.
struct Place<'a> {
    root: &'a Path,
    /// What stands before its ids.
    base: &'a str,
    limit_bytes: u64,
    into_zips: bool,
}

fn walk_root(place: &Place<'_>, seen: &mut Walk) {
    let root = place.root;
    let mut entries = WalkDir::new(root)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter();
    while let Some(entry) = entries.next() {
        match entry {
            Ok(entry) if entry.depth() > 0 && is_hidden(&entry) => {
                if entry.file_type().is_dir() {
                    entries.skip_current_dir();
                }
                skip(seen, entry.path(), "hidden");
            }
            Ok(entry) if entry.depth() > 0 && leads_out(root, &entry) => {
                if entry.file_type().is_dir() {
                    entries.skip_current_dir();
                }
                skip(seen, entry.path(), "a link that leads out of the folder");
            }
            Ok(entry) if entry.file_type().is_file() => {
                consider(place, &entry, seen);
            }
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) => skip(seen, entry.path(), "not a regular file"),
            Err(error) => note_error(root, &error, seen),
        }
    }
}

/// What a link brings in from elsewhere was not meant by whoever named the folder and who may read it.
fn leads_out(root: &Path, entry: &DirEntry) -> bool {
    entry.path_is_symlink()
        && match (root.canonicalize(), entry.path().canonicalize()) {
            (Ok(root), Ok(target)) => !target.starts_with(root),
            _ => true,
        }
}

fn note_error(root: &Path, error: &walkdir::Error, seen: &mut Walk) {
    let path = error.path().unwrap_or(root).to_owned();
    if error.loop_ancestor().is_some() {
        skip(seen, &path, "a link to a folder above it");
        return;
    }
    let reason = match error.io_error() {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    };
    seen.failed.push(Failed { path, reason });
}

fn consider(place: &Place<'_>, entry: &DirEntry, seen: &mut Walk) {
    let path = entry.path();
    let limit_bytes = place.limit_bytes;
    if rules::is_rule(path) {
        return skip(seen, path, "says something about others");
    }
    if is_zip(path) && place.into_zips {
        return consider_zip(place, path, seen);
    }
    if is_zip(path) {
        return skip(seen, path, "a zip is not followed: `quoin ingest` reads it");
    }
    let Some(format) = Format::from_path(path) else {
        let reason = match path.extension().and_then(OsStr::to_str) {
            Some(extension) => format!("no reader for .{}", extension.to_ascii_lowercase()),
            None => "no reader for a file without an extension".to_owned(),
        };
        return skip(seen, path, reason);
    };
    let bytes = match entry.metadata() {
        Ok(metadata) => metadata.len(),
        Err(error) => return fail(seen, path, error.to_string()),
    };
    if bytes > limit_bytes {
        let reason = format!(
            "{} is more than the limit of {} (`server.max_document_bytes`, encoded)",
            output::bytes(bytes),
            output::bytes(limit_bytes)
        );
        return fail(seen, path, reason);
    }
    let below = path.strip_prefix(place.root).unwrap_or(path);
    let below = if below.as_os_str().is_empty() {
        // The root is this file.
        path.file_name().map_or(below, Path::new)
    } else {
        below
    };
    match id(place.base, below) {
        Some(id) => seen.found.push(Found {
            path: path.to_owned(),
            entry: None,
            id,
            format,
            bytes,
        }),
        None => fail(seen, path, "the name is not UTF-8".to_owned()),
    }
}

/// The files in a zip, as if it were a folder.
fn consider_zip(place: &Place<'_>, path: &Path, seen: &mut Walk) {
    let limits = ArchiveLimits {
        entry_bytes: place.limit_bytes,
        ..ArchiveLimits::default()
    };
    let archive = match Archive::open(path, limits) {
        Ok(archive) => archive,
        Err(error) => return fail(seen, path, Failure::from(error).in_one_line()),
    };
    let left_out = archive.left_out();
    let names = archive.entries().iter().map(|entry| &entry.path);
    let mut names = names.chain(left_out.iter().map(|left| &left.path));
    // To pass over one would open what it closes.
    if let Some(rule) = names.find(|name| rules::is_rule(Path::new(name))) {
        let reason =
            format!("it has rules, such as `{rule}`, which count in folders alone: unpack it");
        return fail(seen, path, reason);
    }
    let below = path.strip_prefix(place.root).unwrap_or(path);
    let Some(base) = id(place.base, below) else {
        return fail(seen, path, "the name is not UTF-8".to_owned());
    };
    for left in left_out {
        let at = inside(path, &left.path);
        if left.is_failure {
            fail(seen, &at, left.reason.clone());
        } else {
            skip(seen, &at, left.reason.clone());
        }
    }
    for entry in archive.entries() {
        seen.found.push(Found {
            path: path.to_owned(),
            id: join(&base, &entry.path),
            format: entry.format,
            bytes: entry.bytes,
            entry: Some(entry.clone()),
        });
    }
}

fn is_zip(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("zip"))
}

/// Where a file in a zip is, as people are told.
fn inside(zip: &Path, name: &str) -> PathBuf {
    let mut at = zip.as_os_str().to_owned();
    at.push("/");
    at.push(name);
    at.into()
}

/// The second file of an id would replace the first: it is refused instead.
fn refuse_same_ids(seen: &mut Walk) {
    let mut owner: HashMap<String, PathBuf> = HashMap::new();
    let mut kept = Vec::with_capacity(seen.found.len());
    for found in std::mem::take(&mut seen.found) {
        if let Some(first) = owner.get(&found.id) {
            seen.failed.push(Failed {
                reason: format!("`{}` has the same id `{}`", first.display(), found.id),
                path: found.shown(),
            });
            continue;
        }
        owner.insert(found.id.clone(), found.shown());
        kept.push(found);
    }
    seen.found = kept;
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().first() == Some(&b'.')
}

fn skip(seen: &mut Walk, path: &Path, reason: impl Into<String>) {
    seen.skipped.push(Skipped {
        path: path.to_owned(),
        reason: reason.into(),
    });
}

fn fail(seen: &mut Walk, path: &Path, reason: String) {
    seen.failed.push(Failed {
        path: path.to_owned(),
        reason,
    });
}

fn id(base: &str, below: &Path) -> Option<String> {
    let mut id = base.to_owned();
    for part in below.components() {
        id = join(&id, part.as_os_str().to_str()?);
    }
    Some(id)
}

fn join(left: &str, right: &str) -> String {
    match (left.is_empty(), right.is_empty()) {
        (true, _) => right.to_owned(),
        (_, true) => left.to_owned(),
        _ => format!("{left}/{right}"),
    }
}

#[cfg(test)]
mod tests {
    use super::walk;
    use std::fs;
    use std::path::Path;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary folder");
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(&path, *file).expect("a file");
        }
        root
    }

    fn ids(roots: &[&Path], prefix: Option<&str>) -> Vec<String> {
        let roots: Vec<_> = roots.iter().map(|root| (*root).to_owned()).collect();
        let seen = walk(&roots, prefix, 1 << 20).expect("the roots exist");
        seen.found.into_iter().map(|found| found.id).collect()
    }

    #[test]
    fn ids_are_paths_below_the_root() {
        let root = tree(&["b/c.md", "a.TXT", "d/e.html"]);
        assert_eq!(ids(&[root.path()], None), ["a.TXT", "b/c.md", "d/e.html"]);
        assert_eq!(ids(&[&root.path().join("b/c.md")], None), ["c.md"]);
        assert_eq!(ids(&[&root.path().join("b")], Some("kb/")), ["kb/c.md"]);
    }

    #[test]
    fn several_roots_put_their_names_before_the_ids() {
        let root = tree(&["one/a.md", "two/a.md"]);
        let (one, two) = (root.path().join("one"), root.path().join("two"));
        assert_eq!(ids(&[&one, &two], None), ["one/a.md", "two/a.md"]);
    }

    #[test]
    fn two_roots_of_one_name_are_refused() {
        let root = tree(&["x/docs/a.md", "y/docs/a.md"]);
        let roots = [root.path().join("x/docs"), root.path().join("y/docs")];
        let failure = walk(&roots, None, 1 << 20).expect_err("the ids would collide");
        assert!(failure.to_string().contains("--prefix"), "{failure}");
    }

    #[test]
    fn hidden_foreign_and_large_files_are_left_out_with_a_reason() {
        let root = tree(&[".git/config.md", "a.md", "b.png", "Makefile"]);
        fs::write(root.path().join("large.md"), vec![b'x'; 2048]).expect("a file");
        let seen = walk(&[root.path().to_owned()], None, 1024).expect("the root exists");
        assert_eq!(seen.found.len(), 1);
        let reasons: Vec<_> = seen.skipped.iter().map(|one| one.reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "hidden",
                "no reader for a file without an extension",
                "no reader for .png"
            ]
        );
        assert!(
            seen.failed[0].reason.contains("2.0 KB"),
            "{:?}",
            seen.failed
        );
    }

    #[test]
    fn a_link_to_a_folder_above_does_not_loop() {
        let root = tree(&["a/b.md"]);
        std::os::unix::fs::symlink(root.path(), root.path().join("a/up")).expect("a link");
        let seen = walk(&[root.path().to_owned()], None, 1024).expect("the root exists");
        assert_eq!(seen.found.len(), 1);
        assert_eq!(seen.skipped[0].reason, "a link to a folder above it");
    }

    #[test]
    fn a_link_is_followed_within_the_folder_and_not_out_of_it() {
        let root = tree(&["docs/a.md", "private/b.md", "c.md"]);
        let docs = root.path().join("docs");
        for (target, link) in [
            ("../private", "p"),
            ("../c.md", "c.md"),
            ("a.md", "again.md"),
        ] {
            std::os::unix::fs::symlink(target, docs.join(link)).expect("a link");
        }
        let seen = walk(std::slice::from_ref(&docs), None, 1024).expect("the root exists");
        let ids: Vec<_> = seen.found.iter().map(|found| found.id.as_str()).collect();
        assert_eq!(ids, ["a.md", "again.md"]);
        assert_eq!(seen.skipped.len(), 2);
        assert_eq!(
            seen.skipped[0].reason,
            "a link that leads out of the folder"
        );
    }

    #[test]
    fn a_report_names_files_whose_names_are_not_utf_8() {
        use std::os::unix::ffi::OsStrExt as _;
        let failed = super::Failed {
            path: Path::new(std::ffi::OsStr::from_bytes(b"bad\xff.md")).to_owned(),
            reason: "the name is not UTF-8".to_owned(),
        };
        let report = serde_json::to_value(failed).expect("a report");
        assert_eq!(report["path"], "bad\u{fffd}.md");
    }

    #[test]
    fn the_same_file_by_two_links_is_two_documents_but_one_id_is_not() {
        let root = tree(&["x/a.md", "y/a.md"]);
        let roots = [root.path().join("x/a.md"), root.path().join("y/a.md")];
        let seen = walk(&roots, None, 1024).expect("the files exist");
        assert_eq!((seen.found.len(), seen.failed.len()), (1, 1));
    }
}
