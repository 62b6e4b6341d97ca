//! Times, memory and disk of one system, as JSON lines.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::collection::{Collection, HITS};

/// Searches that are measured, at most, and how long.
const SEARCHES: usize = 1000;
const TIME: Duration = Duration::from_secs(5);
/// Searches beforehand, so that what is read for the first time is not measured.
const WARM: usize = 100;

pub struct Report {
    system: String,
    passages: usize,
    file: File,
}

impl Report {
    pub fn new(system: &str, passages: usize, path: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Self {
            system: system.to_owned(),
            passages,
            file: file.unwrap(),
        }
    }

    /// One figure; its unit is part of its name.
    pub fn say(&mut self, name: &str, value: f64) {
        let line = json!({
            "system": self.system, "passages": self.passages, "name": name, "value": value,
        });
        writeln!(self.file, "{line}").unwrap();
    }

    /// The largest resident memory of this process, and the present one, MB.
    pub fn memory(&mut self, phase: &str) {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        for (field, name) in [
            ("VmHWM:", "peak"),
            ("VmRSS:", "resident"),
            ("RssAnon:", "anonymous"),
        ] {
            let line = status.lines().find(|line| line.starts_with(field)).unwrap();
            let kibibytes: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            self.say(&format!("{phase}_{name}_mb"), kibibytes / 1000.0);
        }
    }

    pub fn ingested(&mut self, took: Duration, folder: &Path) {
        self.say("ingest_s", took.as_secs_f64());
        self.say("ingest_per_s", self.passages as f64 / took.as_secs_f64());
        self.say("disk_mb", size(folder) as f64 / 1e6);
        self.memory("ingest");
    }

    /// Median, 99th percentile and searches a second, of one client and of eight. `search` is given a query's number.
    pub fn searches(&mut self, name: &str, queries: usize, search: &(dyn Fn(usize) + Sync)) {
        let began = Instant::now();
        for number in 0..WARM.min(queries) {
            search(number);
            if began.elapsed() > TIME / 2 {
                break;
            }
        }
        for clients in [1, 8] {
            let (mut times, took) = run(clients, queries, search);
            times.sort();
            let at = |share: f64| {
                let place = (times.len() as f64 * share) as usize;
                times[place.min(times.len() - 1)].as_secs_f64() * 1000.0
            };
            self.say(&format!("{name}_{clients}_p50_ms"), at(0.5));
            self.say(&format!("{name}_{clients}_p99_ms"), at(0.99));
            let rate = times.len() as f64 / took.as_secs_f64();
            self.say(&format!("{name}_{clients}_per_s"), rate);
        }
    }

    /// The share of the exact ten nearest that `nearest` gives for a query's number.
    pub fn recall(&mut self, collection: &Collection, nearest: impl Fn(usize) -> Vec<u32>) {
        let mut found = 0;
        for (number, want) in collection.nearest.iter().enumerate() {
            let got = nearest(number);
            found += want
                .iter()
                .filter(|id| got[..got.len().min(HITS)].contains(id))
                .count();
        }
        let all = collection.nearest.len() * HITS;
        self.say("vector_recall_at_10", found as f64 / all as f64);
    }
}

fn run(
    clients: usize,
    queries: usize,
    search: &(dyn Fn(usize) + Sync),
) -> (Vec<Duration>, Duration) {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Vec::new());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut times = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= SEARCHES * clients.min(2) || began.elapsed() > TIME {
                        break;
                    }
                    let started = Instant::now();
                    search(number % queries);
                    times.push(started.elapsed());
                }
                all.lock().unwrap().extend(times);
            });
        }
    });
    (all.into_inner().unwrap(), began.elapsed())
}

fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                size(&entry.path())
            } else {
                metadata.len()
            }
        })
        .sum()
}
