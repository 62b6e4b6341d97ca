//! What sentence-transformers writes beside an embedding model: pooling, projections, prompts, length. Checked before mistralrs
//! sees it, which panics at what it does not know.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::folder::{optional_json, read_tensors, required_json};
use super::load::write_json;
use crate::EngineError;

/// The ways of pooling that mistralrs 0.8.1 knows.
const KNOWN_POOLING: [&str; 2] = ["pooling_mode_mean_tokens", "pooling_mode_lasttoken"];
const UNKNOWN_POOLING: [&str; 4] = [
    "pooling_mode_cls_token",
    "pooling_mode_max_tokens",
    "pooling_mode_mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens",
];

/// What turns the outputs of the transformer into one vector.
pub(super) struct Modules {
    /// As mistralrs reads them: a type of its own that it does not export, but deserialises.
    pub paths: Vec<Value>,
    /// Files beside the model's own that decide its vectors.
    pub files: Vec<PathBuf>,
    /// Components of a vector.
    pub dimensions: usize,
    /// What goes before a query, and before a passage; usually nothing.
    pub query_prompt: String,
    pub passage_prompt: String,
    /// Tokens that the model reads, where it says so.
    pub max_tokens: Option<usize>,
}

impl Modules {
    /// Reads `modules.json` and what it names; copies of configurations that mistralrs cannot read go to `copies`.
    ///
    /// # Errors
    /// A file is missing or cannot be served as it was meant.
    pub fn open(folder: &Path, hidden: usize, copies: &Path) -> Result<Self, EngineError> {
        let list_file = folder.join("modules.json");
        let list = required_json(&list_file)?;
        let list = list
            .as_array()
            .ok_or_else(|| EngineError::file(&list_file, "not a list"))?;
        let mut modules = Self {
            paths: Vec::new(),
            files: vec![list_file.clone()],
            dimensions: hidden,
            query_prompt: String::new(),
            passage_prompt: String::new(),
            max_tokens: None,
        };
        for (index, module) in list.iter().enumerate() {
            let path = inside(&list_file, module)?;
            let kind = module["type"].as_str().unwrap_or_default();
            let kind = kind.rsplit('.').next().unwrap_or_default();
            if (index == 0) != (kind == "Transformer") {
                return Err(EngineError::file(
                    &list_file,
                    "the first module, and no other, is a `Transformer`",
                ));
            }
            let place = folder.join(&path);
            let module = match kind {
                "Transformer" if path.is_empty() => json!({ kind: { "path": path } }),
                "Pooling" => modules.pooling(&path, &place, copies)?,
                "Dense" => modules.dense(&path, &place)?,
                "Normalize" => json!({ kind: { "path": path } }),
                _ => {
                    let reason = format!("module `{path}` of type `{kind}` is not supported");
                    return Err(EngineError::file(&list_file, reason));
                }
            };
            modules.paths.push(module);
        }
        modules.check_order(&list_file)?;
        modules.read_prompts(folder)?;
        Ok(modules)
    }

    /// A mean is only a direction until it is normalised, since mistralrs sums.
    fn check_order(&self, list: &Path) -> Result<(), EngineError> {
        let kinds: Vec<&str> = self
            .paths
            .iter()
            .filter_map(|module| module.as_object()?.keys().next())
            .map(String::as_str)
            .collect();
        let pooled = kinds.get(1) == Some(&"Pooling")
            && kinds.iter().filter(|kind| **kind == "Pooling").count() == 1;
        let normalised = kinds.last() == Some(&"Normalize");
        if pooled && normalised {
            return Ok(());
        }
        Err(EngineError::file(
            list,
            "the modules must be `Transformer`, `Pooling`, any `Dense`, and last `Normalize`",
        ))
    }

