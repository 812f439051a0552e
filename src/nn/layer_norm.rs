//! Layer normalisation with a backward; candle's own fused form has none.

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, D, Error, Layout, Module, Result, Shape, Storage, Tensor, Var,
};

use super::block::{Block, Operation, only};
use super::lanes::{sum_of, sum_of_two};
use super::on_cpu::{elements, is_fusible, map_storage, unsupported, widened};
use super::sum::add;
use super::vectors::vectorized;
use super::{Conversion, converted};
use crate::error::bail;

/// y = (x − mean) / √(variance + ε) · weight + bias over the last axis.
///
/// ```
/// use candle_explain::nn::LayerNorm;
/// use candle_explain::prelude::*;
///
/// let ones = Tensor::ones(2, DType::F32, &Device::Cpu)?;
/// let norm = LayerNorm::new(&ones, &ones.zeros_like()?, 0.)?;
/// let x = Tensor::new(&[[1f32, 3.]], &Device::Cpu)?;
/// assert_eq!(norm.forward(&x)?.to_vec2::<f32>()?, [[-1., 1.]]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Var,
    bias: Option<Var>,
    eps: f64,
}

impl LayerNorm {
    /// The layer with weight and bias `[width]`, and what is added to the variance.
    pub fn new(weight: &Tensor, bias: &Tensor, eps: f64) -> crate::Result<Self> {
        let same = weight.dims() == bias.dims() && weight.dtype() == bias.dtype();
        if weight.rank() != 1 || weight.elem_count() == 0 || !same {
            bail!(
                Input,
                "a layer norm has the weight {:?} {:?} and the bias {:?} {:?}: expected [width] of one type for both",
                weight.dtype(),
                weight.dims(),
                bias.dtype(),
                bias.dims()
            )
        }
        Ok(Self { weight: Var::from_tensor(weight)?, bias: Some(Var::from_tensor(bias)?), eps })
    }

    /// The layer without a bias: its weight `[width]`, and what is added to the variance.
    pub fn without_bias(weight: &Tensor, eps: f64) -> crate::Result<Self> {
        Ok(Self { bias: None, ..Self::new(weight, weight, eps)? })
    }

    /// The same layer in another type.
    pub fn to_dtype(&self, dtype: candle_core::DType) -> Result<Self> {
        self.converted(&|weight| weight.to_dtype(dtype))
    }

    /// The same layer on another device, with weights of its own.
    ///
    /// ```
    /// use candle_explain::nn::LayerNorm;
    /// use candle_explain::prelude::*;
    ///
    /// let device = Device::Cpu; // or Device::new_cuda(0)?
    /// let ones = Tensor::ones(2, DType::F32, &Device::Cpu)?;
    /// let norm = LayerNorm::without_bias(&ones, 1e-5)?.to_device(&device)?;
    /// assert!(norm.weight().device().same_device(&device));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn to_device(&self, device: &candle_core::Device) -> Result<Self> {
        self.converted(&|weight| weight.to_device(device))
    }

    pub(crate) fn converted(&self, by: Conversion) -> Result<Self> {
        let bias = self.bias.as_ref().map(|bias| converted(bias, by)).transpose()?;
        Ok(Self { weight: converted(&self.weight, by)?, bias, eps: self.eps })
    }

    /// The weight `[width]`.
    pub fn weight(&self) -> &Var {
        &self.weight
    }

    /// The bias `[width]`, if there is one.
    pub fn bias(&self) -> Option<&Var> {
        self.bias.as_ref()
    }

    /// What is added to the variance.
    pub(crate) fn eps(&self) -> f64 {
        self.eps
    }

    /// The weights that training may change.
    pub fn parameters(&self) -> Vec<Var> {
        std::iter::once(&self.weight).chain(&self.bias).cloned().collect()
    }

    /// The weights that training may change, as `name.weight` and `name.bias`.
    pub fn named_parameters(&self, name: &str) -> Vec<(String, Var)> {
        super::named(name, &self.weight, self.bias.as_ref())
    }

    /// The same values, with no gradient of the weights.
    pub fn forward_frozen(&self, x: &Tensor) -> Result<Tensor> {
        let weight = self.weight.as_detached_tensor();
        let bias = self.bias.as_ref().map(Var::as_detached_tensor);
        self.check(x)?;
        Ok(if is_fusible(x) {
            x.contiguous()?.apply_op1(Fused { weight, bias, eps: self.eps })?
        } else {
            Self::composed_of(x, &weight, bias.as_ref(), self.eps, true, false)?
        })
    }

    fn check(&self, x: &Tensor) -> crate::Result<()> {
        let width = self.weight.elem_count();
        if x.dims().last() != Some(&width) {
            bail!(Input, "a layer norm over {width} values got {:?}: expected [..., {width}]", x.dims())
        }
        super::same_kind("a layer norm", x, &self.weight)
    }

    /// The normalisation composed of candle's operations, around the mean or, for RMS norm, around 0; the deviation
    /// is left out of the graph if it is held.
    pub(super) fn composed_of(
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        eps: f64,
        around_mean: bool,
        held: bool,
    ) -> crate::Result<Tensor> {
        widened(x, |x| {
            let centred = if around_mean { x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)? } else { x.clone() };
            let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?;
            let deviation = if held { deviation.detach() } else { deviation };
            let scaled = centred.broadcast_div(&deviation)?.broadcast_mul(&weight.to_dtype(x.dtype())?)?;
            match bias {
                Some(bias) => Ok(scaled.broadcast_add(&bias.to_dtype(x.dtype())?)?),
                None => Ok(scaled),
            }
        })
    }
}

