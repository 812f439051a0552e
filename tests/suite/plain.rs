//! A network in plain Rust, with nothing of candle or of the crate, and the same one as a
//! [`Sequential`]: what the textbook twins are computed with.

use std::ops::Range;

use candle_explain::prelude::*;

/// linear1 (4 to 5), tanh1, linear2 (5 to 3), tanh2, linear3 (3 to 2): two outputs, no softmax.
pub struct Plain {
    weights: Vec<Vec<Vec<f64>>>,
    biases: Vec<Vec<f64>>,
    rectified: bool,
}

pub const SIZES: [usize; 4] = [4, 5, 3, 2];

/// The layers in order: their names, and how many of the plain steps lie below them.
pub const LAYERS: [&str; 5] = ["linear1", "tanh1", "linear2", "tanh2", "linear3"];

impl Plain {
    pub fn new(seed: u64) -> Self {
        let mut draw = numbers(seed);
        let mut take = |count: usize| -> Vec<f64> { draw.by_ref().take(count).collect() };
        let pairs = || SIZES.windows(2);
        let weights = pairs().map(|pair| (0..pair[1]).map(|_| take(pair[0])).collect()).collect();
        let biases = pairs().map(|pair| take(pair[1])).collect();
        Self { weights, biases, rectified: false }
    }

    /// The same with ReLU in the place of tanh.
    pub fn rectified(seed: u64) -> Self {
        Self { rectified: true, ..Self::new(seed) }
    }

    fn activated(&self, x: f64) -> f64 {
        if self.rectified { x.max(0.) } else { x.tanh() }
    }

    /// One layer after another, from `first` on: even steps are linear, odd ones tanh.
    pub fn above_layer(&self, first: usize, activation: &[f64]) -> Vec<f64> {
        self.run(first, LAYERS.len(), activation)
    }

    /// The output of the layer at `layer` for an input.
    pub fn up_to_layer(&self, layer: usize, input: &[f64]) -> Vec<f64> {
        self.run(0, layer + 1, input)
    }

    pub fn output(&self, input: &[f64]) -> Vec<f64> {
        self.run(0, LAYERS.len(), input)
    }

    fn run(&self, first: usize, end: usize, values: &[f64]) -> Vec<f64> {
        (first..end).fold(values.to_vec(), |x, step| match step % 2 {
            0 => {
                let (weight, bias) = (&self.weights[step / 2], &self.biases[step / 2]);
                weight.iter().zip(bias).map(|(row, bias)| dot(row, &x) + bias).collect()
            }
            _ => x.iter().map(|x| self.activated(*x)).collect(),
        })
    }

    /// DeepLift's multipliers: back from a target, through each weight as it is, and through each activation by its
    /// difference divided by that of what goes in.
    pub fn multipliers(&self, x: &[f64], b: &[f64], target: usize) -> Vec<f64> {
        self.multipliers_in(0..LAYERS.len(), x, b, target)
    }

    /// The same from one number of what the last of these steps gives to what goes into the first.
    pub fn multipliers_in(&self, steps: Range<usize>, x: &[f64], b: &[f64], index: usize) -> Vec<f64> {
        self.back(steps, index, |step, unit, multiplier| {
            let (end, start) = (self.run(0, step, x)[unit], self.run(0, step, b)[unit]);
            multiplier * (self.activated(end) - self.activated(start)) / (end - start)
        })
    }

    /// The gradient of one number of what these first steps give, of which only this passes through an activation, by
    /// what goes into it.
    pub fn passed(&self, steps: usize, x: &[f64], index: usize, pass: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        self.back(0..steps, index, |step, unit, gradient| pass(gradient, self.run(0, step, x)[unit]))
    }

    fn back(&self, steps: Range<usize>, index: usize, through: impl Fn(usize, usize, f64) -> f64) -> Vec<f64> {
        let width = SIZES[steps.end.div_ceil(2)];
        let mut gradient: Vec<f64> = (0..width).map(|unit| f64::from(u8::from(unit == index))).collect();
        for step in steps.rev() {
            gradient = match step % 2 {
                0 => {
                    let weight = &self.weights[step / 2];
                    let column = |input: usize| weight.iter().map(|row| row[input]).collect::<Vec<_>>();
                    (0..weight[0].len()).map(|input| dot(&column(input), &gradient)).collect()
                }
                _ => gradient.iter().enumerate().map(|(unit, gradient)| through(step, unit, *gradient)).collect(),
            };
        }
        gradient
    }

