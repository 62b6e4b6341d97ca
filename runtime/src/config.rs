//! Settings: a TOML file and flags in, a `Config` that cannot be invalid out.
//!
//! The only place of ours that reads the environment; the hub's library reads `HF_HOME`, `HF_ENDPOINT` and its token.
//! Unknown keys are errors that name the key.

mod adapters;
mod retrieval;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quoin_engine::{Device, EngineError, Quantization};
use serde::{Deserialize, Serialize};

pub use self::adapters::AdaptersConfig;
pub use self::retrieval::RetrievalConfig;
use crate::sources::settings::{self, SourceConfig};

/// What was wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("`{path}`: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// The parser's words, which name the key and the line.
        message: String,
    },
    /// A setting of the model that the engine does not know.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Sizes of passages that do not fit together.
    #[error("retrieval.passage: {0}")]
    Passages(#[source] quoin_retriever::RetrieverError),
    /// A value outside its bounds.
    #[error("`{key}` must be {bound}, got {got}")]
    Bounds {
        /// The key, with its section.
        key: &'static str,
        /// What is allowed, with units.
        bound: String,
        /// What came.
        got: String,
    },
}

/// Everything `quoin` can be told, with defaults for all of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where state lives. From `--data`, `QUOIN_DATA` or the file, in that order.
    pub data: DataFolder,
    /// The HTTP surface.
    pub server: ServerConfig,
    /// The language model.
    pub model: ModelConfig,
    /// Adapter versions.
    pub adapters: AdaptersConfig,
    /// How answers are made.
    pub answers: AnswerConfig,
    /// Retrieval.
    pub retrieval: RetrievalConfig,
    /// Logs.
    pub log: LogConfig,
    /// The command that reads files in a child process; the command line sets it to this program.
    #[serde(skip)]
    pub reader_command: Option<Vec<std::ffi::OsString>>,
    /// Followed folders.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceConfig>,
}

/// The data folder; `./quoin-data` unless told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataFolder(pub PathBuf);

impl Default for DataFolder {
    fn default() -> Self {
        Self(PathBuf::from("quoin-data"))
    }
}

/// The HTTP surface.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port. Anything but loopback needs a key.
    pub listen: SocketAddr,
    /// Largest request body, bytes. Bodies with documents: see `max_document_bytes`.
    pub max_body_bytes: usize,
    /// Largest body of a document write, bytes.
    pub max_document_bytes: usize,
    /// Largest question or query, bytes.
    pub max_question_bytes: usize,
    /// Longest time for one request, milliseconds.
    pub request_timeout_ms: u64,
    /// Longest wait for requests in flight at shutdown, milliseconds.
    pub drain_timeout_ms: u64,
    /// Most requests in flight at once; more answer 429.
    pub max_concurrent_requests: usize,
    /// Ingest the bundled handbook when the catalogue is empty at first start.
    pub samples: bool,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            max_body_bytes: 4 << 20,
            max_document_bytes: 48 << 20,
            max_question_bytes: 16 << 10,
            request_timeout_ms: 120_000,
            drain_timeout_ms: 20_000,
            max_concurrent_requests: 256,
            samples: true,
        }
    }
}

/// The language model that answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// `bundled`, a folder with safetensors, a `.gguf` file, a name under `<data>/models`, or a hub id that was pulled.
    pub source: String,
    /// Hub revision, when `source` is a hub id.
    pub revision: Option<String>,
    /// `cpu`, `cuda`, `cuda:<index>` or `metal` (the Cargo features of those names); `auto` takes the best there is.
    pub device: String,
    /// In-situ quantisation: `q2k`, `q3k`, `q4k`, `q5k`, `q6k`, `q8_0`; none when left out.
    pub quantization: Option<String>,
    /// Context, tokens; bounded by what the model supports.
    pub context_length: usize,
    /// Requests that may wait for the engine; one more is answered 429.
    pub queue_length: usize,
    /// Longest generation, milliseconds.
    pub time_limit_ms: u64,
    /// Sequences kept in the prefix cache, on accelerators only.
    pub prefix_cache: usize,
    /// Whether models may be fetched from the hub when they are not on disk.
    pub network: bool,
    /// How the model is prompted: `auto`, `instruct`, or `pointer` for models trained on the bare marker format.
    pub prompt: String,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            source: "bundled".to_owned(),
            revision: None,
            device: "auto".to_owned(),
            quantization: None,
            context_length: 4096,
            queue_length: 32,
            time_limit_ms: 60_000,
            prefix_cache: 16,
            network: false,
            prompt: "auto".to_owned(),
        }
    }
}

/// How the model cites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Citing {
    /// The model names sentence markers; the runtime expands them to the verbatim sentences.
    #[default]
    Point,
    /// The model copies the quote; only substrings of the named passage can be decoded.
    Quote,
}

/// How a question that leans on what was said before becomes one that stands alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rewriting {
    /// By words, in microseconds.
    #[default]
    Words,
    /// By the model, which costs one more generation; models that only point do it by words.
    Model,
}

/// How answers are made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnswerConfig {
    /// How the model cites.
    pub citing: Citing,
    /// Passages offered to the model.
    pub top_k: usize,
    /// Most citations in an answer.
    pub max_citations: usize,
    /// Most generated tokens.
    pub max_tokens: usize,
    /// `extractive`, and a model that only points, abstain where no sentence scores this, 0 to 1.
    pub extractive_threshold: f32,
    /// Nothing is generated, and the answer is an abstention, where retrieval is less confident than this, 0 to 1.
    pub retrieval_threshold: f32,
    /// How a question of a conversation becomes one that stands alone.
    pub rewriting: Rewriting,
    /// Whether the passages before and after those found are shown too, where the prompt has room.
    pub neighbours: bool,
}

