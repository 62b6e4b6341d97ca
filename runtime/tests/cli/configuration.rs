//! The configuration file: errors name the key.

use crate::place::Place;

#[test]
fn an_unknown_key_is_named() {
    let place = Place::new();
    place.write("quoin.toml", "[server]\nlisten_on = \"127.0.0.1:1\"\n");
    let ran = place
        .run(&["config", "check", "--config", "quoin.toml"])
        .fails(1, "listen_on");
    assert!(
        ran.stderr.contains("quoin.toml") && ran.stderr.contains("hint: "),
        "{}",
        ran.stderr
    );
    place
        .run(&["serve", "--config", "quoin.toml"])
        .fails(1, "listen_on");
}

#[test]
fn a_value_out_of_its_bounds_is_named_with_the_bound() {
    let place = Place::new();
    place.write("quoin.toml", "[answers]\ntop_k = 1000\n");
    place
        .run(&["config", "check", "--config", "quoin.toml"])
        .fails(1, "`answers.top_k` must be between 1 and 64");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let place = Place::new();
    place
        .run(&["config", "check", "--config", "missing.toml"])
        .fails(1, "missing.toml");
}

#[test]
fn what_is_in_force_is_shown_and_is_itself_valid() {
    let place = Place::new();
    place.write("quoin.toml", "[answers]\ntop_k = 9\n");
    let shown = place
        .run(&["config", "show", "--config", "quoin.toml"])
        .ok();
    assert!(shown.stdout.contains("top_k = 9"), "{}", shown.stdout);
    place.write("shown.toml", &shown.stdout);
    place
        .run(&["config", "check", "--config", "shown.toml"])
        .ok();
    let json = place
        .run(&["config", "show", "--config", "quoin.toml", "--json"])
        .ok()
        .json();
    assert_eq!(json["answers"]["top_k"], 9);
}

#[test]
fn the_schema_is_json_and_knows_every_section() {
    let place = Place::new();
    let schema = place.run(&["config", "schema"]).ok().json();
    for section in ["server", "model", "answers", "retrieval", "log"] {
        assert!(
            schema["properties"][section]["properties"].is_object(),
            "{section}"
        );
    }
}
