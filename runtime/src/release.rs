//! Which release answers: a loaded model with everything that decides an answer, by digest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;

use quoin_adapters::{
    AdapterId, AdapterVersion, Alias, BASE, IndexIdentity, Release, ReleasedAdapter,
};
use quoin_engine::{BaseModel, EngineError, EngineSettings, Generator, Part};
use serde_json::json;

use crate::answer::error::AnswerError;
use crate::answer::prompt::PromptStyle;
use crate::answer::types::{Mode, ReleaseInfo};
use crate::config::{Citing, Config, ModelConfig};
use crate::service::Quoin;

/// A loaded model and how it is used.
#[derive(Clone)]
pub struct Served {
    /// Generates.
    pub generator: Arc<dyn Generator>,
    /// How it is prompted.
    pub style: PromptStyle,
    /// How it cites.
    pub citing: Citing,
    /// What its answers record.
    pub release: ChosenRelease,
}

/// Everything that decides an answer but the generation, which the search names.
#[derive(Clone)]
pub struct ChosenRelease {
    release: Release,
    adapter: String,
    route: String,
}

impl ChosenRelease {
    /// Of any generation: what is rolled out.
    pub(crate) fn digest(&self) -> String {
        self.release.digest()
    }

    /// What an answer from this generation records.
    #[must_use]
    pub fn at(&self, generation: u64) -> ReleaseInfo {
        let mut release = self.release.clone();
        release.index.generation = Some(generation);
        ReleaseInfo {
            id: release.digest(),
            adapter: self.adapter.clone(),
            generation,
            route: self.route.clone(),
        }
    }
}

/// What a request asks to be answered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `quoin`: the champion, or the base model while there is none.
    Routed,
    /// `base`: the base model without an adapter.
    Base,
    /// `NAME@VERSION`.
    Pinned(AdapterId),
}

impl Route {
    /// Reads the `model` of a request; none is `quoin`.
    ///
    /// # Errors
    /// [`AnswerError::UnknownModel`] for anything else.
    pub fn parse(model: Option<&str>) -> Result<Self, AnswerError> {
        match model {
            None | Some("quoin") => Ok(Self::Routed),
            Some(BASE) => Ok(Self::Base),
            Some(name) => AdapterId::from_str(name)
                .map(Self::Pinned)
                .map_err(|_| AnswerError::UnknownModel(name.chars().take(128).collect())),
        }
    }
}

impl Quoin {
    /// The model for a request, loaded if need be, with the release that its answer records.
    pub(crate) async fn served(&self, model: Option<&str>) -> Result<Served, AnswerError> {
        let (id, route) = match Route::parse(model)? {
            Route::Base => (None, BASE),
            Route::Pinned(id) => (Some(id), "pinned"),
            Route::Routed => (self.champion()?, "stable"),
        };
        self.served_by(id.as_ref(), route).await
    }

    /// An adapter version, or the base model without one, loaded if need be.
    pub(crate) async fn served_by(
        &self,
        adapter: Option<&AdapterId>,
        route: &str,
    ) -> Result<Served, AnswerError> {
        let (generator, version) = match adapter {
            None => (self.loaded().base().await?, None),
            Some(id) => {
                let loaded = self.loaded().adapted_now(id).await?;
                (loaded.generator, Some(loaded.version))
            }
        };
        let style = self.style(generator.as_ref());
        Ok(Served {
            style,
            citing: self.config().answers.citing,
            release: ChosenRelease {
                release: self.release(Some(generator.as_ref()), style, version.as_deref()),
                adapter: AdapterId::or_base(adapter),
                route: route.to_owned(),
            },
            generator,
        })
    }

    /// The adapter version that `quoin` routes to.
    fn champion(&self) -> Result<Option<AdapterId>, AnswerError> {
        let aliases = self
            .registry()
            .aliases()
            .map_err(|error| AnswerError::Unavailable {
                reason: error.to_string(),
            })?;
        Ok(aliases.get(&Alias::champion()).cloned())
    }

