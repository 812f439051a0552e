//! The numbers of tensors on the CPU, while they are read.

use std::ops::Deref;

use candle_core::{CpuStorage, Error, Layout, Result, Storage, Tensor};

use super::on_cpu::elements;

/// A tensor's numbers, which nobody can change as long as this lives.
pub(super) struct Held<'a, S> {
    storage: S,
    layout: &'a Layout,
}

/// Begins to read a tensor.
pub(super) fn held(tensor: &Tensor) -> Held<'_, impl Deref<Target = Storage>> {
    let (storage, layout) = tensor.storage_and_layout();
    Held { storage, layout }
}

impl<S: Deref<Target = Storage>> Held<'_, S> {
    pub(super) fn values(&self) -> Result<&[f32]> {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => elements(values, self.layout),
            _ => Err(Error::Msg("expected f32 on the CPU".to_string())),
        }
    }
}
