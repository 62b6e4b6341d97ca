//! The language models in memory: the base, and the adapter versions used last. Loads one at a time.

mod kept;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quoin_adapters::{AdapterError, AdapterId, AdapterVersion, BASE, BaseIdentity, Registry};
use quoin_engine::{BaseModel, Engine, EngineError, EngineSettings, Generator, ModelSource};
use tokio::sync::watch;

pub(crate) use self::kept::Kept;
use crate::answer::error::AnswerError;
use crate::config::Config;
use crate::release::{base_source, engine_settings};

/// When whoever did not wait for a version to be loaded may ask again.
const LOADING: Duration = Duration::from_secs(2);

/// Why it is not known what an adapter must fit.
#[derive(Debug, thiserror::Error)]
pub enum BaseUnknown {
    /// Adapters fit weights that can be read.
    #[error("adapters need a base model that is a local folder of safetensors")]
    NotAFolder,
    /// The base model is not where the settings say.
    #[error(transparent)]
    Source(#[from] EngineError),
    /// Its weights cannot be read.
    #[error(transparent)]
    Weights(#[from] AdapterError),
}

/// What became of the base model.
#[derive(Clone)]
pub(crate) enum BaseState {
    /// Not asked for yet.
    Idle,
    /// On its way.
    Loading,
    /// Generates.
    Ready(Arc<dyn Generator>),
    /// Could not be loaded; the reason.
    Failed(String),
}

/// An adapter version in memory.
#[derive(Clone)]
pub(crate) struct Adapted {
    /// As it was registered; its bytes were compared with its digests before it was loaded.
    pub(crate) version: Arc<AdapterVersion>,
    pub(crate) generator: Arc<dyn Generator>,
}

/// The models of one process.
pub(crate) struct Models {
    config: Config,
    registry: Arc<Registry>,
    engine: Engine,
    base: watch::Sender<BaseState>,
    /// Least recently used first.
    adapted: Mutex<Vec<Adapted>>,
    /// Never unloaded.
    pinned: Mutex<Vec<AdapterId>>,
    /// Being loaded for nobody in particular: once for all who ask.
    in_background: Mutex<BTreeSet<AdapterId>>,
    /// Held while a model is loaded.
    loading: tokio::sync::Mutex<()>,
}

impl Models {
    /// Nothing is loaded yet.
    ///
    /// # Errors
    /// [`EngineError::Setting`] names the setting that is wrong.
    pub(crate) fn new(config: &Config, registry: Arc<Registry>) -> Result<Self, EngineError> {
        let settings: EngineSettings = engine_settings(config)?;
        Ok(Self {
            config: config.clone(),
            registry,
            engine: Engine::new(settings),
            base: watch::Sender::new(BaseState::Idle),
            adapted: Mutex::default(),
            pinned: Mutex::default(),
            in_background: Mutex::default(),
            loading: tokio::sync::Mutex::default(),
        })
    }

    /// Says what the base model is, or that it is coming, before [`Models::load_base`].
    pub(crate) fn set_base(&self, state: BaseState) {
        self.base.send_replace(state);
    }

    /// What became of the base model.
    pub(crate) fn base_state(&self) -> BaseState {
        self.base.borrow().clone()
    }

    /// Waits until the base model is loaded or has failed to load.
    pub(crate) async fn settled(&self) {
        let mut state = self.base.subscribe();
        // The sender lives as long as `self`.
        let _ = state
            .wait_for(|state| !matches!(state, BaseState::Loading))
            .await;
    }

    /// Whether an adapter version is in memory.
    pub(crate) fn holds(&self, id: &AdapterId) -> bool {
        self.lock_adapted()
            .iter()
            .any(|one| one.version.id() == *id)
    }

    /// Versions that stay in memory, whatever else is used.
    pub(crate) fn pin(&self, ids: Vec<AdapterId>) {
        *self.pinned.lock().unwrap_or_else(PoisonError::into_inner) = ids;
    }

    /// Requests that wait for a model to be free, over all models in memory.
    pub(crate) fn waiting(&self) -> usize {
        let base = match self.base_state() {
            BaseState::Ready(generator) => generator.occupancy().waiting,
            BaseState::Idle | BaseState::Loading | BaseState::Failed(_) => 0,
        };
        let adapted = self.lock_adapted();
        base + adapted
            .iter()
            .map(|one| one.generator.occupancy().waiting)
            .sum::<usize>()
    }

    /// The base model, loaded if it was not.
    pub(crate) async fn base(self: &Arc<Self>) -> Result<Arc<dyn Generator>, AnswerError> {
        if matches!(self.base_state(), BaseState::Idle) {
            self.load_base().await;
        }
        self.settled().await;
        match self.base_state() {
            BaseState::Ready(generator) => Ok(generator),
            BaseState::Failed(reason) => Err(AnswerError::Unavailable { reason }),
            BaseState::Idle | BaseState::Loading => Err(AnswerError::Unavailable {
                reason: "the model is loading".to_owned(),
            }),
        }
    }

    /// Loads the base model, unless that was tried before. To its end, also when nobody waits for it any more.
    pub(crate) async fn load_base(self: &Arc<Self>) {
        let models = Arc::clone(self);
        if let Err(error) = tokio::spawn(async move { models.load_base_here().await }).await {
            self.set_base(BaseState::Failed(error.to_string()));
        }
    }

    async fn load_base_here(&self) {
        let _one_at_a_time = self.loading.lock().await;
        if matches!(
            self.base_state(),
            BaseState::Ready(_) | BaseState::Failed(_)
        ) {
            return;
        }
        let state = match self.load(BASE, None).await {
            Ok(generator) => BaseState::Ready(generator),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the model could not be loaded"
                );
                BaseState::Failed(error.to_string())
            }
        };
        self.set_base(state);
    }

