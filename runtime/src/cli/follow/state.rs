//! What is known of a folder across restarts: the catalogue says which documents it has, a file beside it which files they
//! came from. Without that file they are read again, and moves before the start are not seen.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde_json::Value;

use super::Follower;
use crate::cli::failure::Failure;
use crate::cli::transport::{Client, segment};
use crate::sources::plan::Known;
use crate::sources::settings::SourceConfig;

const PAGE: usize = 1000;

/// The documents of a source, by the paths of their files.
pub(super) async fn load(
    client: &Client,
    settings: &SourceConfig,
    file: Option<&Path>,
) -> Result<BTreeMap<String, Known>, Failure> {
    let mut ids = owned(client, &settings.name).await?;
    let mut known: BTreeMap<String, Known> = match file {
        Some(file) => read(file).await,
        None => BTreeMap::new(),
    };
    // Also drops a second path of one document.
    known.retain(|_, known| ids.remove(&known.id));
    let stem = settings
        .prefix
        .as_deref()
        .unwrap_or_default()
        .trim_end_matches('/');
    for id in ids {
        let path = match stem {
            "" => Some(id.as_str()),
            stem => id
                .strip_prefix(stem)
                .and_then(|rest| rest.strip_prefix('/')),
        };
        let path = path.unwrap_or(&id).to_owned();
        known.entry(path).or_insert(Known {
            id,
            digest: None,
            stamp: None,
            said: String::new(),
        });
    }
    Ok(known)
}

async fn owned(client: &Client, source: &str) -> Result<HashSet<String>, Failure> {
    let mut ids = HashSet::new();
    let mut path = format!("/v1/documents?limit={PAGE}");
    loop {
        let page = client.get(&path).await?;
        let documents = page["documents"].as_array().into_iter().flatten();
        let mine = documents.filter(|document| document["source"] == source);
        ids.extend(mine.filter_map(|document| document["id"].as_str().map(str::to_owned)));
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/documents?limit={PAGE}&after={}", segment(next)),
            None => return Ok(ids),
        }
    }
}

/// What cannot be read is as if it were not there.
async fn read(file: &Path) -> BTreeMap<String, Known> {
    let text = match tokio::fs::read(file).await {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return BTreeMap::new(),
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "read anew: what was known cannot be read");
            return BTreeMap::new();
        }
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        tracing::warn!(file = %file.display(), %error, "read anew: what was known is damaged");
        BTreeMap::new()
    })
}

impl Follower {
    /// Written beside and renamed; a failure costs the next start a reading of the folder.
    pub(super) async fn save(&self) {
        let Some(file) = self.state.clone() else {
            return;
        };
        let json: Value = match serde_json::to_value(&self.known) {
            Ok(json) => json,
            Err(error) => return tracing::warn!(%error, "what is known of a source has no JSON"),
        };
        let written = tokio::task::spawn_blocking(move || {
            let folder = file.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(folder)?;
            let mut beside = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer(std::io::BufWriter::new(&mut beside), &json)?;
            beside.as_file().sync_all()?;
            beside.persist(&file)?;
            Ok::<_, std::io::Error>(())
        })
        .await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(source = self.settings.name, %error, "cannot keep what is known");
            }
            Err(error) => tracing::warn!(%error, "cannot keep what is known"),
        }
    }
}
