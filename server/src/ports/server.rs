//! The server: three ports, the models behind them, and its end.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use candle_explain::text::TextClassifier;
use candle_explain::{Error, Result, error};
use tokio::sync::{Semaphore, mpsc, watch};

use super::connection::{self, Phase};
use super::lanes::Lanes;
use crate::body;
use crate::metrics::Metrics;
use crate::models::handler::text_classifier;
use crate::models::tabular::Tabular;
use crate::models::tabular_model::TabularModel;
use crate::request::payload::Received;
use crate::request::token::{Door, Keys};
use crate::routes::app::App;
use crate::routes::{inference, kserve_v1, kserve_v2, management};
use crate::settings::Settings;
use crate::work::catalog::{Catalog, Loaded};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_REQUEST_ID: usize = 128;
const NOT_CACHED: HeaderValue = HeaderValue::from_static("no-cache; no-store, must-revalidate, private");

/// A server of models: TorchServe's inference, management and metrics ports, KServe's protocols, and
/// a page to try models with.
///
/// ```
/// use candle_explain::prelude::*;
/// use candle_explain_server::{Server, Settings, TitanicModel};
///
/// let settings = ["inference_address", "management_address", "metrics_address"]
///     .iter()
///     .try_fold(Settings::default(), |settings, key| settings.set(key, "127.0.0.1:0"))?;
/// let server = Server::new(settings)?
///     .with_model("titanic", "1.0", TitanicModel::pretrained()?)?
///     .bind()?;
/// println!("http://{}", server.inference_address());
/// server.run(async { /* until this future is ready */ })?;
/// # Ok::<(), Error>(())
/// ```
pub struct Server {
    app: App,
    refused: Vec<Error>,
}

/// A server that is bound to its ports.
pub struct BoundServer {
    app: Arc<App>,
    doors: Vec<(TcpListener, Router)>,
    addresses: [SocketAddr; 3],
}

impl Server {
    /// A server with the models of its settings' model store.
    pub fn new(settings: Settings) -> Result<Self> {
        let metrics = Metrics::new();
        let catalog = Catalog::new(&settings, metrics.clone());
        let refused = catalog.load_store(&settings.load_models)?;
        let draining = AtomicBool::new(false);
        let left_out = !refused.is_empty();
        Ok(Self { app: App { settings, catalog, metrics, keys: None, draining, left_out }, refused })
    }

    /// Why models of the store could not be loaded, if all were wanted: one broken
    /// archive does not keep the others from being served.
    pub fn refused(&self) -> &[Error] {
        &self.refused
    }

    /// The same with a model of your own.
    pub fn with_model(self, name: &str, version: &str, model: impl TabularModel) -> Result<Self> {
        let servable = Box::new(Tabular::new(model)?);
        self.with(Loaded { name: name.into(), version: version.into(), source: "built in".into(), servable })
    }

    /// The same with a text classifier.
    pub fn with_text_classifier(self, name: &str, version: &str, model: &TextClassifier) -> Result<Self> {
        let servable = text_classifier(model)?;
        self.with(Loaded { name: name.into(), version: version.into(), source: "built in".into(), servable })
    }

    /// Reads the keys that requests must show from a file like TorchServe's key_file.json. If the file
    /// does not exist, writes it with new keys. Does nothing if no keys are needed.
    pub fn with_keys(mut self, file: impl AsRef<Path>) -> Result<Self> {
        let file = file.as_ref();
        if self.needs_keys() {
            let keys = if file.exists() { Keys::from_file(file)? } else { Keys::draw()? };
            if !file.exists() {
                keys.write(file)?;
            }
            self.app.keys = Some(keys);
        }
        Ok(self)
    }

    /// Whether requests must show a key.
    pub fn needs_keys(&self) -> bool {
        self.app.settings.needs_keys()
    }

    /// The names and versions of the models.
    pub fn models(&self) -> Vec<(String, String)> {
        let models = self.app.catalog.defaults();
        models.iter().map(|running| (running.name.clone(), running.version.clone())).collect()
    }

    fn with(self, loaded: Loaded) -> Result<Self> {
        self.app.catalog.add(loaded, true)?;
        Ok(self)
    }

    /// Binds the ports. Equal addresses share one.
    pub fn bind(mut self) -> Result<BoundServer> {
        if self.needs_keys() && self.app.keys.is_none() {
            self.app.keys = Some(Keys::draw()?);
        }
        let app = Arc::new(self.app);
        let settings = &app.settings;
        let wanted = [settings.inference_address, settings.management_address, settings.metrics_address];
        let mut doors: BTreeMap<SocketAddr, (TcpListener, Router<Arc<App>>, SocketAddr)> = BTreeMap::new();
        let mut addresses = wanted;
        for (index, address) in wanted.into_iter().enumerate() {
            let alone = wanted.iter().filter(|other| **other == address).count() == 1;
            // Port 0 is another port each time.
            let key = if address.port() == 0 { SocketAddr::new(address.ip(), index as u16) } else { address };
            let routes = routes_of(index, &app, alone || address.port() == 0);
            let (listener, merged, bound) = match doors.remove(&key) {
                Some((listener, others, bound)) => (listener, others.merge(routes), bound),
                None => {
                    let listener = listen(address)?;
                    let bound = listener.local_addr().map_err(|e| error!(Input, "{address}: {e}"))?;
                    (listener, routes, bound)
                }
            };
            addresses[index] = bound;
            doors.insert(key, (listener, merged, bound));
        }
        let finish = |(listener, routes, _): (TcpListener, Router<Arc<App>>, SocketAddr)| {
            let routes = routes
                .fallback(inference::nothing)
                .method_not_allowed_fallback(inference::not_allowed)
                .layer(middleware::from_fn_with_state(app.clone(), around))
                .with_state(app.clone());
            (listener, routes)
        };
        let doors = doors.into_values().map(finish).collect();
        Ok(BoundServer { app, doors, addresses })
    }
}