    fn pooling(&mut self, path: &str, place: &Path, copies: &Path) -> Result<Value, EngineError> {
        let file = place.join("config.json");
        let config = required_json(&file)?;
        let flag = |name: &str| config.get(name).and_then(Value::as_bool);
        let wrong = |reason: &str| Err(EngineError::file(&file, reason));
        if UNKNOWN_POOLING.iter().any(|name| flag(name) == Some(true))
            || KNOWN_POOLING
                .iter()
                .filter(|name| flag(name) == Some(true))
                .count()
                != 1
        {
            return wrong("pooling must be by the mean or by the last token, and by nothing else");
        }
        if flag("include_prompt") == Some(false) {
            return wrong("`include_prompt` must be true");
        }
        let mut copy = json!({"word_embedding_dimension": self.dimensions, "include_prompt": true});
        for name in KNOWN_POOLING.iter().chain(&UNKNOWN_POOLING) {
            copy[*name] = json!(flag(name) == Some(true));
        }
        let config = write_json(copies, "pooling.json", &copy)?;
        self.files.push(file);
        Ok(json!({ "Pooling": { "path": path, "config": config } }))
    }

    fn dense(&mut self, path: &str, place: &Path) -> Result<Value, EngineError> {
        let config = place.join("config.json");
        let model = place.join("model.safetensors");
        let said = required_json(&config)?;
        let size = |name: &str| {
            said[name]
                .as_u64()
                .and_then(|size| usize::try_from(size).ok())
        };
        let (Some(inputs), Some(outputs)) = (size("in_features"), size("out_features")) else {
            return Err(EngineError::file(
                &config,
                "`in_features` and `out_features` must be numbers",
            ));
        };
        let activation = said["activation_function"].as_str().unwrap_or_default();
        if activation != "torch.nn.modules.linear.Identity" || inputs != self.dimensions {
            let reason = format!(
                "a projection of {inputs} features by `{activation}` cannot be served after {} dimensions; the activation must be \
                 `torch.nn.modules.linear.Identity`",
                self.dimensions
            );
            return Err(EngineError::file(&config, reason));
        }
        let tensors = read_tensors(&model)?;
        let shape = tensors.get("linear.weight").map(|tensor| &tensor.shape[..]);
        if shape != Some(&[outputs, inputs]) {
            let reason =
                format!("`linear.weight` must have the shape [{outputs}, {inputs}], got {shape:?}");
            return Err(EngineError::file(&model, reason));
        }
        if said["bias"] == true && !tensors.contains_key("linear.bias") {
            return Err(EngineError::file(&model, "`linear.bias` is missing"));
        }
        self.dimensions = outputs;
        self.files.extend([config.clone(), model.clone()]);
        Ok(json!({ "Dense": { "path": path, "config": config, "model": model } }))
    }

    fn read_prompts(&mut self, folder: &Path) -> Result<(), EngineError> {
        let file = folder.join("config_sentence_transformers.json");
        let config = optional_json(&file)?;
        let prompt = |names: &[&str]| {
            let prompts = names.iter().map(|name| &config["prompts"][*name]);
            let mut prompts = prompts.filter_map(Value::as_str);
            prompts.next().unwrap_or_default().to_owned()
        };
        self.query_prompt = prompt(&["query", "Retrieval-query"]);
        self.passage_prompt = prompt(&["document", "passage", "Retrieval-document"]);
        let length_file = folder.join("sentence_bert_config.json");
        let length = optional_json(&length_file)?;
        self.max_tokens = length["max_seq_length"]
            .as_u64()
            .and_then(|tokens| usize::try_from(tokens).ok());
        let there = [file, length_file]
            .into_iter()
            .filter(|file| file.is_file());
        self.files.extend(there);
        Ok(())
    }
}

/// The folder of a module, which must lie inside the model's.
fn inside(list: &Path, module: &Value) -> Result<String, EngineError> {
    let path = module["path"].as_str().unwrap_or_default();
    if path.contains(['/', '\\']) || path.starts_with('.') {
        let reason = format!("`{path}` lies outside of the folder");
        return Err(EngineError::file(list, reason));
    }
    Ok(path.to_owned())
}
