//! Embedders: text in, unit vectors out.
//!
//! The seam is a trait; the static table in the binary is the implementation that is quick, and `neural.rs` the one for models of
//! the BERT family, a small one of which is in the binary too. A vector is either of length 1 or, for a text of which the embedder
//! knows nothing, all zeros; NaN and infinities are taken for that.

mod neural;
mod static_table;
pub(crate) mod wordpiece;

use std::sync::{Arc, OnceLock};

use crate::RetrieverError;
use crate::passage::Token;

pub(crate) use self::neural::NeuralEmbedder;
pub(crate) use self::static_table::StaticTable;

/// As was measured best with all-MiniLM.
const LATE_INTERACTION_WEIGHT: f32 = 0.5;

/// What is kept of a passage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PassageVectors {
    /// What the passage is found by: a unit vector, or zeros.
    pub vector: Vec<f32>,
    /// One row of [`Embedder::token_dimensions`] components a token that the model read, in order: two components a byte, the
    /// first in the lower half, each 1 to 15 for -7 to 7. Only the direction counts. Empty from an embedder that makes none.
    pub tokens: Vec<u8>,
}

/// What is compared with what is kept of passages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryVectors {
    /// A unit vector, or zeros.
    pub vector: Vec<f32>,
    /// Of the query's tokens, in order; empty from an embedder that makes none.
    pub tokens: Vec<QueryToken>,
}

/// A token of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryToken {
    /// The byte of the query where it starts.
    pub start: u32,
    /// A unit vector of [`Embedder::token_dimensions`] components.
    pub vector: Vec<f32>,
}

/// Turns text into vectors.
pub trait Embedder: Send + Sync {
    /// Digest of everything that decides its vectors. Vectors of different fingerprints are never compared.
    fn fingerprint(&self) -> &str;

    /// Components of a vector.
    fn dimensions(&self) -> usize;

    /// The tokens of a text of any length, in order, each with the byte where it starts; no special tokens.
    fn tokenize(&self, text: &str) -> Vec<Token>;

    /// One vector of `dimensions` components a passage, in their order: what it is found by. A passage is the tokens of its title,
    /// its headings and its text, without special tokens; it may be empty, and longer than what the model reads.
    ///
    /// # Errors
    /// The model fails.
    fn embed_passages(&self, passages: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, RetrieverError>;

    /// The vector of `dimensions` components that is compared with those of passages.
    ///
    /// # Errors
    /// The model fails.
    fn embed_query(&self, query: &str) -> Result<Vec<f32>, RetrieverError>;

    /// Whether a text's vector is more than the mean of its tokens': then vectors count for as much as words do, unless the
    /// settings say otherwise.
    fn is_contextual(&self) -> bool {
        true
    }

    /// Tokens of a passage that its vector is made of; what is beyond is found by its words alone.
    fn passage_tokens(&self) -> usize {
        usize::MAX
    }

    /// Components of the vectors of single tokens, which late interaction compares: an even number, 0 when there are none.
    fn token_dimensions(&self) -> usize {
        0
    }

    /// The share of the final score that late interaction by the vectors of tokens has, where the settings do not say, 0 to 1.
    fn late_interaction_weight(&self) -> f32 {
        LATE_INTERACTION_WEIGHT
    }

    /// As [`Embedder::embed_passages`], with the vectors of the passages' tokens.
    ///
    /// # Errors
    /// The model fails.
    fn embed_passages_and_tokens(
        &self,
        passages: &[Vec<u32>],
    ) -> Result<Vec<PassageVectors>, RetrieverError> {
        let vectors = self.embed_passages(passages)?;
        let alone = |vector| PassageVectors {
            vector,
            tokens: Vec::new(),
        };
        Ok(vectors.into_iter().map(alone).collect())
    }

    /// As [`Embedder::embed_query`], with the vectors of the query's tokens.
    ///
    /// # Errors
    /// The model fails.
    fn embed_query_and_tokens(&self, query: &str) -> Result<QueryVectors, RetrieverError> {
        Ok(QueryVectors {
            vector: self.embed_query(query)?,
            tokens: Vec::new(),
        })
    }
}

/// The vector of a text that is a passage by itself.
pub(crate) fn embed_text(embedder: &dyn Embedder, text: &str) -> Result<Vec<f32>, RetrieverError> {
    let mut vectors = embedder.embed_passages(&[ids(&embedder.tokenize(text))])?;
    Ok(vectors.pop().unwrap_or_default())
}

/// Without their places.
pub(crate) fn ids(tokens: &[Token]) -> Vec<u32> {
    tokens.iter().map(|token| token.id).collect()
}

/// The embedder in the binary, read once.
///
/// # Errors
/// The files in the binary do not fit together.
pub(crate) fn bundled() -> Result<Arc<StaticTable>, RetrieverError> {
    static TABLE: OnceLock<Arc<StaticTable>> = OnceLock::new();
    if let Some(table) = TABLE.get() {
        return Ok(Arc::clone(table));
    }
    let table = Arc::new(StaticTable::from_bytes(
        include_bytes!("../bundled/static/model.safetensors"),
        include_bytes!("../bundled/static/tokenizer.json"),
    )?);
    Ok(Arc::clone(TABLE.get_or_init(|| table)))
}

/// Scales to length 1; a vector that has no direction, or is not finite, becomes zeros.
pub(crate) fn normalise(vector: &mut [f32]) {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    let usable = norm.is_finite() && norm > 1e-12;
    for x in vector {
        *x = if usable { *x / norm } else { 0.0 };
    }
}

/// Scaled as [`normalise`] does.
pub(crate) fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    normalise(&mut vector);
    vector
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An embedder for tests, which takes texts for alike that have the same letters: of other dimensions than the bundled one.
    pub(crate) struct Letters;

