//! k-means in two levels: the rows fall into groups, each group into clusters, and then every row goes to the nearest of the
//! clusters of the groups that are nearest to it.
//!
//! On threads of its own, for it takes long: the pool that searches share stays free. Nothing is drawn at random.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::{Block, dot};

/// Rows of a cluster, in the mean: smaller ones would be found better, but there would be more centres to look at.
const ROWS_PER_CLUSTER: usize = 128;
/// Rows that centres are fitted to, for each centre.
const SAMPLED: usize = 64;
const ITERATIONS: usize = 5;
/// How often every row is held against the clusters of several groups; the centres move in between.
const PASSES: usize = 2;
/// And of how many groups.
const GROUPS_LOOKED_AT: usize = 3;
/// Rows of one task.
const CHUNK: usize = 4096;

/// Unit vectors, one after another.
type Centres = Vec<f32>;

/// The centres, and the cluster of each row; `None` when `stop` says so.
pub(super) fn fit(block: &Block, stop: &(dyn Fn() -> bool + Sync)) -> Option<(Centres, Vec<u32>)> {
    let clusters = (block.len() / ROWS_PER_CLUSTER).max(1);
    let rows: Vec<u32> = (0..).take(block.len()).collect();
    let groups = k_means(block, &rows, clusters.isqrt().max(1), true);
    if stop() {
        return None;
    }
    let mut members = vec![Vec::new(); groups.len() / block.dimensions];
    for (row, group) in rows.iter().zip(nearest_centres(block, &rows, &groups)) {
        members[group as usize].push(*row);
    }
    let fitted = in_parallel(members.len(), |group| {
        let clusters = (members[group].len() / ROWS_PER_CLUSTER).max(1);
        (!stop()).then(|| k_means(block, &members[group], clusters, false))
    });
    let mut centres = Centres::new();
    let mut ranges = Vec::with_capacity(fitted.len());
    for of_group in fitted {
        let start = centres.len() / block.dimensions;
        centres.extend(of_group?);
        ranges.push(start..centres.len() / block.dimensions);
    }
    let mut nearest = Vec::new();
    for pass in 0..PASSES {
        if pass > 0 {
            move_centres(block, &rows, &nearest, &mut centres);
        }
        nearest = nearest_of_groups(block, &groups, &centres, &ranges, stop)?;
    }
    Some((centres, nearest))
}

/// Lloyd's algorithm, begun at evenly spread rows, on a sample of them.
fn k_means(block: &Block, rows: &[u32], count: usize, in_parallel: bool) -> Centres {
    let mut centres: Centres = spread(rows, count)
        .flat_map(|row| block.unit(row as usize))
        .collect();
    let sample: Vec<u32> = spread(rows, count * SAMPLED).collect();
    for _ in 0..ITERATIONS {
        let nearest = if in_parallel {
            nearest_centres(block, &sample, &centres)
        } else {
            let own = sample.iter().map(|row| nearest(block, *row, &centres));
            own.collect()
        };
        move_centres(block, &sample, &nearest, &mut centres);
    }
    centres
}

/// At most `count` of the rows, evenly spread.
fn spread(rows: &[u32], count: usize) -> impl Iterator<Item = u32> {
    let count = count.min(rows.len());
    (0..count).map(move |number| rows[number * rows.len() / count])
}

fn nearest_centres(block: &Block, rows: &[u32], centres: &[f32]) -> Vec<u32> {
    let chunks: Vec<&[u32]> = rows.chunks(CHUNK).collect();
    let of_chunk = |chunk: usize| -> Vec<u32> {
        let rows = chunks[chunk].iter();
        rows.map(|row| nearest(block, *row, centres)).collect()
    };
    in_parallel(chunks.len(), of_chunk).concat()
}

/// For each row of the block the nearest centre of those of the nearest groups. `ranges` are the centres of each group.
fn nearest_of_groups(
    block: &Block,
    groups: &[f32],
    centres: &[f32],
    ranges: &[Range<usize>],
    stop: &(dyn Fn() -> bool + Sync),
) -> Option<Vec<u32>> {
    let chunk = |chunk: usize| -> Option<Vec<u32>> {
        let rows = chunk * CHUNK..((chunk + 1) * CHUNK).min(block.len());
        let nearest = rows.map(|row| {
            let mut near = similarities(block, row, groups, 0..ranges.len());
            let looked_at = GROUPS_LOOKED_AT.min(near.len());
            near.select_nth_unstable_by(looked_at - 1, nearer);
            let found = near[..looked_at]
                .iter()
                .flat_map(|(_, group)| {
                    let range = ranges[*group as usize].clone();
                    similarities(block, row, centres, range)
                })
                .min_by(nearer);
            found.map_or(0, |(_, cluster)| cluster)
        });
        (!stop()).then(|| nearest.collect())
    };
    let chunks = in_parallel(block.len().div_ceil(CHUNK), chunk);
    let found: Option<Vec<Vec<u32>>> = chunks.into_iter().collect();
    found.map(|chunks| chunks.concat())
}

fn nearest(block: &Block, row: u32, centres: &[f32]) -> u32 {
    let count = centres.len() / block.dimensions;
    let near = similarities(block, row as usize, centres, 0..count);
    near.into_iter().min_by(nearer).map_or(0, |found| found.1)
}

fn similarities(
    block: &Block,
    row: usize,
    centres: &[f32],
    range: Range<usize>,
) -> Vec<(f32, u32)> {
    let row = block.row(row);
    let dimensions = block.dimensions;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "fewer clusters than rows, whose keys are u32"
    )]
    let numbers = range.start as u32..;
    centres[range.start * dimensions..range.end * dimensions]
        .chunks(dimensions)
        .map(|centre| dot(centre, row))
        .zip(numbers)
        .collect()
}

/// The nearer first; of equals the first.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "handed to functions that pass references"
)]
fn nearer(a: &(f32, u32), b: &(f32, u32)) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

/// Each centre goes to the mean of its rows; one without rows stays.
fn move_centres(block: &Block, rows: &[u32], nearest: &[u32], centres: &mut [f32]) {
    let dimensions = block.dimensions;
    let mut sums = vec![0.0_f32; centres.len()];
    for (row, cluster) in rows.iter().zip(nearest) {
        let start = *cluster as usize * dimensions;
        let sum = sums[start..start + dimensions].iter_mut();
        sum.zip(block.unit(*row as usize))
            .for_each(|(sum, value)| *sum += value);
    }
    for (sum, centre) in sums
        .chunks_mut(dimensions)
        .zip(centres.chunks_mut(dimensions))
    {
        crate::embed::normalise(sum);
        if sum.iter().any(|value| *value != 0.0) {
            centre.copy_from_slice(sum);
        }
    }
}

/// `work` of the numbers below `count`, in their order.
fn in_parallel<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(count));
    let run = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            let result = work(number);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push((number, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(count) {
            scope.spawn(run);
        }
        run();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

/// In lanes, as [`dot`].
pub(super) fn dot_floats(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0.0_f32; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] = a[lane].mul_add(b[lane], lanes[lane]);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}
