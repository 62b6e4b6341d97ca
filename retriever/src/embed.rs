//! Embedders: text in, unit vectors out.
//!
//! The seam is a trait; the static table in the binary is the implementation that needs no download. A vector is either
//! of length 1 or, for a text of which the embedder knows nothing, all zeros; NaN and infinities never leave this module.

mod static_table;
mod wordpiece;

use std::sync::Arc;

use crate::RetrieverError;
use crate::passage::Token;

pub(crate) use self::static_table::StaticTable;

/// Turns text into vectors.
pub(crate) trait Embedder: Send + Sync {
    /// Digest of everything that decides its vectors. Vectors of different fingerprints are never compared.
    fn fingerprint(&self) -> &str;

    /// Components of a vector.
    fn dimensions(&self) -> usize;

    /// The tokens of a text, in order, each with the byte where it starts; no special tokens.
    fn tokenize(&self, text: &str) -> Vec<Token>;

    /// The vector of a sequence of tokens.
    fn embed_tokens(&self, tokens: &[u32]) -> Vec<f32>;

    /// The vector of a text.
    fn embed(&self, text: &str) -> Vec<f32> {
        let tokens: Vec<u32> = self.tokenize(text).iter().map(|token| token.id).collect();
        self.embed_tokens(&tokens)
    }
}

/// The embedder in the binary.
///
/// # Errors
/// The files in the binary do not fit together.
pub(crate) fn bundled() -> Result<Arc<StaticTable>, RetrieverError> {
    StaticTable::from_bytes(
        include_bytes!("../bundled/static/model.safetensors"),
        include_bytes!("../bundled/static/tokenizer.json"),
    )
    .map(Arc::new)
}

/// Scales to length 1; a vector that has no direction, or is not finite, becomes zeros.
pub(crate) fn normalise(vector: &mut [f32]) {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    let usable = norm.is_finite() && norm > 1e-12;
    for x in vector {
        *x = if usable { *x / norm } else { 0.0 };
    }
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

        fn embed_tokens(&self, tokens: &[u32]) -> Vec<f32> {
            let mut counts = vec![0.0; 32];
            for token in tokens {
                counts[*token as usize] += 1.0;
            }
            normalise(&mut counts);
            counts
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
            let vector = embedder.embed(text);
            assert_eq!(vector.len(), embedder.dimensions());
            let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            assert!(norm == 0.0 || (norm - 1.0).abs() < 1e-4, "{text}: {norm}");
            assert_eq!(
                vector,
                embedder.embed(text),
                "the same text has the same vector"
            );
            let tokens = embedder.tokenize(text);
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
