//! The nonlinearity inside a layer's feed-forward network.

use candle_core::{Module, Result, Tensor};

use crate::nn::{Activation, Block, Operation, Pointwise, gelu, only, pointwise, relu, sigmoid};

/// √(2/π), of the tanh approximation of GELU.
const GELU_SCALE: f64 = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
/// The same as rounded by BERT's early Python code.
const ROUNDED_GELU_SCALE: f64 = 0.797_884_560_8;
const GELU_CUBIC: f64 = 0.044715;
const QUICK_GELU_SCALE: f64 = 1.702;
const GELU_LIMIT: f64 = 10.;

/// What `hidden_act` can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Nonlinearity {
    Plain(Activation),
    /// x/2·(1 + tanh(scale·(x + 0.044715·x³))).
    GeluTanh {
        scale: f64,
    },
    /// x·σ(1.702·x).
    QuickGelu,
    /// GELU between −10 and 10.
    ClippedGelu,
    /// x·σ(x).
    Silu,
    /// max(x, 0)².
    ReluSquared,
    /// Between 0 and 6.
    Relu6,
    /// x·relu6(x + 3)/6.
    HardSwish,
    Linear,
}

impl Nonlinearity {
    /// The nonlinearity of a name in `transformers`; `None` if unknown.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "gelu" | "gelu_python" => Self::Plain(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_python_tanh" | "gelu_accurate" => {
                Self::GeluTanh { scale: GELU_SCALE }
            }
            "gelu_fast" => Self::GeluTanh { scale: ROUNDED_GELU_SCALE },
            "gelu_10" => Self::ClippedGelu,
            "quick_gelu" => Self::QuickGelu,
            "relu" => Self::Plain(Activation::Relu),
            "relu2" => Self::ReluSquared,
            "relu6" => Self::Relu6,
            "leaky_relu" => Self::Plain(Activation::LeakyRelu { slope: 0.01 }),
            "silu" | "swish" => Self::Silu,
            "hardswish" => Self::HardSwish,
            "tanh" => Self::Plain(Activation::Tanh),
            "sigmoid" => Self::Plain(Activation::Sigmoid),
            "linear" => Self::Linear,
            _ => return None,
        })
    }

    fn forward(self, x: &Tensor) -> Result<Tensor> {
        let sigmoid = |x: &Tensor| Activation::Sigmoid.forward(x);
        match self {
            Self::Plain(activation) => activation.forward(x),
            Self::GeluTanh { scale } => {
                let inner = ((x + (x.sqr()? * x)?.affine(GELU_CUBIC, 0.)?)? * scale)?;
                (Activation::Tanh.forward(&inner)? + 1.)? * (x * 0.5)?
            }
            Self::QuickGelu => x * sigmoid(&(x * QUICK_GELU_SCALE)?)?,
            Self::ClippedGelu => {
                let gelu = Activation::Gelu.forward(x)?;
                clipped(&(gelu + GELU_LIMIT)?, 2. * GELU_LIMIT)? - GELU_LIMIT
            }
            Self::Silu => x * sigmoid(x)?,
            Self::ReluSquared => Activation::Relu.forward(x)?.sqr(),
            Self::Relu6 => clipped(x, 6.),
            Self::HardSwish => (x * clipped(&(x + 3.)?, 6.)?)? / 6.,
            Self::Linear => Ok(x.clone()),
        }
    }
}

