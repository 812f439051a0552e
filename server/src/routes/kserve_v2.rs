//! KServe's V2 protocol, the Open Inference Protocol.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::app::{App, Open, model_of, read_rows};
use crate::body;
use crate::failure::Failure;
use crate::json::record::shown;
use crate::json::strict;
use crate::models::servable::{Description, Kind, Row};
use crate::request::aside;
use crate::request::payload::{self, Content, Payload};
use crate::work::rows::Each;
use crate::work::running::Running;

type Reply = Result<Response, Response>;

const FEATURES: &str = "features";
const TEXT: &str = "text";
const NUMBERS: [&str; 2] = ["FP32", "FP64"];

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v2", get(server))
        .route("/v2/models", get(models))
        .route("/v2/models/{model}", get(model))
        .route("/v2/models/{model}/versions/{version}", get(model))
        .route("/v2/models/{model}/ready", get(model_ready))
        .route("/v2/models/{model}/versions/{version}/ready", get(model_ready))
        .route("/v2/models/{model}/infer", post(infer))
        .route("/v2/models/{model}/versions/{version}/infer", post(infer))
}

/// The routes for probes, which have no key.
pub(crate) fn open_routes() -> Router<Arc<App>> {
    Router::new().route("/v2/health/live", get(live)).route("/v2/health/ready", get(ready))
}

async fn server() -> Response {
    let answer = json!({ "name": "candle-explain", "version": env!("CARGO_PKG_VERSION"), "extensions": [] });
    body::json(StatusCode::OK, &answer)
}

async fn models(State(app): State<Arc<App>>) -> Response {
    let names: Value = app.catalog.defaults().iter().map(|running| running.name.as_str()).collect();
    body::json(StatusCode::OK, &json!({ "models": names }))
}

async fn live() -> Response {
    body::json(StatusCode::OK, &json!({ "live": true }))
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    let ready = app.is_ready();
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    body::json(code, &json!({ "ready": ready }))
}

async fn model(State(app): State<Arc<App>>, open: Open) -> Reply {
    let answer = || {
        let (name, version) = model_of(open)?;
        let running = app.catalog.get(&name, version.as_deref())?;
        let versions = app.catalog.versions(&name)?;
        let description = running.servable().description();
        let (input, datatype, width) = match description.kind {
            Kind::Tabular => (FEATURES, "FP32", Some(description.features.len())),
            Kind::Text => (TEXT, "BYTES", None),
        };
        let shape: Value = std::iter::once(json!(-1)).chain(width.map(|width| json!(width))).collect();
        let outputs = output_names(description).iter().map(|(name, datatype)| {
            let shape = if *name == "probabilities" { json!([-1, description.classes.len()]) } else { json!([-1]) };
            json!({ "name": name, "datatype": datatype, "shape": shape })
        });
        let versions: Value = versions.iter().map(|running| running.version.as_str()).collect();
        let answer = json!({
            "name": name,
            "versions": versions,
            "platform": "candle",
            "inputs": [{ "name": input, "datatype": datatype, "shape": shape }],
            "outputs": outputs.collect::<Value>(),
        });
        Ok(body::json(StatusCode::OK, &answer))
    };
    answer().map_err(Failure::in_kserve_form)
}

async fn model_ready(State(app): State<Arc<App>>, open: Open) -> Reply {
    let answer = || {
        let (name, version) = model_of(open)?;
        let ready = app.catalog.get(&name, version.as_deref())?.is_ready() && !app.is_draining();
        let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        Ok(body::json(code, &json!({ "name": name, "ready": ready })))
    };
    answer().map_err(Failure::in_kserve_form)
}

async fn infer(State(app): State<Arc<App>>, open: Open, request: Request) -> Reply {
    inferred(&app, open, request).await.map_err(Failure::in_kserve_form)
}

