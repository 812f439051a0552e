//! The parsers of outside data, only for fuzzing (`fuzz/`).

use std::sync::OnceLock;

use axum::body::Body;
use axum::http::{Request, header};
use candle_explain::Seed;
use candle_explain::tabular::Titanic;
use serde_json::Map;
use tokio::runtime::Runtime;

use crate::json::strict;
use crate::models::archive::Archive;
use crate::models::ask::Ask;
use crate::models::servable::Servable;
use crate::models::tabular::Tabular;
use crate::models::titanic::TitanicModel;
use crate::request::payload::{self, Payload};
use crate::routes::kserve_v2;
use crate::settings::Settings;

const TYPES: [&str; 6] = [
    "application/json",
    "text/csv",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=XX",
    "",
];
const ENCODINGS: [&str; 4] = ["identity", "gzip", "deflate", "br"];
const LARGEST: usize = 1 << 20;

fn model() -> &'static Tabular {
    static MODEL: OnceLock<Tabular> = OnceLock::new();
    MODEL.get_or_init(|| {
        let network = Titanic::network(Seed::default());
        let titanic = network.and_then(|network| TitanicModel::new(network, ["lost", "saved"]));
        titanic.and_then(Tabular::new).unwrap_or_else(|e| std::panic::panic_any(e.to_string()))
    })
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let built = tokio::runtime::Builder::new_current_thread().enable_time().build();
        built.unwrap_or_else(|e| std::panic::panic_any(e.to_string()))
    })
}

/// A request's body, type, encoding and query, down to the rows and the question.
pub fn request(kind: u8, query: &str, body: &[u8]) {
    let settings = Settings::default().set("max_request_size", &LARGEST.to_string()).unwrap_or_default();
    let request = Request::builder()
        .uri(format!("/explanations/titanic?{query}"))
        .header(header::CONTENT_TYPE, TYPES[usize::from(kind) % TYPES.len()])
        .header(header::CONTENT_ENCODING, ENCODINGS[usize::from(kind / 16) % ENCODINGS.len()])
        .body(());
    let Ok(request) = request else { return };
    let (parts, ()) = request.into_parts();
    let read = runtime().block_on(async {
        let content = payload::receive(&parts, Body::from(body.to_vec()), &settings).await?;
        Payload::read(&parts, content.bytes, &settings).await
    });
    let Ok(payload) = read else { return };
    let asked = Ask::new(&payload.parameters, model(), 5000);
    let rows: Vec<_> = payload.records.iter().map_while(|record| model().read(record.as_ref().ok()?).ok()).collect();
    if asked.is_ok() && rows.len() == payload.records.len() {
        model().predict(&rows).unwrap_or_else(|e| std::panic::panic_any(e.to_string()));
    }
}

/// A request of KServe's second protocol.
pub fn infer(body: &[u8]) {
    let Ok(asked) = strict::parse(body, "the body") else { return };
    if let Ok(records) = kserve_v2::records(&asked, model().description()) {
        let payload = Payload { records, parameters: Map::new() };
        let _ = payload.records.iter().flatten().map(|record| model().read(record)).collect::<Vec<_>>();
    }
    let _ = kserve_v2::wanted(&asked, model().description());
}

/// An archive, down to its weights.
pub fn archive(bytes: &[u8]) {
    let Ok(archive) = Archive::from_bytes(bytes, LARGEST as u64) else { return };
    let _ = archive.handler.load(&archive);
}

/// An operator's settings.
pub fn settings(text: &str) {
    let _ = Settings::from_properties(text);
}
