//! `adapter_config.json`: every field is known to be right, known not to matter, or refused.

use serde_json::{Map, Value};

use super::{CONFIG, Lora, RANK_MAX};
use crate::base::BaseIdentity;
use crate::error::AdapterError;

/// Must be absent, null, false or empty, because the engine does not do it.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("use_dora", "DoRA's magnitudes would be ignored"),
    (
        "use_rslora",
        "the scale would be lora_alpha / r instead of lora_alpha / √r",
    ),
    ("use_qalora", "QALoRA's grouped input would be ignored"),
    ("use_bdlora", "block-diagonal LoRA would be ignored"),
    ("lora_bias", "the bias of B would be ignored"),
    ("fan_in_fan_out", "the weights would be merged transposed"),
    (
        "rank_pattern",
        "every module would be read with the rank `r`",
    ),
    (
        "alpha_pattern",
        "every module would be scaled with `lora_alpha`",
    ),
    (
        "modules_to_save",
        "the modules trained in full would be ignored",
    ),
    (
        "trainable_token_indices",
        "the trained token embeddings would be ignored",
    ),
    (
        "target_parameters",
        "the adapted parameters would be ignored",
    ),
    ("layers_to_transform", "every layer must be adapted"),
    ("layers_pattern", "every layer must be adapted"),
    ("layer_replication", "the base would keep its own layers"),
    (
        "exclude_modules",
        "every module named in `target_modules` must be adapted",
    ),
    (
        "alora_invocation_tokens",
        "the adapter would be active for the whole prompt",
    ),
    ("arrow_config", "routing between adapters would be ignored"),
    (
        "ensure_weight_tying",
        "tied weights would not be adapted together",
    ),
];

/// Has no part in what is served: names, training settings, and how the weights were initialised.
const WITHOUT_EFFECT: &[&str] = &[
    "task_type",
    "peft_type",
    "auto_mapping",
    "peft_version",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "lora_dropout",
    "megatron_core",
    "qalora_group_size",
    "loftq_config",
    "eva_config",
    "corda_config",
    "lora_ga_config",
];

/// The other ways of initialising change the base's weights, which the adapter then corrects: it fits no plain base.
const INITIALISATIONS: &[&str] = &["gaussian", "orthogonal", "eva"];

pub(super) fn check(bytes: &[u8], base: &BaseIdentity) -> Result<Lora, AdapterError> {
    let config: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| {
        AdapterError::refused(
            CONFIG,
            "its content",
            error.to_string(),
            "must be a JSON object",
        )
    })?;
    for (field, value) in &config {
        check_field(field, value)?;
    }
    Ok(Lora {
        r: rank(&config)?,
        lora_alpha: alpha(&config)?,
        target_modules: target_modules(&config, base)?,
    })
}

fn check_field(field: &str, value: &Value) -> Result<(), AdapterError> {
    let limit = match field {
        "r" | "lora_alpha" | "target_modules" => return Ok(()),
        "bias" if value.is_null() || value == "none" => return Ok(()),
        "bias" => "must be \"none\": trained biases would be ignored".to_owned(),
        "peft_type" if value == "LORA" => return Ok(()),
        "peft_type" => "must be \"LORA\"".to_owned(),
        "task_type" if value.is_null() || value == "CAUSAL_LM" => return Ok(()),
        "task_type" => "must be \"CAUSAL_LM\"".to_owned(),
        "init_lora_weights" => match value {
            Value::Null | Value::Bool(_) => return Ok(()),
            Value::String(kind) if INITIALISATIONS.contains(&kind.as_str()) => return Ok(()),
            _ => format!(
                "must be true, false or one of {INITIALISATIONS:?}: others train against a changed base"
            ),
        },
        _ if WITHOUT_EFFECT.contains(&field) || is_off(value) => return Ok(()),
        _ => match UNSUPPORTED.iter().find(|(name, _)| *name == field) {
            Some((_, reason)) => format!("must be off: {reason}"),
            None => {
                "which is not known here: remove it if it does not change what the weights mean"
                    .to_owned()
            }
        },
    };
    Err(refused(field, value, limit))
}

fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn rank(config: &Map<String, Value>) -> Result<usize, AdapterError> {
    let value = config.get("r").unwrap_or(&Value::Null);
    value
        .as_u64()
        .and_then(|rank| usize::try_from(rank).ok())
        .filter(|rank| (1..=RANK_MAX).contains(rank))
        .ok_or_else(|| {
            refused(
                "r",
                value,
                format!("must be a whole number from 1 to {RANK_MAX}"),
            )
        })
}

fn alpha(config: &Map<String, Value>) -> Result<f64, AdapterError> {
    let value = config.get("lora_alpha").unwrap_or(&Value::Null);
    value
        .as_f64()
        .filter(|alpha| alpha.is_finite() && alpha.abs() <= 1e6)
        .ok_or_else(|| refused("lora_alpha", value, "must be a number of at most 1000000"))
}

fn target_modules(
    config: &Map<String, Value>,
    base: &BaseIdentity,
) -> Result<Vec<String>, AdapterError> {
    let value = config.get("target_modules").unwrap_or(&Value::Null);
    let known: Vec<_> = base.module_names().collect();
    let limit = || format!("must be a list of modules that the base has, out of {known:?}");
    let Value::Array(items) = value else {
        return Err(refused("target_modules", value, limit()));
    };
    let mut names = Vec::with_capacity(items.len().min(known.len()));
    for item in items {
        match item.as_str() {
            Some(name) if known.contains(&name) => names.push(name.to_owned()),
            _ => return Err(refused("target_modules", item, limit())),
        }
    }
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Err(refused("target_modules", value, limit()));
    }
    Ok(names)
}

fn refused(field: &str, found: &Value, limit: impl Into<String>) -> AdapterError {
    let mut found = found.to_string();
    if found.chars().count() > 80 {
        found = found.chars().take(80).chain(['…']).collect();
    }
    let field: String = field.chars().take(80).collect();
    AdapterError::refused(CONFIG, format!("`{field}`"), found, limit)
}
