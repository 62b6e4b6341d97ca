//! Wrong calls, closed pipes, and JSON for scripts.

use std::io::Read as _;
use std::process::{Command, Stdio};

use crate::place::Place;

#[test]
fn a_wrong_call_ends_with_2() {
    let place = Place::new();
    for arguments in [
        &["ask"][..],
        &["nonsense"],
        &["ask", "q", "--mode", "guess"],
        &["serve", "--listen", "here"],
    ] {
        place.run(arguments).fails(2, "error: ");
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    let place = Place::new();
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["ingest", "--help"],
        &["--version"],
    ] {
        let ran = place.run(arguments).ok();
        assert!(
            !ran.stdout.is_empty() && ran.stderr.is_empty(),
            "{arguments:?}"
        );
    }
}

#[test]
fn json_output_parses_and_nothing_else_is_on_stdout() {
    let place = Place::new();
    place.write("docs/a.md", "# A\n\nThe answer is 42.\n");
    for arguments in [
        &["ingest", "docs"][..],
        &["documents", "list"],
        &["documents", "show", "a.md"],
        &["search", "answer"],
        &["ask", "What is the answer?", "--mode", "extractive"],
        &["index", "list"],
        &["index", "verify"],
        &["keys", "list"],
        &["adapters", "list"],
        &["adapters", "alias"],
        &["models", "list"],
        &["config", "check"],
        &["config", "show"],
        &["doctor"],
    ] {
        let ran = place.run(&[arguments, &["--json"]].concat()).ok();
        assert!(ran.json().is_object(), "{arguments:?}");
    }
}

#[test]
fn nothing_is_drawn_on_stderr_when_it_is_no_terminal() {
    let place = Place::new();
    place.write("docs/a.md", "# A\n");
    let ran = place.run(&["ingest", "docs"]).ok();
    assert_eq!(ran.stderr, "");
    assert!(ran.stdout.starts_with("read 1 file in "), "{}", ran.stdout);
}

#[test]
fn a_reader_that_goes_away_is_a_quiet_end() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_quoin"))
        .args(["config", "schema"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn a_schema_that_is_not_json_or_not_there_is_named() {
    let place = Place::new();
    place.write("schema.json", "{");
    place
        .run(&["ask", "q", "--schema", "schema.json"])
        .fails(1, "`schema.json` is not JSON");
    place
        .run(&["ask", "q", "--schema", "missing.json"])
        .fails(1, "missing.json");
}

#[test]
fn a_model_is_imported_listed_and_refused_when_it_was_cut_short() {
    let place = Place::new();
    for name in ["config.json", "tokenizer.json"] {
        place.write(&format!("model/{name}"), "{}");
    }
    place.write("model/model.safetensors", b"\x02\0\0\0\0\0\0\0{}");
    place
        .run(&["models", "import", "model", "--name", "mine"])
        .ok();
    let listed = place.run(&["models", "list"]).ok();
    assert!(listed.stdout.contains("mine"), "{}", listed.stdout);
    place
        .run(&["models", "import", "model", "--name", "mine"])
        .fails(1, "already");
    place.write("model/model.safetensors", b"\xff\0\0\0\0\0\0\0{}");
    place
        .run(&["models", "import", "model", "--name", "other"])
        .fails(1, "cut short");
    place
        .run(&["models", "import", "model", "--name", "../x"])
        .fails(2, "../x");
}
