//! Whether a folder holds a LoRA that the engine serves exactly as it was trained.
//!
//! The engine reads `r`, `lora_alpha` and a list of `target_modules`, and merges `lora_alpha / r · B · A`
//! into every module whose path matches one of them. Whatever else a configuration asks for it ignores, and what is missing
//! it fails on while loading: both are found here, before anything is stored.

mod config;
mod tensors;

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::BaseIdentity;
use crate::error::AdapterError;
use crate::files;

pub(crate) const CONFIG: &str = "adapter_config.json";
pub(crate) const WEIGHTS: &str = "adapter_model.safetensors";

pub const CONFIG_BYTES_MAX: u64 = 1 << 20;
pub const WEIGHTS_BYTES_MAX: u64 = 8 << 30;
pub const HEADER_BYTES_MAX: u64 = 8 << 20;
pub const TENSORS_MAX: usize = 65_536;
pub const RANK_MAX: usize = 1_024;

/// Formats that run code when they are opened.
const PICKLES: &[&str] = &["bin", "pt", "pth", "pkl", "pickle", "ckpt"];

/// What decides the weights that are merged: all that the engine reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lora {
    pub r: usize,
    pub lora_alpha: f64,
    /// Sorted.
    pub target_modules: Vec<String>,
}

/// Refuses a folder that holds pickles, whatever else it holds: who loads it with other tools runs them.
pub(crate) fn refuse_pickles(folder: &Path) -> Result<(), AdapterError> {
    for entry in fs::read_dir(folder).map_err(AdapterError::io("list", folder))? {
        let path = entry.map_err(AdapterError::io("list", folder))?.path();
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        if PICKLES.iter().any(|pickle| extension == *pickle) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return Err(AdapterError::refused(
                &name,
                "its format",
                "a pickle",
                format!("which can run code: remove it, only `{WEIGHTS}` is served"),
            ));
        }
    }
    Ok(())
}

/// Checks the two files, which lie in `folder` under their PEFT names, against the base.
pub(crate) fn check(folder: &Path, base: &BaseIdentity) -> Result<Lora, AdapterError> {
    let config = files::read_bounded(&folder.join(CONFIG), CONFIG_BYTES_MAX)?;
    let lora = config::check(&config, base)?;
    tensors::check(&folder.join(WEIGHTS), &lora, base)?;
    Ok(lora)
}
