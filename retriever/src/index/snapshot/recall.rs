//! What a filter leaves is found as well as without one, by clusters and exactly.

use roaring::RoaringBitmap;

use super::{Building, CLUSTERS, Plan, Snapshot};
use crate::index::vector::Vector;
use crate::index::vector::tests::around;
use crate::index::{Best, IndexedPassage, Scored};

/// More than twice what a search scores at least.
const ROWS: u32 = 30_000;
const DIMENSIONS: usize = 32;
const LIMIT: usize = 10;
const QUERIES: u64 = 60;

fn snapshot(folder: &std::path::Path) -> Snapshot {
    let plan = Plan {
        generations: folder,
        pipeline: "p",
        catalogue: "c",
        dimensions: DIMENSIONS,
        stop: &|| false,
    };
    let mut building = Building::start(&plan).unwrap();
    for key in 0..ROWS {
        let vector = Vector::quantise(&around(u64::from(key) + 1, DIMENSIONS));
        let words = format!("word{key}");
        building
            .add(&IndexedPassage { key, words, vector })
            .unwrap();
    }
    building.finish(1).unwrap();
    Snapshot::load(&folder.join("1"), true).unwrap()
}

fn keys(best: Best) -> Vec<Scored> {
    best.into_sorted()
}

/// Of what exact scoring puts first among the allowed, the share that a search puts first too.
fn recall(snapshot: &Snapshot, allowed: &RoaringBitmap) -> f64 {
    let (mut found, mut all) = (0_u32, 0_u32);
    for seed in 0..QUERIES {
        let query = around(seed + 500_000, DIMENSIONS);
        let (mut exact, mut served) = (Best::new(LIMIT), Best::new(LIMIT));
        snapshot.vectors.score(&query, allowed, &mut exact, LIMIT);
        snapshot.score(&query, allowed, &mut served, LIMIT);
        let (exact, served) = (keys(exact), keys(served));
        assert!(served.iter().all(|(key, _)| allowed.contains(*key)));
        // A score is the exact one, whichever way its row was found.
        assert!(served.iter().all(|scored| {
            let same = exact.iter().find(|(key, _)| *key == scored.0);
            same.is_none_or(|same| same.1.to_bits() == scored.1.to_bits())
        }));
        found += u32::try_from(exact.iter().filter(|one| served.contains(one)).count()).unwrap();
        all += u32::try_from(exact.len()).unwrap();
    }
    f64::from(found) / f64::from(all)
}

#[test]
fn recall_under_a_filter_is_recall_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = snapshot(folder.path());
    assert!(folder.path().join("1").join(CLUSTERS).exists());
    let one_in = |step: u32| -> RoaringBitmap { (0..ROWS).filter(|key| key % step == 0).collect() };
    let unfiltered = recall(&snapshot, &one_in(1));
    assert!(unfiltered >= 0.97, "{unfiltered}");
    for step in [2, 3, 5] {
        let filtered = recall(&snapshot, &one_in(step));
        assert!(
            filtered >= unfiltered - 0.01,
            "one in {step}: {filtered}, without a filter {unfiltered}"
        );
    }
    // Few are scored exactly, so nothing is missed.
    for step in [200, 1000, 30_000] {
        let exact = recall(&snapshot, &one_in(step));
        assert!((exact - 1.0).abs() < f64::EPSILON, "one in {step}: {exact}");
    }
}
