//! A version appears whole or not at all, whenever the process that adds it dies.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{PeftFolder, add};
use quoin_adapters::{AdapterVersion, Registry};

/// How long a child may take to come to the next step; only a child that hangs takes so long.
const PATIENCE: Duration = Duration::from_mins(2);

#[test]
fn what_an_interrupted_add_left_is_removed_at_the_next_start_and_never_was_a_version() {
    let data = tempfile::tempdir().unwrap();
    let leftover = data.path().join(".incoming/half");
    fs::create_dir_all(&leftover).unwrap();
    PeftFolder::new(0.1).write_into(&leftover);
    let registry = Registry::open(data.path()).unwrap();
    assert!(!leftover.exists());
    assert!(registry.list().unwrap().versions.is_empty());
}

const CHILD_FOLDER: &str = "QUOIN_TEST_ADDS_ADAPTERS_INTO";

/// Not a test by itself: what the next test kills. It adds one adapter after the other, each with a report, until then.
#[test]
#[ignore = "runs as the child of `a_process_killed_while_adding_leaves_only_whole_versions`"]
fn child_that_adds_adapters() {
    let Ok(folder) = std::env::var(CHILD_FOLDER) else {
        return;
    };
    let registry = Registry::open(Path::new(&folder)).unwrap();
    for seed in 1_u16.. {
        let version = add(&registry, f32::from(seed));
        let report = format!("{{\"seed\": {seed}}}");
        registry.attach_report(&version, report.as_bytes()).unwrap();
    }
}

/// A child that adds adapters, killed with SIGKILL when this is dropped, also by a test that fails.
struct Adding(Child);

impl Adding {
    fn into(folder: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "interrupted::child_that_adds_adapters",
                "--ignored",
            ])
            .env(CHILD_FOLDER, folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Waits until the child has come to something.
    fn until(&mut self, what: &str, come: impl Fn() -> bool) {
        let started = Instant::now();
        while !come() {
            assert_eq!(
                self.0.try_wait().unwrap(),
                None,
                "the child ended by itself"
            );
            assert!(
                started.elapsed() < PATIENCE,
                "the child never came to {what}"
            );
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

impl Drop for Adding {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Entries of a folder; none while there is no folder.
fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

#[test]
fn a_process_killed_while_adding_leaves_only_whole_versions() {
    let data = tempfile::tempdir().unwrap();
    let (incoming, versions) = (data.path().join(".incoming"), data.path().join("support"));
    let mut left_behind = 0;
    for round in 0..25 {
        let before = entries(&versions);
        let mut child = Adding::into(data.path());
        if round % 3 == 0 {
            child.until("a new version", || entries(&versions) > before);
        }
        child.until("a copy", || entries(&incoming) > 0);
        // Now it copies, checks, seals, syncs or renames: somewhere else in each round.
        std::thread::sleep(Duration::from_micros(round * 100));
        drop(child);
        left_behind += entries(&incoming);

        let registry = Registry::open(data.path()).unwrap();
        assert_eq!(entries(&incoming), 0);
        let listing = registry.list().unwrap();
        assert!(listing.damaged.is_empty(), "{:?}", listing.damaged);
        for (position, version) in listing.versions.iter().enumerate() {
            assert_eq!(version.version as usize, position + 1);
            registry.verify(&version.id()).unwrap();
        }
    }
    assert!(entries(&versions) > 0, "no child came to add anything");
    let listing = Registry::open(data.path()).unwrap().list().unwrap();
    let reports = |version: &AdapterVersion| version.reports().unwrap().len();
    assert!(
        listing.versions.iter().map(reports).sum::<usize>() > 0,
        "no child came to attach a report"
    );
    assert!(
        left_behind > 0,
        "no child was killed in the middle of adding"
    );
}
