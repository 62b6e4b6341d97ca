//! Vectors: int8 rows with a scale each, scored exactly or through a graph.
//!
//! A block is an immutable matrix. Exact scoring walks the allowed rows; large snapshots put them into
//! clusters (`clusters.rs`), which are asked only where exact scoring would cost more.

pub(crate) mod clusters;

use std::sync::Arc;

use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::{Best, Scored, gallop};

/// Rows scored on one thread before others are asked to help.
const ROWS_PER_TASK: usize = 16 << 10;
const LANES: usize = 16;
/// Rows that are asked of memory before the first of them is scored.
const FETCHED: usize = 16;
/// Bytes.
const CACHE_LINE: usize = 64;

/// A unit vector as int8: the largest component becomes ±127. All zeros, with scale 0, when there is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Vector {
    pub scale: f32,
    pub values: Box<[i8]>,
}

impl Vector {
    /// Quantises; anything that is not finite becomes the vector that is none.
    pub(crate) fn quantise(vector: &[f32]) -> Self {
        let largest = vector.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let finite = vector.iter().all(|x| x.is_finite());
        if !finite || largest < 1e-12 {
            return Self::none(vector.len());
        }
        let scale = largest / 127.0;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "|x / scale| is at most 127"
        )]
        let values = vector.iter().map(|x| (x / scale).round() as i8).collect();
        Self { scale, values }
    }

    pub(crate) fn none(dimensions: usize) -> Self {
        Self {
            scale: 0.0,
            values: vec![0; dimensions].into_boxed_slice(),
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        self.scale == 0.0
    }

    /// Scale, then components, for the catalogue.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.scale.to_le_bytes().to_vec();
        bytes.extend(self.values.iter().map(|value| value.cast_unsigned()));
        bytes
    }

    /// The reverse of [`Self::to_bytes`]; `None` for bytes of another length or with a scale that is not a number.
    pub(crate) fn from_bytes(bytes: &[u8], dimensions: usize) -> Option<Self> {
        let (scale, values) = bytes.split_first_chunk::<4>()?;
        let scale = f32::from_le_bytes(*scale);
        if values.len() != dimensions || !scale.is_finite() {
            return None;
        }
        Some(Self {
            scale,
            values: values.iter().map(|byte| byte.cast_signed()).collect(),
        })
    }
}

/// Rows, each with a key.
#[derive(Debug, Default)]
pub(crate) struct Block {
    dimensions: usize,
    /// Of each row. They ascend, unless there are `places`.
    keys: Vec<u32>,
    /// Where the rows lie whose keys do not ascend.
    places: Option<Places>,
    scales: Vec<f32>,
    rows: Vec<i8>,
    present: RoaringBitmap,
}

/// Keys in ascending order, and the position of each.
#[derive(Debug)]
struct Places {
    keys: Vec<u32>,
    positions: Vec<u32>,
}

impl Places {
    /// `None` when the keys ascend as they are.
    fn of(keys: &[u32]) -> Option<Self> {
        if keys.is_sorted() {
            return None;
        }
        let mut both: Vec<(u32, u32)> = keys.iter().copied().zip(0..).collect();
        both.sort_unstable();
        let (keys, positions) = both.into_iter().unzip();
        Some(Self { keys, positions })
    }
}

impl Block {
    pub(crate) fn with_capacity(dimensions: usize, rows: usize) -> Self {
        Self {
            dimensions,
            keys: Vec::with_capacity(rows),
            places: None,
            scales: Vec::with_capacity(rows),
            rows: Vec::with_capacity(rows * dimensions),
            present: RoaringBitmap::new(),
        }
    }

