//! Numbers of a variable that are changed where they stand.

use candle_core::{CpuStorage, Error, Layout, Result};

/// The numbers to change and those beside them, contiguous `f32`.
pub(crate) fn pair<'a>(
    (to, of_to): (&'a mut CpuStorage, &Layout),
    (from, of_from): (&'a CpuStorage, &Layout),
) -> Result<(&'a mut [f32], &'a [f32])> {
    let (CpuStorage::F32(to), CpuStorage::F32(from)) = (to, from) else {
        return Err(Error::Msg("expected f32 on both sides".to_string()));
    };
    match (of_to.contiguous_offsets(), of_from.contiguous_offsets()) {
        (Some((first, end)), Some((start, last))) if end - first == last - start => {
            Ok((&mut to[first..end], &from[start..last]))
        }
        _ => Err(Error::Msg("expected as many contiguous numbers on both sides".to_string())),
    }
}
