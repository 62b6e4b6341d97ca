//! Which device computes, in which type of number, quantised how: our settings in mistralrs's words.

use mistralrs::{Device as Hardware, IsqType, ModelDType};

use super::folder::Tensors;
use crate::{Device, EngineError, Quantization};

/// On a CPU, models up to this size compute in f32, which is faster there than bf16; larger ones would take too much memory.
const LARGEST_F32_PARAMETERS: usize = 200_000_000;

pub(super) fn folder_dtype(hardware: &Hardware, tensors: &Tensors) -> ModelDType {
    let parameters: usize = tensors
        .values()
        .map(|info| info.shape.iter().product::<usize>())
        .sum();
    let all_f32 = tensors
        .values()
        .all(|info| info.dtype == safetensors::Dtype::F32);
    match hardware {
        Hardware::Cpu if all_f32 || parameters <= LARGEST_F32_PARAMETERS => ModelDType::F32,
        Hardware::Cpu => ModelDType::BF16,
        _ => ModelDType::Auto,
    }
}

pub(super) fn isq_type(quantization: Quantization) -> IsqType {
    match quantization {
        Quantization::Q2K => IsqType::Q2K,
        Quantization::Q3K => IsqType::Q3K,
        Quantization::Q4K => IsqType::Q4K,
        Quantization::Q5K => IsqType::Q5K,
        Quantization::Q6K => IsqType::Q6K,
        Quantization::Q8_0 => IsqType::Q8_0,
    }
}

pub(super) fn hardware(device: Device) -> Result<Hardware, EngineError> {
    let absent = |name: &str, reason: String| EngineError::Setting {
        key: "device",
        reason: format!("{name}: {reason}"),
    };
    match device {
        Device::Cpu => Ok(Hardware::Cpu),
        Device::Auto => {
            mistralrs::best_device(false).map_err(|error| absent("auto", error.to_string()))
        }
        Device::Cuda(_) if !cfg!(feature = "cuda") => Err(absent(
            "cuda",
            "this program was built without the feature `cuda`".into(),
        )),
        Device::Cuda(index) => {
            Hardware::new_cuda(index).map_err(|error| absent("cuda", error.to_string()))
        }
        Device::Metal if !cfg!(feature = "metal") => Err(absent(
            "metal",
            "this program was built without the feature `metal`".into(),
        )),
        Device::Metal => Hardware::new_metal(0).map_err(|error| absent("metal", error.to_string())),
    }
}

pub(super) fn device_name(hardware: &Hardware) -> String {
    match hardware {
        Hardware::Cpu => "cpu".into(),
        Hardware::Cuda(_) => "cuda".into(),
        Hardware::Metal(_) => "metal".into(),
    }
}
