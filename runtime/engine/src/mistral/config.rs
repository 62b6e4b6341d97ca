//! Model configurations as mistralrs 0.8.1 reads them, made from what transformers 4 and 5 write.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::EngineError;

/// A copy of a `config.json` with transformers 5's names turned back into those of transformers 4.
pub(super) fn normalized(config: &Value, path: &Path) -> Result<Value, EngineError> {
    let Value::Object(fields) = config else {
        return Err(EngineError::file(path, "not a JSON object"));
    };
    let mut fields = fields.clone();
    rope(&mut fields);
    dtype(&mut fields);
    sliding_window(&mut fields);
    Ok(Value::Object(fields))
}

/// `rope_parameters` → `rope_theta`, `rope_scaling` and, for models with two kinds of layers, `rope_local_base_freq`.
fn rope(fields: &mut Map<String, Value>) {
    let Some(Value::Object(parameters)) = fields.get("rope_parameters").cloned() else {
        return;
    };
    let per_layer = |kind: &str| parameters.get(kind).and_then(Value::as_object).cloned();
    let mut main = per_layer("full_attention").unwrap_or_else(|| parameters.clone());
    if let Some(theta) =
        per_layer("sliding_attention").and_then(|local| local.get("rope_theta").cloned())
    {
        fields.entry("rope_local_base_freq").or_insert(theta);
    }
    for key in ["rope_theta", "partial_rotary_factor"] {
        if let Some(value) = main.remove(key) {
            fields.entry(key).or_insert(value);
        }
    }
    let is_default = main.get("rope_type").is_none_or(|kind| kind == "default");
    let scaling = if is_default {
        Value::Null
    } else {
        Value::Object(main)
    };
    if fields.get("rope_scaling").is_none_or(Value::is_null) {
        fields.insert("rope_scaling".into(), scaling);
    }
    fields.remove("rope_parameters");
}

fn dtype(fields: &mut Map<String, Value>) {
    if let Some(dtype) = fields.remove("dtype") {
        fields.entry("torch_dtype").or_insert(dtype);
    }
}

/// transformers 5 may leave out what `layer_types` says already.
fn sliding_window(fields: &mut Map<String, Value>) {
    if !matches!(
        fields.get("model_type").and_then(Value::as_str),
        Some("qwen2" | "qwen3" | "qwen3_moe")
    ) {
        return;
    }
    let layers = fields.get("num_hidden_layers").cloned().unwrap_or(json!(0));
    let slides = fields
        .get("layer_types")
        .and_then(Value::as_array)
        .is_some_and(|kinds| kinds.iter().any(|kind| kind == "sliding_attention"));
    fields.entry("use_sliding_window").or_insert(json!(slides));
    fields.entry("max_window_layers").or_insert(layers);
    fields.entry("sliding_window").or_insert(Value::Null);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn normalize(config: &Value) -> Value {
        normalized(config, Path::new("config.json")).unwrap()
    }

    #[test]
    fn transformers_5_names_become_those_of_transformers_4() {
        let config = json!({"model_type": "qwen3", "dtype": "float32", "num_hidden_layers": 2,
            "rope_parameters": {"rope_theta": 1_000_000.0, "rope_type": "default"}, "layer_types": ["full_attention", "full_attention"]});
        let expected = json!({"model_type": "qwen3", "torch_dtype": "float32", "num_hidden_layers": 2, "rope_theta": 1_000_000.0,
            "rope_scaling": null, "layer_types": ["full_attention", "full_attention"], "use_sliding_window": false,
            "max_window_layers": 2, "sliding_window": null});
        assert_eq!(normalize(&config), expected);
    }

    #[test]
    fn scaling_and_two_kinds_of_layers_are_kept() {
        let yarn = normalize(
            &json!({"rope_parameters": {"rope_theta": 1e4, "rope_type": "yarn", "factor": 4.0}}),
        );
        assert_eq!(
            yarn,
            json!({"rope_theta": 1e4, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}})
        );
        let gemma = normalize(&json!({"rope_parameters": {
            "full_attention": {"rope_theta": 1e6, "rope_type": "default"}, "sliding_attention": {"rope_theta": 1e4, "rope_type": "default"}}}));
        assert_eq!(
            gemma,
            json!({"rope_theta": 1e6, "rope_local_base_freq": 1e4, "rope_scaling": null})
        );
    }

    #[test]
    fn a_transformers_4_config_is_left_alone() {
        let config = json!({"model_type": "llama", "torch_dtype": "bfloat16", "rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3"}});
        assert_eq!(normalize(&config), config);
    }
}
