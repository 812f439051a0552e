//! The parameters of explanations: their names, what they may be, and how each is read.

use candle_explain::engine::{LrpRule, NoiseTunnelType, Quadrature, Similarity, Surrogate};
use candle_explain::{Result, bail, error};
use serde_json::{Map, Value};

use crate::json::record::{number, one_of, shown, whole_number};
use crate::json::strict;

/// One parameter of explanations. But for the target and the methods, it is the methods' option of the same name.
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    /// What it chooses, for a form.
    pub(crate) about: &'static str,
    pub(crate) values: Values,
}

/// What a parameter may be.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Values {
    Target,
    Method,
    /// A method that another one asks.
    Asked,
    Layer,
    Neuron,
    Baseline,
    /// An id for each feature.
    Mask,
    /// A whole number from 1 to the operator's limit.
    Count,
    /// A whole number from 1.
    Size,
    Seed,
    /// A number above 0.
    Positive,
    /// A number from 0.
    Spread,
    /// A number between 0 and 1.
    Chance,
    Flag,
    Quadrature,
    Statistic,
    /// A word, some with a number behind a colon.
    Numbered(Numbered),
    /// A rule for each layer that is named.
    Rules,
}

/// Words, and the number of each that has one.
pub(crate) type Numbered = &'static [(&'static str, Option<f64>)];

pub(crate) const RULES: Numbered =
    &[("epsilon", Some(1e-9)), ("gamma", Some(0.25)), ("alpha1beta0", None), ("zplus", None), ("identity", None)];
const SURROGATES: Numbered = &[("lasso", Some(0.01)), ("ridge", Some(1.)), ("linear", None), ("logistic", Some(1.))];
const SIMILARITIES: Numbered = &[("cosine", Some(1.)), ("euclidean", Some(1.))];
pub(crate) const QUADRATURES: [(&str, Quadrature); 6] = [
    ("gausslegendre", Quadrature::GaussLegendre),
    ("riemann_left", Quadrature::RiemannLeft),
    ("riemann_right", Quadrature::RiemannRight),
    ("riemann_middle", Quadrature::RiemannMiddle),
    ("trapezoid", Quadrature::Trapezoid),
    ("riemann_trapezoid", Quadrature::CaptumTrapezoid),
];
pub(crate) const STATISTICS: [(&str, NoiseTunnelType); 4] = [
    ("smoothgrad", NoiseTunnelType::SmoothGrad),
    ("smoothgrad_sq", NoiseTunnelType::SmoothGradSq),
    ("vargrad", NoiseTunnelType::VarGrad),
    ("captum_vargrad", NoiseTunnelType::CaptumVarGrad),
];

/// More noise would make numbers overflow.
pub(crate) const MOST_STDEV: f64 = 1e6;

/// The method that a method asks.
pub(crate) const ASKED: &str = "attribution_method";

const fn parameter(name: &'static str, values: Values, about: &'static str) -> Parameter {
    Parameter { name, about, values }
}