    /// Everything that decides an answer but the generation.
    fn release(
        &self,
        generator: Option<&dyn Generator>,
        style: PromptStyle,
        adapter: Option<&AdapterVersion>,
    ) -> Release {
        let model = generator.map(Generator::description);
        let pipeline = self.retriever().pipeline();
        // Models that follow instructions are shown whole passages, in whose choice it has no part.
        let sentences = (style == PromptStyle::Pointer).then_some(pipeline.sentences);
        let answers = &self.config().answers;
        Release {
            base: model.map_or_else(|| "none".to_owned(), |model| model.base_digest.clone()),
            adapter: adapter.map(ReleasedAdapter::from),
            index: IndexIdentity {
                pipeline: pipeline.index,
                generation: None,
            },
            embedder: pipeline.embedder,
            reranker: pipeline.reranker,
            prompt_template: style.template().to_owned(),
            citing: match answers.citing {
                Citing::Point => quoin_adapters::Citing::Point,
                Citing::Quote => quoin_adapters::Citing::Quote,
            },
            schema: None,
            retrieval: BTreeMap::from([
                ("top_k".to_owned(), json!(answers.top_k)),
                ("ranking".to_owned(), json!(pipeline.ranking)),
                ("sentences".to_owned(), json!(sentences)),
                (
                    "extractive_threshold".to_owned(),
                    json!(answers.extractive_threshold),
                ),
                (
                    "retrieval_threshold".to_owned(),
                    json!(answers.retrieval_threshold),
                ),
                ("rewriting".to_owned(), json!(answers.rewriting)),
                ("neighbours".to_owned(), json!(answers.neighbours)),
            ]),
            decoding: BTreeMap::from([
                // Bounds on open ends, grammars and prompts are the program's.
                ("program".to_owned(), json!(env!("CARGO_PKG_VERSION"))),
                ("max_tokens".to_owned(), json!(answers.max_tokens)),
                ("max_citations".to_owned(), json!(answers.max_citations)),
                (
                    "quantization".to_owned(),
                    json!(model.and_then(|model| model.quantization.clone())),
                ),
                (
                    "context_length".to_owned(),
                    json!(model.map(|model| model.context_length)),
                ),
            ]),
        }
    }

    /// The release that answers such a request, of any generation, and its adapter.
    pub(crate) async fn released(
        &self,
        model: Option<&str>,
        mode: Mode,
    ) -> Result<(String, String), AnswerError> {
        let release = match mode {
            Mode::Extractive => self.extractive_release("extractive".to_owned()),
            Mode::Auto | Mode::Grounded | Mode::ClosedBook => self.served(model).await?.release,
        };
        Ok((release.digest(), release.adapter.clone()))
    }

    fn style(&self, generator: &dyn Generator) -> PromptStyle {
        match self.config().model.prompt.as_str() {
            "pointer" => PromptStyle::Pointer,
            "instruct" => PromptStyle::Instruct,
            _ if has_marker_tokens(generator) => PromptStyle::Pointer,
            _ => PromptStyle::Instruct,
        }
    }

    /// The release of an answer without a model.
    pub(crate) fn extractive_release(&self, route: String) -> ChosenRelease {
        ChosenRelease {
            release: self.release(None, PromptStyle::Pointer, None),
            adapter: BASE.to_owned(),
            route,
        }
    }
}

/// Only a model trained on the marker format has a token of its own for each marker.
fn has_marker_tokens(generator: &dyn Generator) -> bool {
    ["[[P]]", "[[0]]", "[[1]]", "[[64]]"]
        .iter()
        .all(|marker| generator.count_tokens(&[Part::Trusted((*marker).to_owned())]) == 1)
}

/// What the engine is told, from the configuration.
///
/// # Errors
/// [`EngineError::Setting`] names the key.
pub fn engine_settings(config: &Config) -> Result<EngineSettings, EngineError> {
    let model = &config.model;
    let mut settings = EngineSettings::new(models_folder(config.data()));
    settings.device = model.device.parse()?;
    settings.quantization = model.quantization.as_deref().map(str::parse).transpose()?;
    settings.context_length = Some(model.context_length);
    settings.queue_length = model.queue_length;
    settings.time_limit = std::time::Duration::from_millis(model.time_limit_ms);
    settings.prefix_cache = model.prefix_cache;
    settings.network = model.network;
    Ok(settings)
}

/// Where models lie in a data folder.
#[must_use]
pub fn models_folder(data: &Path) -> PathBuf {
    data.join("models")
}

/// A model that is a path, or a name below `models`, if it is there.
#[must_use]
pub fn local_model(name: &str, models: &Path) -> Option<PathBuf> {
    let (given, imported) = (PathBuf::from(name), models.join(name));
    [given, imported].into_iter().find(|path| path.exists())
}

/// Where the configured base model comes from; unpacks the bundled one.
///
/// # Errors
/// As [`quoin_engine::bundled::unpack`].
pub fn base_source(model: &ModelConfig, data: &Path) -> Result<BaseModel, EngineError> {
    let models = models_folder(data);
    if model.source == "bundled" {
        return quoin_engine::bundled::unpack(&models).map(BaseModel::Folder);
    }
    Ok(match local_model(&model.source, &models) {
        Some(path)
            if path
                .extension()
                .is_some_and(|extension| extension == "gguf") =>
        {
            BaseModel::Gguf(path)
        }
        Some(path) => BaseModel::Folder(path),
        None => BaseModel::Hub {
            id: model.source.clone(),
            revision: model.revision.clone(),
        },
    })
}
