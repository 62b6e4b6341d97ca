//! `quoin ingest`: files and folders into the catalogue, in batches, each file answered for.

mod read;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Setting;
use super::failure::Failure;
use super::follow::Follower;
use super::output::{self, Output};
use super::transport::Client;
use super::walk::{self, Failed, Skipped, Walk};
use crate::sources::settings::SourceConfig;
use crate::sources::{Source, Sources};

pub use self::read::{BATCH_BYTES, BATCH_DOCUMENTS, document};
use self::read::{Batch, read_batches};

/// Room for the JSON around the content of one document, bytes.
const ENVELOPE_BYTES: usize = 64 << 10;
/// Most skipped files that are listed one by one.
const LISTED_SKIPS: usize = 10;

/// What `quoin ingest` is told.
#[derive(Args, Debug)]
pub struct Ingest {
    /// Files and folders; a zip counts as a folder
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Access tokens that may read the documents which do not say it themselves, such as `public` or `group:hr`; without
    /// them only admins may
    #[arg(long, value_delimiter = ',', value_name = "TOKEN,…")]
    acl: Option<Vec<String>>,
    /// Name of the collection that the documents come from
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Put this before every id
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Go on following the folder: what is written is searchable within two seconds, what is removed is deleted; until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// With `--watch`: delete what is gone, even if it is more than half of the documents at once
    #[arg(long, requires = "watch")]
    prune: bool,
}

/// What happened to the files.
#[derive(Debug, Default, Serialize)]
struct Summary {
    /// Files read.
    read: usize,
    /// Documents stored, new or changed.
    stored: usize,
    /// Documents that were there already, with the same content.
    unchanged: usize,
    /// Passages of the stored documents.
    passages: u64,
    /// Generation of the index that has them all.
    generation: Option<u64>,
    /// Milliseconds.
    elapsed_ms: u64,
    /// Read, but not all of it.
    warnings: Vec<Warned>,
    /// How many paths were left out, by reason.
    skipped_by_reason: BTreeMap<String, usize>,
    /// Left out on purpose.
    skipped: Vec<Skipped>,
    /// Should be in the catalogue and are not.
    failed: Vec<Failed>,
}

/// What could not be read of a document that was stored.
#[derive(Debug, Serialize)]
struct Warned {
    id: String,
    warnings: Vec<String>,
}

impl Ingest {
    /// Runs the command.
    ///
    /// # Errors
    /// A path does not exist, the data folder cannot be reached, or any file failed.
    pub async fn run(self, setting: &Setting) -> Result<(), Failure> {
        let started = Instant::now();
        if self.acl.is_none() && setting.config.retrieval.default_acl.is_none() {
            setting.output.greet(
                "no `--acl`: documents that do not say themselves who may read them are for admins only",
            );
        }
        if self.watch {
            return self.follow(setting).await;
        }
        let limit = largest_file(setting.config.server.max_document_bytes);
        let seen = walk::walk_into_zips(&self.paths, self.prefix.as_deref(), limit)?;
        let client = setting.client().await?;
        let bar = setting
            .output
            .progress(seen.found.len() as u64, "ingesting");
        let result = self.send_all(&client, seen, &bar).await;
        bar.finish_and_clear();
        client.close().await;
        let mut summary = result?;
        summary.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        summary.count_skipped();
        summary.print(setting.output)
    }