/// Every parameter, in the order of forms.
pub(crate) const PARAMETERS: [Parameter; 30] = [
    parameter("target", Values::Target, "the class that is explained"),
    parameter("method", Values::Method, "the method"),
    parameter(ASKED, Values::Asked, "the method whose attributions of noisy inputs are taken"),
    parameter("layer", Values::Layer, "the layer"),
    parameter("neuron", Values::Neuron, "the neuron's number within the layer, or its place along each axis"),
    parameter("baseline", Values::Baseline, "what each row is compared with: a number, a record, or several"),
    parameter("feature_mask", Values::Mask, "an id for each feature; those of one id are one feature"),
    parameter("sliding_window_shapes", Values::Size, "how many features the window covers"),
    parameter("strides", Values::Size, "how far the window slides"),
    parameter("n_steps", Values::Count, "the steps of the path"),
    parameter("quadrature", Values::Quadrature, "the rule that weighs the steps"),
    parameter("n_samples", Values::Count, "how many samples are drawn"),
    parameter("tolerance", Values::Positive, "how exact the numbers must be; chooses the steps or samples"),
    parameter("seed", Values::Seed, "the seed of what is drawn"),
    parameter("nt_type", Values::Statistic, "what is taken of the samples: mean, mean square, variance"),
    parameter("stdevs", Values::Spread, "the standard deviation of the noise on the inputs"),
    parameter("surrogate", Values::Numbered(SURROGATES), "the model that is fitted, with its alpha"),
    parameter(
        "similarity",
        Values::Numbered(SIMILARITIES),
        "how much a sample counts, by its distance; with the width",
    ),
    parameter("sampler", Values::Chance, "how likely a feature is in a sample"),
    parameter("antithetic", Values::Flag, "draw orders in pairs, each with its reverse"),
    parameter("paired", Values::Flag, "draw coalitions in pairs, each with its complement"),
    parameter("default_rule", Values::Numbered(RULES), "the rule of all layers, with its ε or γ"),
    parameter("rules", Values::Rules, "a rule for a layer: {\"linear1\": \"gamma:0.25\"}"),
    parameter("set_bias_to_zero", Values::Flag, "compute gamma and alpha1beta0 without biases"),
    parameter("captum_rules", Values::Flag, "follow Captum's own rules where they differ"),
    parameter("multiply_by_inputs", Values::Flag, "multiply by what the gradients are of"),
    parameter("attribute_to_layer_input", Values::Flag, "the layer's input instead of its output"),
    parameter("interpolate_inputs", Values::Flag, "take points between inputs, not between activations"),
    parameter("abs", Values::Flag, "drop the signs"),
    parameter("relu_attributions", Values::Flag, "drop what is negative"),
];

impl Parameter {
    /// The name of the methods' option.
    pub(crate) fn option(&self) -> &'static str {
        if self.name == ASKED { "method" } else { self.name }
    }
}

/// The parameters that a request gave.
pub(crate) struct Given<'a>(&'a Map<String, Value>);

impl<'a> Given<'a> {
    /// An error that names the first parameter that there is not.
    pub(crate) fn new(parameters: &'a Map<String, Value>) -> Result<Self> {
        let names = || PARAMETERS.iter().map(|parameter| parameter.name);
        match parameters.keys().find(|name| !names().any(|known| known == name.as_str())) {
            None => Ok(Self(parameters)),
            Some(unknown) => bail!(
                Input,
                "there is no parameter {}: there are {}",
                shown(&Value::from(unknown.as_str())),
                names().collect::<Vec<_>>().join(", ")
            ),
        }
    }

    /// The value of a parameter, unless it is null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// The value of a parameter, read as it is there.
    pub(crate) fn read<T>(&self, name: &str, read: impl FnOnce(&str, &Value) -> Result<T>) -> Result<Option<T>> {
        self.get(name).map(|value| read(name, value)).transpose()
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>> {
        self.read(name, |name, value| match (value, value.as_str()) {
            (Value::Bool(flag), _) => Ok(*flag),
            (_, Some("true")) => Ok(true),
            (_, Some("false")) => Ok(false),
            _ => bail!(Input, "{name} is {}: expected true or false", shown(value)),
        })
    }
}

/// A value that in a form or an address is written as JSON.
pub(crate) fn json<T>(name: &str, value: &Value, read: impl FnOnce(&Value) -> Result<T>) -> Result<T> {
    match value {
        Value::String(text) if text.trim_start().starts_with(['[', '{']) => {
            read(&strict::parse(text.as_bytes(), &format!("the {name}"))?)
        }
        other => read(other),
    }
}

pub(crate) fn whole(name: &str, value: &Value) -> Result<usize> {
    let number = match value {
        Value::Number(_) => whole_number(value).and_then(|number| usize::try_from(number).ok()),
        Value::String(digits) => digits.trim().parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| error!(Input, "{name} is {}: expected a whole number", shown(value)))
}

/// A whole number from 1 to `most`.
pub(crate) fn within(name: &str, value: &Value, most: usize) -> Result<usize> {
    let size = whole(name, value)?;
    if !(1..=most).contains(&size) {
        bail!(Input, "{name} is {size}: expected 1 to {most}")
    }
    Ok(size)
}

pub(crate) fn positive(name: &str, value: &Value) -> Result<f64> {
    let number = number(name, value)?;
    if number <= 0. {
        bail!(Input, "{name} is {number}: expected a number above 0")
    }
    Ok(number)
}

pub(crate) fn spread(name: &str, value: &Value) -> Result<f64> {
    let number = number(name, value)?;
    if !(0. ..=MOST_STDEV).contains(&number) {
        bail!(Input, "{name} is {number}: expected a number from 0 to {MOST_STDEV}")
    }
    Ok(number)
}

pub(crate) fn chance(name: &str, value: &Value) -> Result<f64> {
    let number = number(name, value)?;
    if number <= 0. || number >= 1. {
        bail!(Input, "{name} is {number}: expected a number between 0 and 1")
    }
    Ok(number)
}

pub(crate) fn word(name: &str, value: &Value) -> Result<String> {
    value.as_str().map(str::to_string).ok_or_else(|| error!(Input, "{name} is {}: expected a name", shown(value)))
}

/// One of some words.
pub(crate) fn choice<T: Copy>(name: &str, value: &Value, choices: &[(&str, T)]) -> Result<T> {
    let found = choices.iter().find(|(word, _)| value.as_str() == Some(word));
    found.map(|(_, chosen)| *chosen).ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        error!(Input, "{name} is {}: expected {}", shown(value), one_of(&words))
    })
}

