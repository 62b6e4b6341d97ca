//! Loads one model into a mistralrs instance of its own, on a thread of its own.
//!
//! The thread matters: mistralrs keeps the adapters that it merges, and the quantisation that it applies, in thread-local
//! lists that it never clears. A second model loaded on the same thread would get the first one's adapter.

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use mistralrs::{
    DefaultSchedulerMethod, Device as Hardware, MistralRs, ModelDType, SchedulerConfig,
    core::{
        AdapterPaths, DeviceMapSetting, GGUFLoaderBuilder, GGUFSpecificConfig, Loader,
        LocalModelPaths, MistralRsBuilder, ModelPaths, NormalLoaderBuilder, NormalSpecificConfig,
        Pipeline,
    },
};
use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::{
    adapter::Adapter,
    config::normalized,
    folder::ModelFolder,
    hardware::{device_name, folder_dtype, hardware, isq_type},
    memory,
};
use crate::{
    EngineError, EngineSettings, Quantization, digest,
    gguf::Head,
    template::{ChatTemplate, SpecialTokens},
};

/// The prefix cache keeps fewer prompts than the setting says where they could take more than this.
const MOST_PREFIX_CACHE_BYTES: usize = 1 << 30;

/// A base model on this machine.
pub(crate) enum LocalBase {
    Folder(PathBuf),
    Gguf(PathBuf),
}

pub(crate) struct LocalSource {
    pub base: LocalBase,
    pub adapter: Option<PathBuf>,
}

/// A model in memory and what is needed to talk to it.
pub(super) struct Loaded {
    pub mistral: Arc<MistralRs>,
    pub tokenizer: Arc<Tokenizer>,
    pub ends: Vec<u32>,
    pub template: ChatTemplate,
    pub model_length: usize,
    pub architecture: String,
    pub device: String,
    pub base_digest: String,
    pub adapter_digest: Option<String>,
}

struct Job {
    name: String,
    source: LocalSource,
    settings: EngineSettings,
}

type SharedPipeline = Arc<tokio::sync::Mutex<dyn Pipeline + Send + Sync>>;

/// # Errors
/// What is wrong with the files, the settings or the machine. A panic inside mistralrs becomes an error too.
pub(super) async fn load(
    name: &str,
    source: LocalSource,
    settings: &EngineSettings,
) -> Result<Loaded, EngineError> {
    let job = Job {
        name: name.to_owned(),
        source,
        settings: settings.clone(),
    };
    let thread_name = name.to_owned();
    let loading = move || on_own_thread(&thread_name, move |_| job.run());
    let joined = tokio::task::spawn_blocking(loading).await;
    joined.map_err(|error| failed(name, &error))?
}

/// Runs `loading` on a thread that nothing was loaded on before. Blocking.
///
/// # Errors
/// Those of `loading`; a panic in it becomes one too.
pub(super) fn on_own_thread<T: Send + 'static>(
    name: &str,
    loading: impl FnOnce(&str) -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    let owned = name.to_owned();
    let worker = thread::Builder::new()
        .name(format!("load {name}"))
        .spawn(move || loading(&owned))
        .map_err(|error| failed(name, &error))?;
    worker
        .join()
        .unwrap_or_else(|panic| Err(failed(name, &panic_message(panic.as_ref()))))
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!(
        "the loader broke off: {}",
        text.unwrap_or("no reason given")
    )
}

impl Job {
    fn run(self) -> Result<Loaded, EngineError> {
        if self.settings.max_running != 1 {
            // Measured: with two or three sequences in its scheduler, about one answer in ten differs from the one that the
            // same request gets alone.
            let reason = format!(
                "{} is not supported, 1 is: mistralrs 0.8.1 answers wrongly when requests decode together",
                self.settings.max_running
            );
            return Err(EngineError::Setting {
                key: "max_running",
                reason,
            });
        }
        match &self.source.base {
            LocalBase::Folder(path) => self.load_folder(path),
            LocalBase::Gguf(path) => self.load_gguf(path),
        }
    }

