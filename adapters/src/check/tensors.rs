//! `adapter_model.safetensors`: a bounded header, exactly the pairs A and B that the engine will ask for, in the shapes of
//! the base, and no value that is not a number.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::{HEADER_BYTES_MAX, Lora, TENSORS_MAX, WEIGHTS};
use crate::base::BaseIdentity;
use crate::error::AdapterError;

const LENGTH_BYTES: u64 = 8;
const BUFFER_BYTES: usize = 1 << 20;
/// What PEFT writes before the name of each module of the base; the engine reads it with and without.
const PREFIX: &str = "base_model.model.";

pub(super) fn check(path: &Path, lora: &Lora, base: &BaseIdentity) -> Result<(), AdapterError> {
    let file = File::open(path).map_err(AdapterError::io("open", path))?;
    let length = file
        .metadata()
        .map_err(AdapterError::io("read", path))?
        .len();
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
    let metadata = header(&mut reader, length, path)?;
    let mut tensors: Vec<_> = metadata.tensors().into_iter().collect();
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    check_shapes(&tensors, lora, base)?;
    for (name, info) in tensors {
        check_values(&mut reader, &name, info, path)?;
    }
    Ok(())
}

fn header(reader: &mut impl Read, length: u64, path: &Path) -> Result<Metadata, AdapterError> {
    let mut prefix = [0; 8];
    if length < LENGTH_BYTES {
        return Err(refused(
            "its size",
            format!("{length} bytes"),
            "must be at least 8",
        ));
    }
    reader
        .read_exact(&mut prefix)
        .map_err(AdapterError::io("read", path))?;
    let header_length = u64::from_le_bytes(prefix);
    let limit = HEADER_BYTES_MAX.min(length - LENGTH_BYTES);
    if header_length > limit {
        let limit = format!("must be at most {limit} (the file's size, and {HEADER_BYTES_MAX})");
        return Err(refused(
            "its header",
            format!("{header_length} bytes"),
            limit,
        ));
    }
    let mut bytes = Vec::new();
    reader
        .take(header_length)
        .read_to_end(&mut bytes)
        .map_err(AdapterError::io("read", path))?;
    let metadata: Metadata = serde_json::from_slice(&bytes).map_err(|error| {
        refused(
            "its header",
            format!("not a safetensors header ({error})"),
            "must be one",
        )
    })?;
    let expected = LENGTH_BYTES + header_length + metadata.data_len() as u64;
    if expected != length {
        return Err(refused(
            "its size",
            format!("{length} bytes"),
            format!("its header says {expected}"),
        ));
    }
    Ok(metadata)
}

/// The half of a pair that a tensor is, and the features it must have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Half {
    A,
    B,
}

fn check_shapes(
    tensors: &[(String, &TensorInfo)],
    lora: &Lora,
    base: &BaseIdentity,
) -> Result<(), AdapterError> {
    if tensors.len() > TENSORS_MAX {
        return Err(refused(
            "its tensors",
            tensors.len().to_string(),
            format!("must be at most {TENSORS_MAX}"),
        ));
    }
    let mut missing = expected(lora, base);
    for (name, info) in tensors {
        let plain = name.strip_prefix(PREFIX).unwrap_or(name);
        let shape = split(plain).and_then(|key| missing.remove(&key));
        check_tensor(name, info, shape.as_deref())?;
    }
    match missing.keys().next() {
        None => Ok(()),
        Some((module, half)) => Err(refused(
            format!("tensor `{PREFIX}{module}.{}`", suffix(*half)),
            "missing",
            format!(
                "must be there for each of {} layers ({} missing)",
                base.layers,
                missing.len()
            ),
        )),
    }
}

/// One tensor; `shape` is the one it must have, where the engine will ask for it.
fn check_tensor(
    name: &str,
    info: &TensorInfo,
    shape: Option<&[usize]>,
) -> Result<(), AdapterError> {
    let field = || format!("tensor `{}`", name.chars().take(200).collect::<String>());
    let Some(shape) = shape else {
        let limit =
            "must be the weight of `lora_A` or `lora_B` of a module in `target_modules`, once";
        return Err(refused(field(), "not one that is served", limit));
    };
    if info.shape != shape {
        return Err(refused(
            field(),
            format!("of shape {:?}", info.shape),
            format!("must be {shape:?}"),
        ));
    }
    if !matches!(info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
        return Err(refused(
            field(),
            format!("of type {}", info.dtype),
            "must be F32, F16 or BF16",
        ));
    }
    Ok(())
}

/// Every tensor that the engine will ask for: module path and half to its shape.
fn expected(lora: &Lora, base: &BaseIdentity) -> BTreeMap<(String, Half), Vec<usize>> {
    let mut tensors = BTreeMap::new();
    for name in &lora.target_modules {
        let Some((path, (inputs, outputs))) = base.module(name) else {
            continue;
        };
        let layers = if path == "lm_head" {
            0..1
        } else {
            0..base.layers
        };
        for layer in layers {
            let module = if path == "lm_head" {
                path.to_owned()
            } else {
                format!("model.layers.{layer}.{path}")
            };
            tensors.insert((module.clone(), Half::A), vec![lora.r, inputs]);
            tensors.insert((module, Half::B), vec![outputs, lora.r]);
        }
    }
    tensors
}

const fn suffix(half: Half) -> &'static str {
    match half {
        Half::A => "lora_A.weight",
        Half::B => "lora_B.weight",
    }
}

fn split(name: &str) -> Option<(String, Half)> {
    [Half::A, Half::B].into_iter().find_map(|half| {
        let module = name.strip_suffix(suffix(half))?.strip_suffix('.')?;
        Some((module.to_owned(), half))
    })
}

/// Reads one tensor's values on from where the reader stands.
fn check_values(
    reader: &mut impl Read,
    name: &str,
    info: &TensorInfo,
    path: &Path,
) -> Result<(), AdapterError> {
    let (start, end) = info.data_offsets;
    let width = info.dtype.bitsize() / 8;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut done = 0;
    while done < end - start {
        let count = BUFFER_BYTES.min(end - start - done);
        let chunk = &mut buffer[..count];
        reader
            .read_exact(chunk)
            .map_err(AdapterError::io("read", path))?;
        if let Some(position) = chunk
            .chunks_exact(width)
            .position(|value| !is_finite(value, info.dtype))
        {
            let field = format!("tensor `{name}`, value {}", done / width + position);
            return Err(refused(
                field,
                "NaN or infinite",
                "every value must be finite",
            ));
        }
        done += count;
    }
    Ok(())
}

/// A number is finite when its exponent is not all ones (IEEE 754).
fn is_finite(bytes: &[u8], dtype: Dtype) -> bool {
    match (dtype, bytes) {
        (Dtype::F32, &[a, b, c, d]) => {
            u32::from_le_bytes([a, b, c, d]) & 0x7f80_0000 != 0x7f80_0000
        }
        (Dtype::BF16, &[a, b]) => u16::from_le_bytes([a, b]) & 0x7f80 != 0x7f80,
        (Dtype::F16, &[a, b]) => u16::from_le_bytes([a, b]) & 0x7c00 != 0x7c00,
        _ => false,
    }
}

fn refused(
    field: impl Into<String>,
    found: impl Into<String>,
    limit: impl Into<String>,
) -> AdapterError {
    AdapterError::refused(WEIGHTS, field, found, limit)
}
