//! The parameters of explanations, for the description and for the page's form.

use candle_explain::engine::{Cost, Family, MethodInfo};
use serde_json::{Map, Value, json};

use super::schemas::plain_number;
use crate::json::record::LARGEST;
use crate::models::ask::{has_more_sets, method_of};
use crate::models::parameters::{MOST_STDEV, PARAMETERS, Parameter, QUADRATURES, STATISTICS, Values};
use crate::models::servable::{Description, Kind, LayerShape, Offered};
use crate::settings::Settings;

/// LRP's rules that suit every model.
const RULE: &str = "^(epsilon|gamma)(:[0-9]{1,6}(\\.[0-9]{1,9})?)?$|^(alpha1beta0|zplus)$";

/// The method whose points a trapezoid rule weighs if no other is asked for; such a rule needs two.
const BY_TRAPEZOIDS: &str = "NeuronConductance";
/// The method whose rules weigh what is between points, of which it has one more than steps.
const BETWEEN_POINTS: &str = "LayerConductance";

/// The parameters of each method as JSON Schema: of the methods that suit every record, the parameters that do not depend
/// on each other. `record` is the schema of one of the model's records.
pub(super) fn schemas(description: &Description, settings: &Settings, record: &Value) -> Vec<(&'static str, Value)> {
    let of_method = |offered: &Offered| {
        let info = method_of(offered.method).ok()?;
        (offered.any_record && allowed(description, info, settings))
            .then(|| (info.name, json!({ "anyOf": forms(offered, info, (description, record), settings) })))
    };
    description.offered.iter().filter_map(of_method).collect()
}

/// Whether the server's limit allows a method what it takes for this model's features.
fn allowed(description: &Description, info: &MethodInfo, settings: &Settings) -> bool {
    info.cost != Cost::PerCoalition || !has_more_sets(description.features.len(), settings.max_steps)
}

/// The forms that the parameters of one method may have.
fn forms(
    offered: &Offered,
    info: &MethodInfo,
    (description, record): (&Description, &Value),
    settings: &Settings,
) -> Vec<Value> {
    let is_default = description.methods.first() == Some(&offered.method);
    let needs = description.needs(info);
    let required: Vec<&str> = needs.iter().copied().chain((!is_default).then_some("method")).collect();
    let mut groups: Vec<Vec<&LayerShape>> = Vec::new();
    for layer in description.layers.iter().filter(|layer| offered.layers.contains(&layer.name)) {
        match groups.iter_mut().find(|group| !needs.contains(&"neuron") || group[0].shape == layer.shape) {
            Some(group) => group.push(layer),
            None => groups.push(vec![layer]),
        }
    }
    if groups.is_empty() {
        groups.push(Vec::new());
    }
    let has = |name: &str| {
        PARAMETERS.iter().any(|parameter| parameter.name == name && description.has(parameter, info, None))
    };
    let of_group = |layers: &Vec<&LayerShape>| {
        // What is null was not given.
        let null = || json!({ "type": "null" });
        let properties = PARAMETERS.iter().filter_map(|parameter| {
            let schema = match description.has(parameter, info, None) {
                true => of_parameter(parameter, (info, layers), (description, record), is_default, settings)?,
                false if is_open(parameter, info, (description, record), settings) => return None,
                false => null(),
            };
            Some((parameter.name.to_string(), schema))
        });
        let properties: Map<String, Value> = properties.collect();
        let with = |more: &[(&str, Value)], needed: Option<&str>| {
            let mut properties = properties.clone();
            properties.extend(more.iter().map(|(name, schema)| (name.to_string(), schema.clone())));
            let required: Vec<&str> = required.iter().copied().chain(needed).collect();
            json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
        };
        let count =
            |least: usize| json!({ "type": ["integer", "null"], "minimum": least, "maximum": settings.max_steps });
        let tolerance = json!({ "type": ["number", "null"], "exclusiveMinimum": 0, "maximum": LARGEST });
        if info.takes("sampler") {
            // How many of Lime's samples differ, and so how many it needs, is chance.
            return vec![with(&[("tolerance", tolerance)], None)];
        }
        if has("n_samples") {
            return vec![
                with(&[("n_samples", count(1)), ("tolerance", null())], None),
                with(&[("n_samples", null()), ("tolerance", tolerance)], None),
            ];
        }
        if !has("n_steps") {
            return vec![with(&[], None)];
        }
        let (of_trapezoids, of_points): (Vec<&str>, Vec<&str>) =
            QUADRATURES.iter().map(|(name, _)| *name).partition(|name| name.contains("trapezoid"));
        let or_none = |names: &[&str], usual: bool| {
            let names = names.iter().map(|name| json!(name));
            json!({ "enum": names.chain(usual.then_some(Value::Null)).collect::<Vec<_>>() })
        };
        let usually = info.name == BY_TRAPEZOIDS;
        vec![
            with(
                &[("n_steps", count(1)), ("quadrature", or_none(&of_points, !usually)), ("tolerance", null())],
                usually.then_some("quadrature"),
            ),
            with(
                &[
                    ("n_steps", count(if info.name == BETWEEN_POINTS { 1 } else { 2 })),
                    ("quadrature", or_none(&of_trapezoids, usually)),
                    ("tolerance", null()),
                ],
                (!usually).then_some("quadrature"),
            ),
            with(&[("n_steps", null()), ("quadrature", null()), ("tolerance", tolerance)], None),
        ]
    };
    groups.iter().flat_map(of_group).collect()
}

