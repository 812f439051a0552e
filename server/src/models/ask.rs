//! What a request asks of a model: the method, the class, and how it is computed.

use std::collections::BTreeMap;

use candle_explain::attr::METHODS;
use candle_explain::candle_core::{Device, Tensor};
use candle_explain::engine::{
    Baseline, Check, Cost, Family, FeatureMask, MethodInfo, Neuron, Options, Sampler, Sizes, Stdevs, Target,
};
use candle_explain::{Result, Seed, bail, error};
use serde_json::{Map, Value};

use super::parameters::{self, ASKED, Given, PARAMETERS, Parameter, QUADRATURES, STATISTICS};
use super::servable::{Description, Kind, LayerShape, Row, Servable};
use crate::json::record::{number, shown};

/// What a request asks of a model, apart from its records.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    /// The method that the method asks.
    asked: Option<&'static str>,
    pub(crate) target: Target,
    pub(crate) baseline: Option<Reference>,
    options: Options,
    /// The columns of each feature that has several.
    groups: Vec<Vec<usize>>,
    /// The most steps or samples of a row.
    most: usize,
    gradient_check: Check,
    /// The parameters as they came.
    parameters: Map<String, Value>,
}

/// Requests that ask the same are answered together.
impl PartialEq for Ask {
    fn eq(&self, other: &Self) -> bool {
        (&self.parameters, self.most, self.gradient_check) == (&other.parameters, other.most, other.gradient_check)
    }
}

/// What each row is compared with, if a request says so.
#[derive(Clone, Debug)]
pub(crate) enum Reference {
    /// This number in every place.
    Everywhere(f64),
    /// The values of one row.
    Row(Vec<f32>),
    /// The values of several rows, each of which it is compared with.
    Rows(Vec<Vec<f32>>),
    /// A number for each of a layer's.
    Layer(Vec<f32>),
}

/// The method that asks another one.
pub(crate) const NOISE_TUNNEL: &str = "NoiseTunnel";

/// How many sets of these features there are, if that is a number.
fn sets_of(features: usize) -> Option<usize> {
    1usize.checked_shl(features as u32)
}

/// Whether these features have more sets than so many.
pub(crate) fn has_more_sets(features: usize, most: usize) -> bool {
    sets_of(features).is_none_or(|sets| sets > most)
}

/// A method's row of the registry.
pub(crate) fn method_of(name: &str) -> Result<&'static MethodInfo> {
    METHODS.iter().find(|info| info.name == name).ok_or_else(|| error!(Input, "there is no method {name}"))
}

impl Description {
    /// Whether a method of this model has a parameter; `asked` is the method that it asks.
    pub(crate) fn has(&self, parameter: &Parameter, info: &MethodInfo, asked: Option<&MethodInfo>) -> bool {
        let option = parameter.option();
        match parameter.name {
            "target" | "method" => true,
            // The features of a text are its words.
            "feature_mask" if self.kind == Kind::Text => false,
            ASKED => info.takes(option),
            _ => info.takes(option) || asked.is_some_and(|asked| asked.takes(option)),
        }
    }

    /// The parameters that a method of this model must be given.
    pub(crate) fn needs(&self, info: &MethodInfo) -> Vec<&'static str> {
        let needed = PARAMETERS.iter().filter(|parameter| info.needs(parameter.option()) && parameter.name != "method");
        // A text has a baseline and a window of its own accord, and a layer unless a neuron of it is meant.
        let of_text = |name: &str| name == "neuron" || name == "layer" && info.needs("neuron");
        needed.map(|parameter| parameter.name).filter(|name| self.kind == Kind::Tabular || of_text(name)).collect()
    }

    /// The methods that another one may ask.
    pub(crate) fn asked(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.methods.iter().copied().filter(|name| *name != NOISE_TUNNEL)
    }

    fn layer(&self, name: &str) -> Result<&LayerShape> {
        self.layers.iter().find(|layer| layer.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.layers.iter().map(|layer| layer.name.as_str()).collect();
            error!(Input, "layer is {}: expected {}", shown(&Value::from(name)), names.join(", "))
        })
    }
}