impl BoundServer {
    /// The address for predictions and explanations.
    pub fn inference_address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The address for managing models.
    pub fn management_address(&self) -> SocketAddr {
        self.addresses[1]
    }

    /// The address for Prometheus.
    pub fn metrics_address(&self) -> SocketAddr {
        self.addresses[2]
    }

    /// Serves until `shutdown` is ready, then answers the open requests and ends. An error if that takes
    /// longer than the settings allow.
    pub fn run(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        candle_explain::hide_progress();
        let lanes = Arc::new(Lanes::start()?);
        // One thread accepts connections, whatever `shutdown` does in this one.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|e| error!(Input, "the server's threads could not be started: {e}"))?;
        let answered = runtime.block_on(self.serve(lanes, shutdown));
        runtime.shutdown_background();
        answered
    }

    async fn serve(self, lanes: Arc<Lanes>, shutdown: impl Future<Output = ()>) -> Result<()> {
        let (phase, phases) = watch::channel(Phase::Open);
        let (alive, all_closed) = mpsc::channel(1);
        for (listener, routes) in self.doors {
            let listener = tokio::net::TcpListener::from_std(listener)
                .map_err(|e| error!(Input, "a port cannot be listened on: {e}"))?;
            // A limit for each port: filling one does not block the others.
            let most = Arc::new(Semaphore::new(self.app.settings.max_connections));
            let lanes = lanes.clone();
            tokio::spawn(connection::accept(listener, routes, most, lanes, phases.clone(), alive.clone()));
        }
        drop((alive, phases));
        shutdown.await;
        self.app.draining.store(true, Ordering::Relaxed);
        let at_most = self.app.settings.drain_timeout;
        if connection::drain(phase, all_closed, at_most).await {
            return Ok(());
        }
        Err(error!(Input, "requests were still under way after {} seconds: they were given up", at_most.as_secs()))
    }
}

/// The routes of each of the three addresses, behind the key of its door.
fn routes_of(index: usize, app: &Arc<App>, alone: bool) -> Router<Arc<App>> {
    let locked = |door| middleware::from_fn_with_state((app.clone(), door), unlock);
    match index {
        0 => inference::routes()
            .merge(kserve_v1::routes())
            .merge(kserve_v2::routes())
            .route_layer(locked(Door::Inference))
            .merge(inference::open_routes())
            .merge(kserve_v2::open_routes())
            .route("/metrics", get(metrics)),
        1 => {
            let routes = if alone { management::description_routes() } else { Router::new() };
            routes.merge(management::routes()).route_layer(locked(Door::Management))
        }
        // The inference port already has them.
        _ if !alone && app.settings.metrics_address == app.settings.inference_address => Router::new(),
        _ => Router::new().route("/metrics", get(metrics)),
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .map_err(|e| error!(Input, "cannot listen on {address}: {e}: is another server there already?"))?;
    listener.set_nonblocking(true).map_err(|e| error!(Input, "{address}: {e}"))?;
    Ok(listener)
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    match app.metrics.text() {
        Ok(text) => body::typed(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", text),
        Err(error) => crate::failure::Failure::internal(error.to_string()).into_response(),
    }
}

/// Admits a request if no keys are needed, or if it shows the key of its door.
async fn unlock(State((app, door)): State<(Arc<App>, Door)>, request: Request, next: Next) -> Response {
    match app.keys.as_ref().map_or(Ok(()), |keys| keys.check(door, request.headers())) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.at(request.uri().path()),
    }
}

/// What every reply has in common.
async fn around(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).filter(|id| id.len() <= LONGEST_REQUEST_ID).cloned();
    let received = (!request.body().is_end_stream()).then(Received::default);
    if let Some(received) = &received {
        request.extensions_mut().insert(received.clone());
    }
    let mut reply = next.run(request).await;
    app.metrics.replied(reply.status().as_u16());
    let headers = reply.headers_mut();
    headers.insert(REQUEST_ID, id.unwrap_or_else(new_request_id));
    headers.insert(header::CACHE_CONTROL, NOT_CACHED);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let body_was_left = received.is_some_and(|received| !received.is_set());
    if app.is_draining() || body_was_left {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}

/// A random UUID. It need not be hard to guess: it only distinguishes replies.
fn new_request_id() -> HeaderValue {
    let [high, low] = [0, 1].map(|half: u8| RandomState::new().hash_one(half));
    let high = high & 0xffff_ffff_ffff_0fff | 0x4000;
    let low = low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
    let (first, second, third) = (high >> 32, high >> 16 & 0xffff, high & 0xffff);
    let (fourth, fifth) = (low >> 48, low & 0xffff_ffff_ffff);
    let uuid = format!("{first:08x}-{second:04x}-{third:04x}-{fourth:04x}-{fifth:012x}");
    HeaderValue::try_from(uuid).unwrap_or(HeaderValue::from_static("0"))
}
