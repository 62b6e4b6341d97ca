//! Cost by how it grows with the size, not by the clock: a busy machine is slow, but as slow with little work as with much.

use std::time::{Duration, Instant};

const TIMES_LARGER: usize = 8;
/// Linear work takes 8 times as long for 8 times the size, quadratic work 64 times: three times away from either.
const TIMES_LONGER: u32 = 24;
/// What is faster than this is too short to be measured, and what takes little more is fast enough.
const SHORT: Duration = Duration::from_millis(10);
/// One quiet moment of the machine is enough for a cost that is bounded; one that is not fails in each.
const ATTEMPTS: usize = 5;

/// Does the work of a full size and of an eighth of it, and fails when the full size costs out of proportion.
#[track_caller]
pub fn assert_bounded(what: &str, full: usize, work: impl Fn(usize)) {
    let time = |size: usize| {
        let started = Instant::now();
        work(size);
        started.elapsed()
    };
    let mut measured = Vec::new();
    for _ in 0..ATTEMPTS {
        let small = full / TIMES_LARGER;
        // The shorter of two: an eighth that was interrupted would excuse a whole that costs too much.
        let (eighth, whole) = (time(small).min(time(small)), time(full));
        if is_bounded(eighth, whole) {
            return;
        }
        measured.push((eighth, whole));
    }
    panic!("{what}: an eighth and the whole of {full} took {measured:?}");
}

fn is_bounded(eighth: Duration, whole: Duration) -> bool {
    whole < eighth.max(SHORT) * TIMES_LONGER
}

#[test]
fn quadratic_work_is_told_from_linear_work() {
    let bounded =
        |eighth, whole| is_bounded(Duration::from_micros(eighth), Duration::from_micros(whole));
    assert!(bounded(50_000, 400_000));
    assert!(!bounded(50_000, 3_200_000));
    assert!(bounded(100, 6_400));
    assert!(!bounded(100, 640_000));
}
