//! Files that cannot be served are refused, with what is wrong with them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::semicolon_if_nothing_returned,
    reason = "tests"
)]

mod common;

use std::{fs, path::Path};

use common::{adapted, copy_of, engine, fixture, folder, load_error};
use quoin_engine::{
    BaseModel, Device, Engine, EngineError, EngineSettings, ModelSource, Quantization,
};
use serde_json::{Value, json};

/// Loads a copy of the base after damage, which must be refused with a text that holds `words`.
async fn refused(words: &[&str], damage: impl Fn(&Path)) {
    let copy = copy_of("base");
    damage(copy.path());
    let error = load_error(&folder(copy.path())).await.to_string();
    assert!(
        words.iter().all(|word| error.contains(word)),
        "{words:?}: {error}"
    );
    assert!(!error.contains('\n'), "{error}");
}

fn shorten(path: &Path, to: impl Fn(usize) -> usize) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..to(bytes.len())]).unwrap();
}

fn overwrite(path: &Path, at: usize, with: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at..at + with.len()].copy_from_slice(with);
    fs::write(path, bytes).unwrap();
}

fn change(path: &Path, change: impl Fn(&mut Value)) {
    let mut value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_weights_are_named() {
    let weights = "model.safetensors";
    refused(&[weights, "cut short"], |folder| {
        shorten(&folder.join(weights), |length| length - 1)
    })
    .await;
    refused(&[weights, "cut short"], |folder| {
        shorten(&folder.join(weights), |length| length / 2)
    })
    .await;
    refused(&[weights, "cut short"], |folder| {
        shorten(&folder.join(weights), |_| 100)
    })
    .await;
    refused(&[weights, "cut short"], |folder| {
        shorten(&folder.join(weights), |_| 3)
    })
    .await;
    refused(&[weights, "corrupt"], |folder| {
        overwrite(&folder.join(weights), 8, b"}}}}")
    })
    .await;
    refused(&[weights, "not safetensors"], |folder| {
        overwrite(&folder.join(weights), 0, &[0xff; 8])
    })
    .await;
    refused(&[weights, "missing"], |folder| {
        fs::remove_file(folder.join(weights)).unwrap()
    })
    .await;
    refused(&["not a number"], |folder| {
        let path = folder.join(weights);
        let length = fs::read(&path).unwrap().len();
        overwrite(&path, length / 2, &vec![0xff; length / 2]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_description_is_named() {
    refused(&["config.json", "not JSON"], |folder| {
        shorten(&folder.join("config.json"), |length| length / 2)
    })
    .await;
    refused(&["config.json"], |folder| {
        fs::remove_file(folder.join("config.json")).unwrap()
    })
    .await;
    refused(&["config.json", "not a JSON object"], |folder| {
        fs::write(folder.join("config.json"), "[]").unwrap()
    })
    .await;
    refused(&["hidden_size"], |folder| {
        change(&folder.join("config.json"), |config| {
            drop(config.as_object_mut().unwrap().remove("hidden_size"))
        })
    })
    .await;
    refused(&["NoSuchModel"], |folder| {
        change(&folder.join("config.json"), |config| {
            config["architectures"] = json!(["NoSuchModel"])
        })
    })
    .await;
    // Weights of another shape than the description says.
    refused(&["shape"], |folder| {
        change(&folder.join("config.json"), |config| {
            config["intermediate_size"] = json!(128)
        })
    })
    .await;
    refused(&["does not load"], |folder| {
        change(&folder.join("config.json"), |config| {
            config["num_hidden_layers"] = json!(3)
        })
    })
    .await;
    refused(&["tokenizer.json"], |folder| {
        shorten(&folder.join("tokenizer.json"), |length| length / 2)
    })
    .await;
    refused(&["tokenizer.json"], |folder| {
        fs::remove_file(folder.join("tokenizer.json")).unwrap()
    })
    .await;
    refused(&["template"], |folder| {
        fs::write(folder.join("chat_template.jinja"), "{% if %}").unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_missing_or_outside_is_named() {
    let index = |file: &'static str| {
        move |folder: &Path| {
            let text = json!({"weight_map": {"model.norm.weight": file}}).to_string();
            fs::write(folder.join("model.safetensors.index.json"), text).unwrap();
        }
    };
    refused(
        &["model-00001-of-00002.safetensors", "missing"],
        index("model-00001-of-00002.safetensors"),
    )
    .await;
    refused(&["outside of the folder"], index("../model.safetensors")).await;
    let nowhere = load_error(&folder("/no/such/folder")).await.to_string();
    assert!(nowhere.contains("no such folder"), "{nowhere}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_gguf_file_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let original = fs::read(fixture("base.gguf")).unwrap();
    let mut cases: Vec<(Vec<u8>, &str)> = Vec::new();
    for length in [0, 3, 20, 5_000, original.len() / 2] {
        cases.push((original[..length].to_vec(), "cut short"));
    }
    cases.push((
        [b"GGML", &original[4..]].concat(),
        "does not begin with `GGUF`",
    ));
    cases.push(([b"GGUF\x09\0\0\0", &original[8..]].concat(), "version 9"));
    cases.push((
        [&original[..16], &[0xff; 8], &original[24..]].concat(),
        "damaged",
    ));
    for (bytes, words) in cases {
        fs::write(file.path(), &bytes).unwrap();
        let source = ModelSource {
            base: BaseModel::Gguf(file.path().to_owned()),
            adapter: None,
        };
        let error = load_error(&source).await.to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

/// mistralrs panics where the file lacks what it needs; the thread that loads takes that for an error.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_the_loader_is_an_error() {
    let mut bytes = fs::read(fixture("base.gguf")).unwrap();
    let key = b"qwen3.block_count";
    let place = bytes
        .windows(key.len())
        .position(|window| window == key)
        .unwrap();
    bytes[place + key.len() - 1] = b'!';
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let source = ModelSource {
        base: BaseModel::Gguf(file.path().to_owned()),
        adapter: None,
    };
    let error = load_error(&source).await;
    assert!(
        matches!(&error, EngineError::Load { reason, .. } if reason.contains("broke off")),
        "{error}"
    );
}

/// Loads the base with a changed copy of an adapter, which must be refused with a text that holds `words`.
async fn adapter_refused(words: &str, change: impl Fn(&Path)) {
    let copy = copy_of("v1");
    change(copy.path());
    let error = load_error(&adapted(copy.path())).await;
    assert!(
        matches!(
            error,
            EngineError::Adapter { .. } | EngineError::ModelFile { .. } | EngineError::Io { .. }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains(words), "{words}: {error}");
}

/// mistralrs would load each of these and answer with something that nobody trained.
#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_the_engine_would_serve_wrongly_is_refused() {
    let settings = [
        ("use_dora", json!(true)),
        ("use_rslora", json!(true)),
        ("bias", json!("all")),
        ("rank_pattern", json!({"q_proj": 8})),
        ("alpha_pattern", json!({"q_proj": 8})),
        ("modules_to_save", json!(["lm_head"])),
        ("fan_in_fan_out", json!(true)),
        ("layers_to_transform", json!([0])),
        ("target_modules", json!("all-linear")),
        ("peft_type", json!("LOHA")),
        ("r", json!(0)),
        ("lora_alpha", json!("8")),
    ];
    for (key, value) in settings {
        adapter_refused(key, |folder| {
            change(&folder.join("adapter_config.json"), |config| {
                config[key] = value.clone()
            })
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_for_another_base_is_refused() {
    let config = |folder: &Path| folder.join("adapter_config.json");
    adapter_refused("the base needs [8, ", |folder| {
        change(&config(folder), |value| value["r"] = json!(8))
    })
    .await;
    adapter_refused("not in `target_modules`", |folder| {
        change(&config(folder), |value| {
            value["target_modules"] = json!(["q_proj"])
        })
    })
    .await;
    adapter_refused("has no adapter", |folder| {
        change(&config(folder), |value| {
            value["target_modules"] = json!(["q_proj", "v_proj", "o_proj", "up_proj"])
        });
    })
    .await;
    let other = ModelSource {
        base: BaseModel::Folder("bundled/pointer".into()),
        adapter: Some(fixture("v1")),
    };
    let error = load_error(&other).await.to_string();
    assert!(error.contains("made for another base"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_adapter_is_named() {
    adapter_refused("cut short", |folder| {
        shorten(&folder.join("adapter_model.safetensors"), |length| {
            length - 10
        })
    })
    .await;
    adapter_refused("adapter_model.safetensors", |folder| {
        fs::remove_file(folder.join("adapter_model.safetensors")).unwrap()
    })
    .await;
    adapter_refused("adapter_config.json", |folder| {
        fs::remove_file(folder.join("adapter_config.json")).unwrap()
    })
    .await;
    adapter_refused("not JSON", |folder| {
        fs::write(folder.join("adapter_config.json"), "{").unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gguf_file_cannot_take_is_refused() {
    let gguf = BaseModel::Gguf(fixture("base.gguf"));
    let error = load_error(&ModelSource {
        base: gguf.clone(),
        adapter: Some(fixture("v1")),
    })
    .await;
    assert!(
        matches!(&error, EngineError::Adapter { reason, .. } if reason.contains("GGUF")),
        "{error}"
    );
    let settings = EngineSettings {
        quantization: Some(Quantization::Q4K),
        ..common::settings()
    };
    let error = Engine::new(settings)
        .load(
            "gguf",
            &ModelSource {
                base: gguf,
                adapter: None,
            },
        )
        .await
        .err()
        .unwrap();
    assert!(
        matches!(
            &error,
            EngineError::Setting {
                key: "quantization",
                ..
            }
        ),
        "{error}"
    );
}

#[cfg(not(any(feature = "cuda", feature = "metal")))]
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_this_program_was_not_built_for_is_refused() {
    for (device, name) in [(Device::Cuda(0), "cuda"), (Device::Metal, "metal")] {
        let settings = EngineSettings {
            device,
            ..common::settings()
        };
        let error = Engine::new(settings)
            .load("model", &folder(fixture("base")))
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("without the feature") && error.contains(name),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_refusal_the_name_is_free() {
    let engine = engine();
    assert!(
        engine
            .load("model", &folder("/no/such/folder"))
            .await
            .is_err()
    );
    engine
        .load("model", &folder(fixture("base")))
        .await
        .unwrap();
}
