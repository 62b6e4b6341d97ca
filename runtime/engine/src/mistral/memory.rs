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

/// Bits that a weight takes in memory.
#[derive(Clone, Copy)]
pub(super) enum Precision {
    F32,
    /// Half precision of either kind.
    Half,
    Quantised(Quantization),
}

impl Precision {
    const fn bits(self) -> u64 {
        match self {
            Self::F32 => 32,
            Self::Half => 16,
            // With their scales, rounded up.
            Self::Quantised(quantization) => match quantization {
                Quantization::Q2K => 3,
                Quantization::Q3K => 4,
                Quantization::Q4K => 5,
                Quantization::Q5K => 6,
                Quantization::Q6K => 7,
                Quantization::Q8_0 => 9,
            },
        }
    }
}

/// The precision that weights of these types are served in on a CPU.
pub(super) fn precision(quantization: Option<Quantization>, as_f32: bool) -> Precision {
    match quantization {
        Some(quantization) => Precision::Quantised(quantization),
        None if as_f32 => Precision::F32,
        None => Precision::Half,
    }
}

/// Bytes for the weights of a folder, and for the keys and values of one context of `context_tokens`.
pub(super) fn of_folder(
    tensors: &Tensors,
    config: &Value,
    precision: Precision,
    context_tokens: usize,
) -> u64 {
    let parameters = tensors.values().map(numbers).fold(0, u64::saturating_add);
    let weights = parameters.saturating_mul(precision.bits()) / 8;
    // A tensor that is converted lies beside its source for a moment: the largest one counts.
    let largest = tensors
        .values()
        .map(|tensor| numbers(tensor).saturating_mul(whole(tensor.dtype.bitsize()) / 8))
        .max()
        .unwrap_or_default();
    beside(weights)
        .saturating_add(largest)
        .saturating_add(of_context(config, context_tokens))
}

fn numbers(tensor: &TensorInfo) -> u64 {
    let sides = tensor.shape.iter().map(|side| whole(*side));
    sides.fold(1, u64::saturating_mul)
}

/// Bytes for a GGUF file, which is served as it lies.
pub(super) fn of_file(bytes: u64) -> u64 {
    beside(bytes)
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
        assert_eq!(gib(of_folder(&layers, &config, Precision::Half, 8192)), 18);
        let quantised = Precision::Quantised(Quantization::Q4K);
        assert_eq!(gib(of_folder(&layers, &config, quantised, 8192)), 6);
    }

    #[test]
    fn what_no_machine_has_is_refused_with_both_figures() {
        let needed = of_folder(&tensors(&[usize::MAX, 9]), &json!({}), Precision::F32, 1);
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
