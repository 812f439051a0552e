//! What the reader of a result must know: each remark's threshold and wording.

use std::fmt::{Display, Formatter};

use super::host::host;
use super::intervals::errors_in_interval;
use super::rounding::Rounding;
use super::{Attributions, Sampling};
use crate::error::Result;

/// A convergence delta beyond this share of max(1, |F(input) − F(baseline)|) gets a remark.
const NOTEWORTHY_DELTA: f64 = 0.01;

/// What else may help where a layer's attributions do not settle.
const ANOTHER_LAYER: &str = ", or attribute to a layer that all of the output goes through";

/// What else may help where numbers were rounded to bf16.
const FULL_PRECISION: &str = ", or take precision(Precision::F32), as products in bf16 add up less closely";

/// Errors from fewer independent draws than this get a remark.
const FEW_DRAWS: usize = 30;

/// Whether a convergence delta gets a remark, if the attributions must add up to this difference.
pub(crate) fn is_noteworthy(delta: f64, difference: f64) -> bool {
    delta.is_nan() || delta.abs() > NOTEWORTHY_DELTA * difference.abs().max(1.)
}

/// What was noticed while the model was evaluated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Warning {
    /// The model gives one number for the whole batch.
    OneNumber,
    /// No baseline was given for ids.
    IdsAgainstZero,
    /// The gradient is not the function's, in these words.
    WrongGradient(String),
    /// Captum's rules were asked for, and do not add up.
    CaptumRules,
    /// Attributions of noisy inputs that fell short, of all of them.
    NoisyShortfalls { short: usize, all: usize },
    /// The multipliers add up down to this layer, or to none of those there are.
    SumLost { below: Option<String>, layers: bool },
    /// Relevance that did not arrive: the most of an example, and the most that no block absorbed.
    RelevanceLost { most: f64, between: Option<f64>, layers: bool },
    /// Products were rounded to bf16.
    Rounded(Rounding),
    /// A part of the output does not go through these layers.
    GoesPast(String),
}

impl Display for Warning {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        const BLOCKS: &str = "run what is not linear there as a block, with layers.apply or layers.run: only through \
                              blocks do multipliers add up";
        match self {
            Warning::OneNumber => f.write_str(
                "the model gives one number, and was asked one example at a time: what is explained is each example's \
                 own number, not a mean or sum over the batch",
            ),
            Warning::IdsAgainstZero => f.write_str(
                "no baseline was given, so every id is compared with the id 0, whatever that stands for: for texts give \
                 baseline(text.reference()), which has padding in the place of all but the special tokens",
            ),
            Warning::WrongGradient(fault) => f.write_str(fault),
            Warning::CaptumRules => f.write_str(
                "by Captum's rules softmax does not add up, nor does the largest of a window behind a nonlinear block; \
                 without captum_rules both do",
            ),
            Warning::Rounded(rounding) => rounding.fmt(f),
            Warning::GoesPast(layers) => write!(
                f,
                "the attributions do not add up, because a part of the output goes past {layers}: attribute to a layer \
                 that all of it goes through, or to several side by side"
            ),
            Warning::NoisyShortfalls { short, all } => write!(
                f,
                "{short} of {all} attributions of noisy inputs do not add up, or did not settle within the tolerance of \
                 their method"
            ),
            Warning::SumLost { below: Some(layer), .. } => {
                write!(f, "the multipliers add up down to layer \"{layer}\" and not below it: {BLOCKS}")
            }
            Warning::SumLost { layers: false, .. } => write!(f, "the multipliers do not add up: {BLOCKS}"),
            Warning::SumLost { layers: true, .. } => {
                write!(f, "the multipliers do not add up above the last layer: {BLOCKS}")
            }
            Warning::RelevanceLost { most, between, layers } => {
                write!(
                    f,
                    "relevance is not conserved, by up to {most:.4} of an example: biases, normalizations, softmax and \
                     epsilon absorb it"
                )?;
                let (Some(between), past) = (between, if *layers { ", or go past the layer" } else { "" }) else {
                    return Ok(());
                };
                write!(
                    f,
                    "; up to {between:.4} were lost outside blocks: they reach constants or extra arguments{past}, or an \
                     operation that is not linear: {BLOCKS}"
                )
            }
        }
    }
}

/// How the attributions of one example fall short.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shortfall {
    /// They did not settle within the tolerance that was asked for.
    NotSettled { of_layer: bool, rounded: bool },
    /// Their standard errors are not within the tolerance that was asked for.
    Uncertain,
    /// Their sum misses F's difference by this convergence delta.
    DoesNotAddUp { delta: f64, remedy: Remedy },
}

