//! `quoin serve`: when it starts, when it refuses to, and how it ends.

use std::net::TcpListener;

use serde_json::Value;

use crate::place::Place;

#[test]
fn the_first_start_serves_the_samples_and_says_that_it_is_open_to_this_machine_only() {
    let place = Place::new();
    let server = place.serve(&[]);
    assert!(server.said.contains("no keys"), "{}", server.said);
    assert_eq!(server.http("GET", "/ready", "", "").0, 200);
    let (status, body) = server.http("POST", "/v1/search", "", r#"{"query":"parental leave"}"#);
    let found: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &found["hits"][0]["document"]),
        (200, &"people/parental-leave.md".into()),
        "{body}"
    );
}

#[test]
fn deleted_samples_do_not_come_back() {
    let place = Place::new();
    let server = place.serve(&[]);
    let listed = place.run(&["documents", "list", "--json"]).ok().json();
    let ids: Vec<String> = listed["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    place
        .run(&[&["documents", "delete"], ids.as_slice()].concat())
        .ok();
    drop(server);
    let _server = place.serve(&[]);
    let listed = place.run(&["documents", "list", "--json"]).ok().json();
    assert_eq!(listed["documents"].as_array().unwrap().len(), 0);
}

#[test]
fn samples_are_not_mixed_with_documents_of_ones_own() {
    let place = Place::new();
    place.write("docs/a.md", "# Mine");
    place.run(&["ingest", "docs"]).ok();
    let _server = place.serve(&[]);
    let listed = place.run(&["documents", "list", "--json"]).ok().json();
    assert_eq!(listed["documents"].as_array().unwrap().len(), 1);
}

#[test]
fn sigterm_ends_it_with_0_and_takes_the_socket_away() {
    let place = Place::new();
    for signal in ["TERM", "INT"] {
        let server = place.serve(&[]);
        let socket = server.socket();
        assert!(socket.exists());
        server.signal(signal);
        let (status, said) = server.wait();
        assert_eq!(status.code(), Some(0), "{signal}: {said}");
        assert!(!socket.exists());
    }
}

#[test]
fn sigterm_before_it_is_ready_ends_it_with_0() {
    let place = Place::new();
    let server = place.start(&["serve", "--listen", "127.0.0.1:0"]);
    while !place.data().join("quoin.lock").exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    server.signal("TERM");
    let (status, said) = server.wait();
    assert_eq!(status.code(), Some(0), "{said}");
}

#[test]
fn a_request_in_flight_is_answered_after_sigterm() {
    use std::io::{Read as _, Write as _};
    let place = Place::new();
    let mut server = place.serve(&[]);
    let body = r#"{"query":"parental leave"}"#;
    let mut request = server.begin_search(body.len());
    server.signal("TERM");
    server.wait_until_said("stopping");
    request.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    request.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn a_second_signal_does_not_wait_for_requests_in_flight() {
    let place = Place::new();
    let mut server = place.serve(&[]);
    let _request = server.begin_search(100);
    server.signal("INT");
    server.wait_until_said("stopping");
    let begun = std::time::Instant::now();
    server.signal("INT");
    let (status, said) = server.wait();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(begun.elapsed().as_secs() < 10, "it waited for the request");
}

#[test]
fn it_refuses_to_listen_beyond_this_machine_without_a_key() {
    let place = Place::new();
    let ran = place
        .run(&["serve", "--listen", "0.0.0.0:0"])
        .fails(1, "refusing to listen on 0.0.0.0");
    assert!(ran.stderr.contains("quoin keys create"), "{}", ran.stderr);
    place
        .run(&["keys", "create", "--name", "n", "--scopes", "search"])
        .ok();
    let mut server = place.start(&["serve", "--listen", "0.0.0.0:0"]);
    server.wait_until_listening();
    assert!(!server.said.contains("no keys"), "{}", server.said);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = Place::new()
        .run(&["serve", "--listen", &address])
        .fails(1, &format!("cannot listen on {address}"));
    assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
}

#[test]
fn the_local_socket_is_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let server = place.serve(&[]);
    let mode = std::fs::metadata(server.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_backup_of_a_running_server_is_a_data_folder() {
    let place = Place::new();
    let _server = place.serve(&[]);
    place.run(&["backup", "copy"]).ok();
    let copy = place.path("copy");
    let found = place
        .run(&[
            "search",
            "parental leave",
            "--json",
            "--data",
            copy.to_str().unwrap(),
        ])
        .ok()
        .json();
    assert_eq!(
        found["hits"][0]["document"], "people/parental-leave.md",
        "{found}"
    );
    place.run(&["backup", "copy"]).fails(1, "copy");
}

#[test]
fn the_doctor_finds_a_healthy_folder_healthy_with_and_without_a_server() {
    let place = Place::new();
    let server = place.serve(&[]);
    let report = place.run(&["doctor", "--json"]).ok().json();
    assert_eq!(report["ok"], true, "{report}");
    drop(server);
    place.run(&["doctor"]).ok();
}

#[test]
fn the_doctor_finds_a_damaged_catalogue() {
    let place = Place::new();
    place.write("data/quoin.db", vec![7; 8192]);
    let ran = place.run(&["doctor"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("FAIL  catalogue"), "{}", ran.stdout);
}
