//! An embedding model that the engine serves, as the retriever's embedder.

use std::path::Path;
use std::sync::Arc;

use quoin_engine::{Device, EmbeddingModel, EngineError};
use quoin_retriever::{Embedder, OpenEmbedder, RetrieverError, Token};

struct EngineEmbedder {
    model: EmbeddingModel,
    fingerprint: String,
}

/// How the retriever opens the embedding models that are the engine's.
pub(crate) fn served_by_engine(device: Device) -> OpenEmbedder {
    OpenEmbedder(Arc::new(move |folder: &Path| {
        EmbeddingModel::is_served(folder).then(|| load(folder, device))
    }))
}

fn load(folder: &Path, device: Device) -> Result<Arc<dyn Embedder>, RetrieverError> {
    let model = EmbeddingModel::load(folder, device).map_err(failed)?;
    let fingerprint = format!("engine:{}", model.digest());
    Ok(Arc::new(EngineEmbedder { model, fingerprint }))
}

impl Embedder for EngineEmbedder {
    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn dimensions(&self) -> usize {
        self.model.dimensions()
    }

    fn passage_tokens(&self) -> usize {
        self.model.passage_tokens()
    }

    fn tokenize(&self, text: &str) -> Vec<Token> {
        let tokens = self.model.tokenize(text).unwrap_or_else(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a text is cut without its tokens"
            );
            Vec::new()
        });
        let token = |(id, start): (u32, usize)| {
            let start = u32::try_from(start).ok()?;
            Some(Token { id, start })
        };
        tokens.into_iter().map_while(token).collect()
    }

    /// One after the other: a model of the engine computes one sequence at a time.
    fn embed_passages(&self, passages: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, RetrieverError> {
        let embed = |tokens: &Vec<u32>| {
            if tokens.is_empty() {
                return Ok(vec![0.0; self.dimensions()]);
            }
            self.model.embed_passage(tokens).map_err(failed)
        };
        passages.iter().map(embed).collect()
    }

    fn embed_query(&self, query: &str) -> Result<Vec<f32>, RetrieverError> {
        self.model.embed_query(query).map_err(failed)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used by map_err")]
fn failed(error: EngineError) -> RetrieverError {
    RetrieverError::Embedder {
        problem: error.to_string(),
    }
}
