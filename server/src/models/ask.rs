//! What a request asks of a model: the method, the class, the path.

use candle_explain::attr::METHODS;
use candle_explain::candle_core::{Device, Tensor};
use candle_explain::engine::{Baseline, Check, MethodInfo, Neuron, Options, Quadrature, Target};
use candle_explain::{Result, bail, error};
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
    max_steps: usize,
    gradient_check: Check,
}

/// What each row is compared with, if a request says so.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reference {
    /// This number in every place.
    Everywhere(f64),
    /// The values of one row.
    Row(Vec<f32>),
}

/// The methods of a table's model for which a request need not name a layer.
pub(crate) const TAKEN_WITHOUT_LAYER: [&str; 3] = ["IntegratedGradients", "Saliency", "InputXGradient"];

/// The names of the parameters that a request may have.
pub(crate) const PARAMETERS: [&str; 8] =
    ["target", "method", "layer", "neuron", "baseline", "n_steps", "tolerance", "quadrature"];

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
    pub(crate) fn new(parameters: &Map<String, Value>, servable: &dyn Servable, max_steps: usize) -> Result<Self> {
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
        if let Some(steps) = n_steps
            && !(1..=max_steps).contains(&steps)
        {
            bail!(Input, "n_steps is {steps}: this server takes 1 to {max_steps}")
        }
        if n_steps.is_some() && tolerance.is_some() {
            bail!(Input, "n_steps and tolerance both came: give one of them")
        }
        Ok(Self {
            method,
            target: get("target").map_or_else(|| Ok(model.target.clone()), |value| target(value, model))?,
            layer: get("layer").map(|value| word("layer", value)).transpose()?,
            neuron: get("neuron").map(neuron).transpose()?,
            baseline: get("baseline").map(|value| reference(value, servable)).transpose()?,
            n_steps,
            tolerance,
            quadrature: get("quadrature").map(quadrature).transpose()?,
            max_steps,
            gradient_check: Check::default(),
        })
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
        let baseline = match &self.baseline {
            None => None,
            Some(Reference::Everywhere(value)) => Some(Baseline::Value(*value)),
            Some(Reference::Row(row)) => Some(Baseline::from(Tensor::from_slice(row, (1, row.len()), &Device::Cpu)?)),
        };
        Ok(Options {
            layers: self.layer.iter().cloned().collect(),
            neuron: self.neuron.clone(),
            baseline,
            n_steps: self.n_steps,
            tolerance: self.tolerance,
            max_steps: self.tolerance.map(|_| self.max_steps),
            quadrature: self.quadrature,
            gradient_check: self.info()?.takes("gradient_check").then_some(self.gradient_check),
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

/// A baseline: a number, or a record that the model takes; in a form or an address also as JSON.
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
    match model.read(record).map_err(|e| e.at("the baseline"))? {
        Row::Features { values, .. } => Ok(Reference::Row(values)),
        Row::Text(_) => bail!(Input, "the baseline is a record: expected a number, or none for padding"),
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
