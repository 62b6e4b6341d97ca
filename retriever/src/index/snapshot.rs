//! Snapshots: immutable folders `generations/<n>/` with both indexes of the catalogue as of generation `n`.
//!
//! Written to a temporary folder, synced, renamed, and the parent synced. The manifest holds the digest of every file, since
//! neither engine notices a flipped bit, and the fingerprint of the pipeline. What cannot be used is rebuilt from the catalogue.

mod files;
#[cfg(test)]
mod recall;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

use super::text::{TextView, TextWriter};
use super::vector::Block;
use super::vector::clusters::{self, Clusters};
use super::{Best, IndexedPassage};
use crate::{RetrieverError, Timestamp};

const FORMAT: u32 = 2;
const MANIFEST: &str = "manifest.json";
const TEXT: &str = "text";
const ROWS: &str = "vectors.rows";
const KEYS: &str = "passages.keys";
const CLUSTERS: &str = "vectors.clusters";

/// What a snapshot says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Of this file and those beside it.
    pub format: u32,
    /// The catalogue's generation that it holds.
    pub generation: u64,
    /// Fingerprint of reader, passage rules, embedder and analyser.
    pub pipeline: String,
    /// The catalogue that it was made from; those of older versions of this program do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<String>,
    /// When it was written.
    pub created_at: Timestamp,
    /// Passages in it.
    pub passages: u64,
    /// Components of a vector.
    pub dimensions: usize,
    /// SHA-256 of every file, by its path in the folder.
    pub files: BTreeMap<String, String>,
}

impl Manifest {
    /// Why a snapshot cannot belong to a catalogue, if it cannot. Keys of passages mean something in one catalogue only, and
    /// one that was put back from a copy gives those of later passages again.
    pub(crate) fn misfit(&self, catalogue: &str, generation: u64) -> Option<String> {
        if self.generation > generation {
            return Some(format!("the catalogue is at generation {generation} only"));
        }
        let other = self.catalogue.as_deref()?;
        (other != catalogue).then(|| format!("it is of catalogue `{other}`, not `{catalogue}`"))
    }
}

/// A snapshot, loaded.
pub(crate) struct Snapshot {
    pub manifest: Manifest,
    pub text: TextView,
    pub vectors: Block,
    /// Keys of all its passages, those without a vector included.
    pub keys: RoaringBitmap,
    clusters: Option<Clusters>,
}

impl Snapshot {
    /// Loads a folder that [`Building`] made; with `verify`, compares every digest first.
    pub(crate) fn load(folder: &Path, verify: bool) -> Result<Self, RetrieverError> {
        let manifest = read_manifest(folder)?;
        let damaged = |problem: String| RetrieverError::Snapshot {
            generation: manifest.generation,
            problem,
        };
        if verify {
            files::verify(folder, &manifest.files).map_err(damaged)?;
        }
        let io = RetrieverError::io("read the snapshot", folder);
        let text = TextView::open(&folder.join(TEXT))?;
        let keys = fs::read(folder.join(KEYS)).map_err(&io)?;
        let keys = RoaringBitmap::deserialize_from(&*keys).map_err(|e| damaged(e.to_string()))?;
        let vectors = files::read_block(&folder.join(ROWS), manifest.dimensions)
            .map_err(&io)?
            .ok_or_else(|| damaged(format!("`{ROWS}` is malformed")))?;
        if text.passages() != manifest.passages || keys.len() != manifest.passages {
            return Err(damaged("its parts hold different passages".to_owned()));
        }
        let clusters = match fs::read(folder.join(CLUSTERS)) {
            Ok(bytes) => Some(
                Clusters::from_bytes(&bytes, &vectors)
                    .ok_or_else(|| damaged(format!("`{CLUSTERS}` is malformed")))?,
            ),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(io(error)),
        };
        Ok(Self {
            manifest,
            text,
            vectors,
            keys,
            clusters,
        })
    }

    /// The best rows for a query: exact, unless there are clusters and enough is allowed for them to cost less.
    pub(crate) fn score(
        &self,
        query: &[f32],
        allowed: &RoaringBitmap,
        best: &mut Best,
        limit: usize,
    ) {
        if let Some(clusters) = &self.clusters {
            let some = self.vectors.allowed(allowed);
            if some >= clusters::MIN_ALLOWED {
                clusters.score(&self.vectors, query, allowed, some, (best, limit));
                return;
            }
        }
        self.vectors.score(query, allowed, best, limit);
    }
}

/// Reads a folder's manifest.
pub(crate) fn read_manifest(folder: &Path) -> Result<Manifest, RetrieverError> {
    let path = folder.join(MANIFEST);
    let json = fs::read(&path).map_err(RetrieverError::io("read", &path))?;
    let number = folder
        .file_name()
        .and_then(|name| name.to_str()?.parse().ok())
        .unwrap_or_default();
    let damaged = |problem: String| RetrieverError::Snapshot {
        generation: number,
        problem,
    };
    let manifest: Manifest =
        serde_json::from_slice(&json).map_err(|error| damaged(format!("{MANIFEST}: {error}")))?;
    if manifest.format != FORMAT || manifest.generation != number {
        return Err(damaged(format!(
            "it says format {} and generation {}",
            manifest.format, manifest.generation
        )));
    }
    Ok(manifest)
}