    fn load_folder(&self, path: &Path) -> Result<Loaded, EngineError> {
        let folder = ModelFolder::open(path)?;
        let adapter = self
            .source
            .adapter
            .as_ref()
            .map(|path| Adapter::open(path, &folder.tensors))
            .transpose()?;
        let hardware = hardware(self.settings.device)?;
        let dtype = folder_dtype(&hardware);
        self.check_memory_for(&folder, &hardware)?;
        self.warn_of_slow_rows(&folder, &hardware);
        let ends = folder.ends();
        // mistralrs reads these copies; the weights and the tokenizer are read where they are.
        let copies = tempfile::tempdir().map_err(EngineError::io(&std::env::temp_dir()))?;
        let paths = LocalModelPaths {
            tokenizer_filename: folder.tokenizer_file(),
            config_filename: write_json(
                copies.path(),
                "config.json",
                &normalized(&folder.config, &path.join("config.json"))?,
            )?,
            // Prompts are rendered by us. A template of theirs would also switch on their parsers of reasoning and tools.
            template_filename: Some(write_json(
                copies.path(),
                "tokenizer_config.json",
                &json!({"chat_template": "{{ messages }}"}),
            )?),
            filenames: folder.weights.clone(),
            adapter_paths: adapter
                .as_ref()
                .map_or(Ok(AdapterPaths::None), Adapter::paths)?,
            gen_conf: Some(write_json(
                copies.path(),
                "generation_config.json",
                &json!({"eos_token_id": ends}),
            )?),
            preprocessor_config: None,
            processor_config: None,
            chat_template_json_filename: None,
        };
        let config = NormalSpecificConfig::default();
        let mut builder =
            NormalLoaderBuilder::new(config, None, None, Some(self.name.clone()), false, None);
        if adapter.is_some() {
            builder = builder.with_lora(vec![self.name.clone()]);
        }
        let loader = builder.build(None).map_err(|error| self.failed(&error))?;
        let pipeline = self.pipeline(loader.as_ref(), paths, &hardware, dtype)?;
        let (tokenizer, model_length, _) = self.facts(&pipeline)?;
        let kept_prompts = self.kept_prompts(&pipeline);
        Ok(Loaded {
            mistral: start(&self.name, pipeline, kept_prompts)?,
            tokenizer,
            ends,
            template: folder.template()?,
            model_length,
            architecture: folder.architecture(),
            device: device_name(&hardware),
            base_digest: digest::of_files(&folder.identity_files())?,
            adapter_digest: adapter
                .map(|adapter| digest::of_files(&adapter.identity_files()))
                .transpose()?,
        })
    }

    fn check_memory_for(
        &self,
        folder: &ModelFolder,
        hardware: &Hardware,
    ) -> Result<(), EngineError> {
        let quantization = self.settings.quantization;
        let context = self.settings.context_length.unwrap_or_default();
        let needed = memory::of_folder(&folder.tensors, &folder.config, quantization, context);
        memory::check(&self.name, needed, hardware)
    }

    /// Rows that are no multiple of 256 (Qwen2.5-0.5B and `SmolLM2` have them) fit no K block. mistralrs 0.8.1 takes other blocks
    /// for them, which candle 0.10.2 multiplies a number at a time on a CPU.
    fn warn_of_slow_rows(&self, folder: &ModelFolder, hardware: &Hardware) {
        let by_k_blocks = self
            .settings
            .quantization
            .filter(|quantization| *quantization != Quantization::Q8_0);
        if let Some(quantization) = by_k_blocks
            && matches!(hardware, Hardware::Cpu)
            && let Some(columns) = folder.columns_without_k_blocks()
        {
            tracing::warn!(
                model = self.name,
                columns,
                "{quantization} fits no rows that are no multiple of 256: other blocks are taken, which are slow on a CPU"
            );
        }
    }

