//! A model folder, checked before mistralrs sees it: what is missing, cut short or corrupt is named here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, tensor::Metadata};
use serde_json::Value;
use tokenizers::Tokenizer;

use crate::{
    EngineError,
    template::{ChatTemplate, SpecialTokens},
};

/// The end-of-turn tokens of well-known chat formats, for models whose own configuration names only the end of text.
const ENDS_OF_TURN: [&str; 5] = [
    "<|im_end|>",
    "<end_of_turn>",
    "<|end_of_text|>",
    "<|end|>",
    "<|eot_id|>",
];

/// The longest safetensors header that is read.
const LONGEST_HEADER_BYTES: u64 = 100_000_000;

/// Tensors by name.
pub(super) type Tensors = BTreeMap<String, TensorInfo>;

#[derive(Clone, Debug)]
pub(super) struct TensorInfo {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
}

pub(super) struct ModelFolder {
    pub path: PathBuf,
    pub config: Value,
    pub weights: Vec<PathBuf>,
    pub tensors: Tensors,
    pub tokenizer: Tokenizer,
    tokenizer_config: Value,
    generation_config: Value,
    template: Option<String>,
}

impl ModelFolder {
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        if !path.is_dir() {
            return Err(EngineError::file(path, "no such folder"));
        }
        let config = required_json(&path.join("config.json"))?;
        let weights = weight_files(path)?;
        let mut tensors = Tensors::new();
        for file in &weights {
            tensors.extend(read_tensors(file)?);
        }
        let tokenizer_path = path.join("tokenizer.json");
        let tokenizer = Tokenizer::from_file(&tokenizer_path)
            .map_err(|error| EngineError::file(&tokenizer_path, error))?;
        let tokenizer_config = optional_json(&path.join("tokenizer_config.json"))?;
        let template = template_source(path, &tokenizer_config)?;
        let generation_config = optional_json(&path.join("generation_config.json"))?;
        Ok(Self {
            path: path.to_owned(),
            config,
            weights,
            tensors,
            tokenizer,
            tokenizer_config,
            generation_config,
            template,
        })
    }

    /// The row length of a matrix that K blocks of 256 do not fit, if there is one among those that quantisation takes.
    pub fn columns_without_k_blocks(&self) -> Option<usize> {
        let matrices = self
            .tensors
            .values()
            .filter(|tensor| tensor.shape.len() == 2);
        let mut columns = matrices.filter_map(|tensor| tensor.shape.last().copied());
        columns.find(|columns| !columns.is_multiple_of(256))
    }

    pub fn tokenizer_file(&self) -> PathBuf {
        self.path.join("tokenizer.json")
    }

    /// What decides the model's outputs.
    pub fn identity_files(&self) -> Vec<PathBuf> {
        let mut files = self.weights.clone();
        let others = [
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "generation_config.json",
            "chat_template.jinja",
        ];
        files.extend(
            others
                .map(|name| self.path.join(name))
                .into_iter()
                .filter(|file| file.is_file()),
        );
        files
    }

    pub fn architecture(&self) -> String {
        let first = self
            .config
            .get("architectures")
            .and_then(|names| names.get(0))
            .and_then(Value::as_str);
        first
            .or_else(|| self.config.get("model_type").and_then(Value::as_str))
            .unwrap_or("unknown")
            .to_owned()
    }

    /// Ids of the tokens that end an output.
    pub fn ends(&self) -> Vec<u32> {
        let mut ids = BTreeSet::new();
        for value in [
            self.generation_config.get("eos_token_id"),
            self.config.get("eos_token_id"),
        ]
        .into_iter()
        .flatten()
        {
            let values = value
                .as_array()
                .map_or(std::slice::from_ref(value), Vec::as_slice);
            ids.extend(
                values
                    .iter()
                    .filter_map(Value::as_u64)
                    .filter_map(|id| u32::try_from(id).ok()),
            );
        }
        let of_tokenizer = self.special_token("eos_token");
        let turn_ends = ENDS_OF_TURN.iter().filter(|end| {
            self.template
                .as_ref()
                .is_some_and(|template| template.contains(**end))
        });
        let names = of_tokenizer
            .into_iter()
            .chain(turn_ends.map(ToString::to_string));
        ids.extend(names.filter_map(|name| self.tokenizer.token_to_id(&name)));
        ids.into_iter()
            .filter(|id| self.tokenizer.id_to_token(*id).is_some())
            .collect()
    }

    pub fn template(&self) -> Result<ChatTemplate, EngineError> {
        let tokens = SpecialTokens {
            bos_token: self.special_token("bos_token"),
            eos_token: self.special_token("eos_token"),
            unk_token: self.special_token("unk_token"),
            pad_token: self.special_token("pad_token"),
        };
        let adds_beginning = self.tokenizer_config.get("add_bos_token") == Some(&Value::Bool(true));
        ChatTemplate::new(self.template.as_deref(), tokens, adds_beginning)
    }

    /// A text, or an object with its text under `content`.
    fn special_token(&self, key: &str) -> Option<String> {
        let value = self.tokenizer_config.get(key)?;
        value
            .as_str()
            .or_else(|| value.get("content")?.as_str())
            .map(ToOwned::to_owned)
    }
}