impl Ask {
    /// Reads a request's parameters, within the operator's limit of steps.
    ///
    /// A row takes at most `most` steps or samples.
    pub(crate) fn new(parameters: &Map<String, Value>, servable: &dyn Servable, most: usize) -> Result<Self> {
        let model = servable.description();
        let given = Given::new(parameters)?;
        let method = given.read("method", |name, value| one_method(name, value, model.methods.iter().copied()))?;
        let info = method_of(method.unwrap_or(model.methods[0]))?;
        let asked = given.read(ASKED, |name, value| one_method(name, value, model.asked()))?;
        let asked = asked.map(method_of).transpose()?;
        check_parameters(&given, model, info, asked)?;

        let count = |name: &str| {
            given.read(name, |name, value| match parameters::whole(name, value)? {
                count if (1..=most).contains(&count) => Ok(count),
                count => bail!(Input, "{name} is {count}: this server takes 1 to {most}"),
            })
        };
        let (n_steps, n_samples) = (count("n_steps")?, count("n_samples")?);
        let tolerance = given.read("tolerance", parameters::positive)?;
        let quadrature = given.read("quadrature", |name, value| parameters::choice(name, value, &QUADRATURES))?;
        let chosen = [n_steps.is_some(), n_samples.is_some(), quadrature.is_some()];
        for (name, is_given) in ["n_steps", "n_samples", "quadrature"].into_iter().zip(chosen) {
            if is_given && tolerance.is_some() && info.takes(name) {
                bail!(Input, "{name} and tolerance both came: give one of them")
            }
        }
        let layer = given.read("layer", parameters::word)?;
        // What a layer's features are put to is of its shape.
        let neurons = match (&layer, info.family == Family::Layer && info.takes("feature_mask")) {
            (Some(layer), true) if given.get("baseline").is_some() || given.get("feature_mask").is_some() => {
                Some(model.layer(layer)?)
            }
            _ => None,
        };
        let baseline = given.read("baseline", |name, value| reference(name, value, servable, neurons))?;
        let averages = [Some(info), asked].into_iter().flatten().find(|info| info.needs("baseline"));
        if let (Some(averages), Some(Reference::Everywhere(value))) = (averages, &baseline) {
            let expected = if model.kind == Kind::Text { "none, for padding" } else { "a record, or several" };
            bail!(Input, "baseline is {value}: {} draws rows, so expected {expected}", averages.name)
        }
        let row = neurons.map_or_else(|| vec![model.features.len()], |layer| layer.shape.clone());
        let features: usize = row.iter().product();
        let mask = given.read("feature_mask", |name, value| mask(name, value, features, model, neurons))?;
        let of_ids = mask.iter().flatten().enumerate().fold(BTreeMap::new(), |mut of_ids, (column, id)| {
            of_ids.entry(*id).or_insert_with(Vec::new).push(column);
            of_ids
        });
        let masked = if mask.is_some() { of_ids.len() } else { features };
        let largest = if model.kind == Kind::Tabular { masked } else { usize::MAX };
        let window = given.read("sliding_window_shapes", |name, value| parameters::within(name, value, largest))?;
        let stride = given.read("strides", |name, value| match window.unwrap_or(1) {
            window if window == largest => parameters::within(name, value, usize::MAX),
            window => parameters::within(name, value, window),
        })?;
        let as_row = |values: &[f32]| Tensor::from_slice(values, [&[1], row.as_slice()].concat(), &Device::Cpu);
        let as_mask = |ids: Vec<u32>| -> Result<FeatureMask> {
            Ok(Tensor::from_vec(ids, [&[1], row.as_slice()].concat(), &Device::Cpu)?.into())
        };
        let options = Options {
            layers: layer.into_iter().collect(),
            neuron: given.read("neuron", neuron)?,
            baseline: baseline.as_ref().map(|reference| reference.baseline(averages.is_some(), as_row)).transpose()?,
            n_steps,
            tolerance,
            quadrature,
            n_samples,
            seed: given.read("seed", seed)?,
            feature_mask: mask.map(as_mask).transpose()?,
            sliding_window_shapes: window.map(Sizes::from),
            strides: stride.map(Sizes::from),
            method: asked.map(|asked| asked.name.to_string()),
            nt_type: given.read("nt_type", |name, value| parameters::choice(name, value, &STATISTICS))?,
            stdevs: given.read("stdevs", parameters::spread)?.map(Stdevs::from),
            surrogate: given.read("surrogate", parameters::surrogate)?,
            similarity: given.read("similarity", parameters::similarity)?,
            sampler: given.read("sampler", parameters::chance)?.map(Sampler::Bernoulli),
            antithetic: given.flag("antithetic")?,
            paired: given.flag("paired")?,
            default_rule: given.read("default_rule", parameters::rule)?,
            rules: given.read("rules", parameters::rules)?,
            set_bias_to_zero: given.flag("set_bias_to_zero")?,
            captum_rules: given.flag("captum_rules")?,
            multiply_by_inputs: given.flag("multiply_by_inputs")?,
            attribute_to_layer_input: given.flag("attribute_to_layer_input")?,
            interpolate_inputs: given.flag("interpolate_inputs")?,
            abs: given.flag("abs")?,
            relu_attributions: given.flag("relu_attributions")?,
            ..Options::default()
        };
        let target = given.read("target", |name, value| target(name, value, model))?;
        let ask = Self {
            method: info.name,
            asked: asked.map(|asked| asked.name),
            target: asked.unwrap_or(info).target(target.unwrap_or(model.target.clone())),
            baseline,
            options,
            groups: of_ids.into_values().filter(|columns| columns.len() > 1).collect(),
            most,
            gradient_check: Check::default(),
            parameters: parameters.clone(),
        };
        ask.check_exact_values(masked)?;
        Ok(ask)
    }

