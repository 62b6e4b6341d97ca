//! Killed at any moment, the next start serves every acknowledged write and nothing that was acknowledged as deleted.
//!
//! The test runs itself as a child that works with two writers, says each operation before and after it, and is killed with
//! SIGKILL. `QUOIN_CRASH_TEST_KILLS=1000 cargo test --release -p quoin-retriever --test it crash -- --nocapture` is the long run.

mod child;
mod disk;
mod history;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use quoin_retriever::{CompactionSettings, Purge, Retriever, RetrieverSettings};

use self::history::History;
use crate::{id, next};

const FOLDER: &str = "QUOIN_CRASH_TEST_FOLDER";
const SEED: &str = "QUOIN_CRASH_TEST_SEED";
const KILLS: &str = "QUOIN_CRASH_TEST_KILLS";
const DEFAULT_KILLS: u64 = 12;
/// Every so many kills the background work is waited for, and the purge of a deletion is proved.
const SETTLED: u64 = 5;

/// Small snapshots, written often. Odd pipelines cut other passages: to change to one builds it beside the other.
fn settings(pipeline: u64) -> RetrieverSettings {
    let mut settings = RetrieverSettings {
        compaction: CompactionSettings {
            delta_passages: 8,
            purge_delay: Duration::from_millis(5),
            ..CompactionSettings::default()
        },
        ..RetrieverSettings::default()
    };
    if pipeline % 2 == 1 {
        settings.passages.target_tokens = 20;
        settings.passages.max_tokens = 32;
    }
    settings
}

fn spawn(folder: &Path, seed: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "crash::child::works_until_it_is_killed",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lets a child work and kills it: after so many acknowledgements and a moment, or, one time in four, by the clock alone, be it
/// while the child still opens. On a busy machine the clock alone would kill too many that have done nothing.
fn work_and_kill(folder: &Path, seed: u64, state: &mut u64, history: &mut History) {
    let mut child = spawn(folder, seed);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (wanted, delay) = match next(state) % 4 {
        0 => (0, Duration::from_micros(next(state) % 80_000)),
        _ => (
            1 + next(state) % 120,
            Duration::from_micros(next(state) % 6000),
        ),
    };
    let mut acknowledged = 0;
    while acknowledged < wanted
        && let Some(Ok(line)) = lines.next()
    {
        acknowledged += u64::from(history.line(&line));
    }
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
    if acknowledged != wanted {
        let mut said = String::new();
        let mut errors = child.stderr.take().unwrap();
        errors.read_to_string(&mut said).unwrap();
        panic!("the child ended by itself: {said}");
    }
    for line in lines.map_while(Result::ok) {
        history.line(&line);
    }
}

/// What was deleted last and is still gone left every place and every file.
fn assert_purged(retriever: &Retriever, history: &History) {
    retriever.settle();
    let Some((name, text)) = history.last_deleted() else {
        return;
    };
    let receipt = retriever.receipt(&id(name)).unwrap();
    assert_eq!(receipt.purge, Purge::Done, "{receipt:?}");
    assert!(receipt.is_genuine());
    let report = retriever.verify_erased(&id(name), &[text.to_owned()]);
    let report = report.unwrap();
    assert!(report.erased, "{report:?}");
}

#[test]
fn acknowledged_writes_survive_being_killed_and_acknowledged_deletions_stay() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let kills = std::env::var(KILLS).map_or(DEFAULT_KILLS, |kills| kills.parse().unwrap());
    let seed: u64 = std::env::var(SEED).map_or(1, |seed| seed.parse().unwrap());
    let mut history = History::default();
    let mut state = 0x5eed_u64.wrapping_mul(2 * seed + 1);
    for kill in 0..kills {
        work_and_kill(&data, seed * 1_000_000 + kill, &mut state, &mut history);
        history.count_in_flight();
        let retriever = Retriever::open(&data, settings(next(&mut state) / 8)).unwrap();
        history.check(&retriever);
        if kill % SETTLED == SETTLED - 1 {
            assert_purged(&retriever, &history);
            // And again what serves after the background work is done.
            history.check(&retriever);
        }
        drop(retriever);
        history.check_backup(folder.path());
    }
    eprintln!("{}", history.report(kills));
    assert!(history.is_long(kills), "the children did little");
}