pub(super) fn required_json(path: &Path) -> Result<Value, EngineError> {
    let text = fs::read_to_string(path).map_err(EngineError::io(path))?;
    serde_json::from_str(&text)
        .map_err(|error| EngineError::file(path, format!("not JSON: {error}")))
}

pub(super) fn optional_json(path: &Path) -> Result<Value, EngineError> {
    if path.is_file() {
        required_json(path)
    } else {
        Ok(Value::Null)
    }
}

/// `chat_template.jinja`, or `chat_template` of the tokenizer's configuration: a text, or a list with one named `default`.
fn template_source(folder: &Path, tokenizer_config: &Value) -> Result<Option<String>, EngineError> {
    let file = folder.join("chat_template.jinja");
    if file.is_file() {
        return fs::read_to_string(&file)
            .map(Some)
            .map_err(EngineError::io(&file));
    }
    let value = tokenizer_config.get("chat_template");
    let named_default = |list: &Value| {
        let named = list
            .as_array()?
            .iter()
            .find(|entry| entry.get("name").is_some_and(|name| name == "default"))?;
        named.get("template")?.as_str().map(ToOwned::to_owned)
    };
    Ok(value.and_then(|value| {
        value
            .as_str()
            .map(ToOwned::to_owned)
            .or_else(|| named_default(value))
    }))
}

fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, EngineError> {
    let index = folder.join("model.safetensors.index.json");
    let files = if index.is_file() {
        shards(folder, &index)?
    } else {
        vec![folder.join("model.safetensors")]
    };
    match files.iter().find(|file| !file.is_file()) {
        Some(missing) => Err(EngineError::file(
            missing,
            "missing: a model folder holds its weights as safetensors",
        )),
        None => Ok(files),
    }
}

fn shards(folder: &Path, index: &Path) -> Result<Vec<PathBuf>, EngineError> {
    let description = required_json(index)?;
    let map = description.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| EngineError::file(index, "has no `weight_map`"))?;
    let names: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    match names.iter().find(|name| name.contains(['/', '\\'])) {
        Some(outside) => Err(EngineError::file(
            index,
            format!("`{outside}` lies outside of the folder"),
        )),
        None => Ok(names.into_iter().map(|name| folder.join(name)).collect()),
    }
}

/// The header of a safetensors file, compared with the file's length.
pub(super) fn read_tensors(path: &Path) -> Result<Tensors, EngineError> {
    let mut file = File::open(path).map_err(EngineError::io(path))?;
    let length = file.metadata().map_err(EngineError::io(path))?.len();
    let mut prefix = [0; 8];
    file.read_exact(&mut prefix)
        .map_err(|_| EngineError::file(path, format!("cut short: {length} bytes")))?;
    let header_length = u64::from_le_bytes(prefix);
    if header_length > LONGEST_HEADER_BYTES || header_length + 8 > length {
        return Err(EngineError::file(
            path,
            format!("not safetensors, or cut short: {length} bytes"),
        ));
    }
    let mut header = Vec::new();
    file.take(header_length)
        .read_to_end(&mut header)
        .map_err(EngineError::io(path))?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|error| EngineError::file(path, format!("corrupt: {error}")))?;
    let expected = 8 + header_length + u64::try_from(metadata.data_len()).unwrap_or(u64::MAX);
    if expected != length {
        return Err(EngineError::file(
            path,
            format!("cut short or corrupt: {length} bytes instead of {expected}"),
        ));
    }
    let tensors = metadata.tensors().into_iter();
    Ok(tensors
        .map(|(name, info)| {
            (
                name,
                TensorInfo {
                    dtype: info.dtype,
                    shape: info.shape.clone(),
                },
            )
        })
        .collect())
}
