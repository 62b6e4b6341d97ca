//! Which base model an adapter belongs to: its digest, and the shape of each module that an adapter may change.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::digest::{digest_of, hash_file, hex};
use crate::error::AdapterError;

const CONFIG: &str = "config.json";
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Their decoder layers hold the same seven projections under the same names, and the engine merges adapters into each.
const ARCHITECTURES: &[&str] = &[
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
    "SmolLM3ForCausalLM",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseIdentity {
    /// What people call it: the hub id or the folder's name. Not compared.
    pub id: String,
    /// `sha256:…` of the weights; see [`BaseIdentity::weights_digest`].
    pub digest: String,
    /// The number of decoder layers; every one holds every module but `lm_head`.
    pub layers: usize,
    /// The module's path within its layer, or `lm_head`, to its features (in, out).
    pub modules: BTreeMap<String, (usize, usize)>,
}

#[derive(Deserialize)]
struct Config {
    architectures: Option<Vec<String>>,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    vocab_size: usize,
    #[serde(default)]
    tie_word_embeddings: bool,
}

impl BaseIdentity {
    /// Reads `config.json` and digests the weights of a model folder; 1 GB of weights takes about a second.
    pub fn of_folder(folder: &Path) -> Result<Self, AdapterError> {
        let config = read_config(&folder.join(CONFIG))?;
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        Ok(Self {
            id: name.to_string_lossy().into_owned(),
            digest: Self::weights_digest(folder)?,
            layers: config.num_hidden_layers,
            modules: modules(&config),
        })
    }

    /// `sha256:…` of the only `.safetensors` file in the folder, which is also what `sha256sum` and the hub show for it; of
    /// several, the digest of their `sha256sum` listing (`<hex>  <name>\n`) in the order of their names.
    pub fn weights_digest(folder: &Path) -> Result<String, AdapterError> {
        let mut hashes = Vec::new();
        for path in weight_files(folder)? {
            let (hash, _) = hash_file(&path).map_err(AdapterError::io("read", &path))?;
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            hashes.push((hash, name));
        }
        match hashes.as_slice() {
            [] => Err(AdapterError::Base {
                path: folder.to_owned(),
                reason: "holds no `.safetensors` file: an adapter needs a base in that format"
                    .to_owned(),
            }),
            [(hash, _)] => Ok(format!("sha256:{hash}")),
            several => {
                let mut listing = Sha256::new();
                for (hash, name) in several {
                    listing.update(format!("{hash}  {name}\n"));
                }
                Ok(format!("sha256:{}", hex(listing)))
            }
        }
    }

    /// The features (in, out) of the module that a LoRA's `target_modules` calls `name`, with its path in a layer.
    pub(crate) fn module(&self, name: &str) -> Option<(&str, (usize, usize))> {
        self.modules
            .iter()
            .find(|(path, _)| short_name(path) == name)
            .map(|(path, shape)| (path.as_str(), *shape))
    }

    pub(crate) fn module_names(&self) -> impl Iterator<Item = &str> {
        self.modules.keys().map(|path| short_name(path))
    }

    /// For bases that come without a folder of weights, and for tests: a digest of any text that identifies them.
    #[must_use]
    pub fn digest_of_text(text: &str) -> String {
        digest_of(text.as_bytes())
    }
}

fn short_name(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, AdapterError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(AdapterError::io("list", folder))? {
        let path = entry.map_err(AdapterError::io("list", folder))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "safetensors")
            && path.is_file()
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_config(path: &Path) -> Result<Config, AdapterError> {
    let refuse = |reason: String| AdapterError::Base {
        path: path.to_owned(),
        reason,
    };
    let file = File::open(path).map_err(AdapterError::io("open", path))?;
    let mut bytes = Vec::new();
    file.take(CONFIG_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(AdapterError::io("read", path))?;
    if bytes.len() as u64 > CONFIG_BYTES_MAX {
        return Err(refuse(format!("has more than {CONFIG_BYTES_MAX} bytes")));
    }
    let config: Config =
        serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;

    let architectures = config.architectures.as_deref().unwrap_or_default();
    if !architectures
        .iter()
        .any(|name| ARCHITECTURES.contains(&name.as_str()))
    {
        return Err(refuse(format!(
            "`architectures` is {architectures:?}, adapters are served on one of {ARCHITECTURES:?}"
        )));
    }
    let counts = [
        ("hidden_size", config.hidden_size),
        ("intermediate_size", config.intermediate_size),
        ("num_hidden_layers", config.num_hidden_layers),
        ("num_attention_heads", config.num_attention_heads),
        (
            "num_key_value_heads",
            config.num_key_value_heads.unwrap_or(1),
        ),
        ("head_dim", config.head_dim.unwrap_or(1)),
        ("vocab_size", config.vocab_size),
    ];
    for (field, count) in counts {
        if !(1..=1 << 24).contains(&count) {
            return Err(refuse(format!(
                "`{field}` is {count}, must be 1 to {}",
                1 << 24
            )));
        }
    }
    Ok(config)
}

fn modules(config: &Config) -> BTreeMap<String, (usize, usize)> {
    let heads = config.num_attention_heads;
    let head_size = config.head_dim.unwrap_or(config.hidden_size / heads);
    let queries = heads * head_size;
    let keys = config.num_key_value_heads.unwrap_or(heads) * head_size;
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let mut modules = BTreeMap::from([
        ("self_attn.q_proj".to_owned(), (hidden, queries)),
        ("self_attn.k_proj".to_owned(), (hidden, keys)),
        ("self_attn.v_proj".to_owned(), (hidden, keys)),
        ("self_attn.o_proj".to_owned(), (queries, hidden)),
        ("mlp.gate_proj".to_owned(), (hidden, inner)),
        ("mlp.up_proj".to_owned(), (hidden, inner)),
        ("mlp.down_proj".to_owned(), (inner, hidden)),
    ]);
    if !config.tie_word_embeddings {
        // A tied head is the embedding itself, and the engine would leave an adapter of it out without a word.
        modules.insert("lm_head".to_owned(), (hidden, config.vocab_size));
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(config: &str, weights: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(CONFIG), config).unwrap();
        for (name, content) in weights {
            fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    const QWEN: &str = r#"{"architectures": ["Qwen3ForCausalLM"], "hidden_size": 1024, "intermediate_size": 3072,
        "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
        "vocab_size": 151936, "tie_word_embeddings": true, "rope_parameters": {"rope_theta": 1000000}}"#;

    #[test]
    fn shapes_follow_the_heads_and_not_the_hidden_size() {
        let folder = folder(QWEN, &[("model.safetensors", "weights")]);
        let base = BaseIdentity::of_folder(folder.path()).unwrap();
        assert_eq!(base.layers, 28);
        assert_eq!(base.modules["self_attn.q_proj"], (1024, 2048));
        assert_eq!(base.modules["self_attn.k_proj"], (1024, 1024));
        assert_eq!(base.modules["self_attn.o_proj"], (2048, 1024));
        assert_eq!(base.modules["mlp.down_proj"], (3072, 1024));
        assert!(
            !base.modules.contains_key("lm_head"),
            "a tied head cannot be adapted"
        );
        assert_eq!(base.digest, digest_of(b"weights"));
    }

    #[test]
    fn the_head_size_defaults_to_hidden_size_over_heads() {
        let config = r#"{"architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 128,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 300, "head_dim": null}"#;
        let folder = folder(config, &[("model.safetensors", "")]);
        let base = BaseIdentity::of_folder(folder.path()).unwrap();
        assert_eq!(base.modules["self_attn.v_proj"], (64, 32));
        assert_eq!(base.modules["lm_head"], (64, 300));
    }

    #[test]
    fn the_digest_of_shards_changes_with_each_of_them_and_not_with_other_files() {
        let two = folder(
            QWEN,
            &[
                ("a.safetensors", "1"),
                ("b.safetensors", "2"),
                ("README.md", "x"),
            ],
        );
        let same = folder(QWEN, &[("b.safetensors", "2"), ("a.safetensors", "1")]);
        let other = folder(QWEN, &[("a.safetensors", "2"), ("b.safetensors", "1")]);
        let digest =
            |folder: &tempfile::TempDir| BaseIdentity::weights_digest(folder.path()).unwrap();
        assert_eq!(digest(&two), digest(&same));
        assert_ne!(digest(&two), digest(&other));
    }

    #[test]
    fn a_base_that_adapters_are_not_served_on_is_refused_by_its_architecture() {
        let folder = folder(
            &QWEN.replace("Qwen3ForCausalLM", "Phi3ForCausalLM"),
            &[("m.safetensors", "")],
        );
        let error = BaseIdentity::of_folder(folder.path())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`architectures` is [\"Phi3ForCausalLM\"]"),
            "{error}"
        );
    }

    #[test]
    fn a_count_of_zero_is_refused_before_it_divides() {
        let folder = folder(
            &QWEN.replace("\"num_attention_heads\": 16", "\"num_attention_heads\": 0"),
            &[],
        );
        let error = BaseIdentity::of_folder(folder.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains("`num_attention_heads` is 0"), "{error}");
    }
}
