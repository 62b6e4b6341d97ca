//! What would be served otherwise than it was trained is refused, and the refusal names the field, the limit and what came.

use std::fs;

use crate::support::{PeftFolder, assert_says, base, name, refusal, refusal_of_folder};
use quoin_adapters::Registry;
use serde_json::{Value, json};

#[test]
fn what_peft_writes_by_default_is_accepted() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let version = registry
        .add(
            PeftFolder::new(0.5).write().path(),
            &name("support"),
            &base(),
        )
        .unwrap()
        .version;
    assert_eq!(version.lora.r, 4);
    assert!((version.lora.lora_alpha - 8.0).abs() < f64::EPSILON);
    assert_eq!(version.lora.target_modules, ["q_proj", "v_proj"]);
}

#[test]
fn every_setting_that_the_engine_ignores_is_refused_by_name() {
    let settings: &[(&str, Value)] = &[
        ("use_dora", json!(true)),
        ("use_rslora", json!(true)),
        ("use_qalora", json!(true)),
        ("lora_bias", json!(true)),
        ("bias", json!("lora_only")),
        ("bias", json!("all")),
        ("fan_in_fan_out", json!(true)),
        ("rank_pattern", json!({"q_proj": 8})),
        ("alpha_pattern", json!({"q_proj": 8})),
        ("modules_to_save", json!(["lm_head"])),
        ("layers_to_transform", json!([0])),
        ("layers_to_transform", json!(0)),
        ("trainable_token_indices", json!([1, 2])),
        ("target_parameters", json!(["mlp.experts.gate_up_proj"])),
        ("exclude_modules", json!(["q_proj"])),
        ("init_lora_weights", json!("pissa_niter_16")),
        ("peft_type", json!("LOHA")),
        ("task_type", json!("SEQ_CLS")),
        ("a_setting_of_next_year", json!(1)),
    ];
    for (field, value) in settings {
        let text = refusal(&PeftFolder::new(0.5).with(field, value.clone()));
        assert_says(
            &text,
            &[
                "adapter_config.json",
                &format!("`{field}`"),
                &value.to_string(),
            ],
        );
    }
}

#[test]
fn the_text_of_a_refusal() {
    assert_eq!(
        refusal(&PeftFolder::new(0.5).with("use_dora", json!(true))),
        "adapter_config.json: `use_dora` is true, must be off: DoRA's magnitudes would be ignored"
    );
    assert_eq!(
        refusal(&PeftFolder::new(0.5).with("r", json!(0))),
        "adapter_config.json: `r` is 0, must be a whole number from 1 to 1024"
    );
}

#[test]
fn target_modules_must_be_a_list_of_modules_of_the_base() {
    for value in [
        json!("q_proj"),
        json!("all-linear"),
        json!([]),
        json!(["q_proj", "lm_head"]),
        json!([".*"]),
        json!([1]),
        Value::Null,
    ] {
        let text = refusal(&PeftFolder::new(0.5).with("target_modules", value));
        assert_says(
            &text,
            &[
                "`target_modules`",
                "must be a list of modules that the base has",
                "\"down_proj\"",
            ],
        );
    }
}

#[test]
fn rank_and_alpha_are_bounded_numbers() {
    for value in [
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1025),
        json!("8"),
        json!(1e30),
        Value::Null,
    ] {
        assert_says(
            &refusal(&PeftFolder::new(0.5).with("r", value)),
            &["`r`", "1 to 1024"],
        );
    }
    for value in [json!("8"), json!(1e9), Value::Null] {
        assert_says(
            &refusal(&PeftFolder::new(0.5).with("lora_alpha", value)),
            &["`lora_alpha`"],
        );
    }
}

#[test]
fn a_pickle_is_refused_even_beside_good_weights() {
    for file in [
        "adapter_model.bin",
        "training_args.bin",
        "optimizer.pt",
        "rng_state.PTH",
    ] {
        let mut folder = PeftFolder::new(0.5);
        folder.others.push((file, "\u{80}"));
        assert_says(&refusal(&folder), &[file, "pickle", "remove it"]);
    }
}

#[test]
fn a_file_that_is_missing_or_no_file_is_named() {
    let folder = PeftFolder::new(0.5).write();
    fs::remove_file(folder.path().join("adapter_config.json")).unwrap();
    assert_says(
        &refusal_of_folder(folder.path()),
        &["cannot open", "adapter_config.json"],
    );

    let folder = PeftFolder::new(0.5).write();
    fs::remove_file(folder.path().join("adapter_model.safetensors")).unwrap();
    fs::create_dir(folder.path().join("adapter_model.safetensors")).unwrap();
    assert_says(&refusal_of_folder(folder.path()), &["not a regular file"]);
}

#[test]
fn a_configuration_that_is_no_object_is_refused() {
    for content in ["", "[]", "null", "{\"r\": 4", "\u{feff}{}"] {
        let folder = PeftFolder::new(0.5).write();
        fs::write(folder.path().join("adapter_config.json"), content).unwrap();
        assert_says(
            &refusal_of_folder(folder.path()),
            &["adapter_config.json", "must be a JSON object"],
        );
    }
}