impl Module for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.check(x)?;
        match &self.bias {
            Some(bias) if is_fusible(x) => {
                let tracked = Tracked { eps: self.eps };
                x.contiguous()?.apply_op3(&self.weight.contiguous()?, &bias.contiguous()?, tracked)
            }
            bias => Ok(Self::composed_of(x, self.weight.as_tensor(), bias.as_deref(), self.eps, true, false)?),
        }
    }
}

impl Block for LayerNorm {
    fn compute(&self, inputs: &[&Tensor]) -> crate::Result<Tensor> {
        Ok(self.forward_frozen(only("a layer norm", inputs)?)?)
    }

    fn compute_tracked(&self, inputs: &[&Tensor]) -> crate::Result<Tensor> {
        Ok(self.forward(only("a layer norm", inputs)?)?)
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Normalization(Box::new(|x| {
            let bias = self.bias.as_ref().map(Var::as_detached_tensor);
            Self::composed_of(x, &self.weight.as_detached_tensor(), bias.as_ref(), self.eps, true, true)
        }))
    }
}

struct Fused {
    weight: Tensor,
    bias: Option<Tensor>,
    eps: f64,
}

impl CustomOp1 for Fused {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let elsewhere = || Error::Msg("the weights of a layer norm are not on the CPU as its input is".to_string());
        let (weight, weight_layout) = self.weight.storage_and_layout();
        let Storage::Cpu(weight) = &*weight else { return Err(elsewhere()) };
        let scaled = scaled((storage, layout), (weight, weight_layout), self.eps)?;
        let Some(bias) = &self.bias else { return Ok((scaled, layout.shape().clone())) };
        let (bias, bias_layout) = bias.storage_and_layout();
        let Storage::Cpu(bias) = &*bias else { return Err(elsewhere()) };
        Ok((shifted(&scaled, (bias, bias_layout))?, layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad_res: &Tensor) -> Result<Option<Tensor>> {
        let weighted = grad_res.broadcast_mul(&self.weight)?.contiguous()?;
        let op = Gradient { width: self.weight.elem_count(), eps: self.eps };
        arg.detach().apply_op2_no_bwd(&weighted, &op).map(Some)
    }
}

/// x̂ · weight for each row.
fn scaled(
    (x, of_x): (&CpuStorage, &Layout),
    (weight, of_weight): (&CpuStorage, &Layout),
    eps: f64,
) -> Result<CpuStorage> {
    map_storage!(x, weight, |x, weight| {
        let (weight, mut result) = (elements(weight, of_weight)?, elements(x, of_x)?.to_vec());
        vectorized(
            #[inline(always)]
            || {
                for row in result.chunks_exact_mut(weight.len()) {
                    let (mean, inverse) = moments(row, eps);
                    let (mean, inverse) = (mean as Real, inverse as Real);
                    for (x, weight) in row.iter_mut().zip(weight) {
                        *x = (*x - mean) * inverse * weight;
                    }
                }
            },
        );
        result
    })
}

/// Rows with the bias added to each.
fn shifted(scaled: &CpuStorage, (bias, of_bias): (&CpuStorage, &Layout)) -> Result<CpuStorage> {
    map_storage!(scaled, bias, |scaled, bias| {
        let bias = elements(bias, of_bias)?;
        scaled.chunks_exact(bias.len()).flat_map(|row| row.iter().zip(bias).map(|(x, bias)| x + bias)).collect()
    })
}

/// x̂ · weight + bias with the weight and the bias in the graph.
struct Tracked {
    eps: f64,
}

impl CustomOp3 for Tracked {
    fn name(&self) -> &'static str {
        "tracked-layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        of_x: &Layout,
        weight: &CpuStorage,
        of_weight: &Layout,
        bias: &CpuStorage,
        of_bias: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let scaled = scaled((x, of_x), (weight, of_weight), self.eps)?;
        Ok((shifted(&scaled, (bias, of_bias))?, of_x.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        _res: &Tensor,
        grad_res: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (x, g, width) = (x.detach(), grad_res.contiguous()?, weight.elem_count());
        let weighted = g.broadcast_mul(&weight.detach())?.contiguous()?;
        let of_x = x.apply_op2_no_bwd(&weighted, &Gradient { width, eps: self.eps })?;
        let of_weights = x.apply_op2_no_bwd(&g, &OfWeights { width, eps: self.eps })?;
        Ok((Some(of_x), Some(of_weights.get(0)?), Some(of_weights.get(1)?)))
    }
}

/// Σ g · x̂ and Σ g over the rows, `[2, width]`: the gradients of the weight and of the bias.
struct OfWeights {
    width: usize,
    eps: f64,
}

impl CustomOp2 for OfWeights {
    fn name(&self) -> &'static str {
        "layer-norm-gradient-of-weights"
    }