    /// Follows the one folder until told to stop.
    async fn follow(&self, setting: &Setting) -> Result<(), Failure> {
        let [path] = self.paths.as_slice() else {
            return Err(Failure::usage("`--watch` follows one folder").hint(
                "several are followed by `quoin serve`: see `[[sources]]` of its configuration",
            ));
        };
        let path = path.canonicalize().map_err(|error| {
            Failure::from(error).during(format!("cannot read `{}`", path.display()))
        })?;
        let name = self.source.clone();
        let name = name.unwrap_or_else(|| path.to_string_lossy().into_owned());
        let settings = SourceConfig {
            prefix: self.prefix.clone(),
            acl: self.acl.clone(),
            allow_mass_deletion: self.prune,
            ..SourceConfig::new(name.clone(), path.clone())
        };
        let client = Arc::new(setting.client().await?);
        let source = Sources::default().enter(&name, path);
        let stop = CancellationToken::new();
        let follower = Follower::new(
            settings,
            &setting.config,
            Arc::clone(&client),
            Arc::clone(&source),
            None,
        );
        let following = tokio::spawn(follower.run(stop.clone()));
        let told = tell_changes(&source, setting.output);
        tokio::select! {
            told = told => told?,
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
        stop.cancel();
        following.await?;
        if let Ok(client) = Arc::try_unwrap(client) {
            client.close().await;
        }
        Ok(())
    }

    /// Reads on one thread while the requests go out, a few batches ahead of them.
    async fn send_all(
        &self,
        client: &Client,
        seen: Walk,
        bar: &ProgressBar,
    ) -> Result<Summary, Failure> {
        let mut summary = Summary {
            skipped: seen.skipped,
            failed: seen.failed,
            ..Summary::default()
        };
        let (sender, mut batches) = mpsc::channel(2);
        let (acl, source) = (self.acl.clone(), self.source.clone());
        let reader = tokio::task::spawn_blocking(move || {
            read_batches(seen.found, acl.as_deref(), source.as_deref(), &sender);
        });
        while let Some(batch) = batches.recv().await {
            let files = batch.paths.len() + batch.skipped.len() + batch.failed.len();
            summary.send(client, batch).await?;
            bar.inc(files as u64);
        }
        reader.await?;
        Ok(summary)
    }
}

impl Summary {
    /// Sends one batch and notes what became of each of its documents. A batch that is refused as a whole is sent again one
    /// by one, so that one bad document costs no other.
    async fn send(&mut self, client: &Client, batch: Batch) -> Result<(), Failure> {
        self.read += batch.paths.len();
        self.skipped.extend(batch.skipped);
        self.failed.extend(batch.failed);
        if batch.documents.is_empty() {
            return Ok(());
        }
        let body = json!({ "documents": batch.documents });
        match client.post("/admin/v1/ingest", &body).await {
            Ok(answer) => self.note(&batch.paths, &answer),
            Err(failure) if batch.documents.len() == 1 => self.fail(&batch.paths[0], &failure),
            Err(_) => {
                for (document, path) in batch.documents.into_iter().zip(batch.paths) {
                    let body = json!({ "documents": [document] });
                    match client.post("/admin/v1/ingest", &body).await {
                        Ok(answer) => self.note(&[path], &answer),
                        Err(failure) => self.fail(&path, &failure),
                    }
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, paths: &[PathBuf], answer: &Value) {
        self.generation = answer["generation"].as_u64().or(self.generation);
        let none = Vec::new();
        let results = answer["results"].as_array().unwrap_or(&none);
        for (index, path) in paths.iter().enumerate() {
            let result = results.get(index).unwrap_or(&Value::Null);
            if result["version"].is_u64() {
                if result["unchanged"].as_bool() == Some(true) {
                    self.unchanged += 1;
                } else {
                    self.stored += 1;
                    self.passages += result["passages"].as_u64().unwrap_or(0);
                }
                self.note_warnings(result);
                continue;
            }
            let reason = result["error"]["message"].as_str();
            self.failed.push(Failed {
                path: path.clone(),
                reason: reason
                    .unwrap_or("the server gave no result for it")
                    .to_owned(),
            });
        }
    }

    fn note_warnings(&mut self, result: &Value) {
        let lines = result["warnings"].as_array();
        let lines = lines.into_iter().flatten().filter_map(Value::as_str);
        let warnings: Vec<String> = lines.map(str::to_owned).collect();
        if !warnings.is_empty() {
            self.warnings.push(Warned {
                id: result["id"].as_str().unwrap_or_default().to_owned(),
                warnings,
            });
        }
    }

    fn fail(&mut self, path: &Path, failure: &Failure) {
        self.failed.push(Failed {
            path: path.to_owned(),
            reason: failure.in_one_line(),
        });
    }

    fn count_skipped(&mut self) {
        for skipped in &self.skipped {
            let reason = skipped.reason.clone();
            *self.skipped_by_reason.entry(reason).or_default() += 1;
        }
    }

    fn print(&self, output: Output) -> Result<(), Failure> {
        if output.is_json() {
            output.json(self)?;
        } else {
            self.print_text(output)?;
        }
        if !self.failed.is_empty() {
            let failed = output::count(self.failed.len(), "file");
            return Err(Failure::new(format!("{failed} could not be ingested")));
        }
        if self.read == 0 {
            return Err(
                Failure::new("nothing was read").hint("`quoin ingest --help` lists what is read")
            );
        }
        Ok(())
    }

    fn print_text(&self, output: Output) -> Result<(), Failure> {
        for failed in &self.failed {
            output.warn(format!("{}: {}", failed.path.display(), failed.reason));
        }
        for warned in &self.warnings {
            for warning in &warned.warnings {
                output.warn(format!("{}: {warning}", warned.id));
            }
        }
        self.note_skipped(output);
        let elapsed = output::duration(Duration::from_millis(self.elapsed_ms));
        output.line(format!(
            "read {} in {elapsed}: {} stored with {}, {} unchanged, {} skipped, {} failed",
            output::count(self.read, "file"),
            self.stored,
            output::count(
                usize::try_from(self.passages).unwrap_or(usize::MAX),
                "passage"
            ),
            self.unchanged,
            self.skipped.len(),
            self.failed.len(),
        ))
    }

    /// A few by name, many by reason.
    fn note_skipped(&self, output: Output) {
        if self.skipped.len() <= LISTED_SKIPS {
            for skipped in &self.skipped {
                output.note(format!(
                    "skipped {}: {}",
                    skipped.path.display(),
                    skipped.reason
                ));
            }
            return;
        }
        for (reason, number) in &self.skipped_by_reason {
            output.note(format!(
                "skipped {}: {reason}",
                output::count(*number, "path")
            ));
        }
    }
}

/// The largest file whose document fits a request: base64 makes 4 bytes of 3.
pub fn largest_file(max_document_bytes: usize) -> u64 {
    (max_document_bytes.saturating_sub(ENVELOPE_BYTES) / 4 * 3) as u64
}

/// A line for every scan that changed something or went wrong.
async fn tell_changes(source: &Source, output: Output) -> Result<(), Failure> {
    let mut told = String::new();
    loop {
        let status = source.status();
        let line = format!(
            "{}: {} put, {} moved, {} deleted, {} failed",
            output::count(status.documents, "document"),
            status.put,
            status.moved,
            status.deleted,
            status.errors.len()
        );
        if status.scans > 0 && line != told {
            for error in &status.errors {
                output.warn(format!("{}: {}", error.path, error.reason));
            }
            if let Some(guard) = &status.guard {
                output.warn(format!("{guard}; `--prune` deletes them"));
            }
            if output.is_json() {
                output.json(&status)?;
            } else {
                output.line(&line)?;
            }
            told = line;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::largest_file;

    #[test]
    fn the_largest_file_fits_its_request() {
        let limit = 48 << 20;
        let encoded = largest_file(limit).div_ceil(3) * 4;
        assert!(encoded < limit as u64);
        assert!(encoded > limit as u64 * 9 / 10);
    }
}
