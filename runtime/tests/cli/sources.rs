//! Followed folders: what is written, moved and removed shows in searches by itself.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::place::{PATIENCE, Place, Server};

const SETTINGS: &str = "[server]\nsamples = false\n[[sources]]\nname = \"docs\"\npath = \"docs\"\nacl = [\"public\"]\nevery = \"1h\"\n";

fn followed(files: &[(&str, &str)]) -> (Place, Server) {
    let place = Place::new();
    for (name, text) in files {
        place.write(name, text);
    }
    place.write("quoin.toml", SETTINGS);
    let server = place.serve(&["--config", "quoin.toml"]);
    (place, server)
}

fn ids(place: &Place) -> Vec<String> {
    let listed = place.run(&["documents", "list", "--json"]).ok().json();
    let documents = listed["documents"].as_array().unwrap().iter();
    documents
        .map(|document| document["id"].as_str().unwrap().to_owned())
        .collect()
}

#[track_caller]
fn wait_for<T: PartialEq + std::fmt::Debug>(want: &T, look: impl Fn() -> T) -> Duration {
    let start = Instant::now();
    loop {
        let found = look();
        if found == *want {
            return start.elapsed();
        }
        assert!(start.elapsed() < PATIENCE, "{found:?} is not {want:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn a_followed_folder_shows_what_is_written_moved_and_removed() {
    let (place, _server) = followed(&[("docs/a.md", "Walrus tusks."), ("docs/b.md", "Seal fur.")]);
    wait_for(&names(&["a.md", "b.md"]), || ids(&place));
    place.write("docs/new/c.md", "Otter whiskers.");
    let took = wait_for(&names(&["a.md", "b.md", "new/c.md"]), || ids(&place));
    assert!(took < Duration::from_secs(2), "{took:?}");

    fs::rename(place.path("docs/a.md"), place.path("docs/new/moved.md")).unwrap();
    fs::remove_file(place.path("docs/b.md")).unwrap();
    wait_for(&names(&["a.md", "new/c.md"]), || ids(&place));
    let kept = place
        .run(&["documents", "show", "a.md", "--json"])
        .ok()
        .json();
    assert_eq!(kept["version"], 1, "{kept}");
    // Counted once a scan has ended, a moment after its changes are seen.
    let counted = || {
        let listed = place.run(&["sources", "list", "--json"]).ok().json();
        let status = &listed["sources"][0];
        ["moved", "deleted", "watched"].map(|count| status[count].clone())
    };
    wait_for(
        &[Value::from(1), Value::from(1), Value::from(true)],
        counted,
    );
}

#[test]
fn a_rule_that_changes_changes_the_list_and_a_wrong_one_widens_nothing() {
    let (place, _server) = followed(&[("docs/hr/a.md", "Walrus tusks.")]);
    let acl = || {
        let shown = place.run(&["documents", "show", "hr/a.md", "--json"]);
        match shown.code {
            0 => shown.json()["acl"].to_string(),
            _ => String::new(),
        }
    };
    wait_for(&"[\"public\"]".to_owned(), acl);
    place.write("docs/hr/.quoin.toml", "acl = [\"group:hr\"]");
    wait_for(&"[\"group:hr\"]".to_owned(), acl);
    place.write("docs/hr/a.md.quoin.toml", "acl = [\"user:ann\"]\n");
    wait_for(&"[\"user:ann\"]".to_owned(), acl);
    place.write("docs/hr/a.md.quoin.toml", "acl = \"public\"\n");
    let errors = || {
        let listed = place.run(&["sources", "list", "--json"]).ok().json();
        listed["sources"][0]["errors"].as_array().unwrap().len()
    };
    wait_for(&1, errors);
    assert_eq!(acl(), "[\"user:ann\"]");
}

#[test]
fn a_folder_that_is_gone_or_empty_deletes_nothing_until_told() {
    let (place, _server) = followed(&[("docs/a.md", "Walrus."), ("docs/b.md", "Seal.")]);
    wait_for(&names(&["a.md", "b.md"]), || ids(&place));
    fs::remove_file(place.path("docs/a.md")).unwrap();
    fs::remove_file(place.path("docs/b.md")).unwrap();
    let scanned = place
        .run(&["sources", "scan", "docs", "--json"])
        .ok()
        .json();
    assert!(scanned["guard"].is_string(), "{scanned}");
    assert_eq!(ids(&place), names(&["a.md", "b.md"]));
    place.run(&["sources", "scan", "docs", "--prune"]).ok();
    wait_for(&Vec::new(), || ids(&place));
}

#[test]
fn a_change_is_searchable_within_two_seconds() {
    let (place, _server) = followed(&[("docs/a.md", "Start.")]);
    wait_for(&names(&["a.md"]), || ids(&place));
    let mut took: Vec<Duration> = (0..20)
        .map(|round| {
            let word = format!("walrus{round}x");
            let temporary = place.write("docs/.a.md.tmp", format!("The {word} swims."));
            fs::rename(temporary, place.path("docs/a.md")).unwrap();
            wait_for(&true, || {
                let text = place.run(&["documents", "show", "a.md", "--text"]);
                text.stdout.contains(&word)
            })
        })
        .collect();
    took.sort_unstable();
    assert!(took[took.len() - 1] < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_list_is_set_from_the_command_line() {
    let place = Place::new();
    place.write("docs/a.md", "Walrus.");
    place.run(&["ingest", "docs", "--acl", "public"]).ok();
    place
        .run(&["documents", "set-acl", "a.md", "--acl", "group:hr,user:ann"])
        .ok();
    let shown = place
        .run(&["documents", "show", "a.md", "--json"])
        .ok()
        .json();
    assert_eq!(shown["acl"], serde_json::json!(["group:hr", "user:ann"]));
    place
        .run(&["documents", "set-acl", "none", "--acl", "public"])
        .fails(1, "none");
}
