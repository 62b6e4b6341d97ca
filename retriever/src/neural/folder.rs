//! A model's folder: its files within bounds, and what sentence-transformers says beside the model.

use std::borrow::Cow;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::config::Config;
use super::tokenizer::Tokenizer;
use super::wrong;
use crate::RetrieverError;

const MAX_CONFIG_BYTES: u64 = 4 << 20;
const MAX_TOKENIZER_BYTES: u64 = 256 << 20;
const MAX_WEIGHTS_BYTES: u64 = 8 << 30;

/// How the vectors of tokens become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    /// Their mean, special tokens included.
    Mean,
    /// The first one, of `[CLS]`.
    First,
}

/// What goes before a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Prompts {
    pub query: String,
    pub passage: String,
}

pub(super) struct Folder {
    pub config: Config,
    pub weights: Cow<'static, [u8]>,
    tokenizer: Cow<'static, [u8]>,
    pub max_length: usize,
    pub pooling: Pooling,
    pub prompts: Prompts,
    hash: Sha256,
}

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct SentenceBert {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

#[derive(Deserialize)]
struct TokenizerConfig {
    /// Some checkpoints say 10³⁰ for "no bound".
    model_max_length: Option<f64>,
}

#[derive(Deserialize, Default)]
struct SentenceTransformers {
    #[serde(default)]
    prompts: serde_json::Map<String, serde_json::Value>,
}

impl Folder {
    /// # Errors
    /// A file is missing, too large, not what it should be, or says what this program cannot do.
    pub(super) fn read(path: &Path) -> Result<Self, RetrieverError> {
        if !path.is_dir() {
            return Err(wrong("there is no such folder".into()));
        }
        let modules: Option<Vec<Module>> = optional(&path.join("modules.json"))?;
        let (transformer, pooling) = parts(path, modules.as_deref())?;
        let config_json = required(&transformer.join("config.json"), MAX_CONFIG_BYTES)?;
        let config = Config::from_json(&config_json)?;
        let tokenizer = required(&transformer.join("tokenizer.json"), MAX_TOKENIZER_BYTES)?;
        let weights = required(&transformer.join("model.safetensors"), MAX_WEIGHTS_BYTES)?;
        let family = format!("{} {}", file_name(path), config.made_from).to_lowercase();
        let pooling = match pooling {
            Some(folder) => read_pooling(&folder.join("config.json"))?,
            None if family.contains("bge-") => Pooling::First,
            None => Pooling::Mean,
        };
        let said: SentenceTransformers =
            optional(&path.join("config_sentence_transformers.json"))?.unwrap_or_default();
        Ok(Self {
            max_length: max_length(path, &transformer, &config)?,
            prompts: prompts(&said, &family),
            pooling,
            config,
            hash: hash_of([&config_json, &tokenizer, &weights]),
            weights: weights.into(),
            tokenizer: tokenizer.into(),
        })
    }

    /// From the files of a model that is in the binary: pooled by the mean, without prompts, as long as its positions reach.
    ///
    /// # Errors
    /// The configuration says what this program cannot do.
    pub(super) fn of_bytes(
        config: &[u8],
        tokenizer: &'static [u8],
        weights: &'static [u8],
    ) -> Result<Self, RetrieverError> {
        let hash = hash_of([config, tokenizer, weights]);
        let config = Config::from_json(config)?;
        Ok(Self {
            max_length: config.max_length(),
            prompts: Prompts::default(),
            pooling: Pooling::Mean,
            config,
            weights: weights.into(),
            tokenizer: tokenizer.into(),
            hash,
        })
    }

    pub(super) fn tokenizer(&self) -> Result<Tokenizer, RetrieverError> {
        Tokenizer::from_json(&self.tokenizer, self.config.vocab_size)
    }

    /// Of the files and of what is done with them.
    pub(super) fn digest(&self) -> String {
        let mut hash = self.hash.clone();
        let Prompts { query, passage } = &self.prompts;
        let rest = (self.max_length, self.pooling, query, passage);
        hash.update(format!("{rest:?}"));
        crate::hex(&hash.finalize()[..16])
    }
}

fn hash_of(parts: [&[u8]; 3]) -> Sha256 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The folder of the transformer and, if it is said, that of the pooling.
fn parts(
    path: &Path,
    modules: Option<&[Module]>,
) -> Result<(PathBuf, Option<PathBuf>), RetrieverError> {
    let mut transformer = path.to_owned();
    let said = path.join("1_Pooling");
    let mut pooling = Some(said).filter(|folder| folder.is_dir());
    for module in modules.unwrap_or_default() {
        let inside = Path::new(&module.path);
        if !inside
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)))
        {
            return Err(wrong(format!(
                "modules.json: `{}` is no folder in it",
                module.path
            )));
        }
        match module.kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" => transformer = path.join(inside),
            "Pooling" => pooling = Some(path.join(inside)),
            "Normalize" => {}
            other => return Err(wrong(format!("modules.json: `{other}` is not supported"))),
        }
    }
    Ok((transformer, pooling))
}

