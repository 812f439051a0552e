//! A checked call: which model, which inputs, which number of the output.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Tensor};

use super::answers::Answers;
use super::forward::{Pass, check_output};
use super::host::host;
use super::observer::Watched;
use super::passes::{Passes, allowing_single_rows, blocks};
use super::remarks::Warning;
use super::subject::Subject;
use super::target::Selection;
use super::{Baseline, Budget, Expansion, FeatureMask, Features, Neuron, Target};
use crate::device;
use crate::error::{Result, bail};
use crate::finite;
use crate::model::{Inputs, Layers, Model, Place, Tap};
use crate::nn::Rule;

/// The number of each example that is attributed.
#[derive(Clone)]
pub(super) enum Quantity {
    /// A number of the output.
    Output(Target),
    Neuron {
        place: Place,
        neuron: Neuron,
    },
}

/// A checked call of a method. Every evaluation of the model goes through it. Results for the inputs
/// themselves are kept, so that no example is computed twice.
pub(crate) struct Question<'a> {
    pub(super) subject: &'a Subject,
    pub(super) quantity: Quantity,
    pub(super) budget: Budget,
    /// The model as this call is watched.
    watched: Option<Arc<Watched>>,
    inputs: Inputs,
    answers: Mutex<Answers>,
    warnings: Mutex<Vec<Warning>>,
    /// What makes features of the inputs.
    mask: Mutex<FeatureMask>,
    /// Whether passes are for what they hold, and not for their gradients.
    measures: AtomicBool,
    /// Whether a lower precision that the model was given is left out.
    exact: AtomicBool,
    /// Whether a pass took it.
    rounded: AtomicBool,
}

impl<'a> Question<'a> {
    /// Asks about the model's output.
    pub(crate) fn about_output(
        subject: &'a Subject,
        inputs: &Inputs,
        target: &Target,
        budget: &Budget,
    ) -> Result<Self> {
        target.check_count(check_inputs(inputs)?)?;
        let budget = budget.on(inputs.first().device())?;
        let question = Self::new(subject, inputs, Quantity::Output(target.clone()), &budget);
        Ok(Self { watched: subject.watched(), ..question })
    }

    /// Asks about the activation of one neuron.
    pub(crate) fn about_neuron(
        subject: &'a Subject,
        inputs: &Inputs,
        place: Place,
        neuron: &Neuron,
        budget: &Budget,
    ) -> Result<Self> {
        check_inputs(inputs)?;
        let budget = budget.on(inputs.first().device())?;
        let question = Self::new(subject, inputs, Quantity::Neuron { place, neuron: neuron.clone() }, &budget);
        Ok(Self { watched: subject.watched(), ..question })
    }

    /// The same question about one neuron.
    pub(super) fn about_its_neuron(&self, place: Place, neuron: &Neuron) -> Self {
        self.about(&self.inputs, Quantity::Neuron { place, neuron: neuron.clone() })
    }

    /// The same question about this number of the output.
    pub(super) fn about_index(&self, index: Vec<usize>) -> Self {
        self.about(&self.inputs, Quantity::Output(Target::Index(index)))
    }

    /// The same question about these examples with other tensors as their inputs.
    pub(super) fn elsewhere(&self, tensors: Vec<Tensor>, at: &Expansion) -> Result<Self> {
        let inputs = at.with_tensors(&self.inputs, tensors)?;
        let answers = self.answers().carried_to(at);
        Ok(Self { answers: Mutex::new(answers), ..self.about(&inputs, self.quantity.clone()) })
    }

    /// Another question of the same call.
    fn about(&self, inputs: &Inputs, quantity: Quantity) -> Self {
        Self { watched: self.watched.clone(), ..Self::new(self.subject, inputs, quantity, &self.budget) }
    }

    fn new(subject: &'a Subject, inputs: &Inputs, quantity: Quantity, budget: &Budget) -> Self {
        let batch = inputs.first().dims()[0];
        Self {
            subject,
            quantity,
            budget: *budget,
            watched: None,
            inputs: inputs.detached(),
            answers: Mutex::new(Answers::of(batch)),
            warnings: Mutex::default(),
            mask: Mutex::default(),
            measures: AtomicBool::new(false),
            exact: AtomicBool::new(false),
            rounded: AtomicBool::new(false),
        }
    }

    pub(crate) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    pub(super) fn model(&self) -> &dyn Model {
        match &self.watched {
            Some(watched) => &**watched,
            None => self.subject.model(),
        }
    }

    /// Runs a pass for what it holds, not for its gradients, which are zeros.
    pub(super) fn measuring<T>(&self, pass: impl FnOnce(&Self) -> T) -> T {
        self.while_set(&self.measures, pass)
    }

    pub(super) fn measures(&self) -> bool {
        self.measures.load(Ordering::Relaxed)
    }

