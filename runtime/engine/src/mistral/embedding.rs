//! Text embedding by models that mistralrs serves: those of the shapes of Qwen3-Embedding and `EmbeddingGemma`.

use std::{path::Path, sync::Arc};

use mistralrs::{
    MistralRs, NormalRequest, Request, RequestMessage, Response, SamplingParams,
    core::{
        AdapterPaths, EmbeddingLoaderBuilder, EmbeddingModelPaths, EmbeddingSpecificConfig,
        ModelPaths,
    },
};
use serde_json::Value;
use tokenizers::Tokenizer;
use tokio::sync::mpsc;

use super::{
    config::normalized,
    folder::{ModelFolder, Tensors, required_json},
    hardware::{folder_dtype, hardware},
    load::{self, write_json},
    modules::Modules,
};
use crate::{Device, EngineError, digest, tokens::SegmentTokenizer};

/// Architectures of `config.json`.
const ARCHITECTURES: [&str; 4] = [
    "Qwen3ForCausalLM",
    "Qwen3Model",
    "Gemma3TextModel",
    "Gemma3Model",
];
/// Longest passage in tokens, whatever the model says: attention on a CPU costs the square of it.
const MOST_TOKENS: usize = 2048;

/// An embedding model in memory. Its calls block; one computes at a time.
pub struct EmbeddingModel {
    mistral: Arc<MistralRs>,
    tokenizer: SegmentTokenizer,
    frame: Frame,
    digest: String,
    dimensions: usize,
}

/// What stands around a text, in token ids.
struct Frame {
    /// Special tokens that the tokenizer puts before and after.
    before: Vec<u32>,
    after: Vec<u32>,
    /// Goes before the text of a query, and is tokenised with it.
    query_prompt: String,
    passage_prompt: Vec<u32>,
    /// Tokens, all of the frame included.
    max_tokens: usize,
}

impl Frame {
    /// Tokens between those before and after.
    fn room(&self) -> usize {
        let around = self.before.len() + self.after.len();
        self.max_tokens.saturating_sub(around)
    }
}

impl EmbeddingModel {
    /// Whether a model folder holds an embedding model of a shape that is served here.
    #[must_use]
    pub fn is_served(folder: &Path) -> bool {
        let config = required_json(&folder.join("config.json")).unwrap_or_default();
        let architecture = config["architectures"][0].as_str().unwrap_or_default();
        ARCHITECTURES.contains(&architecture) && folder.join("modules.json").is_file()
    }

    /// Loads a folder as sentence-transformers writes it: `config.json`, `tokenizer.json`, safetensors and `modules.json`.
    /// Blocking. The model is tried once, so that one which cannot embed is refused here.
    ///
    /// # Errors
    /// A file is missing, damaged, or asks for what cannot be served; the device is not there.
    pub fn load(folder: &Path, device: Device) -> Result<Self, EngineError> {
        let name = folder.display().to_string();
        let folder = folder.to_owned();
        let model = load::on_own_thread(&name, move |name| Self::load_here(name, &folder, device))?;
        let tried = model.embed(&[])?;
        if tried.len() != model.dimensions {
            let reason = format!("it makes vectors of {} components", tried.len());
            return Err(EngineError::Load { name, reason });
        }
        Ok(model)
    }

    fn load_here(name: &str, path: &Path, device: Device) -> Result<Self, EngineError> {
        let folder = ModelFolder::open(path)?;
        let copies = tempfile::tempdir().map_err(EngineError::io(&std::env::temp_dir()))?;
        let hidden = hidden_size(&folder)?;
        check_names(&folder.weights[0], &folder.tensors)?;
        let modules = Modules::open(path, hidden, copies.path())?;
        let mut identity = folder.identity_files();
        identity.extend(modules.files);
        let config_file = path.join("config.json");
        let paths: Box<dyn ModelPaths> = Box::new(EmbeddingModelPaths {
            tokenizer_filename: folder.tokenizer_file(),
            config_filename: write_json(
                copies.path(),
                "config.json",
                &with_half_window(normalized(&folder.config, &config_file)?),
            )?,
            modules: serde_json::from_value(Value::Array(modules.paths))
                .map_err(|error| load::failed(name, &error))?,
            filenames: folder.weights.clone(),
            adapter_paths: AdapterPaths::None,
        });
        let hardware = hardware(device)?;
        let dtype = folder_dtype(&hardware);
        let config = EmbeddingSpecificConfig::default();
        let loader = EmbeddingLoaderBuilder::new(config, None, Some(name.to_owned())).build(None);
        let map = mistralrs::core::DeviceMapSetting::dummy();
        let pipeline = loader
            .load_model_from_path(&paths, &dtype, &hardware, true, map, None, None)
            .map_err(|error| load::failed(name, &error))?;
        let length = pipeline.blocking_lock().get_metadata().max_seq_len;
        let unusable = |reason: String| load::failed(name, &reason);
        let tokenizer = SegmentTokenizer::new(&folder.tokenizer).map_err(unusable)?;
        let (before, after) =
            surroundings(&folder.tokenizer).map_err(|e| load::failed(name, &e))?;
        let frame = Frame {
            before,
            after,
            passage_prompt: ids(tokenizer.data_tokens(&modules.passage_prompt)?),
            query_prompt: modules.query_prompt,
            max_tokens: modules
                .max_tokens
                .unwrap_or(usize::MAX)
                .min(length)
                .min(MOST_TOKENS),
        };
        Ok(Self {
            mistral: load::start(name, pipeline, 0)?,
            tokenizer,
            frame,
            digest: digest::of_files(&identity)?,
            dimensions: modules.dimensions,
        })
    }

