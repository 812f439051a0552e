//! Dense layers and functions of their numbers, one after the other, as one operation.
//!
//! It computes in `f32` on the CPU what the layers compute as blocks: with weights that are left out of the graph, or with
//! those that are trained. Rows are taken in chunks, on the cores that are free. In a chunk the numbers of a feature lie
//! together, one for each row, so that the vectors of the processor are full however narrow the layers are.

mod columns;
mod frozen;
mod network;
mod trained;

use std::iter::once;
use std::sync::{Arc, OnceLock};

use candle_core::{DType, Result, Tensor, Var};

use self::frozen::Frozen;
use self::network::Network;
use self::trained::Trained;
use super::activation::Activation;
use super::linear::Linear;
use crate::device;

/// Weights of more numbers than this fill the vectors of the processor by themselves, and their products all cores.
const MOST_WEIGHTS: usize = 1 << 16;

/// Layers that take rows of numbers `[rows, inputs]` to `[rows, outputs]`.
pub(crate) struct Perceptron {
    pub(crate) steps: Vec<Step>,
}

/// One layer of it.
pub(crate) enum Step {
    Affine(Linear),
    Each(Activation),
    /// Softmax over the features.
    Softmax,
}

impl Perceptron {
    /// Whether it can take these rows, and its layers are narrow enough that it pays.
    pub(crate) fn takes(&self, x: &Tensor) -> bool {
        let is_plain = |tensor: &Tensor| device::is_cpu(tensor.device()) && tensor.dtype() == DType::F32;
        let width = self.linears().next().map(inputs);
        let joined = self.linears().zip(self.linears().skip(1)).all(|(one, next)| outputs(one) == inputs(next));
        matches!(x.dims(), [rows, of_row] if *rows > 0 && Some(*of_row) == width)
            && is_plain(x)
            && joined
            && self.weights().all(|weight| is_plain(weight) && weight.is_contiguous())
            && self.weights().all(|weight| weight.elem_count() <= MOST_WEIGHTS)
    }

    fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.steps.iter().filter_map(|step| if let Step::Affine(linear) = step { Some(linear) } else { None })
    }

    /// The weight and the bias of each dense layer.
    fn weights(&self) -> impl Iterator<Item = &Var> {
        self.linears().flat_map(|linear| once(linear.weight()).chain(linear.bias()))
    }

    /// The widths before each step and after the last.
    pub(crate) fn widths(&self) -> Vec<usize> {
        let first = self.linears().next().map_or(0, inputs);
        let after = self.steps.iter().scan(first, |width, step| {
            if let Step::Affine(linear) = step {
                *width = outputs(linear);
            }
            Some(*width)
        });
        once(first).chain(after).collect()
    }

    /// The output `[rows, outputs]`, and how many bytes are kept for the gradient of `x`.
    pub(crate) fn forward(self, x: &Tensor) -> Result<(Tensor, usize)> {
        let kept = Arc::new(OnceLock::new());
        let frozen = Frozen { network: Network::of(self), tracked: x.track_op(), kept: kept.clone() };
        let output = x.contiguous()?.apply_op1(frozen)?;
        Ok((output, kept.get().map_or(0, |kept: &Vec<f32>| size_of_val(kept.as_slice()))))
    }

    /// The output `[rows, outputs]` with the weights in the graph.
    pub(crate) fn forward_tracked(self, x: &Tensor) -> Result<Tensor> {
        let weights = self.weights().map(|weight| weight.flatten_all()).collect::<Result<Vec<_>>>()?;
        let of_inputs = x.track_op();
        let trained = Trained { network: Network::of(self), of_inputs, kept: OnceLock::new() };
        x.contiguous()?.apply_op2(&Tensor::cat(&weights, 0)?, trained)
    }
}

fn inputs(linear: &Linear) -> usize {
    linear.weight().dims()[1]
}