/// Compares every file of a folder with its digest; says what is wrong with the first that differs.
pub(crate) fn verify(folder: &Path) -> Result<Manifest, RetrieverError> {
    let manifest = read_manifest(folder)?;
    files::verify(folder, &manifest.files).map_err(|problem| RetrieverError::Snapshot {
        generation: manifest.generation,
        problem,
    })?;
    Ok(manifest)
}

/// The numbers of the snapshots in `generations/`, ascending.
pub(crate) fn list(generations: &Path) -> Result<Vec<u64>, RetrieverError> {
    let io = RetrieverError::io("list", generations);
    let mut numbers = Vec::new();
    for entry in fs::read_dir(generations).map_err(&io)? {
        let name = entry.map_err(&io)?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes a snapshot. Readers that have it open keep it until they are done.
pub(crate) fn remove(generations: &Path, number: u64) -> Result<(), RetrieverError> {
    let folder = generations.join(number.to_string());
    let doomed = generations.join(format!("removed-{number}"));
    // A folder that is half removed must not look like a snapshot.
    fs::rename(&folder, &doomed).map_err(RetrieverError::io("remove", &folder))?;
    fs::remove_dir_all(&doomed).map_err(RetrieverError::io("remove", &doomed))?;
    files::sync_folder(generations)
}

/// Removes what an interrupted writer or remover left.
pub(crate) fn sweep(generations: &Path) -> Result<(), RetrieverError> {
    let io = RetrieverError::io("sweep", generations);
    for entry in fs::read_dir(generations).map_err(&io)? {
        let entry = entry.map_err(&io)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("removed-") || name.starts_with("building-") {
            fs::remove_dir_all(entry.path()).map_err(&io)?;
        }
    }
    Ok(())
}

/// What a snapshot is made for.
pub(crate) struct Plan<'a> {
    pub generations: &'a Path,
    pub pipeline: &'a str,
    pub catalogue: &'a str,
    pub dimensions: usize,
    /// Asked now and then; when it says so, the building ends with an error.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

/// A snapshot being written.
pub(crate) struct Building<'a> {
    plan: &'a Plan<'a>,
    folder: PathBuf,
    text: TextWriter,
    vectors: Block,
    keys: RoaringBitmap,
}

impl<'a> Building<'a> {
    pub(crate) fn start(plan: &'a Plan<'a>) -> Result<Self, RetrieverError> {
        let folder = plan.generations.join("building-snapshot");
        let io = RetrieverError::io("write the snapshot", &folder);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(&io)?;
        }
        let text_folder = folder.join(TEXT);
        fs::create_dir_all(&text_folder).map_err(&io)?;
        Ok(Self {
            text: TextWriter::in_folder(&text_folder)?,
            vectors: Block::with_capacity(plan.dimensions, 0),
            keys: RoaringBitmap::new(),
            folder,
            plan,
        })
    }

    /// Adds a passage; keys ascend.
    pub(crate) fn add(&mut self, passage: &IndexedPassage) -> Result<(), RetrieverError> {
        if self.keys.len().is_multiple_of(256) && (self.plan.stop)() {
            return Err(stopped(0));
        }
        self.text.add(passage.key, &passage.words)?;
        self.vectors.push(passage.key, &passage.vector);
        self.keys.insert(passage.key);
        Ok(())
    }

    /// Writes everything out, and gives the folder its number.
    pub(crate) fn finish(self, generation: u64) -> Result<(), RetrieverError> {
        let Self { plan, folder, .. } = self;
        let io = RetrieverError::io("write the snapshot", &folder);
        self.text.finish()?;
        let mut keys = Vec::new();
        self.keys.serialize_into(&mut keys).map_err(&io)?;
        fs::write(folder.join(KEYS), keys).map_err(&io)?;
        let mut order = None;
        if self.vectors.len() >= clusters::MIN_ROWS {
            let (clusters, rows) = Clusters::build(&self.vectors, plan.stop).map_err(|error| {
                if (plan.stop)() {
                    stopped(generation)
                } else {
                    error
                }
            })?;
            fs::write(folder.join(CLUSTERS), clusters.to_bytes()).map_err(&io)?;
            order = Some(rows);
        }
        files::write_block(&folder.join(ROWS), &self.vectors, order.as_deref()).map_err(&io)?;
        let manifest = Manifest {
            format: FORMAT,
            generation,
            pipeline: plan.pipeline.to_owned(),
            catalogue: Some(plan.catalogue.to_owned()),
            created_at: Timestamp::now(),
            passages: self.keys.len(),
            dimensions: plan.dimensions,
            files: files::digests(&folder)?,
        };
        let json = serde_json::to_vec_pretty(&manifest).map_err(|error| io(error.into()))?;
        fs::write(folder.join(MANIFEST), json).map_err(&io)?;
        files::sync_tree(&folder)?;
        let named = plan.generations.join(generation.to_string());
        fs::rename(&folder, &named).map_err(&io)?;
        files::sync_folder(plan.generations)
    }
}

fn stopped(generation: u64) -> RetrieverError {
    RetrieverError::Snapshot {
        generation,
        problem: "the retriever closed while it was written".to_owned(),
    }
}
