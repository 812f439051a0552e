//! Cross entropy.

use candle_core::{CpuStorage, CustomOp1, D, DType, Error, Layout, Result as Tensors, Shape, Tensor};

use crate::device;
use crate::error::Result;

/// −mean over the rows of Σ q·log softmax, where q has 1 − s on the label and the smoothing s spread
/// over all classes; `labels` is `[rows, 1]`. Half precision is summed in `f32`.
pub(crate) fn cross_entropy(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Result<Tensor> {
    let logits = match logits.dtype() {
        DType::F64 => logits.clone(),
        _ => logits.to_dtype(DType::F32)?,
    };
    if logits.dtype() == DType::F32 && device::is_cpu(logits.device()) && logits.rank() == 2 {
        let labels = labels.flatten_all()?.to_vec1::<u32>()?;
        return Ok(logits.contiguous()?.apply_op1(CrossEntropy { labels, smoothing: smoothing as f32 })?);
    }
    composed(&logits, labels, smoothing)
}

/// The same composed of candle's operations.
fn composed(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Result<Tensor> {
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

struct CrossEntropy {
    labels: Vec<u32>,
    smoothing: f32,
}

impl CrossEntropy {
    /// The rows of logits with their labels.
    fn rows<'a>(
        &'a self,
        logits: &'a CpuStorage,
        layout: &Layout,
    ) -> Tensors<impl Iterator<Item = (&'a [f32], usize)>> {
        let (rows, classes) = layout.shape().dims2()?;
        let values = logits.as_slice::<f32>()?;
        let Some((start, end)) = layout.contiguous_offsets() else {
            return Err(Error::Msg("expected contiguous logits".to_string()));
        };
        if self.labels.len() != rows || self.labels.iter().any(|label| *label as usize >= classes) {
            return Err(Error::Msg(format!("expected {rows} labels below {classes}")));
        }
        let labels = self.labels.iter().map(|label| *label as usize);
        Ok(values[start..end].chunks_exact(classes).zip(labels))
    }
}

/// The largest logit, and the sum of the exponentials relative to it.
fn relative(row: &[f32]) -> (f32, f32) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (largest, row.iter().map(|logit| (logit - largest).exp()).sum())
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Tensors<(CpuStorage, Shape)> {
        let mut total = 0f64;
        for (row, label) in self.rows(logits, layout)? {
            let (largest, sum) = relative(row);
            let log_sum = largest + sum.ln();
            let of_all = row.iter().map(|logit| logit - log_sum).sum::<f32>() / row.len() as f32;
            total -= f64::from((1. - self.smoothing) * (row[label] - log_sum) + self.smoothing * of_all);
        }
        Ok((CpuStorage::F32(vec![(total / self.labels.len() as f64) as f32]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _res: &Tensor, grad_res: &Tensor) -> Tensors<Option<Tensor>> {
        let by = grad_res.to_scalar::<f32>()? / self.labels.len() as f32;
        logits.detach().apply_op1_no_bwd(&Gradient { of: self, by }).map(Some)
    }
}

/// (softmax − label) · by, the label with its share spread.
struct Gradient<'a> {
    of: &'a CrossEntropy,
    by: f32,
}

impl CustomOp1 for Gradient<'_> {
    fn name(&self) -> &'static str {
        "cross-entropy-gradient"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Tensors<(CpuStorage, Shape)> {
        let smoothing = self.of.smoothing;
        let mut gradient = Vec::with_capacity(layout.shape().elem_count());
        for (row, label) in self.of.rows(logits, layout)? {
            let (largest, sum) = relative(row);
            let spread = smoothing / row.len() as f32;
            gradient.extend(row.iter().enumerate().map(|(class, logit)| {
                let of_label = if class == label { 1. - smoothing } else { 0. };
                self.by * ((logit - largest).exp() / sum - spread - of_label)
            }));
        }
        Ok((CpuStorage::F32(gradient), layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::seed::Seed;

    #[test]
    fn one_operation_gives_the_loss_and_the_gradient_of_candles_operations() {
        let values: Vec<f32> = Seed(2).uniform(-9., 9.).take(33).map(|x| x as f32).collect();
        let labels = Tensor::new(vec![0u32, 2, 1, 1, 2, 0, 0, 2, 2, 1, 0], &Device::Cpu).unwrap().unsqueeze(1).unwrap();
        for smoothing in [0., 0.1] {
            let of = |loss: Tensor, var: &Var| {
                let loss = (loss * 3.).unwrap();
                let gradient = loss.backward().unwrap().remove(var).unwrap();
                [vec![loss.to_scalar::<f32>().unwrap()], gradient.flatten_all().unwrap().to_vec1().unwrap()].concat()
            };
            let var = Var::from_vec(values.clone(), (11, 3), &Device::Cpu).unwrap();
            let ours = of(cross_entropy(&var, &labels, smoothing).unwrap(), &var);
            let candles = of(composed(&var, &labels, smoothing).unwrap(), &var);
            for (ours, candles) in ours.iter().zip(&candles) {
                assert!((ours - candles).abs() < 1e-5, "{ours} and {candles}");
            }
        }
    }
}