fn outputs(linear: &Linear) -> usize {
    linear.weight().dims()[0]
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Module};

    use super::*;
    use crate::cores;
    use crate::nn::Block;
    use crate::seed::Seed;

    fn numbers(shape: &[usize], seed: Seed) -> Tensor {
        let values: Vec<f32> = seed.uniform(-2., 2.).take(shape.iter().product()).map(|x| x as f32).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    /// Layers of random widths and kinds; some are wider than a chunk, some have no bias.
    fn drawn(seed: Seed) -> Perceptron {
        let mut draw = seed.child(0).uniform(0., 1.);
        let mut below = |count: usize| (draw.next().unwrap() * count as f64) as usize;
        let activations = [
            Activation::Relu,
            Activation::LeakyRelu { slope: 0.1 },
            Activation::Elu { alpha: 0.7 },
            Activation::Sigmoid,
            Activation::Tanh,
            Activation::Softplus,
            Activation::Gelu,
        ];
        let mut width = 1 + below(60);
        let mut steps = Vec::new();
        for layer in 1..=1 + below(4) {
            let widest = [300, 40, 40, 40, 40][below(5)];
            let next = 1 + below(widest);
            let linear = Linear::new(width, next, seed.child(layer)).unwrap();
            steps.push(Step::Affine(match below(3) {
                0 => Linear::from_weights(linear.weight(), None).unwrap(),
                _ => linear,
            }));
            width = next;
            match below(9) {
                7 => steps.push(Step::Softmax),
                8 => {}
                kind => steps.push(Step::Each(activations[kind])),
            }
        }
        Perceptron { steps }
    }

    /// The same layers as blocks in `f64`.
    fn plain(perceptron: &Perceptron, x: &Tensor) -> Tensor {
        perceptron.steps.iter().fold(x.clone(), |x, step| match step {
            Step::Affine(linear) => linear.to_dtype(DType::F64).unwrap().forward_frozen(&x).unwrap(),
            Step::Each(activation) => activation.forward(&x).unwrap(),
            Step::Softmax => crate::nn::Softmax { axis: 1 }.compute(&[&x]).unwrap(),
        })
    }

    fn both(output: Tensor, x: &Var, weights: &Tensor) -> [Vec<f64>; 2] {
        let sum = (&output * weights.to_dtype(output.dtype()).unwrap()).unwrap().sum_all().unwrap();
        let gradient = sum.backward().unwrap().remove(x).unwrap();
        [output, gradient].map(|tensor| tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap())
    }

    #[test]
    fn values_and_gradients_are_those_of_the_blocks_in_f64() {
        for seed in (0..200).map(Seed) {
            let perceptron = drawn(seed);
            let widths = perceptron.widths();
            let rows = 1 + seed.child(70).uniform(0., 700.).next().unwrap() as usize;
            let x = numbers(&[rows, widths[0]], seed.child(71));
            let weights = numbers(&[rows, widths[widths.len() - 1]], seed.child(72));
            let wide = Var::from_tensor(&x.to_dtype(DType::F64).unwrap()).unwrap();
            let right = both(plain(&perceptron, &wide), &wide, &weights);
            let x = Var::from_tensor(&x).unwrap();
            assert!(perceptron.takes(&x));
            let (output, _) = perceptron.forward(&x).unwrap();
            let ours = both(output, &x, &weights);
            for (ours, right) in ours.iter().zip(&right) {
                let most = right.iter().fold(0., |most: f64, x| most.max(x.abs()));
                assert_eq!(ours.len(), right.len());
                for (ours, right) in ours.iter().zip(right) {
                    assert!((ours - right).abs() <= 1e-5 * most, "{seed:?} {widths:?}: {ours}, not {right} of {most}");
                }
            }
        }
    }

    #[test]
    fn gradients_of_the_weights_are_those_of_the_blocks_in_f64() {
        for seed in (0..100).map(Seed) {
            let perceptron = drawn(seed);
            let widths = perceptron.widths();
            let rows = 1 + seed.child(70).uniform(0., 1500.).next().unwrap() as usize;
            let x = numbers(&[rows, widths[0]], seed.child(71));
            let weights = numbers(&[rows, widths[widths.len() - 1]], seed.child(72));
            let wide: Vec<Var> = perceptron
                .weights()
                .map(|weight| Var::from_tensor(&weight.as_tensor().to_dtype(DType::F64).unwrap()).unwrap())
                .collect();
            let mut of_step = wide.iter();
            let y = perceptron.steps.iter().fold(x.to_dtype(DType::F64).unwrap(), |x, step| match step {
                Step::Affine(linear) => {
                    let product = x.matmul(&of_step.next().unwrap().t().unwrap()).unwrap();
                    let bias = linear.bias().map(|_| of_step.next().unwrap());
                    bias.map_or(product.clone(), |bias| product.broadcast_add(bias).unwrap())
                }
                Step::Each(activation) => activation.forward(&x).unwrap(),
                Step::Softmax => crate::nn::Softmax { axis: 1 }.compute(&[&x]).unwrap(),
            });
            let right = (y * weights.to_dtype(DType::F64).unwrap()).unwrap().sum_all().unwrap().backward().unwrap();

            let own: Vec<Var> = perceptron.weights().cloned().collect();
            let tracked = Var::from_tensor(&x).unwrap();
            let x = if seed.0 % 2 == 0 { tracked.as_tensor() } else { &x };
            let of_inputs = both(drawn(seed).forward(tracked.as_tensor()).unwrap().0, &tracked, &weights);
            let y = perceptron.forward_tracked(x).unwrap();
            let ours = (y * &weights).unwrap().sum_all().unwrap().backward().unwrap();
            for (own, wide) in own.iter().zip(&wide) {
                let [ours, right] = [ours.get(own).unwrap(), right.get(wide).unwrap()]
                    .map(|g| g.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap());
                let most = right.iter().fold(0., |most: f64, x| most.max(x.abs()));
                for (ours, right) in ours.iter().zip(&right) {
                    assert!((ours - right).abs() <= 2e-5 * most, "{seed:?} {widths:?}: {ours}, not {right} of {most}");
                }
            }
            assert_eq!(ours.get(&tracked).is_some(), seed.0 % 2 == 0);
            if let Some(gradient) = ours.get(&tracked) {
                let numbers = gradient.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
                assert_eq!(numbers, of_inputs[1]);
            }
        }
    }

    #[test]
    fn gradients_of_the_weights_are_the_same_on_any_number_of_cores() {
        let perceptron = || Perceptron {
            steps: vec![
                Step::Affine(Linear::new(40, 30, Seed(1)).unwrap()),
                Step::Each(Activation::Tanh),
                Step::Affine(Linear::new(30, 3, Seed(2)).unwrap()),
            ],
        };
        let x = numbers(&[5000, 40], Seed(3));
        let gradients = || {
            let perceptron = perceptron();
            let weights: Vec<Var> = perceptron.weights().cloned().collect();
            let store = perceptron.forward_tracked(&x).unwrap().sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let numbers = |weight: &Var| store.get(weight).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            weights.iter().flat_map(numbers).collect::<Vec<f32>>()
        };
        assert_eq!(gradients(), cores::beside_others(gradients));
    }

    #[test]
    fn a_row_is_the_same_whatever_the_rows_beside_it_and_the_cores() {
        for seed in (0..20).map(Seed) {
            let widths = drawn(seed).widths();
            let x = numbers(&[1000, widths[0]], seed.child(1));
            let of = |first: usize, count: usize| {
                let (output, kept) = drawn(seed).forward(&x.narrow(0, first, count).unwrap()).unwrap();
                assert_eq!(kept, 0);
                output.to_vec2::<f32>().unwrap()
            };
            let all = of(0, 1000);
            assert_eq!(cores::beside_others(|| of(0, 1000)), all);
            assert_eq!(of(331, 1)[0], all[331]);
            assert_eq!(of(500, 100), all[500..600]);
        }
    }

    #[test]
    fn layers_of_other_widths_and_types_are_not_taken() {
        let seed = Seed(3);
        let linear = |inputs, outputs| Step::Affine(Linear::new(inputs, outputs, seed).unwrap());
        let perceptron = Perceptron { steps: vec![linear(3, 4), Step::Softmax, linear(4, 2)] };
        assert!(perceptron.takes(&numbers(&[5, 3], seed)));
        assert!(!perceptron.takes(&numbers(&[5, 4], seed)));
        assert!(!perceptron.takes(&numbers(&[5, 1, 3], seed)));
        assert!(!perceptron.takes(&numbers(&[0, 3], seed)));
        assert!(!perceptron.takes(&numbers(&[5, 3], seed).to_dtype(DType::F64).unwrap()));
        let wide = Perceptron { steps: vec![linear(3, 300), linear(300, 300)] };
        assert!(!wide.takes(&numbers(&[5, 3], seed)));
        let apart = Perceptron { steps: vec![linear(3, 4), linear(5, 2)] };
        assert!(!apart.takes(&numbers(&[5, 3], seed)));
    }
}