    /// The relevance of what goes into a step, by the epsilon rule with 1e-9, and through tanh unchanged.
    pub fn relevance(&self, x: &[f64], target: usize, step: usize) -> Vec<f64> {
        let mut relevance = vec![0.; SIZES[3]];
        relevance[target] = self.output(x)[target];
        for step in (step..LAYERS.len()).rev().filter(|step| step % 2 == 0) {
            let (inputs, outputs) = (self.run(0, step, x), self.run(0, step + 1, x));
            let shares = outputs.iter().zip(&relevance).map(|(y, relevance)| relevance / (y + 1e-9 * y.signum()));
            let shares: Vec<f64> = shares.collect();
            let weight = &self.weights[step / 2];
            let of = |input: usize| weight.iter().zip(&shares).map(|(row, share)| row[input] * share).sum::<f64>();
            relevance = inputs.iter().enumerate().map(|(input, x)| x * of(input)).collect();
        }
        relevance
    }

    pub fn sequential(&self) -> Sequential {
        let layers = (0..LAYERS.len()).map(|step| {
            let layer = match step % 2 {
                0 => {
                    let (weight, bias) = (&self.weights[step / 2], &self.biases[step / 2]);
                    let weight = tensor(weight);
                    let bias = Tensor::new(bias.as_slice(), &Device::Cpu).unwrap();
                    Layer::Linear(Linear::from_weights(&weight, Some(&bias)).unwrap())
                }
                _ if self.rectified => Layer::Activation(Activation::Relu),
                _ => Layer::Activation(Activation::Tanh),
            };
            (LAYERS[step], layer)
        });
        Sequential::from_layers(SIZES[0], layers).unwrap()
    }
}

/// x² as a block.
#[derive(Clone)]
pub struct Square;

impl Block for Square {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok(inputs[0].sqr()?)
    }

    fn operation(&self) -> candle_explain::nn::Operation<'_> {
        candle_explain::nn::Operation::Elementwise
    }
}

/// Numbers between -1.5 and 1.5 that depend on the seed alone.
pub fn numbers(seed: u64) -> impl Iterator<Item = f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64 * 3. - 1.5
    })
}

/// `rows` rows of inputs.
pub fn rows(seed: u64, rows: usize) -> Vec<Vec<f64>> {
    let mut draw = numbers(seed);
    (0..rows).map(|_| draw.by_ref().take(SIZES[0]).collect()).collect()
}

pub fn tensor(rows: &[Vec<f64>]) -> Tensor {
    let flat: Vec<f64> = rows.concat();
    Tensor::from_vec(flat, (rows.len(), rows[0].len()), &Device::Cpu).unwrap()
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub fn line(from: &[f64], to: &[f64], alpha: f64) -> Vec<f64> {
    from.iter().zip(to).map(|(from, to)| from + alpha * (to - from)).collect()
}

/// The gradient by central differences, good to about 1e-10.
pub fn gradient(f: impl Fn(&[f64]) -> f64, at: &[f64]) -> Vec<f64> {
    let step = 1e-3;
    let shifted = |index: usize, by: f64| {
        let mut point = at.to_vec();
        point[index] += by;
        f(&point)
    };
    let slope = |index: usize, h: f64| (shifted(index, h) - shifted(index, -h)) / (2. * h);
    // Richardson: the error of order h² cancels.
    (0..at.len()).map(|index| (4. * slope(index, step / 2.) - slope(index, step)) / 3.).collect()
}

#[track_caller]
pub fn assert_close(got: &Tensor, expected: &[Vec<f64>], tolerance: f64) {
    let got = got.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let expected = expected.concat();
    assert_eq!(got.len(), expected.len());
    for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
        assert!((got - expected).abs() <= tolerance, "element {index}: {got} instead of {expected}");
    }
}
