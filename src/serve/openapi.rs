//! What the server says of itself, as OpenAPI 3.

use serde_json::{Map, Value, json};

use super::app::App;
use super::servable::{Description, Kind};
use super::tabular_model::FieldKind;
use crate::attr::METHODS;

/// The inference port, with the models that are served now.
pub(crate) fn inference(app: &App) -> Value {
    let mut paths = Map::new();
    let mut path = |route: String, methods: Value| paths.insert(route, methods);
    path("/ping".into(), json!({ "get": simple("Whether every model can answer") }));
    path("/api/models".into(), json!({ "get": simple("The models with their fields, classes and methods") }));
    path("/v1/models".into(), json!({ "get": simple("KServe V1: the models' names") }));
    path("/v2".into(), json!({ "get": simple("KServe V2: the server") }));
    path("/v2/health/live".into(), json!({ "get": simple("KServe V2: whether the server runs") }));
    path("/v2/health/ready".into(), json!({ "get": simple("KServe V2: whether requests can be answered") }));
    for running in app.catalog.defaults() {
        let (name, description) = (&running.name, running.servable().description());
        let asked = asked(description);
        path(
            format!("/predictions/{name}"),
            json!({ "post": operation(format!("What {name} predicts"), &asked, &[]) }),
        );
        path(
            format!("/explanations/{name}"),
            json!({ "post": operation(format!("Why {name} predicts it"), &asked, &parameters(description)) }),
        );
        for verb in ["predict", "explain"] {
            path(
                format!("/v1/models/{name}:{verb}"),
                json!({ "post": operation(format!("KServe V1: {verb}"), &instances(description), &[]) }),
            );
        }
        path(format!("/v2/models/{name}"), json!({ "get": simple("KServe V2: the model's tensors") }));
        path(format!("/v2/models/{name}/ready"), json!({ "get": simple("KServe V2: whether the model can answer") }));
        let tensors =
            json!({ "type": "object", "required": ["inputs"], "properties": { "inputs": { "type": "array" } } });
        path(
            format!("/v2/models/{name}/infer"),
            json!({ "post": operation("KServe V2: predict".to_string(), &json!({ "application/json": { "schema": tensors } }), &[]) }),
        );
    }
    document("candle-explain: predictions with their reasons", paths)
}

/// The management port.
pub(crate) fn management() -> Value {
    let name = json!({ "name": "model", "in": "path", "required": true, "schema": { "type": "string" } });
    let query = |name: &str, what: &str, kind: &str| json!({ "name": name, "in": "query", "description": what, "schema": { "type": kind } });
    let with = |what: &str, parameters: Value| {
        let mut operation = simple(what);
        operation["parameters"] = parameters;
        operation
    };
    let mut paths = Map::new();
    paths.insert(
        "/models".into(),
        json!({
            "get": with("The models", json!([query("limit", "How many", "integer"), query("next_page_token", "Where to go on", "string")])),
            "post": with("Registers an archive of the model store", json!([
                query("url", "The archive's file name", "string"),
                query("model_name", "Another name than the archive's", "string"),
                query("initial_workers", "Threads", "integer"),
            ])),
        }),
    );
    paths.insert(
        "/models/{model}".into(),
        json!({
            "get": with("One model", json!([name])),
            "put": with("Scales its workers", json!([name, query("min_worker", "Threads", "integer")])),
            "delete": with("Unregisters it", json!([name])),
        }),
    );
    let version = json!({ "name": "version", "in": "path", "required": true, "schema": { "type": "string" } });
    paths.insert(
        "/models/{model}/{version}/set-default".into(),
        json!({ "put": with("Answers where no version is named", json!([name, version])) }),
    );
    document("candle-explain: the models", paths)
}

fn document(title: &str, paths: Map<String, Value>) -> Value {
    json!({
        "openapi": "3.0.1",
        "info": { "title": title, "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": { "securitySchemes": { "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "A key of key_file.json, where the server was started with keys",
        } } },
        "security": [{}, { "key": [] }],
    })
}

fn simple(summary: &str) -> Value {
    json!({ "summary": summary, "responses": { "200": { "description": "As asked" } } })
}

fn operation(summary: String, content: &Value, parameters: &[Value]) -> Value {
    json!({
        "summary": summary,
        "parameters": parameters,
        "requestBody": { "required": true, "content": content },
        "responses": {
            "200": { "description": "As asked, in the form that Accept names" },
            "400": { "description": "What is wrong with the request, and what to send instead" },
            "404": { "description": "There is no such model" },
            "413": { "description": "The body is too large" },
            "503": { "description": "Too many requests are waiting: try again after Retry-After seconds" },
        },
    })
}

/// The bodies that a model takes.
fn asked(description: &Description) -> Value {
    let record = record(description);
    let records = json!({ "type": "array", "items": record });
    let form = json!({ "schema": { "type": "object", "properties": {
        "input_file_path": { "type": "string", "description": "A CSV file below the server's input directory" },
        "data": { "type": "string", "description": "CSV or JSON" },
    } } });
    json!({
        "application/json": { "schema": { "oneOf": [record, records, instances_schema(description)] } },
        "text/csv": { "schema": { "type": "string" } },
        "text/plain": { "schema": { "type": "string" } },
        "application/x-www-form-urlencoded": form,
        "multipart/form-data": form,
    })
}

fn instances(description: &Description) -> Value {
    json!({ "application/json": { "schema": instances_schema(description) } })
}

fn instances_schema(description: &Description) -> Value {
    json!({
        "type": "object",
        "required": ["instances"],
        "properties": {
            "instances": { "type": "array", "items": record(description) },
            "parameters": { "type": "object" },
        },
    })
}

fn record(description: &Description) -> Value {
    let property = |field: &super::Field| {
        let schema = match &field.kind {
            FieldKind::Number { typical, .. } => json!({ "type": "number", "example": typical }),
            FieldKind::Choice { choices, .. } => json!({ "type": "string", "enum": choices }),
            FieldKind::Text { typical } => json!({ "type": "string", "example": typical }),
        };
        (field.name.clone(), schema)
    };
    let names: Vec<&str> = description.fields.iter().map(|field| field.name.as_str()).collect();
    let properties: Map<String, Value> = description.fields.iter().map(property).collect();
    json!({ "type": "object", "required": names, "properties": properties })
}

/// What a request may ask for in the address.
fn parameters(description: &Description) -> Vec<Value> {
    let query = |name: &str, schema: Value| json!({ "name": name, "in": "query", "schema": schema });
    let mut parameters = vec![
        query("method", json!({ "type": "string", "enum": description.methods })),
        query("n_steps", json!({ "type": "integer", "minimum": 1 })),
        query("tolerance", json!({ "type": "number" })),
        query(
            "baseline",
            json!({ "oneOf": [{ "type": "number" }, { "type": "string", "description": "A record as JSON" }] }),
        ),
        query("quadrature", json!({ "type": "string" })),
    ];
    if !description.classes.is_empty() {
        let classes: Vec<&str> =
            std::iter::once("predicted").chain(description.classes.iter().map(String::as_str)).collect();
        parameters.insert(0, query("target", json!({ "type": "string", "enum": classes })));
    }
    let takes =
        |option: &str| METHODS.iter().any(|info| description.methods.contains(&info.name) && info.takes(option));
    for option in ["layer", "neuron"] {
        if takes(option) && (description.kind == Kind::Tabular || option == "layer") {
            parameters.push(query(option, json!({ "type": "string" })));
        }
    }
    parameters
}
