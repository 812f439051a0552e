//! The gradient check of one call: what is compared, and above which layer a fault begins.

use std::collections::BTreeSet;

use candle_core::Tensor;

use super::forward::Pass;
use super::gradient::Sample;
use super::gradient_check::{Claim, Look, Verdict, examine};
use super::host::host;
use super::question::Quantity;
use super::remarks::Warning;
use super::{Expansion, Neuron, Question, Target};
use crate::error::{ErrorKind, Result};
use crate::model::{Layers, Place, Tap};

/// What a gradient is taken with respect to.
#[derive(Clone, Copy)]
pub(crate) enum Attributed<'a> {
    Inputs,
    /// Layers whose activations stay, with something added to them.
    Layers(&'a [Place]),
    /// Layers whose activations are replaced.
    Replaced(&'a [Place]),
}

impl Attributed<'_> {
    pub(super) fn places(&self) -> &[Place] {
        match self {
            Attributed::Inputs => &[],
            Attributed::Layers(places) | Attributed::Replaced(places) => places,
        }
    }
}

/// How far gradients of the same example may differ, as a share of the largest: passes of other sizes round
/// differently.
const UNEVEN: f64 = 0.02;
const ADVICE: &str = "To go on all the same: gradient_check(Check::Warn), or gradient_check=warn of a server, makes it a \
                      remark, and Check::Off does not look.";

/// A pass over some examples.
pub(crate) type Evaluate<'a> = &'a (dyn Fn(&Question, &Expansion) -> Result<Sample> + Sync);

