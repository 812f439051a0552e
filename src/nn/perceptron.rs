//! Dense layers and functions of their numbers, one after the other, as one operation.
//!
//! It computes in `f32` on the CPU what the layers compute as blocks, with weights that are left out of the graph. Rows are
//! taken in chunks, on the cores that are free. In a chunk the numbers of a feature lie together, one for each row, so that
//! the vectors of the processor are full however narrow the layers are.

use std::iter::once;
use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, DType, Error, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::activation::{Activation, Pointwise};
use super::exponential::{exp, vectorized};
use super::held::held;
use super::linear::Linear;
use super::matrices::{Matrix, Rows, multiply_into};
use super::on_cpu::elements;
use super::sum::times;
use super::tiles;
use crate::cores;

/// The numbers of a chunk's widest layer, which stay in the processor's nearest caches.
const NUMBERS: usize = 1 << 13;
/// The fewest rows of a chunk, for which the weights of a wide layer are read once.
const FEWEST_ROWS: usize = 2 * tiles::COLUMNS;
/// Fewer multiplications than this are faster on one core.
const ALONE: usize = 1 << 19;

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
    /// Whether it can take these rows.
    pub(crate) fn takes(&self, x: &Tensor) -> bool {
        let is_plain = |tensor: &Tensor| tensor.device().is_cpu() && tensor.dtype() == DType::F32;
        let weights = self.linears().flat_map(|linear| once(linear.weight()).chain(linear.bias()));
        let width = self.linears().next().map(|linear| linear.weight().dims()[1]);
        let joined = self.linears().zip(self.linears().skip(1)).all(|(one, next)| outputs(one) == inputs(next));
        matches!(x.dims(), [rows, of_row] if *rows > 0 && Some(*of_row) == width)
            && is_plain(x)
            && joined
            && weights.into_iter().all(|weight| is_plain(weight) && weight.is_contiguous())
    }

    fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.steps.iter().filter_map(|step| if let Step::Affine(linear) = step { Some(linear) } else { None })
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
        let forward = Forward { widths: self.widths(), perceptron: self, tracked: x.track_op(), kept: kept.clone() };
        let output = x.contiguous()?.apply_op1(forward)?;
        Ok((output, kept.get().map_or(0, |kept: &Vec<f32>| size_of_val(kept.as_slice()))))
    }
}

fn inputs(linear: &Linear) -> usize {
    linear.weight().dims()[1]
}

fn outputs(linear: &Linear) -> usize {
    linear.weight().dims()[0]
}

struct Forward {
    perceptron: Perceptron,
    widths: Vec<usize>,
    tracked: bool,
    /// For each chunk of rows what the gradient needs of each step that is not affine, `[features, rows]`: the slopes of a
    /// function, or what softmax gave.
    kept: Arc<OnceLock<Vec<f32>>>,
}

/// An affine step while its weights are read: `[outputs, inputs]`, or turned for the gradient.
struct Affine<'a> {
    weight: Matrix<'a, f32>,
    bias: Option<&'a [f32]>,
}

/// Numbers `[features, rows]` before and after a step.
#[derive(Default)]
struct Room {
    now: Vec<f32>,
    next: Vec<f32>,
}

/// A chunk of rows: the numbers that it has, those that it gets, and what is kept of it.
struct Chunk<'a, K> {
    from: &'a [f32],
    to: &'a mut [f32],
    kept: K,
}

impl Forward {
    fn inputs(&self) -> usize {
        self.widths[0]
    }

    fn outputs(&self) -> usize {
        self.widths[self.widths.len() - 1]
    }

    /// How many numbers of a row are kept for the gradient.
    fn kept_of_a_row(&self) -> usize {
        let steps = self.perceptron.steps.iter().zip(&self.widths[1..]);
        steps.map(|(step, width)| if let Step::Affine(_) = step { 0 } else { *width }).sum()
    }

    fn rows_of_a_chunk(&self) -> usize {
        let widest = self.widths.iter().copied().max().unwrap_or(1);
        (NUMBERS / widest / tiles::COLUMNS * tiles::COLUMNS).max(FEWEST_ROWS)
    }

    /// Runs `work` on all chunks, on the cores that are free.
    fn on_cores<K: Send>(
        &self,
        chunks: Vec<Chunk<K>>,
        work: impl Fn(&mut Room, Chunk<K>) -> Result<()> + Sync,
    ) -> Result<()> {
        let of_a_row: usize = self.widths.windows(2).map(|pair| pair[0] * pair[1]).sum();
        if cores::free() == 1 || chunks.len() * self.rows_of_a_chunk() * of_a_row < ALONE {
            let mut room = Room::default();
            return chunks.into_iter().try_for_each(|chunk| work(&mut room, chunk));
        }
        let alone = |room: &mut Room, chunk| cores::beside_others(|| work(room, chunk));
        chunks.into_par_iter().map_init(Room::default, alone).collect()
    }

