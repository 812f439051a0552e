//! What a request asks of a model: the method, the class, the path.

use std::collections::BTreeSet;

use candle_explain::attr::METHODS;
use candle_explain::candle_core::{Device, Tensor};
use candle_explain::engine::{Baseline, Check, FeatureMask, MethodInfo, Neuron, Options, Quadrature, Sizes, Target};
use candle_explain::{Result, Seed, bail, error};
use serde_json::{Map, Value};

use super::servable::{Description, Row, Servable};
use crate::json::record::{number, shown, whole_number};
use crate::json::strict;

/// What a request asks of a model, apart from its records. Requests that ask the same are answered together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) target: Target,
    pub(crate) layer: Option<String>,
    neuron: Option<Neuron>,
    pub(crate) baseline: Option<Reference>,
    n_steps: Option<usize>,
    tolerance: Option<f64>,
    quadrature: Option<Quadrature>,
    n_samples: Option<usize>,
    seed: Option<u32>,
    feature_mask: Option<Vec<u32>>,
    window: Option<usize>,
    stride: Option<usize>,
    /// The most steps or samples of a row.
    most: usize,
    gradient_check: Check,
}

/// What each row is compared with, if a request says so.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reference {
    /// This number in every place.
    Everywhere(f64),
    /// The values of one row.
    Row(Vec<f32>),
    /// The values of several rows, each of which it is compared with.
    Rows(Vec<Vec<f32>>),
}

/// The method whose evaluations double with each feature.
pub(crate) const SHAPLEY_VALUES: &str = "ShapleyValues";

/// The names of the parameters that a request may have.
pub(crate) const PARAMETERS: [&str; 13] = [
    "target",
    "method",
    "layer",
    "neuron",
    "baseline",
    "n_steps",
    "tolerance",
    "quadrature",
    "n_samples",
    "seed",
    "feature_mask",
    "sliding_window_shapes",
    "strides",
];

pub(crate) const QUADRATURES: [(&str, Quadrature); 6] = [
    ("gausslegendre", Quadrature::GaussLegendre),
    ("riemann_left", Quadrature::RiemannLeft),
    ("riemann_right", Quadrature::RiemannRight),
    ("riemann_middle", Quadrature::RiemannMiddle),
    ("trapezoid", Quadrature::Trapezoid),
    ("riemann_trapezoid", Quadrature::CaptumTrapezoid),
];

impl Ask {
    /// Reads a request's parameters, within the operator's limit of steps.
    ///
    /// A row takes at most `most` steps or samples.
    pub(crate) fn new(parameters: &Map<String, Value>, servable: &dyn Servable, most: usize) -> Result<Self> {
        let model = servable.description();
        if let Some(unknown) = parameters.keys().find(|name| !PARAMETERS.contains(&name.as_str())) {
            bail!(
                Input,
                "there is no parameter {}: there are {}",
                shown(&Value::from(unknown.as_str())),
                PARAMETERS.join(", ")
            )
        }
        let get = |name: &str| parameters.get(name).filter(|value| !value.is_null());
        let method = match get("method") {
            None => model.methods[0],
            Some(value) => *model.methods.iter().find(|method| value.as_str() == Some(method)).ok_or_else(|| {
                error!(Input, "the method is {}: expected {}", shown(value), model.methods.join(", "))
            })?,
        };
        let n_steps = get("n_steps").map(|value| whole("n_steps", value)).transpose()?;
        let tolerance = get("tolerance").map(|value| number("tolerance", value)).transpose()?;
        let n_samples = get("n_samples").map(|value| whole("n_samples", value)).transpose()?;
        for (name, count) in [("n_steps", n_steps), ("n_samples", n_samples)] {
            let Some(count) = count else { continue };
            if !(1..=most).contains(&count) {
                bail!(Input, "{name} is {count}: this server takes 1 to {most}")
            }
            if tolerance.is_some() {
                bail!(Input, "{name} and tolerance both came: give one of them")
            }
        }
        let feature_mask = get("feature_mask").map(|value| mask(value, model)).transpose()?;
        let groups = feature_mask.as_ref().map(|ids| ids.iter().collect::<BTreeSet<_>>().len());
        let groups = groups.unwrap_or(model.features.len());
        let ask = Self {
            method,
            target: get("target").map_or_else(|| Ok(model.target.clone()), |value| target(value, model))?,
            layer: get("layer").map(|value| word("layer", value)).transpose()?,
            neuron: get("neuron").map(neuron).transpose()?,
            baseline: get("baseline").map(|value| reference(value, servable)).transpose()?,
            n_steps,
            tolerance,
            quadrature: get("quadrature").map(quadrature).transpose()?,
            n_samples,
            seed: get("seed").map(seed).transpose()?,
            feature_mask,
            window: get("sliding_window_shapes").map(|value| whole("sliding_window_shapes", value)).transpose()?,
            stride: get("strides").map(|value| whole("strides", value)).transpose()?,
            most,
            gradient_check: Check::default(),
        };
        ask.check_exact_values(groups)?;
        Ok(ask)
    }