impl Question<'_> {
    /// Compares the gradients of a pass over the first example alone with the function, once for each model, target and
    /// layer. If they disagree, that is an error or a warning.
    pub(crate) fn check_gradient(&self, of: Attributed, sample: &Sample, evaluate: Evaluate) -> Result<()> {
        self.check_gradient_at(0, of, sample, evaluate)
    }

    /// The same check for every other target of the examples.
    pub(crate) fn check_other_targets(&self, of: Attributed, evaluate: Evaluate) -> Result<()> {
        if matches!(self.quantity, Quantity::Neuron { .. }) {
            return Ok(());
        }
        let indices = self.answers().indices();
        let mut looked_at: BTreeSet<&[usize]> = indices.iter().take(1).map(Vec::as_slice).collect();
        for (example, index) in indices.iter().enumerate() {
            let about_it = self.about_index(index.clone());
            if !looked_at.insert(index) || !about_it.needs_check(of) {
                continue;
            }
            let sample = evaluate(&about_it, &Expansion::of_inputs(vec![example]))?;
            about_it.check_gradient_at(example, of, &sample, evaluate)?;
            about_it.hand_warnings_to(self);
        }
        Ok(())
    }

    fn check_gradient_at(&self, example: usize, of: Attributed, sample: &Sample, evaluate: Evaluate) -> Result<()> {
        let kind = self.kind(of);
        if let Some(look) = self.subject.look(&kind) {
            let (point, gradient) = (&sample.activations, &sample.gradients);
            let (value, rounded_to) = (host(&sample.scalars)?[0], sample.rounded_to);
            let claim = Claim { point, gradient, value, rounded_to };
            let fault = match examine(&claim, look, &|rows| self.numbers(example, of, point, rows))? {
                Verdict::Right => Some(self.unevenness(example, gradient, evaluate)?),
                Verdict::Still => return Ok(()),
                Verdict::Hidden => None,
                verdict => Some(Some(self.describe(example, of, verdict)?)),
            };
            self.subject.record(kind.clone(), fault);
        }
        if let Some(warning) = self.subject.verdict(&kind)? {
            self.warn(Warning::WrongGradient(warning));
        }
        Ok(())
    }

    /// Describes the fault if an example that is in a batch twice does not get both times the gradient it has alone.
    fn unevenness(&self, example: usize, gradient: &[Tensor], evaluate: Evaluate) -> Result<Option<String>> {
        // Some models take only one row.
        let Ok(twice) = evaluate(self, &Expansion::of_inputs(vec![example; 2])) else { return Ok(None) };
        for (alone, of_batch) in gradient.iter().zip(&twice.gradients) {
            let (alone, of_batch) = (host(alone)?, host(of_batch)?);
            let largest = alone.iter().fold(0., |largest: f64, value| largest.max(value.abs()));
            let rows = of_batch.chunks(alone.len().max(1)).flat_map(|row| row.iter().zip(&alone));
            let apart = rows.fold(0., |apart: f64, (value, alone)| apart.max((value - alone).abs()));
            if apart > UNEVEN * largest {
                return Ok(Some(format!(
                    "the gradient of example {example} depends on where in a batch it stands, by up to {} of {}: an \
                     operation has a backward that is wrong for batches (candle's conv1d; run it as a block, with \
                     layers.apply or layers.run, or put candle_explain::nn::Conv2d in its place). {ADVICE}",
                    readable(apart),
                    readable(largest)
                )));
            }
        }
        Ok(None)
    }

    /// Whether a gradient of this kind must still be compared with the function, or was found wrong.
    pub(crate) fn needs_check(&self, of: Attributed) -> bool {
        let kind = self.kind(of);
        self.subject.look(&kind).is_some() || !matches!(self.subject.verdict(&kind), Ok(None))
    }

    /// The check for one neuron between the inputs and the output: of its own gradient, and of the output's with
    /// respect to its layer.
    pub(crate) fn check_through_neuron(&self, place: &Place, neuron: &Neuron) -> Result<()> {
        let at = Expansion::of_inputs(vec![0]);
        let below = self.about_its_neuron(place.clone(), neuron);
        if below.needs_check(Attributed::Inputs) {
            let of_neuron = |below: &Question, at: &Expansion| below.input_gradients(below.input_points(at)?, at);
            below.check_gradient(Attributed::Inputs, &of_neuron(&below, &at)?, &of_neuron)?;
            below.hand_warnings_to(self);
        }
        self.check_layer(place)
    }

    /// The check of the output's gradient with respect to a layer.
    pub(super) fn check_layer(&self, place: &Place) -> Result<()> {
        let at = Expansion::of_inputs(vec![0]);
        let places = std::slice::from_ref(place);
        let above =
            |question: &Question, at: &Expansion| question.layer_gradients(places, question.input_points(at)?, at);
        if self.needs_check(Attributed::Layers(places)) {
            self.check_gradient(Attributed::Layers(places), &above(self, &at)?, &above)?;
        }
        self.check_other_targets(Attributed::Layers(places), &above)
    }

    /// The key under which a finding is kept.
    fn kind(&self, of: Attributed) -> String {
        let about = match &self.quantity {
            Quantity::Neuron { place, neuron } => format!("neuron {neuron} of {place}"),
            Quantity::Output(Target::Index(index)) => format!("{:?}", Some(index)),
            Quantity::Output(_) => format!("{:?}", self.answers().first_index()),
        };
        let places: Vec<String> = of.places().iter().map(Place::to_string).collect();
        let replaced = matches!(of, Attributed::Replaced(_));
        format!("{about}, {places:?}, {replaced}")
    }

    /// The attributed number of an example with these rows as its attributed tensors and all else unchanged.
    fn numbers(&self, example: usize, of: Attributed, point: &[Tensor], rows: Vec<Tensor>) -> Result<Vec<f64>> {
        let at = Expansion::new(vec![example; rows[0].dims()[0]], 1);
        let (inputs, taps) = match of {
            Attributed::Inputs => (at.with_tensors(self.inputs(), rows)?, Vec::new()),
            Attributed::Layers(places) => {
                let shift = |(row, point): (&Tensor, &Tensor)| Ok(Tap::Shift(row.broadcast_sub(point)?));
                let taps = rows.iter().zip(point).map(shift).collect::<Result<Vec<_>>>()?;
                (at.expand_inputs(self.inputs())?, places.iter().cloned().zip(taps).collect())
            }
            Attributed::Replaced(places) => {
                let taps = places.iter().cloned().zip(rows.into_iter().map(Tap::Replace));
                (at.expand_inputs(self.inputs())?, taps.collect())
            }
        };
        host(&self.scalars(&inputs, taps, &at)?.0)
    }

    fn describe(&self, example: usize, of: Attributed, verdict: Verdict) -> Result<String> {
        Ok(match verdict {
            Verdict::Wrong { measured, claimed } => format!(
                "the gradient is not the derivative of the model's output: an operation {} has no backward, or a wrong \
                 one. (Example {example} was moved a little in a direction: the output changed at the rate {}, and the \
                 gradient says {}.) Operations of candle that are like that: candle_nn's layer_norm, rms_norm, \
                 softmax_last_dim and rope, max_pool2d, upsampling, the maximum of equal values; candle_explain::nn has \
                 right ones. {ADVICE}",
                self.locate(example, of)?,
                readable(measured),
                readable(claimed),
            ),
            Verdict::Random(first, second) => format!(
                "the model is random: for the same example it gave {first} and then {second}. Is dropout left on? {ADVICE}"
            ),
            Verdict::Dependent(one, other) => format!(
                "the model's rows depend on each other: for the same example it gave {one} alone and {other} beside \
                 another row. Is batch normalisation in training mode, or the batch's size a part of the result? {ADVICE}"
            ),
            Verdict::Right | Verdict::Still | Verdict::Hidden => String::new(),
        })
    }

    /// The layers between which a wrong gradient arises, by bisection over the named ones.
    fn locate(&self, example: usize, of: Attributed) -> Result<String> {
        let first = Expansion::new(vec![example], 1);
        let pass = Pass::run(self.model(), &first.expand_inputs(self.inputs())?, Layers::plain())?;
        let mut names = pass.into_layers().names();
        if let Quantity::Neuron { place, .. } = &self.quantity {
            names.truncate(names.iter().position(|name| name == place.layer()).unwrap_or(names.len()));
        }
        let below = names.iter().rposition(|name| of.places().iter().any(|place| place.layer() == name));
        let candidates = &names[below.map_or(0, |position| position + 1)..];
        let (mut wrong, mut right) = (0, candidates.len());
        // The gradient is wrong at the candidates before `wrong`, and right from the candidate `right` on.
        while wrong < right {
            let middle = (wrong + right) / 2;
            if self.is_wrong_above(example, &candidates[middle])? { wrong = middle + 1 } else { right = middle }
        }
        let lower = match wrong {
            0 => match of.places().last() {
                Some(place) => place.to_string(),
                None => "the input".to_string(),
            },
            above => format!("layer \"{}\"", candidates[above - 1]),
        };
        Ok(match candidates.get(wrong) {
            Some(upper) => format!("above {lower}, up to layer \"{upper}\","),
            None => format!("above {lower}"),
        })
    }

    /// Whether the gradient with respect to a layer's output is wrong.
    fn is_wrong_above(&self, example: usize, layer: &str) -> Result<bool> {
        let places = [Place::Output(layer.to_string())];
        let at = Expansion::new(vec![example], 1);
        let sample = match self.layer_gradients(&places, self.input_points(&at)?, &at) {
            Ok(sample) => sample,
            Err(error) => return Ok(error.kind() == ErrorKind::Gradient),
        };
        let (point, gradient) = (&sample.activations, &sample.gradients);
        let (value, rounded_to) = (host(&sample.scalars)?[0], sample.rounded_to);
        let claim = Claim { point, gradient, value, rounded_to };
        let of = Attributed::Layers(&places);
        let verdict = examine(&claim, Look::Close, &|rows| self.numbers(example, of, point, rows))?;
        Ok(matches!(verdict, Verdict::Wrong { .. }))
    }
}

/// A number with a few digits.
fn readable(number: f64) -> String {
    if number == 0. || (1e-3..1e6).contains(&number.abs()) { format!("{number:.6}") } else { format!("{number:.3e}") }
}
