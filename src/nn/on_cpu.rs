//! How a block reads and makes candle's CPU storage.

use candle_core::{CpuStorage, DType, Error, Layout, Result, Tensor};

use crate::device;

/// Whether the fused CPU form of a block applies; elsewhere it is composed of candle's operations.
pub(super) fn is_fusible(tensor: &Tensor) -> bool {
    device::is_cpu(tensor.device()) && matches!(tensor.dtype(), DType::F32 | DType::F64)
}

/// Computes half precision in `f32` and rounds once, as PyTorch does; other types are computed as they are.
pub(super) fn widened<E: From<Error>>(
    x: &Tensor,
    compute: impl FnOnce(&Tensor) -> std::result::Result<Tensor, E>,
) -> std::result::Result<Tensor, E> {
    match x.dtype() {
        half @ (DType::F16 | DType::BF16) => Ok(compute(&x.to_dtype(DType::F32)?)?.to_dtype(half)?),
        _ => compute(x),
    }
}

/// The elements of a contiguous tensor.
pub(super) fn elements<'a, T>(values: &'a [T], layout: &Layout) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => Err(Error::Msg(format!("expected a contiguous tensor, got the strides {:?}", layout.stride()))),
    }
}

/// Makes a buffer of this size, whatever is in it.
pub(super) fn sized(buffer: &mut Vec<f32>, size: usize) -> &mut [f32] {
    buffer.resize(size, 0.);
    buffer
}

/// Runs the same code over `f32` and `f64` storages; the code calls the element type `Real`.
macro_rules! map_storage {
    ($storage:expr, |$values:ident| $body:expr) => {
        match $storage {
            CpuStorage::F32($values) => {
                type Real = f32;
                Ok(CpuStorage::F32({
                    let values: Vec<Real> = $body;
                    values
                }))
            }
            CpuStorage::F64($values) => {
                type Real = f64;
                Ok(CpuStorage::F64({
                    let values: Vec<Real> = $body;
                    values
                }))
            }
            other => $crate::nn::on_cpu::unsupported(other),
        }
    };
    ($left:expr, $right:expr, |$a:ident, $b:ident| $body:expr) => {
        match ($left, $right) {
            (CpuStorage::F32($a), CpuStorage::F32($b)) => {
                type Real = f32;
                Ok(CpuStorage::F32({
                    let values: Vec<Real> = $body;
                    values
                }))
            }
            (CpuStorage::F64($a), CpuStorage::F64($b)) => {
                type Real = f64;
                Ok(CpuStorage::F64({
                    let values: Vec<Real> = $body;
                    values
                }))
            }
            (other, _) => $crate::nn::on_cpu::unsupported(other),
        }
    };
}

pub(super) fn unsupported<T>(storage: &CpuStorage) -> Result<T> {
    use candle_core::backend::BackendStorage;
    Err(Error::Msg(format!("expected f32 or f64 on both sides, got {:?}", storage.dtype())))
}

pub(super) use map_storage;
