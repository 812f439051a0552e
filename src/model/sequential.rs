//! A network of named layers, one after the other.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, ToUsize2, Var};

use super::joined::joined;
use super::{Inputs, Layers, Model};
use crate::error::{Result, bail, error};
use crate::file::{cannot_write, write_whole};
use crate::nn::{Activation, AvgPool2d, Block, Conv2d, Linear, MaxPool2d, Operation, Reweighting, Softmax, only};
use crate::seed::Seed;

/// One step of a [`Sequential`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Layer {
    /// A dense layer.
    Linear(Linear),
    /// A convolution.
    Conv2d(Conv2d),
    /// An elementwise nonlinearity.
    Activation(Activation),
    /// Softmax over axis 1, the classes.
    Softmax,
    /// Flattens all axes after the batch into one.
    Flatten,
    /// The largest value of each window.
    MaxPool2d(MaxPool2d),
    /// The mean of each window.
    AvgPool2d(AvgPool2d),
}

/// Flattens all axes after the batch into one.
struct Flatten;

impl Block for Flatten {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok(only("flattening", inputs)?.flatten_from(1)?)
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Reshape
    }
}

impl Layer {
    /// What the layer computes.
    fn block(&self) -> &dyn Block {
        match self {
            Layer::Linear(linear) => linear,
            Layer::Conv2d(conv) => conv,
            Layer::Activation(activation) => activation,
            Layer::Softmax => &Softmax { axis: 1 },
            Layer::Flatten => &Flatten,
            Layer::MaxPool2d(pool) => pool,
            Layer::AvgPool2d(pool) => pool,
        }
    }

    fn weights(&self) -> Vec<(&'static str, &Var)> {
        let (weight, bias) = match self {
            Layer::Linear(linear) => (linear.weight(), linear.bias()),
            Layer::Conv2d(conv) => (conv.weight(), conv.bias()),
            _ => return Vec::new(),
        };
        std::iter::once(("weight", weight)).chain(bias.map(|bias| ("bias", bias))).collect()
    }

    /// The most tensors that a forward pass of the layer makes.
    fn most_tensors(&self) -> usize {
        match self {
            Layer::Conv2d(conv) => 80 + 8 * conv.groups(),
            _ => 32,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Layer::Linear(_) => "linear",
            Layer::Conv2d(_) => "conv2d",
            Layer::Activation(Activation::Relu) => "relu",
            Layer::Activation(Activation::LeakyRelu { .. }) => "leaky_relu",
            Layer::Activation(Activation::Elu { .. }) => "elu",
            Layer::Activation(Activation::Sigmoid) => "sigmoid",
            Layer::Activation(Activation::Tanh) => "tanh",
            Layer::Activation(Activation::Softplus) => "softplus",
            Layer::Activation(Activation::Gelu) => "gelu",
            Layer::Softmax => "softmax",
            Layer::Flatten => "flatten",
            Layer::MaxPool2d(_) => "max_pool2d",
            Layer::AvgPool2d(_) => "avg_pool2d",
        }
    }
}

impl Block for Layer {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        self.block().compute(inputs)
    }

    fn compute_tracked(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        self.block().compute_tracked(inputs)
    }

    fn operation(&self) -> Operation<'_> {
        self.block().operation()
    }

    fn reweighted(&self, by: &Reweighting) -> Result<Option<Box<dyn Block>>> {
        self.block().reweighted(by)
    }
}

/// A network of named layers, one after the other; every layer can be attributed by its name.
///
/// Cloning shares the weights: training a clone trains the original.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(12)
///     .linear("linear1", 8).sigmoid("sigmoid1")
///     .linear("linear2", 2).softmax("softmax")
///     .build(Seed(1))?;
/// let x = Tensor::zeros((5, 12), DType::F32, &Device::Cpu)?;
/// assert_eq!(net.predict(&x)?.dims(), [5, 2]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sequential {
    pub(super) input_shape: Vec<usize>,
    pub(super) layers: Vec<(String, Layer)>,
}

impl Sequential {
    /// Starts a network for inputs of this shape without the batch: `12`, or `[1, 28, 28]`.
    pub fn builder(input_shape: impl Into<InputShape>) -> SequentialBuilder {
        SequentialBuilder { input_shape: input_shape.into().0, planned: Vec::new() }
    }

