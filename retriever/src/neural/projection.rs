//! From a model's token vectors to the few components that are stored: those in which its own outputs vary most.
//!
//! The sample is made of the model's own vocabulary, in short sequences that a fixed seed draws, so that the same model always
//! gives the same projection and none has to be kept beside it.

use super::encoder::Linear;
use super::{Model, wrong};
use crate::RetrieverError;
use crate::embed::normalise;

/// Components that are kept.
pub(crate) const DIMENSIONS: usize = 128;
/// Changes whenever the same model would get another projection.
pub(crate) const VERSION: &str = "tokens-1";

const SEQUENCES: usize = 512;
const LENGTH: usize = 8;
/// Of subspace iteration: more changes no similarity by .001.
const ROUNDS: usize = 12;

/// A matrix `[components, width]` with orthonormal rows.
pub(crate) struct Projection {
    rows: Linear,
    dimensions: usize,
}

impl Projection {
    /// # Errors
    /// The model's outputs are not finite.
    pub(crate) fn of(model: &Model) -> Result<Self, RetrieverError> {
        let width = model.width();
        let dimensions = DIMENSIONS.min(width);
        let covariance = covariance(&sample(model), width);
        let covariance = Linear::new(&covariance, width, width, Vec::new());
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut basis: Vec<f32> = (0..dimensions * width).map(|_| random.centred()).collect();
        orthonormalise(&mut basis, width);
        for _ in 0..ROUNDS {
            let mut next = Vec::new();
            covariance.apply(&basis, dimensions, &mut next);
            orthonormalise(&mut next, width);
            basis = next;
        }
        if basis.iter().any(|value| !value.is_finite()) {
            return Err(wrong("its outputs are not finite".into()));
        }
        Ok(Self {
            rows: Linear::new(&basis, dimensions, width, Vec::new()),
            dimensions,
        })
    }

    pub(crate) fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Unit vectors of `dimensions` components, one a token of `width` components.
    pub(crate) fn apply(&self, tokens: &[f32], width: usize) -> Vec<f32> {
        let mut projected = Vec::new();
        self.rows
            .apply(tokens, tokens.len() / width, &mut projected);
        projected
            .chunks_exact_mut(self.dimensions)
            .for_each(normalise);
        projected
    }
}

/// `xorshift64*` (Vigna, 2016).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.next()) * u64::from(bound)) >> 32) as u32
    }

    /// -½ to ½.
    fn centred(&mut self) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "24 random bits")]
        let value = (self.next() >> 8) as f32;
        value / 16_777_216.0 - 0.5
    }
}

/// Unit vectors of tokens that the model made of random sequences.
fn sample(model: &Model) -> Vec<f32> {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let vocabulary = u32::try_from(model.vocabulary()).unwrap_or(u32::MAX);
    // The first thirtieth of a vocabulary is special and unused tokens.
    let first = vocabulary / 30;
    let sequences: Vec<Vec<u32>> = (0..SEQUENCES)
        .map(|_| {
            let ids = (0..LENGTH).map(|_| first + random.below(vocabulary - first));
            ids.collect()
        })
        .collect();
    let outputs = model.passages(&sequences);
    let mut tokens: Vec<f32> = outputs.into_iter().flat_map(|one| one.tokens).collect();
    tokens.chunks_exact_mut(model.width()).for_each(normalise);
    tokens
}

/// `Xᵀ · X` of `X`, `[tokens, width]`.
fn covariance(tokens: &[f32], width: usize) -> Vec<f32> {
    let count = tokens.len() / width;
    let mut transposed = vec![0.0; tokens.len()];
    for (at, token) in tokens.chunks_exact(width).enumerate() {
        for (component, value) in token.iter().enumerate() {
            transposed[component * count + at] = *value;
        }
    }
    let mut product = Vec::new();
    Linear::new(&transposed, width, count, Vec::new()).apply(&transposed, width, &mut product);
    product
}

/// Gram and Schmidt's, twice for each row, which keeps rows orthogonal in f32.
fn orthonormalise(basis: &mut [f32], width: usize) {
    for row in 0..basis.len() / width {
        let (before, rest) = basis.split_at_mut(row * width);
        let own = &mut rest[..width];
        for _ in 0..2 {
            for other in before.chunks_exact(width) {
                let shared: f32 = own.iter().zip(other).map(|(a, b)| a * b).sum();
                for (own, other) in own.iter_mut().zip(other) {
                    *own -= shared * other;
                }
            }
            normalise(own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_orthonormal_and_span_what_varies_most() {
        let mut random = Random(7);
        let mut basis: Vec<f32> = (0..8 * 32).map(|_| random.centred()).collect();
        orthonormalise(&mut basis, 32);
        for (i, a) in basis.chunks(32).enumerate() {
            for (j, b) in basis.chunks(32).enumerate() {
                let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                let want = if i == j { 1.0 } else { 0.0 };
                assert!((dot - want).abs() < 1e-5, "{i} {j} {dot}");
            }
        }
        let tokens = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(covariance(&tokens, 2), [35.0, 44.0, 44.0, 56.0]);
    }
}
