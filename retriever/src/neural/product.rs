//! Products with weights, `x · Wᵀ + b`: over floats as they are, over int8 weights in integers.
//!
//! Integers are five times as fast as floats here. Each row of `x` is rounded to 8 bits between its least and its greatest value
//! as it comes, each row of `W` has been; sums are exact.

use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_tensor::NdTensorView;

use super::encoder::Linear;
use super::numeric;
use super::weights::{Matrix, Weights};
use crate::RetrieverError;

/// `x · Wᵀ + b`, by whatever the checkpoint holds.
pub(super) enum Product {
    Floats(Linear),
    Integers(Box<Integers>),
}

impl Product {
    pub(super) fn load(
        weights: &Weights<'_>,
        name: &str,
        columns: usize,
        depth: usize,
    ) -> Result<Self, RetrieverError> {
        let matrix = weights.matrix(&format!("{name}.weight"), [columns, depth])?;
        let bias = weights.get(&format!("{name}.bias"), &[columns])?;
        Ok(Self::of(matrix, bias))
    }

    /// Of `[columns, depth]` weights.
    pub(super) fn of(matrix: Matrix, bias: Vec<f32>) -> Self {
        let columns = matrix.rows();
        match matrix {
            Matrix::Floats { values, width } => {
                Self::Floats(Linear::new(&values, columns, width, bias))
            }
            Matrix::Scaled {
                values,
                scales,
                width,
            } => Self::Integers(Box::new(Integers::new(&values, scales, width, bias))),
        }
    }

    /// For `count` rows of `x`, into as many rows of `out`.
    pub(super) fn apply(&self, x: &[f32], count: usize, out: &mut Vec<f32>, between: &mut Between) {
        match self {
            Self::Floats(linear) => linear.apply(x, count, out),
            Self::Integers(integers) => integers.apply(x, count, out, between),
        }
    }
}

/// Memory for one product, used by one after the other.
#[derive(Default)]
pub(super) struct Between {
    rounded: Vec<u8>,
    sums: Vec<i32>,
}

/// The one for this processor; it is no more than a choice of functions, and cannot be shared between threads.
fn executor() -> GemmExecutor<u8, i8, i32> {
    GemmExecutor::default()
}

pub(super) struct Integers {
    packed: PackedBMatrix<i8>,
    depth: usize,
    scales: Vec<f32>,
    /// The sum of each row of weights.
    sums: Vec<i32>,
    bias: Vec<f32>,
    /// The greatest value that a row of `x` is rounded to.
    most: f32,
}

impl Integers {
    fn new(values: &[i8], scales: Vec<f32>, depth: usize, bias: Vec<f32>) -> Self {
        let executor = executor();
        let rows = NdTensorView::from_data([scales.len(), depth], values);
        Self {
            packed: executor.prepack_b(rows.transposed()),
            // Older processors add two products in 16 bits, where only 7 bits times 8 have room.
            most: if executor.may_saturate() {
                127.0
            } else {
                255.0
            },
            depth,
            sums: values
                .chunks_exact(depth)
                .map(|row| row.iter().map(|value| i32::from(*value)).sum())
                .collect(),
            scales,
            bias,
        }
    }

    fn apply(&self, x: &[f32], count: usize, out: &mut Vec<f32>, between: &mut Between) {
        let columns = self.scales.len();
        let Between { rounded, sums } = between;
        out.resize(count * columns, 0.0);
        let rounded = at_least(rounded, count * self.depth);
        let sums = at_least(sums, count * columns);
        let rows = x.chunks_exact(self.depth);
        let steps: Vec<(f32, i32)> = rows
            .zip(rounded.chunks_exact_mut(self.depth))
            .map(|(row, rounded)| {
                let (step, zero) = round(row, self.most, rounded);
                (step, i32::from(zero))
            })
            .collect();
        let rounded = NdTensorView::from_data([count, self.depth], &*rounded);
        let left = GemmInputA::Unpacked(rounded);
        let right = GemmInputB::Packed(&self.packed);
        // What stands for zero is taken off below: rten-gemm 0.27 takes off the wrong rows' where there are many.
        let done = executor().gemm(sums, left, right, GemmOptions::default());
        debug_assert!(done.is_ok(), "shapes fit: {done:?}");
        let rows = out
            .chunks_exact_mut(columns)
            .zip(sums.chunks_exact(columns));
        for ((out, sums), (step, zero)) in rows.zip(steps) {
            let weights = self.sums.iter().zip(&self.scales).zip(&self.bias);
            for ((out, sum), ((of_weights, scale), bias)) in out.iter_mut().zip(sums).zip(weights) {
                #[expect(clippy::cast_precision_loss, reason = "24 bits of a sum are enough")]
                let sum = (sum - zero * of_weights) as f32;
                *out = (sum * step).mul_add(*scale, *bias);
            }
        }
    }
}