    /// Runs `work` while nobody can change the weights.
    fn reading<T>(&self, is_turned: bool, work: impl FnOnce(&[Affine]) -> Result<T>) -> Result<T> {
        let linears = || self.perceptron.linears();
        let held: Vec<_> =
            linears().map(|linear| (held(linear.weight()), linear.bias().map(|bias| held(bias)))).collect();
        let weights = held.iter().map(|(weight, _)| weight.values()).collect::<Result<Vec<_>>>()?;
        let copies: Vec<Vec<f32>> = match is_turned {
            true => linears().zip(&weights).map(|(linear, weight)| turned(weight, inputs(linear))).collect(),
            false => Vec::new(),
        };
        let affine = |(index, linear): (usize, &Linear)| {
            let weight = match copies.get(index) {
                Some(copy) => Matrix::of_rows(copy, inputs(linear), outputs(linear)),
                None => Matrix::of_rows(weights[index], outputs(linear), inputs(linear)),
            };
            let bias = held[index].1.as_ref().map(|bias| bias.values()).transpose()?;
            Ok(Affine { weight, bias })
        };
        work(&linears().enumerate().map(affine).collect::<Result<Vec<_>>>()?)
    }

    /// The output of a chunk of rows.
    fn apply(&self, affine: &[Affine], room: &mut Room, chunk: Chunk<&mut [f32]>) -> Result<()> {
        let rows = chunk.from.len() / self.inputs();
        let (mut affine, mut kept) = (affine.iter(), chunk.kept);
        let Room { now, next } = room;
        turn(chunk.from, self.inputs(), sized(now, chunk.from.len()));
        for step in &self.perceptron.steps {
            if let Step::Affine(_) = step {
                affine.next().map_or(Ok(()), |affine| affine.multiply(now, next))?;
                std::mem::swap(now, next);
                continue;
            }
            let of_step;
            (of_step, kept) = kept.split_at_mut(if self.tracked { now.len() } else { 0 });
            match step {
                Step::Each(function) => function.replace(now, self.tracked.then_some(of_step)),
                _ => {
                    softmax(now, rows);
                    of_step.copy_from_slice(&now[..of_step.len()]);
                }
            }
        }
        turn(now, rows, chunk.to);
        Ok(())
    }

    /// The gradient of a chunk's rows from that of its output.
    fn gradient(&self, affine: &[Affine], room: &mut Room, chunk: Chunk<&[f32]>) -> Result<()> {
        let rows = chunk.from.len() / self.outputs();
        let (mut affine, mut kept) = (affine.iter().rev(), chunk.kept);
        let Room { now, next } = room;
        turn(chunk.from, self.outputs(), sized(now, chunk.from.len()));
        for step in self.perceptron.steps.iter().rev() {
            if let Step::Affine(_) = step {
                affine.next().map_or(Ok(()), |affine| affine.multiply(now, next))?;
                std::mem::swap(now, next);
                continue;
            }
            let of_step;
            (kept, of_step) = kept.split_at(kept.len() - now.len());
            match step {
                Step::Each(_) => times(now, of_step),
                _ => softmax_gradient(of_step, now, rows),
            }
        }
        turn(now, rows, chunk.to);
        Ok(())
    }
}

impl Affine<'_> {
    /// next = weight · now + bias, for each row.
    fn multiply(&self, now: &[f32], next: &mut Vec<f32>) -> Result<()> {
        let rows = now.len() / self.weight.columns;
        let next = sized(next, self.weight.rows * rows);
        for (numbers, bias) in next.chunks_exact_mut(rows).zip(self.bias.unwrap_or_default()) {
            numbers.fill(*bias);
        }
        let to = Rows { values: next, stride: rows };
        multiply_into(&self.weight, &Matrix::of_rows(now, self.weight.columns, rows), to, self.bias.is_some())
    }
}