/// What may make attributions along a path add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// There is no path.
    None,
    /// More steps; where they are of a layer, one that nothing goes past; where numbers are rounded to bf16, others.
    Steps { of_layer: bool, rounded: bool },
}

impl Display for Remedy {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Remedy::Steps { of_layer, rounded } = self else { return Ok(()) };
        f.write_str("take more steps, or tolerance(1e-3)")?;
        if *rounded {
            f.write_str(FULL_PRECISION)?;
        }
        match of_layer {
            true => f.write_str(
                "; if that changes nothing, a part of the output goes past the layer: attribute to one that all of it goes \
                 through",
            ),
            false => Ok(()),
        }
    }
}

impl Shortfall {
    /// What may help beside more steps where attributions did not settle.
    fn what_else(&self) -> Option<String> {
        let Shortfall::NotSettled { of_layer, rounded } = self else { return None };
        let precision = if *rounded { FULL_PRECISION } else { "" };
        let layer = if *of_layer { ANOTHER_LAYER } else { "" };
        Some([precision, layer].concat())
    }

    /// One remark for each kind of shortfall among several examples.
    pub(crate) fn of_several(shortfalls: &[Option<Shortfall>]) -> Vec<String> {
        let all = shortfalls.len();
        let count = |is: fn(&Shortfall) -> bool| shortfalls.iter().flatten().filter(|shortfall| is(shortfall)).count();
        let (open, apart) = (
            count(|shortfall| matches!(shortfall, Shortfall::NotSettled { .. })),
            count(|shortfall| matches!(shortfall, Shortfall::DoesNotAddUp { .. })),
        );
        let settling = shortfalls.iter().flatten().find_map(Shortfall::what_else).unwrap_or_default();
        let open = (open > 0)
            .then(|| format!("{open} of {all} did NOT settle within the tolerance: allow more steps{settling}"));
        let apart = (apart > 0).then(|| {
            let remedy = |shortfall: &Shortfall| match shortfall {
                Shortfall::DoesNotAddUp { remedy, .. } if *remedy != Remedy::None => Some(format!(": {remedy}")),
                _ => None,
            };
            let advice = shortfalls.iter().flatten().find_map(remedy).unwrap_or_default();
            format!("{apart} of {all} do NOT add up, their delta is beyond {NOTEWORTHY_DELTA}{advice}")
        });
        let uncertain = count(|shortfall| matches!(shortfall, Shortfall::Uncertain));
        let uncertain = (uncertain > 0).then(|| {
            format!("{uncertain} of {all} have standard errors beyond the tolerance: allow more with max_samples")
        });
        open.into_iter().chain(uncertain).chain(apart).collect()
    }
}

impl Display for Shortfall {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Shortfall::NotSettled { .. } => {
                let others = self.what_else().unwrap_or_default();
                write!(f, "the attributions did not settle within the tolerance: allow more steps{others}")
            }
            Shortfall::Uncertain => f.write_str("the standard errors are beyond the tolerance: allow more samples"),
            Shortfall::DoesNotAddUp { delta, remedy } => {
                let before = if *remedy == Remedy::None { "" } else { ": " };
                write!(f, "the attributions add up to what they must only within {delta:.3}{before}{remedy}")
            }
        }
    }
}

