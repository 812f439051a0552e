//! The requests that each model takes, as JSON Schema.

use serde_json::{Map, Value, json};

use crate::json::record::LARGEST;
use crate::models::servable::{Description, Kind};
use crate::models::tabular_model::{Field, FieldKind};
use crate::settings::Settings;

/// Digits in quotes count as a number, because forms and CSV have only text.
const DIGITS: &str = "^[+-]?[0-9]{1,9}(\\.[0-9]{0,9})?$";

/// A body of `/predictions`, or with such parameters of `/explanations`: a record, a list of records, or instances.
pub(super) fn asked(description: &Description, settings: &Settings, parameters: Option<Value>) -> Value {
    let mut forms = records(description, plain_number());
    forms.push(rows(description, settings, 1));
    forms.push(instances(description, settings, 1, parameters));
    json!({ "anyOf": forms })
}

/// A body of KServe's first protocol; it may have no rows.
pub(super) fn instances(
    description: &Description,
    settings: &Settings,
    least: usize,
    parameters: Option<Value>,
) -> Value {
    let mut properties = Map::new();
    let rows = match least {
        0 => json!({ "anyOf": [rows(description, settings, 1), { "type": "array", "maxItems": 0 }] }),
        least => rows(description, settings, least),
    };
    properties.insert("instances".into(), rows);
    if let Some(parameters) = parameters {
        properties.insert("parameters".into(), parameters);
    }
    json!({ "type": "object", "required": ["instances"], "properties": properties, "additionalProperties": false })
}

/// A body of KServe's second protocol with one row; more rows have a larger shape, and more data.
pub(super) fn tensors(description: &Description) -> Value {
    let (shape, kinds, data) = match description.kind {
        Kind::Tabular => {
            let width = description.features.len();
            (json!([1, width]), json!(["FP32", "FP64"]), list(plain_number(), width))
        }
        Kind::Text => (json!([1]), json!(["BYTES"]), list(text(description), 1)),
    };
    let input = json!({
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": { "type": "string" },
            "shape": { "const": shape },
            "datatype": { "enum": kinds },
            "data": data,
        },
    });
    json!({
        "type": "object",
        "required": ["inputs"],
        "properties": { "inputs": list(input, 1), "id": { "type": ["string", "null"] } },
    })
}

/// Rows of which at least one is a record of the model; the others get errors in the answer.
fn rows(description: &Description, settings: &Settings, least: usize) -> Value {
    json!({
        "type": "array",
        "minItems": least,
        "maxItems": settings.max_rows,
        "contains": { "anyOf": records(description, number()) },
    })
}

/// A record, as one of the values of a parameter.
pub(super) fn record(description: &Description) -> Value {
    json!({ "anyOf": records(description, number()) })
}

/// The forms of one record; one without names is a list of such numbers.
fn records(description: &Description, unnamed: Value) -> Vec<Value> {
    if description.kind == Kind::Text {
        return vec![text(description), object([("text".to_string(), text(description))])];
    }
    let fields = object(description.fields.iter().map(|field| (field.name.clone(), of_field(field))));
    let features = object(description.features.iter().map(|name| (name.clone(), number())));
    let in_order = list(unnamed, description.features.len());
    let by_name = description.fields.iter().map(|field| &field.name).eq(&description.features);
    if by_name { vec![features, in_order] } else { vec![fields, features, in_order] }
}

fn of_field(field: &Field) -> Value {
    match &field.kind {
        FieldKind::Number { typical, .. } => {
            let mut number = number();
            number["example"] = json!(typical);
            number
        }
        FieldKind::Choice { choices, typical } => {
            let numbers = choices.iter().filter_map(|choice| choice.parse::<u64>().ok());
            let all: Vec<Value> =
                choices.iter().map(|choice| json!(choice)).chain(numbers.map(|number| json!(number))).collect();
            json!({ "enum": all, "example": typical })
        }
        FieldKind::Text { typical, pattern } => json!({ "type": "string", "pattern": pattern, "example": typical }),
    }
}

pub(super) fn text(description: &Description) -> Value {
    description.fields.first().map_or_else(|| json!({ "type": "string" }), of_field)
}

/// A number, or its digits in quotes.
fn number() -> Value {
    json!({ "anyOf": [plain_number(), { "type": "string", "pattern": DIGITS }] })
}

pub(super) fn plain_number() -> Value {
    json!({ "type": "number", "minimum": -LARGEST, "maximum": LARGEST })
}

fn list(items: Value, count: usize) -> Value {
    json!({ "type": "array", "items": items, "minItems": count, "maxItems": count })
}

/// An object with exactly these properties.
fn object(properties: impl IntoIterator<Item = (String, Value)>) -> Value {
    let properties: Map<String, Value> = properties.into_iter().collect();
    let names: Vec<&String> = properties.keys().collect();
    json!({ "type": "object", "required": names, "properties": properties, "additionalProperties": false })
}