/// The parameters that `forms` describes together.
const STEPS: [&str; 4] = ["n_steps", "quadrature", "n_samples", "tolerance"];

/// Whether a parameter that a method does not have is left undescribed: where the method asks one that has it, and where
/// the default method has it without description, since only the method's name tells the two apart.
fn is_open(
    parameter: &Parameter,
    info: &MethodInfo,
    (description, record): (&Description, &Value),
    settings: &Settings,
) -> bool {
    let has = |method: &&str| method_of(method).is_ok_and(|info| description.has(parameter, info, None));
    let undescribed = |method: &&str| {
        let Ok(info) = method_of(method) else { return false };
        let described = of_parameter(parameter, (info, &[]), (description, record), true, settings).is_some();
        !described && !STEPS.contains(&parameter.name)
    };
    let of_asked = info.takes("method") && askable(description, settings).iter().any(has);
    of_asked || description.methods.first().filter(|method| has(method)).is_some_and(undescribed)
}

/// What a parameter may be, where that depends on nothing else.
fn of_parameter(
    parameter: &Parameter,
    (info, layers): (&MethodInfo, &[&LayerShape]),
    (description, record): (&Description, &Value),
    is_default: bool,
    settings: &Settings,
) -> Option<Value> {
    let a_table = description.kind == Kind::Tabular;
    Some(match parameter.values {
        Values::Target if description.classes.is_empty() => return None,
        Values::Target => {
            let names = std::iter::once("predicted").chain(description.classes.iter().map(String::as_str));
            let indices = (0..description.classes.len()).map(|class| json!(class));
            let all: Vec<Value> = names.map(|name| json!(name)).chain(indices).chain([Value::Null]).collect();
            json!({ "enum": all })
        }
        Values::Method if is_default => json!({ "enum": [info.name, null] }),
        Values::Method => json!({ "const": info.name }),
        Values::Asked => json!({ "enum": askable(description, settings) }),
        Values::Layer if !layers.is_empty() => {
            json!({ "enum": layers.iter().map(|layer| layer.name.as_str()).collect::<Vec<_>>() })
        }
        Values::Neuron => match layers.first()?.shape.as_slice() {
            [width] => json!({ "type": "integer", "minimum": 0, "maximum": width - 1 }),
            shape => json!({ "const": vec![0; shape.len()] }),
        },
        Values::Baseline if a_table && info.needs("baseline") => {
            json!({ "anyOf": [record, { "type": "array", "minItems": 1, "items": record }] })
        }
        Values::Baseline if a_table && info.family == Family::Layer && info.takes("feature_mask") => {
            json!({ "anyOf": [plain_number(), { "type": "null" }] })
        }
        Values::Baseline if a_table => {
            let several = json!({ "type": "array", "minItems": 1, "items": record });
            json!({ "anyOf": [record, several, plain_number(), { "type": "null" }] })
        }
        Values::Size if a_table && info.needs(parameter.name) => {
            json!({ "type": "integer", "minimum": 1, "maximum": description.features.len() })
        }
        Values::Seed => json!({ "type": ["integer", "null"], "minimum": 0, "maximum": u32::MAX }),
        Values::Spread if a_table => json!({ "type": ["number", "null"], "minimum": 0, "maximum": MOST_STDEV }),
        Values::Statistic => {
            let names = STATISTICS.iter().map(|(name, _)| json!(name));
            json!({ "enum": names.chain([Value::Null]).collect::<Vec<_>>() })
        }
        Values::Numbered(_) if parameter.name == "default_rule" => {
            json!({ "type": ["string", "null"], "pattern": RULE })
        }
        // How many of Captum's samples differ, and so how many a method needs, is chance.
        Values::Flag if parameter.name == "captum_rules" && info.takes("n_samples") => return None,
        Values::Flag if a_table && parameter.name != "attribute_to_layer_input" => {
            json!({ "type": ["boolean", "null"] })
        }
        // The others depend on each other, on the layer, or on the record.
        _ => return None,
    })
}

