//! Weights that do not fit, hold no numbers or lie about themselves are refused, in bounded memory and without a panic.

use std::fs;

use crate::support::{PeftFolder, Tensor, assert_says, base, name, refusal, refusal_of_folder};
use quoin_adapters::Registry;
use safetensors::Dtype;
use serde_json::json;

#[test]
fn shapes_must_agree_with_the_rank_and_the_base() {
    let text = refusal(&PeftFolder::new(0.5).with("r", json!(8)));
    assert_says(
        &text,
        &["lora_A.weight`", "of shape [4, 8]", "must be [8, 8]"],
    );

    let mut folder = PeftFolder::new(0.5);
    *folder.tensor("1.self_attn.v_proj.lora_B") = Tensor::f32(&[7, 4], 0.1);
    assert_says(
        &refusal(&folder),
        &[
            "layers.1.self_attn.v_proj.lora_B.weight",
            "[7, 4]",
            "must be [6, 4]",
        ],
    );

    let mut folder = PeftFolder::new(0.5);
    *folder.tensor("0.self_attn.q_proj.lora_A") = Tensor {
        shape: vec![4, 8],
        dtype: Dtype::I8,
        bytes: vec![0; 32],
    };
    assert_says(
        &refusal(&folder),
        &["of type I8", "must be F32, F16 or BF16"],
    );
}

#[test]
fn every_module_of_every_layer_has_its_pair_and_nothing_else_is_there() {
    let mut folder = PeftFolder::new(0.5);
    folder
        .tensors
        .remove("base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight");
    assert_says(
        &refusal(&folder),
        &["layers.1.self_attn.q_proj.lora_B.weight", "missing"],
    );

    for stranger in [
        "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector",
        "base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight",
        "base_model.model.model.embed_tokens.lora_embedding_A",
        "base_model.model.lm_head.weight",
        "model.layers.0.self_attn.q_proj.lora_A.weight",
    ] {
        let mut folder = PeftFolder::new(0.5);
        folder
            .tensors
            .insert(stranger.to_owned(), Tensor::f32(&[4, 8], 0.5));
        assert_says(&refusal(&folder), &["not one that is served"]);
    }
}

#[test]
fn a_value_that_is_no_finite_number_is_found_in_each_type() {
    let bits: [(Dtype, &[u8]); 6] = [
        (Dtype::F32, &[0, 0, 0xc0, 0x7f]),
        (Dtype::F32, &[0, 0, 0x80, 0xff]),
        (Dtype::BF16, &[0xc0, 0x7f]),
        (Dtype::BF16, &[0x80, 0xff]),
        (Dtype::F16, &[0x01, 0x7c]),
        (Dtype::F16, &[0x00, 0xfc]),
    ];
    for (dtype, value) in bits {
        let mut folder = PeftFolder::new(0.5);
        let mut bytes = vec![0; 32 * value.len()];
        bytes[31 * value.len()..].copy_from_slice(value);
        *folder.tensor("1.self_attn.q_proj.lora_A") = Tensor {
            shape: vec![4, 8],
            dtype,
            bytes,
        };
        assert_says(
            &refusal(&folder),
            &[
                "layers.1.self_attn.q_proj.lora_A.weight`, value 31",
                "NaN or infinite",
            ],
        );
    }
}

#[test]
fn the_largest_finite_values_are_no_infinity() {
    let mut folder = PeftFolder::new(0.5);
    *folder.tensor("0.self_attn.q_proj.lora_A") = Tensor::f32(&[4, 8], f32::MAX);
    let mut bytes = Vec::new();
    for _ in 0..32 {
        bytes.extend([0xff, 0x7b]);
    }
    *folder.tensor("1.self_attn.q_proj.lora_A") = Tensor {
        shape: vec![4, 8],
        dtype: Dtype::F16,
        bytes,
    };
    let data = tempfile::tempdir().unwrap();
    Registry::open(data.path())
        .unwrap()
        .add(folder.write().path(), &name("support"), &base())
        .unwrap();
}

