//! The context through which a forward pass names its layers.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Tensor, TensorId, Var};

use crate::error::{Error, Result, bail, error};
use crate::nn::{At, Block, BlockInputs, Operation, Precision, Rule, run_ruled};
use crate::seed::Seed;

/// The context of one forward pass. It sees every tensor that the model names and decides
/// whether to keep it, replace it, or cut the graph there.
///
/// It lives for one call, so nothing is global and nothing has to be removed afterwards.
#[derive(Default)]
pub struct Layers {
    taps: BTreeMap<Place, Tap>,
    caught: BTreeMap<Place, Caught>,
    visited: Vec<LayerInfo>,
    inputs_visited: Vec<String>,
    training: bool,
    dropout: Option<Dropout>,
    stop_when_caught: bool,
    stopped: bool,
    rule: Option<Arc<dyn Rule>>,
    /// The outputs of blocks that are not affine, in a pass that follows a rule.
    nonlinear: Vec<TensorId>,
    /// The bytes that blocks keep for their backward beside their outputs.
    kept: usize,
    /// The layers that are blocks, and how many blocks there were, in a pass that follows a rule.
    block_layers: Vec<String>,
    blocks: usize,
    /// Whether a lower precision that a model was given is left out in this pass.
    exact: bool,
    /// Whether a part was computed in a lower precision than its numbers have.
    rounded: bool,
}

/// The dropout of a training step.
struct Dropout {
    share: f64,
    seed: Seed,
    /// How many tensors dropout was applied to so far.
    drawn: usize,
}

/// A layer that a forward pass visited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerInfo {
    /// The layer's name.
    pub name: String,
    /// The shape of its output, `[batch, ...]`.
    pub shape: Vec<usize>,
}

/// A tensor of the model: the output or the input of a named layer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Output(String),
    Input(String),
}

impl Place {
    pub(crate) fn layer(&self) -> &str {
        match self {
            Place::Output(name) | Place::Input(name) => name,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Output(name) => write!(f, "layer \"{name}\""),
            Place::Input(name) => write!(f, "the input of layer \"{name}\""),
        }
    }
}

/// What to do with the tensor at a place.
pub(crate) enum Tap {
    /// Keep it, with its graph.
    Capture,
    /// Replace it by another tensor of the same shape.
    Replace(Tensor),
    /// Add another tensor of the same shape to it.
    Shift(Tensor),
    /// Keep it with its graph, and go on with a fresh `Var` of the same value: the graph above
    /// ends at the `Var`.
    Cut,
    /// Keep it, and add a `Var` of zeros: the graph below stays connected, and the `Var`'s
    /// gradient is the gradient of the layer.
    AddZero,
}

/// What a tap caught.
#[derive(Clone)]
pub(crate) struct Caught {
    pub(crate) activation: Tensor,
    pub(crate) var: Option<Var>,
}

impl Layers {
    /// Names the output of a layer and returns the tensor to continue with. The first axis is the
    /// batch. A name may be visited only once in a pass; in a loop, number the names.
    pub fn visit(&mut self, name: &str, output: Tensor) -> Result<Tensor> {
        self.pass_by(name, output.dims().to_vec())?;
        self.tap(Place::Output(name.to_string()), output)
    }

    /// Names a layer of this shape whose output nobody sees: it is inside an operation.
    pub(crate) fn pass_by(&mut self, name: &str, shape: Vec<usize>) -> Result<()> {
        if self.visited.iter().any(|layer| layer.name == name) {
            bail!(
                Layer,
                "the model names a second layer \"{name}\" in one forward pass: give each visit a name \
                 of its own, for example \"{name}.1\""
            )
        }
        self.visited.push(LayerInfo { name: name.to_string(), shape });
        Ok(())
    }

    /// Names the input of a layer, for methods that attribute to a layer's input. Optional:
    /// call it before the layer is computed, with the name that [`Layers::visit`] will get.
    pub fn visit_input(&mut self, name: &str, input: Tensor) -> Result<Tensor> {
        if self.inputs_visited.iter().any(|other| other == name) {
            bail!(Layer, "the model names the input of \"{name}\" twice in one forward pass: name it once")
        }
        self.inputs_visited.push(name.to_string());
        self.tap(Place::Input(name.to_string()), input)
    }

