//! Whether a model fits into memory, asked before it is loaded: a process that the system kills for its memory answers nobody.
//!
//! On a CPU under Linux; an accelerator's driver refuses by itself what does not fit.

use std::fs;
use std::path::{Path, PathBuf};

use mistralrs::Device as Hardware;
use serde_json::Value;

use super::folder::{TensorInfo, Tensors};
use crate::{EngineError, Quantization};

/// A margin for what loading and answering take beside weights and context, as a share of the weights.
const BESIDE_WEIGHTS_PERCENT: u64 = 20;

/// For each token of a vocabulary: tokenizers, the trie that grammars walk, and what making them leaves behind. Measured with
/// 152,000 tokens: 0.58 GB for a folder, 0.66 GB for a GGUF file.
const VOCABULARY_TOKEN_BYTES: u64 = 4_400;

/// What is looked up for each token of a prompt: it is never quantised in memory.
const TABLE: &str = "embed_tokens.weight";
const TABLE_BYTES_PER_NUMBER: u64 = 4;

/// Bits that a weight takes in memory on a CPU, with its scales, rounded up.
const fn bits(quantization: Option<Quantization>) -> u64 {
    match quantization {
        None => 32,
        Some(Quantization::Q2K) => 3,
        Some(Quantization::Q3K) => 4,
        Some(Quantization::Q4K) => 5,
        Some(Quantization::Q5K) => 6,
        Some(Quantization::Q6K) => 7,
        Some(Quantization::Q8_0) => 9,
    }
}

/// Bytes for the weights of a folder, and for the keys and values of one context of `context_tokens`.
pub(super) fn of_folder(
    tensors: &Tensors,
    config: &Value,
    quantization: Option<Quantization>,
    context_tokens: usize,
) -> u64 {
    let parameters = tensors.values().map(numbers).fold(0, u64::saturating_add);
    let weights = parameters.saturating_mul(bits(quantization)) / 8;
    // The output layer that shares the table is quantised beside it.
    let table = tensors
        .iter()
        .filter(|(name, _)| quantization.is_some() && name.ends_with(TABLE))
        .map(|(_, tensor)| numbers(tensor).saturating_mul(TABLE_BYTES_PER_NUMBER))
        .fold(0, u64::saturating_add);
    // A tensor that is converted lies beside its source for a moment: the largest one counts.
    let largest = tensors
        .values()
        .map(|tensor| numbers(tensor).saturating_mul(whole(tensor.dtype.bitsize()) / 8))
        .max()
        .unwrap_or_default();
    let tokens = config.get("vocab_size").and_then(Value::as_u64);
    beside(weights)
        .saturating_add(table)
        .saturating_add(largest)
        .saturating_add(of_vocabulary(tokens.unwrap_or_default()))
        .saturating_add(of_context(config, context_tokens))
}

const fn of_vocabulary(tokens: u64) -> u64 {
    tokens.saturating_mul(VOCABULARY_TOKEN_BYTES)
}

fn numbers(tensor: &TensorInfo) -> u64 {
    let sides = tensor.shape.iter().map(|side| whole(*side));
    sides.fold(1, u64::saturating_mul)
}

/// Bytes for a GGUF file, whose weights are served as they lie, but for the table of tokens.
pub(super) fn of_file(bytes: u64, table_bytes: u64, tokens: u64) -> u64 {
    beside(bytes)
        .saturating_add(table_bytes)
        .saturating_add(of_vocabulary(tokens))
}

const fn beside(weights: u64) -> u64 {
    weights.saturating_add(weights / 100 * BESIDE_WEIGHTS_PERCENT)
}

/// Keys and values: 2 × layers × key-value heads × their width × 4 bytes for each token.
fn of_context(config: &Value, tokens: usize) -> u64 {
    let number = |key: &str| config.get(key).and_then(Value::as_u64);
    let heads = number("num_attention_heads").unwrap_or(1).max(1);
    let width = number("head_dim")
        .or_else(|| Some(number("hidden_size")? / heads))
        .unwrap_or(0);
    [
        2,
        number("num_hidden_layers").unwrap_or(0),
        number("num_key_value_heads").unwrap_or(heads),
        width,
        4,
        whole(tokens),
    ]
    .into_iter()
    .fold(1, u64::saturating_mul)
}

