//! What a layer computes of a chunk of examples, and the gradient of its input.

use std::collections::HashMap;

use candle_core::{Result, Tensor};

use super::EncoderLayer;
use super::additions::Additions;
use super::attention::Heads;
use super::dense::{Dense, Weights};
use super::norm::Norm;
use super::room::{Kept, Room};
use crate::cores;
use crate::nn::held::held;
use crate::nn::on_cpu::sized;
use crate::nn::sum::{add, times};
use crate::nn::{LayerNorm, Linear, Pointwise};

/// A layer whose weights are being read.
pub(super) struct Parameters<'a> {
    heads: Heads,
    norms_first: bool,
    projections: Dense<'a>,
    output: Dense<'a>,
    attention_norm: Option<Norm<'a>>,
    inner: Dense<'a>,
    activation: &'a dyn Pointwise,
    outer: Dense<'a>,
    output_norm: Norm<'a>,
    additions: Additions<'a>,
}

impl EncoderLayer {
    /// Its weights, and what it adds.
    pub(super) fn tensors(&self) -> Vec<&Tensor> {
        let (attention, feed_forward) = (&self.attention, &self.feed_forward);
        let linears = [&attention.output, &feed_forward.inner, &feed_forward.outer];
        let linears = attention.projections.iter().chain(linears);
        let linears = linears.flat_map(|linear| std::iter::once(linear.weight()).chain(linear.bias()));
        let norms = self.attention_norm.iter().chain([&self.output_norm]);
        let norms = norms.flat_map(|norm| std::iter::once(norm.weight()).chain(norm.bias()));
        linears.chain(norms).map(|var| var.as_tensor()).chain(&attention.additions).collect()
    }

    /// Runs `work` while nobody can change the weights.
    pub(super) fn reading<T>(&self, tokens: usize, work: impl FnOnce(&Parameters) -> Result<T>) -> Result<T> {
        let held: HashMap<_, _> = self.tensors().into_iter().map(|tensor| (tensor.id(), held(tensor))).collect();
        let values = |tensor: &Tensor| held[&tensor.id()].values();
        let norm = |norm: &LayerNorm| {
            let bias = norm.bias().map(|bias| values(bias)).transpose()?;
            Result::Ok(Norm { weight: values(norm.weight())?, bias, eps: norm.eps() as f32 })
        };
        let dense = |linears: &[&Linear]| {
            let weights = |linear: &&Linear| {
                let bias = linear.bias().map(|bias| values(bias)).transpose()?;
                Ok(Weights { weight: values(linear.weight())?, bias })
            };
            let inputs = linears.first().map_or(1, |linear| linear.weight().dims()[1]);
            let parts = linears.iter().map(weights).collect::<Result<_>>()?;
            Result::Ok(Dense { parts, inputs, precision: self.precision })
        };
        let (attention, feed_forward) = (&self.attention, &self.feed_forward);
        let output = dense(&[&attention.output])?;
        work(&Parameters {
            heads: Heads {
                heads: attention.heads,
                size: output.inputs / attention.heads,
                tokens,
                queries: if self.first_only { 1 } else { tokens },
            },
            norms_first: self.norms_first,
            projections: dense(&attention.projections.iter().collect::<Vec<_>>())?,
            output,
            attention_norm: self.attention_norm.as_ref().map(norm).transpose()?,
            inner: dense(&[&feed_forward.inner])?,
            activation: &*feed_forward.activation,
            outer: dense(&[&feed_forward.outer])?,
            output_norm: norm(&self.output_norm)?,
            additions: Additions::of(&attention.additions, values)?,
        })
    }
}

