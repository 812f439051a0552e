//! Elementwise nonlinearities, each with PyTorch's derivative, kinks included.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Module, Result, Shape, Tensor};

use super::block::{Block, Operation, only};
use super::exponential::{self, exp, exp_m1, ln_1p, tanh};
use super::on_cpu::{elements, is_fusible, unsupported, widened};
use super::vectors::vectorized;
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
            // Not `gelu_erf`, whose backward has constants of 6 digits.
            Activation::Gelu => (x * 0.5)? * ((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.)?,
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

    fn derivative(self, x: f64) -> f64 {
        match self {
            Activation::Relu => f64::from(u8::from(x > 0.)),
            Activation::LeakyRelu { slope } => {
                if x > 0. {
                    1.
                } else {
                    slope
                }
            }
            Activation::Elu { alpha } => {
                if x > 0. {
                    1.
                } else {
                    alpha * x.exp()
                }
            }
            Activation::Sigmoid => {
                let y = self.value(x);
                y * (1. - y)
            }
            Activation::Tanh => {
                let y = x.tanh();
                1. - y * y
            }
            Activation::Softplus => -(-self.value(x)).exp_m1(),
            Activation::Gelu => {
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
        self.run(Replace { values, slopes });
    }
}

/// A loop over a function of a number that also gives its derivative. The function is a closure that is always inlined:
/// any other is called for each number, and not vectorised.
trait Loop {
    fn run(self, function: impl Fn(f32) -> (f32, f32));
}

struct Replace<'a> {
    values: &'a mut [f32],
    slopes: Option<&'a mut [f32]>,
}

impl Loop for Replace<'_> {
    #[inline(always)]
    fn run(self, function: impl Fn(f32) -> (f32, f32)) {
        pointwise(self.values, self.slopes, function);
    }
}

/// Multiplies gradients by the derivative at these numbers.
struct Scale<'a> {
    gradients: &'a mut [f32],
    at: &'a [f32],
}

impl Loop for Scale<'_> {
    #[inline(always)]
    fn run(self, function: impl Fn(f32) -> (f32, f32)) {
        vectorized(
            #[inline(always)]
            || {
                for (gradient, x) in self.gradients.iter_mut().zip(self.at) {
                    *gradient *= function(*x).1;
                }
            },
        );
    }
}

impl Activation {
    fn run(self, work: impl Loop) {
        match self {
            Activation::Relu => work.run(
                #[inline(always)]
                |x| (relu(x), if x > 0. { 1. } else { 0. }),
            ),
            Activation::LeakyRelu { slope } => {
                let slope = slope as f32;
                work.run(
                    #[inline(always)]
                    move |x| if x <= 0. { (slope * x, slope) } else { (x, 1.) },
                );
            }
            Activation::Elu { alpha } => {
                let alpha = alpha as f32;
                work.run(
                    #[inline(always)]
                    move |x| {
                        if x <= 0. { (alpha * exp_m1(x), alpha * exp(x)) } else { (x, 1.) }
                    },
                );
            }
            Activation::Sigmoid => work.run(
                #[inline(always)]
                |x| {
                    let y = sigmoid(x);
                    (y, y * (1. - y))
                },
            ),
            Activation::Tanh => work.run(
                #[inline(always)]
                |x| {
                    let y = tanh(x);
                    (y, 1. - y * y)
                },
            ),
            Activation::Softplus => work.run(
                #[inline(always)]
                |x| (x.max(0.) + ln_1p(exp(-x.abs())), sigmoid(x)),
            ),
            Activation::Gelu => work.run(
                #[inline(always)]
                |x| {
                    let (y, slope) = gelu(x);
                    (y, slope)
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

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad_res: &Tensor) -> Result<Option<Tensor>> {
        arg.detach().apply_op2_no_bwd(&grad_res.contiguous()?, &PointwiseGradient(self.0)).map(Some)
    }
}

struct PointwiseGradient(Activation);

impl CustomOp2 for PointwiseGradient {
    fn name(&self) -> &'static str {
        "activation-gradient"
    }

    fn cpu_fwd(
        &self,
        at: &CpuStorage,
        at_layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let kind = self.0;
        let storage = match (at, grad) {
            (CpuStorage::F32(at), CpuStorage::F32(grad)) => {
                let mut gradients = elements(grad, grad_layout)?.to_vec();
                kind.run(Scale { gradients: &mut gradients, at: elements(at, at_layout)? });
                CpuStorage::F32(gradients)
            }
            (CpuStorage::F64(at), CpuStorage::F64(grad)) => {
                let pairs = elements(at, at_layout)?.iter().zip(elements(grad, grad_layout)?);
                CpuStorage::F64(pairs.map(|(&x, &g)| kind.derivative(x) * g).collect())
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
                assert!((fused - composed).abs() < 1e-6, "{kind:?}: {fused} and {composed}");
            }
            let nan = Tensor::new(&[f64::NAN], &Device::Cpu).unwrap();
            assert!(kind.composed(&nan).unwrap().to_vec1::<f64>().unwrap()[0].is_nan(), "{kind:?}");
        }
    }

    #[test]
    fn numbers_and_slopes_in_f32_are_those_in_f64() {
        for kind in ALL {
            for step in -9_000..=9_000 {
                let x = step as f32 / 301.;
                let (mut y, mut slope) = ([x], [0.]);
                kind.replace(&mut y, Some(&mut slope));
                let wide = f64::from(x);
                if let Activation::Elu { .. } | Activation::Sigmoid = kind
                    && x < 0.
                {
                    let right = kind.derivative(wide);
                    assert!((f64::from(slope[0]) / right - 1.).abs() < 1e-6, "{kind:?} at {x}: {}", slope[0]);
                }
                for (got, right) in [(y[0], kind.value(wide)), (slope[0], kind.derivative(wide))] {
                    let allowed = 5e-7 * right.abs().clamp(0.6, 1e3);
                    assert!((f64::from(got) - right).abs() <= allowed, "{kind:?} of {x}: {got} and {right}");
                }
            }
            let (mut y, mut slope) = ([f32::NAN, 200., -200.], [0.; 3]);
            kind.replace(&mut y, Some(&mut slope));
            assert!(y[0].is_nan(), "{kind:?}");
            assert_eq!(y[1..], [200., -200.].map(|x| kind.value(x) as f32), "{kind:?}");
        }
    }
}
