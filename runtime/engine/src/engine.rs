//! The set of loaded models.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Instant,
};

use crate::{
    BaseModel, EngineError, EngineSettings, Generator, ModelSource, hub,
    in_flight::InFlight,
    mistral::{LocalBase, LocalSource, MistralGenerator},
};

/// Models by name, each with its own weights, queue and thread.
pub struct Engine {
    settings: EngineSettings,
    models: RwLock<BTreeMap<String, Arc<dyn Generator>>>,
    loading: Mutex<BTreeSet<String>>,
    in_flight: InFlight,
}

impl Engine {
    #[must_use]
    pub fn new(settings: EngineSettings) -> Self {
        Self {
            settings,
            models: RwLock::default(),
            loading: Mutex::default(),
            in_flight: InFlight::default(),
        }
    }

    /// Loads a model beside those that are loaded. Its name is the caller's choice, one name one model.
    ///
    /// # Errors
    /// [`EngineError::NameTaken`], and what is wrong with the files, the adapter or the settings.
    pub async fn load(
        &self,
        name: &str,
        source: &ModelSource,
    ) -> Result<Arc<dyn Generator>, EngineError> {
        let _claim = self.claim(name)?;
        let start = Instant::now();
        let base = match &source.base {
            BaseModel::Folder(path) => LocalBase::Folder(path.clone()),
            BaseModel::Gguf(path) => LocalBase::Gguf(path.clone()),
            BaseModel::Hub { id, revision } => {
                LocalBase::Folder(self.hub_folder(id, revision.as_deref()).await?)
            }
        };
        let source = LocalSource {
            base,
            adapter: source.adapter.clone(),
        };
        let generator =
            MistralGenerator::load(name, source, &self.settings, self.in_flight.clone()).await?;
        let generator: Arc<dyn Generator> = Arc::new(generator);
        let description = generator.description();
        tracing::info!(
            model = name,
            architecture = description.architecture,
            device = description.device,
            context_tokens = description.context_length,
            base = description.base_digest,
            adapter = description.adapter_digest,
            elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            "model loaded"
        );
        self.models
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), Arc::clone(&generator));
        Ok(generator)
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<dyn Generator>> {
        self.models
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// Takes a model out. Whoever holds it, and every request in flight, keeps it until they end; then its memory is freed.
    pub fn unload(&self, name: &str) -> bool {
        self.models
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name)
            .is_some()
    }

    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.models
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .cloned()
            .collect()
    }

    /// Waits until no request is in flight. For shutdown, after the last request was accepted.
    pub async fn drained(&self) {
        self.in_flight.none_left().await;
    }

    async fn hub_folder(
        &self,
        id: &str,
        revision: Option<&str>,
    ) -> Result<std::path::PathBuf, EngineError> {
        match hub::cached(id, revision, &self.settings.cache_folder)? {
            Some(folder) => Ok(folder),
            None if self.settings.network => {
                hub::pull(id, revision, &self.settings.cache_folder, |_| ()).await
            }
            None => Err(EngineError::NetworkOff { id: id.to_owned() }),
        }
    }

    fn claim(&self, name: &str) -> Result<Claim<'_>, EngineError> {
        if self.get(name).is_some() || !self.loading().insert(name.to_owned()) {
            return Err(EngineError::NameTaken {
                name: name.to_owned(),
            });
        }
        Ok(Claim {
            engine: self,
            name: name.to_owned(),
        })
    }

    fn loading(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name while its model is being loaded.
struct Claim<'a> {
    engine: &'a Engine,
    name: String,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.engine.loading().remove(&self.name);
    }
}