impl CustomOp1 for Forward {
    fn name(&self) -> &'static str {
        "perceptron"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, _) = layout.shape().dims2()?;
        let x = elements(storage.as_slice::<f32>()?, layout)?;
        let (together, of_a_row) = (self.rows_of_a_chunk(), if self.tracked { self.kept_of_a_row() } else { 0 });
        let (mut out, mut kept) = (vec![0.; rows * self.outputs()], vec![0.; rows * of_a_row]);
        self.reading(false, |affine| {
            let mut kept = kept.chunks_mut((together * of_a_row).max(1));
            let chunks = x.chunks(together * self.inputs()).zip(out.chunks_mut(together * self.outputs()));
            let chunks = chunks.map(|(from, to)| Chunk { from, to, kept: kept.next().unwrap_or_default() }).collect();
            self.on_cores(chunks, |room, chunk| self.apply(affine, room, chunk))
        })?;
        if self.tracked {
            // Each forward pass makes an operation of its own, so nothing is there yet.
            let _ = self.kept.set(kept);
        }
        Ok((CpuStorage::F32(out), (rows, self.outputs()).into()))
    }

    fn bwd(&self, _arg: &Tensor, _res: &Tensor, grad_res: &Tensor) -> Result<Option<Tensor>> {
        grad_res.contiguous()?.apply_op1_no_bwd(&Gradient(self)).map(Some)
    }
}

struct Gradient<'a>(&'a Forward);

impl CustomOp1 for Gradient<'_> {
    fn name(&self) -> &'static str {
        "perceptron-gradient"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let forward = self.0;
        let Some(kept) = forward.kept.get() else {
            return Err(Error::Msg("a perceptron has kept nothing for its gradient".to_string()));
        };
        let (rows, _) = layout.shape().dims2()?;
        let g = elements(storage.as_slice::<f32>()?, layout)?;
        let (together, of_a_row) = (forward.rows_of_a_chunk(), forward.kept_of_a_row());
        let mut out = vec![0.; rows * forward.inputs()];
        forward.reading(true, |affine| {
            // Biases have no part in the gradient.
            let affine: Vec<Affine> = affine.iter().map(|affine| Affine { bias: None, ..*affine }).collect();
            let mut kept = kept.chunks((together * of_a_row).max(1));
            let chunks = g.chunks(together * forward.outputs()).zip(out.chunks_mut(together * forward.inputs()));
            let chunks = chunks.map(|(from, to)| Chunk { from, to, kept: kept.next().unwrap_or_default() }).collect();
            forward.on_cores(chunks, |room, chunk| forward.gradient(&affine, room, chunk))
        })?;
        Ok((CpuStorage::F32(out), (rows, forward.inputs()).into()))
    }
}

/// Makes a buffer of this size, whatever is in it.
fn sized(buffer: &mut Vec<f32>, size: usize) -> &mut [f32] {
    buffer.resize(size, 0.);
    buffer
}

/// Writes rows of this width as columns.
fn turn(from: &[f32], width: usize, to: &mut [f32]) {
    let rows = from.len() / width;
    for (column, to) in to.chunks_exact_mut(rows).enumerate() {
        for (to, from) in to.iter_mut().zip(from[column..].iter().step_by(width)) {
            *to = *from;
        }
    }
}

/// Rows of this width as columns.
fn turned(from: &[f32], width: usize) -> Vec<f32> {
    let mut to = vec![0.; from.len()];
    turn(from, width, &mut to);
    to
}

/// Softmax over the features `[features, rows]` of each row.
fn softmax(values: &mut [f32], rows: usize) {
    let (mut largest, mut sums) = (vec![f32::NEG_INFINITY; rows], vec![0.; rows]);
    vectorized(
        #[inline(always)]
        || {
            for of_feature in values.chunks_exact(rows) {
                for (largest, x) in largest.iter_mut().zip(of_feature) {
                    *largest = if *x > *largest { *x } else { *largest };
                }
            }
            for of_feature in values.chunks_exact_mut(rows) {
                for ((x, largest), sum) in of_feature.iter_mut().zip(&largest).zip(&mut sums) {
                    *x = exp(*x - largest);
                    *sum += *x;
                }
            }
            for of_feature in values.chunks_exact_mut(rows) {
                for (x, sum) in of_feature.iter_mut().zip(&sums) {
                    *x /= sum;
                }
            }
        },
    );
}

/// The gradient from that of softmax y, in the place of which it is put: y · (g − Σ g·y).
fn softmax_gradient(y: &[f32], g: &mut [f32], rows: usize) {
    let mut along = vec![0.; rows];
    vectorized(
        #[inline(always)]
        || {
            for (y, g) in y.chunks_exact(rows).zip(g.chunks_exact(rows)) {
                for ((along, y), g) in along.iter_mut().zip(y).zip(g) {
                    *along += y * g;
                }
            }
            for (y, g) in y.chunks_exact(rows).zip(g.chunks_exact_mut(rows)) {
                for ((g, y), along) in g.iter_mut().zip(y).zip(&along) {
                    *g = y * (*g - along);
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Module, Var};

    use super::*;
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
        let apart = Perceptron { steps: vec![linear(3, 4), linear(5, 2)] };
        assert!(!apart.takes(&numbers(&[5, 3], seed)));
    }
}