    fn cpu_fwd(&self, x: &CpuStorage, of_x: &Layout, g: &CpuStorage, of_g: &Layout) -> Result<(CpuStorage, Shape)> {
        let width = self.width;
        let sums: Result<CpuStorage> = map_storage!(x, g, |x, g| {
            let (x, g) = (elements(x, of_x)?, elements(g, of_g)?);
            let mut sums: Vec<Real> = vec![0.; 2 * width];
            let (of_weight, of_bias) = sums.split_at_mut(width);
            vectorized(
                #[inline(always)]
                || {
                    for (x, g) in x.chunks_exact(width).zip(g.chunks_exact(width)) {
                        let (mean, inverse) = moments(x, self.eps);
                        let (mean, inverse) = (mean as Real, inverse as Real);
                        for ((sum, x), g) in of_weight.iter_mut().zip(x).zip(g) {
                            *sum += (x - mean) * inverse * g;
                        }
                        add(of_bias, g);
                    }
                },
            );
            sums
        });
        Ok((sums?, (2, width).into()))
    }
}

/// The mean, and one over the standard deviation.
#[inline(always)]
fn moments<T: Copy + Into<f64>>(row: &[T], eps: f64) -> (f64, f64) {
    let count = row.len() as f64;
    let mean = sum_of(row, T::into) / count;
    let squared = |x: T| (x.into() - mean) * (x.into() - mean);
    let variance = sum_of(row, squared) / count;
    (mean, 1. / (variance + eps).sqrt())
}

/// dx = (g − mean g − x̂ · mean(g · x̂)) / √(variance + ε) for each row, g the weighted gradient.
struct Gradient {
    width: usize,
    eps: f64,
}

impl CustomOp2 for Gradient {
    fn name(&self) -> &'static str {
        "layer-norm-gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let width = self.width;
        let storage: Result<CpuStorage> = match (x, g) {
            (CpuStorage::F32(_), CpuStorage::F32(_)) | (CpuStorage::F64(_), CpuStorage::F64(_)) => {
                map_storage!(x, g, |x, g| {
                    let (x, g) = (elements(x, x_layout)?, elements(g, g_layout)?);
                    let mut dx = g.to_vec();
                    vectorized(
                        #[inline(always)]
                        || {
                            for (x, g) in x.chunks_exact(width).zip(dx.chunks_exact_mut(width)) {
                                let (mean, inverse) = moments(x, self.eps);
                                let (mean, inverse) = (mean as Real, inverse as Real);
                                let mean_g = sum_of(g, |g| g) / width as Real;
                                let along = sum_of_two(x, g, |x, g| (x - mean) * inverse * g) / width as Real;
                                for (g, x) in g.iter_mut().zip(x) {
                                    *g = (*g - mean_g - (x - mean) * inverse * along) * inverse;
                                }
                            }
                        },
                    );
                    dx
                })
            }
            (other, _) => unsupported(other),
        };
        Ok((storage?, g_layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;
    use crate::seed::Seed;

    #[test]
    fn gradients_of_rows_weights_and_biases_are_those_of_candles_operations() {
        for dtype in [DType::F32, DType::F64] {
            let numbers = |shape: &[usize], child: usize| {
                let values: Vec<f64> = Seed(5).child(child).uniform(-1., 1.).take(shape.iter().product()).collect();
                Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
            };
            let norm = LayerNorm::new(&numbers(&[9], 1), &numbers(&[9], 2), 1e-5).unwrap();
            let x = Var::from_tensor(&numbers(&[3, 4, 9], 3)).unwrap();
            let tensors = [&x, norm.weight(), norm.bias().unwrap()];
            let (weight, bias) = (norm.weight().as_tensor(), norm.bias().map(|bias| bias.as_tensor()));
            let composed = LayerNorm::composed_of(&x, weight, bias, 1e-5, true, false).unwrap();
            let all = [norm.forward(x.as_tensor()).unwrap(), composed].map(|y| {
                let store = (y.sqr().unwrap() * y).unwrap().sum_all().unwrap().backward().unwrap();
                let numbers = |var: &&Var| {
                    let gradient = store.get(var).unwrap();
                    assert_eq!(gradient.dims(), var.dims());
                    gradient.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap()
                };
                tensors.iter().flat_map(numbers).collect::<Vec<_>>()
            });
            let tolerance = if dtype == DType::F64 { 1e-12 } else { 2e-5 };
            for (ours, candles) in all[0].iter().zip(&all[1]) {
                assert!((ours - candles).abs() <= tolerance * candles.abs().max(1.), "{ours} and {candles}");
            }
        }
    }
}