    /// Runs passes in the full precision of the model's numbers.
    pub(super) fn exactly<T>(&self, passes: impl FnOnce(&Self) -> T) -> T {
        self.while_set(&self.exact, passes)
    }

    fn while_set<T>(&self, flag: &AtomicBool, passes: impl FnOnce(&Self) -> T) -> T {
        flag.store(true, Ordering::Relaxed);
        let result = passes(self);
        flag.store(false, Ordering::Relaxed);
        result
    }

    pub(super) fn is_exact(&self) -> bool {
        self.exact.load(Ordering::Relaxed)
    }

    /// Whether numbers are in a lower precision than their type has.
    pub(super) fn rounds(&self) -> bool {
        !self.is_exact() && self.rounded.load(Ordering::Relaxed)
    }

    /// Tells the observer how many rows are still to be evaluated, where that is known.
    pub(crate) fn plans(&self, rows: Option<usize>) {
        if let (Some(watched), Some(rows)) = (&self.watched, rows) {
            watched.plans(rows.saturating_mul(self.inputs.examples()) / self.batch_size().max(1));
        }
    }

    pub(crate) fn batch_size(&self) -> usize {
        self.inputs.first().dims()[0]
    }

    pub(super) fn answers(&self) -> MutexGuard<'_, Answers> {
        lock(&self.answers)
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
        let mut taps: Vec<(Place, Tap)> = taps.into_iter().collect();
        match &self.quantity {
            Quantity::Output(target) => {
                let layers = Layers::with_taps(taps).following(rule).exact(self.is_exact());
                let mut pass = Pass::run(self.model(), inputs, layers)?;
                let output = pass.output()?;
                if output.rank() == 0 && self.inputs.examples() > 1 {
                    self.answers().one_number = true;
                }
                let output = match at.folding() {
                    None => output,
                    Some(_) => at.unfold(&Selection::rows_of(&output, at.evaluations())?)?,
                };
                let is_new = at.begins_with_inputs() && !self.answers().knows(at.rows());
                let scalars = match is_new {
                    true => self.learn(target, inputs, &output, at)?,
                    false => self.selection(at)?.select(&output, &at.in_order())?,
                };
                Ok((scalars, self.noted(pass.into_layers())))
            }
            Quantity::Neuron { place, neuron } => {
                taps.push((place.clone(), Tap::Capture));
                let layers = Layers::with_taps(taps).following(rule).stop_when_caught().exact(self.is_exact());
                let mut pass = Pass::run(self.model(), inputs, layers)?;
                let activation = at.unfold(&pass.caught(place, at)?.activation)?;
                let scalars = neuron.select(&activation, place.layer(), at)?;
                let is_new = at.begins_with_inputs() && !self.answers().knows(at.rows());
                if is_new {
                    let own = scalars.narrow(0, 0, at.rows().len())?;
                    finite::check(&own).map_err(|e| e.at(format!("neuron {neuron} of {place}")))?;
                    let numbers = host(&own)?;
                    self.answers().learn_activations(at.rows(), &numbers);
                    self.answers().dtype = Some(own.dtype());
                }
                Ok((scalars, self.noted(pass.into_layers())))
            }
        }
    }

    /// Notes whether a pass took a lower precision.
    fn noted(&self, layers: Layers) -> Layers {
        self.rounded.fetch_or(layers.rounded(), Ordering::Relaxed);
        layers
    }

    /// Checks the target against the output of a pass that begins with the inputs, and keeps that output.
    fn learn(&self, target: &Target, inputs: &Inputs, output: &Tensor, at: &Expansion) -> Result<Tensor> {
        let rows = Selection::rows_of(output, at.len())?;
        check_output(self.model(), inputs, &rows)?;
        let own = rows.narrow(0, 0, at.rows().len())?.detach();
        let selection = Selection::new(target, &own, at.rows(), self.batch_size())?;
        let scalars = selection.select(&rows, &at.in_order())?;
        let numbers = host(&scalars.narrow(0, 0, at.rows().len())?)?;
        self.answers().learn_output(at.rows(), &numbers, &selection, &own)?;
        self.answers().dtype = Some(own.dtype());
        Ok(scalars)
    }

    /// Which number of the output is attributed in these rows.
    fn selection(&self, at: &Expansion) -> Result<Selection> {
        if !self.answers().knows(at.rows()) {
            self.values()?;
        }
        self.answers().selection(at.rows())
    }

    /// The attributed number of each example; unknown ones are computed first, without a graph.
    pub(crate) fn values(&self) -> Result<Vec<f64>> {
        let rows = self.budget.rows_without_graph(&self.inputs);
        allowing_single_rows(Passes::of(rows), |passes| {
            let unknown = self.answers().unknown();
            for examples in unknown.chunk_by(|one, next| one + 1 == *next).flat_map(|run| run.chunks(passes.rows)) {
                let at = Expansion::of_inputs(examples.to_vec());
                let at = at.folded(&self.inputs, &self.input_points(&at)?)?;
                self.scalars(&at.expand_inputs(&self.inputs)?, [], &at)?;
            }
            Ok(self.answers().values())
        })
    }

    /// The target as a position for each example, the same wherever the inputs go.
    pub(crate) fn settled_target(&self) -> Result<Target> {
        self.values()?;
        Ok(Target::PerExampleIndex(self.answers().indices()))
    }

    /// The attributed number of each of these rows for other inputs of the same shapes, evaluated in passes of `rows`
    /// rows.
    pub(crate) fn values_at(&self, tensors: &[Tensor], at: &Expansion, rows: usize) -> Result<Vec<f64>> {
        let mut values = Vec::new();
        for block in blocks(at.len(), rows) {
            let of_block = |tensor: &Tensor| tensor.narrow(0, block.start, block.len())?.contiguous();
            let narrowed = tensors.iter().map(of_block).collect::<candle_core::Result<Vec<_>>>()?;
            let at = Expansion::new(at.rows()[block.clone()].to_vec(), 1);
            let at = at.folded_wherever_equal(&self.inputs, &narrowed)?;
            let inputs = at.with_tensors(&self.inputs, at.fold_all(&narrowed)?)?;
            let (scalars, _) = self.scalars(&inputs, [], &at)?;
            finite::check(&scalars).map_err(|e| e.at("the model's output for the baseline or the inputs"))?;
            values.extend(host(&scalars)?);
        }
        Ok(values)
    }

    /// These rows of the inputs themselves.
    pub(crate) fn input_points(&self, at: &Expansion) -> Result<Vec<Tensor>> {
        self.inputs.tensors().iter().map(|input| at.expand(&input.detach())).collect()
    }

    /// The inputs as attributions to them look: ids are in the type that the model computes in.
    pub(super) fn attributed_inputs(&self) -> Result<Vec<Tensor>> {
        let dtype = self.answers().dtype.unwrap_or(DType::F32);
        let attributed = |input: &Tensor| match input.dtype().is_int() {
            true => Ok(input.to_dtype(dtype)?),
            false => Ok(input.clone()),
        };
        self.inputs.tensors().iter().map(attributed).collect()
    }

    /// Keeps that ids are compared with the id 0, if no baseline was given. Bytes are pixels or flags, whose 0 means
    /// something.
    pub(crate) fn warn_of_ids_against(&self, baseline: &Baseline) {
        let are_ids = |input: &Tensor| input.dtype().is_int() && input.dtype() != DType::U8;
        if matches!(baseline, Baseline::Zero) && self.inputs.tensors().iter().any(are_ids) {
            self.warn(Warning::IdsAgainstZero);
        }
    }

    /// Keeps something that the reader of the result must know.
    pub(crate) fn warn(&self, warning: Warning) {
        lock(&self.warnings).push(warning);
    }

    pub(super) fn hand_warnings_to(&self, other: &Question) {
        lock(&self.warnings).drain(..).for_each(|warning| other.warn(warning));
    }

    /// The features that a mask makes of the inputs.
    pub(super) fn features(&self, mask: &FeatureMask) -> Result<Features> {
        *lock(&self.mask) = mask.clone();
        mask.resolve(&self.inputs, self.inputs.tensors(), self.inputs.names(), "input")
    }

    /// How many features a mask makes of each example.
    pub(crate) fn feature_counts(&self, mask: &FeatureMask) -> Result<Vec<usize>> {
        let features = self.features(mask)?;
        Ok((0..self.batch_size()).map(|example| features.count_of(example)).collect())
    }

    /// The features that a mask makes of the activations of layers.
    pub(super) fn layer_features(&self, mask: &FeatureMask, activations: &[Tensor]) -> Result<Features> {
        *lock(&self.mask) = mask.clone();
        mask.resolve(&self.inputs, activations, &[], "layer")
    }

    pub(super) fn mask(&self) -> FeatureMask {
        lock(&self.mask).clone()
    }

    /// What the reader of the result must know.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let of_model = self.answers().one_number.then_some(Warning::OneNumber);
        lock(&self.warnings).iter().cloned().chain(of_model).collect()
    }
}

pub(super) fn check_inputs(inputs: &Inputs) -> Result<usize> {
    let batch = inputs.batch_size()?;
    for (kind, tensors) in [("input", inputs.tensors()), ("extra argument", inputs.args())] {
        for (index, tensor) in tensors.iter().enumerate() {
            device::check_beside(&format!("{kind} {index}"), tensor.device(), "input 0", inputs.first().device())?;
        }
    }
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
