//! Relevance under LRP's rules: of the inputs, or of layers.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Var;

use super::budget::Footprint;
use super::forward::take;
use super::gradient::gradients;
use super::gradient_passes::input_vars;
use super::host::{host, product};
use super::lrp_rules::LrpRules;
use super::passes::in_measured_passes;
use super::remarks::{Warning, is_noteworthy};
use super::rules::Relevance;
use super::totals::{Finished, Totals};
use super::{Expansion, Integral, Lines, Question};
use crate::error::{Result, bail};
use crate::model::{Place, Tap};

/// What one pass gave.
struct Relevances {
    finished: Finished,
    losses: Vec<Loss>,
}

/// The relevance of an example that did not arrive.
#[derive(Clone, Copy)]
struct Loss {
    /// F(x), minus the sum of the relevances; of several layers, where it is farthest from 0.
    delta: f64,
    /// What blocks absorbed of it, if it is known.
    absorbed: Option<f64>,
    output: f64,
}

impl Question<'_> {
    /// The relevance of each number of the inputs, or of layers if there are any. The delta is F(x) minus the sum of
    /// the relevances, as in Captum; of several layers, the one farthest from 0.
    pub(crate) fn relevance(&self, rules: &LrpRules, places: &[Place]) -> Result<Integral> {
        rules.check()?;
        if places.is_empty() {
            self.require_float_inputs()?;
        }
        let mut totals = Totals::new(Lines::new(self.batch_size(), 1), 0);
        let mut losses: Vec<Loss> = Vec::new();
        self.plans(Some(self.batch_size()));
        in_measured_passes(
            &self.budget,
            self.batch_size(),
            |rows| self.relevances(rules, places, rows),
            |relevances| {
                losses.extend(relevances.losses);
                totals.add(relevances.finished)
            },
        )?;
        let mut integral = totals.finish()?;
        integral.convergence.steps.clear();
        integral.convergence.delta = Some(losses.iter().map(|loss| loss.delta).collect());
        if let Some(warning) = warning(&losses, places) {
            self.warn(warning);
        }
        Ok(integral)
    }

    fn relevances(&self, rules: &LrpRules, places: &[Place], rows: Range<usize>) -> Result<(Relevances, Footprint)> {
        let at = Expansion::of_inputs(rows.clone().collect());
        let points = self.input_points(&at)?;
        let mut wanted: Vec<(String, Var)> = if places.is_empty() { input_vars(&points)? } else { Vec::new() };
        let mut activations = points.clone();
        let tensors = match places {
            [] => wanted.iter().map(|(_, var)| var.as_tensor().clone()).collect(),
            _ => points,
        };
        let tap = || if places.len() == 1 { Tap::Cut } else { Tap::AddZero };
        let taps = places.iter().map(|place| (place.clone(), tap()));
        let rule = Arc::new(Relevance::new(rules, rows.len()));
        let inputs = at.with_tensors(self.inputs(), tensors)?;
        let (scalars, mut layers) = self.scalars_under(Some(rule.clone()), &inputs, taps, &at)?;
        rules.check_layers(&layers)?;
        if !places.is_empty() {
            activations.clear();
        }
        for place in places {
            let caught = take(&mut layers, place, &at)?;
            activations.push(caught.activation.detach());
            wanted.extend(caught.var.map(|var| (place.to_string(), var)));
        }
        let sample = gradients((&scalars, layers.kept()), &wanted, activations, &at)?;
        if layers.blocks() == 0 || (places.is_empty() && rule.blocks() == 0) {
            bail!(
                Layer,
                "no block followed a rule: LRP's rules apply to what the model runs with layers.apply or layers.run; a \
                 closure or candle Module as a whole runs nothing so"
            )
        }
        let mut numbers = Vec::new();
        for (multipliers, activations) in sample.gradients.iter().zip(&sample.activations) {
            let pairs = host(multipliers)?.into_iter().zip(host(activations)?);
            numbers.push(pairs.map(|(multiplier, x)| product(multiplier, x)).collect::<Vec<f64>>());
        }
        let (outputs, absorbed) = (host(&sample.scalars)?, rule.absorbed());
        let loss = |row: usize| {
            let sum = |numbers: &Vec<f64>| {
                let width = numbers.len() / outputs.len();
                numbers[row * width..(row + 1) * width].iter().sum::<f64>()
            };
            let sums: Vec<f64> = numbers.iter().map(sum).collect();
            let deltas = match places {
                [] => vec![outputs[row] - sums.iter().sum::<f64>()],
                _ => sums.iter().map(|sum| outputs[row] - sum).collect(),
            };
            let farthest = deltas.into_iter().reduce(|a, b| if b.abs() > a.abs() { b } else { a });
            let absorbed = absorbed.as_ref().filter(|_| places.len() <= 1).map(|absorbed| absorbed[row]);
            Loss { delta: farthest.unwrap_or(0.), absorbed, output: outputs[row] }
        };
        let losses = (0..outputs.len()).map(loss).collect();
        let finished = Finished::new(rows, numbers, &sample.gradients, None);
        Ok((Relevances { finished, losses }, sample.footprint))
    }
}

/// What the reader must know of relevance that did not arrive.
fn warning(losses: &[Loss], places: &[Place]) -> Option<Warning> {
    let largest = |amount: &dyn Fn(&Loss) -> Option<f64>| {
        let noteworthy = losses.iter().filter_map(|loss| amount(loss).filter(|lost| is_noteworthy(*lost, loss.output)));
        noteworthy.map(f64::abs).reduce(f64::max)
    };
    let delta = largest(&|loss| Some(loss.delta))?;
    let between = match losses.iter().all(|loss| loss.absorbed.is_some()) {
        true => largest(&|loss| loss.absorbed.map(|absorbed| loss.delta - absorbed)),
        false => None,
    };
    Some(Warning::RelevanceLost { most: delta, between, layers: !places.is_empty() })
}
