//! One process owns a data folder.

use std::fs::File;

use crate::place::Place;

#[test]
fn a_second_server_on_one_folder_is_refused_and_told_who_owns_it() {
    let place = Place::new();
    let server = place.serve(&[]);
    let pid = format!("pid {}", server.pid());
    let second = place
        .run(&["serve", "--listen", "127.0.0.1:0"])
        .fails(1, &pid);
    assert!(second.stderr.contains("hint: "), "{}", second.stderr);
    place.run(&["documents", "list"]).ok();
}

#[test]
fn a_command_waits_for_a_server_that_is_starting() {
    let place = Place::new();
    let mut server = place.start(&["serve", "--listen", "127.0.0.1:0"]);
    let lock = place.data().join("quoin.lock");
    while !std::fs::read_to_string(&lock).is_ok_and(|pid| pid == server.pid().to_string()) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    place.run(&["keys", "list"]).ok();
    server.wait_until_listening();
}

#[test]
fn a_folder_whose_owner_does_not_answer_is_a_clear_error() {
    let place = Place::new();
    std::fs::create_dir_all(place.data()).unwrap();
    let lock = File::create(place.data().join("quoin.lock")).unwrap();
    lock.lock().unwrap();
    let ran = place
        .run(&["documents", "list"])
        .fails(1, "belongs to another process");
    assert!(ran.stderr.contains("quoin.sock"), "{}", ran.stderr);
}

#[test]
fn two_commands_at_once_take_turns() {
    let place = Place::new();
    place.write("a/a.md", "# A");
    place.write("b/b.md", "# B");
    std::thread::scope(|scope| {
        for folder in ["a", "b"] {
            let place = &place;
            scope.spawn(move || place.run(&["ingest", folder]).ok());
        }
    });
    let listed = place.run(&["documents", "list", "--json"]).ok().json();
    assert_eq!(listed["documents"].as_array().unwrap().len(), 2);
}

#[test]
fn a_folder_with_a_long_path_has_a_working_socket() {
    let place = Place::new();
    let data = place.path(&"long-name/".repeat(12));
    std::fs::create_dir_all(&data).unwrap();
    let data = data.to_str().unwrap();
    let mut server = place.start(&["serve", "--listen", "127.0.0.1:0", "--data", data]);
    server.wait_until_listening();
    place.run(&["keys", "list", "--data", data]).ok();
}
