//! Tensors of a `model.safetensors`, each checked against the shape that the configuration says.

use safetensors::{Dtype, SafeTensors};

use super::wrong;
use crate::RetrieverError;

/// What checkpoints of the same model put before the names of its tensors.
const PREFIXES: [&str; 5] = ["", "bert.", "roberta.", "model.", "0.auto_model."];

pub(super) struct Weights<'a> {
    tensors: SafeTensors<'a>,
    prefix: &'static str,
}

impl<'a> Weights<'a> {
    /// # Errors
    /// The bytes are no safetensors file, or not of a BERT-like model.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, RetrieverError> {
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|error| wrong(format!("model.safetensors: {error}")))?;
        let is_there = |prefix: &&str| {
            let name = format!("{prefix}embeddings.word_embeddings.weight");
            tensors.tensor(&name).is_ok()
        };
        let prefix = PREFIXES.into_iter().find(is_there).ok_or_else(|| {
            wrong("model.safetensors: there is no `embeddings.word_embeddings.weight`".into())
        })?;
        Ok(Self { tensors, prefix })
    }

    /// A tensor of the transformer, as f32.
    ///
    /// # Errors
    /// It is missing, of another shape or type, or not finite.
    pub(super) fn get(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, RetrieverError> {
        self.outer(&format!("{}{name}", self.prefix), shape)
    }

    /// A tensor beside the transformer, by its whole name.
    pub(super) fn outer(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, RetrieverError> {
        let failed = |problem: String| wrong(format!("model.safetensors: `{name}` {problem}"));
        let tensor = self
            .tensors
            .tensor(name)
            .map_err(|_| failed("is missing".into()))?;
        if tensor.shape() != shape {
            return Err(failed(format!(
                "has shape {:?}, the configuration says {shape:?}",
                tensor.shape()
            )));
        }
        let data = tensor.data();
        let halves = || data.as_chunks::<2>().0.iter().copied();
        let values: Vec<f32> = match tensor.dtype() {
            Dtype::F32 => {
                let words = data.as_chunks::<4>().0.iter();
                words.map(|bytes| f32::from_le_bytes(*bytes)).collect()
            }
            Dtype::BF16 => halves()
                .map(|[low, high]| f32::from_le_bytes([0, 0, low, high]))
                .collect(),
            Dtype::F16 => halves()
                .map(|bytes| from_half(u16::from_le_bytes(bytes)))
                .collect(),
            other => {
                return Err(failed(format!(
                    "is of type {other:?}, not F32, F16 or BF16"
                )));
            }
        };
        if !values.iter().all(|value| value.is_finite()) {
            return Err(failed("has values that are not finite".into()));
        }
        Ok(values)
    }

    pub(super) fn has_outer(&self, name: &str) -> bool {
        self.tensors.tensor(name).is_ok()
    }
}

/// IEEE 754 binary16.
fn from_half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(bits >> 10) & 31, u32::from(bits & 0x3ff));
    let magnitude = match exponent {
        // Subnormal: fraction · 2⁻²⁴.
        0 => (f32::from(bits & 0x3ff) / 16_777_216.0).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_read_as_it_was_written() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
        ] {
            assert_eq!(from_half(bits).to_bits(), f32::to_bits(value));
        }
        assert!(from_half(0x7c00).is_infinite() && from_half(0x7e00).is_nan());
    }
}