async fn inferred(app: &Arc<App>, open: Open, request: Request) -> Result<Response, Failure> {
    let (name, version) = model_of(open)?;
    let running = app.catalog.get(&name, version.as_deref())?;
    let description = running.servable().description();
    let (parts, content) = request.into_parts();
    if parts.headers.contains_key("inference-header-content-length") {
        return Err(Failure::unsupported("binary tensors are not taken: send their data as JSON"));
    }
    let Content { bytes, room: _room } = payload::receive(&parts, content, &app.settings).await?;
    let (reader, model) = (app.clone(), running.clone());
    let asked = aside::read(bytes.len(), async move { read(&reader, &model, &bytes) });
    let Asked { id, wanted, rows } = asked.await?;
    let outputs = app.predict(&running, rows).await?;
    let tensors: Value = wanted.iter().map(|name| output(name, description, &outputs)).collect();
    let mut answer = json!({ "model_name": running.name, "model_version": running.version, "outputs": tensors });
    let errors: Map<String, Value> = outputs
        .iter()
        .enumerate()
        .filter_map(|(row, output)| Some((format!("error_of_row_{row}"), output.as_ref().err()?.message().into())))
        .collect();
    if !errors.is_empty() {
        answer["parameters"] = errors.into();
    }
    if let Some(id) = id {
        answer["id"] = id;
    }
    Ok(body::json(StatusCode::OK, &answer))
}

/// A request that was read.
struct Asked {
    id: Option<Value>,
    /// The outputs that it names.
    wanted: Vec<&'static str>,
    rows: Each<Row>,
}

fn read(app: &App, running: &Running, bytes: &[u8]) -> Result<Asked, Failure> {
    let description = running.servable().description();
    let asked = strict::parse(bytes, "the body")?;
    let most = app.settings.max_rows;
    if asked["inputs"][0]["shape"][0].as_u64().is_some_and(|rows| rows > most as u64) {
        return Err(payload::too_many(&app.settings).into());
    }
    let records = records(&asked, description)?;
    let wanted = wanted(&asked, description)?;
    let limited = Payload { records, parameters: Map::new() }.within(&app.settings)?;
    let rows = read_rows(running, limited.records);
    let id = asked.get("id").filter(|id| !id.is_null()).cloned();
    if id.as_ref().is_some_and(|id| !id.is_string()) {
        return Err(Failure::bad_request(format!("the id is {}: expected a text", shown(&asked["id"]))));
    }
    Ok(Asked { id, wanted, rows })
}

/// The records of a request's only input tensor, with an error for each row that is not a record.
pub(crate) fn records(
    asked: &Value,
    description: &Description,
) -> candle_explain::Result<Vec<candle_explain::Result<Value>>> {
    use candle_explain::bail;
    let input = match asked["inputs"].as_array().map(Vec::as_slice) {
        Some([only]) => only,
        Some(several) => bail!(Input, "{} inputs came: expected one", several.len()),
        None => bail!(Input, "inputs is missing: expected a list with one tensor"),
    };
    if !input["name"].is_string() {
        bail!(Input, "the input's name is {}: expected a text", shown(&input["name"]))
    }
    let shape: Option<Vec<usize>> = input["shape"]
        .as_array()
        .and_then(|axes| axes.iter().map(|axis| axis.as_u64().and_then(|axis| usize::try_from(axis).ok())).collect());
    let Some(shape) = shape else { bail!(Input, "shape is {}: expected whole numbers", shown(&input["shape"])) };
    let datatype = input["datatype"].as_str().unwrap_or_default();
    let Some(flat) = values(&input["data"], &shape) else {
        bail!(Input, "data is nested otherwise than the shape {shape:?} tells: expected it so, or one flat list")
    };
    let count = shape.iter().try_fold(1usize, |count, axis| count.checked_mul(*axis));
    if count != Some(flat.len()) {
        bail!(Input, "data has {} values: expected as many as the shape {shape:?} tells", flat.len())
    }
    match (description.kind, shape.as_slice()) {
        (Kind::Text, [_] | [_, 1]) if datatype == "BYTES" => Ok(flat.into_iter().cloned().map(Ok).collect()),
        (Kind::Text, _) => bail!(Input, "the input is {datatype} {shape:?}: expected BYTES [texts]"),
        (Kind::Tabular, &[_, width]) if NUMBERS.contains(&datatype) && width == description.features.len() => {
            let record = |row: &[&Value]| match row.iter().position(|value| !value.is_number()) {
                None => Ok(row.iter().copied().cloned().collect()),
                Some(at) => bail!(Input, "{} is {}: expected a number", description.features[at], shown(row[at])),
            };
            Ok(flat.chunks(width).map(record).collect())
        }
        (Kind::Tabular, _) => bail!(
            Input,
            "the input is {datatype} {shape:?}: expected FP32 or FP64 [rows, {}] with {}",
            description.features.len(),
            description.features.join(", ")
        ),
    }
}

