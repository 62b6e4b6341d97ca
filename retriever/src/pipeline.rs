//! Pipelines: what makes the passages, vectors and words of a document.
//!
//! A generation is of one pipeline. Several can have cut the same documents: one serves, another is being built or was left.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalogue::StoredPipeline;
use crate::embed::{self, Embedder, NeuralEmbedder};
use crate::rank::Ranking;
use crate::rank::rerank::{CrossEncoder, Reranker, StaticLateInteraction, TokenLateInteraction};
use crate::settings::{
    EmbedderKind, PassageSettings, RankingSettings, RerankerKind, RetrieverSettings,
};
use crate::{RetrieverError, ingest};

/// What embeds and what reranks; the rest of the retriever knows their traits only.
#[derive(Clone)]
pub(crate) struct Models {
    pub(crate) embedder: Arc<dyn Embedder>,
    pub(crate) reranker: Option<Arc<dyn Reranker>>,
    /// Whether the vectors of passages' tokens are stored.
    pub(crate) token_vectors: bool,
}

impl Models {
    /// Those that a pipeline was made by, with the reranker of the settings.
    ///
    /// # Errors
    /// A folder is not there, or holds no model that this program can run.
    pub(crate) fn load(
        made_by: &MadeBy,
        settings: &RetrieverSettings,
    ) -> Result<Self, RetrieverError> {
        let other = |folder: &Path| (settings.other_embedders.as_ref()?.0)(folder);
        let embedder: Arc<dyn Embedder> = match &made_by.embedder {
            EmbedderKind::Bundled => embed::bundled()?,
            EmbedderKind::BundledEncoder => Arc::new(NeuralEmbedder::bundled()?),
            EmbedderKind::Folder(folder) => match other(folder) {
                Some(opened) => opened?,
                None => Arc::new(NeuralEmbedder::open(folder)?),
            },
        };
        let is_static = made_by.embedder == EmbedderKind::Bundled;
        Self::around(
            embedder,
            is_static,
            made_by.token_vectors,
            &settings.ranking.reranker,
        )
    }

    /// An embedder with what suits it.
    ///
    /// # Errors
    /// The reranker's folder is not there, or holds no model that this program can run.
    pub(crate) fn around(
        embedder: Arc<dyn Embedder>,
        is_static: bool,
        token_vectors: bool,
        reranker: &RerankerKind,
    ) -> Result<Self, RetrieverError> {
        let token_vectors = token_vectors && embedder.token_dimensions() > 0;
        let reranker: Option<Arc<dyn Reranker>> = match reranker {
            RerankerKind::LateInteraction if token_vectors => {
                Some(Arc::new(TokenLateInteraction::of(embedder.as_ref())))
            }
            RerankerKind::LateInteraction if is_static => {
                Some(Arc::new(StaticLateInteraction::new(embed::bundled()?)))
            }
            RerankerKind::LateInteraction | RerankerKind::Off => None,
            RerankerKind::CrossEncoder(folder) => Some(Arc::new(CrossEncoder::open(folder)?)),
        };
        Ok(Self {
            embedder,
            reranker,
            token_vectors,
        })
    }
}

/// The settings that make a pipeline, as the catalogue keeps them so that it can be made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MadeBy {
    pub(crate) passages: PassageSettings,
    // Pipelines of older programs had neither.
    #[serde(default)]
    pub(crate) embedder: EmbedderKind,
    #[serde(default)]
    pub(crate) token_vectors: bool,
}

impl MadeBy {
    pub(crate) fn of(settings: &RetrieverSettings) -> Self {
        Self {
            passages: settings.passages.clone(),
            embedder: settings.embedder.clone(),
            token_vectors: settings.token_vectors.unwrap_or(true),
        }
    }

    pub(crate) fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// One pipeline, with its models loaded.
pub(crate) struct Pipeline {
    /// The catalogue's number for it.
    pub(crate) number: u32,
    /// Of reader, passage rules, embedder and analyser.
    pub(crate) fingerprint: String,
    pub(crate) passages: PassageSettings,
    pub(crate) embedder: Arc<dyn Embedder>,
    pub(crate) reranker: Option<Arc<dyn Reranker>>,
    pub(crate) token_vectors: bool,
    pub(crate) ranking: Ranking,
}

impl Pipeline {
    pub(crate) fn new(
        number: u32,
        fingerprint: String,
        passages: PassageSettings,
        models: Models,
        ranking: &RankingSettings,
    ) -> Self {
        let contextual = models.embedder.is_contextual();
        Self {
            number,
            fingerprint,
            passages,
            ranking: Ranking::of(ranking, contextual, models.reranker.as_deref()),
            embedder: models.embedder,
            reranker: models.reranker,
            token_vectors: models.token_vectors,
        }
    }

    pub(crate) fn fingerprint_of(passages: &PassageSettings, models: &Models) -> String {
        ingest::pipeline(models.embedder.as_ref(), models.token_vectors, passages)
    }

    /// Makes a pipeline again from what the catalogue knows of it. An older program's serves as well, as long as its vectors are
    /// those of the same embedder; what is written meanwhile is cut by the rules of this program.
    ///
    /// # Errors
    /// Its embedder cannot be loaded, or is another one by now.
    pub(crate) fn load(
        stored: StoredPipeline,
        settings: &RetrieverSettings,
    ) -> Result<Self, RetrieverError> {
        let refused = |problem: String| RetrieverError::Embedder { problem };
        let made_by = MadeBy::from_json(&stored.made_by)
            .map_err(|error| refused(format!("its settings cannot be read: {error}")))?;
        let models = Models::load(&made_by, settings)?;
        if !stored.fingerprint.contains(models.embedder.fingerprint()) {
            return Err(refused(format!(
                "`{}` is not the embedder of `{}`",
                models.embedder.fingerprint(),
                stored.fingerprint
            )));
        }
        let (number, fingerprint) = (stored.number, stored.fingerprint);
        Ok(Self::new(
            number,
            fingerprint,
            made_by.passages,
            models,
            &settings.ranking,
        ))
    }
}