    fn load_gguf(&self, path: &Path) -> Result<Loaded, EngineError> {
        if let Some(adapter) = &self.source.adapter {
            let reason = "a GGUF base takes no adapter: merge it before conversion, or use the model's safetensors";
            return Err(EngineError::adapter(adapter, reason));
        }
        if let Some(quantization) = self.settings.quantization {
            let reason = format!(
                "{quantization} cannot be applied to `{}`: a GGUF file is quantised already",
                path.display()
            );
            return Err(EngineError::Setting {
                key: "quantization",
                reason,
            });
        }
        let head = Head::read(path)?;
        let hardware = hardware(self.settings.device)?;
        let bytes = path.metadata().map_err(EngineError::io(path))?.len();
        let needed = memory::of_file(bytes, head.table_bytes(), head.vocabulary_size());
        memory::check(&self.name, needed, &hardware)?;
        self.warn_of(&head, &hardware);
        let paths = LocalModelPaths {
            tokenizer_filename: PathBuf::new(),
            config_filename: PathBuf::new(),
            template_filename: None,
            filenames: vec![path.to_owned()],
            adapter_paths: AdapterPaths::None,
            gen_conf: None,
            preprocessor_config: None,
            processor_config: None,
            chat_template_json_filename: None,
        };
        let loader = GGUFLoaderBuilder::new(
            None,
            None,
            self.name.clone(),
            vec![],
            GGUFSpecificConfig::default(),
            false,
            None,
        )
        .build();
        let dtype = if matches!(hardware, Hardware::Cpu) {
            ModelDType::F32
        } else {
            ModelDType::Auto
        };
        let pipeline = self.pipeline(loader.as_ref(), paths, &hardware, dtype)?;
        let (tokenizer, model_length, ends) = self.facts(&pipeline)?;
        let kept_prompts = self.kept_prompts(&pipeline);
        let tokens = SpecialTokens {
            bos_token: head.token("tokenizer.ggml.bos_token_id"),
            eos_token: head.token("tokenizer.ggml.eos_token_id"),
            unk_token: head.token("tokenizer.ggml.unknown_token_id"),
            pad_token: head.token("tokenizer.ggml.padding_token_id"),
        };
        let tokenizer = with_text_tokens(&tokenizer, &head.text_tokens())
            .map_err(|error| self.failed(&error))?;
        let template = head.text("tokenizer.chat_template");
        Ok(Loaded {
            mistral: start(&self.name, pipeline, kept_prompts)?,
            tokenizer: Arc::new(tokenizer),
            ends,
            template: ChatTemplate::new(
                template,
                tokens,
                head.flag("tokenizer.ggml.add_bos_token").unwrap_or(false),
            )?,
            model_length,
            architecture: head
                .text("general.architecture")
                .unwrap_or("unknown")
                .to_owned(),
            device: device_name(&hardware),
            base_digest: digest::of_files(&[path.to_owned()])?,
            adapter_digest: None,
        })
    }

    /// What such a file loses here, which nothing else would show.
    fn warn_of(&self, head: &Head, hardware: &Hardware) {
        if head.scales_positions() {
            tracing::warn!(
                model = self.name,
                "its answers are worse than they should be: mistralrs 0.8.1 does not scale positions (`rope_freqs`) in GGUF \
                 files of this architecture; the model's safetensors are served rightly"
            );
        }
        let share = head.slow_share();
        if matches!(hardware, Hardware::Cpu) && share > 0.1 {
            tracing::warn!(
                model = self.name,
                "{:.0} % of its weights are in blocks that are slow on a CPU (Q4_1, Q5_0 or Q5_1)",
                share * 100.0
            );
        }
    }

    fn pipeline(
        &self,
        loader: &dyn Loader,
        paths: LocalModelPaths<PathBuf>,
        hardware: &Hardware,
        dtype: ModelDType,
    ) -> Result<SharedPipeline, EngineError> {
        let paths: Box<dyn ModelPaths> = Box::new(paths);
        let quantization = self.settings.quantization.map(isq_type);
        let map = DeviceMapSetting::dummy();
        loader
            .load_model_from_path(&paths, &dtype, hardware, true, map, quantization, None)
            .map_err(|error| self.failed(&error))
    }

