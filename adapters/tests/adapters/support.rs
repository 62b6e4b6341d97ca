//! A base of two small layers and PEFT folders for it, to be changed in one place by each test; adding them, and refusals.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use ed25519_dalek::{Signer as _, SigningKey};
use quoin_adapters::{
    AdapterId, AdapterName, AdapterVersion, BaseIdentity, PublicKey, Registry, Trust,
    signed_message,
};
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const LAYERS: usize = 2;
pub const RANK: usize = 4;

pub fn base() -> BaseIdentity {
    BaseIdentity {
        id: "tiny".to_owned(),
        digest: BaseIdentity::digest_of_text("tiny"),
        layers: LAYERS,
        modules: BTreeMap::from([
            ("self_attn.q_proj".to_owned(), (8, 16)),
            ("self_attn.v_proj".to_owned(), (8, 6)),
            ("mlp.down_proj".to_owned(), (12, 8)),
        ]),
    }
}

pub fn name(text: &str) -> AdapterName {
    text.parse().unwrap()
}

pub fn id(text: &str) -> AdapterId {
    text.parse().unwrap()
}

/// Adds what a seed gives, as the next version of `support`.
pub fn added(registry: &Registry, seed: f32) -> AdapterVersion {
    registry
        .add(
            PeftFolder::new(seed).write().path(),
            &name("support"),
            &base(),
        )
        .unwrap()
        .version
}

/// The id of what [`added`] adds.
pub fn add(registry: &Registry, seed: f32) -> AdapterId {
    added(registry, seed).id()
}

/// What a recipe says of an adapter that it tuned on two rows.
pub const LINEAGE: &str = r#"{
  "format": 1,
  "base": "tiny",
  "training_data": {
    "digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "row_ids": ["q1", "q2"]
  },
  "recipe": {"script": "train_adapter.py", "seed": 7, "hyperparameters": {"rate": 0.001}},
  "licence_notes": ["data: CC0"]
}
"#;

/// The public half of the key with this seed.
pub fn key(seed: u8) -> PublicKey {
    let secret = SigningKey::from_bytes(&[seed; 32]);
    let key = format!("ed25519:{}", hex(secret.verifying_key().as_bytes()));
    key.parse().unwrap()
}

pub fn trusting(seeds: &[u8], require_signature: bool) -> Trust {
    let keys: Vec<_> = seeds.iter().map(|seed| key(*seed).to_string()).collect();
    Trust::parse(&keys, require_signature).unwrap()
}

/// Signs a folder for [`base`] with the key with this seed.
pub fn sign(folder: &Path, seed: u8) {
    let message = signed_message(folder, &base()).unwrap();
    let signature = SigningKey::from_bytes(&[seed; 32]).sign(message.as_bytes());
    let text = format!("{}\n", hex(&signature.to_bytes()));
    fs::write(folder.join("quoin.sig"), text).unwrap();
}

pub fn signed_folder(weights: f32, seed: u8) -> TempDir {
    let folder = PeftFolder::new(weights).write();
    sign(folder.path(), seed);
    folder
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

/// Why a folder is not added; nothing of it is left.
pub fn refusal_of_folder(source: &Path) -> String {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let error = registry
        .add(source, &name("support"), &base())
        .expect_err("it was added");
    assert!(
        registry.list().unwrap().versions.is_empty(),
        "a refused adapter became a version"
    );
    assert_eq!(
        fs::read_dir(data.path().join(".incoming")).unwrap().count(),
        0,
        "a refused copy was left"
    );
    error.to_string()
}

pub fn refusal(folder: &PeftFolder) -> String {
    refusal_of_folder(folder.write().path())
}

#[track_caller]
pub fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{text}` does not say `{part}`");
    }
}

pub struct Tensor {
    pub shape: Vec<usize>,
    pub dtype: Dtype,
    pub bytes: Vec<u8>,
}

impl Tensor {
    pub fn f32(shape: &[usize], value: f32) -> Self {
        let count = shape.iter().product();
        let bytes = std::iter::repeat_n(value.to_le_bytes(), count)
            .flatten()
            .collect();
        Self {
            shape: shape.to_vec(),
            dtype: Dtype::F32,
            bytes,
        }
    }
}

/// What PEFT 0.21 writes for a LoRA of two modules, before a test changes it.
pub struct PeftFolder {
    pub config: Value,
    pub tensors: BTreeMap<String, Tensor>,
    pub others: Vec<(&'static str, &'static str)>,
}

impl PeftFolder {
    pub fn new(seed: f32) -> Self {
        let mut tensors = BTreeMap::new();
        for layer in 0..LAYERS {
            for (module, inputs, outputs) in
                [("self_attn.q_proj", 8, 16), ("self_attn.v_proj", 8, 6)]
            {
                let path = format!("base_model.model.model.layers.{layer}.{module}");
                tensors.insert(
                    format!("{path}.lora_A.weight"),
                    Tensor::f32(&[RANK, inputs], seed),
                );
                tensors.insert(
                    format!("{path}.lora_B.weight"),
                    Tensor::f32(&[outputs, RANK], -seed),
                );
            }
        }
        let config = json!({
            "task_type": "CAUSAL_LM", "peft_type": "LORA", "auto_mapping": null, "peft_version": "0.21.2",
            "base_model_name_or_path": "tiny", "revision": null, "inference_mode": true, "r": RANK,
            "target_modules": ["v_proj", "q_proj"], "exclude_modules": null, "lora_alpha": 8, "lora_dropout": 0.05,
            "fan_in_fan_out": false, "bias": "none", "use_rslora": false, "modules_to_save": null,
            "init_lora_weights": true, "layers_to_transform": null, "layers_pattern": null, "rank_pattern": {},
            "alpha_pattern": {}, "megatron_config": null, "megatron_core": "megatron.core",
            "trainable_token_indices": null, "loftq_config": {}, "eva_config": null, "corda_config": null,
            "lora_ga_config": null, "use_dora": false, "velora_config": null, "alora_invocation_tokens": null,
            "use_qalora": false, "qalora_group_size": 16, "monteclora_config": null, "layer_replication": null,
            "lora_bias": false, "target_parameters": null, "use_bdlora": null, "arrow_config": null,
            "kasa_config": null, "ensure_weight_tying": false,
        });
        Self {
            config,
            tensors,
            others: Vec::new(),
        }
    }

    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.config[field] = value;
        self
    }

    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors
            .get_mut(&format!("base_model.model.model.layers.{name}.weight"))
            .unwrap()
    }

    pub fn weights(&self) -> Vec<u8> {
        let views = self.tensors.iter().map(|(name, tensor)| {
            (
                name,
                TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).unwrap(),
            )
        });
        serialize(views, None).unwrap()
    }

    pub fn write(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        self.write_into(folder.path());
        folder
    }

    pub fn write_into(&self, folder: &Path) {
        fs::write(folder.join("adapter_config.json"), self.config.to_string()).unwrap();
        fs::write(folder.join("adapter_model.safetensors"), self.weights()).unwrap();
        for (name, content) in &self.others {
            fs::write(folder.join(name), content).unwrap();
        }
    }
}
