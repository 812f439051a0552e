//! One checked call: which model, which inputs, which number of the output.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Tensor};

use super::forward::{Pass, check_output};
use super::host::host;
use super::passes::{Passes, allowing_single_rows, join_blocks};
use super::subject::Subject;
use super::target::Selection;
use super::{Attributions, Convergence, Expansion, Integral, Neuron, PathSettings, Target};
use crate::error::{Result, bail};
use crate::finite;
use crate::model::{Inputs, Layers, Model, Place, Tap};
use crate::nn::Rule;

/// Rows that one pass without a graph evaluates at most.
const MOST_ROWS: usize = 256;
/// Numbers, or ids, that one pass without a graph takes in at most: an id becomes an embedding.
const MOST_NUMBERS: usize = 1 << 21;
const MOST_IDS: usize = 1 << 13;

/// The number of each example that is attributed.
pub(super) enum Quantity {
    /// One of the output, selected by a target that was held against it.
    Output {
        selection: Selection,
        output: Tensor,
    },
    /// One of the output, by a target that each pass holds against its own output: the passes go over the inputs
    /// themselves, and what they saw is kept by its first row.
    Open {
        target: Target,
        seen: Mutex<BTreeMap<usize, (Selection, Tensor)>>,
    },
    Neuron {
        place: Place,
        neuron: Neuron,
    },
}

/// A checked call of a method: every evaluation of the model goes through it.
pub(crate) struct Question<'a> {
    pub(super) subject: &'a Subject,
    pub(super) inputs: Inputs,
    pub(super) quantity: Quantity,
    warnings: Mutex<Vec<String>>,
    /// Whether the model gave one number where there are several examples.
    one_number: AtomicBool,
}

/// What a model that gives one number was asked.
const ROW_BY_ROW: &str = "the model gives one number, and was asked one example at a time: what is explained is each \
                          example's own number, not a mean or sum over the batch";

impl<'a> Question<'a> {
    /// Asks about the model's output, which is evaluated for the inputs; passes take the settings' rows at most.
    pub(crate) fn about_output(
        subject: &'a Subject,
        inputs: &Inputs,
        target: &Target,
        settings: &PathSettings,
    ) -> Result<Self> {
        let batch = check_inputs(inputs)?;
        let rows = evaluation_rows(inputs).min(settings.internal_batch_size.unwrap_or(MOST_ROWS));
        let one_number = AtomicBool::new(false);
        let output = allowing_single_rows(Passes::of(rows), |passes| {
            let block = |rows: Range<usize>| {
                let at = Expansion::new(rows.collect(), 1);
                let inputs = at.expand_inputs(inputs)?;
                let output = Pass::run(subject.model(), &inputs, Layers::plain())?.output()?.detach();
                check_output(subject.model(), &inputs, &output)?;
                one_number.fetch_or(output.rank() == 0 && batch > 1, Ordering::Relaxed);
                Selection::rows_of(&output, at.len()).map(|rows| vec![rows])
            };
            let outputs = blocks(batch, passes.rows).map(block).collect::<Result<Vec<_>>>()?;
            Ok(join_blocks(outputs)?.swap_remove(0))
        })?;
        let all: Vec<usize> = (0..batch).collect();
        let selection = Selection::new(target, &output, &all, batch)?;
        Ok(Self { one_number, ..Self::new(subject, inputs, Quantity::Output { selection, output }) })
    }

    /// Asks about the model's output at these inputs alone: each pass holds the target against its own.
    pub(crate) fn at_inputs(subject: &'a Subject, inputs: &Inputs, target: &Target) -> Result<Self> {
        target.check_count(check_inputs(inputs)?)?;
        Ok(Self::new(subject, inputs, Quantity::Open { target: target.clone(), seen: Mutex::default() }))
    }

    /// Asks about the activation of one neuron.
    pub(crate) fn about_neuron(subject: &'a Subject, inputs: &Inputs, place: Place, neuron: &Neuron) -> Result<Self> {
        check_inputs(inputs)?;
        Ok(Self::new(subject, inputs, Quantity::Neuron { place, neuron: neuron.clone() }))
    }

