//! What the crate asks of the device that a model computes on.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{CudaDevice, Device, MetalDevice};

use crate::error::{Result, bail};

/// The memory of the device that the CPU stands for; 0 if it stands for none.
static STAND_IN: AtomicUsize = AtomicUsize::new(0);

/// Lets the CPU stand for another device with so many bytes of memory, or for none again: every operation of the process
/// then takes the way that it takes on a GPU. For tests, as it is slow; the numbers are the same.
#[doc(hidden)]
pub fn stand_in(memory: Option<usize>) {
    STAND_IN.store(memory.unwrap_or(0), Ordering::Relaxed);
}

/// Whether this is the CPU, for which operations have forms of their own.
pub(crate) fn is_cpu(device: &Device) -> bool {
    device.is_cpu() && STAND_IN.load(Ordering::Relaxed) == 0
}

/// The bytes of memory of a device other than the CPU.
pub(crate) fn memory(device: &Device) -> Result<Option<usize>> {
    match device {
        Device::Cpu => Ok(Some(STAND_IN.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)),
        Device::Cuda(device) => Ok(Some(memory_of_cuda(device)?)),
        Device::Metal(device) => Ok(Some(memory_of_metal(device)?)),
    }
}

/// An error unless an input is on the device of the weights.
pub(crate) fn check_same(block: &str, weights: &Device, input: &Device) -> Result<()> {
    if weights.same_device(input) {
        return Ok(());
    }
    check_beside(&format!("the input of {block}"), input, "its weights are", weights)
}

/// An error unless a tensor is on the device of another.
pub(crate) fn check_beside(what: &str, device: &Device, other: &str, of_other: &Device) -> Result<()> {
    if device.same_device(of_other) {
        return Ok(());
    }
    let (of_what, of_other) = (kind(device), kind(of_other));
    let another = if of_what == of_other { "another " } else { "" };
    bail!(Input, "{what} is on {of_what}, and {other} on {another}{of_other}: move one of them with to_device")
}

fn kind(device: &Device) -> &'static str {
    match device {
        Device::Cpu => "the CPU",
        Device::Cuda(_) => "CUDA",
        Device::Metal(_) => "Metal",
    }
}

#[cfg(feature = "cuda")]
fn memory_of_cuda(device: &CudaDevice) -> Result<usize> {
    let memory = device.cuda_stream().context().total_mem();
    memory.map_err(|e| crate::error::error!(Tensor, "the memory of the CUDA device is not known: {e}"))
}

#[cfg(not(feature = "cuda"))]
fn memory_of_cuda(_: &CudaDevice) -> Result<usize> {
    bail!(Input, "this is a CUDA device: ask for candle-explain's feature cuda, not candle's alone")
}

#[cfg(feature = "metal")]
fn memory_of_metal(device: &MetalDevice) -> Result<usize> {
    Ok(device.metal_device().recommended_max_working_set_size())
}

#[cfg(not(feature = "metal"))]
fn memory_of_metal(_: &MetalDevice) -> Result<usize> {
    bail!(Input, "this is a Metal device: ask for candle-explain's feature metal, not candle's alone")
}

#[cfg(test)]
#[cfg(not(any(feature = "cuda", feature = "metal")))]
mod tests {
    use super::*;

    /// Devices that candle has without being able to compute on them.
    const OTHERS: [Device; 2] = [Device::Cuda(CudaDevice), Device::Metal(MetalDevice)];

    #[test]
    fn an_input_on_another_device_is_an_error_that_says_what_to_do() {
        assert!(check_same("a layer", &Device::Cpu, &Device::Cpu).is_ok());
        let [cuda, _] = &OTHERS;
        let error = check_same("a layer", cuda, &Device::Cpu).unwrap_err().to_string();
        assert_eq!(
            error,
            "the input of a layer is on the CPU, and its weights are on CUDA: move one of them with to_device"
        );
    }

    #[test]
    fn devices_ask_for_the_features_that_know_their_memory() {
        assert_eq!(memory(&Device::Cpu).unwrap(), None);
        for (device, feature) in OTHERS.iter().zip(["cuda", "metal"]) {
            let error = memory(device).unwrap_err().to_string();
            assert!(error.contains(&format!("candle-explain's feature {feature}")), "{error}");
        }
    }
}
