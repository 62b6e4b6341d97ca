//! Reading what `quoin ingest` found: files and the files in zips, as the bodies of documents, a batch at a time.

use std::path::{Path, PathBuf};

use quoin_retriever::{Archive, ArchiveEntry, ArchiveLimits, Format, RetrieverError};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::cli::failure::Failure;
use crate::cli::transport;
use crate::cli::walk::{Failed, Found, Skipped};
use crate::sources::rules::Rules;

/// Most documents in one request.
pub const BATCH_DOCUMENTS: usize = 64;
/// A request is sent once it holds this much, bytes.
pub const BATCH_BYTES: u64 = 4 << 20;
/// How much of a file is searched for the zero bytes that text does not have.
const SNIFF_BYTES: usize = 8 << 10;
/// Nobody writes a longer line of code, bytes.
const CODE_LINE_BYTES: usize = 10_000;

/// A batch that was read, and what could not be.
#[derive(Default)]
pub(super) struct Batch {
    /// Bodies of documents.
    pub(super) documents: Vec<Value>,
    /// Where each of them is from.
    pub(super) paths: Vec<PathBuf>,
    bytes: u64,
    pub(super) skipped: Vec<Skipped>,
    pub(super) failed: Vec<Failed>,
}

/// Reads everything, and sends it off in batches until nobody takes them any more.
pub(super) fn read_batches(
    found: Vec<Found>,
    acl: Option<&[String]>,
    source: Option<&str>,
    batches: &mpsc::Sender<Batch>,
) {
    let mut batch = Batch::default();
    let mut rules = Rules::default();
    let mut zips = Zips::default();
    for file in found {
        let full = batch.bytes + file.bytes > BATCH_BYTES || batch.paths.len() >= BATCH_DOCUMENTS;
        if full
            && !batch.paths.is_empty()
            && batches.blocking_send(std::mem::take(&mut batch)).is_err()
        {
            return;
        }
        let shown = file.shown();
        match read(&file, acl, &mut rules, &mut zips) {
            Ok((mut document, bytes)) => {
                if let Some(source) = source {
                    document["source"] = json!(source);
                }
                batch.bytes += bytes;
                batch.documents.push(document);
                batch.paths.push(shown);
            }
            Err(Unread::Failed(reason)) => batch.failed.push(Failed {
                path: shown,
                reason,
            }),
            Err(Unread::Skipped(reason)) => batch.skipped.push(Skipped {
                path: shown,
                reason,
            }),
        }
    }
    // The receiver is gone only when the command has failed already.
    let _ = batches.blocking_send(batch);
}

/// Why content is not for reading, whatever its name says.
fn not_meant(format: Format, content: &[u8]) -> Option<&'static str> {
    if format.is_file() {
        return None;
    }
    if content[..content.len().min(SNIFF_BYTES)].contains(&0) {
        return Some("binary");
    }
    let made = |line: &[u8]| line.len() > CODE_LINE_BYTES;
    if format == Format::Code && content.split(|byte| *byte == b'\n').any(made) {
        return Some("code that a program made: a line of more than 10 KB");
    }
    None
}

/// Why a file is not sent.
enum Unread {
    /// It should have been.
    Failed(String),
    /// It is not meant to be.
    Skipped(String),
}

/// A file as the body of a document, and its size.
fn read(
    file: &Found,
    acl: Option<&[String]>,
    rules: &mut Rules,
    zips: &mut Zips,
) -> Result<(Value, u64), Unread> {
    let content = match &file.entry {
        Some(entry) => zips.read(&file.path, entry),
        None => std::fs::read(&file.path).map_err(|error| error.to_string()),
    }
    .map_err(Unread::Failed)?;
    let mut said = rules.said(&file.path).map_err(Unread::Failed)?;
    if file.entry.is_some() {
        // What stands beside a zip is about all that is in it: these are of one document.
        for field in ["title", "uri", "supersedes"] {
            said.remove(field);
        }
    }
    let document =
        document(&file.id, file.format, &content, acl, &said).map_err(Unread::Skipped)?;
    Ok((document, content.len() as u64))
}

/// The zip that was read from last, kept open for the files that follow.
#[derive(Default)]
struct Zips {
    open: Option<(PathBuf, Archive)>,
}

impl Zips {
    fn read(&mut self, zip: &Path, entry: &ArchiveEntry) -> Result<Vec<u8>, String> {
        let in_words = |error: RetrieverError| Failure::from(error).in_one_line();
        let open = match self.open.take() {
            Some((path, archive)) if path == zip => archive,
            _ => Archive::open(zip, ArchiveLimits::default()).map_err(in_words)?,
        };
        let (_, archive) = self.open.insert((zip.to_owned(), open));
        archive.read(entry).map_err(in_words)
    }
}

/// A file as the body of a document. What the rules around it say goes before `acl`, the default of the batch.
///
/// # Errors
/// It is not of the kind that its name says, and is left out.
pub fn document(
    id: &str,
    format: Format,
    content: &[u8],
    acl: Option<&[String]>,
    said: &serde_json::Map<String, Value>,
) -> Result<Value, String> {
    if let Some(reason) = not_meant(format, content) {
        return Err(reason.to_owned());
    }
    let mut document = json!({
        "id": id,
        "content_base64": transport::base64(content),
        "content_type": format.media_type(),
    });
    if let Some(acl) = acl {
        document["default_acl"] = json!(acl);
    }
    for (field, value) in said {
        document[field] = value.clone();
    }
    Ok(document)
}
