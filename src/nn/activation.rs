//! Elementwise nonlinearities, each with PyTorch's derivative, kinks included.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Module, Result, Shape, Tensor};

use super::block::{Block, Operation, only};
use super::exponential::{self, exp, vectorized};
use super::on_cpu::{elements, is_fusible, unsupported, widened};
use crate::error::bail;

/// An elementwise nonlinearity.
///
/// | Kind | y(x) | dy/dx |
/// |---|---|---|
/// | `Relu` | max(x, 0) | 1 for x > 0, else 0 (also at 0) |
/// | `LeakyRelu` | x, or slope·x for x ≤ 0 | 1 or slope |
/// | `Elu` | x, or α(eˣ − 1) for x ≤ 0 | 1 or αeˣ |
/// | `Sigmoid` | 1 / (1 + e⁻ˣ) | y(1 − y) |
/// | `Tanh` | tanh x | 1 − y² |
/// | `Softplus` | ln(1 + eˣ), x above 20 | 1 − e⁻ʸ |
/// | `Gelu` | x·Φ(x), exact | Φ(x) + x·φ(x) |
///
/// ```
/// use candle_explain::prelude::*;
///
/// let x = Tensor::new(&[-1f32, 0., 2.], &Device::Cpu)?;
/// assert_eq!(Activation::Relu.forward(&x)?.to_vec1::<f32>()?, [0., 0., 2.]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// x above 0 and slope·x below.
    LeakyRelu {
        /// The slope below 0.
        slope: f64,
    },
    /// x above 0 and α(eˣ − 1) below.
    Elu {
        /// Minus the value that is approached far below 0.
        alpha: f64,
    },
    /// The logistic function.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// ln(1 + eˣ).
    Softplus,
    /// x times the normal distribution function, by erf, not by its tanh approximation.
    Gelu,
}

const SOFTPLUS_LINEAR_ABOVE: f64 = 20.0;

impl Module for Activation {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.apply(x)?)
    }
}

impl Block for Activation {
    fn compute(&self, inputs: &[&Tensor]) -> crate::Result<Tensor> {
        self.apply(only("an activation", inputs)?)
    }

    fn operation(&self) -> Operation<'_> {
        match self {
            Self::Relu => Operation::Relu,
            _ => Operation::Elementwise,
        }
    }
}

impl Activation {
    fn apply(&self, x: &Tensor) -> crate::Result<Tensor> {
        if !x.dtype().is_float() {
            bail!(Input, "{self:?} of {:?} values: expected floating-point numbers (convert with to_dtype)", x.dtype())
        }
        widened(
            x,
            |x| {
                if is_fusible(x) { Ok(x.contiguous()?.apply_op1(Applied(*self))?) } else { Ok(self.composed(x)?) }
            },
        )
    }