/// The first values of what only grows, so that one product after the other does not fill it with zeros.
fn at_least<T: Clone + Default>(values: &mut Vec<T>, count: usize) -> &mut [T] {
    if values.len() < count {
        values.resize(count, T::default());
    }
    &mut values[..count]
}

/// Rounds a row to `0..=most`; its step, and what stands for zero, which every row has.
fn round(row: &[f32], most: f32, into: &mut [u8]) -> (f32, u8) {
    let (least, greatest) = numeric::ends(row);
    let step = ((greatest - least) / most).max(f32::MIN_POSITIVE);
    let zero = held(-least / step, most);
    let (inverse, shift) = (1.0 / step, f32::from(zero));
    for (to, value) in into.iter_mut().zip(row) {
        *to = held(value.mul_add(inverse, shift), most);
    }
    (step, zero)
}

/// The nearest of `0..=most`.
#[inline]
fn held(value: f32, most: f32) -> u8 {
    // Adding 2²³ rounds to an integer, and leaves it in the lowest bits.
    (value.clamp(0.0, most) + 8_388_608.0)
        .to_bits()
        .to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_integers_are_those_of_floats_within_a_step() {
        let (count, depth, columns) = (70, 96, 33);
        let value = |i: usize, of: usize| f32::from(u8::try_from(i * 37 % of).unwrap());
        let x: Vec<f32> = (0..count * depth)
            .map(|i| value(i, 251) / 100.0 - 0.3)
            .collect();
        let values: Vec<i8> = (0..columns * depth)
            .map(|i| i8::try_from(i * 53 % 255).unwrap_or(-50))
            .collect();
        let scales: Vec<f32> = (0..columns).map(|i| 0.001 + value(i, 7) / 1000.0).collect();
        let bias: Vec<f32> = (0..columns).map(|i| value(i, 5) - 2.0).collect();
        let floats: Vec<f32> = values
            .iter()
            .enumerate()
            .map(|(at, v)| f32::from(*v) * scales[at / depth])
            .collect();
        let (mut got, mut want) = (Vec::new(), Vec::new());
        let matrix = Matrix::Scaled {
            values,
            scales,
            width: depth,
        };
        Product::of(matrix, bias.clone()).apply(&x, count, &mut got, &mut Between::default());
        Linear::new(&floats, columns, depth, bias).apply(&x, count, &mut want);
        assert_eq!(got.len(), want.len());
        let largest = want.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
        for (got, want) in got.iter().zip(&want) {
            assert!((got - want).abs() < 0.01 * largest, "{got} {want}");
        }
    }

    #[test]
    fn a_row_keeps_its_zero_and_its_ends() {
        let mut into = [0; 4];
        let (step, zero) = round(&[0.0, -1.0, 3.0, 1.0], 255.0, &mut into);
        assert_eq!((into[0], into[1], into[2]), (zero, 0, 255));
        assert!(
            (f32::from(into[3]) - f32::from(zero))
                .mul_add(step, -1.0)
                .abs()
                < step
        );
        for row in [[0.0; 4], [f32::NAN; 4], [f32::INFINITY; 4], [1e-40; 4]] {
            round(&row, 127.0, &mut into);
        }
        assert_eq!(round(&[0.0; 4], 255.0, &mut into).1, 0);
    }
}
