//! A server that is killed loses nothing that it acknowledged.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::place::{Place, local};

#[test]
fn every_acknowledged_document_is_served_after_kill_9_during_ingestion() {
    let place = Place::new();
    place.write("quoin.toml", "[server]\nsamples = false\n");
    let mut acknowledged = BTreeSet::new();
    for round in 0..3 {
        let server = place.serve(&["--config", "quoin.toml"]);
        let socket = server.socket();
        let writer = std::thread::spawn(move || write_until_it_breaks(&socket, round));
        std::thread::sleep(Duration::from_millis(300 + 170 * round));
        server.kill();
        acknowledged.extend(writer.join().unwrap());
    }
    assert!(
        !acknowledged.is_empty(),
        "nothing was written before the kill"
    );

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
fn write_until_it_breaks(socket: &std::path::Path, round: u64) -> Vec<String> {
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
            Ok((200, _)) => acknowledged.extend(ids),
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
    let asked = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| ask_until_it_breaks(&server.socket())))
            .collect();
        std::thread::sleep(Duration::from_millis(700));
        server.signal("KILL");
        askers
            .into_iter()
            .map(|asker| asker.join().unwrap())
            .sum::<usize>()
    });
    assert!(asked > 0, "nothing was asked before the kill");
    drop(server);
    let server = place.serve(&[]);
    let (status, body) = server.http("POST", "/v1/answers", "", QUESTION);
    assert_eq!(status, 200, "{body}");
    place.run(&["index", "verify"]).ok();
}

const QUESTION: &str = r#"{"question":"Who may read the salary bands?"}"#;

/// Counts the questions that were sent until the server had gone.
fn ask_until_it_breaks(socket: &std::path::Path) -> usize {
    (0..100_000)
        .take_while(|_| local(socket, "POST", "/v1/answers", QUESTION).is_ok())
        .count()
        + 1
}