    /// An adapter version, loaded if it was not; the least recently used one makes room. Requests that run on that one
    /// finish. What is being loaded is loaded to its end, also when nobody waits for it any more.
    pub(crate) async fn adapted(self: &Arc<Self>, id: &AdapterId) -> Result<Adapted, AnswerError> {
        if let Some(found) = self.use_adapted(id) {
            return Ok(found);
        }
        self.load_version(id).await
    }

    /// As [`Models::adapted`], for a request: where the settings say so, it does not wait for what has to be loaded.
    pub(crate) async fn adapted_now(
        self: &Arc<Self>,
        id: &AdapterId,
    ) -> Result<Adapted, AnswerError> {
        if self.config.adapters.wait_for_load {
            return self.adapted(id).await;
        }
        if let Some(found) = self.use_adapted(id) {
            return Ok(found);
        }
        if self.registry.show(id).is_err() {
            return Err(AnswerError::UnknownModel(id.to_string()));
        }
        self.load_in_background(id);
        Err(AnswerError::Loading {
            model: id.to_string(),
            retry_after: LOADING,
        })
    }

    /// Loads a version unless that is under way. It ends with the process, or before.
    fn load_in_background(self: &Arc<Self>, id: &AdapterId) {
        if !self.lock_in_background().insert(id.clone()) {
            return;
        }
        let (models, wanted) = (Arc::clone(self), id.clone());
        tokio::spawn(async move {
            if let Err(error) = models.load_version(&wanted).await {
                tracing::error!(
                    adapter = %wanted,
                    error = &error as &dyn std::error::Error,
                    "an adapter version could not be loaded"
                );
            }
            models.lock_in_background().remove(&wanted);
        });
    }

    async fn load_version(self: &Arc<Self>, id: &AdapterId) -> Result<Adapted, AnswerError> {
        let (models, id) = (Arc::clone(self), id.clone());
        tokio::spawn(async move { models.load_adapted(&id).await }).await?
    }

    async fn load_adapted(self: &Arc<Self>, id: &AdapterId) -> Result<Adapted, AnswerError> {
        let _one_at_a_time = self.loading.lock().await;
        if let Some(found) = self.use_adapted(id) {
            return Ok(found);
        }
        let (models, wanted) = (Arc::clone(self), id.clone());
        let version =
            tokio::task::spawn_blocking(move || models.verified_version(&wanted)).await??;
        // Before and not after: two more models than fit could be one too many for the memory.
        self.make_room();
        let generator = self
            .load(&id.to_string(), Some(&version))
            .await
            .map_err(|error| match error {
                EngineError::Memory { .. } => AnswerError::Unavailable {
                    reason: error.to_string(),
                },
                other => AnswerError::Engine(other),
            })?;
        let adapted = Adapted {
            version: Arc::new(version),
            generator,
        };
        self.lock_adapted().push(adapted.clone());
        Ok(adapted)
    }

    /// What an adapter must fit: the base model's digest and shapes. Blocking: reads the weights.
    ///
    /// # Errors
    /// The base model is not a folder of safetensors, or cannot be read.
    pub(crate) fn base_identity(&self) -> Result<BaseIdentity, BaseUnknown> {
        match base_source(&self.config.model, self.config.data())? {
            BaseModel::Folder(folder) => Ok(BaseIdentity::of_folder(&folder)?),
            BaseModel::Gguf(_) | BaseModel::Hub { .. } => Err(BaseUnknown::NotAFolder),
        }
    }

    async fn load(
        &self,
        name: &str,
        adapter: Option<&AdapterVersion>,
    ) -> Result<Arc<dyn Generator>, EngineError> {
        let (model, data) = (self.config.model.clone(), self.config.data().to_owned());
        let base = tokio::task::spawn_blocking(move || base_source(&model, &data))
            .await
            .map_err(|error| EngineError::Load {
                name: name.to_owned(),
                reason: error.to_string(),
            })??;
        let adapter = adapter.map(|version| version.folder.clone());
        self.engine.load(name, &ModelSource { base, adapter }).await
    }

    /// The version, when its bytes are what was registered, and its base is the one served.
    fn verified_version(&self, id: &AdapterId) -> Result<AdapterVersion, AnswerError> {
        if self.registry.show(id).is_err() {
            return Err(AnswerError::UnknownModel(id.to_string()));
        }
        let fits = || {
            let version = self.registry.verify_content(id)?;
            version.check_base(&self.base_identity()?.digest)?;
            Ok(version)
        };
        fits().map_err(|error: BaseUnknown| AnswerError::Unavailable {
            reason: error.to_string(),
        })
    }

    /// The version if it is in memory, which makes it the most recently used one.
    fn use_adapted(&self, id: &AdapterId) -> Option<Adapted> {
        let mut adapted = self.lock_adapted();
        let place = adapted.iter().position(|one| one.version.id() == *id)?;
        let found = adapted.remove(place);
        adapted.push(found.clone());
        Some(found)
    }

    fn make_room(&self) {
        let pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        let mut adapted = self.lock_adapted();
        let is_free = |one: &Adapted| !pinned.contains(&one.version.id());
        while adapted.len() >= self.config.adapters.max_loaded
            && let Some(place) = adapted.iter().position(is_free)
        {
            let oldest = adapted.remove(place).version.id().to_string();
            self.engine.unload(&oldest);
            tracing::info!(
                model = oldest,
                "adapter version unloaded, others were used since"
            );
        }
    }

    fn lock_in_background(&self) -> MutexGuard<'_, BTreeSet<AdapterId>> {
        let ids = self.in_background.lock();
        ids.unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_adapted(&self) -> MutexGuard<'_, Vec<Adapted>> {
        self.adapted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