    /// Adds a row. Vectors that are none, and keys that do not ascend, are left out.
    pub(crate) fn push(&mut self, key: u32, vector: &Vector) {
        let ascends = self.keys.last().is_none_or(|last| *last < key);
        if vector.is_none() || vector.values.len() != self.dimensions || !ascends {
            return;
        }
        self.keys.push(key);
        self.scales.push(vector.scale);
        self.rows.extend_from_slice(&vector.values);
        self.present.insert(key);
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn keys(&self) -> &[u32] {
        &self.keys
    }

    pub(crate) fn scales(&self) -> &[f32] {
        &self.scales
    }

    pub(crate) fn row(&self, position: usize) -> &[i8] {
        &self.rows[position * self.dimensions..(position + 1) * self.dimensions]
    }

    /// The components of a row's vector.
    fn unit(&self, position: usize) -> impl Iterator<Item = f32> {
        let scale = self.scales[position];
        self.row(position)
            .iter()
            .map(move |value| f32::from(*value) * scale)
    }

    fn score_row(&self, query: &Query, position: usize) -> f32 {
        query.dot(self.row(position)) * self.scales[position]
    }

    fn position(&self, key: u32) -> Option<usize> {
        match &self.places {
            Some(places) => {
                let place = places.keys.binary_search(&key).ok()?;
                Some(places.positions[place] as usize)
            }
            None => self.keys.binary_search(&key).ok(),
        }
    }

    /// The vector of a key, if the block has a row of it.
    pub(crate) fn vector(&self, key: u32) -> Option<Vector> {
        let position = self.position(key)?;
        Some(Vector {
            scale: self.scales[position],
            values: self.row(position).into(),
        })
    }

    /// A block from its parts as they are on disk; `None` when they do not fit together.
    pub(crate) fn from_parts(
        dimensions: usize,
        keys: Vec<u32>,
        scales: Vec<f32>,
        rows: Vec<i8>,
    ) -> Option<Self> {
        let places = Places::of(&keys);
        let ascending = places.as_ref().map_or(&keys, |places| &places.keys);
        let fits = keys.len() == scales.len()
            && rows.len() == keys.len() * dimensions
            && ascending.is_sorted_by(|a, b| a < b)
            && scales.iter().all(|scale| scale.is_finite());
        let present = RoaringBitmap::from_sorted_iter(ascending.iter().copied()).ok()?;
        fits.then_some(Self {
            dimensions,
            keys,
            places,
            scales,
            rows,
            present,
        })
    }

    /// The same rows in another order: `order` says which row comes to each place.
    #[cfg(test)]
    fn reordered(&self, order: &[u32]) -> Self {
        let order = order.iter().map(|position| *position as usize);
        Self::from_parts(
            self.dimensions,
            order.clone().map(|at| self.keys[at]).collect(),
            order.clone().map(|at| self.scales[at]).collect(),
            order.flat_map(|at| self.row(at)).copied().collect(),
        )
        .unwrap()
    }

    /// One block of several whose keys ascend from one to the next.
    pub(crate) fn concatenate(blocks: &[Arc<Self>]) -> Self {
        let dimensions = blocks.first().map_or(0, |block| block.dimensions);
        let rows = blocks.iter().map(|block| block.len()).sum();
        let mut all = Self::with_capacity(dimensions, rows);
        for block in blocks {
            all.keys.extend_from_slice(&block.keys);
            all.scales.extend_from_slice(&block.scales);
            all.rows.extend_from_slice(&block.rows);
            all.present |= &block.present;
        }
        all
    }

    pub(crate) fn allowed(&self, allowed: &RoaringBitmap) -> u64 {
        self.present.intersection_len(allowed)
    }

    /// Scores every allowed row, and gives the scores to `best`.
    pub(crate) fn score(
        &self,
        query: &[f32],
        allowed: &RoaringBitmap,
        best: &mut Best,
        limit: usize,
    ) {
        if query.len() != self.dimensions || self.keys.is_empty() {
            return;
        }
        let query = &Query::quantise(query);
        let some = &self.present & allowed;
        if some.len() < 2 * ROWS_PER_TASK as u64 {
            if some.len() == self.keys.len() as u64 {
                for (position, key) in self.keys.iter().enumerate() {
                    best.push((*key, self.score_row(query, position)));
                }
                return;
            }
            self.score_keys(query, some.iter(), best);
            return;
        }
        let keys: Vec<u32> = some.iter().collect();
        let parts: Vec<Vec<Scored>> = keys
            .par_chunks(ROWS_PER_TASK)
            .map(|part| {
                let mut best = Best::new(limit);
                self.score_keys(query, part.iter().copied(), &mut best);
                best.into_sorted()
            })
            .collect();
        parts
            .into_iter()
            .flatten()
            .for_each(|scored| best.push(scored));
    }

    fn score_keys(&self, query: &Query, keys: impl Iterator<Item = u32>, best: &mut Best) {
        let ascending = self
            .places
            .as_ref()
            .map_or(&self.keys, |places| &places.keys);
        let mut place = 0;
        let mut found = keys.filter_map(|key| {
            place += gallop(&ascending[place..], key);
            let places = self.places.as_ref();
            let position = || places.map_or(place, |places| places.positions[place] as usize);
            (ascending.get(place) == Some(&key)).then(|| (key, position()))
        });
        let mut batch = Vec::with_capacity(FETCHED);
        loop {
            batch.clear();
            batch.extend(found.by_ref().take(FETCHED));
            if batch.is_empty() {
                return;
            }
            self.fetch(&batch);
            for (key, position) in &batch {
                best.push((*key, self.score_row(query, *position)));
            }
        }
    }

    /// Asks memory for rows that lie anywhere in it, all at once: one after another, each would be waited for.
    fn fetch(&self, batch: &[(u32, usize)]) {
        let rows = batch.iter().map(|(_, position)| self.row(*position));
        let first_of_lines = rows.flat_map(|row| row.iter().step_by(CACHE_LINE));
        std::hint::black_box(first_of_lines.fold(0_i8, |sum, value| sum ^ value));
    }
}

/// A query's vector as 16-bit integers, finer than the rows by far: with integers, vector instructions multiply twice as many at
/// a time.
struct Query {
    scale: f32,
    values: Box<[i16]>,
}

impl Query {
    /// The largest component becomes as large as leaves no sum over a row too large for 32 bits.
    fn quantise(vector: &[f32]) -> Self {
        let rows_at_most = usize::from(i8::MIN.unsigned_abs()) * vector.len().max(1);
        let most = (i32::MAX as usize / rows_at_most).min(i16::MAX as usize);
        #[expect(clippy::cast_precision_loss, reason = "at most 32,767")]
        let most = most as f32;
        let largest = vector.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let scale = largest.max(f32::MIN_POSITIVE) / most;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "|x / scale| is at most 32,767"
        )]
        let values = vector.iter().map(|x| (x / scale).round() as i16).collect();
        Self { scale, values }
    }

    #[expect(clippy::cast_precision_loss, reason = "24 bits of it are enough")]
    fn dot(&self, row: &[i8]) -> f32 {
        let products = self.values.iter().zip(row);
        let sum: i32 = products.map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
        sum as f32 * self.scale
    }
}