    /// Computes a layer: names its input, if that is one tensor, runs the block, and names its output.
    pub fn apply<B>(&mut self, name: &str, block: &B, inputs: &(impl BlockInputs + ?Sized)) -> Result<Tensor>
    where
        B: Block + Clone + 'static,
    {
        let output = match inputs.tensors().as_slice() {
            [only] => {
                let input = self.visit_input(name, (*only).clone())?;
                self.run_block(Some(name), block, &[&input])?
            }
            several => self.run_block(Some(name), block, several)?,
        };
        self.visit(name, output)
    }

    /// Runs a block that has no name.
    pub fn run<B>(&mut self, block: &B, inputs: &(impl BlockInputs + ?Sized)) -> Result<Tensor>
    where
        B: Block + Clone + 'static,
    {
        self.run_block(None, block, &inputs.tensors())
    }

    fn run_block<B>(&mut self, layer: Option<&str>, block: &B, inputs: &[&Tensor]) -> Result<Tensor>
    where
        B: Block + Clone + 'static,
    {
        match self.rule.clone() {
            Some(rule) => {
                let at = self.next_block(layer, inputs);
                let output = run_ruled(block, &rule, inputs, at)?;
                if !matches!(block.operation(), Operation::Affine | Operation::Reshape) {
                    self.nonlinear.push(output.id());
                }
                Ok(output)
            }
            None if self.training => block.compute_tracked(inputs),
            None => block.compute(inputs),
        }
    }

    /// Where the next block runs.
    fn next_block(&mut self, layer: Option<&str>, inputs: &[&Tensor]) -> At {
        self.blocks += 1;
        let place = match (layer, self.visited.last()) {
            (Some(name), _) => format!("layer \"{name}\""),
            (None, Some(last)) => {
                format!("block {} of the pass, which comes after layer \"{}\",", self.blocks, last.name)
            }
            (None, None) => format!("block {} of the pass", self.blocks),
        };
        self.block_layers.extend(layer.map(str::to_string));
        let follows_nonlinear = inputs.iter().any(|input| self.nonlinear.contains(&input.id()));
        At { layer: layer.map(str::to_string), place, follows_nonlinear }
    }

    /// Whether a part of the model may be computed as one operation, of which only these layers inside are known: this is
    /// no training step, no rule is followed, and nothing inside is tapped.
    pub(crate) fn may_fuse(&self, inside: &[&str]) -> bool {
        let is_inside = |place: &Place| inside.contains(&place.layer());
        !self.training && self.rule.is_none() && !self.taps.keys().any(is_inside)
    }

    /// Whether the backward of this pass follows a rule.
    pub(crate) fn follows_rule(&self) -> bool {
        self.rule.is_some()
    }

    /// Whether something is to be done with the tensor at this place.
    pub(crate) fn is_tapped(&self, place: &Place) -> bool {
        self.taps.contains_key(place)
    }

    /// Notes that a block keeps this many bytes for its backward.
    pub(crate) fn keep(&mut self, bytes: usize) {
        self.kept += bytes;
    }

    /// The bytes that blocks keep for their backward beside their outputs.
    pub(crate) fn kept(&self) -> usize {
        self.kept
    }

    /// The precision of a part that was given this one.
    pub(crate) fn precision(&mut self, given: Precision) -> Precision {
        let taken = if self.exact { Precision::default() } else { given };
        self.rounded |= taken != Precision::default();
        taken
    }

    /// Whether a part was computed in a lower precision than its numbers have.
    pub(crate) fn rounded(&self) -> bool {
        self.rounded
    }

    /// Whether this pass is part of a training step, so that weights must be tracked.
    pub fn training(&self) -> bool {
        self.training
    }

    /// A pass that taps nothing.
    pub(crate) fn plain() -> Self {
        Self::default()
    }

    /// A pass that tracks the weights.
    pub(crate) fn for_training() -> Self {
        Self { training: true, ..Self::default() }
    }

    /// The same pass with a random share of each hidden tensor set to 0.
    pub(crate) fn with_dropout(self, share: f64, seed: Seed) -> Self {
        Self { dropout: Some(Dropout { share, seed, drawn: 0 }), ..self }
    }