    /// A network of given layers, for inputs of this shape without the batch.
    pub fn from_layers(
        input_shape: impl Into<InputShape>,
        layers: impl IntoIterator<Item = (impl Into<String>, Layer)>,
    ) -> Result<Self> {
        let layers: Vec<_> = layers.into_iter().map(|(name, layer)| (name.into(), layer)).collect();
        let network = Self { input_shape: input_shape.into().0, layers };
        network.layer_shapes()?;
        Ok(network)
    }

    /// The layers in order, with their names.
    pub fn layers(&self) -> &[(String, Layer)] {
        &self.layers
    }

    /// How many numbers training may change.
    pub fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|var| var.elem_count()).sum()
    }

    /// Each layer's name, kind, output shape without the batch, and number of parameters.
    pub fn summary(&self) -> Result<Vec<LayerSummary>> {
        let shapes = self.layer_shapes()?;
        let rows = self.layers.iter().zip(shapes).map(|((name, layer), shape)| LayerSummary {
            name: name.clone(),
            kind: layer.kind(),
            shape,
            parameters: layer.weights().iter().map(|(_, var)| var.elem_count()).sum(),
        });
        Ok(rows.collect())
    }

    /// Writes the weights as safetensors, under `layer.weight` and `layer.bias`. The file is
    /// written whole or not at all.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let tensors: HashMap<String, Tensor> =
            self.named_weights().map(|(name, var)| (name, var.as_detached_tensor())).collect();
        write_whole(path.as_ref(), |temporary| {
            let saved = candle_core::safetensors::save(&tensors, temporary);
            saved.map_err(|e| cannot_write(path.as_ref(), crate::Error::from(e)))
        })
    }

    /// Reads weights that [`Sequential::save`] or PyTorch wrote for the same layers. Nothing
    /// changes unless every weight is there and has the right shape.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| error!(File, "cannot read the weights {}: {e}", path.display()))?;
        self.load_bytes(&bytes, path.display())
    }

    /// Reads the same from the bytes of a file; errors call it `place`.
    pub fn load_bytes(&self, bytes: &[u8], place: impl std::fmt::Display) -> Result<()> {
        let mut found = candle_core::safetensors::load_buffer(bytes, &Device::Cpu).map_err(|e| {
            error!(
                File,
                "{place} is not a complete safetensors file ({} bytes): {}: write it again with `save`",
                bytes.len(),
                crate::Error::from(e)
            )
        })?;
        let mut loaded = Vec::new();
        for (name, var) in self.named_weights() {
            let Some(tensor) = found.remove(&name) else {
                let mut names: Vec<_> = found.into_keys().collect();
                names.sort();
                bail!(File, "{place} has no weight \"{name}\"; left in it: {}", names.join(", "))
            };
            if tensor.dims() != var.dims() {
                bail!(
                    File,
                    "{place}: \"{name}\" has the shape {:?}, and this network expects {:?}",
                    tensor.dims(),
                    var.dims()
                )
            }
            crate::finite::check(&tensor).map_err(|e| e.at(format!("{place}: \"{name}\"")))?;
            loaded.push((var, tensor.to_dtype(var.dtype())?.to_device(var.device())?));
        }
        if let Some(extra) = found.keys().min() {
            bail!(File, "{place} holds \"{extra}\", which this network has no place for")
        }
        for (var, tensor) in loaded {
            var.set(&tensor)?;
        }
        Ok(())
    }

    fn named_weights(&self) -> impl Iterator<Item = (String, &Var)> {
        self.layers.iter().flat_map(|(name, layer)| {
            layer.weights().into_iter().map(move |(part, var)| (format!("{name}.{part}"), var))
        })
    }

    fn dtype(&self) -> DType {
        self.parameters().first().map_or(DType::F32, |var| var.dtype())
    }

    fn device(&self) -> Device {
        self.parameters().first().map_or(Device::Cpu, |var| var.device().clone())
    }

    fn layer_shapes(&self) -> Result<Vec<Vec<usize>>> {
        let mut x = Tensor::zeros([&[1], self.input_shape.as_slice()].concat(), self.dtype(), &self.device())?;
        let mut shapes = Vec::new();
        for (index, (name, layer)) in self.layers.iter().enumerate() {
            if self.layers[..index].iter().any(|(other, _)| other == name) {
                bail!(Layer, "two layers are named \"{name}\": give each a name of its own")
            }
            let before = x.dims()[1..].to_vec();
            x = layer.compute(&[&x]).map_err(|e| e.at(format!("layer \"{name}\" after the shape {before:?}")))?;
            shapes.push(x.dims()[1..].to_vec());
        }
        Ok(shapes)
    }
}

