//! Rows in clusters, for snapshots too large to score every row: a query looks at the clusters whose centres are nearest to it.
//!
//! An inverted file (Sivic and Zisserman, 2003). Beside a graph it needs no second copy of the vectors, is built in a fiftieth of
//! the time, and what a filter leaves is found by scoring it, not by walking past the rest.

mod build;

use roaring::RoaringBitmap;

use super::{Block, Query};
use crate::RetrieverError;
use crate::index::Best;

/// Fewer rows are scored one by one. In tests few are enough, so that they reach the clusters.
pub(crate) const MIN_ROWS: usize = if cfg!(test) { 500 } else { 32_000 };
/// And so are fewer allowed ones.
pub(crate) const MIN_ALLOWED: u64 = if cfg!(test) { 250 } else { 16_000 };

/// Rows that are scored at least, and at least so many for each candidate that is wanted. Measured at 100,000 rows and 384
/// dimensions: .956 of the exact ten nearest to a query are among the first 12,300 rows, .928 among 8,300.
const SCORED: usize = 12_800;
const SCORED_PER_CANDIDATE: usize = 64;

/// Which rows of a block are in which cluster: they lie there one cluster after another.
#[derive(PartialEq)]
pub(crate) struct Clusters {
    dimensions: usize,
    /// Unit vectors, one after another.
    centres: Vec<f32>,
    /// Where each cluster's rows begin in the block; one more than there are clusters.
    starts: Vec<u32>,
}

impl std::fmt::Debug for Clusters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clusters({})", self.len())
    }
}

