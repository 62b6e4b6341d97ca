//! One int8 vector a token; a text is the mean of its tokens' vectors, scaled to length 1.

use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use super::wordpiece::WordPiece;
use super::{Embedder, normalise};
use crate::RetrieverError;
use crate::passage::Token;

/// A table of token vectors with its tokenizer.
pub(crate) struct StaticTable {
    tokenizer: WordPiece,
    dimensions: usize,
    /// `[vocabulary, dimensions]`; a row times its scale is the token's vector.
    rows: Vec<i8>,
    scales: Vec<f32>,
    fingerprint: String,
}

impl StaticTable {
    /// From the bytes of a `model.safetensors` with `embedding` (int8, `[V, D]`) and `scale` (f32, `[V]`), and of its `tokenizer.json`.
    ///
    /// # Errors
    /// A tensor is missing or of another type or shape, a scale is not finite, or the vocabulary does not fit the table.
    pub(crate) fn from_bytes(model: &[u8], tokenizer: &[u8]) -> Result<Self, RetrieverError> {
        let mut digest = Sha256::new();
        digest.update(b"static-1\0");
        digest.update(model);
        digest.update(tokenizer);
        let tokenizer = WordPiece::from_json(tokenizer)?;
        let (dimensions, rows, scales) = vectors(model)?;
        if tokenizer.largest_id() as usize >= scales.len() {
            return Err(wrong(format!(
                "the tokenizer has ids up to {}, the table {} rows",
                tokenizer.largest_id(),
                scales.len()
            )));
        }
        Ok(Self {
            tokenizer,
            dimensions,
            rows,
            scales,
            fingerprint: format!("static:{}", crate::hex(&digest.finalize()[..16])),
        })
    }

    /// A token's row and its scale; zeros for an id that the table does not have.
    pub(crate) fn row(&self, token: u32) -> (&[i8], f32) {
        let token = token as usize;
        let row = self
            .rows
            .get(token * self.dimensions..(token + 1) * self.dimensions);
        match (row, self.scales.get(token)) {
            (Some(row), Some(scale)) => (row, *scale),
            _ => (&[], 0.0),
        }
    }

    /// The direction of the mean of the tokens' vectors, which is that of their sum.
    fn mean(&self, tokens: &[u32]) -> Vec<f32> {
        let mut sum = vec![0.0_f32; self.dimensions];
        for token in tokens {
            let (row, scale) = self.row(*token);
            for (total, value) in sum.iter_mut().zip(row) {
                *total += f32::from(*value) * scale;
            }
        }
        normalise(&mut sum);
        sum
    }
}

impl Embedder for StaticTable {
    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn tokenize(&self, text: &str) -> Vec<Token> {
        self.tokenizer.tokenize(text)
    }

    fn embed_passages(&self, passages: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, RetrieverError> {
        let passages = passages.par_iter().with_min_len(16);
        Ok(passages.map(|tokens| self.mean(tokens)).collect())
    }

    fn embed_query(&self, query: &str) -> Result<Vec<f32>, RetrieverError> {
        super::embed_text(self, query)
    }

    fn is_contextual(&self) -> bool {
        false
    }
}

/// The components of a row, all rows, and their scales.
fn vectors(model: &[u8]) -> Result<(usize, Vec<i8>, Vec<f32>), RetrieverError> {
    let tensors = SafeTensors::deserialize(model).map_err(|error| wrong(error.to_string()))?;
    let tensor = |name: &str| {
        tensors
            .tensor(name)
            .map_err(|error| wrong(error.to_string()))
    };
    let (embedding, scale) = (tensor("embedding")?, tensor("scale")?);
    let [vocabulary, dimensions] = *embedding.shape() else {
        return Err(wrong(format!(
            "`embedding` has shape {:?}",
            embedding.shape()
        )));
    };
    if embedding.dtype() != Dtype::I8 || scale.dtype() != Dtype::F32 {
        return Err(wrong("`embedding` is int8 and `scale` is f32".into()));
    }
    if scale.shape().iter().product::<usize>() != vocabulary || dimensions == 0 {
        return Err(wrong(format!("`scale` has shape {:?}", scale.shape())));
    }
    let (bytes, _) = scale.data().as_chunks::<4>();
    let scales: Vec<f32> = bytes
        .iter()
        .map(|scale| f32::from_le_bytes(*scale))
        .collect();
    if !scales.iter().all(|scale| scale.is_finite()) {
        return Err(wrong("`scale` is not finite".into()));
    }
    let rows = embedding.data().iter().map(|byte| byte.cast_signed());
    Ok((dimensions, rows.collect(), scales))
}

fn wrong(problem: String) -> RetrieverError {
    RetrieverError::Embedder { problem }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Reference {
        texts: Vec<ReferenceText>,
    }

    #[derive(Deserialize)]
    struct ReferenceText {
        text: String,
        ids: Vec<u32>,
        vector: Vec<f32>,
    }

    #[test]
    fn ids_and_vectors_equal_the_reference() {
        let table = super::super::bundled().unwrap();
        let reference: Reference =
            serde_json::from_slice(include_bytes!("../../bundled/static/reference.json")).unwrap();
        assert!(reference.texts.len() > 5);
        // The reference's tokenizer takes `[CLS]` in a text for its special token; here it is text.
        for case in reference
            .texts
            .into_iter()
            .filter(|case| !case.text.contains("[CLS]"))
        {
            let ids: Vec<u32> = table.tokenize(&case.text).iter().map(|t| t.id).collect();
            assert_eq!(ids, case.ids, "{}", case.text);
            let vector = table.embed_query(&case.text).unwrap();
            for (got, want) in vector.iter().zip(&case.vector) {
                assert!((got - want).abs() < 2e-5, "{}: {got} {want}", case.text);
            }
        }
    }

    #[test]
    fn a_damaged_table_is_refused() {
        let tokenizer = include_bytes!("../../bundled/static/tokenizer.json");
        assert!(StaticTable::from_bytes(b"not a table", tokenizer).is_err());
        let model = include_bytes!("../../bundled/static/model.safetensors");
        assert!(StaticTable::from_bytes(&model[..model.len() / 2], tokenizer).is_err());
    }
}
