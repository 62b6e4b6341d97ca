//! `quoin restore`: puts a backup in place of a data folder, whole or not at all, and never brings back what was deleted since.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use quoin_engine::Device;
use quoin_retriever::{
    Access, DeletionReceipt, DocumentId, Retriever, RetrieverError, RetrieverSettings,
};
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::Deserialize;
use serde_json::json;
use tokio::runtime::Handle;

use super::Setting;
use super::failure::{Context as _, Failure};
use super::output;
use crate::backup::{self, DATABASE, Manifest, RECEIPT_KEY};
use crate::config::RetrievalConfig;
use crate::erasure::REQUEST_LOG;
use crate::release::models_folder;
use crate::service;
use crate::storage::{Erasure, Storage};

/// What `quoin restore` is told.
#[derive(Args, Debug)]
pub struct Restore {
    /// Folder that `quoin backup` wrote
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// Replace a data folder that holds something
    #[arg(long)]
    force: bool,
    /// Deletions to apply again, as `GET /admin/v1/deletions` gives them; those of the folder that is replaced are without it
    #[arg(long, value_name = "FILE")]
    deletions: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Deletions {
    deletions: Vec<DeletionReceipt>,
}

impl Restore {
    /// Runs the command.
    ///
    /// # Errors
    /// The backup is damaged, the data folder holds something and `--force` is not given, a process owns it, or it cannot be
    /// written; then it is as it was.
    pub async fn run(self, setting: &Setting) -> Result<(), Failure> {
        let data = std::path::absolute(setting.config.data())
            .context(|| "cannot use the data folder".to_owned())?;
        let output = setting.output;
        let retrieval = setting.config.retrieval.clone();
        let done = tokio::task::spawn_blocking(move || self.restore(&data, &retrieval)).await?;
        let (manifest, deleted) = done?;
        if output.is_json() {
            return output.json(&json!({
                "documents": manifest.documents - deleted as u64,
                "generation": manifest.generation,
                "deleted_again": deleted,
            }));
        }
        output.line(format!(
            "restored {}, and deleted {deleted} of them again",
            output::count(
                usize::try_from(manifest.documents).unwrap_or(usize::MAX),
                "document"
            ),
        ))
    }

    fn restore(
        &self,
        data: &Path,
        retrieval: &RetrievalConfig,
    ) -> Result<(Manifest, usize), Failure> {
        let shown = self.backup.display();
        let manifest = Manifest::verified(&self.backup).map_err(|problem| {
            Failure::new(format!("cannot use the backup `{shown}`: {problem}"))
        })?;
        let replaced = holds_something(data)?;
        if replaced && !self.force {
            let message = format!("the data folder `{}` holds something", data.display());
            return Err(Failure::new(message).hint("`--force` replaces it"));
        }
        let _lock = data.exists().then(|| service::lock(data)).transpose()?;
        let deleted = self.deleted_since(data, &manifest)?;
        let parent = data.parent().unwrap_or(Path::new("/"));
        let failed = || format!("cannot write beside `{}`", data.display());
        std::fs::create_dir_all(parent).context(failed)?;
        // Private, as temporary folders are.
        let beside = tempfile::Builder::new()
            .prefix(".quoin-restore-")
            .tempdir_in(parent)
            .context(failed)?;
        self.copy_to(beside.path()).context(failed)?;
        let deleted = delete_again(beside.path(), &deleted, retrieval)?;
        put_in_place(beside, data).context(|| format!("cannot replace `{}`", data.display()))?;
        Ok((manifest, deleted))
    }

    fn copy_to(&self, folder: &Path) -> std::io::Result<()> {
        backup::copy_file(&self.backup.join(DATABASE), &folder.join(DATABASE))?;
        let key = self.backup.join(RECEIPT_KEY);
        if key.exists() {
            backup::copy_file(&key, &folder.join(RECEIPT_KEY))?;
        }
        backup::copy_folder(&self.backup.join("adapters"), &folder.join("adapters"))
    }