    /// An error if the method evaluates every set of so many features, and they are too many.
    pub(crate) fn check_exact_values(&self, features: usize) -> Result<()> {
        let most = self.most;
        if self.method == SHAPLEY_VALUES && 1usize.checked_shl(features as u32).is_none_or(|sets| sets > most) {
            bail!(
                Input,
                "exact Shapley values of {features} features take 2^{features} evaluations, and this server takes up to \
                 {most}: ask for KernelShap, or of a table group features with feature_mask"
            )
        }
        Ok(())
    }

    /// The same with the operator's setting for a wrong gradient.
    pub(crate) fn with_gradient_check(self, gradient_check: Check) -> Self {
        Self { gradient_check, ..self }
    }

    /// The method's row of the registry.
    pub(crate) fn info(&self) -> Result<&'static MethodInfo> {
        METHODS
            .iter()
            .find(|info| info.name == self.method)
            .ok_or_else(|| error!(Input, "there is no method {}", self.method))
    }

    /// The settings in the form that methods take.
    pub(crate) fn options(&self) -> Result<Options> {
        let info = self.info()?;
        let rows =
            |rows: &[f32], count: usize| Tensor::from_slice(rows, (count, rows.len() / count.max(1)), &Device::Cpu);
        let baseline = match &self.baseline {
            None => None,
            Some(Reference::Everywhere(value)) => Some(Baseline::Value(*value)),
            Some(Reference::Row(row)) if info.needs("baseline") => Some(Baseline::distribution(&rows(row, 1)?)),
            Some(Reference::Row(row)) => Some(Baseline::from(rows(row, 1)?)),
            Some(Reference::Rows(several)) => Some(Baseline::distribution(&rows(&several.concat(), several.len())?)),
        };
        let ids = |ids: &Vec<u32>| Tensor::from_slice(ids, (1, ids.len()), &Device::Cpu).map(FeatureMask::from);
        Ok(Options {
            layers: self.layer.iter().cloned().collect(),
            neuron: self.neuron.clone(),
            baseline,
            n_steps: self.n_steps,
            tolerance: self.tolerance,
            max_steps: self.tolerance.filter(|_| info.takes("max_steps")).map(|_| self.most),
            quadrature: self.quadrature,
            n_samples: self.n_samples,
            max_samples: self.tolerance.filter(|_| info.takes("max_samples")).map(|_| self.most),
            seed: self.seed.map(Seed),
            feature_mask: self.feature_mask.as_ref().map(ids).transpose()?,
            sliding_window_shapes: self.window.map(Sizes::from),
            strides: self.stride.map(Sizes::from),
            gradient_check: info.takes("gradient_check").then_some(self.gradient_check),
            ..Options::default()
        })
    }

    /// The steps of each row, if the request chose them.
    pub(crate) fn n_steps(&self) -> Option<usize> {
        self.n_steps
    }

    /// Whether the request chose how many steps there are.
    pub(crate) fn chooses_steps(&self) -> bool {
        self.n_steps.is_some() || self.chooses_tolerance()
    }

    /// Whether a tolerance chooses the steps.
    pub(crate) fn chooses_tolerance(&self) -> bool {
        self.tolerance.is_some()
    }

    /// The same with this tolerance.
    pub(crate) fn to_tolerance(&self, tolerance: f64) -> Self {
        Self { tolerance: Some(tolerance), ..self.clone() }
    }
}

