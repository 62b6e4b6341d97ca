//! What an engine is told at start, and what it is asked to load.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use crate::EngineError;

/// Where a base model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaseModel {
    /// `config.json`, `tokenizer.json` and safetensors files, single or sharded.
    Folder(PathBuf),
    /// One GGUF file, which holds its tokenizer. Takes no adapter.
    Gguf(PathBuf),
    /// A model of the Hugging Face hub: from [`EngineSettings::cache_folder`], or fetched when the network is allowed.
    Hub {
        id: String,
        revision: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSource {
    pub base: BaseModel,
    /// A folder that PEFT wrote: `adapter_config.json` and `adapter_model.safetensors`.
    pub adapter: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The accelerator that this program was built for, or the CPU.
    #[default]
    Auto,
    Cpu,
    /// By index. Needs the Cargo feature `cuda`.
    Cuda(usize),
    /// Needs the Cargo feature `metal`.
    Metal,
}

/// In-situ quantisation: the weights are quantised as they are loaded. GGUF files are quantised already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantization {
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Q8_0,
}

impl Quantization {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Q2K, "Q2K"),
        (Self::Q3K, "Q3K"),
        (Self::Q4K, "Q4K"),
        (Self::Q5K, "Q5K"),
        (Self::Q6K, "Q6K"),
        (Self::Q8_0, "Q8_0"),
    ];
}

impl fmt::Display for Quantization {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL
            .iter()
            .find(|(value, _)| value == self)
            .map_or("", |(_, name)| name);
        formatter.write_str(name)
    }
}

impl FromStr for Quantization {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, EngineError> {
        let found = Self::ALL
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(text));
        found
            .map(|(value, _)| *value)
            .ok_or_else(|| EngineError::Setting {
                key: "quantization",
                reason: format!(
                    "`{text}` is not one of {}",
                    Self::ALL.map(|(_, name)| name).join(", ")
                ),
            })
    }
}

impl FromStr for Device {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, EngineError> {
        let cuda = text
            .strip_prefix("cuda")
            .map(|index| index.strip_prefix(':').unwrap_or("0"));
        match (text, cuda.map(str::parse)) {
            ("auto", _) => Ok(Self::Auto),
            ("cpu", _) => Ok(Self::Cpu),
            ("metal", _) => Ok(Self::Metal),
            (_, Some(Ok(index))) => Ok(Self::Cuda(index)),
            _ => Err(EngineError::Setting {
                key: "device",
                reason: format!("`{text}` is not one of auto, cpu, cuda, cuda:<index>, metal"),
            }),
        }
    }
}

#[derive(Clone, Debug)]
pub struct EngineSettings {
    pub device: Device,
    pub quantization: Option<Quantization>,
    /// Upper bound in tokens; the model's own length when that is less or when `None`.
    pub context_length: Option<usize>,
    /// Requests that decode at the same time on one model. Only 1 is supported: mistralrs 0.8.1 mixes up sequences that
    /// decode together, and on a CPU nothing would be gained.
    pub max_running: usize,
    /// Requests that wait for one model beside those that run. 0: whoever cannot start at once is refused.
    pub queue_length: usize,
    /// Of one generation, waiting included.
    pub time_limit: Duration,
    /// Prompts whose computed beginnings are kept for the next ones. 0: none. Fewer where they could take more than 1 GiB.
    pub prefix_cache: usize,
    /// Whether loading a hub id may fetch it. An explicit [`crate::hub::pull`] may always.
    pub network: bool,
    /// Hub models, in the hub's own cache layout.
    pub cache_folder: PathBuf,
}

impl EngineSettings {
    #[must_use]
    pub fn new(cache_folder: impl Into<PathBuf>) -> Self {
        Self {
            device: Device::Auto,
            quantization: None,
            context_length: None,
            max_running: 1,
            queue_length: 16,
            time_limit: Duration::from_mins(2),
            prefix_cache: 16,
            network: false,
            cache_folder: cache_folder.into(),
        }
    }
}
