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
            Dtype::I8 => self.rows_of(name, data, shape)?.floats(),
            other => {
                return Err(failed(format!(
                    "is of type {other:?}, not F32, F16, BF16 or I8"
                )));
            }
        };
        if !values.iter().all(|value| value.is_finite()) {
            return Err(failed("has values that are not finite".into()));
        }
        Ok(values)
    }

    /// A matrix of the transformer: one of int8 stays as it is.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(super) fn matrix(&self, name: &str, shape: [usize; 2]) -> Result<Matrix, RetrieverError> {
        let whole = format!("{}{name}", self.prefix);
        match self.tensors.tensor(&whole) {
            Ok(tensor) if tensor.dtype() == Dtype::I8 && tensor.shape() == shape => {
                self.rows_of(&whole, tensor.data(), &shape)
            }
            _ => Ok(Matrix::Floats {
                values: self.outer(&whole, &shape)?,
                width: shape[1],
            }),
        }
    }

    /// Rows of int8, each with the scale that `NAME.scale` has for it.
    fn rows_of(&self, name: &str, data: &[u8], shape: &[usize]) -> Result<Matrix, RetrieverError> {
        let &[rows, width] = shape else {
            return Err(wrong(format!(
                "model.safetensors: `{name}` is of type I8 and no matrix"
            )));
        };
        let values = data.iter().map(|byte| i8::from_le_bytes([*byte]));
        Ok(Matrix::Scaled {
            values: values.collect(),
            scales: self.outer(&format!("{name}.scale"), &[rows])?,
            width,
        })
    }

    pub(super) fn has_outer(&self, name: &str) -> bool {
        self.tensors.tensor(name).is_ok()
    }
}

/// Rows of equal length.
pub(super) enum Matrix {
    Floats {
        values: Vec<f32>,
        width: usize,
    },
    /// A row is its values times its scale.
    Scaled {
        values: Vec<i8>,
        scales: Vec<f32>,
        width: usize,
    },
}

impl Matrix {
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Floats { values, width } => values.len() / width,
            Self::Scaled { scales, .. } => scales.len(),
        }
    }

    /// Of several of one width, one under the other. Those of int8 among floats become floats.
    pub(super) fn stack(parts: Vec<Self>) -> Self {
        let width = parts.first().map_or(1, Self::width);
        if parts.iter().all(|part| matches!(part, Self::Scaled { .. })) {
            let (mut all, mut of_all) = (Vec::new(), Vec::new());
            for part in parts {
                if let Self::Scaled { values, scales, .. } = part {
                    all.extend(values);
                    of_all.extend(scales);
                }
            }
            return Self::Scaled {
                values: all,
                scales: of_all,
                width,
            };
        }
        Self::Floats {
            values: parts.iter().flat_map(Self::floats).collect(),
            width,
        }
    }

    /// All rows, one after the other.
    fn floats(&self) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.rows() * self.width());
        for row in 0..self.rows() {
            self.extend(row, &mut values);
        }
        values
    }

    fn width(&self) -> usize {
        match self {
            Self::Floats { width, .. } | Self::Scaled { width, .. } => *width,
        }
    }

    /// Puts a row behind what is there.
    ///
    /// # Panics
    /// There is no such row.
    pub(super) fn extend(&self, row: usize, into: &mut Vec<f32>) {
        match self {
            Self::Floats { values, width } => {
                into.extend_from_slice(&values[row * width..(row + 1) * width]);
            }
            Self::Scaled {
                values,
                scales,
                width,
            } => {
                let (scale, row) = (scales[row], &values[row * width..(row + 1) * width]);
                into.extend(row.iter().map(|value| f32::from(*value) * scale));
            }
        }
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
    use safetensors::tensor::TensorView;

    use super::*;

    #[test]
    fn rows_of_bytes_are_read_with_their_scales() {
        let scales: Vec<u8> = [0.5_f32, 2.0]
            .iter()
            .flat_map(|s| s.to_le_bytes())
            .collect();
        let view =
            |dtype, shape: &[usize], bytes| TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
        let name = "embeddings.word_embeddings.weight";
        let bytes: Vec<u8> = [-127_i8, 3, 0, 1]
            .iter()
            .map(|value| value.to_le_bytes()[0])
            .collect();
        let file = safetensors::serialize(
            [
                (name.to_owned(), view(Dtype::I8, &[2, 2], &bytes)),
                (format!("{name}.scale"), view(Dtype::F32, &[2], &scales)),
                ("alone".to_owned(), view(Dtype::I8, &[2, 2], &bytes)),
            ],
            None,
        )
        .unwrap();
        let weights = Weights::parse(&file).unwrap();
        assert_eq!(weights.get(name, &[2, 2]).unwrap(), [-63.5, 1.5, 0.0, 2.0]);
        let problem = weights.outer("alone", &[2, 2]).unwrap_err().to_string();
        assert!(problem.contains("`alone.scale` is missing"), "{problem}");
    }

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
