//! The server's description, as OpenAPI 3.

use serde_json::{Map, Value, json};

use super::app::App;
use super::{parameters, schemas};
use crate::models::servable::Kind;

const ROWS: &str = "Of several rows, one that cannot be answered has {\"error\": \"...\"} in its place (in V2 an empty \
                    label, the class -1 and null, with the reason among the parameters); where none can be \
                    answered, the whole request fails.";
const OTHER_FORMS: &str = "Of several rows, one that cannot be answered has {\"error\": \"...\"} in its place; a table's \
                           plain explanation is the mean over the others, and lists those under errors. Where no row can \
                           be answered, the whole request fails. The rows may come as CSV with a header (text/csv) too, \
                           or as a form's field data (CSV or JSON), input_file_path (a file below the server's input \
                           directory) or the fields of one record. What an explanation asks for may stand in the address \
                           too, what is no number or word as JSON. Some depend on the method, the layer or the record, and \
                           are not described below: layer and neuron of texts, feature_mask (an id for each feature; of \
                           LayerFeatureAblation for each neuron), strides (at most the window), rules (LRP's rule for each \
                           layer: {\"linear1\": \"gamma:0.25\"}), surrogate, similarity, sampler and n_samples of Lime, \
                           captum_rules of KernelShap, attribute_to_layer_input, and what the method that NoiseTunnel asks \
                           takes itself.";

/// The inference port, with the models that are served now.
pub(crate) fn inference(app: &App) -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    let mut path = |route: String, methods: Value| paths.insert(route, methods);
    path("/ping".into(), json!({ "get": simple("Whether every model can answer") }));
    path("/api/models".into(), json!({ "get": simple("The models with their fields, classes and methods") }));
    path("/v1/models".into(), json!({ "get": simple("KServe V1: the models' names") }));
    path("/v2".into(), json!({ "get": simple("KServe V2: the server") }));
    path("/v2/health/live".into(), json!({ "get": simple("KServe V2: whether the server runs") }));
    path("/v2/health/ready".into(), json!({ "get": simple("KServe V2: whether requests can be answered") }));
    for running in app.catalog.defaults() {
        let (name, description) = (&running.name, running.servable().description());
        let settings = &app.settings;
        let text = (description.kind == Kind::Text).then(|| schemas::text(description));
        // The parameters are described once: they are long.
        let (record, asked_for) = (format!("{name}-record"), format!("{name}-parameters"));
        schemas.insert(record.clone(), schemas::record(description));
        let mut of_methods = Vec::new();
        for (method, schema) in parameters::schemas(description, settings, &reference(&record)) {
            let of_method = format!("{name}-{method}");
            of_methods.push(reference(&of_method));
            schemas.insert(of_method, schema);
        }
        of_methods.push(json!({ "type": "null" }));
        schemas.insert(asked_for.clone(), json!({ "anyOf": of_methods }));
        let parameters = |explained: bool| explained.then(|| reference(&asked_for));
        let asked = |what: String, explained: bool| {
            let mut content = json_of(schemas::asked(description, settings, parameters(explained)));
            if let Some(text) = &text {
                content["text/plain"] = json!({ "schema": text });
            }
            let operation = operation(what, content, OTHER_FORMS);
            json!({ "get": operation, "post": operation, "put": operation })
        };
        path(format!("/predictions/{name}"), asked(format!("What {name} predicts"), false));
        path(format!("/explanations/{name}"), asked(format!("Why {name} predicts it"), true));
        for (verb, explained) in [("predict", false), ("explain", true)] {
            let body = json_of(schemas::instances(description, settings, 0, parameters(explained)));
            let operation = operation(format!("KServe V1: {verb}"), body, ROWS);
            path(format!("/v1/models/{name}:{verb}"), json!({ "post": operation }));
        }
        path(format!("/v2/models/{name}"), json!({ "get": simple("KServe V2: the model's tensors") }));
        path(format!("/v2/models/{name}/ready"), json!({ "get": simple("KServe V2: whether the model can answer") }));
        let infer = operation("KServe V2: predict".to_string(), json_of(schemas::tensors(description)), ROWS);
        path(format!("/v2/models/{name}/infer"), json!({ "post": infer }));
    }
    document("candle-explain: predictions with their reasons", paths, schemas)
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
    document("candle-explain: the models", paths, Map::new())
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn document(title: &str, paths: Map<String, Value>, schemas: Map<String, Value>) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": { "title": title, "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "key": {
                "type": "http",
                "scheme": "bearer",
                "description": "A key of key_file.json, where the server was started with keys",
            } },
        },
        "security": [{}, { "key": [] }],
    })
}

fn simple(summary: &str) -> Value {
    json!({ "summary": summary, "responses": { "200": { "description": "As asked" }, "default": failure() } })
}

fn operation(summary: String, content: Value, description: &str) -> Value {
    json!({
        "summary": summary,
        "description": description,
        "requestBody": { "required": true, "content": content },
        "responses": {
            "200": { "description": "As asked, in the form that Accept names" },
            "400": { "description": "What is wrong with the request, and what to send instead" },
            "404": { "description": "There is no such model" },
            "413": { "description": "The body is too large" },
            "503": { "description": "Too many requests are waiting: try again after Retry-After seconds" },
            "default": failure(),
        },
    })
}

fn failure() -> Value {
    json!({ "description": "What keeps the request from its answer" })
}

fn json_of(schema: Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}