    /// Ids of what was deleted after the backup was made.
    fn deleted_since(&self, data: &Path, manifest: &Manifest) -> Result<BTreeSet<String>, Failure> {
        let mut deleted = BTreeSet::new();
        let catalogue = backup::catalogue_of(data);
        if catalogue.is_none() && data.join(DATABASE).exists() && self.deletions.is_none() {
            let message = "the deletions of the folder that is replaced cannot be read";
            return Err(Failure::new(message).hint(
                "`--deletions FILE` names them: what `GET /admin/v1/deletions` gave, or {\"deletions\": []} if there were none",
            ));
        }
        if catalogue == Some(manifest.catalogue) {
            let read = deleted_in(&data.join(DATABASE), manifest.generation);
            deleted = read.context(|| "cannot read what was deleted since".to_owned())?;
        }
        if let Some(file) = &self.deletions {
            let shown = file.display();
            let text =
                std::fs::read_to_string(file).context(|| format!("cannot read `{shown}`"))?;
            let listed: Deletions = serde_json::from_str(&text)
                .context(|| format!("`{shown}` is no list of deletions"))?;
            for receipt in listed.deletions {
                if !receipt.is_genuine() {
                    let message = format!(
                        "the receipt of `{}` in `{shown}` is not genuine",
                        receipt.id
                    );
                    return Err(Failure::new(message));
                }
                // The clock may have jumped between the two, the generation may be of another catalogue: one is enough.
                let later = receipt.generation > manifest.generation
                    || receipt.deleted_at.as_milliseconds() > manifest.made_at_ms;
                if later {
                    deleted.insert(receipt.id.to_string());
                }
            }
        }
        Ok(deleted)
    }
}

fn holds_something(data: &Path) -> Result<bool, Failure> {
    match std::fs::read_dir(data) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => {
            Err(error).context(|| format!("cannot read the data folder `{}`", data.display()))
        }
    }
}

fn deleted_in(database: &Path, generation: u64) -> rusqlite::Result<BTreeSet<String>> {
    // Not for reading alone: a server that was killed left a log that is read first.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    let mut statement =
        connection.prepare("SELECT DISTINCT document FROM deletions WHERE generation > ?1")?;
    let generation = i64::try_from(generation).unwrap_or(i64::MAX);
    statement
        .query_map([generation], |row| row.get(0))?
        .collect()
}

/// Deletes documents of a folder as a server does, and waits until they are purged from what it keeps.
fn delete_again(
    folder: &Path,
    deleted: &BTreeSet<String>,
    retrieval: &RetrievalConfig,
) -> Result<usize, Failure> {
    if deleted.is_empty() {
        return Ok(0);
    }
    let settings = RetrieverSettings {
        outer_places: vec![REQUEST_LOG],
        ..retrieval.settings(Device::Cpu, &models_folder(folder))
    };
    let retriever = Retriever::open(folder, settings)?;
    let mut count = 0;
    let mut erased = Vec::new();
    for id in deleted {
        match retriever.delete(&DocumentId::new(id.clone())?, &Access::admin()) {
            Ok(receipt) => {
                count += 1;
                erased.push(Erasure {
                    document: id.clone(),
                    generation: receipt.generation,
                });
            }
            // It was put after the backup was made.
            Err(RetrieverError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    retriever.settle();
    let storage = Storage::open(&folder.join(DATABASE))?;
    let last = erased.last().map_or(0, |erasure| erasure.generation);
    let purged = Handle::current().block_on(async {
        let purged = storage.erase(erased).await;
        storage.close().await;
        purged
    })?;
    // Else the server purges it at its start.
    if purged {
        retriever.note_purged(REQUEST_LOG, last)?;
    }
    Ok(count)
}

/// Exchanges the folders in one step. Models are not part of a backup: those that were there stay.
fn put_in_place(beside: tempfile::TempDir, data: &Path) -> std::io::Result<()> {
    let parent = data.parent().unwrap_or(Path::new("/"));
    if data.exists() {
        renameat_with(CWD, beside.path(), CWD, data, RenameFlags::EXCHANGE)?;
        let models = beside.path().join("models");
        if models.exists() {
            std::fs::rename(models, data.join("models"))?;
        }
        std::fs::File::open(parent)?.sync_all()?;
        // Now the folder that was replaced.
        return beside.close();
    }
    std::fs::rename(beside.path(), data)?;
    let _renamed = beside.keep();
    std::fs::File::open(parent)?.sync_all()
}