    /// `sha256:<hex>` of all files that decide its vectors.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Components of a vector.
    #[must_use]
    pub const fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Tokens of a passage that its vector is made of.
    #[must_use]
    pub fn passage_tokens(&self) -> usize {
        let prompt = self.frame.passage_prompt.len();
        self.frame.room().saturating_sub(prompt)
    }

    /// Tokens of a text, each with the byte where it starts; special tokens in it are plain text.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn tokenize(&self, text: &str) -> Result<Vec<(u32, usize)>, EngineError> {
        self.tokenizer.data_tokens(text)
    }

    /// The vector of a passage, `dimensions` components, of length 1. What is longer than the model reads is cut at the end.
    ///
    /// # Errors
    /// The model fails.
    pub fn embed_passage(&self, tokens: &[u32]) -> Result<Vec<f32>, EngineError> {
        self.embed(&[&self.frame.passage_prompt, tokens].concat())
    }

    /// The vector that is compared with those of passages, as [`Self::embed_passage`].
    ///
    /// # Errors
    /// The model fails.
    pub fn embed_query(&self, query: &str) -> Result<Vec<f32>, EngineError> {
        let text = format!("{}{query}", self.frame.query_prompt);
        self.embed(&ids(self.tokenize(&text)?))
    }

    fn embed(&self, tokens: &[u32]) -> Result<Vec<f32>, EngineError> {
        let Frame { before, after, .. } = &self.frame;
        let room = tokens.len().min(self.frame.room());
        let mut prompt = [&**before, &tokens[..room], &**after].concat();
        if prompt.is_empty() {
            // mistralrs refuses an empty prompt; the first token of every vocabulary stands for no text.
            prompt.push(0);
        }
        if let [token] = prompt[..] {
            // mistralrs 0.8.1 panics at a single token. Twice the same gives the same vector: what attention averages is alike
            // at both positions, for they enter queries and keys only.
            prompt.push(token);
        }
        let failed = |reason: String| EngineError::Generation { reason };
        let (sender, mut responses) = mpsc::channel(1);
        let request = NormalRequest::new_simple(
            RequestMessage::EmbeddingTokens { prompt },
            SamplingParams::deterministic(),
            sender,
            self.mistral.next_request_id(),
            None,
            None,
        );
        let engine = self.mistral.get_sender(None);
        engine
            .map_err(|error| failed(format!("the engine is gone: {error:?}")))?
            .blocking_send(Request::Normal(Box::new(request)))
            .map_err(|_| failed("the engine is gone".to_owned()))?;
        match responses.blocking_recv() {
            Some(Response::Embeddings { embeddings, .. }) => Ok(embeddings),
            Some(Response::ValidationError(error) | Response::InternalError(error)) => {
                Err(failed(error.to_string()))
            }
            _ => Err(failed("the engine gave no vector".to_owned())),
        }
    }
}

fn ids(tokens: Vec<(u32, usize)>) -> Vec<u32> {
    tokens.into_iter().map(|(id, _)| id).collect()
}

fn hidden_size(folder: &ModelFolder) -> Result<usize, EngineError> {
    let size = folder.config.get("hidden_size").and_then(Value::as_u64);
    size.and_then(|size| usize::try_from(size).ok())
        .ok_or_else(|| {
            EngineError::file(&folder.path.join("config.json"), "`hidden_size` is missing")
        })
}

/// A window of a model that looks both ways is as wide as the configuration says, half of it to each side (transformers'
/// `Gemma3TextConfig`); mistralrs 0.8.1 takes all of it to each side.
fn with_half_window(mut config: Value) -> Value {
    if config["use_bidirectional_attention"] == true
        && let Some(window) = config["sliding_window"].as_u64()
    {
        config["sliding_window"] = (window / 2 + 1).into();
    }
    config
}

/// mistralrs reads the names that the bare model has, not those of a model for generation.
fn check_names(file: &Path, tensors: &Tensors) -> Result<(), EngineError> {
    if tensors.contains_key("embed_tokens.weight") {
        return Ok(());
    }
    Err(EngineError::file(
        file,
        "`embed_tokens.weight` is missing: an embedding model names its tensors without `model.` in front",
    ))
}

/// The special tokens that a tokenizer puts before and after a text.
fn surroundings(tokenizer: &Tokenizer) -> Result<(Vec<u32>, Vec<u32>), tokenizers::Error> {
    let bare = tokenizer.encode_fast("a", false)?.get_ids().to_vec();
    let framed = tokenizer.encode_fast("a", true)?.get_ids().to_vec();
    let at = framed
        .windows(bare.len().max(1))
        .position(|window| window == bare)
        .unwrap_or_default();
    Ok((
        framed[..at].to_vec(),
        framed[(at + bare.len()).min(framed.len())..].to_vec(),
    ))
}