    /// The same model and inputs, about one neuron.
    pub(super) fn about_its_neuron(&self, place: Place, neuron: &Neuron) -> Self {
        Self::new(self.subject, &self.inputs, Quantity::Neuron { place, neuron: neuron.clone() })
    }

    /// The same model and inputs, about this number of the output.
    pub(super) fn about_index(&self, index: Vec<usize>) -> Self {
        let target = Target::Index(index);
        Self::new(self.subject, &self.inputs, Quantity::Open { target, seen: Mutex::default() })
    }

    /// The index of the output that each example's number has, as far as it is known; none for a neuron.
    pub(super) fn target_indices(&self) -> Vec<Vec<usize>> {
        match &self.quantity {
            Quantity::Output { selection, .. } => selection.indices(),
            Quantity::Open { seen, .. } => lock(seen).values().flat_map(|(selection, _)| selection.indices()).collect(),
            Quantity::Neuron { .. } => Vec::new(),
        }
    }

    fn new(subject: &'a Subject, inputs: &Inputs, quantity: Quantity) -> Self {
        Self {
            subject,
            inputs: inputs.clone(),
            quantity,
            warnings: Mutex::default(),
            one_number: AtomicBool::new(false),
        }
    }

    pub(crate) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    pub(crate) fn batch_size(&self) -> usize {
        self.inputs.tensors()[0].dims()[0]
    }

    /// An error unless every input can carry a gradient.
    pub(crate) fn require_float_inputs(&self) -> Result<()> {
        for (index, input) in self.inputs.tensors().iter().enumerate() {
            if !input.dtype().is_float() {
                bail!(
                    Gradient,
                    "input {index} is {:?}, which has no gradient: this method attributes to floating-point inputs; \
                     for token ids attribute to the embedding layer, for example with LayerIntegratedGradients",
                    input.dtype()
                )
            }
        }
        Ok(())
    }

    /// The attributed number of each row, with its graph, and the tapped tensors.
    pub(super) fn scalars(
        &self,
        inputs: &Inputs,
        taps: impl IntoIterator<Item = (Place, Tap)>,
        at: &Expansion,
    ) -> Result<(Tensor, Layers)> {
        self.scalars_under(None, inputs, taps, at)
    }

    /// The same with a graph whose backward follows a rule.
    pub(super) fn scalars_under(
        &self,
        rule: Option<Arc<dyn Rule>>,
        inputs: &Inputs,
        taps: impl IntoIterator<Item = (Place, Tap)>,
        at: &Expansion,
    ) -> Result<(Tensor, Layers)> {
        let model = self.subject.model();
        let layers = |taps: Vec<(Place, Tap)>| Layers::with_taps(taps).following(rule.clone());
        match &self.quantity {
            Quantity::Output { selection, .. } => {
                let mut pass = Pass::run(model, inputs, layers(taps.into_iter().collect::<Vec<_>>()))?;
                let output = pass.output()?;
                Ok((selection.select(&output, at)?, pass.into_layers()))
            }
            Quantity::Open { target, seen } => {
                let mut pass = Pass::run(model, inputs, layers(taps.into_iter().collect::<Vec<_>>()))?;
                let output = pass.output()?;
                let rows = at.rows();
                let known = lock(seen).get(&rows[0]).filter(|_| rows.iter().all(|row| *row == rows[0])).cloned();
                if let Some((selection, _)) = known {
                    return Ok((
                        selection.select(&output, &Expansion::new(vec![0; rows.len()], 1))?,
                        pass.into_layers(),
                    ));
                }
                self.one_number.fetch_or(output.rank() == 0 && self.batch_size() > 1, Ordering::Relaxed);
                let own = Selection::rows_of(&output, at.len())?;
                check_output(model, inputs, &own)?;
                let selection = Selection::new(target, &own, rows, self.batch_size())?;
                let scalars = selection.select(&own, &Expansion::new((0..at.len()).collect(), 1))?;
                lock(seen).insert(rows[0], (selection, own.detach()));
                Ok((scalars, pass.into_layers()))
            }
            Quantity::Neuron { place, neuron } => {
                let taps = taps.into_iter().chain([(place.clone(), Tap::Capture)]);
                let mut pass = Pass::run(model, inputs, layers(taps.collect()).stop_when_caught())?;
                let caught = pass.caught(place, at)?;
                Ok((neuron.select(&caught.activation, place.layer(), at)?, pass.into_layers()))
            }
        }
    }