impl Pointwise for Nonlinearity {
    fn replace(&self, values: &mut [f32], slopes: Option<&mut [f32]>) {
        match *self {
            Self::Plain(activation) => activation.replace(values, slopes),
            Self::GeluTanh { scale } => {
                let (scale, cubic) = (scale as f32, GELU_CUBIC as f32);
                pointwise(
                    values,
                    slopes,
                    #[inline(always)]
                    |x| {
                        // (1 + tanh u) / 2
                        let share = sigmoid(2. * scale * (x + cubic * x * x * x));
                        (x * share, share + 2. * scale * x * share * (1. - share) * (1. + 3. * cubic * x * x))
                    },
                );
            }
            Self::QuickGelu => pointwise(
                values,
                slopes,
                #[inline(always)]
                |x| gated(x, QUICK_GELU_SCALE as f32),
            ),
            Self::Silu => pointwise(
                values,
                slopes,
                #[inline(always)]
                |x| gated(x, 1.),
            ),
            Self::ClippedGelu => pointwise(
                values,
                slopes,
                #[inline(always)]
                |x| {
                    let ((value, slope), limit) = (gelu(x), GELU_LIMIT as f32);
                    (value.clamp(-limit, limit), slope * (step(value + limit) - step(value - limit)))
                },
            ),
            Self::ReluSquared => pointwise(
                values,
                slopes,
                #[inline(always)]
                |x| (relu(x) * relu(x), 2. * relu(x)),
            ),
            Self::Relu6 => pointwise(
                values,
                slopes,
                #[inline(always)]
                |x| (x.clamp(0., 6.), step(x) - step(x - 6.)),
            ),
            Self::HardSwish => pointwise(
                values,
                slopes,
                #[inline(always)]
                |x| {
                    let gate = (x + 3.).clamp(0., 6.);
                    (x * gate / 6., (gate + x * (step(x + 3.) - step(x - 3.))) / 6.)
                },
            ),
            Self::Linear => pointwise(
                values,
                slopes,
                #[inline(always)]
                |x| (x, 1.),
            ),
        }
    }
}

/// x·σ(scale·x) and its derivative.
#[inline(always)]
fn gated(x: f32, scale: f32) -> (f32, f32) {
    let share = sigmoid(scale * x);
    (x * share, share + scale * x * share * (1. - share))
}

/// 1 above 0, else 0.
#[inline(always)]
fn step(x: f32) -> f32 {
    f32::from(u8::from(x > 0.))
}

impl Block for Nonlinearity {
    fn compute(&self, inputs: &[&Tensor]) -> crate::Result<Tensor> {
        Ok(self.forward(only("a nonlinearity", inputs)?)?)
    }

    fn operation(&self) -> Operation<'_> {
        match self {
            Self::Plain(activation) => activation.operation(),
            _ => Operation::Elementwise,
        }
    }
}

/// Between 0 and a limit.
fn clipped(x: &Tensor, limit: f64) -> Result<Tensor> {
    Activation::Relu.forward(x)? - Activation::Relu.forward(&(x - limit)?)?
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    const ALL: [Nonlinearity; 10] = [
        Nonlinearity::Plain(Activation::Relu),
        Nonlinearity::Plain(Activation::Tanh),
        Nonlinearity::GeluTanh { scale: GELU_SCALE },
        Nonlinearity::QuickGelu,
        Nonlinearity::ClippedGelu,
        Nonlinearity::Silu,
        Nonlinearity::ReluSquared,
        Nonlinearity::Relu6,
        Nonlinearity::HardSwish,
        Nonlinearity::Linear,
    ];

    #[test]
    fn numbers_get_the_values_and_slopes_of_tensors() {
        let places: Vec<f64> = (-60..=60).map(|step| f64::from(step) / 4. + 0.01).collect();
        for kind in ALL {
            let x = Var::new(places.as_slice(), &Device::Cpu).unwrap();
            // The straight line's own gradient is none without an operation.
            let y = (kind.forward(&x).unwrap() * 1.).unwrap();
            let gradient = y.backward().unwrap().remove(&x).unwrap();
            let [right, right_slopes] = [y.detach(), gradient].map(|tensor| tensor.to_vec1::<f64>().unwrap());
            let mut values: Vec<f32> = places.iter().map(|x| *x as f32).collect();
            let (mut alone, mut slopes) = (values.clone(), vec![0.; values.len()]);
            kind.replace(&mut values, Some(&mut slopes));
            kind.replace(&mut alone, None);
            assert_eq!(values, alone, "{kind:?}");
            let close = |got: &[f32], right: &[f64]| {
                let near = |(got, right): (&f32, &f64)| (f64::from(*got) - right).abs() < 2e-6 * right.abs().max(1.);
                got.iter().zip(right).all(near)
            };
            assert!(close(&values, &right) && close(&slopes, &right_slopes), "{kind:?}: {values:?}, {slopes:?}");
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        for kind in ALL {
            let mut values = [f32::NAN];
            kind.replace(&mut values, None);
            assert!(values[0].is_nan(), "{kind:?}: {values:?}");
        }
    }
}
