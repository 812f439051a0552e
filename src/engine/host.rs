//! Tensors as numbers on the host, where sums are taken in f64 whatever the model's type.

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};

use crate::error::Result;

/// All numbers of a tensor in row-major order.
pub(crate) fn host(tensor: &Tensor) -> Result<Vec<f64>> {
    let (storage, layout) = tensor.storage_and_layout();
    if let (Storage::Cpu(storage), Some((start, end))) = (&*storage, layout.contiguous_offsets()) {
        match storage {
            CpuStorage::F32(values) => return Ok(values[start..end].iter().map(|value| f64::from(*value)).collect()),
            CpuStorage::F64(values) => return Ok(values[start..end].to_vec()),
            _ => {}
        }
    }
    drop(storage);
    Ok(tensor.detach().to_device(&Device::Cpu)?.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
}

/// Each row of several tensors `[rows, ...]` as one list of numbers.
pub(crate) fn host_rows(tensors: &[Tensor]) -> Result<Vec<Vec<f64>>> {
    let mut rows: Vec<Vec<f64>> = vec![Vec::new(); tensors[0].dims()[0]];
    for tensor in tensors {
        let values = host(tensor)?;
        let width = values.len() / rows.len();
        rows.iter_mut().zip(values.chunks(width.max(1))).for_each(|(row, values)| row.extend(values));
    }
    Ok(rows)
}

/// The numbers of several tensors `[1, ...]`, one after another.
pub(crate) fn host_row(tensors: &[Tensor]) -> Result<Vec<f64>> {
    Ok(tensors.iter().map(host).collect::<Result<Vec<_>>>()?.concat())
}

/// The number type of results for a model of this type: f64 for f64, and f32 for all others.
pub(crate) fn delivered(dtype: DType) -> DType {
    if dtype == DType::F64 { DType::F64 } else { DType::F32 }
}

/// A gradient times a difference. It is 0 where there is no difference, whatever the gradient, and where no gradient
/// reaches the −∞ of a mask.
pub(crate) fn product(gradient: f64, difference: f64) -> f64 {
    // Without branches, so that the compiler can vectorise it.
    let nothing = (difference == 0.) | ((gradient == 0.) & difference.is_infinite());
    if nothing { 0. } else { gradient * difference }
}

/// One number minus another; 0 for equal ones, the −∞ of masks included.
pub(crate) fn difference(to: f64, from: f64) -> f64 {
    if to == from { 0. } else { to - from }
}

/// The elementwise products of gradients and differences, by [`product`], in the delivered type.
pub(crate) fn products(gradient: &Tensor, difference: &Tensor) -> Result<Tensor> {
    let values: Vec<f64> = host(gradient)?.into_iter().zip(host(difference)?).map(|(g, d)| product(g, d)).collect();
    to_device(values, gradient.dims(), gradient)
}

/// Numbers as a tensor of this shape, on the device of `like` and in the type of its results.
pub(crate) fn to_device(values: Vec<f64>, shape: &[usize], like: &Tensor) -> Result<Tensor> {
    let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(delivered(like.dtype()))?;
    Ok(tensor.to_device(like.device())?)
}
