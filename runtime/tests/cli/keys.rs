//! Keys: shown once, stored as hashes, and in force at once.

use crate::place::Place;

#[test]
fn a_key_is_printed_once_and_never_again() {
    let place = Place::new();
    let created = place
        .run(&[
            "keys",
            "create",
            "--name",
            "app",
            "--scopes",
            "answer,search",
            "--tokens",
            "group:hr,user:ann",
            "--json",
        ])
        .ok()
        .json();
    let (id, key) = (
        created["id"].as_str().unwrap(),
        created["key"].as_str().unwrap(),
    );
    assert!(key.len() > 30, "{created}");
    let listed = place.run(&["keys", "list", "--json"]).ok();
    assert!(
        listed.stdout.contains(id) && !listed.stdout.contains(key),
        "{}",
        listed.stdout
    );
    let text = place.run(&["keys", "list"]).ok().stdout;
    assert!(
        text.contains("group:hr,user:ann") && text.contains("answer,search"),
        "{text}"
    );
    let database = std::fs::read(place.data().join("quoin.db")).unwrap();
    assert!(
        !database
            .windows(key.len())
            .any(|window| window == key.as_bytes()),
        "the key itself is stored"
    );
}

#[test]
fn a_key_opens_a_running_server_until_it_is_revoked() {
    let place = Place::new();
    let server = place.serve(&[]);
    let open = server.http("POST", "/v1/search", "", r#"{"query":"leave"}"#);
    assert_eq!(
        open.0, 200,
        "without keys the loopback address is open: {}",
        open.1
    );
    let created = place
        .run(&[
            "keys", "create", "--name", "n", "--scopes", "search", "--json",
        ])
        .ok()
        .json();
    let bearer = format!(
        "authorization: Bearer {}\r\n",
        created["key"].as_str().unwrap()
    );
    let search = |headers: &str| {
        server
            .http("POST", "/v1/search", headers, r#"{"query":"leave"}"#)
            .0
    };
    assert_eq!((search(""), search(&bearer)), (401, 200));
    place
        .run(&["keys", "revoke", created["id"].as_str().unwrap()])
        .ok();
    assert_eq!(search(&bearer), 401);
}

#[test]
fn an_unknown_scope_is_a_usage_error() {
    let place = Place::new();
    place
        .run(&["keys", "create", "--name", "n", "--scopes", "root"])
        .fails(2, "root");
    place
        .run(&["keys", "revoke", "nothing"])
        .fails(1, "error: ");
}