impl Model for Sequential {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        input.require(1, 0)?;
        let x = input.first();
        if x.dims().get(1..) != Some(&self.input_shape) {
            // A method chooses how many rows a pass has.
            let rows_of =
                |dims: &[usize]| dims.iter().fold("[batch".to_string(), |text, dim| format!("{text}, {dim}")) + "]";
            let came = match x.dims() {
                [_, of_row @ ..] if of_row.len() == self.input_shape.len() => rows_of(of_row),
                other => format!("{other:?}"),
            };
            bail!(Input, "this network takes inputs of the shape {}, and {came} came", rows_of(&self.input_shape))
        }
        if x.dtype() != self.dtype() {
            bail!(
                Input,
                "this network computes in {:?}, and the input is {:?}: convert it with to_dtype",
                self.dtype(),
                x.dtype()
            )
        }
        let (mut x, mut rest) = (x.clone(), self.layers.as_slice());
        while let [(name, layer), others @ ..] = rest {
            (x, rest) = match joined(rest, &x, layers)? {
                Some((output, count)) => (output, &rest[count..]),
                None => (layers.apply(name, layer, &x)?, others),
            };
        }
        Ok(x)
    }

    fn parameters(&self) -> Vec<Var> {
        self.named_weights().map(|(_, var)| var.clone()).collect()
    }

    fn named_parameters(&self) -> Vec<(String, Var)> {
        self.named_weights().map(|(name, var)| (name, var.clone())).collect()
    }

    fn known_operations(&self) -> Option<usize> {
        Some(self.layers.iter().map(|(_, layer)| layer.most_tensors()).sum())
    }
}

/// One row of [`Sequential::summary`].
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSummary {
    /// The layer's name.
    pub name: String,
    /// What it computes.
    pub kind: &'static str,
    /// The shape of its output without the batch.
    pub shape: Vec<usize>,
    /// How many numbers training may change.
    pub parameters: usize,
}

/// The shape of one example: a number of features, or several axes.
pub struct InputShape(Vec<usize>);

impl From<usize> for InputShape {
    fn from(features: usize) -> Self {
        Self(vec![features])
    }
}

impl<const N: usize> From<[usize; N]> for InputShape {
    fn from(axes: [usize; N]) -> Self {
        Self(axes.to_vec())
    }
}

impl From<&[usize]> for InputShape {
    fn from(axes: &[usize]) -> Self {
        Self(axes.to_vec())
    }
}

/// Collects layers by name; [`SequentialBuilder::build`] draws their weights.
#[derive(Clone, Debug)]
pub struct SequentialBuilder {
    input_shape: Vec<usize>,
    planned: Vec<(String, Planned)>,
}

#[derive(Clone, Debug)]
enum Planned {
    Linear { outputs: usize },
    Conv2d { outputs: usize, kernel: (usize, usize) },
    Ready(Layer),
}

macro_rules! activation_methods {
    ($($method:ident: $kind:expr, $what:literal;)+) => {
        $(#[doc = concat!("Adds ", $what, ".")]
        pub fn $method(self, name: impl Into<String>) -> Self {
            self.layer(name, Layer::Activation($kind))
        })+
    };
}

impl SequentialBuilder {
    /// Adds a dense layer with this many outputs.
    pub fn linear(self, name: impl Into<String>, outputs: usize) -> Self {
        self.plan(name, Planned::Linear { outputs })
    }

    /// Adds a convolution with stride 1 and no padding; the kernel is a number, or a pair of height and width.
    pub fn conv2d(self, name: impl Into<String>, outputs: usize, kernel: impl ToUsize2) -> Self {
        self.plan(name, Planned::Conv2d { outputs, kernel: kernel.to_usize2() })
    }

    activation_methods! {
        relu: Activation::Relu, "max(x, 0)";
        sigmoid: Activation::Sigmoid, "the logistic function";
        tanh: Activation::Tanh, "the hyperbolic tangent";
        softplus: Activation::Softplus, "ln(1 + eˣ)";
        gelu: Activation::Gelu, "the exact GELU";
        elu: Activation::Elu { alpha: 1. }, "ELU with α = 1";
    }

    /// Adds a leaky ReLU, which multiplies negative values by `slope`.
    pub fn leaky_relu(self, name: impl Into<String>, slope: f64) -> Self {
        self.layer(name, Layer::Activation(Activation::LeakyRelu { slope }))
    }

