//! The tiny models of `tests/fixtures/neural`, against what transformers and sentence-transformers compute with them.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::*;
use crate::embed::{Embedder, NeuralEmbedder};

#[derive(Deserialize)]
struct Embedded {
    texts: Vec<String>,
    vectors: Vec<Vec<f32>>,
    first_text_tokens: Vec<Vec<f32>>,
    query: String,
    query_vector: Vec<f32>,
}

#[derive(Deserialize)]
struct Judged {
    query: String,
    texts: Vec<String>,
    ids: Vec<Vec<u32>>,
    logits: Vec<f32>,
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/neural");
    fixtures.join(name)
}

fn reference<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let json = std::fs::read(fixture(name).join("reference.json")).unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// A copy that a test may damage.
fn copy(name: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in walkdir::WalkDir::new(fixture(name)) {
        let entry = entry.unwrap();
        let to = copy
            .path()
            .join(entry.path().strip_prefix(fixture(name)).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(to).unwrap();
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
    copy
}

fn close(got: &[f32], want: &[f32], context: &str) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() < 2e-5, "{context}: {got} {want}");
    }
}

#[test]
fn vectors_equal_those_of_sentence_transformers() {
    let embedder = NeuralEmbedder::open(&fixture("embedder")).unwrap();
    let reference: Embedded = reference("embedder");
    let tokens: Vec<Vec<u32>> = reference
        .texts
        .iter()
        .map(|text| crate::embed::ids(&embedder.tokenize(text)))
        .collect();
    let together = embedder.embed_passages(&tokens).unwrap();
    for ((got, want), text) in together
        .iter()
        .zip(&reference.vectors)
        .zip(&reference.texts)
    {
        close(got, want, text);
    }
    for (alone, together) in tokens.iter().zip(&together) {
        let alone = embedder
            .embed_passages(std::slice::from_ref(alone))
            .unwrap();
        close(&alone[0], together, "a vector does not depend on its batch");
    }
    let query = embedder.embed_query(&reference.query).unwrap();
    close(
        &query,
        &reference.query_vector,
        "with the prompt for queries",
    );
    let model = Model::open(&fixture("embedder")).unwrap();
    let outputs = model.passages(&tokens[..1]);
    close(
        &outputs[0].tokens,
        &reference.first_text_tokens.concat(),
        "of tokens",
    );
}

#[test]
fn pairs_are_judged_as_transformers_judges_them() {
    for name in ["cross-encoder", "xlm-cross-encoder"] {
        let model = Model::open_classifier(&fixture(name)).unwrap();
        let reference: Judged = reference(name);
        let ids = |text: &str| crate::embed::ids(&model.tokenize(text));
        for (text, want) in reference.texts.iter().zip(&reference.ids) {
            let pair = model.pair(&ids(&reference.query), &ids(text));
            assert_eq!(&pair.ids, want, "{name}: {text}");
        }
        let texts: Vec<&str> = reference.texts.iter().map(String::as_str).collect();
        let got = model.judge(&reference.query, &texts);
        close(&got, &reference.logits, name);
    }
}

#[test]
fn what_looks_like_a_special_token_is_text() {
    for (name, text) in [
        ("cross-encoder", "a [SEP] b [CLS]"),
        ("xlm-cross-encoder", "a </s> b <s> <pad>"),
    ] {
        let model = Model::open_classifier(&fixture(name)).unwrap();
        let tokens = model.tokenize(text);
        let special = [model.tokenizer.first, model.tokenizer.last];
        assert!(!tokens.is_empty());
        assert!(
            tokens.iter().all(|token| !special.contains(&token.id)),
            "{name}"
        );
    }
}

#[test]
fn tokens_of_a_long_text_are_those_of_its_parts() {
    let model = Model::open_classifier(&fixture("xlm-cross-encoder")).unwrap();
    let text = "how do i reset the pump ".repeat(8000);
    let tokens = model.tokenize(&text);
    let once = model.tokenize("how do i reset the pump").len();
    assert!(tokens.is_sorted_by_key(|token| token.start));
    // White space at the end of a piece is a token of its own at most.
    let want = 8000 * once;
    assert!(
        (want..want + 10).contains(&tokens.len()),
        "{}",
        tokens.len()
    );
    let last = &tokens[tokens.len() - 1];
    assert!(text[last.start as usize..].len() < 10);
}

#[test]
fn a_passage_of_any_length_is_cut_to_what_the_model_reads() {
    let model = Model::open(&fixture("embedder")).unwrap();
    let most = model.passage_tokens();
    let outputs = model.passages(&[vec![7; most], vec![7; most + 500], Vec::new()]);
    assert_eq!(outputs[0].tokens.len(), most * model.width());
    assert_eq!(outputs[0].pooled, outputs[1].pooled);
    assert!(outputs[2].tokens.is_empty());
}