/// The methods of this model that another one may ask without further parameters.
fn askable(description: &Description, settings: &Settings) -> Vec<&'static str> {
    let is_alone = |info: &MethodInfo| description.needs(info).is_empty() && !info.takes("method");
    let alone = |offered: &&Offered| {
        method_of(offered.method).is_ok_and(|info| is_alone(info) && allowed(description, info, settings))
    };
    description.offered.iter().filter(alone).map(|offered| offered.method).collect()
}

/// The methods that suit a model, for a form.
pub(super) fn methods(description: &Description, settings: &Settings) -> Value {
    let of_method = |offered: &Offered| {
        let info = method_of(offered.method).ok().filter(|info| allowed(description, info, settings))?;
        let parameters = PARAMETERS.iter().filter(|parameter| {
            let chosen_apart = matches!(parameter.values, Values::Target | Values::Method);
            !chosen_apart && description.has(parameter, info, None)
        });
        Some(json!({
            "name": info.name,
            "group": group(description.kind, info.family),
            "about": info.summary,
            "parameters": parameters.map(|parameter| parameter.name).collect::<Vec<_>>(),
            "needs": description.needs(info),
            "layers": offered.layers,
        }))
    };
    description.offered.iter().filter_map(of_method).collect()
}

/// What the numbers of a family of methods belong to.
fn group(kind: Kind, family: Family) -> &'static str {
    match (kind, family) {
        (Kind::Tabular, Family::Primary) => "Each feature",
        (Kind::Tabular, Family::Layer) => "Each neuron of a layer",
        (Kind::Tabular, Family::Neuron) => "Each feature, for one neuron",
        (Kind::Text, Family::Primary) => "Each word, by leaving words out",
        (Kind::Text, Family::Layer) => "Each word, at a layer",
        (Kind::Text, Family::Neuron) => "Each word, for one neuron",
    }
}

/// How a form asks for each parameter.
pub(super) fn controls(description: &Description, settings: &Settings) -> Value {
    let parameters = PARAMETERS.iter().filter(|parameter| {
        let of_method =
            |offered: &Offered| method_of(offered.method).is_ok_and(|info| description.has(parameter, info, None));
        description.offered.iter().any(of_method)
    });
    let named = parameters
        .filter_map(|parameter| Some((parameter.name.to_string(), control(parameter, description, settings)?)));
    Value::Object(named.collect())
}

fn control(parameter: &Parameter, description: &Description, settings: &Settings) -> Option<Value> {
    let first_layer = description.layers.first();
    let numbers = |least: Option<usize>, step: Value, typical: Value| json!({ "kind": "number", "least": least, "step": step, "typical": typical });
    let mut control = match parameter.values {
        Values::Target | Values::Method => return None,
        Values::Asked => json!({ "kind": "choice", "choices": askable(description, settings) }),
        Values::Layer => {
            json!({ "kind": "choice", "choices": description.layers.iter().map(|layer| &layer.name).collect::<Vec<_>>() })
        }
        Values::Quadrature => json!({ "kind": "choice", "choices": QUADRATURES.map(|(name, _)| name) }),
        Values::Statistic => json!({ "kind": "choice", "choices": STATISTICS.map(|(name, _)| name) }),
        Values::Flag => json!({ "kind": "flag" }),
        Values::Numbered(known) => {
            let form = |(word, number): &(&str, Option<f64>)| {
                number.map_or_else(|| word.to_string(), |number| format!("{word}:{number}"))
            };
            json!({ "kind": "text", "choices": known.iter().map(form).collect::<Vec<_>>() })
        }
        Values::Count | Values::Size => numbers(Some(1), json!(1), json!(1)),
        Values::Seed => numbers(Some(0), json!(1), json!(0)),
        Values::Positive | Values::Spread | Values::Chance => numbers(Some(0), json!("any"), Value::Null),
        Values::Neuron => {
            let place = first_layer.map_or(Vec::new(), |layer| vec![0; layer.shape.len()]);
            let typical = if let [only] = place.as_slice() { json!(only) } else { json!(place) };
            json!({ "kind": "text", "typical": typical.to_string() })
        }
        Values::Baseline => {
            let zeros = vec![vec![0; description.features.len()]];
            json!({ "kind": "text", "typical": json!(zeros).to_string() })
        }
        Values::Mask | Values::Rules => json!({ "kind": "text" }),
    };
    control["about"] = parameter.about.into();
    Some(control)
}
