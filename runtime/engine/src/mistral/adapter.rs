//! LoRA adapters: what mistralrs 0.8.1 would serve wrongly is refused, the rest is handed to its loader.
//!
//! Of `adapter_config.json` mistralrs reads `r`, `lora_alpha` and `target_modules` (as a list) and ignores the rest; it
//! merges `B·A·alpha/r` into the base's weights while loading.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use mistralrs::core::{AdapterPaths, LoraAdapterPaths};
use serde_json::Value;

use super::folder::{Tensors, read_tensors};
use crate::EngineError;

pub(super) struct Adapter {
    folder: PathBuf,
    config_text: String,
    rank: usize,
    targets: Vec<String>,
}

impl Adapter {
    /// Reads an adapter and compares it with the base's tensors.
    pub fn open(folder: &Path, base: &Tensors) -> Result<Self, EngineError> {
        let config_path = folder.join("adapter_config.json");
        let config_text =
            fs::read_to_string(&config_path).map_err(EngineError::io(&config_path))?;
        let config: Value = serde_json::from_str(&config_text)
            .map_err(|error| EngineError::adapter(&config_path, format!("not JSON: {error}")))?;
        let refused = |reason: String| EngineError::adapter(folder, reason);
        unsupported(&config).map_or(Ok(()), |reason| Err(refused(reason)))?;
        let rank = config
            .get("r")
            .and_then(Value::as_u64)
            .and_then(|rank| usize::try_from(rank).ok())
            .filter(|rank| *rank > 0);
        let rank = rank.ok_or_else(|| refused("`r` is not a positive number".into()))?;
        if config.get("lora_alpha").and_then(Value::as_f64).is_none() {
            return Err(refused("`lora_alpha` is not a number".into()));
        }
        let adapter = Self {
            folder: folder.to_owned(),
            config_text,
            rank,
            targets: targets(&config),
        };
        let tensors = read_tensors(&adapter.weights())?;
        adapter.fits(&tensors, base).map_err(refused)?;
        Ok(adapter)
    }

    pub fn identity_files(&self) -> Vec<PathBuf> {
        vec![self.folder.join("adapter_config.json"), self.weights()]
    }

    /// Given to the loader as paths: it looks for adapter *ids* in the hub's cache and on the network only.
    pub fn paths(&self) -> Result<AdapterPaths, EngineError> {
        let lora_config = serde_json::from_str(&self.config_text)
            .map_err(|error| EngineError::adapter(&self.folder, error))?;
        Ok(AdapterPaths::Lora(vec![LoraAdapterPaths {
            lora_config,
            adapter_path: self.weights(),
        }]))
    }

    fn weights(&self) -> PathBuf {
        self.folder.join("adapter_model.safetensors")
    }

    /// Every tensor belongs to a module of the base and is one that the loader will merge; none is missing.
    fn fits(&self, tensors: &Tensors, base: &Tensors) -> Result<(), String> {
        let mut modules: BTreeMap<&str, BTreeSet<char>> = BTreeMap::new();
        for (name, info) in tensors {
            let (module, half) = lora_half(name)
                .ok_or_else(|| format!("tensor `{name}` is not one of a LoRA on linear layers"))?;
            let weight = base.get(&format!("{module}.weight")).ok_or_else(|| {
                format!("the base has no module `{module}`: made for another base")
            })?;
            let [outputs, inputs] = weight.shape[..] else {
                return Err(format!("`{module}` is not a linear layer in the base"));
            };
            let expected = if half == 'A' {
                [self.rank, inputs]
            } else {
                [outputs, self.rank]
            };
            if info.shape != expected {
                return Err(format!(
                    "tensor `{name}` has the shape {:?}, the base needs {expected:?}: made for another base",
                    info.shape
                ));
            }
            if !self.is_target(module) {
                return Err(format!(
                    "`{module}` has an adapter but is not in `target_modules`"
                ));
            }
            modules.entry(module).or_default().insert(half);
        }
        let linear = base
            .iter()
            .filter(|(_, info)| info.shape.len() == 2)
            .filter_map(|(name, _)| name.strip_suffix(".weight"));
        let expected = linear.filter(|module| self.is_target(module) && !is_embedding(module));
        match expected
            .into_iter()
            .find(|module| modules.get(module).is_none_or(|halves| halves.len() != 2))
        {
            Some(missing) => Err(format!(
                "`{missing}` is in `target_modules` but has no adapter, or half of one"
            )),
            None if modules.is_empty() => Err("it holds no LoRA tensors".into()),
            None => Ok(()),
        }
    }

    fn is_target(&self, module: &str) -> bool {
        self.targets.iter().any(|target| {
            module == target
                || module
                    .strip_suffix(target.as_str())
                    .is_some_and(|head| head.ends_with('.'))
        })
    }
}

/// The first thing in the configuration that the loader would ignore.
fn unsupported(config: &Value) -> Option<String> {
    let set = |key: &str| config.get(key).is_some_and(|value| !is_empty(value));
    if config.get("peft_type").is_some_and(|kind| kind != "LORA") {
        return Some(format!(
            "`peft_type` is {}, only \"LORA\" is supported",
            config["peft_type"]
        ));
    }
    if !config.get("target_modules").is_some_and(|modules| {
        modules
            .as_array()
            .is_some_and(|list| list.iter().all(Value::is_string))
    }) {
        return Some("`target_modules` is not a list of names".into());
    }
    if config
        .get("bias")
        .is_some_and(|bias| bias != "none" && !bias.is_null())
    {
        return Some(format!(
            "`bias` is {}, only \"none\" is supported",
            config["bias"]
        ));
    }
    let ignored = [
        "use_dora",
        "use_rslora",
        "rank_pattern",
        "alpha_pattern",
        "modules_to_save",
        "fan_in_fan_out",
        "layers_to_transform",
        "layers_pattern",
        "layer_replication",
        "lora_bias",
        "trainable_token_indices",
        "target_parameters",
        "megatron_config",
        "use_qalora",
        "use_bdlora",
        "exclude_modules",
        "alora_invocation_tokens",
        "arrow_config",
    ];
    ignored
        .into_iter()
        .find(|key| set(key))
        .map(|key| format!("`{key}` is set: the engine would ignore it and answer wrongly"))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn targets(config: &Value) -> Vec<String> {
    let list = config
        .get("target_modules")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    list.filter_map(Value::as_str)
        .map(ToOwned::to_owned)
        .collect()
}

/// `base_model.model.<module>.lora_A.weight` → the module and which half.
fn lora_half(name: &str) -> Option<(&str, char)> {
    let name = name.strip_prefix("base_model.model.").unwrap_or(name);
    let half = |suffix, letter| name.strip_suffix(suffix).map(|module| (module, letter));
    half(".lora_A.weight", 'A').or_else(|| half(".lora_B.weight", 'B'))
}

fn is_embedding(module: &str) -> bool {
    module.ends_with("embed_tokens")
}