    /// In a training step with dropout, the tensor with a share of it set to 0 and the rest scaled up;
    /// in any other pass the tensor itself.
    pub(crate) fn dropout(&mut self, tensor: Tensor) -> Result<Tensor> {
        let Some(dropout) = &mut self.dropout else { return Ok(tensor) };
        dropout.drawn += 1;
        let kept = (1. / (1. - dropout.share)) as f32;
        let mask = dropout.seed.child(dropout.drawn).chances(dropout.share).take(tensor.elem_count());
        let mask = mask.map(|dropped| if dropped { 0. } else { kept }).collect::<Vec<f32>>();
        let mask = Tensor::from_vec(mask, tensor.dims(), tensor.device())?.to_dtype(tensor.dtype())?;
        Ok((tensor * mask)?)
    }

    /// A pass with these taps.
    pub(crate) fn with_taps(taps: impl IntoIterator<Item = (Place, Tap)>) -> Self {
        Self { taps: taps.into_iter().collect(), ..Self::default() }
    }

    /// The same pass, in which a lower precision that a model was given is left out.
    pub(crate) fn exact(self, exact: bool) -> Self {
        Self { exact, ..self }
    }

    /// The same pass, with a backward that follows this rule.
    pub(crate) fn following(self, rule: Option<Arc<dyn Rule>>) -> Self {
        Self { rule, ..self }
    }

    /// The same pass, stopped as soon as the last tap is served: nothing after it is computed.
    pub(crate) fn stop_when_caught(mut self) -> Self {
        self.stop_when_caught = true;
        self
    }

    /// Replaces a layer's output by a tensor. It is an error if the layer is tapped already: the
    /// tap would not see the tensor it asked for.
    pub(crate) fn put(&mut self, place: Place, tensor: Tensor) -> Result<()> {
        if self.taps.contains_key(&place) {
            bail!(Layer, "{place} is where this model begins: attribute to the model's input instead")
        }
        self.taps.insert(place, Tap::Replace(tensor));
        Ok(())
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    /// The error for a place that the pass did not visit.
    pub(crate) fn no_such(&self, place: &Place) -> Error {
        let names = self.names();
        let name = place.layer();
        if names.is_empty() {
            return error!(
                Layer,
                "no layer named \"{name}\" in this model: it names none (a closure or candle Module has no layers; \
                 implement Model and call layers.visit in its forward)"
            );
        }
        if names.iter().any(|other| other == name) {
            return error!(
                Layer,
                "layer \"{name}\" does not name its input: call layers.visit_input(\"{name}\", x) before it in the \
                 model's forward"
            );
        }
        error!(Layer, "no layer named \"{name}\" in this model; it has: {}", names.join(", "))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.visited.iter().map(|layer| layer.name.clone()).collect()
    }

    /// How many blocks a pass under a rule has run.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Its layers that one block computes.
    pub(crate) fn block_layers(&self) -> &[String] {
        &self.block_layers
    }

    pub(crate) fn visited(&self) -> &[LayerInfo] {
        &self.visited
    }

    /// A place that was asked for and never visited.
    pub(crate) fn missing(&self) -> Option<&Place> {
        self.taps.keys().next()
    }

    pub(crate) fn all_caught(&self) -> impl Iterator<Item = &Caught> {
        self.caught.values()
    }

    pub(crate) fn take(&mut self, place: &Place) -> Option<Caught> {
        self.caught.remove(place)
    }

    fn tap(&mut self, place: Place, tensor: Tensor) -> Result<Tensor> {
        let Some(tap) = self.taps.remove(&place) else { return Ok(tensor) };
        let (var, next) = match tap {
            Tap::Capture => (None, tensor.clone()),
            Tap::Replace(other) => {
                if other.dims() != tensor.dims() {
                    bail!(
                        Layer,
                        "{place} has the shape {:?} here, and {:?} was to be put in its stead",
                        tensor.dims(),
                        other.dims()
                    )
                }
                (None, other)
            }
            Tap::Shift(other) => (None, (&tensor + other)?),
            Tap::Cut => {
                let var = Var::from_tensor(&tensor.detach().contiguous()?)?;
                let next = var.as_tensor().clone();
                (Some(var), next)
            }
            Tap::AddZero => {
                let var = Var::from_tensor(&tensor.zeros_like()?)?;
                let next = tensor.add(var.as_tensor())?;
                (Some(var), next)
            }
        };
        self.caught.insert(place, Caught { activation: tensor, var });
        if self.stop_when_caught && self.taps.is_empty() {
            self.stopped = true;
            bail!(Layer, "the forward pass ends at layer \"{}\"", self.visited.last().map_or("", |l| &l.name))
        }
        Ok(next)
    }
}
