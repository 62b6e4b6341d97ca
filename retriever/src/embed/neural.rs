//! A transformer as embedder: passages by their pooled outputs, and their tokens' outputs in few components beside them.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::{Embedder, LATE_INTERACTION_WEIGHT, PassageVectors, QueryToken, QueryVectors, unit};
use crate::RetrieverError;
use crate::neural::{Model, Projection, pack_nibbles, token_dimensions};
use crate::passage::Token;

/// A model of the BERT family from a folder.
pub(crate) struct NeuralEmbedder {
    model: Arc<Model>,
    fingerprint: String,
    late_interaction_weight: f32,
    /// Made when it is first needed: that runs the model on some thousand tokens.
    projection: OnceLock<Projection>,
}

impl NeuralEmbedder {
    /// # Errors
    /// A file is missing, too large or damaged, or describes what this program cannot run.
    pub(crate) fn open(folder: &Path) -> Result<Self, RetrieverError> {
        let embedder = Self::around(Arc::new(Model::open(folder)?), LATE_INTERACTION_WEIGHT);
        // A model whose weights are numbers can still compute what is none.
        let vector = embedder.embed_query("a sentence")?;
        if vector.iter().all(|value| *value == 0.0) {
            return Err(RetrieverError::Embedder {
                problem: format!("`{}`: its outputs are not finite", folder.display()),
            });
        }
        Ok(embedder)
    }

    /// The encoder in the binary.
    ///
    /// # Errors
    /// The files in the binary do not fit together.
    pub(crate) fn bundled() -> Result<Self, RetrieverError> {
        // More of it loses on Cranfield what it wins elsewhere.
        Ok(Self::around(Model::bundled()?, 0.3))
    }

    fn around(model: Arc<Model>, late_interaction_weight: f32) -> Self {
        Self {
            fingerprint: format!("neural:{}", model.digest()),
            model,
            late_interaction_weight,
            projection: OnceLock::new(),
        }
    }

    fn projection(&self) -> Result<&Projection, RetrieverError> {
        if let Some(projection) = self.projection.get() {
            return Ok(projection);
        }
        // Two threads may both make it: it is the same.
        let projection = Projection::of(&self.model)?;
        Ok(self.projection.get_or_init(|| projection))
    }
}

/// Nothing is like a passage without words.
fn passage_vector(pooled: Vec<f32>, tokens: &[u32]) -> Vec<f32> {
    if tokens.is_empty() {
        return vec![0.0; pooled.len()];
    }
    unit(pooled)
}

impl Embedder for NeuralEmbedder {
    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn dimensions(&self) -> usize {
        self.model.width()
    }

    fn tokenize(&self, text: &str) -> Vec<Token> {
        self.model.tokenize(text)
    }

    fn embed_passages(&self, passages: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, RetrieverError> {
        let outputs = self.model.passages(passages).into_iter();
        let vectors = outputs
            .zip(passages)
            .map(|(output, tokens)| passage_vector(output.pooled, tokens));
        Ok(vectors.collect())
    }

    fn embed_query(&self, query: &str) -> Result<Vec<f32>, RetrieverError> {
        Ok(self.embed_query_and_tokens_if(query, false)?.vector)
    }

    fn passage_tokens(&self) -> usize {
        self.model.passage_tokens()
    }

    fn token_dimensions(&self) -> usize {
        token_dimensions(&self.model)
    }

    fn late_interaction_weight(&self) -> f32 {
        self.late_interaction_weight
    }

    fn embed_passages_and_tokens(
        &self,
        passages: &[Vec<u32>],
    ) -> Result<Vec<PassageVectors>, RetrieverError> {
        let projection = self.projection()?;
        let outputs = self.model.passages(passages).into_iter();
        let vectors = outputs.zip(passages).map(|(output, tokens)| {
            let vector = passage_vector(output.pooled, tokens);
            let tokens = projection.apply(&output.tokens, self.model.width());
            let rows = tokens.chunks_exact(projection.dimensions());
            PassageVectors {
                vector,
                tokens: rows.flat_map(pack_nibbles).collect(),
            }
        });
        Ok(vectors.collect())
    }

    fn embed_query_and_tokens(&self, query: &str) -> Result<QueryVectors, RetrieverError> {
        self.embed_query_and_tokens_if(query, true)
    }
}

impl NeuralEmbedder {
    fn embed_query_and_tokens_if(
        &self,
        query: &str,
        wanted: bool,
    ) -> Result<QueryVectors, RetrieverError> {
        let tokens = self.model.tokenize(query);
        let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
        let output = self.model.query(&ids).filter(|_| !ids.is_empty());
        let Some(output) = output else {
            return Ok(QueryVectors {
                vector: vec![0.0; self.dimensions()],
                tokens: Vec::new(),
            });
        };
        let mut query_tokens = Vec::new();
        if wanted {
            let projection = self.projection()?;
            let projected = projection.apply(&output.tokens, self.model.width());
            let vectors = projected.chunks_exact(projection.dimensions());
            query_tokens.extend(
                tokens
                    .iter()
                    .zip(vectors)
                    .map(|(token, vector)| QueryToken {
                        start: token.start,
                        vector: vector.to_vec(),
                    }),
            );
        }
        Ok(QueryVectors {
            vector: unit(output.pooled),
            tokens: query_tokens,
        })
    }
}