impl Default for AnswerConfig {
    fn default() -> Self {
        Self {
            citing: Citing::Point,
            top_k: 6,
            max_citations: 3,
            max_tokens: 512,
            extractive_threshold: 0.45,
            retrieval_threshold: 0.0,
            rewriting: Rewriting::Words,
            neighbours: true,
        }
    }
}

/// Logs on stderr.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `text` or `json`.
    pub format: String,
    /// A filter such as `info` or `quoin=debug,tantivy=warn`.
    pub filter: String,
    /// Whether logs may hold the text of questions and answers.
    pub content: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: "text".to_owned(),
            filter: "warn,quoin=info,quoin_retriever=info,quoin_engine=info,quoin_adapters=info"
                .to_owned(),
            content: false,
        }
    }
}

impl Config {
    /// Reads `file` (defaults when `None`), lets `QUOIN_DATA` and `QUOIN_LISTEN` override it, and checks every bound.
    ///
    /// # Errors
    /// A file that cannot be read or parsed, an unknown key, a value out of bounds: each names the key.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut config = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
                    path: path.to_owned(),
                    source,
                })?;
                Self::parse(&text, path)?
            }
            None => Self::default(),
        };
        if let Some(data) = std::env::var_os("QUOIN_DATA") {
            config.data = DataFolder(PathBuf::from(data));
        }
        if let Ok(listen) = std::env::var("QUOIN_LISTEN") {
            config.server.listen = listen.parse().map_err(|_| ConfigError::Bounds {
                key: "QUOIN_LISTEN",
                bound: "ADDRESS:PORT".to_owned(),
                got: format!("`{listen}`"),
            })?;
        }
        config.checked()
    }

    /// Parses TOML; `path` is only for the error.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            message: error.to_string(),
        })
    }

    /// Checks every bound.
    ///
    /// # Errors
    /// [`ConfigError::Bounds`] names the first key outside its bounds.
    pub fn checked(self) -> Result<Self, ConfigError> {
        let bounds: [(&'static str, usize, usize, usize); 15] = [
            (
                "server.max_body_bytes",
                self.server.max_body_bytes,
                1 << 10,
                1 << 30,
            ),
            (
                "server.max_document_bytes",
                self.server.max_document_bytes,
                1 << 10,
                1 << 30,
            ),
            (
                "server.max_question_bytes",
                self.server.max_question_bytes,
                64,
                1 << 20,
            ),
            (
                "server.max_concurrent_requests",
                self.server.max_concurrent_requests,
                1,
                100_000,
            ),
            (
                "model.context_length",
                self.model.context_length,
                256,
                1 << 20,
            ),
            ("model.queue_length", self.model.queue_length, 0, 100_000),
            ("model.prefix_cache", self.model.prefix_cache, 0, 4096),
            ("adapters.max_loaded", self.adapters.max_loaded, 1, 64),
            ("answers.top_k", self.answers.top_k, 1, 64),
            ("answers.max_citations", self.answers.max_citations, 1, 16),
            ("answers.max_tokens", self.answers.max_tokens, 8, 32_768),
            (
                "retrieval.rerank_depth",
                self.retrieval.rerank_depth.unwrap_or(1),
                1,
                1000,
            ),
            (
                "model.time_limit_ms",
                milliseconds(self.model.time_limit_ms),
                100,
                3_600_000,
            ),
            (
                "server.request_timeout_ms",
                milliseconds(self.server.request_timeout_ms),
                100,
                3_600_000,
            ),
            (
                "server.drain_timeout_ms",
                milliseconds(self.server.drain_timeout_ms),
                0,
                3_600_000,
            ),
        ];
        for (key, got, low, high) in bounds {
            if !(low..=high).contains(&got) {
                return Err(ConfigError::Bounds {
                    key,
                    bound: format!("between {low} and {high}"),
                    got: got.to_string(),
                });
            }
        }
        share(
            "answers.extractive_threshold",
            self.answers.extractive_threshold,
        )?;
        share(
            "answers.retrieval_threshold",
            self.answers.retrieval_threshold,
        )?;
        self.model.device.parse::<Device>()?;
        if let Some(quantization) = &self.model.quantization {
            quantization.parse::<Quantization>()?;
        }
        one_of(
            "model.prompt",
            &self.model.prompt,
            &["auto", "instruct", "pointer"],
        )?;
        self.retrieval.check()?;
        settings::check(&self.sources)?;
        one_of("log.format", &self.log.format, &["text", "json"])?;
        Ok(self)
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data.0
    }

    /// The local socket of the server that owns the data folder.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.data().join("quoin.sock")
    }

    /// Longest time for one request.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.server.request_timeout_ms)
    }
}

fn milliseconds(setting: u64) -> usize {
    usize::try_from(setting).unwrap_or(usize::MAX)
}

fn share(key: &'static str, got: f32) -> Result<(), ConfigError> {
    if (0.0..=1.0).contains(&got) {
        return Ok(());
    }
    Err(ConfigError::Bounds {
        key,
        bound: "between 0 and 1".to_owned(),
        got: got.to_string(),
    })
}

fn one_of(key: &'static str, got: &str, allowed: &[&str]) -> Result<(), ConfigError> {
    if allowed.contains(&got) {
        return Ok(());
    }
    Err(ConfigError::Bounds {
        key,
        bound: format!("one of {}", allowed.join(", ")),
        got: format!("`{got}`"),
    })
}
