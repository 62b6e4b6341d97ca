//! Cross-encoders: a transformer reads query and passage together, and says how well they fit.

use std::path::Path;

use super::{Candidate, Reads, Reranker, WeightedQuery};
use crate::RetrieverError;
use crate::neural::Model;

/// A model of the BERT or XLM-RoBERTa family with one output, such as ms-marco-MiniLM or bge-reranker.
pub(crate) struct CrossEncoder {
    model: Model,
    name: String,
}

impl CrossEncoder {
    /// # Errors
    /// A file is missing, too large or damaged, or describes what this program cannot run.
    pub(crate) fn open(folder: &Path) -> Result<Self, RetrieverError> {
        let model = Model::open_classifier(folder)?;
        Ok(Self {
            name: format!("cross-encoder:{}", model.digest()),
            model,
        })
    }
}

impl Reranker for CrossEncoder {
    fn name(&self) -> &str {
        &self.name
    }

    fn reads(&self) -> Reads {
        Reads::Text
    }

    fn by_default(&self) -> bool {
        false
    }

    fn weight(&self) -> f32 {
        0.8
    }

    fn score(&self, query: &WeightedQuery<'_>, candidates: &[Candidate]) -> Vec<f32> {
        let texts: Vec<&str> = candidates
            .iter()
            .map(|candidate| match candidate {
                Candidate::Text(text) => text.as_str(),
                _ => "",
            })
            .collect();
        let mut scores = self.model.judge(query.text, &texts);
        // Weights that are numbers can still compute what is none.
        for score in &mut scores {
            *score = if score.is_finite() { *score } else { f32::MIN };
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::keeps_the_contract;
    use super::*;

    #[test]
    fn cross_encoders_keep_the_contract() {
        let table = crate::embed::bundled().unwrap();
        for name in ["cross-encoder", "xlm-cross-encoder"] {
            let reranker = CrossEncoder::open(&crate::neural::tests::fixture(name)).unwrap();
            keeps_the_contract(&reranker, table.as_ref());
        }
    }
}