    /// An error if the method evaluates every set of so many features, and they are too many.
    pub(crate) fn check_exact_values(&self, features: usize) -> Result<()> {
        let most = self.most;
        let methods = [Some(self.method), self.asked].into_iter().flatten();
        let exact = methods.filter_map(|name| method_of(name).ok()).find(|info| info.cost == Cost::PerCoalition);
        if let Some(exact) = exact.filter(|_| has_more_sets(features, most)) {
            bail!(
                Input,
                "{} of {features} features takes {} evaluations, and this server takes up to {most}: ask for KernelShap, or of a table group features with feature_mask",
                exact.name,
                sets_of(features).map_or(format!("2^{features}"), |sets| sets.to_string())
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
        method_of(self.method)
    }

    /// Whether the method, or the one that it asks, takes an option.
    pub(crate) fn takes(&self, option: &str) -> bool {
        let methods = [Some(self.method), self.asked].into_iter().flatten();
        methods.filter_map(|name| method_of(name).ok()).any(|info| info.takes(option))
    }

    /// The settings in the form that methods take.
    pub(crate) fn options(&self) -> Result<Options> {
        let info = self.info()?;
        let most = |option: &str| self.options.tolerance.filter(|_| info.takes(option)).map(|_| self.most);
        Ok(Options {
            max_steps: most("max_steps"),
            max_samples: most("max_samples"),
            gradient_check: self.takes("gradient_check").then_some(self.gradient_check),
            ..self.options.clone()
        })
    }

    /// The layer that was named.
    pub(crate) fn layer(&self) -> Option<&str> {
        self.options.layers.first().map(String::as_str)
    }

    /// The columns of each feature that has several: such a feature's number stands at each of its columns.
    pub(crate) fn groups(&self) -> &[Vec<usize>] {
        &self.groups
    }

    /// The steps or samples of each row, if the request chose them.
    pub(crate) fn evaluations(&self) -> Option<usize> {
        self.options.n_steps.max(self.options.n_samples)
    }

    /// Whether the request chose how many steps there are.
    pub(crate) fn chooses_steps(&self) -> bool {
        self.options.n_steps.is_some() || self.chooses_tolerance()
    }

    /// Whether a tolerance chooses the steps.
    pub(crate) fn chooses_tolerance(&self) -> bool {
        self.options.tolerance.is_some()
    }

    /// The same with this tolerance.
    pub(crate) fn to_tolerance(&self, tolerance: f64) -> Self {
        let options = Options { tolerance: Some(tolerance), ..self.options.clone() };
        Self { options, ..self.clone() }
    }
}

impl Reference {
    /// The baseline in the form that methods take; `averaged` by a method that draws rows of it.
    fn baseline(
        &self,
        averaged: bool,
        as_row: impl Fn(&[f32]) -> candle_explain::candle_core::Result<Tensor>,
    ) -> Result<Baseline> {
        Ok(match self {
            Reference::Everywhere(value) => Baseline::Value(*value),
            Reference::Row(row) if averaged => Baseline::distribution(&as_row(row)?),
            Reference::Row(row) | Reference::Layer(row) => Baseline::from(as_row(row)?),
            Reference::Rows(rows) => {
                let rows =
                    rows.iter().map(|row| as_row(row)).collect::<candle_explain::candle_core::Result<Vec<_>>>()?;
                Baseline::distribution(&Tensor::cat(&rows, 0)?)
            }
        })
    }
}

/// An error that names a parameter that the method does not have, or one that it needs.
fn check_parameters(
    given: &Given,
    model: &Description,
    info: &MethodInfo,
    asked: Option<&'static MethodInfo>,
) -> Result<()> {
    let has = |parameter: &&Parameter| model.has(parameter, info, asked);
    let of = asked.map_or_else(|| info.name.to_string(), |asked| format!("{} of {}", info.name, asked.name));
    if let Some(parameter) = PARAMETERS.iter().find(|parameter| given.get(parameter.name).is_some() && !has(parameter))
    {
        let known: Vec<&str> = PARAMETERS.iter().filter(has).map(|parameter| parameter.name).collect();
        bail!(Input, "{of} has no parameter {}; it has {}", parameter.name, known.join(", "))
    }
    let needed = [Some(info), asked].into_iter().flatten().flat_map(|info| model.needs(info));
    let Some(missing) = needed.into_iter().find(|name| given.get(name).is_none()) else { return Ok(()) };
    let about = PARAMETERS.iter().find(|parameter| parameter.name == missing).map_or("", |parameter| parameter.about);
    let layers = || model.layers.iter().map(|layer| layer.name.as_str()).collect::<Vec<_>>().join(", ");
    match missing {
        "layer" => bail!(Input, "{of} needs the parameter layer: one of {}", layers()),
        "baseline" => {
            bail!(Input, "{of} needs the parameter baseline: a record that samples are drawn from, or several")
        }
        missing => bail!(Input, "{of} needs the parameter {missing}: {about}"),
    }
}

fn one_method(
    name: &str,
    value: &Value,
    mut methods: impl Iterator<Item = &'static str> + Clone,
) -> Result<&'static str> {
    let all = methods.clone();
    methods
        .find(|method| value.as_str() == Some(method))
        .ok_or_else(|| error!(Input, "the {name} is {}: expected {}", shown(value), all.collect::<Vec<_>>().join(", ")))
}

/// A baseline: a number, a record that the model takes, or several; for a layer's neurons a number, or one for each. In
/// a form or an address also as JSON.
fn reference(name: &str, value: &Value, model: &dyn Servable, neurons: Option<&LayerShape>) -> Result<Reference> {
    parameters::json(name, value, |record| {
        if !matches!(record, Value::Array(_) | Value::Object(_)) {
            return Ok(Reference::Everywhere(number(name, record)?));
        }
        if let Some(layer) = neurons {
            let count: usize = layer.shape.iter().product();
            return match record {
                Value::Array(values) if values.len() == count => {
                    let read = |value| Ok(number(name, value)? as f32);
                    Ok(Reference::Layer(values.iter().map(read).collect::<Result<_>>()?))
                }
                other => bail!(
                    Input,
                    "{name} is {}: expected a number, or {count} numbers, for what {} gives",
                    shown(other),
                    layer.name
                ),
            };
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
    })
}

fn seed(name: &str, value: &Value) -> Result<Seed> {
    let seed = parameters::whole(name, value)?;
    u32::try_from(seed).map(Seed).map_err(|_| error!(Input, "{name} is {seed}: expected at most {}", u32::MAX))
}

/// Which features are taken as one: an id for each; in a form or an address as JSON.
fn mask(
    name: &str,
    value: &Value,
    count: usize,
    model: &Description,
    neurons: Option<&LayerShape>,
) -> Result<Vec<u32>> {
    parameters::json(name, value, |ids| match ids {
        Value::Array(ids) if ids.len() == count => {
            let id = |id: &Value| {
                let whole = parameters::whole(&format!("an id of {name}"), id)?;
                match u32::try_from(whole) {
                    Ok(id) if whole < count => Ok(id),
                    _ => bail!(Input, "an id of {name} is {whole}: expected at most {}", count - 1),
                }
            };
            ids.iter().map(id).collect()
        }
        other => {
            let of = neurons.map_or_else(|| model.features.join(", "), |layer| format!("what {} gives", layer.name));
            bail!(Input, "{name} is {}: expected {count} whole numbers, an id for each of {of}", shown(other))
        }
    })
}

fn target(name: &str, value: &Value, model: &Description) -> Result<Target> {
    if model.classes.is_empty() {
        bail!(Input, "the {name} is {}: this model gives one number, leave the target out", shown(value))
    }
    if value.as_str() == Some("predicted") {
        return Ok(Target::Predicted);
    }
    let by_name = value.as_str().and_then(|name| model.classes.iter().position(|class| class == name));
    match by_name.or_else(|| parameters::whole(name, value).ok()) {
        Some(class) if class < model.classes.len() => Ok(Target::Class(class)),
        _ => bail!(
            Input,
            "the {name} is {}: expected predicted, {} or 0 to {}",
            shown(value),
            model.classes.join(", "),
            model.classes.len().saturating_sub(1)
        ),
    }
}

fn neuron(name: &str, value: &Value) -> Result<Neuron> {
    parameters::json(name, value, |value| match value {
        Value::Array(axes) => {
            Ok(Neuron::from(axes.iter().map(|axis| parameters::whole(name, axis)).collect::<Result<Vec<_>>>()?))
        }
        one => Ok(Neuron::from(parameters::whole(name, one)?)),
    })
}
