//! Which device computes, in which type of number, quantised how: our settings in mistralrs's words.

use mistralrs::{Device as Hardware, IsqType, ModelDType};

use crate::{Device, EngineError, Quantization};

/// The type that a folder's weights are loaded in.
///
/// On a CPU always f32, whatever they are stored in: candle 0.10.2 multiplies no matrices of bf16 there, and f16 cannot hold
/// what activations of models trained in bf16 reach.
pub(super) fn folder_dtype(hardware: &Hardware) -> ModelDType {
    match hardware {
        Hardware::Cpu => ModelDType::F32,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_computes_in_f32() {
        assert!(matches!(folder_dtype(&Hardware::Cpu), ModelDType::F32));
    }
}
