//! Killed at any moment, the next start serves every acknowledged write and nothing that was acknowledged as deleted.
//!
//! The test runs itself as a child that writes, prints each acknowledgement, and is killed with SIGKILL.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use quoin_retriever::{Access, CompactionSettings, Page, Retriever, RetrieverSettings};

use crate::{everyone, id, public, with_acl};

const FOLDER: &str = "QUOIN_CRASH_TEST_FOLDER";
const SEED: &str = "QUOIN_CRASH_TEST_SEED";
const DEFAULT_KILLS: u64 = 12;

fn settings() -> RetrieverSettings {
    RetrieverSettings {
        compaction: CompactionSettings {
            delta_passages: 8,
            purge_delay: Duration::from_millis(5),
            ..CompactionSettings::default()
        },
        ..RetrieverSettings::default()
    }
}

fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
#[ignore = "the child of the test below"]
fn child() {
    let (Ok(folder), Ok(seed)) = (std::env::var(FOLDER), std::env::var(SEED)) else {
        return;
    };
    let mut state: u64 = seed.parse().unwrap();
    let retriever = Retriever::open(folder.as_ref(), settings()).unwrap();
    println!("ready");
    for count in 0_u64.. {
        let name = format!("d{}", next(&mut state) % 12);
        match next(&mut state) % 40 {
            0..10 => {
                println!("deleting {name}");
                let _ = retriever.delete(&id(&name), &Access::admin());
                println!("deleted {name}");
            }
            10 => drop(retriever.rebuild().unwrap()),
            // There may be nothing to go back to.
            11 => drop(retriever.rollback()),
            // The same content for others: only the access list changes.
            12..20 => {
                for list in ["public", "group:few"] {
                    let text = format!("seed{seed} count{count}");
                    let shown = format!("{name} {list} {text}");
                    println!("putting {shown}");
                    retriever.put(with_acl(&name, &text, &[list])).unwrap();
                    println!("put {shown}");
                }
            }
            _ => {
                let shown = format!("{name} public seed{seed} count{count}");
                println!("putting {shown}");
                let text = format!("seed{seed} count{count}");
                retriever.put(public(&name, &text)).unwrap();
                println!("put {shown}");
            }
        }
    }
}

/// What may stand in the catalogue: the last acknowledged state, or the one being written when the kill came.
#[derive(Default)]
struct Expected {
    acknowledged: BTreeMap<String, Option<String>>,
    pending: Option<(String, Option<String>)>,
}

impl Expected {
    /// Takes a line of the child, and says whether it acknowledges something.
    fn line(&mut self, line: &str) -> bool {
        let mut words = line.splitn(3, ' ');
        let (Some(verb), Some(name)) = (words.next(), words.next()) else {
            return false;
        };
        let text = words.next().map(str::to_owned);
        match verb {
            "putting" | "deleting" => self.pending = Some((name.to_owned(), text)),
            "put" | "deleted" => {
                self.acknowledged.insert(name.to_owned(), text);
                self.pending = None;
                return true;
            }
            _ => {}
        }
        false
    }

    fn check(&mut self, retriever: &Retriever) {
        let listed = retriever
            .documents(&Access::admin(), &Page::default())
            .unwrap();
        let mut texts: BTreeMap<String, Option<String>> = BTreeMap::new();
        for document in listed {
            let text = retriever.text(&document.id, &Access::admin()).unwrap();
            let list = document.acl.tokens().next().unwrap();
            for (access, finds) in [(Access::admin(), true), (everyone(), list == "public")] {
                let hits = crate::found(retriever, &text, &access);
                assert_eq!(
                    hits.contains(&document.id.to_string()),
                    finds,
                    "`{}`, which `{list}` may read, is searched",
                    document.id
                );
            }
            texts.insert(document.id.to_string(), Some(format!("{list} {text}")));
        }
        for name in (0..12).map(|number| format!("d{number}")) {
            let got = texts.get(&name).cloned().flatten();
            let want = self.acknowledged.get(&name).cloned().flatten();
            let pending = self
                .pending
                .as_ref()
                .filter(|(pending, _)| *pending == name);
            let fits = got == want || pending.is_some_and(|(_, text)| *text == got);
            assert!(
                fits,
                "`{name}` is {got:?}, acknowledged {want:?}, pending {pending:?}"
            );
            self.acknowledged.insert(name, got);
        }
        self.pending = None;
        assert_eq!(retriever.verify().unwrap().problems, Vec::<String>::new());
    }
}

#[test]
fn acknowledged_writes_survive_being_killed_and_acknowledged_deletions_stay() {
    let folder = tempfile::tempdir().unwrap();
    let kills = std::env::var("QUOIN_CRASH_TEST_KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok())
        .unwrap_or(DEFAULT_KILLS);
    let mut expected = Expected::default();
    let mut state = 0x5eed_u64;
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crash::child", "--exact", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(SEED, (kill + 1).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while !lines.next().unwrap().unwrap().ends_with("ready") {}
        // Counted in acknowledgements: by the clock, a busy machine would kill children that have done nothing yet.
        let wanted = next(&mut state) % 100;
        let mut acknowledged = 0;
        while acknowledged < wanted
            && let Some(Ok(line)) = lines.next()
        {
            acknowledged += u64::from(expected.line(&line));
        }
        std::thread::sleep(Duration::from_micros(next(&mut state) % 5000));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(acknowledged, wanted, "the child ended by itself");
        for line in lines.map_while(Result::ok) {
            expected.line(&line);
        }
        let retriever = Retriever::open(folder.path(), settings()).unwrap();
        expected.check(&retriever);
        if kill % 3 == 2 {
            retriever.settle();
        }
    }
}

#[test]
#[ignore = "the child of the test below"]
fn child_on_a_small_disk() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let retriever = Retriever::open(folder.as_ref(), RetrieverSettings::default()).unwrap();
    println!("ready");
    for count in 0..2000 {
        let text = format!("walrus {count} {}", format!("filler{count} ").repeat(400));
        match retriever.put(public(&format!("d{count}"), &text)) {
            Ok(stored) => println!("put {}", stored.id),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                println!("failed {error}: {cause:?}");
                let kept = retriever.statistics().documents;
                assert_eq!(kept, count, "what was acknowledged is still served");
                println!(
                    "served {}",
                    crate::found(&retriever, "walrus", &everyone()).len()
                );
                return;
            }
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_that_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // No file may exceed 2 MiB, and the signal that would kill the process is ignored: writes fail as on a full disk.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "crash::child_on_a_small_disk",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{lines}");
    assert!(
        lines.contains("failed the catalogue failed while"),
        "{lines}"
    );
    let acknowledged = lines
        .lines()
        .filter(|line| line.starts_with("put "))
        .count();
    assert!(acknowledged > 10, "{lines}");
    let retriever = Retriever::open(folder.path(), RetrieverSettings::default()).unwrap();
    assert_eq!(retriever.statistics().documents, acknowledged);
    assert_eq!(retriever.verify().unwrap().problems, Vec::<String>::new());
}
