//! Cross entropy.

use candle_core::{D, DType, Tensor};

use crate::error::Result;

/// −mean over the rows of Σ q·log softmax, where q has 1 − s on the label and the smoothing s spread
/// over all classes; `labels` is `[rows, 1]`. Half precision is summed in `f32`.
pub(crate) fn cross_entropy(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Result<Tensor> {
    let logits = match logits.dtype() {
        DType::F64 => logits.clone(),
        _ => logits.to_dtype(DType::F32)?,
    };
    let shifted = logits.broadcast_sub(&logits.detach().max_keepdim(D::Minus1)?)?;
    let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    let log_probabilities = shifted.broadcast_sub(&log_sum)?;
    let of_label = log_probabilities.gather(labels, D::Minus1)?.mean_all()?;
    if smoothing == 0. {
        return Ok(of_label.neg()?);
    }
    let of_all = log_probabilities.mean_all()?;
    Ok(((of_label * (smoothing - 1.))? - (of_all * smoothing)?)?)
}
