//! Adapters from a PEFT folder to an answer.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::place::Place;

const RANK: usize = 4;

/// The configuration of the bundled model, as it lies in the data folder once the model was unpacked.
fn bundled_config(place: &Place) -> Value {
    place.run(&["doctor"]).ok();
    let unpacked = std::fs::read_dir(place.data().join("models"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    serde_json::from_slice(&std::fs::read(unpacked.path().join("config.json")).unwrap()).unwrap()
}

/// A PEFT folder for the query projections of a model; B is zero, so that it changes nothing.
fn write_adapter(place: &Place, name: &str, model: &Value) -> PathBuf {
    let number = |key: &str| usize::try_from(model[key].as_u64().unwrap()).unwrap();
    let (hidden, queries) = (
        number("hidden_size"),
        number("num_attention_heads") * number("head_dim"),
    );
    let config = json!({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": 8, "target_modules": ["q_proj"], "bias": "none",
    });
    place.write(&format!("{name}/adapter_config.json"), config.to_string());
    let (mut header, mut end) = (String::from("{"), 0);
    for layer in 0..number("num_hidden_layers") {
        for (half, rows, columns) in [("A", RANK, hidden), ("B", queries, RANK)] {
            let begin = end;
            end += 4 * rows * columns;
            write!(
                header,
                r#""base_model.model.model.layers.{layer}.self_attn.q_proj.lora_{half}.weight":{{"dtype":"F32","shape":[{rows},{columns}],"data_offsets":[{begin},{end}]}},"#
            )
            .unwrap();
        }
    }
    header.pop();
    header.push('}');
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.resize(file.len() + end, 0);
    place.write(&format!("{name}/adapter_model.safetensors"), file);
    place.path(name)
}

#[test]
fn an_adapter_is_added_verified_named_and_answers() {
    let place = Place::new();
    write_adapter(&place, "peft", &bundled_config(&place));
    let added = place
        .run(&["adapters", "add", "peft", "--name", "support"])
        .ok();
    assert_eq!(added.stdout, "added support@1\n");
    place.run(&["adapters", "verify", "support@1"]).ok();
    let listed = place.run(&["adapters", "list"]).ok().stdout;
    assert!(listed.contains("support@1"), "{listed}");
    let shown = place
        .run(&["adapters", "show", "support@1", "--json"])
        .ok()
        .json();
    assert_eq!(shown["rank"], RANK, "{shown}");

    place
        .run(&["adapters", "alias", "champion", "support@1"])
        .ok();
    let aliases = place.run(&["adapters", "alias"]).ok().stdout;
    assert!(
        aliases.contains("champion") && aliases.contains("support@1"),
        "{aliases}"
    );
    place
        .run(&[
            "adapters",
            "alias",
            "champion",
            "base",
            "--expect",
            "support@7",
        ])
        .fails(1, "error: ");

    place.write("docs/a.md", "# Desk\n\nThe support desk opens at nine.\n");
    place.run(&["ingest", "docs", "--acl", "public"]).ok();
    let ask = [
        "ask",
        "When does the support desk open?",
        "--mode",
        "grounded",
        "--json",
    ];
    let routed = place.run(&ask).ok().json();
    assert_eq!(routed["release"]["adapter"], "support@1", "{routed}");
    let base = place
        .run(&[&ask[..], &["--model", "base"]].concat())
        .ok()
        .json();
    assert_eq!(base["release"]["adapter"], "base", "{base}");
    assert_eq!(
        base["answer"], routed["answer"],
        "this adapter changes nothing"
    );
    place
        .run(&[&ask[..], &["--model", "support@9"]].concat())
        .fails(1, "support@9");
}

#[test]
fn what_is_no_adapter_or_fits_another_base_is_refused_by_name() {
    let place = Place::new();
    place
        .run(&["adapters", "add", "nowhere", "--name", "a"])
        .fails(1, "nowhere");
    place.write("empty/readme.txt", "");
    place
        .run(&["adapters", "add", "empty", "--name", "a"])
        .fails(1, "adapter_config.json");
    let mut other = bundled_config(&place);
    other["hidden_size"] = json!(64);
    write_adapter(&place, "foreign", &other);
    place
        .run(&["adapters", "add", "foreign", "--name", "a"])
        .fails(1, "q_proj");
    place.run(&["adapters", "show", "a@1"]).fails(1, "a@1");
}