/// The values of data that is flat or nested by the shape; `None` if it is nested otherwise.
fn values<'a>(data: &'a Value, shape: &[usize]) -> Option<Vec<&'a Value>> {
    let items = data.as_array()?;
    if !items.iter().any(Value::is_array) {
        return Some(items.iter().collect());
    }
    let mut flat = Vec::new();
    unnest(data, shape, &mut flat).then_some(flat)
}

/// Adds the values of data that is nested by the shape; false if it is not.
fn unnest<'a>(data: &'a Value, shape: &[usize], flat: &mut Vec<&'a Value>) -> bool {
    match (data, shape.split_first()) {
        (Value::Array(items), Some((&length, inner))) => {
            items.len() == length && items.iter().all(|item| unnest(item, inner, flat))
        }
        (value, None) if !value.is_array() => {
            flat.push(value);
            true
        }
        _ => false,
    }
}

/// The names and types of what a model gives.
fn output_names(description: &Description) -> &'static [(&'static str, &'static str)] {
    if description.classes.is_empty() {
        &[("value", "FP64")]
    } else {
        &[("label", "BYTES"), ("class", "INT64"), ("probabilities", "FP64")]
    }
}

/// The outputs that a request wants: all, unless it names some.
pub(crate) fn wanted(asked: &Value, description: &Description) -> candle_explain::Result<Vec<&'static str>> {
    let there = output_names(description);
    let named = match &asked["outputs"] {
        Value::Array(named) if !named.is_empty() => named,
        Value::Array(_) | Value::Null => return Ok(there.iter().map(|(name, _)| *name).collect()),
        other => candle_explain::bail!(Input, "outputs is {}: expected a list of them", shown(other)),
    };
    named
        .iter()
        .map(|output| {
            let found = there.iter().find(|(name, _)| output["name"].as_str() == Some(name));
            found.map(|(name, _)| *name).ok_or_else(|| {
                let names: Vec<&str> = there.iter().map(|(name, _)| *name).collect();
                candle_explain::error!(
                    Input,
                    "there is no output {}: there are {}",
                    shown(&output["name"]),
                    names.join(", ")
                )
            })
        })
        .collect()
}

/// One output tensor. If a row has no answer, its label is empty, its class −1 and its numbers null; the
/// answer's parameters say why.
fn output(name: &str, description: &Description, outputs: &Each<Vec<f64>>) -> Value {
    let datatype = output_names(description).iter().find(|(other, _)| *other == name).map(|(_, datatype)| *datatype);
    let rows = outputs.len();
    let predicted = outputs.iter().map(|output| output.as_ref().ok().map(|output| description.prediction(output)));
    let (shape, data): (Vec<usize>, Value) = match name {
        "probabilities" => {
            let classes = description.classes.len();
            let of_row = |output: &Result<Vec<f64>, Failure>| match output {
                Ok(output) => output.iter().map(|probability| json!(probability)).collect(),
                Err(_) => vec![Value::Null; classes],
            };
            (vec![rows, classes], outputs.iter().flat_map(of_row).collect())
        }
        "class" => (vec![rows], predicted.map(|row| row.map_or(json!(-1), |(class, ..)| json!(class))).collect()),
        "label" => (vec![rows], predicted.map(|row| row.map_or_else(String::new, |(_, label, _)| label)).collect()),
        _ => (vec![rows], predicted.map(|row| json!(row.map(|(.., value)| value))).collect()),
    };
    json!({ "name": name, "datatype": datatype, "shape": shape, "data": data })
}
