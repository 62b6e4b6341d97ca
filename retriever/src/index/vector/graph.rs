//! An HNSW graph by usearch over one block, for snapshots too large to score exactly.
//!
//! usearch runs out of thread slots, strands nodes under concurrent insertion and takes NaN without a word; so there is one
//! writer, a bound on searches at once, a check that vectors find themselves, and no vector that is none.

use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

use roaring::RoaringBitmap;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use super::{Block, Vector};
use crate::RetrieverError;

/// Fewer allowed rows are scored exactly. Measured on two cores, 256 dimensions, 120,000 rows: exactly 4 ms, by the graph 8 ms.
/// In tests few are enough, so that they reach the graph.
pub(crate) const MIN_ROWS: usize = if cfg!(test) { 500 } else { 250_000 };
/// Where fewer than one row in so many is allowed, exact scoring costs less than a filtered walk.
pub(crate) const MIN_ALLOWED_SHARE: u64 = 10;

const CONNECTIVITY: usize = 16;
const EXPANSION_ADD: usize = 128;
const EXPANSION_SEARCH: usize = 256;
/// Vectors that must find themselves after a build.
const CHECKED: usize = 1000;

pub(crate) struct Graph {
    index: Index,
    slots: Slots,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Graph({} rows)", self.index.size())
    }
}

impl Graph {
    /// Builds with one writer, and checks that vectors find themselves.
    pub(crate) fn build(block: &Block, stop: &dyn Fn() -> bool) -> Result<Self, RetrieverError> {
        let graph = Self::empty(block.dimensions)?;
        graph.reserve(block.len())?;
        for (position, key) in block.keys().iter().enumerate() {
            if position % 1024 == 0 && stop() {
                return Err(RetrieverError::vector_index("stopped while building"));
            }
            graph
                .index
                .add(u64::from(*key), block.row(position))
                .map_err(RetrieverError::vector_index)?;
        }
        graph.check(block)?;
        Ok(graph)
    }

    /// Saves to `path`, which the caller syncs and renames.
    pub(crate) fn save(&self, path: &Path) -> Result<(), RetrieverError> {
        self.index
            .save(&path.to_string_lossy())
            .map_err(RetrieverError::vector_index)
    }

    /// Loads what [`Self::save`] wrote; the caller has compared its digest.
    pub(crate) fn load(path: &Path, block: &Block) -> Result<Self, RetrieverError> {
        let graph = Self::empty(block.dimensions)?;
        graph
            .index
            .load(&path.to_string_lossy())
            .map_err(RetrieverError::vector_index)?;
        if graph.index.size() != block.len() || graph.index.dimensions() != block.dimensions {
            return Err(RetrieverError::vector_index(
                "the graph and the rows do not belong together",
            ));
        }
        // Loading forgets the reservation.
        graph.reserve(block.len())?;
        Ok(graph)
    }

    /// Keys near the query, at most `limit`, unordered as far as the caller is concerned.
    pub(crate) fn candidates(
        &self,
        query: &[f32],
        allowed: &RoaringBitmap,
        limit: usize,
    ) -> Result<Vec<u32>, RetrieverError> {
        let query = Vector::quantise(query);
        let _slot = self.slots.take();
        let matches = self
            .index
            .filtered_search(&query.values, limit, |key| {
                u32::try_from(key).is_ok_and(|key| allowed.contains(key))
            })
            .map_err(RetrieverError::vector_index)?;
        Ok(matches
            .keys
            .into_iter()
            .filter_map(|key| u32::try_from(key).ok())
            .filter(|key| allowed.contains(*key))
            .collect())
    }

    /// Whether it has a node of every row.
    pub(crate) fn has_all(&self, block: &Block) -> bool {
        let mut keys = block.keys().iter();
        keys.all(|key| self.index.contains(u64::from(*key)))
    }

    fn empty(dimensions: usize) -> Result<Self, RetrieverError> {
        let options = IndexOptions {
            dimensions,
            metric: MetricKind::Cos,
            quantization: ScalarKind::I8,
            connectivity: CONNECTIVITY,
            expansion_add: EXPANSION_ADD,
            expansion_search: EXPANSION_SEARCH,
            multi: false,
        };
        Ok(Self {
            index: Index::new(&options).map_err(RetrieverError::vector_index)?,
            slots: Slots::new(
                std::thread::available_parallelism().map_or(4, |threads| threads.get() * 2),
            ),
        })
    }

    fn reserve(&self, rows: usize) -> Result<(), RetrieverError> {
        self.index
            .reserve_capacity_and_threads(rows.max(1), self.slots.total + 1)
            .map_err(RetrieverError::vector_index)
    }

    fn check(&self, block: &Block) -> Result<(), RetrieverError> {
        let step = (block.len() / CHECKED).max(1);
        for position in (0..block.len()).step_by(step) {
            let matches = self
                .index
                .search(block.row(position), 10)
                .map_err(RetrieverError::vector_index)?;
            let itself = u64::from(block.keys()[position]);
            let found = matches.keys.contains(&itself)
                // Many copies of one vector may crowd it out.
                || matches.distances.last().is_some_and(|distance| *distance < 1e-4);
            if !found {
                return Err(RetrieverError::vector_index(format!(
                    "passage `{itself}` does not find itself after the build"
                )));
            }
        }
        Ok(())
    }
}

/// Bounds searches at once to the thread slots that were reserved.
struct Slots {
    total: usize,
    used: Mutex<usize>,
    freed: Condvar,
}

struct Slot<'a>(&'a Slots);

impl Slots {
    fn new(total: usize) -> Self {
        Self {
            total,
            used: Mutex::new(0),
            freed: Condvar::new(),
        }
    }

    fn take(&self) -> Slot<'_> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let mut used = self
            .freed
            .wait_while(used, |used| *used >= self.total)
            .unwrap_or_else(PoisonError::into_inner);
        *used += 1;
        Slot(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut used = self.0.used.lock().unwrap_or_else(PoisonError::into_inner);
        *used -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::random_unit;
    use super::*;
    use crate::index::Best;

    fn block(rows: u32) -> Block {
        let mut block = Block::with_capacity(32, rows as usize);
        for key in 0..rows {
            block.push(key, &Vector::quantise(&random_unit(u64::from(key), 32)));
        }
        block
    }

    #[test]
    fn the_graph_finds_what_exact_scoring_finds_also_after_loading_and_under_many_threads() {
        let block = block(2000);
        let graph = Graph::build(&block, &|| false).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors.usearch");
        graph.save(&path).unwrap();
        let graph = Graph::load(&path, &block).unwrap();
        let allowed: RoaringBitmap = (0..2000).filter(|key| key % 3 != 0).collect();
        let searches = |thread: u64| {
            let mut found = 0;
            for seed in 0..50 {
                let query = random_unit(seed + 5000 * thread, 32);
                let mut best = Best::new(10);
                block.score(&query, &allowed, &mut best, 10);
                let got = graph.candidates(&query, &allowed, 40).unwrap();
                assert!(got.iter().all(|key| allowed.contains(*key)));
                let exact = best.into_sorted();
                found += exact.iter().filter(|s| got.contains(&s.0)).count();
            }
            found
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=8).map(|t| scope.spawn(move || searches(t))).collect();
            for thread in threads {
                let found = thread.join().unwrap();
                assert!(found >= 480, "{found} of 500");
            }
        });
    }

    #[test]
    fn a_graph_of_other_rows_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors.usearch");
        Graph::build(&block(100), &|| false)
            .unwrap()
            .save(&path)
            .unwrap();
        assert!(Graph::load(&path, &block(101)).is_err());
    }
}
