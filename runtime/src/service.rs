//! Everything one process holds, and the life of it: opened once, shared by every request.

use std::fs::{DirBuilder, File, OpenOptions as FileOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use quoin_adapters::{BASE, BaseIdentity, Registry, Trust};
use quoin_engine::{EngineError, Generator};
use quoin_retriever::{Retriever, RetrieverError, RetrieverSettings};
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::Config;
use crate::erasure;
use crate::models::{BaseState, BaseUnknown, Models};
use crate::release::models_folder;
use crate::rollouts::{self, Rollouts};
use crate::sources::Sources;
use crate::storage::{Storage, StorageError};

/// When the language model is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Load {
    /// At once, in the background.
    #[default]
    Background,
    /// With the first answer that needs it.
    OnDemand,
}

/// How to open.
#[derive(Default)]
pub struct OpenOptions {
    /// When the model is loaded.
    pub load: Load,
    /// A generator to use instead of the configured model.
    pub generator: Option<Arc<dyn Generator>>,
}

/// Why the data folder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made or written.
    #[error("cannot use the data folder `{}`", path.display())]
    Folder {
        /// The folder or the file in it.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process owns it.
    #[error("the data folder `{}` belongs to another process{}", path.display(), owner.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The process, when it left its number.
        owner: Option<u32>,
    },
    /// Keys and logs cannot be opened.
    #[error("cannot open keys and logs")]
    Storage(#[from] StorageError),
    /// The documents cannot be opened.
    #[error("cannot open the documents")]
    Retriever(#[from] RetrieverError),
    /// The adapters cannot be opened.
    #[error("cannot open the adapters")]
    Adapters(#[from] quoin_adapters::AdapterError),
    /// A setting of the model is wrong.
    #[error("cannot set up the engine")]
    Engine(#[from] EngineError),
    /// A background task ended early.
    #[error("internal task failed")]
    Task(#[from] tokio::task::JoinError),
}

/// One part of the process and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Check {
    /// `documents` or `model`.
    pub name: &'static str,
    /// Whether it can be used.
    pub ready: bool,
    /// In words.
    pub state: String,
}

/// Whether answers can be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Readiness {
    /// All checks are.
    pub ready: bool,
    /// Each part.
    pub checks: Vec<Check>,
}

/// A model that `model` may name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ModelCard {
    /// `quoin`, `base` or `NAME@VERSION`.
    pub id: String,
    /// The base model.
    pub root: String,
    /// What it is an adapter of; null for the base.
    pub parent: Option<String>,
    /// Seconds since 1970.
    pub created: u64,
    /// Whether it is in memory.
    pub loaded: bool,
}

/// One process: its documents, its models, its keys.
pub struct Quoin {
    config: Config,
    retriever: Arc<Retriever>,
    registry: Arc<Registry>,
    storage: Storage,
    rollouts: Rollouts,
    models: Arc<Models>,
    started: SystemTime,
    sources: Sources,
    /// Locked for as long as the process lives.
    _lock: File,
}

impl Quoin {
    /// Opens the data folder and starts to load the model.
    ///
    /// # Errors
    /// [`OpenError`]: the folder is not usable, belongs to another process, or holds what cannot be read. A model that
    /// cannot be loaded is not an error here: see [`Quoin::readiness`].
    pub async fn open(config: Config) -> Result<Arc<Self>, OpenError> {
        Self::open_with(config, OpenOptions::default()).await
    }

    /// [`Quoin::open`], with choices.
    ///
    /// # Errors
    /// As [`Quoin::open`].
    pub async fn open_with(config: Config, options: OpenOptions) -> Result<Arc<Self>, OpenError> {
        let opened = Instant::now();
        let quoin = tokio::task::spawn_blocking(move || Self::open_folder(config)).await??;
        let quoin = Arc::new(quoin);
        erasure::purge_until_done(&quoin);
        quoin.rollouts.resume().await?;
        if options.load == Load::Background {
            rollouts::run(&quoin);
        }
        match (options.generator, options.load) {
            (Some(generator), _) => {
                quoin.models.set_base(BaseState::Ready(generator));
            }
            (None, Load::Background) => {
                quoin.models.set_base(BaseState::Loading);
                let background = Arc::clone(&quoin.models);
                tokio::spawn(async move { background.load_base().await });
            }
            (None, Load::OnDemand) => {}
        }
        tracing::info!(
            elapsed_ms = opened.elapsed().as_millis(),
            "data folder opened"
        );
        Ok(quoin)
    }

    fn open_folder(config: Config) -> Result<Self, OpenError> {
        let data = config.data().to_owned();
        let folder_error = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Folder { path, source }
        };
        for folder in [data.clone(), data.join("models"), data.join("adapters")] {
            make_private(&folder).map_err(folder_error(&folder))?;
        }
        let lock = lock(&data)?;
        let settings = RetrieverSettings {
            reader_command: config.reader_command.clone(),
            outer_places: vec![erasure::REQUEST_LOG],
            ..config
                .retrieval
                .settings(config.model.device.parse()?, &models_folder(&data))
        };
        let retriever = Arc::new(Retriever::open(&data, settings)?);
        let adapters = &config.adapters;
        let trust = Trust::parse(&adapters.trusted_keys, adapters.require_signature)?;
        let registry = Arc::new(Registry::open(&data.join("adapters"))?.trusting(trust));
        let storage = Storage::open(&data.join("quoin.db"))?;
        Ok(Self {
            rollouts: Rollouts::new(storage.clone(), Arc::clone(&registry)),
            retriever,
            models: Arc::new(Models::new(&config, Arc::clone(&registry))?),
            registry,
            storage,
            started: SystemTime::now(),
            sources: Sources::default(),
            _lock: lock,
            config,
        })
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The documents.
    #[must_use]
    pub const fn retriever(&self) -> &Arc<Retriever> {
        &self.retriever
    }

    /// The adapter versions.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Keys, feedback and the request log.
    #[must_use]
    pub const fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The rollout that is running, if one is.
    pub(crate) const fn rollouts(&self) -> &Rollouts {
        &self.rollouts
    }

    /// The followed folders.
    #[must_use]
    pub const fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The language models in memory.
    pub(crate) const fn loaded(&self) -> &Arc<Models> {
        &self.models
    }

    /// Whether answers can be made, and what is missing.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let (ready, state) = match self.models.base_state() {
            BaseState::Idle => (true, "loads with the first answer".to_owned()),
            BaseState::Loading => (false, "loading".to_owned()),
            BaseState::Ready(generator) => (true, generator.description().name.clone()),
            // Why holds paths of this machine; this is shown to everyone.
            BaseState::Failed(_) => (false, "could not be loaded: the log says why".to_owned()),
        };
        let statistics = self.retriever.statistics();
        let checks = vec![
            Check {
                name: "documents",
                ready: true,
                state: format!(
                    "{} documents, {} passages",
                    statistics.documents, statistics.passages
                ),
            },
            Check {
                name: "model",
                ready,
                state,
            },
        ];
        Readiness { ready, checks }
    }

    /// Waits until the model is loaded or has failed to load.
    pub async fn settled(&self) {
        self.models.settled().await;
    }

    /// The models that a request may name.
    #[must_use]
    pub fn models(&self) -> Vec<ModelCard> {
        let root = self.config.model.source.clone();
        let created = self
            .started
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let base_loaded = matches!(self.models.base_state(), BaseState::Ready(_));
        let mut cards: Vec<ModelCard> = ["quoin", BASE]
            .into_iter()
            .map(|id| ModelCard {
                id: id.to_owned(),
                root: root.clone(),
                parent: None,
                created,
                loaded: base_loaded,
            })
            .collect();
        let versions = self
            .registry
            .list()
            .map(|listing| listing.versions)
            .unwrap_or_default();
        cards.extend(versions.into_iter().map(|version| {
            let id = version.id().to_string();
            ModelCard {
                loaded: self.models.holds(&version.id()),
                root: root.clone(),
                parent: Some(BASE.to_owned()),
                created,
                id,
            }
        }));
        cards
    }

    /// What an adapter must fit: the base model's digest and shapes. Blocking: reads the weights.
    ///
    /// # Errors
    /// The base model is not a folder of safetensors, or cannot be read.
    pub fn base_identity(&self) -> Result<BaseIdentity, BaseUnknown> {
        self.models.base_identity()
    }
}

/// Makes a folder that only its owner may enter: what is in it is meant for some of those who may ask, not for everyone on
/// the machine. One that is there stays as it is.
fn make_private(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Takes the folder for this process, and leaves its number for those who come later.
pub(crate) fn lock(data: &Path) -> Result<File, OpenError> {
    let path = data.join("quoin.lock");
    let io = |source| OpenError::Folder {
        path: path.clone(),
        source,
    };
    let mut file = FileOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            return Err(OpenError::Locked {
                path: data.to_owned(),
                owner: text.trim().parse().ok(),
            });
        }
        Err(std::fs::TryLockError::Error(source)) => return Err(io(source)),
    }
    file.set_len(0).map_err(io)?;
    file.rewind().map_err(io)?;
    write!(file, "{}", std::process::id()).map_err(io)?;
    Ok(file)
}