    /// The attributed number of each of these rows for other inputs of the same shapes, evaluated so many rows at
    /// once.
    pub(crate) fn values_at(&self, tensors: &[Tensor], at: &Expansion, rows: usize) -> Result<Vec<f64>> {
        let mut values = Vec::new();
        for block in blocks(at.len(), rows) {
            let of_block = |tensor: &Tensor| tensor.narrow(0, block.start, block.len())?.contiguous();
            let narrowed = tensors.iter().map(of_block).collect::<candle_core::Result<_>>()?;
            let at = Expansion::new(at.rows()[block.clone()].to_vec(), 1);
            let inputs = at.with_tensors(&self.inputs, narrowed)?;
            let (scalars, _) = self.scalars(&inputs, [], &at)?;
            finite::check(&scalars).map_err(|e| e.at("the model's output for the baseline or the inputs"))?;
            values.extend(host(&scalars)?);
        }
        Ok(values)
    }

    /// The attributed number of each example.
    pub(crate) fn ends(&self, rows: usize) -> Result<Vec<f64>> {
        let all = Expansion::new((0..self.batch_size()).collect(), 1);
        match &self.quantity {
            Quantity::Output { selection, output } => host(&selection.select(output, &all)?),
            Quantity::Open { .. } | Quantity::Neuron { .. } => allowing_single_rows(Passes::of(rows), |passes| {
                self.values_at(self.inputs.tensors(), &all, passes.rows)
            }),
        }
    }

    /// These rows of the inputs themselves.
    pub(crate) fn input_points(&self, at: &Expansion) -> Result<Vec<Tensor>> {
        self.inputs.tensors().iter().map(|input| at.expand(&input.detach())).collect()
    }

    /// What attributions to the inputs belong to.
    pub(crate) fn input_places(&self) -> Vec<String> {
        (0..self.inputs.tensors().len()).map(|index| format!("input {index}")).collect()
    }

    /// Keeps something that the reader of the result must know.
    pub(crate) fn warn(&self, warning: String) {
        lock(&self.warnings).push(warning);
    }

    pub(super) fn hand_warnings_to(&self, other: &Question) {
        lock(&self.warnings).drain(..).for_each(|warning| other.warn(warning));
    }

    /// The result of a method, with what was asked.
    pub(crate) fn attributions(
        &self,
        method: &'static str,
        values: Vec<Tensor>,
        places: Vec<String>,
        convergence: Option<Convergence>,
    ) -> Result<Attributions> {
        let targets = self.target_indices();
        let output = match &self.quantity {
            Quantity::Output { output, .. } => Some(output.clone()),
            Quantity::Open { seen, .. } => {
                let outputs = lock(seen).values().map(|(_, output)| vec![output.clone()]).collect();
                join_blocks(outputs)?.pop()
            }
            Quantity::Neuron { .. } => None,
        };
        let texts = self.inputs.shared_texts();
        let mut warnings = lock(&self.warnings).clone();
        if self.one_number.load(Ordering::Relaxed) {
            warnings.push(ROW_BY_ROW.to_string());
        }
        Ok(Attributions { targets, output, texts, convergence, warnings, ..Attributions::new(method, values, places) })
    }