fn whole(name: &str, value: &Value) -> Result<usize> {
    let number = match value {
        Value::Number(_) => whole_number(value).and_then(|number| usize::try_from(number).ok()),
        Value::String(digits) => digits.trim().parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| error!(Input, "{name} is {}: expected a whole number", shown(value)))
}

/// A baseline: a number, a record that the model takes, or several; in a form or an address also as JSON.
fn reference(value: &Value, model: &dyn Servable) -> Result<Reference> {
    let record = match value {
        Value::String(text) if text.trim_start().starts_with(['[', '{']) => {
            &strict::parse(text.as_bytes(), "the baseline")?
        }
        other => other,
    };
    if !matches!(record, Value::Array(_) | Value::Object(_)) {
        return Ok(Reference::Everywhere(number("baseline", record)?));
    }
    let values = |record: &Value| match model.read(record).map_err(|e| e.at("the baseline"))? {
        Row::Features { values, .. } => Ok(values),
        Row::Text(_) => bail!(Input, "the baseline is a record: expected a number, or none for padding"),
    };
    match record {
        Value::Array(rows) if rows.iter().any(|row| row.is_array() || row.is_object()) => {
            Ok(Reference::Rows(rows.iter().map(values).collect::<Result<_>>()?))
        }
        record => Ok(Reference::Row(values(record)?)),
    }
}

fn seed(value: &Value) -> Result<u32> {
    let seed = whole("seed", value)?;
    u32::try_from(seed).map_err(|_| error!(Input, "seed is {seed}: expected at most {}", u32::MAX))
}

/// Which features are taken as one: an id for each; in a form or an address as JSON.
fn mask(value: &Value, model: &Description) -> Result<Vec<u32>> {
    let ids = match value {
        Value::String(text) => &strict::parse(text.as_bytes(), "the feature_mask")?,
        other => other,
    };
    let count = model.features.len();
    match ids {
        Value::Array(ids) if ids.len() == count => {
            let id = |id: &Value| whole("an id of feature_mask", id).map(|id| id.min(count) as u32);
            ids.iter().map(id).collect()
        }
        other => bail!(
            Input,
            "feature_mask is {}: expected {count} whole numbers, an id for each of {}",
            shown(other),
            model.features.join(", ")
        ),
    }
}

fn word(name: &str, value: &Value) -> Result<String> {
    value.as_str().map(str::to_string).ok_or_else(|| error!(Input, "{name} is {}: expected a name", shown(value)))
}

fn target(value: &Value, model: &Description) -> Result<Target> {
    if model.classes.is_empty() {
        bail!(Input, "the target is {}: this model gives one number, leave the target out", shown(value))
    }
    if value.as_str() == Some("predicted") {
        return Ok(Target::Predicted);
    }
    let by_name = value.as_str().and_then(|name| model.classes.iter().position(|class| class == name));
    match by_name.or_else(|| whole("target", value).ok()) {
        Some(class) if class < model.classes.len() => Ok(Target::Class(class)),
        _ => bail!(
            Input,
            "the target is {}: expected predicted, {} or 0 to {}",
            shown(value),
            model.classes.join(", "),
            model.classes.len().saturating_sub(1)
        ),
    }
}

fn neuron(value: &Value) -> Result<Neuron> {
    match value {
        Value::Array(axes) => {
            Ok(Neuron::from(axes.iter().map(|axis| whole("neuron", axis)).collect::<Result<Vec<_>>>()?))
        }
        one => Ok(Neuron::from(whole("neuron", one)?)),
    }
}

fn quadrature(value: &Value) -> Result<Quadrature> {
    let found = QUADRATURES.iter().find(|(name, _)| value.as_str() == Some(name));
    found.map(|(_, rule)| *rule).ok_or_else(|| {
        let names: Vec<&str> = QUADRATURES.iter().map(|(name, _)| *name).collect();
        error!(Input, "the quadrature is {}: expected {}", shown(value), names.join(", "))
    })
}