impl Parameters<'_> {
    /// The layer's output of a chunk that begins with this example, `[examples, queries, width]`; with `room.kept` filled
    /// for the gradient if it is `tracked`.
    pub(super) fn apply(
        &self,
        room: &mut Room,
        example: usize,
        x: &[f32],
        tracked: bool,
        out: &mut [f32],
    ) -> Result<()> {
        let Room { kept, context, attended, inner, asking, .. } = room;
        let (context, attended) = (sized(context, out.len()), sized(attended, x.len()));
        let asking = self.asking(x, asking);
        let rows = out.len() / self.heads.width();
        if !self.norms_first {
            self.attend(kept, example, x, context)?;
            let attended = &mut attended[..out.len()];
            match &self.attention_norm {
                Some(norm) => {
                    self.output.apply(context, Some(asking), sized(&mut kept.attention.rows, out.len()))?;
                    norm.apply(&mut kept.attention, attended);
                }
                None => self.output.apply(context, Some(asking), attended)?,
            }
            let inner = self.feed(kept, rows, attended, inner, tracked)?;
            self.outer.apply(inner, Some(attended), sized(&mut kept.output.rows, out.len()))?;
            self.output_norm.apply(&mut kept.output, out);
            return Ok(());
        }
        match &self.attention_norm {
            Some(norm) => {
                sized(&mut kept.attention.rows, x.len()).copy_from_slice(x);
                norm.apply(&mut kept.attention, attended);
                self.attend(kept, example, attended, context)?;
            }
            None => self.attend(kept, example, x, context)?,
        }
        let attended = &mut attended[..out.len()];
        self.output.apply(context, Some(asking), attended)?;
        sized(&mut kept.output.rows, out.len()).copy_from_slice(attended);
        self.output_norm.apply(&mut kept.output, context);
        let inner = self.feed(kept, rows, context, inner, tracked)?;
        self.outer.apply(inner, Some(attended), out)
    }

    /// The rows of the tokens that ask.
    fn asking<'r>(&self, x: &'r [f32], room: &'r mut Vec<f32>) -> &'r [f32] {
        let Heads { tokens, queries, .. } = self.heads;
        if queries == tokens {
            return x;
        }
        let width = self.heads.width();
        room.clear();
        x.chunks_exact(tokens * width).for_each(|example| room.extend_from_slice(&example[..queries * width]));
        room
    }

    /// Puts rows of the tokens that ask in their places, and zeros in those of the others.
    fn placed(&self, asking: &[f32], out: &mut [f32]) {
        let Heads { tokens, queries, .. } = self.heads;
        let width = self.heads.width();
        let examples = asking.chunks_exact(queries * width).zip(out.chunks_exact_mut(tokens * width));
        for (from, to) in examples {
            let (first, others) = to.split_at_mut(from.len());
            first.copy_from_slice(from);
            others.fill(0.);
        }
    }

    /// Queries, keys and values, and what attention makes of them.
    fn attend(&self, kept: &mut Kept, example: usize, x: &[f32], context: &mut [f32]) -> Result<()> {
        let heads = &self.heads;
        let projected = sized(&mut kept.projected, 3 * x.len());
        self.projections.apply(x, None, projected)?;
        let pairs = heads.heads * heads.pairs();
        let size = heads.tokens * heads.width();
        let weights = sized(&mut kept.weights, x.len() / size * pairs);
        let examples = projected.chunks_exact(3 * size).zip(context.chunks_exact_mut(heads.queries * heads.width()));
        cores::each(
            examples.zip(weights.chunks_exact_mut(pairs)).enumerate(),
            |(index, ((projected, context), weights))| {
                heads.attend(projected, (&self.additions, example + index), weights, context)
            },
        )
    }

    /// The inside of the feed-forward network.
    fn feed<'r>(
        &self,
        kept: &mut Kept,
        rows: usize,
        x: &[f32],
        inner: &'r mut Vec<f32>,
        tracked: bool,
    ) -> Result<&'r [f32]> {
        let inner = sized(inner, rows * self.inner.outputs());
        self.inner.apply(x, None, inner)?;
        let part = cores::share(inner.len());
        let slopes = if tracked { sized(&mut kept.slopes, inner.len()) } else { &mut [] };
        let mut slopes = slopes.chunks_mut(part);
        cores::each(inner.chunks_mut(part).map(|values| (values, slopes.next())), |(values, slopes)| {
            self.activation.replace(values, slopes);
            Result::Ok(())
        })?;
        Ok(inner)
    }

    /// The gradient of a chunk's input from that of its output.
    pub(super) fn gradient(&self, kept: &Kept, room: &mut Room, g: &[f32], out: &mut [f32]) -> Result<()> {
        let Room { context, attended, inner, projected, asking, .. } = room;
        let (context, attended) = (sized(context, out.len()), sized(attended, g.len()));
        let of_asking = sized(asking, g.len());
        if !self.norms_first {
            let context = &mut context[..g.len()];
            self.output_norm.gradient(&kept.output, g, attended);
            self.feed_gradient(kept, attended, inner, context)?;
            add(attended, context);
            match &self.attention_norm {
                Some(norm) => norm.gradient(&kept.attention, attended, of_asking),
                None => of_asking.copy_from_slice(attended),
            }
            self.output.gradient(of_asking, context, false)?;
            let projected = self.attention_gradient(kept, context, projected)?;
            self.placed(of_asking, out);
            return self.projections.gradient(projected, out, true);
        }
        let of_context = &mut context[..g.len()];
        self.feed_gradient(kept, g, inner, of_context)?;
        self.output_norm.gradient(&kept.output, of_context, attended);
        add(attended, g);
        self.output.gradient(attended, of_context, false)?;
        let projected = self.attention_gradient(kept, of_context, projected)?;
        match &self.attention_norm {
            Some(norm) => {
                self.projections.gradient(projected, context, false)?;
                norm.gradient(&kept.attention, context, out);
                let (size, width) = (self.heads.tokens * self.heads.width(), self.heads.queries * self.heads.width());
                let examples = out.chunks_exact_mut(size).zip(attended.chunks_exact(width));
                examples.for_each(|(out, attended)| add(&mut out[..width], attended));
                Ok(())
            }
            None => {
                self.placed(attended, out);
                self.projections.gradient(projected, out, true)
            }
        }
    }

    fn feed_gradient(&self, kept: &Kept, g: &[f32], inner: &mut Vec<f32>, out: &mut [f32]) -> Result<()> {
        let inner = sized(inner, kept.slopes.len());
        self.outer.gradient(g, inner, false)?;
        let part = cores::share(inner.len());
        cores::each(inner.chunks_mut(part).zip(kept.slopes.chunks(part)), |(g, slopes)| {
            times(g, slopes);
            Result::Ok(())
        })?;
        self.inner.gradient(inner, out, false)
    }

    /// The gradient of queries, keys and values from that of what attention gives.
    fn attention_gradient<'r>(&self, kept: &Kept, g: &[f32], projected: &'r mut Vec<f32>) -> Result<&'r [f32]> {
        let heads = &self.heads;
        let projected = sized(projected, kept.projected.len());
        let (pairs, size) = (heads.heads * heads.pairs(), heads.tokens * heads.width());
        let examples = kept.projected.chunks_exact(3 * size).zip(kept.weights.chunks_exact(pairs));
        let asking = g.chunks_exact(heads.queries * heads.width());
        let parts = examples.zip(asking).zip(projected.chunks_exact_mut(3 * size));
        cores::each(parts, |(((of_example, weights), g), out)| {
            heads.gradient(of_example, weights, g, &mut vec![0.; heads.pairs()], out)
        })?;
        Ok(projected)
    }
}
