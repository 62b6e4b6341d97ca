//! What a transformer does between matrix products: layer norm, softmax and GELU, in loops that the compiler makes vectors of.

/// Values that are added up side by side, so that a sum is no chain.
const LANES: usize = 16;

/// `e^x`, with a relative error below 2e-7; 0 and infinity are not reached: `x` is taken as within ±87.
#[inline]
fn exp(x: f32) -> f32 {
    // Adding and taking away 1.5·2²³ rounds to an integer, and leaves it in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 87.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    // ln 2 in two parts (Cody and Waite).
    let rest = whole.mul_add(-0.693_359_4, x);
    let rest = whole.mul_add(2.121_944_4e-4, rest);
    let mut sum = 1.987_569_1e-4_f32;
    for factor in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        0.166_666_65,
        0.5,
    ] {
        sum = sum.mul_add(rest, factor);
    }
    let value = (sum * rest).mul_add(rest, rest) + 1.0;
    let power = (shifted.to_bits() << 23).wrapping_add(127 << 23);
    value * f32::from_bits(power)
}

/// `x · Φ(x)`, with the error function of Abramowitz and Stegun, 7.1.26 (error below 1.5e-7).
#[inline]
fn gelu_of(x: f32) -> f32 {
    let scaled = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / scaled.mul_add(0.327_591_1, 1.0);
    let mut sum = 1.061_405_4_f32;
    for factor in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        sum = sum.mul_add(t, factor);
    }
    let tail = sum * t * exp(-scaled * scaled);
    let error_function = (1.0 - tail).copysign(x);
    0.5 * x * (1.0 + error_function)
}

/// Of every value.
pub(super) fn gelu(values: &mut [f32]) {
    for value in values {
        *value = gelu_of(*value);
    }
}

/// GELU by the hyperbolic tangent: `½x · (1 + tanh(√(2/π) · (x + 0.044715x³)))`.
pub(super) fn gelu_tanh(values: &mut [f32]) {
    for value in values {
        let x = *value;
        let inner = 0.797_884_6 * (0.044_715 * x * x).mul_add(x, x);
        // tanh(y) = 1 − 2 / (e^2y + 1)
        *value = x * (1.0 - 1.0 / (exp(2.0 * inner) + 1.0));
    }
}

pub(super) fn relu(values: &mut [f32]) {
    for value in values {
        *value = value.max(0.0);
    }
}

/// `Σ map(value)`.
#[inline]
fn sum(values: &[f32], map: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += map(*value);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|value| map(*value)).sum::<f32>()
}

/// Folds values by a function that has an order of no consequence, beginning with 0.
#[inline]
fn fold(values: &[f32], join: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0_f32; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = join(*lane, *value);
        }
    }
    lanes.iter().chain(rest).copied().fold(0.0, &join)
}

/// The least and the greatest value, or 0 where that is less or greater. What is no number counts for nothing.
pub(super) fn ends(values: &[f32]) -> (f32, f32) {
    let least = fold(
        values,
        |least, value| if value < least { value } else { least },
    );
    let greatest = fold(
        values,
        |most, value| if value > most { value } else { most },
    );
    (least, greatest)
}

/// `row ← (row + added − mean) / √(variance + epsilon) · scale + shift`, for rows of the length of `scale`.
pub(super) fn add_and_normalise(
    rows: &mut [f32],
    added: &[f32],
    scale: &[f32],
    shift: &[f32],
    epsilon: f32,
) {
    let width = scale.len();
    #[expect(clippy::cast_precision_loss, reason = "components of a vector")]
    let count = width as f32;
    for (row, added) in rows.chunks_exact_mut(width).zip(added.chunks_exact(width)) {
        for (value, added) in row.iter_mut().zip(added) {
            *value += added;
        }
        let mean = sum(row, |value| value) / count;
        let variance = sum(row, |value| (value - mean) * (value - mean)) / count;
        let factor = 1.0 / (variance + epsilon).sqrt();
        for ((value, scale), shift) in row.iter_mut().zip(scale).zip(shift) {
            *value = ((*value - mean) * factor).mul_add(*scale, *shift);
        }
    }
}

/// `row ← softmax(factor · row)`, for every row of `width` values.
pub(super) fn softmax(rows: &mut [f32], width: usize, factor: f32) {
    for row in rows.chunks_exact_mut(width) {
        let (chunks, rest) = row.as_chunks::<LANES>();
        let mut most = [f32::MIN; LANES];
        for chunk in chunks {
            for (most, value) in most.iter_mut().zip(chunk) {
                *most = most.max(*value);
            }
        }
        let most = most.iter().chain(rest).copied().fold(f32::MIN, f32::max);
        for value in row.iter_mut() {
            *value = exp((*value - most) * factor);
        }
        let scale = 1.0 / sum(row, |value| value);
        for value in row {
            *value *= scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_those_of_the_textbook() {
        for step in -400..=400_i16 {
            let x = f32::from(step) / 20.0;
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) / want - 1.0).abs() < 4e-7, "{x}");
        }
        // Φ by the standard library is not there: values of a table.
        for (x, want) in [
            (0.0, 0.0),
            (1.0, 0.841_344_7),
            (-1.0, -0.158_655_26),
            (3.0, 2.995_950_3),
            (-6.0, 0.0),
        ] {
            let mut value = [x];
            gelu(&mut value);
            assert!((value[0] - want).abs() < 1e-6, "{x}: {}", value[0]);
        }
        let mut value = [1.0, -1.0];
        gelu_tanh(&mut value);
        assert!((value[0] - 0.841_192).abs() < 1e-6 && (value[1] + 0.158_808).abs() < 1e-6);
    }

    #[test]
    fn rows_are_normalised_by_themselves() {
        let mut rows: Vec<f32> = (0..40_u8).map(f32::from).collect();
        let added = vec![1.0; 40];
        add_and_normalise(&mut rows, &added, &[1.0; 20], &[0.5; 20], 0.0);
        for row in rows.chunks(20) {
            let mean: f32 = row.iter().sum::<f32>() / 20.0;
            let variance: f32 = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / 20.0;
            assert!((mean - 0.5).abs() < 1e-5 && (variance - 1.0).abs() < 1e-4);
        }
        let mut rows = vec![1.0, 2.0, 3.0, 1000.0, 1000.0, -1000.0];
        softmax(&mut rows, 3, 0.5);
        for row in rows.chunks(3) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
        assert!((rows[1] / rows[0] - 0.5_f32.exp()).abs() < 1e-5);
        assert!((rows[3] - 0.5).abs() < 1e-6 && rows[5] < 1e-6);
    }
}