    /// The same function composed of candle's operations, for other devices.
    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let zeros = x.zeros_like()?;
        // Compared this way round, NaN is treated like positive numbers, and so passes through.
        let where_positive = |positive: &Tensor, other: &Tensor| x.detach().le(&zeros)?.where_cond(other, positive);
        match *self {
            Activation::Relu => where_positive(x, &zeros),
            Activation::LeakyRelu { slope } => where_positive(x, &(x * slope)?),
            Activation::Elu { alpha } => {
                let below = where_positive(&zeros, x)?;
                where_positive(x, &((below.exp()? - 1.)? * alpha)?)
            }
            Activation::Sigmoid => candle_nn::ops::sigmoid(x),
            Activation::Tanh => x.tanh(),
            Activation::Softplus => {
                let linear = x.detach().gt(SOFTPLUS_LINEAR_ABOVE)?;
                let curved = linear.where_cond(&zeros, x)?;
                linear.where_cond(x, &(curved.exp()? + 1.)?.log()?)
            }
            Activation::Gelu => x.gelu_erf(),
        }
    }

    fn value(self, x: f64) -> f64 {
        match self {
            Activation::Relu if x <= 0. => 0.,
            Activation::Relu => x,
            Activation::LeakyRelu { slope } if x <= 0. => slope * x,
            Activation::LeakyRelu { .. } => x,
            Activation::Elu { alpha } if x <= 0. => alpha * x.exp_m1(),
            Activation::Elu { .. } => x,
            Activation::Sigmoid => 1. / (1. + (-x).exp()),
            Activation::Tanh => x.tanh(),
            Activation::Softplus if x > SOFTPLUS_LINEAR_ABOVE => x,
            Activation::Softplus => x.exp().ln_1p(),
            Activation::Gelu => x * normal_distribution(x),
        }
    }

    /// Whether the derivative is told by the input, not by the output.
    fn tells_by_input(self) -> bool {
        matches!(self, Activation::Gelu | Activation::LeakyRelu { .. } | Activation::Elu { .. })
    }

    /// The derivative: from the output `y`, or from the input `x` for kinds whose output does not determine it.
    fn derivative(self, x_or_y: f64) -> f64 {
        let y = x_or_y;
        match self {
            Activation::Relu => f64::from(u8::from(y > 0.)),
            Activation::LeakyRelu { slope } => {
                if x_or_y > 0. {
                    1.
                } else {
                    slope
                }
            }
            Activation::Elu { alpha } => {
                if x_or_y > 0. {
                    1.
                } else {
                    alpha * x_or_y.exp()
                }
            }
            Activation::Sigmoid => y * (1. - y),
            Activation::Tanh => 1. - y * y,
            Activation::Softplus => -(-y).exp_m1(),
            Activation::Gelu => {
                let x = x_or_y;
                let density = (-0.5 * x * x).exp() / (2. * std::f64::consts::PI).sqrt();
                normal_distribution(x) + x * density
            }
        }
    }
}

