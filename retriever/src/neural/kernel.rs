//! Matrix products over weights that were laid out once for them: 32 columns side by side, one row of the inner dimension after
//! the other. Against a general library this saves packing 40 MB of weights for every query of twenty tokens.
//!
//! The only module that may use `unsafe`: for vector instructions that the processor has and the compiler's baseline lacks.
#![expect(
    unsafe_code,
    reason = "AVX-512 is chosen at run time, and its loads take pointers"
)]

/// Columns of a panel.
pub(super) const WIDTH: usize = 32;

/// A matrix `[depth, columns]` as panels of [`WIDTH`] columns, each `[depth, WIDTH]`; zeros fill the last one.
pub(super) struct Panels<'a> {
    pub data: &'a [f32],
    pub depth: usize,
    pub columns: usize,
}

/// Rows of a matrix that lie `stride` values apart.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub data: &'a [f32],
    pub stride: usize,
    pub count: usize,
}

/// `out[row, column] = bias[column] + Σ rows[row, i] · panels[i, column]`; rows of `out` lie `stride` values apart. No bias is zeros.
///
/// # Panics
/// Slices are shorter than the shapes say.
pub(super) fn multiply(
    rows: Rows<'_>,
    panels: &Panels<'_>,
    bias: &[f32],
    out: &mut [f32],
    stride: usize,
) {
    let depth = panels.depth;
    for (at, panel) in panels.data.chunks_exact(depth * WIDTH).enumerate() {
        let first = at * WIDTH;
        let width = WIDTH.min(panels.columns - first);
        let mut start = [0.0; WIDTH];
        if let Some(bias) = bias.get(first..first + width) {
            start[..width].copy_from_slice(bias);
        }
        let mut row = 0;
        while row < rows.count {
            let (sums, done) = some_rows(&rows.data[row * rows.stride..], rows, row, panel, &start);
            for (offset, sums) in sums[..done].iter().enumerate() {
                let to = (row + offset) * stride + first;
                out[to..to + width].copy_from_slice(&sums[..width]);
            }
            row += done;
        }
    }
}

/// Rows that are computed together at most: as many as fit in the registers of AVX-512.
const TOGETHER: usize = 12;

type Sums = [[f32; WIDTH]; TOGETHER];

/// The products of the rows from `row` on with one panel, and of how many rows.
fn some_rows(
    data: &[f32],
    rows: Rows<'_>,
    row: usize,
    panel: &[f32],
    start: &[f32; WIDTH],
) -> (Sums, usize) {
    let mut sums = [[0.0; WIDTH]; TOGETHER];
    let left = rows.count - row;
    let stride = rows.stride;
    let done = match left {
        12.. => tile::<12>(data, stride, panel, start, &mut sums),
        8.. => tile::<8>(data, stride, panel, start, &mut sums),
        4.. => tile::<4>(data, stride, panel, start, &mut sums),
        2.. => tile::<2>(data, stride, panel, start, &mut sums),
        _ => tile::<1>(data, stride, panel, start, &mut sums),
    };
    (sums, done)
}

fn tile<const ROWS: usize>(
    data: &[f32],
    stride: usize,
    panel: &[f32],
    start: &[f32; WIDTH],
    sums: &mut Sums,
) -> usize {
    let depth = panel.len() / WIDTH;
    assert!(data.len() >= (ROWS - 1) * stride + depth, "too few rows");
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has the instructions, and `data` holds the rows, as was just checked.
        unsafe { avx512::tile::<ROWS>(data, stride, panel, start, sums) };
        return ROWS;
    }
    for (first, sums) in (0..ROWS).step_by(4).zip(sums.chunks_mut(4)) {
        for (row, sums) in (first..ROWS.min(first + 4)).zip(sums) {
            let row = &data[row * stride..row * stride + depth];
            *sums = *start;
            for (x, weights) in row.iter().zip(panel.as_chunks::<WIDTH>().0) {
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum = x.mul_add(*weight, *sum);
                }
            }
        }
    }
    ROWS
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps,
        _mm512_storeu_ps,
    };

    use super::{Sums, WIDTH};

    /// # Safety
    /// `data` holds `ROWS` rows of the panel's depth, `stride` values apart, and the processor has AVX-512F.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn tile<const ROWS: usize>(
        data: &[f32],
        stride: usize,
        panel: &[f32],
        start: &[f32; WIDTH],
        sums: &mut Sums,
    ) {
        let halves = |values: &[f32; WIDTH]| -> [__m512; 2] {
            // SAFETY: 32 values are two registers.
            unsafe {
                [
                    _mm512_loadu_ps(values.as_ptr()),
                    _mm512_loadu_ps(values.as_ptr().add(16)),
                ]
            }
        };
        let mut totals = [[_mm512_setzero_ps(); 2]; ROWS];
        for total in &mut totals {
            *total = halves(start);
        }
        for (at, weights) in panel.as_chunks::<WIDTH>().0.iter().enumerate() {
            let [left, right] = halves(weights);
            for (row, total) in totals.iter_mut().enumerate() {
                // SAFETY: the caller's promise: `at` is below the depth, `row` below `ROWS`.
                let x = _mm512_set1_ps(unsafe { *data.get_unchecked(row * stride + at) });
                total[0] = _mm512_fmadd_ps(x, left, total[0]);
                total[1] = _mm512_fmadd_ps(x, right, total[1]);
            }
        }
        for (sums, total) in sums.iter_mut().zip(totals) {
            // SAFETY: 32 values are two registers.
            unsafe {
                _mm512_storeu_ps(sums.as_mut_ptr(), total[0]);
                _mm512_storeu_ps(sums.as_mut_ptr().add(16), total[1]);
            }
        }
    }
}

/// The panels of the transpose of `matrix`, `[columns, depth]` with rows `stride` values apart: of weights as checkpoints hold them.
pub(super) fn pack_transposed(
    matrix: &[f32],
    stride: usize,
    columns: usize,
    depth: usize,
    into: &mut Vec<f32>,
) {
    into.clear();
    into.resize(columns.div_ceil(WIDTH) * depth * WIDTH, 0.0);
    for column in 0..columns {
        let panel = &mut into[column / WIDTH * depth * WIDTH..];
        let row = &matrix[column * stride..column * stride + depth];
        for (to, value) in panel
            .iter_mut()
            .skip(column % WIDTH)
            .step_by(WIDTH)
            .zip(row)
        {
            *to = *value;
        }
    }
}

/// The panels of `matrix`, `[depth, columns]` with rows `stride` values apart.
pub(super) fn pack(
    matrix: &[f32],
    stride: usize,
    columns: usize,
    depth: usize,
    into: &mut Vec<f32>,
) {
    into.clear();
    into.resize(columns.div_ceil(WIDTH) * depth * WIDTH, 0.0);
    for (at, panel) in into.chunks_exact_mut(depth * WIDTH).enumerate() {
        let first = at * WIDTH;
        let width = WIDTH.min(columns - first);
        for (row, to) in panel.chunks_exact_mut(WIDTH).enumerate() {
            let from = row * stride + first;
            to[..width].copy_from_slice(&matrix[from..from + width]);
        }
    }
}