/// One of some words, with a number of at least 0 where it has one; without it, the usual.
fn numbered(name: &str, value: &Value, known: Numbered) -> Result<(&'static str, f64)> {
    let read = || {
        let text = value.as_str()?;
        let (word, given) = text.split_once(':').map_or((text, None), |(word, number)| (word, Some(number)));
        let (word, usual) = known.iter().find(|(known, _)| *known == word.trim())?;
        match (given, usual) {
            (None, usual) => Some((*word, usual.unwrap_or_default())),
            (Some(number), Some(_)) => {
                Some((*word, number.trim().parse().ok().filter(|number| (0. ..1e30).contains(number))?))
            }
            (Some(_), None) => None,
        }
    };
    read().ok_or_else(|| {
        let form = |(word, number): &(&str, Option<f64>)| {
            number.map_or_else(|| word.to_string(), |number| format!("{word}:{number}"))
        };
        let forms: Vec<String> = known.iter().map(form).collect();
        let forms: Vec<&str> = forms.iter().map(String::as_str).collect();
        error!(Input, "{name} is {}: expected {}, with any number from 0", shown(value), one_of(&forms))
    })
}

pub(crate) fn rule(name: &str, value: &Value) -> Result<LrpRule> {
    Ok(match numbered(name, value, RULES)? {
        ("epsilon", epsilon) => LrpRule::Epsilon(epsilon),
        ("gamma", gamma) => LrpRule::Gamma(gamma),
        ("alpha1beta0", _) => LrpRule::Alpha1Beta0,
        ("zplus", _) => LrpRule::ZPlus,
        _ => LrpRule::Identity,
    })
}

/// The rules of some layers.
pub(crate) fn rules(name: &str, value: &Value) -> Result<Vec<(String, LrpRule)>> {
    json(name, value, |value| match value {
        Value::Object(of_layers) => {
            let of_layer = |(layer, value): (&String, &Value)| {
                Ok((
                    layer.clone(),
                    rule(&format!("the rule of {} in {name}", shown(&Value::from(layer.as_str()))), value)?,
                ))
            };
            of_layers.iter().map(of_layer).collect()
        }
        other => bail!(Input, "{name} is {}: expected an object, {{\"linear1\": \"gamma:0.25\"}}", shown(other)),
    })
}

pub(crate) fn surrogate(name: &str, value: &Value) -> Result<Surrogate> {
    Ok(match numbered(name, value, SURROGATES)? {
        ("lasso", alpha) => Surrogate::Lasso { alpha },
        ("ridge", alpha) => Surrogate::Ridge { alpha },
        ("logistic", alpha) => Surrogate::Logistic { alpha },
        _ => Surrogate::Linear,
    })
}

pub(crate) fn similarity(name: &str, value: &Value) -> Result<Similarity> {
    Ok(match numbered(name, value, SIMILARITIES)? {
        ("cosine", width) => Similarity::Cosine { width },
        (_, width) => Similarity::Euclidean { width },
    })
}