    /// Tokenizer, context length in tokens and ends of an output, as the loaded model has them.
    fn facts(
        &self,
        pipeline: &SharedPipeline,
    ) -> Result<(Arc<Tokenizer>, usize, Vec<u32>), EngineError> {
        let pipeline = pipeline.blocking_lock();
        let tokenizer = pipeline
            .tokenizer()
            .ok_or_else(|| self.failed(&"the model has no tokenizer"))?;
        let metadata = pipeline.get_metadata();
        Ok((tokenizer, metadata.max_seq_len, metadata.eos_tok.clone()))
    }

    /// Prompts that the prefix cache may keep: each costs the keys and values of a whole context at worst.
    ///
    /// None on a CPU: mistralrs 0.8.1 counts only caches on accelerators when it evicts, so there it keeps every prompt for
    /// ever.
    fn kept_prompts(&self, pipeline: &SharedPipeline) -> usize {
        let pipeline = pipeline.blocking_lock();
        if pipeline.device().is_cpu() {
            return 0;
        }
        let metadata = pipeline.get_metadata();
        let tokens = metadata
            .max_seq_len
            .min(self.settings.context_length.unwrap_or(usize::MAX));
        let numbers: usize = metadata.model_metadata.as_ref().map_or(0, |model| {
            (0..model.num_layers())
                .map(|layer| {
                    let width =
                        model.k_head_dim_for_layer(layer) + model.v_head_dim_for_layer(layer);
                    model.num_kv_heads_for_layer(layer) * width
                })
                .sum()
        });
        let bytes = tokens * numbers * metadata.activation_dtype.size_in_bytes();
        self.settings
            .prefix_cache
            .min(MOST_PREFIX_CACHE_BYTES / bytes.max(1))
    }

    fn failed(&self, reason: &dyn std::fmt::Display) -> EngineError {
        failed(&self.name, reason)
    }
}

/// Starts the thread that computes, one sequence at a time, and keeps this many prompts for the next ones.
pub(super) fn start(
    name: &str,
    pipeline: SharedPipeline,
    kept_prompts: usize,
) -> Result<Arc<MistralRs>, EngineError> {
    let scheduler = SchedulerConfig::DefaultScheduler {
        method: DefaultSchedulerMethod::Fixed(NonZeroUsize::MIN),
    };
    let builder = MistralRsBuilder::new(pipeline, scheduler, false, None)
        .with_no_prefix_cache(kept_prompts == 0)
        .with_prefix_cache_n(kept_prompts);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| failed(name, &error))?;
    Ok(runtime.block_on(builder.build()))
}

pub(super) fn failed(name: &str, reason: &dyn std::fmt::Display) -> EngineError {
    // Some of mistralrs's errors carry a stack trace.
    let reason = reason
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned();
    EngineError::Load {
        name: name.to_owned(),
        reason,
    }
}

/// A copy in which these added tokens are text, not control.
fn with_text_tokens(
    tokenizer: &Tokenizer,
    texts: &BTreeSet<&str>,
) -> Result<Tokenizer, tokenizers::Error> {
    let mut description: Value = serde_json::from_str(&tokenizer.to_string(false)?)?;
    for token in description["added_tokens"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        if token["content"]
            .as_str()
            .is_some_and(|content| texts.contains(content))
        {
            token["special"] = json!(false);
        }
    }
    Tokenizer::from_bytes(description.to_string())
}

pub(super) fn write_json(folder: &Path, name: &str, value: &Value) -> Result<PathBuf, EngineError> {
    let path = folder.join(name);
    std::fs::write(&path, value.to_string()).map_err(EngineError::io(&path))?;
    Ok(path)
}