fn normal_distribution(x: f64) -> f64 {
    0.5 * (1. + candle_core::cpu::erf::erf_f64(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// A function of each number.
pub(crate) trait Pointwise: Send + Sync {
    /// Puts the function's value in the place of each number, and its derivative into `slopes`.
    fn replace(&self, values: &mut [f32], slopes: Option<&mut [f32]>);
}

impl Pointwise for Activation {
    fn replace(&self, values: &mut [f32], slopes: Option<&mut [f32]>) {
        let kind = *self;
        match kind {
            Activation::Relu => pointwise(
                values,
                slopes,
                #[inline(always)]
                |x| (relu(x), f32::from(u8::from(x > 0.))),
            ),
            Activation::Sigmoid => pointwise(
                values,
                slopes,
                #[inline(always)]
                |x| {
                    let y = sigmoid(x);
                    (y, y * (1. - y))
                },
            ),
            Activation::Gelu => pointwise(
                values,
                slopes,
                #[inline(always)]
                |x| {
                    let (y, slope) = gelu(x);
                    (y, slope)
                },
            ),
            _ if slopes.is_none() => pointwise(
                values,
                None,
                #[inline(always)]
                |x| (kind.value(f64::from(x)) as f32, 0.),
            ),
            _ => pointwise(
                values,
                slopes,
                #[inline(always)]
                |x| {
                    let y = kind.value(f64::from(x));
                    let known = if kind.tells_by_input() { f64::from(x) } else { y };
                    (y as f32, kind.derivative(known) as f32)
                },
            ),
        }
    }
}

#[inline(always)]
pub(crate) fn relu(x: f32) -> f32 {
    if x <= 0. { 0. } else { x }
}

#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1. / (1. + exp(-x))
}

/// The value and its derivative.
#[inline(always)]
pub(crate) fn gelu(x: f32) -> (f32, f32) {
    let (share, density) = exponential::normal_distribution(x);
    (x * share, share + x * density)
}

/// Puts a function's value in the place of each number, and its derivative into `slopes`. The function is a closure that
/// is always inlined: any other is called for each number, and not vectorised.
#[inline(always)]
pub(crate) fn pointwise(values: &mut [f32], slopes: Option<&mut [f32]>, function: impl Fn(f32) -> (f32, f32)) {
    vectorized(
        #[inline(always)]
        || match slopes {
            Some(slopes) => {
                for (x, slope) in values.iter_mut().zip(slopes) {
                    (*x, *slope) = function(*x);
                }
            }
            None => {
                for x in values {
                    *x = function(*x).0;
                }
            }
        },
    );
}

/// Multiplies gradients by the derivative, which is told by these numbers.
#[inline(always)]
fn scale(gradients: &mut [f32], known: &[f32], derivative: impl Fn(f32) -> f32) {
    vectorized(
        #[inline(always)]
        || {
            for (gradient, known) in gradients.iter_mut().zip(known) {
                *gradient *= derivative(*known);
            }
        },
    );
}

struct Applied(Activation);

impl CustomOp1 for Applied {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let kind = self.0;
        let storage = match storage {
            CpuStorage::F32(values) => {
                let mut values = elements(values, layout)?.to_vec();
                kind.replace(&mut values, None);
                CpuStorage::F32(values)
            }
            CpuStorage::F64(values) => {
                CpuStorage::F64(elements(values, layout)?.iter().map(|&x| kind.value(x)).collect())
            }
            other => return unsupported(other),
        };
        Ok((storage, layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, res: &Tensor, grad_res: &Tensor) -> Result<Option<Tensor>> {
        let known = if self.0.tells_by_input() { arg } else { res };
        known.detach().apply_op2_no_bwd(&grad_res.contiguous()?, &PointwiseGradient(self.0)).map(Some)
    }
}

struct PointwiseGradient(Activation);

impl CustomOp2 for PointwiseGradient {
    fn name(&self) -> &'static str {
        "activation-gradient"
    }

    fn cpu_fwd(
        &self,
        known: &CpuStorage,
        known_layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let kind = self.0;
        let storage = match (known, grad) {
            (CpuStorage::F32(known), CpuStorage::F32(grad)) => {
                let (known, mut grad) = (elements(known, known_layout)?, elements(grad, grad_layout)?.to_vec());
                match kind {
                    Activation::Sigmoid => scale(
                        &mut grad,
                        known,
                        #[inline(always)]
                        |y| y * (1. - y),
                    ),
                    Activation::Gelu => scale(
                        &mut grad,
                        known,
                        #[inline(always)]
                        |x| gelu(x).1,
                    ),
                    _ => scale(
                        &mut grad,
                        known,
                        #[inline(always)]
                        |known| kind.derivative(f64::from(known)) as f32,
                    ),
                }
                CpuStorage::F32(grad)
            }
            (CpuStorage::F64(known), CpuStorage::F64(grad)) => {
                let pairs = elements(known, known_layout)?.iter().zip(elements(grad, grad_layout)?);
                CpuStorage::F64(pairs.map(|(&k, &g)| kind.derivative(k) * g).collect())
            }
            (other, _) => return unsupported(other),
        };
        Ok((storage, grad_layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    const ALL: [Activation; 7] = [
        Activation::Relu,
        Activation::LeakyRelu { slope: 0.1 },
        Activation::Elu { alpha: 0.7 },
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Softplus,
        Activation::Gelu,
    ];

    #[test]
    fn both_ways_of_computing_give_the_same_values_and_gradients() {
        let x = Var::new(&[-800f64, -3., -0.4, 0., 0.2, 3., 25., 800.], &Device::Cpu).unwrap();
        for kind in ALL {
            let ways = [kind.apply(&x).unwrap(), kind.composed(&x).unwrap()].map(|y| {
                let gradient = y.backward().unwrap().remove(&x).unwrap();
                [y.detach(), gradient].map(|tensor| tensor.to_vec1::<f64>().unwrap()).concat()
            });
            for (fused, composed) in ways[0].iter().zip(&ways[1]) {
                // candle's own gelu has constants of 7 digits.
                assert!((fused - composed).abs() < 1e-6, "{kind:?}: {fused} and {composed}");
            }
            let nan = Tensor::new(&[f64::NAN], &Device::Cpu).unwrap();
            assert!(kind.composed(&nan).unwrap().to_vec1::<f64>().unwrap()[0].is_nan(), "{kind:?}");
        }
    }
}
