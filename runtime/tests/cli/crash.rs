//! A server that is killed loses nothing that it acknowledged.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::place::{PATIENCE, Place, local};

#[test]
fn every_acknowledged_document_is_served_after_kill_9_during_ingestion() {
    let place = Place::new();
    place.write("quoin.toml", "[server]\nsamples = false\n");
    let mut acknowledged = BTreeSet::new();
    for round in 0..3 {
        let server = place.serve(&["--config", "quoin.toml"]);
        let socket = server.socket();
        let begun = Arc::new(AtomicUsize::new(0));
        let done = Arc::clone(&begun);
        let writer = std::thread::spawn(move || write_until_it_breaks(&socket, round, &done));
        until_some(&begun);
        std::thread::sleep(Duration::from_millis(170 * round));
        server.kill();
        acknowledged.extend(writer.join().unwrap());
    }

    let _server = place.serve(&["--config", "quoin.toml"]);
    let listed = place.run(&["documents", "list", "--json"]).ok().json();
    let served: BTreeSet<String> = listed["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect();
    let lost: Vec<_> = acknowledged.difference(&served).collect();
    assert!(lost.is_empty(), "lost {lost:?}");
    for id in [acknowledged.first().unwrap(), acknowledged.last().unwrap()] {
        let found = place.run(&["search", &word_of(id), "--json"]).ok().json();
        let hits = found["hits"].as_array().unwrap();
        assert!(
            hits.iter().any(|hit| hit["document"].as_str() == Some(id)),
            "{id}: {found}"
        );
    }
    place.run(&["index", "verify"]).ok();
}

/// A word that only this document has.
fn word_of(id: &str) -> String {
    format!("w{}", id.replace(['/', '.', '-'], ""))
}

/// Writes documents until the server has gone; returns the ids that it acknowledged.
fn write_until_it_breaks(socket: &Path, round: u64, done: &AtomicUsize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for batch in 0.. {
        let ids: Vec<String> = (0..8)
            .map(|number| format!("r{round}/{batch:04}-{number}.txt"))
            .collect();
        let documents: Vec<Value> = ids
            .iter()
            .map(|id| json!({"id": id, "text": format!("The word is {}.", word_of(id)), "acl": ["public"]}))
            .collect();
        let body = json!({ "documents": documents }).to_string();
        match local(socket, "POST", "/admin/v1/ingest", &body) {
            Ok((200, _)) => {
                acknowledged.extend(ids);
                done.fetch_add(1, Ordering::SeqCst);
            }
            Ok((status, body)) => panic!("{status}: {body}"),
            Err(_) => break,
        }
    }
    acknowledged
}

#[test]
fn a_socket_that_a_killed_server_left_does_not_confuse_the_next_command() {
    let place = Place::new();
    place.serve(&[]).kill();
    assert!(
        place.data().join("quoin.sock").exists(),
        "the test needs the file"
    );
    place.run(&["documents", "list"]).ok();
    let server = place.serve(&[]);
    let listed = place.run(&["documents", "list", "--json"]).ok().json();
    assert!(
        !listed["documents"].as_array().unwrap().is_empty(),
        "the samples are there"
    );
    drop(server);
}

#[test]
fn a_server_that_is_killed_while_it_answers_starts_again_with_everything() {
    let place = Place::new();
    let server = place.serve(&[]);
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| ask_until_it_breaks(&server.socket(), &answered));
        }
        until_some(&answered);
        server.signal("KILL");
    });
    drop(server);
    let server = place.serve(&[]);
    let (status, body) = server.http("POST", "/v1/answers", "", QUESTION);
    assert_eq!(status, 200, "{body}");
    place.run(&["index", "verify"]).ok();
}

const QUESTION: &str = r#"{"question":"Who may read the salary bands?"}"#;

/// Asks until the server has gone, and counts the answers.
fn ask_until_it_breaks(socket: &Path, answered: &AtomicUsize) {
    while let Ok((status, body)) = local(socket, "POST", "/v1/answers", QUESTION) {
        assert_eq!(status, 200, "{body}");
        answered.fetch_add(1, Ordering::SeqCst);
    }
}

fn until_some(count: &AtomicUsize) {
    let begun = Instant::now();
    while count.load(Ordering::SeqCst) == 0 {
        assert!(
            begun.elapsed() < PATIENCE,
            "nothing happened before the kill"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