    /// Adds softmax over the classes.
    pub fn softmax(self, name: impl Into<String>) -> Self {
        self.layer(name, Layer::Softmax)
    }

    /// Flattens all axes after the batch into one.
    pub fn flatten(self, name: impl Into<String>) -> Self {
        self.layer(name, Layer::Flatten)
    }

    /// Adds the largest value of each window; windows touch and do not overlap. The kernel is a number, or a pair
    /// of height and width.
    pub fn max_pool2d(self, name: impl Into<String>, kernel: impl ToUsize2) -> Self {
        let kernel = kernel.to_usize2();
        self.layer(name, Layer::MaxPool2d(MaxPool2d { kernel, stride: kernel }))
    }

    /// Adds the mean of each window; windows touch and do not overlap. The kernel is a number, or a pair of height
    /// and width.
    pub fn avg_pool2d(self, name: impl Into<String>, kernel: impl ToUsize2) -> Self {
        let kernel = kernel.to_usize2();
        self.layer(name, Layer::AvgPool2d(AvgPool2d { kernel, stride: kernel }))
    }

    /// Adds a ready-made layer.
    pub fn layer(self, name: impl Into<String>, layer: Layer) -> Self {
        self.plan(name, Planned::Ready(layer))
    }

    fn plan(mut self, name: impl Into<String>, planned: Planned) -> Self {
        self.planned.push((name.into(), planned));
        self
    }

    /// Draws the weights and builds the network; the same seed gives the same weights.
    ///
    /// Fails if a layer does not fit the one before it, or if two layers share a name.
    pub fn build(self, seed: Seed) -> Result<Sequential> {
        let mut network = Sequential { input_shape: self.input_shape, layers: Vec::new() };
        for (index, (name, planned)) in self.planned.into_iter().enumerate() {
            let shape = network.layer_shapes()?.pop().unwrap_or_else(|| network.input_shape.clone());
            let seed = seed.child(index);
            let layer = match (planned, shape.as_slice()) {
                (Planned::Ready(layer), _) => layer,
                (Planned::Linear { outputs }, &[.., inputs]) => Layer::Linear(Linear::new(inputs, outputs, seed)?),
                (Planned::Conv2d { outputs, kernel }, &[inputs, _, _]) => {
                    Layer::Conv2d(Conv2d::new(inputs, outputs, kernel, 1, 0, seed)?)
                }
                (Planned::Linear { .. } | Planned::Conv2d { .. }, shape) => bail!(
                    Input,
                    "layer \"{name}\" comes after the shape {shape:?}: a linear layer needs features, a \
                     convolution [channels, height, width]"
                ),
            };
            network.layers.push((name, layer));
        }
        network.layer_shapes()?;
        Ok(network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_layer_makes_more_tensors_than_it_is_taken_to() {
        let grouped = |groups: usize| {
            let conv = Conv2d::new(1, 12, (2, 3), (2, 3), (1, 2), Seed(1)).unwrap();
            conv.with_dilation((2, 3)).unwrap().with_groups(groups).unwrap()
        };
        let layers = [1, 12].map(|groups| (groups, Layer::Conv2d(grouped(groups)))).into_iter().chain([
            (2, Layer::MaxPool2d(MaxPool2d { kernel: (2, 2), stride: (1, 1) })),
            (2, Layer::AvgPool2d(AvgPool2d { kernel: (2, 2), stride: (1, 1) })),
            (2, Layer::Softmax),
            (2, Layer::Activation(Activation::Elu { alpha: 1. })),
            (2, Layer::Linear(Linear::new(12, 2, Seed(1)).unwrap())),
        ]);
        for (channels, layer) in layers {
            let x = Var::ones((2, channels, 9, 12), DType::F32, &Device::Cpu).unwrap();
            // candle numbers its tensors, and other tests may make many at the same time: the fewest count.
            let made = |training: bool| {
                let number = |tensor: &Tensor| -> usize {
                    let id = format!("{:?}", tensor.id());
                    id.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
                };
                let before = number(&x.zeros_like().unwrap());
                let made = if training { layer.compute_tracked(&[&x]) } else { layer.compute(&[&x]) };
                number(&made.unwrap()) - before
            };
            for training in [false, true] {
                let fewest = (0..500).map(|_| made(training)).min().unwrap();
                assert!(fewest <= layer.most_tensors(), "{}: {fewest}", layer.kind());
            }
        }
    }
}