/// The dot product, in lanes so that the compiler may use vector instructions; the order of additions never changes.
pub(crate) fn dot(query: &[f32], row: &[i8]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (query_chunks, query_rest) = query.as_chunks::<LANES>();
    let (row_chunks, row_rest) = row.as_chunks::<LANES>();
    for (a, b) in query_chunks.iter().zip(row_chunks) {
        for lane in 0..LANES {
            lanes[lane] = f32::from(b[lane]).mul_add(a[lane], lanes[lane]);
        }
    }
    let rest: f32 = query_rest
        .iter()
        .zip(row_rest)
        .map(|(a, b)| a * f32::from(*b))
        .sum();
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn random_unit(seed: u64, dimensions: usize) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut vector: Vec<f32> = (0..dimensions)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                #[expect(clippy::cast_precision_loss, reason = "a random number")]
                let unit = (state >> 11) as f32 / (1_u64 << 53) as f32;
                unit - 0.5
            })
            .collect();
        crate::embed::normalise(&mut vector);
        vector
    }

    /// Rows around 100 points, as texts are around topics.
    pub(crate) fn around(seed: u64, dimensions: usize) -> Vec<f32> {
        let point = random_unit(seed % 100 + 1_000_000, dimensions);
        let noise = random_unit(seed, dimensions);
        let mut row: Vec<f32> = point.iter().zip(&noise).map(|(p, n)| p + 0.8 * n).collect();
        crate::embed::normalise(&mut row);
        row
    }

    #[test]
    fn int8_keeps_the_cosine() {
        for seed in 0..50 {
            let (a, b) = (random_unit(seed, 256), random_unit(seed + 1000, 256));
            let exact: f32 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
            let vector = Vector::quantise(&b);
            let as_floats = dot(&a, &vector.values) * vector.scale;
            assert!((as_floats - exact).abs() < 0.005);
            let as_integers = Query::quantise(&a).dot(&vector.values) * vector.scale;
            assert!((as_integers - as_floats).abs() < 1e-4);
            let bytes = vector.to_bytes();
            assert_eq!(Vector::from_bytes(&bytes, 256), Some(vector));
            assert_eq!(Vector::from_bytes(&bytes, 128), None);
        }
    }

    #[test]
    fn no_sum_of_a_long_row_is_too_large() {
        for dimensions in [1, 256, 384, 4096, u16::MAX] {
            let query = Query::quantise(&vec![1.0; usize::from(dimensions)]);
            for value in [i8::MIN, 127] {
                let want = f32::from(value) * f32::from(dimensions);
                let got = query.dot(&vec![value; usize::from(dimensions)]);
                assert!((got / want - 1.0).abs() < 1e-3, "{dimensions}");
            }
        }
        assert!(Query::quantise(&[0.0; 4]).dot(&[127; 4]).abs() < f32::EPSILON);
    }

    #[test]
    fn vectors_that_are_none_are_never_found() {
        let mut block = Block::with_capacity(4, 3);
        block.push(1, &Vector::none(4));
        block.push(2, &Vector::quantise(&[f32::NAN, 0.0, 0.0, 1.0]));
        block.push(3, &Vector::quantise(&[0.0, 0.0, 0.0, 1.0]));
        let mut best = Best::new(10);
        block.score(&[0.0, 0.0, 0.0, 1.0], &(0..10).collect(), &mut best, 10);
        assert_eq!(best.into_sorted().len(), 1);
    }

    proptest! {
        #[test]
        fn exactly_the_allowed_rows_are_scored(
            present in proptest::collection::btree_set(0_u32..200, 0..80),
            allowed in proptest::collection::btree_set(0_u32..200, 0..80),
        ) {
            let mut block = Block::with_capacity(8, 0);
            for key in &present {
                block.push(*key, &Vector::quantise(&random_unit(u64::from(*key), 8)));
            }
            let mut best = Best::new(1000);
            block.score(&random_unit(7, 8), &allowed.iter().copied().collect(), &mut best, 1000);
            let mut got: Vec<u32> = best.into_sorted().into_iter().map(|s| s.0).collect();
            got.sort_unstable();
            let want: Vec<u32> = present.intersection(&allowed).copied().collect();
            prop_assert_eq!(got, want);
        }
    }
}