impl Clusters {
    /// Finds clusters, and the order in which the rows must be put for them: positions in the block as it is. The same block gives
    /// the same clusters.
    ///
    /// # Errors
    /// `stop` says so.
    pub(crate) fn build(
        block: &Block,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<(Self, Vec<u32>), RetrieverError> {
        let (centres, nearest) = build::fit(block, stop)
            .ok_or_else(|| RetrieverError::vector_index("stopped while building"))?;
        Ok(Self::grouped(block.dimensions, centres, &nearest))
    }

    fn grouped(dimensions: usize, centres: Vec<f32>, nearest: &[u32]) -> (Self, Vec<u32>) {
        let mut starts = vec![0_u32; centres.len() / dimensions + 1];
        for cluster in nearest {
            starts[*cluster as usize + 1] += 1;
        }
        for cluster in 1..starts.len() {
            starts[cluster] += starts[cluster - 1];
        }
        let mut next = starts.clone();
        let mut order = vec![0; nearest.len()];
        for (position, cluster) in (0..).zip(nearest) {
            let place = &mut next[*cluster as usize];
            order[*place as usize] = position;
            *place += 1;
        }
        let clusters = Self {
            dimensions,
            centres,
            starts,
        };
        (clusters, order)
    }

    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Scores the allowed rows of the clusters nearest to the query, and gives the scores to `best`, which keeps `limit`. `some` is
    /// how many rows of the block are allowed.
    pub(crate) fn score(
        &self,
        block: &Block,
        query: &[f32],
        allowed: &RoaringBitmap,
        some: u64,
        (best, limit): (&mut Best, usize),
    ) {
        if query.len() != self.dimensions {
            return;
        }
        let all_allowed = some == block.len() as u64;
        let enough = SCORED.max(limit.saturating_mul(SCORED_PER_CANDIDATE));
        let mut scored = 0;
        let quantised = Query::quantise(query);
        for cluster in self.nearest(query) {
            if scored >= enough {
                break;
            }
            for position in self.starts[cluster] as usize..self.starts[cluster + 1] as usize {
                let key = block.keys()[position];
                if all_allowed || allowed.contains(key) {
                    scored += 1;
                    best.push((key, block.score_row(&quantised, position)));
                }
            }
        }
    }

    /// The clusters, nearest first.
    fn nearest(&self, query: &[f32]) -> Vec<usize> {
        let mut scored: Vec<(f32, usize)> = self
            .centres
            .chunks(self.dimensions)
            .map(|centre| build::dot_floats(query, centre))
            .zip(0..)
            .collect();
        scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        scored.into_iter().map(|(_, cluster)| cluster).collect()
    }

    /// Little-endian: how many clusters, the starts, the centres.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + 4 * (self.starts.len() + self.centres.len()));
        bytes.extend((self.len() as u64).to_le_bytes());
        bytes.extend(self.starts.iter().flat_map(|start| start.to_le_bytes()));
        bytes.extend(self.centres.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    }

    /// The reverse of [`Self::to_bytes`]; `None` when the bytes are not that, or not of this block.
    pub(crate) fn from_bytes(bytes: &[u8], block: &Block) -> Option<Self> {
        let (clusters, rest) = bytes.split_first_chunk::<8>()?;
        let clusters = usize::try_from(u64::from_le_bytes(*clusters)).ok()?;
        let (starts, centres) = rest.split_at_checked(clusters.checked_add(1)?.checked_mul(4)?)?;
        let numbers = |bytes: &[u8]| -> Vec<u32> {
            let (numbers, _) = bytes.as_chunks::<4>();
            let number = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
            numbers.iter().map(number).collect()
        };
        let bytes_of_centres = clusters.checked_mul(block.dimensions)?.checked_mul(4)?;
        let read = Self {
            dimensions: block.dimensions,
            starts: numbers(starts),
            centres: numbers(centres).into_iter().map(f32::from_bits).collect(),
        };
        let fits = centres.len() == bytes_of_centres
            && read.starts.is_sorted()
            && read.starts.first() == Some(&0)
            && read.starts.last().map(|last| *last as usize) == Some(block.len());
        fits.then_some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Vector;
    use super::super::tests::{around, random_unit};
    use super::*;

    const DIMENSIONS: usize = 32;

    fn block(rows: u32) -> Block {
        let mut block = Block::with_capacity(DIMENSIONS, rows as usize);
        for key in 0..rows {
            block.push(
                key * 2,
                &Vector::quantise(&around(u64::from(key), DIMENSIONS)),
            );
        }
        block
    }

    /// Clusters with the block in their order.
    fn clustered(rows: u32) -> (Clusters, Block) {
        let block = block(rows);
        let (clusters, order) = Clusters::build(&block, &|| false).unwrap();
        (clusters, block.reordered(&order))
    }

    fn found(
        clusters: &Clusters,
        block: &Block,
        query: &[f32],
        allowed: &RoaringBitmap,
    ) -> Vec<u32> {
        let mut best = Best::new(10);
        let some = block.allowed(allowed);
        clusters.score(block, query, allowed, some, (&mut best, 10));
        best.into_sorted()
            .into_iter()
            .map(|scored| scored.0)
            .collect()
    }

    fn exact(block: &Block, query: &[f32], allowed: &RoaringBitmap) -> Vec<u32> {
        let mut best = Best::new(10);
        block.score(query, allowed, &mut best, 10);
        best.into_sorted()
            .into_iter()
            .map(|scored| scored.0)
            .collect()
    }

    #[test]
    fn nearly_all_that_exact_scoring_finds_is_found_also_after_loading_and_under_filters() {
        let (built, block) = clustered(80_000);
        let clusters = Clusters::from_bytes(&built.to_bytes(), &block).unwrap();
        let all: RoaringBitmap = block.keys().iter().copied().collect();
        let third: RoaringBitmap = all.iter().filter(|key| key % 3 == 0).collect();
        for allowed in [&all, &third] {
            let mut same = 0;
            for seed in 0..50 {
                let query = around(seed + 500_000, DIMENSIONS);
                let got = found(&clusters, &block, &query, allowed);
                assert!(got.iter().all(|key| allowed.contains(*key)));
                assert_eq!(got, found(&built, &block, &query, allowed));
                let want = exact(&block, &query, allowed);
                same += want.iter().filter(|key| got.contains(key)).count();
            }
            assert!(same >= 475, "{same} of 500");
        }
    }

    #[test]
    fn every_row_is_in_one_cluster() {
        let (clusters, mut order) = Clusters::build(&block(3000), &|| false).unwrap();
        order.sort_unstable();
        assert_eq!(order, (0..3000).collect::<Vec<_>>());
        assert!(clusters.len() > 5);
    }

    #[test]
    fn the_same_rows_give_the_same_clusters() {
        let block = block(3000);
        let build = || Clusters::build(&block, &|| false).unwrap();
        assert_eq!(build(), build());
    }

    #[test]
    fn so_few_that_all_are_scored_give_what_exact_scoring_gives() {
        let (clusters, block) = clustered(2000);
        let allowed: RoaringBitmap = (0..1000).collect();
        for seed in 0..20 {
            let query = random_unit(seed, DIMENSIONS);
            let got = found(&clusters, &block, &query, &allowed);
            assert_eq!(got, exact(&block, &query, &allowed));
        }
    }

    #[test]
    fn clusters_of_other_rows_and_cut_files_are_refused() {
        let small = block(100);
        let bytes = Clusters::build(&small, &|| false).unwrap().0.to_bytes();
        assert!(Clusters::from_bytes(&bytes, &small).is_some());
        assert!(Clusters::from_bytes(&bytes, &block(101)).is_none());
        for end in 0..bytes.len() {
            assert!(
                Clusters::from_bytes(&bytes[..end], &small).is_none(),
                "{end}"
            );
        }
    }

    #[test]
    fn building_stops_when_asked() {
        assert!(Clusters::build(&block(100), &|| true).is_err());
    }
}
