//! A layer of an encoder as one operation: self-attention and a feed-forward network, each with a residual and a norm.
//!
//! It computes in `f32` on the CPU what the layer's blocks compute one after the other, with weights that are left out
//! of the graph, and keeps what the gradient of its input needs. Examples are taken in chunks, on the cores that are
//! free.

mod additions;
mod attention;
mod dense;
mod norm;
mod parameters;
mod room;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, DType, Error, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use self::room::{Kept, Room};
use super::on_cpu::{elements, is_fusible};
use super::{LayerNorm, Linear, Pointwise, Precision};
use crate::cores;

/// The rows of a chunk, so that what a layer computes of them stays in the processor's cache.
const ROWS: usize = 384;

/// A layer with its weights, and what this pass adds to the logits of attention.
pub(crate) struct EncoderLayer {
    /// Whether the norms come before attention and feed-forward network; otherwise they follow the residuals.
    pub(crate) norms_first: bool,
    pub(crate) attention: SelfAttention,
    pub(crate) attention_norm: Option<LayerNorm>,
    pub(crate) feed_forward: TwoLayers,
    pub(crate) output_norm: LayerNorm,
    /// Whether only the first token's output is computed, as nobody reads the others.
    pub(crate) first_only: bool,
    /// Of its dense products.
    pub(crate) precision: Precision,
}

/// softmax(QKᵀ/√size + additions)·V over heads of equal size, and a dense layer.
pub(crate) struct SelfAttention {
    pub(crate) heads: usize,
    /// The layers that give queries, keys and values: three, or one for all.
    pub(crate) projections: Vec<Linear>,
    /// Tensors `[batch or 1, heads or 1, tokens or 1, tokens]`, to be added to the logits.
    pub(crate) additions: Vec<Tensor>,
    pub(crate) output: Linear,
}

/// A dense layer, a function of each number, and another dense layer.
pub(crate) struct TwoLayers {
    pub(crate) inner: Linear,
    pub(crate) activation: Arc<dyn Pointwise>,
    pub(crate) outer: Linear,
}

impl EncoderLayer {
    /// Whether it can take this input `[batch, tokens, width]`.
    pub(crate) fn takes(&self, x: &Tensor) -> bool {
        let is_plain = |tensor: &Tensor| is_fusible(tensor) && tensor.dtype() == DType::F32 && tensor.elem_count() > 0;
        is_plain(x) && self.tensors().into_iter().all(|tensor| is_plain(tensor) && tensor.is_contiguous())
    }

    /// The shape of what tokens attend to, `[batch, heads, tokens, tokens]`.
    pub(crate) fn shape_of_weights(&self, x: &Tensor) -> Result<Vec<usize>> {
        let (batch, tokens, _) = x.dims3()?;
        Ok(vec![batch, self.attention.heads, tokens, tokens])
    }

    /// The layer's output `[batch, tokens or 1, width]`, and how many bytes it keeps for the gradient of `x`.
    pub(crate) fn forward(self, x: &Tensor) -> Result<(Tensor, usize)> {
        let tracked = x.track_op();
        let kept = Arc::new(OnceLock::new());
        let (_, tokens, _) = x.dims3()?;
        let output = x.contiguous()?.apply_op1(Forward { layer: self, tokens, tracked, kept: kept.clone() })?;
        let bytes = kept.get().map_or(0, |kept: &Vec<Kept>| kept.iter().map(Kept::bytes).sum());
        Ok((output, bytes))
    }
}

struct Forward {
    layer: EncoderLayer,
    tokens: usize,
    tracked: bool,
    /// What the gradient needs of each chunk.
    kept: Arc<OnceLock<Vec<Kept>>>,
}

impl CustomOp1 for Forward {
    fn name(&self) -> &'static str {
        "encoder-layer"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, tokens, width) = layout.shape().dims3()?;
        let x = numbers(storage, layout)?;
        let queries = if self.layer.first_only { 1 } else { tokens };
        let mut out = vec![0.; batch * queries * width];
        let kept = self.layer.reading(tokens, |layer| {
            let chunk = |room: &mut Room, examples: Range<usize>, x: &[f32], out: &mut [f32]| {
                layer.apply(room, examples.start, x, self.tracked, out)?;
                Ok(self.tracked.then(|| std::mem::take(&mut room.kept)))
            };
            in_chunks([batch, tokens], x, &mut out, chunk)
        })?;
        if self.tracked {
            // Each forward pass makes an operation of its own, so nothing is there yet.
            let _ = self.kept.set(kept.into_iter().flatten().collect());
        }
        Ok((CpuStorage::F32(out), (batch, queries, width).into()))
    }

    fn bwd(&self, _arg: &Tensor, _res: &Tensor, grad_res: &Tensor) -> Result<Option<Tensor>> {
        grad_res.contiguous()?.apply_op1_no_bwd(&Gradient(self)).map(Some)
    }
}