/// Refuses what needs more than there is. What cannot be known refuses nothing.
///
/// # Errors
/// [`EngineError::Memory`], with both figures.
pub(super) fn check(name: &str, needed: u64, hardware: &Hardware) -> Result<(), EngineError> {
    let Some(available) = available().filter(|_| matches!(hardware, Hardware::Cpu)) else {
        return Ok(());
    };
    if needed <= available {
        return Ok(());
    }
    Err(EngineError::Memory {
        name: name.to_owned(),
        needed_mib: needed.div_ceil(1 << 20),
        available_mib: available >> 20,
    })
}

/// Bytes that this process may still take: what the machine has, and what each control group that it is in leaves it.
fn available() -> Option<u64> {
    let machine =
        field(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?.saturating_mul(1024);
    Some(left_by_groups().map_or(machine, |left| left.min(machine)))
}

/// The least that the limits of the control groups above this process leave; none without a limit. Version 2 of the groups.
fn left_by_groups() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = Path::new("/sys/fs/cgroup");
    let folders = PathBuf::from(own);
    folders
        .ancestors()
        .filter_map(|folder| left_by(&root.join(folder)))
        .min()
}

fn left_by(group: &Path) -> Option<u64> {
    let read = |file: &str| fs::read_to_string(group.join(file)).ok();
    let limit: u64 = read("memory.max")?.trim().parse().ok()?;
    let taken: u64 = read("memory.current")?.trim().parse().ok()?;
    // Pages of files that nobody uses are given up first.
    let spare = field(&read("memory.stat").unwrap_or_default(), "inactive_file").unwrap_or(0);
    Some(limit.saturating_sub(taken.saturating_sub(spare)))
}

/// The number after a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text
        .lines()
        .find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn whole(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use safetensors::Dtype;
    use serde_json::json;

    use super::*;

    fn tensors(shape: &[usize]) -> Tensors {
        let info = TensorInfo {
            dtype: Dtype::BF16,
            shape: shape.to_vec(),
        };
        [("weight".to_owned(), info)].into_iter().collect()
    }

    #[test]
    fn a_model_of_seven_billion_parameters_takes_what_is_known_of_it() {
        let config = json!({
            "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4, "hidden_size": 3584
        });
        let layer = tensors(&[270_000, 1000]).remove("weight").unwrap();
        let layers = (0..28)
            .map(|number| (format!("layer {number}"), layer.clone()))
            .collect();
        let gib = |bytes: u64| bytes >> 30;
        assert_eq!(gib(of_folder(&layers, &config, None, 8192)), 35);
        let quantised = Some(Quantization::Q4K);
        assert_eq!(gib(of_folder(&layers, &config, quantised, 8192)), 6);
    }

    #[test]
    fn the_table_of_tokens_is_counted_beside_what_is_quantised() {
        let mut weights = tensors(&[152_000, 3584]);
        let table = weights.remove("weight").unwrap();
        weights.insert("model.embed_tokens.weight".to_owned(), table);
        let config = json!({"vocab_size": 152_000});
        let mib = |quantization| of_folder(&weights, &config, quantization, 0) >> 20;
        assert_eq!((mib(None), mib(Some(Quantization::Q4K))), (4170, 4144));
        assert_eq!(of_file(4 << 30, 4 * 152_000 * 3584, 152_000) >> 20, 7631);
    }

    #[test]
    fn what_no_machine_has_is_refused_with_both_figures() {
        let needed = of_folder(&tensors(&[usize::MAX, 9]), &json!({}), None, 1);
        let error = check("huge", needed, &Hardware::Cpu)
            .unwrap_err()
            .to_string();
        assert!(error.contains("`huge`") && error.contains("MiB"), "{error}");
        check("small", 1 << 20, &Hardware::Cpu).unwrap();
    }

    #[test]
    fn fields_are_read_by_their_whole_names() {
        let text = "MemTotal:  10 kB\nMemAvailable:    7 kB\n";
        assert_eq!(field(text, "MemAvailable:"), Some(7));
        assert_eq!(field(text, "Mem"), None);
        assert!(available().is_none_or(|bytes| bytes > 1 << 20));
    }
}
