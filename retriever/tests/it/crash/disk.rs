//! A disk that is full, or can be read only: writes fail and say so, what was acknowledged is served, and once there is room
//! again all goes on.

use std::path::Path;
use std::process::{Command, Output};

use quoin_retriever::{Access, Retriever, RetrieverError, RetrieverSettings};

use super::FOLDER;
use crate::{everyone, found, id, public};

fn open(folder: &Path) -> Result<Retriever, RetrieverError> {
    Retriever::open(folder, RetrieverSettings::default())
}

fn large(count: usize) -> String {
    format!("walrus {count} {}", format!("filler{count} ").repeat(400))
}

/// Puts documents until one fails; how many were stored, and the error.
fn fill(retriever: &Retriever) -> (usize, RetrieverError) {
    for count in 0..5000 {
        if let Err(error) = retriever.put(public(&format!("d{count}"), &large(count))) {
            return (count, error);
        }
    }
    panic!("5000 documents fit the small disk");
}

/// Everything up to a number is there, word for word, and is found.
fn assert_serves(retriever: &Retriever, documents: usize) {
    assert_eq!(retriever.statistics().documents, documents);
    for count in 0..documents {
        let text = retriever.text(&id(&format!("d{count}")), &everyone());
        assert_eq!(text.unwrap().trim_end(), large(count).trim_end());
    }
    assert_eq!(found(retriever, "walrus", &everyone()).len(), 20);
}

fn in_words(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", in_words(cause)),
        None => error.to_string(),
    }
}

/// Runs a child of this program under a shell that prepares its disk in the folder `$1`.
fn run(prepare: &str, child: &str, folder: &Path) -> Output {
    let script = format!("{prepare} && shift && exec \"$0\" \"$@\"");
    Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .arg(folder)
        .args([child, "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .output()
        .unwrap()
}

/// Where nobody but the real root may mount, these tests have no disk of their own.
fn may_mount() -> bool {
    let mounted = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .args(["mount", "-t", "tmpfs", "tmpfs", "/tmp"])
        .output();
    let may = mounted.is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("not tested: this system lets nobody mount a disk of their own");
    }
    may
}

const SMALL_DISK: &str = "mount -t tmpfs -o size=10m tmpfs \"$1\"";

fn passes_on_a_small_disk(child: &str) {
    if !may_mount() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = run(SMALL_DISK, child, folder.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}{errors}");
    assert!(said.contains("all of it was tried"), "{said}{errors}");
}

#[test]
#[ignore = "the child of the test below"]
fn child_on_a_full_disk() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let disk = Path::new(&folder);
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![1; 3 << 20]).unwrap();
    let data = disk.join("data");
    let retriever = open(&data).unwrap();
    let (stored, error) = fill(&retriever);
    let error = in_words(&error);
    assert!(error.contains("full"), "{error}");
    assert!(stored > 10, "{stored}");
    assert_serves(&retriever, stored);
    let error = in_words(&retriever.rebuild().unwrap_err());
    assert!(error.contains("full") || error.contains("space"), "{error}");
    assert_serves(&retriever, stored);
    drop(retriever);
    // The next start has no room either.
    let retriever = open(&data).unwrap();
    assert_serves(&retriever, stored);
    drop(retriever);
    std::fs::remove_file(&ballast).unwrap();
    let retriever = open(&data).unwrap();
    assert_serves(&retriever, stored);
    retriever
        .put(public("after", "there is room again"))
        .unwrap();
    retriever.delete(&id("after"), &Access::admin()).unwrap();
    retriever.settle();
    assert_serves(&retriever, stored);
    assert_eq!(retriever.verify().unwrap().problems, Vec::<String>::new());
    println!("all of it was tried");
}

#[test]
fn on_a_full_disk_writes_fail_all_is_served_and_room_mends_it() {
    passes_on_a_small_disk("crash::disk::child_on_a_full_disk");
}

fn remount(disk: &Path, how: &str) {
    let mounted = Command::new("mount")
        .args(["-o", &format!("remount,{how},size=10m")])
        .arg(disk)
        .status();
    assert!(mounted.unwrap().success());
}

#[test]
#[ignore = "the child of the test below"]
fn child_on_a_disk_that_turns_read_only() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let disk = Path::new(&folder);
    let data = disk.join("data");
    let retriever = open(&data).unwrap();
    for count in 0..30 {
        let stored = retriever.put(public(&format!("d{count}"), &large(count)));
        stored.unwrap();
    }
    retriever.rebuild().unwrap();
    drop(retriever);
    remount(disk, "ro");
    let error = in_words(&open(&data).err().unwrap());
    assert!(error.to_lowercase().contains("read"), "{error}");
    remount(disk, "rw");
    let retriever = open(&data).unwrap();
    assert_serves(&retriever, 30);
    assert_eq!(retriever.verify().unwrap().problems, Vec::<String>::new());
    println!("all of it was tried");
}

#[test]
fn a_start_on_a_disk_that_can_be_read_only_says_so_and_loses_nothing() {
    passes_on_a_small_disk("crash::disk::child_on_a_disk_that_turns_read_only");
}

#[test]
#[ignore = "the child of the test below"]
fn child_with_a_largest_file() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let retriever = open(folder.as_ref()).unwrap();
    let (stored, error) = fill(&retriever);
    assert_serves(&retriever, stored);
    println!("failed {}", in_words(&error));
    println!("stored {stored}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_that_cannot_grow_is_an_error_that_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // No file may exceed 2 MiB, and the signal that would kill the process is ignored: writes fail as on a full disk.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "crash::disk::child_with_a_largest_file",
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
    let stored = lines.lines().find_map(|line| line.strip_prefix("stored "));
    let stored: usize = stored.unwrap().parse().unwrap();
    assert!(stored > 10, "{lines}");
    let retriever = open(folder.path()).unwrap();
    assert_serves(&retriever, stored);
    assert_eq!(retriever.verify().unwrap().problems, Vec::<String>::new());
}
