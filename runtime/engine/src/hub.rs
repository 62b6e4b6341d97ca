//! Models of the Hugging Face hub, kept in the hub's own cache layout. Nothing here touches the network but [`pull`].

use std::{
    fs,
    path::{Path, PathBuf},
};

use hf_hub::{
    Repo, RepoType,
    api::tokio::{ApiBuilder, ApiError, ApiRepo, Progress},
};

use crate::EngineError;

/// How far a pull is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullProgress {
    pub file: String,
    /// From 1.
    pub file_number: usize,
    pub files: usize,
    pub bytes: u64,
    pub total_bytes: u64,
}

/// Fetches a model's configuration, tokenizer and safetensors files into the cache folder `into`; what is there already is
/// not fetched again. The hub's address and token come from `HF_ENDPOINT` and the token file of the hub's own tools.
/// Returns the folder to load. Dropping the future stops the transfer; a later pull takes it up.
///
/// # Errors
/// [`EngineError::Hub`] when the model does not exist, holds no safetensors, or the transfer fails.
pub async fn pull(
    id: &str,
    revision: Option<&str>,
    into: &Path,
    on_progress: impl Fn(PullProgress) + Clone + Send + Sync + 'static,
) -> Result<PathBuf, EngineError> {
    check_id(id)?;
    let failed = |error: ApiError| EngineError::Hub {
        id: id.to_owned(),
        reason: error.to_string(),
    };
    fs::create_dir_all(into).map_err(EngineError::io(into))?;
    let builder = ApiBuilder::from_env()
        .with_cache_dir(into.to_owned())
        .with_progress(false);
    let api = builder.build().map_err(failed)?.repo(repo(id, revision));
    let files = wanted_files(id, &api).await?;
    let mut folder = None;
    for (number, file) in files.iter().enumerate() {
        let report = Report {
            on_progress: on_progress.clone(),
            state: PullProgress {
                file: file.clone(),
                file_number: number + 1,
                files: files.len(),
                bytes: 0,
                total_bytes: 0,
            },
        };
        let path = match hf_hub::Cache::new(into.to_owned())
            .repo(repo(id, revision))
            .get(file)
        {
            Some(path) => path,
            None => api
                .download_with_progress(file, report)
                .await
                .map_err(failed)?,
        };
        if file == "config.json" {
            folder = path.parent().map(Path::to_owned);
        }
    }
    folder.ok_or_else(|| EngineError::Hub {
        id: id.to_owned(),
        reason: "it has no `config.json`".into(),
    })
}

/// The folder of a model that was pulled before.
pub(crate) fn cached(
    id: &str,
    revision: Option<&str>,
    cache_folder: &Path,
) -> Result<Option<PathBuf>, EngineError> {
    check_id(id)?;
    let cache = hf_hub::Cache::new(cache_folder.to_owned()).repo(repo(id, revision));
    let config = cache.get("config.json");
    // A pull that was broken off has no complete weights.
    let has_weights = cache
        .get("model.safetensors")
        .or_else(|| cache.get("model.safetensors.index.json"))
        .is_some();
    Ok(config
        .filter(|_| has_weights)
        .and_then(|path| path.parent().map(Path::to_owned)))
}

fn repo(id: &str, revision: Option<&str>) -> Repo {
    Repo::with_revision(
        id.to_owned(),
        RepoType::Model,
        revision.unwrap_or("main").to_owned(),
    )
}

/// `organisation/name`: an id becomes part of a path.
fn check_id(id: &str) -> Result<(), EngineError> {
    let is_name = |name: &str| {
        let allowed =
            |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
        !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed)
    };
    match id.split_once('/') {
        Some((organisation, name)) if is_name(organisation) && is_name(name) => Ok(()),
        _ => Err(EngineError::Hub {
            id: id.to_owned(),
            reason: "a hub id has the form `organisation/name`".into(),
        }),
    }
}

/// Weights come last, so that a broken-off pull is recognised.
async fn wanted_files(id: &str, api: &ApiRepo) -> Result<Vec<String>, EngineError> {
    let failed = |reason: String| EngineError::Hub {
        id: id.to_owned(),
        reason,
    };
    let info = api
        .info()
        .await
        .map_err(|error| failed(error.to_string()))?;
    let names: Vec<String> = info
        .siblings
        .into_iter()
        .map(|sibling| sibling.rfilename)
        .collect();
    let is_weight = |name: &String| name.starts_with("model") && name.ends_with(".safetensors");
    let described = [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    ];
    let mut wanted: Vec<_> = names
        .iter()
        .filter(|name| described.contains(&name.as_str()))
        .cloned()
        .collect();
    wanted.extend(names.iter().filter(|name| is_weight(name)).cloned());
    wanted.extend(
        names
            .iter()
            .filter(|name| *name == "model.safetensors.index.json")
            .cloned(),
    );
    if !names.iter().any(is_weight) {
        return Err(failed("it holds no safetensors weights".into()));
    }
    Ok(wanted)
}

#[derive(Clone)]
struct Report<F> {
    on_progress: F,
    state: PullProgress,
}

impl<F: Fn(PullProgress) + Clone + Send + Sync> Progress for Report<F> {
    async fn init(&mut self, size: usize, _filename: &str) {
        self.state.total_bytes = u64::try_from(size).unwrap_or(u64::MAX);
        (self.on_progress)(self.state.clone());
    }

    async fn update(&mut self, size: usize) {
        self.state.bytes += u64::try_from(size).unwrap_or(0);
        (self.on_progress)(self.state.clone());
    }

    async fn finish(&mut self) {}
}