impl Attributions {
    /// What the reader of these numbers must know: steps taken, the largest delta, what has not settled.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks: Vec<String> = self.warnings.iter().map(Warning::to_string).collect();
        remarks.extend(self.sampling.iter().flat_map(of_samples));
        let Some(convergence) = &self.convergence else { return remarks };
        let (fewest, most) = (convergence.steps.iter().min(), convergence.steps.iter().max());
        if let (Some(fewest), Some(most)) = (fewest, most) {
            remarks.push(if fewest == most {
                format!("{most} steps for each example")
            } else {
                format!("{fewest} to {most} steps for an example")
            });
        }
        if let Some(delta) = &convergence.delta {
            let largest = delta.iter().fold(0., |largest: f64, delta| largest.max(delta.abs()));
            let noteworthy = convergence.beyond.iter().filter(|beyond| **beyond).count();
            let beyond = if convergence.refinement.is_some() { 0 } else { noteworthy };
            let of = if convergence.baselines > 1 { " of a single baseline" } else { "" };
            remarks.push(match beyond {
                0 => format!("largest convergence delta{of} {largest:.2e}"),
                _ => {
                    let remedy = self.remedy();
                    let before = if remedy == Remedy::None { "" } else { "; " };
                    format!(
                        "largest convergence delta{of} {largest:.4}: beyond {NOTEWORTHY_DELTA} for {beyond} of {} \
                         examples{before}{remedy}",
                        delta.len()
                    )
                }
            });
        }
        if let Some(refinement) = &convergence.refinement {
            let (tolerance, examples) = (refinement.tolerance, refinement.settled.len());
            let open = refinement.settled.iter().filter(|settled| !**settled).count();
            let stalled = refinement.stalled.iter().filter(|stalled| **stalled).count();
            let short_of_steps = open.saturating_sub(stalled);
            if open == 0 {
                remarks.push(format!("settled within the tolerance {tolerance}"));
            }
            if short_of_steps > 0 {
                remarks.push(format!(
                    "{short_of_steps} of {examples} examples did NOT settle within the tolerance {tolerance}: allow \
                     more with max_steps"
                ));
            }
            if stalled > 0 {
                let past = if self.of_layers { "past this layer, or " } else { "" };
                remarks.push(format!(
                    "{stalled} of {examples} examples do NOT add up within the tolerance {tolerance}, and more steps did not \
                     help: a part of the output goes {past}through an operation whose backward is wrong, or the sum is finer \
                     than the model's number type or precision"
                ));
            }
        }
        remarks
    }

    /// What the reader of one example's numbers must know.
    pub fn remarks_of(&self, example: usize) -> Vec<String> {
        let warnings = self.warnings.iter().map(Warning::to_string);
        warnings.chain(self.shortfall(example).as_ref().map(Shortfall::to_string)).collect()
    }

    /// How far numbers are off that were rounded to bf16.
    pub(crate) fn rounding(&self) -> Option<Rounding> {
        self.warnings.iter().find_map(|warning| match warning {
            Warning::Rounded(rounding) => Some(*rounding),
            _ => None,
        })
    }

    /// What may make these add up, if they do not.
    fn remedy(&self) -> Remedy {
        match self.steps().is_empty() {
            true => Remedy::None,
            false => Remedy::Steps { of_layer: self.of_layers, rounded: self.rounding().is_some() },
        }
    }

    /// How the attributions of an example fall short, if they do.
    pub(crate) fn shortfall(&self, example: usize) -> Option<Shortfall> {
        if self.sampling.as_ref().is_some_and(|sampling| sampling.settled.get(example) == Some(&false)) {
            return Some(Shortfall::Uncertain);
        }
        let convergence = self.convergence.as_ref()?;
        match &convergence.refinement {
            Some(refinement) => {
                let is_open = refinement.settled.get(example) == Some(&false);
                is_open
                    .then_some(Shortfall::NotSettled { of_layer: self.of_layers, rounded: self.rounding().is_some() })
            }
            None if convergence.beyond.get(example) == Some(&true) => {
                let delta = convergence.delta.as_ref().and_then(|delta| delta.get(example));
                delta.map(|delta| Shortfall::DoesNotAddUp { delta: *delta, remedy: self.remedy() })
            }
            None => None,
        }
    }
}

/// How many samples there were, and how certain they made the attributions.
fn of_samples(sampling: &Sampling) -> Vec<String> {
    let (fewest, most) = (sampling.samples.iter().min(), sampling.samples.iter().max());
    let (Some(fewest), Some(most)) = (fewest, most) else { return Vec::new() };
    let mut remarks = vec![match fewest == most {
        true => format!("{most} samples for each example"),
        false => format!("{fewest} to {most} samples for an example"),
    }];
    let errors = sampling.errors.iter().map(host).collect::<Result<Vec<_>>>();
    let errors = errors.unwrap_or_default().concat();
    let unknown = errors.iter().any(|error| error.is_nan());
    remarks.push(match unknown {
        false => format!("largest standard error {:.2e}", errors.into_iter().fold(0., f64::max)),
        true if *most == 1 => "one sample does not tell how certain it is".to_string(),
        true => "so few samples do not tell how certain they are".to_string(),
    });
    if let Some(draws) = sampling.fewest_draws().filter(|draws| !unknown && *draws < FEW_DRAWS) {
        let factor = errors_in_interval(draws, 0.95);
        remarks.push(format!(
            "standard errors from {draws} independent draws are uncertain themselves: 95 % take {factor:.1} of them, and \
             more where rare draws decide; {FEW_DRAWS} draws tell more"
        ));
    }
    if let Some(tolerance) = sampling.tolerance {
        let open = sampling.settled.iter().filter(|settled| !**settled).count();
        remarks.push(match open {
            0 => format!("settled within the tolerance {tolerance}"),
            open => format!(
                "{open} of {} examples have standard errors beyond the tolerance {tolerance}: allow more with max_samples",
                sampling.settled.len()
            ),
        });
    }
    remarks
}
