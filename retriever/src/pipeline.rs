//! Pipelines: what makes the passages, vectors and words of a document.
//!
//! A generation is of one pipeline. Several can have cut the same documents: one serves, another is being built or was left.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalogue::StoredPipeline;
use crate::embed::{self, Embedder};
use crate::rank::rerank::{Reranker, StaticLateInteraction};
use crate::settings::{PassageSettings, RerankerKind, RetrieverSettings};
use crate::{RetrieverError, ingest};

/// What embeds and what reranks; the rest of the retriever knows their traits only.
#[derive(Clone)]
pub(crate) struct Models {
    pub(crate) embedder: Arc<dyn Embedder>,
    pub(crate) reranker: Option<Arc<dyn Reranker>>,
}

impl Models {
    /// Those in the binary.
    ///
    /// # Errors
    /// The files in the binary do not fit together.
    pub(crate) fn bundled(reranker: RerankerKind) -> Result<Self, RetrieverError> {
        let table = embed::bundled()?;
        let reranker: Option<Arc<dyn Reranker>> = match reranker {
            RerankerKind::Off => None,
            RerankerKind::StaticLateInteraction => {
                Some(Arc::new(StaticLateInteraction::new(Arc::clone(&table))))
            }
        };
        Ok(Self {
            embedder: table,
            reranker,
        })
    }
}

/// The settings that make a pipeline, as the catalogue keeps them so that it can be made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MadeBy {
    pub(crate) passages: PassageSettings,
}

impl MadeBy {
    pub(crate) fn of(settings: &RetrieverSettings) -> Self {
        Self {
            passages: settings.passages.clone(),
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
}

impl Pipeline {
    pub(crate) fn new(
        number: u32,
        fingerprint: String,
        passages: PassageSettings,
        models: Models,
    ) -> Self {
        Self {
            number,
            fingerprint,
            passages,
            embedder: models.embedder,
            reranker: models.reranker,
        }
    }

    pub(crate) fn fingerprint_of(passages: &PassageSettings, models: &Models) -> String {
        ingest::pipeline(models.embedder.as_ref(), passages)
    }

    /// Makes a pipeline again from what the catalogue knows of it. An older program's serves as well, as long as its vectors are
    /// those of the same embedder; what is written meanwhile is cut by the rules of this program.
    ///
    /// # Errors
    /// Its embedder cannot be loaded, or is another one by now.
    pub(crate) fn load(
        stored: StoredPipeline,
        reranker: RerankerKind,
    ) -> Result<Self, RetrieverError> {
        let refused = |problem: String| RetrieverError::Embedder { problem };
        let made_by = MadeBy::from_json(&stored.made_by)
            .map_err(|error| refused(format!("its settings cannot be read: {error}")))?;
        let models = Models::bundled(reranker)?;
        if !stored.fingerprint.contains(models.embedder.fingerprint()) {
            return Err(refused(format!(
                "`{}` is not the embedder of `{}`",
                models.embedder.fingerprint(),
                stored.fingerprint
            )));
        }
        Ok(Self::new(
            stored.number,
            stored.fingerprint,
            made_by.passages,
            models,
        ))
    }
}