    /// The result of a method that takes one gradient at the inputs, with the features' names.
    pub(crate) fn plain_attributions_to_inputs(
        &self,
        method: &'static str,
        values: Vec<Tensor>,
    ) -> Result<Attributions> {
        Ok(self.attributions(method, values, self.input_places(), None)?.with_names(self.inputs.names()))
    }

    /// The result of a method that integrates along the inputs, with the features' names.
    pub(crate) fn attributions_to_inputs(&self, method: &'static str, integral: Integral) -> Result<Attributions> {
        let places = self.input_places();
        let attributions = self.attributions(method, integral.values, places, Some(integral.convergence))?;
        Ok(attributions.with_names(self.inputs.names()))
    }

    /// What layers give for other inputs of the same shapes, evaluated so many rows at once.
    pub(crate) fn activations_at(
        &self,
        places: &[Place],
        tensors: &[Tensor],
        at: &Expansion,
        rows: usize,
    ) -> Result<Vec<Tensor>> {
        let all = at.with_tensors(&self.inputs, tensors.to_vec())?;
        capture(self.subject.model(), &all, places, rows)
    }
}

/// What layers give for these inputs; nothing above the last of them is computed.
pub(crate) fn activations(model: &dyn Model, inputs: &Inputs, places: &[Place]) -> Result<Vec<Tensor>> {
    check_inputs(inputs)?;
    let rows = evaluation_rows(inputs);
    allowing_single_rows(Passes::of(rows), |passes| capture(model, inputs, places, passes.rows))
}

fn capture(model: &dyn Model, inputs: &Inputs, places: &[Place], rows: usize) -> Result<Vec<Tensor>> {
    let block = |rows: Range<usize>| {
        let at = Expansion::new(rows.collect(), 1);
        let taps = places.iter().map(|place| (place.clone(), Tap::Capture));
        let mut pass = Pass::run(model, &at.expand_inputs(inputs)?, Layers::with_taps(taps).stop_when_caught())?;
        places.iter().map(|place| Ok(pass.caught(place, &at)?.activation.detach().contiguous()?)).collect()
    };
    join_blocks(blocks(inputs.batch_size()?, rows).map(block).collect::<Result<_>>()?)
}

fn check_inputs(inputs: &Inputs) -> Result<usize> {
    let batch = inputs.batch_size()?;
    for (index, tensor) in inputs.tensors().iter().enumerate() {
        require_known(tensor.dtype(), index)?;
        finite::check(tensor).map_err(|e| e.at(format!("input {index}")))?;
    }
    for (index, tensor) in inputs.args().iter().enumerate() {
        finite::check_mask(tensor).map_err(|e| e.at(format!("extra argument {index}")))?;
    }
    let (names, dims) = (inputs.names().len(), inputs.first().dims());
    if names > 0 && dims.last() != Some(&names) {
        bail!(
            Input,
            "there are {names} names, and input 0 has the shape {dims:?}: give one for each feature of its last axis"
        )
    }
    Ok(batch)
}

/// An error for number types of fewer than 16 bits, of which candle converts few.
fn require_known(dtype: DType, input: usize) -> Result<()> {
    let known = dtype.is_int() || matches!(dtype, DType::F16 | DType::BF16 | DType::F32 | DType::F64);
    if !known {
        bail!(Input, "input {input} is {dtype:?}: expected F32, F64, F16, BF16 or integers (convert it with to_dtype)")
    }
    Ok(())
}

/// How many rows of these inputs a pass without a graph takes.
fn evaluation_rows(inputs: &Inputs) -> usize {
    let rows = |tensor: &Tensor| {
        let most = if tensor.dtype().is_int() && tensor.rank() > 1 { MOST_IDS } else { MOST_NUMBERS };
        let row = tensor.elem_count() / tensor.dims()[0].max(1);
        (most / row.max(1)).clamp(1, MOST_ROWS)
    };
    inputs.tensors().iter().map(rows).min().unwrap_or(1)
}

fn blocks(count: usize, rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(rows.max(1)).map(move |first| first..count.min(first + rows))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