fn read_pooling(path: &Path) -> Result<Pooling, RetrieverError> {
    let said: serde_json::Map<String, serde_json::Value> =
        optional(path)?.ok_or_else(|| wrong(format!("there is no `{}`", shown(path))))?;
    let mut modes: Vec<&str> = said
        .iter()
        .filter(|(_, on)| on.as_bool() == Some(true))
        .filter_map(|(name, _)| name.strip_prefix("pooling_mode_"))
        .collect();
    modes.extend(said.get("pooling_mode").and_then(|mode| mode.as_str()));
    match modes[..] {
        ["mean_tokens" | "mean"] => Ok(Pooling::Mean),
        ["cls_token" | "cls"] => Ok(Pooling::First),
        _ => Err(wrong(format!(
            "{}: pooling by {modes:?} is not supported",
            shown(path)
        ))),
    }
}

fn max_length(path: &Path, transformer: &Path, config: &Config) -> Result<usize, RetrieverError> {
    let beside: Option<SentenceBert> = optional(&path.join("sentence_bert_config.json"))?;
    let inside = optional(&transformer.join("sentence_bert_config.json"))?;
    let said = beside.or(inside);
    if said.as_ref().is_some_and(|said| said.do_lower_case) {
        let problem = "sentence_bert_config.json: `do_lower_case` is not supported; a tokenizer.json says it itself";
        return Err(wrong(problem.into()));
    }
    let most = config.max_length();
    let length = if let Some(length) = said.and_then(|said| said.max_seq_length) {
        length
    } else {
        let tokenizer: Option<TokenizerConfig> =
            optional(&transformer.join("tokenizer_config.json"))?;
        let length = tokenizer.and_then(|config| config.model_max_length);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float's cast saturates"
        )]
        length.map_or(most, |length| length as usize)
    };
    match length.min(most) {
        length @ 8.. => Ok(length),
        length => Err(wrong(format!("sequences of {length} tokens are too short"))),
    }
}

/// Those that the folder says, else those that models of a known family were trained with.
fn prompts(said: &SentenceTransformers, family: &str) -> Prompts {
    let of = |names: [&str; 2]| -> Option<String> {
        let prompt = names.iter().find_map(|name| said.prompts.get(*name))?;
        prompt.as_str().map(str::to_owned)
    };
    let known = if family.contains("e5-") {
        ["query: ", "passage: "]
    } else if family.contains("bge-") && family.contains("-en") {
        [
            "Represent this sentence for searching relevant passages: ",
            "",
        ]
    } else {
        ["", ""]
    };
    Prompts {
        query: of(["query", "retrieval.query"]).unwrap_or_else(|| known[0].to_owned()),
        passage: of(["passage", "document"]).unwrap_or_else(|| known[1].to_owned()),
    }
}

fn shown(path: &Path) -> String {
    let folder = path.parent().map(file_name).unwrap_or_default();
    format!("{folder}/{}", file_name(path))
}

/// A JSON file that need not be there.
fn optional<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RetrieverError> {
    if !path.exists() {
        return Ok(None);
    }
    let json = required(path, MAX_CONFIG_BYTES)?;
    serde_json::from_slice(&json)
        .map(Some)
        .map_err(|error| wrong(format!("{}: {error}", file_name(path))))
}

fn required(path: &Path, most: u64) -> Result<Vec<u8>, RetrieverError> {
    let failed = |error: std::io::Error| wrong(format!("cannot read {}: {error}", file_name(path)));
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > most {
        let problem = format!("{} has more than {most} bytes", file_name(path));
        return Err(wrong(problem));
    }
    Ok(bytes)
}