/// Each way to lie in a header: the file is refused, in bounded memory, without a panic.
#[test]
fn a_header_that_lies_is_refused() {
    let good = PeftFolder::new(0.5).weights();
    let header = |length: u64, json: &str, data: usize| {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(json.as_bytes());
        bytes.extend(vec![0; data]);
        bytes
    };
    let tensor = |shape: &str, offsets: &str| {
        let json = format!(r#"{{"t":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#);
        header(json.len() as u64, &json, 16)
    };
    let mut longer = good.clone();
    longer.push(0);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("seven bytes", vec![0; 7]),
        ("a header longer than the file", header(1 << 40, "{}", 0)),
        ("a header of the largest length", header(u64::MAX, "{}", 0)),
        ("no JSON", header(4, "abcd", 0)),
        (
            "not UTF-8",
            [&2_u64.to_le_bytes()[..], &[0xff, 0xff]].concat(),
        ),
        (
            "a pickle in the wrong place",
            b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00".to_vec(),
        ),
        ("the last byte cut off", good[..good.len() - 1].to_vec()),
        ("a byte too many", longer),
        ("offsets beyond the file", tensor("[8]", "[0,32]")),
        ("offsets that run backwards", tensor("[4]", "[16,0]")),
        ("offsets that leave a hole", tensor("[2]", "[8,16]")),
        ("a shape larger than its data", tensor("[400]", "[0,16]")),
        (
            "a shape that overflows",
            tensor("[4294967296,4294967296,4294967296]", "[0,16]"),
        ),
        ("a negative size", tensor("[-4]", "[0,16]")),
        ("no tensors", header(2, "{}", 0)),
    ];
    for (what, bytes) in cases {
        let folder = PeftFolder::new(0.5).write();
        fs::write(folder.path().join("adapter_model.safetensors"), bytes).unwrap();
        let text = refusal_of_folder(folder.path());
        assert!(
            text.starts_with("adapter_model.safetensors: "),
            "{what}: {text}"
        );
    }
}

#[test]
fn a_huge_header_is_refused_by_its_size_before_it_is_read() {
    let folder = PeftFolder::new(0.5).write();
    let path = folder.path().join("adapter_model.safetensors");
    let file = fs::File::create(&path).unwrap();
    file.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &(32_u64 << 20).to_le_bytes(), 0).unwrap();
    assert_says(
        &refusal_of_folder(folder.path()),
        &["its header is 33554432 bytes", "must be at most 8388608"],
    );
}

#[test]
fn a_weights_file_over_the_limit_is_refused_before_it_is_copied() {
    let folder = PeftFolder::new(0.5).write();
    let file = fs::File::create(folder.path().join("adapter_model.safetensors")).unwrap();
    file.set_len(quoin_adapters::WEIGHTS_BYTES_MAX + 1).unwrap();
    assert_says(
        &refusal_of_folder(folder.path()),
        &["its size is 8589934593 bytes", "must be at most 8589934592"],
    );
}

/// Every third byte of the header changed in turn: refused or harmless, never a panic, and never a shape that is not the base's.
#[test]
fn no_damage_to_a_header_gets_past_or_panics() {
    let good = PeftFolder::new(0.5).weights();
    let length = usize::from(u16::from_le_bytes([good[0], good[1]])) + 8;
    let folder = PeftFolder::new(0.5).write();
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let mut refused = 0;
    let positions: Vec<usize> = (0..length).step_by(3).collect();
    for &position in &positions {
        let mut bytes = good.clone();
        bytes[position] ^= 1 << (position % 8);
        fs::write(folder.path().join("adapter_model.safetensors"), bytes).unwrap();
        refused += usize::from(
            registry
                .add(folder.path(), &name("support"), &base())
                .is_err(),
        );
    }
    // Some bytes are white space that pads the header, and some swap two tensors of one shape: those change no meaning.
    assert!(
        refused * 100 > positions.len() * 95,
        "{refused} of {} were refused",
        positions.len()
    );
}