#[test]
fn token_vectors_keep_the_similarities_of_tokens() {
    let embedder = NeuralEmbedder::open(&fixture("embedder")).unwrap();
    let tokens = crate::embed::ids(&embedder.tokenize("the pump resets itself after a fault"));
    let passage = embedder
        .embed_passages_and_tokens(std::slice::from_ref(&tokens))
        .unwrap();
    let dimensions = embedder.token_dimensions();
    assert_eq!(passage[0].tokens.len() * 2, tokens.len() * dimensions);
    assert_eq!(
        passage[0].vector,
        embedder.embed_passages(&[tokens]).unwrap()[0]
    );
    // 32 of 32 components are kept: only 4 bits lose something.
    let reference: Embedded = reference("embedder");
    let cosine = |a: &[f32], b: &[f32]| -> f32 {
        let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
        let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
        dot / norm(a) / norm(b)
    };
    let mut values = Vec::new();
    unpack_nibbles(&passage[0].tokens, &mut values);
    let rows: Vec<&[f32]> = values.chunks(dimensions).collect();
    for (a, left) in rows.iter().zip(&reference.first_text_tokens) {
        for (b, right) in rows.iter().zip(&reference.first_text_tokens) {
            assert!((cosine(a, b) - cosine(left, right)).abs() < 0.06);
        }
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_refused_by_what_is_wrong() {
    let shape = r#"{"model_type":"bert","vocab_size":9,"hidden_size":32,"num_hidden_layers":2,"num_attention_heads":4,
        "intermediate_size":64,"hidden_act":"gelu","max_position_embeddings":40}"#;
    let weights = std::fs::read(fixture("embedder").join("model.safetensors")).unwrap();
    let mut not_a_number = weights.clone();
    let end = not_a_number.len();
    not_a_number[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let cases: [(&str, Option<&[u8]>, &str); 12] = [
        ("config.json", None, "config.json"),
        ("config.json", Some(b"{"), "config.json"),
        ("config.json", Some(shape.as_bytes()), "vocab_size"),
        ("tokenizer.json", None, "tokenizer.json"),
        ("tokenizer.json", Some(b"[]"), "tokenizer.json"),
        ("model.safetensors", None, "model.safetensors"),
        (
            "model.safetensors",
            Some(&weights[..weights.len() / 2]),
            "model.safetensors",
        ),
        ("model.safetensors", Some(&not_a_number), "not finite"),
        (
            "modules.json",
            Some(br#"[{"path":"../..","type":"x.Transformer"}]"#),
            "no folder in it",
        ),
        (
            "modules.json",
            Some(br#"[{"path":"2_Dense","type":"x.Dense"}]"#),
            "Dense",
        ),
        (
            "1_Pooling/config.json",
            Some(br#"{"pooling_mode_max_tokens":true}"#),
            "max_tokens",
        ),
        (
            "sentence_bert_config.json",
            Some(br#"{"max_seq_length":3}"#),
            "3 tokens",
        ),
    ];
    for (file, content, word) in cases {
        let folder = copy("embedder");
        match content {
            Some(content) => std::fs::write(folder.path().join(file), content).unwrap(),
            None => std::fs::remove_file(folder.path().join(file)).unwrap(),
        }
        let error = NeuralEmbedder::open(folder.path())
            .err()
            .unwrap()
            .to_string();
        let name = folder.path().display().to_string();
        assert!(
            error.contains(word) && error.contains(&name),
            "{file}: {error}"
        );
    }
    let gone = NeuralEmbedder::open(Path::new("/no/such/folder"))
        .err()
        .unwrap();
    assert!(gone.to_string().contains("there is no such folder"));
    assert!(
        Model::open_classifier(&fixture("embedder")).is_err(),
        "it has no head"
    );
}

#[test]
fn whatever_decides_vectors_shows_in_the_fingerprint() {
    let of = |folder: &Path| {
        NeuralEmbedder::open(folder)
            .unwrap()
            .fingerprint()
            .to_owned()
    };
    let before = of(&fixture("embedder"));
    assert_eq!(
        of(copy("embedder").path()),
        before,
        "its place does not matter"
    );
    for (file, content) in [
        (
            "config_sentence_transformers.json",
            r#"{"prompts":{"query":"pump: "}}"#,
        ),
        ("sentence_bert_config.json", r#"{"max_seq_length":31}"#),
        (
            "1_Pooling/config.json",
            r#"{"pooling_mode_cls_token":true}"#,
        ),
    ] {
        let folder = copy("embedder");
        std::fs::write(folder.path().join(file), content).unwrap();
        assert_ne!(of(folder.path()), before, "{file}");
    }
    let folder = copy("embedder");
    let weights = folder.path().join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    assert_ne!(of(folder.path()), before, "weights");
}

#[test]
fn models_of_known_families_have_their_prompts_and_pooling() {
    for (name, prompts, pooling) in [
        ("e5-small-v2", ["query: ", "passage: "], Pooling::Mean),
        (
            "bge-small-en-v1.5",
            [
                "Represent this sentence for searching relevant passages: ",
                "",
            ],
            Pooling::First,
        ),
        ("gte-small", ["", ""], Pooling::Mean),
    ] {
        let parent = tempfile::tempdir().unwrap();
        let to = parent.path().join(name);
        std::fs::rename(copy("embedder").keep(), &to).unwrap();
        for file in ["modules.json", "config_sentence_transformers.json"] {
            std::fs::remove_file(to.join(file)).unwrap();
        }
        std::fs::remove_dir_all(to.join("1_Pooling")).unwrap();
        let folder = Folder::read(&to).unwrap();
        assert_eq!([&*folder.prompts.query, &*folder.prompts.passage], prompts);
        assert_eq!(folder.pooling, pooling);
    }
}

#[derive(Deserialize)]
struct Bundled {
    texts: Vec<BundledText>,
}

#[derive(Deserialize)]
struct BundledText {
    text: String,
    vector: Vec<f32>,
}

/// The reference is in floats; here activations are rounded to 8 bits.
#[test]
fn the_encoder_in_the_binary_is_near_what_it_is_in_floats() {
    let json = include_bytes!("../../bundled/encoder/reference.json");
    let reference: Bundled = serde_json::from_slice(json).unwrap();
    assert!(reference.texts.len() > 10);
    let embedder = NeuralEmbedder::bundled().unwrap();
    for BundledText { text, vector } in reference.texts {
        let got = embedder.embed_query(&text).unwrap();
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let got = &got[..vector.len()];
        let cosine = dot(got, &vector) / (dot(got, got) * dot(&vector, &vector)).sqrt();
        assert!(cosine > 0.99, "{text}: {cosine}");
    }
}