    impl Embedder for Letters {
        fn fingerprint(&self) -> &'static str {
            "letters"
        }

        fn dimensions(&self) -> usize {
            32
        }

        fn tokenize(&self, text: &str) -> Vec<Token> {
            let letters = text
                .char_indices()
                .filter(|(_, letter)| letter.is_alphabetic());
            letters
                .map(|(start, letter)| Token {
                    id: u32::from(letter) % 32,
                    start: u32::try_from(start).unwrap(),
                })
                .collect()
        }

        fn embed_passages(&self, passages: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, RetrieverError> {
            let vector = |tokens: &Vec<u32>| {
                let mut counts = vec![0.0; 32];
                for token in tokens {
                    counts[*token as usize] += 1.0;
                }
                normalise(&mut counts);
                counts
            };
            Ok(passages.iter().map(vector).collect())
        }

        fn embed_query(&self, query: &str) -> Result<Vec<f32>, RetrieverError> {
            embed_text(self, query)
        }
    }

    /// What every embedder must keep.
    fn keeps_the_contract(embedder: &dyn Embedder) {
        let texts = [
            "",
            " \n",
            "pump",
            "How do I reset it? ERR-4012",
            "猫です 👩‍🚀 שלום",
            "\u{0}\u{fffd}",
        ];
        for text in texts {
            let as_passage = |text| embed_text(embedder, text).unwrap();
            let as_query = |text| embedder.embed_query(text).unwrap();
            for vector in [as_passage(text), as_query(text)] {
                assert_eq!(vector.len(), embedder.dimensions());
                let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
                assert!(norm == 0.0 || (norm - 1.0).abs() < 1e-4, "{text}: {norm}");
            }
            assert_eq!(as_passage(text), as_passage(text));
            assert_eq!(as_query(text), as_query(text));
            let tokens = embedder.tokenize(text);
            let with_tokens = embedder.embed_passages_and_tokens(&[ids(&tokens)]).unwrap();
            assert_eq!(with_tokens[0].vector, as_passage(text));
            let query = embedder.embed_query_and_tokens(text).unwrap();
            assert_eq!(query.vector, as_query(text));
            let dimensions = embedder.token_dimensions();
            assert!(dimensions > 0 || with_tokens[0].tokens.is_empty());
            assert!(with_tokens[0].tokens.len() <= tokens.len() * dimensions / 2);
            for token in &query.tokens {
                assert_eq!(token.vector.len(), dimensions);
                assert!(text.is_char_boundary(token.start as usize));
            }
            assert!(tokens.is_sorted_by_key(|token| token.start));
            assert!(
                tokens
                    .iter()
                    .all(|token| text.is_char_boundary(token.start as usize))
            );
        }
        assert!(!embedder.fingerprint().is_empty());
    }

    #[test]
    fn every_embedder_keeps_the_contract() {
        keeps_the_contract(bundled().unwrap().as_ref());
        keeps_the_contract(&Letters);
        let folder = crate::neural::tests::fixture("embedder");
        keeps_the_contract(&NeuralEmbedder::open(&folder).unwrap());
        keeps_the_contract(&NeuralEmbedder::bundled().unwrap());
    }

    #[test]
    fn what_has_no_direction_becomes_zeros() {
        for mut vector in [
            vec![0.0, 0.0],
            vec![f32::NAN, 1.0],
            vec![f32::INFINITY, 1.0],
        ] {
            normalise(&mut vector);
            assert_eq!(vector, [0.0, 0.0]);
        }
    }
}