struct Gradient<'a>(&'a Forward);

impl CustomOp1 for Gradient<'_> {
    fn name(&self) -> &'static str {
        "encoder-layer-gradient"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, _, width) = layout.shape().dims3()?;
        let tokens = self.0.tokens;
        let Some(kept) = self.0.kept.get() else {
            return Err(Error::Msg("an encoder layer has kept nothing for its gradient".to_string()));
        };
        let g = numbers(storage, layout)?;
        let mut out = vec![0.; batch * tokens * width];
        let examples = examples_of_a_chunk(batch, tokens);
        self.0.layer.reading(tokens, |layer| {
            let chunk = |room: &mut Room, range: Range<usize>, g: &[f32], out: &mut [f32]| {
                layer.gradient(&kept[range.start / examples], room, g, out)
            };
            in_chunks([batch, tokens], g, &mut out, chunk)
        })?;
        Ok((CpuStorage::F32(out), (batch, tokens, width).into()))
    }
}

fn numbers<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    elements(storage.as_slice::<f32>()?, layout)
}

/// How many examples a chunk has, so that all have about as many, and two cores as many chunks.
fn examples_of_a_chunk(batch: usize, tokens: usize) -> usize {
    match batch.div_ceil((ROWS / tokens).max(1)) {
        1 => batch,
        chunks => batch.div_ceil(chunks.next_multiple_of(2)),
    }
}

