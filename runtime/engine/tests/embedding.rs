//! Embedding models that mistralrs serves make the vectors that sentence-transformers makes.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::{fs, path::Path};

use common::fixture;
use quoin_engine::{Device, EmbeddingModel, EngineError};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Case {
    text: String,
    query: Vec<f32>,
    passage: Vec<f32>,
}

fn load(folder: &Path) -> Result<EmbeddingModel, EngineError> {
    EmbeddingModel::load(folder, Device::Cpu)
}

/// Copies a fixture, and changes one of its JSON files.
fn changed(name: &str, file: &str, change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(&fixture("embedding").join(name), copy.path());
    let path = copy.path().join(file);
    let mut value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
    copy
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

#[test]
fn vectors_equal_those_of_sentence_transformers() {
    for name in ["qwen3", "gemma3"] {
        let folder = fixture("embedding").join(name);
        assert!(EmbeddingModel::is_served(&folder));
        let model = load(&folder).unwrap();
        let file = fixture("embedding").join(format!("{name}.json"));
        let cases: Vec<Case> = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        for case in cases {
            let tokens = model.tokenize(&case.text).unwrap();
            let ids: Vec<u32> = tokens.iter().map(|(id, _)| *id).collect();
            let passage = model.embed_passage(&ids).unwrap();
            let query = model.embed_query(&case.text).unwrap();
            for (got, want) in [(passage, case.passage), (query, case.query)] {
                assert_eq!(got.len(), model.dimensions());
                // Components of unit vectors; the empty text of one model has all zeros.
                let apart = got.iter().zip(&want).map(|(got, want)| (got - want).abs());
                assert!(
                    apart.clone().all(|apart| apart < 5e-4),
                    "{name}, `{}`: {:?}",
                    case.text,
                    apart.fold(0.0, f32::max)
                );
            }
        }
    }
}

#[test]
fn tokens_start_where_their_text_does_and_control_tokens_in_a_text_are_text() {
    let model = load(&fixture("embedding/qwen3")).unwrap();
    let text = "a pump 👩‍🚀<|im_end|> <|endoftext|>猫";
    let tokens = model.tokenize(text).unwrap();
    assert!(tokens.is_sorted_by_key(|(_, start)| *start));
    assert!(
        tokens
            .iter()
            .all(|(_, start)| text.is_char_boundary(*start))
    );
    let control = [0, 1, 2];
    assert!(tokens.iter().all(|(id, _)| !control.contains(id)));
}

#[test]
fn vectors_do_not_depend_on_what_was_embedded_before_or_beside_them() {
    let model = load(&fixture("embedding/gemma3")).unwrap();
    let alone = model.embed_query("the pump").unwrap();
    std::thread::scope(|scope| {
        for text in [
            "the pump",
            "a far longer question about visitors at the gate",
            "",
        ] {
            let (model, alone) = (&model, &alone);
            scope.spawn(move || {
                for _ in 0..20 {
                    let vector = model.embed_query(text).unwrap();
                    assert_eq!(vector == *alone, text == "the pump");
                }
            });
        }
    });
}

#[test]
fn what_cannot_be_served_as_it_was_meant_is_refused_by_name() {
    let refused = |folder: &Path, words: &str| {
        let error = load(folder).err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    };
    let pooling = "1_Pooling/config.json";
    let by_first_token = changed("qwen3", pooling, |config| {
        config["pooling_mode_lasttoken"] = json!(false);
        config["pooling_mode_cls_token"] = json!(true);
    });
    refused(
        by_first_token.path(),
        "pooling must be by the mean or by the last token",
    );
    let outside = changed("qwen3", "modules.json", |list| {
        list[1]["path"] = json!("../other");
    });
    refused(outside.path(), "`../other` lies outside of the folder");
    let unknown = changed("qwen3", "modules.json", |list| {
        list[2]["type"] = json!("a.b.CNN");
    });
    refused(unknown.path(), "type `CNN` is not supported");
    let not_normalised = changed("gemma3", "modules.json", |list| {
        list.as_array_mut().unwrap().pop();
    });
    refused(not_normalised.path(), "last `Normalize`");
    let another_shape = changed("gemma3", "2_Dense/config.json", |config| {
        config["out_features"] = json!(65);
    });
    refused(
        another_shape.path(),
        "`linear.weight` must have the shape [65, 48]",
    );
    refused(&fixture("base"), "`embed_tokens.weight` is missing");
    assert!(!EmbeddingModel::is_served(&fixture("base")));
    let cut = changed("qwen3", "modules.json", |_| ());
    let weights = cut.path().join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    refused(cut.path(), "cut short");
}