/// Runs `chunk` over the examples, from and to the numbers that each has, on the cores that are free.
fn in_chunks<T: Send>(
    [batch, tokens]: [usize; 2],
    from: &[f32],
    to: &mut [f32],
    chunk: impl Fn(&mut Room, Range<usize>, &[f32], &mut [f32]) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let examples = examples_of_a_chunk(batch, tokens);
    let [from_one, to_one] = [from.len(), to.len()].map(|all| all / batch);
    let ranges = (0..batch).step_by(examples).map(|first| first..batch.min(first + examples));
    let parts = ranges.zip(from.chunks(examples * from_one).zip(to.chunks_mut(examples * to_one)));
    if cores::free() == 1 || batch <= examples {
        let mut room = Room::default();
        return parts.map(|(range, (from, to))| chunk(&mut room, range, from, to)).collect();
    }
    let parts: Vec<_> = parts.collect();
    let alone = |room: &mut Room, (range, (from, to)): (Range<usize>, (&[f32], &mut [f32]))| {
        cores::beside_others(|| chunk(room, range, from, to))
    };
    parts.into_par_iter().map_init(Room::default, alone).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::{D, DType, Device, Module, Tensor, Var};

    use super::*;
    use crate::nn::{Activation, softmax};
    use crate::seed::Seed;

    /// Sizes and parts of a layer.
    #[derive(Debug)]
    struct Case {
        batch: usize,
        tokens: usize,
        heads: usize,
        size: usize,
        inner: usize,
        norms_first: bool,
        attention_norm: bool,
        joined: bool,
        mask: Option<[usize; 3]>,
        activation: Activation,
        first_only: bool,
    }

    impl Case {
        fn of(seed: Seed) -> Self {
            let mut draw = seed.uniform(0., 1.);
            let mut below = |count: usize| (draw.next().unwrap() * count as f64) as usize;
            let (batch, tokens, heads) = (1 + below(5), 1 + below(40), 1 + below(3));
            let mask = [1 + below(2) * (batch - 1), 1 + below(2) * (heads - 1), 1 + below(2) * (tokens - 1)];
            Self {
                batch,
                tokens,
                heads,
                // Normal forms of one or two numbers have no digits left in `f32`.
                size: 3 + below(9),
                inner: 1 + below(40),
                norms_first: below(2) == 1,
                attention_norm: below(4) > 0,
                joined: below(2) == 1,
                mask: (below(3) > 0).then_some(mask),
                activation: [Activation::Gelu, Activation::Relu, Activation::Tanh, Activation::Elu { alpha: 0.5 }]
                    [below(4)],
                first_only: below(3) == 0,
            }
        }

        fn width(&self) -> usize {
            self.heads * self.size
        }

        fn layer(&self, seed: Seed) -> EncoderLayer {
            let width = self.width();
            let mut drawn = 0;
            let mut next = || {
                drawn += 1;
                seed.child(drawn)
            };
            let mut linear = |inputs: usize, outputs: usize| Linear::new(inputs, outputs, next()).unwrap();
            let projections = match self.joined {
                true => vec![linear(width, 3 * width)],
                false => (0..3).map(|_| linear(width, width)).collect(),
            };
            let (output, inner, outer) = (linear(width, width), linear(width, self.inner), linear(self.inner, width));
            let mut norm = || {
                let [weight, bias] = [(); 2].map(|()| numbers(&[width], next()));
                LayerNorm::new(&(weight + 1.5).unwrap(), &bias, 1e-5).unwrap()
            };
            let attention_norm = self.attention_norm.then(&mut norm);
            let output_norm = norm();
            let additions = self.mask.map(|[batch, heads, queries]| {
                let mask = numbers(&[batch, heads, queries, self.tokens], next());
                // Some keys are seen by nobody.
                let hidden = mask.gt(0.7).unwrap().to_dtype(DType::F32).unwrap();
                (mask + (hidden * -1e30).unwrap()).unwrap()
            });
            EncoderLayer {
                norms_first: self.norms_first,
                attention: SelfAttention {
                    heads: self.heads,
                    projections,
                    additions: additions.into_iter().collect(),
                    output,
                },
                attention_norm,
                feed_forward: TwoLayers { inner, activation: Arc::new(self.activation), outer },
                output_norm,
                first_only: self.first_only,
                precision: Precision::F32,
            }
        }
    }

    /// Uniform between -1 and 1.
    fn numbers(shape: &[usize], seed: Seed) -> Tensor {
        let count = shape.iter().product();
        let values: Vec<f32> = seed.uniform(-1., 1.).take(count).map(|x| x as f32).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    /// The same layer composed of blocks, in `f64`.
    fn plain(layer: &EncoderLayer, activation: Activation, x: &Tensor) -> Tensor {
        let wide = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap();
        let dense = |linear: &Linear, x: &Tensor| linear.to_dtype(DType::F64).unwrap().forward_frozen(x).unwrap();
        let norm = |norm: &LayerNorm, x: &Tensor| norm.to_dtype(DType::F64).unwrap().forward_frozen(x).unwrap();
        let (batch, tokens, width) = x.dims3().unwrap();
        let attend = |x: &Tensor| {
            let parts: Vec<Tensor> = layer.attention.projections.iter().map(|linear| dense(linear, x)).collect();
            let projected = Tensor::cat(&parts, D::Minus1).unwrap();
            let part = |index: usize| {
                let part = projected.narrow(2, index * width, width).unwrap();
                let heads = part.reshape((batch, tokens, layer.attention.heads, ())).unwrap();
                heads.transpose(1, 2).unwrap().contiguous().unwrap()
            };
            let (queries, keys, values) = (part(0), part(1), part(2));
            let size = (width / layer.attention.heads) as f64;
            let mut logits = (queries.matmul(&keys.t().unwrap()).unwrap() / size.sqrt()).unwrap();
            for addition in &layer.attention.additions {
                logits = logits.broadcast_add(&wide(addition)).unwrap();
            }
            let context = softmax(&logits, 3).unwrap().matmul(&values).unwrap().transpose(1, 2).unwrap();
            dense(&layer.attention.output, &context.reshape((batch, tokens, width)).unwrap())
        };
        let feed = |x: &Tensor| {
            let inner = activation.forward(&dense(&layer.feed_forward.inner, x)).unwrap();
            dense(&layer.feed_forward.outer, &inner)
        };
        let first = |x: &Tensor| layer.attention_norm.as_ref().map_or(x.clone(), |first| norm(first, x));
        let all = if layer.norms_first {
            let attended = (attend(&first(x)) + x).unwrap();
            (feed(&norm(&layer.output_norm, &attended)) + attended).unwrap()
        } else {
            let attended = first(&(attend(x) + x).unwrap());
            norm(&layer.output_norm, &(feed(&attended) + &attended).unwrap())
        };
        if layer.first_only { all.narrow(1, 0, 1).unwrap() } else { all }
    }

    /// The output and the gradient of a weighted sum of it.
    fn both(output: Tensor, x: &Var, weights: &Tensor) -> [Vec<f64>; 2] {
        let sum = (&output * weights.to_dtype(output.dtype()).unwrap()).unwrap().sum_all().unwrap();
        let gradient = sum.backward().unwrap().remove(x).unwrap();
        [output, gradient].map(|tensor| tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap())
    }

    #[test]
    fn values_and_gradients_are_those_of_the_blocks_in_f64() {
        for seed in 0..200 {
            let seed = Seed(seed);
            let case = Case::of(seed.child(1));
            let x = numbers(&[case.batch, case.tokens, case.width()], seed.child(2));
            let read = if case.first_only { 1 } else { case.tokens };
            let weights = numbers(&[case.batch, read, case.width()], seed.child(3));
            let wide = Var::from_tensor(&x.to_dtype(DType::F64).unwrap()).unwrap();
            let right = both(plain(&case.layer(seed), case.activation, &wide), &wide, &weights);

            let x = Var::from_tensor(&x).unwrap();
            let layer = case.layer(seed);
            assert!(layer.takes(&x));
            let (output, kept) = layer.forward(&x).unwrap();
            assert!(kept > 0);
            let ours = both(output, &x, &weights);
            for (ours, right) in ours.iter().zip(&right) {
                let most = right.iter().fold(0., |most: f64, x| most.max(x.abs()));
                for (ours, right) in ours.iter().zip(right) {
                    assert!((ours - right).abs() <= 1e-5 * most, "{seed:?} {case:?}: {ours}, not {right} of {most}");
                }
            }
        }
    }

    #[test]
    fn in_bf16_values_and_gradients_are_near_those_in_f32() {
        if Precision::Bf16.require().is_err() {
            return;
        }
        for seed in 0..60 {
            let seed = Seed(seed);
            // The slope of a ReLU jumps where rounding changes a sign.
            let case = Case { attention_norm: true, activation: Activation::Gelu, ..Case::of(seed.child(1)) };
            let x = Var::from_tensor(&numbers(&[case.batch, case.tokens, case.width()], seed.child(2))).unwrap();
            let read = if case.first_only { 1 } else { case.tokens };
            let weights = numbers(&[case.batch, read, case.width()], seed.child(3));
            let of = |precision: Precision| {
                let layer = EncoderLayer { precision, ..case.layer(seed) };
                both(layer.forward(&x).unwrap().0, &x, &weights)
            };
            let rounded = of(Precision::Bf16);
            assert_eq!(rounded, crate::cores::beside_others(|| of(Precision::Bf16)));
            for (rounded, exact) in rounded.iter().zip(&of(Precision::F32)) {
                let most = exact.iter().fold(0., |most: f64, x| most.max(x.abs()));
                let apart = exact.iter().zip(rounded).fold(0., |most: f64, (a, b)| most.max((a - b).abs()));
                assert!(apart > 0. && apart <= 0.1 * most, "{seed:?} {case:?}: {apart} of {most}");
            }
        }
    }

    #[test]
    fn nothing_is_kept_where_no_gradient_is_asked_for() {
        let case = Case::of(Seed(5));
        let x = numbers(&[case.batch, case.tokens, case.width()], Seed(1));
        let (output, kept) = case.layer(Seed(2)).forward(&x).unwrap();
        let read = if case.first_only { 1 } else { case.tokens };
        assert_eq!((kept, output.dims()), (0, &[case.batch, read, case.width()][..]));
    }

    #[test]
    fn a_chunk_changes_no_number_of_its_neighbours() {
        let case = Case { batch: 70, tokens: 9, mask: None, first_only: false, ..Case::of(Seed(3)) };
        let x = Var::from_tensor(&numbers(&[70, 9, case.width()], Seed(1))).unwrap();
        let weights = numbers(&[70, 9, case.width()], Seed(2));
        let together = || both(case.layer(Seed(4)).forward(&x).unwrap().0, &x, &weights);
        let all = together();
        assert_eq!(all, crate::cores::beside_others(together));
        let size = 9 * case.width();
        for row in [0, 28, 69] {
            let one = Var::from_tensor(&x.narrow(0, row, 1).unwrap()).unwrap();
            let alone = both(case.layer(Seed(4)).forward(&one).unwrap().0, &one, &weights.narrow(0, row, 1).unwrap());
            for (all, alone) in all.iter().zip(&alone) {
                for (all, alone) in all[row * size..][..size].iter().zip(alone) {
                    assert!((all - alone).abs() < 1e-5, "{all} in a batch, {alone} alone");
                }
            }
        }
    }
}
