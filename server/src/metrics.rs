//! The metrics for Prometheus, under TorchServe's names where it has them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use candle_explain::{Result, error};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The metrics for Prometheus.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    latency: Family<Labels, Gauge<f64, AtomicU64>>,
    queue: Family<Labels, Gauge<f64, AtomicU64>>,
    seconds: Family<Labels, Histogram>,
    replies: Family<Status, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    model_name: String,
    model_version: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    code: u16,
}

/// The metrics of one version of a model.
#[derive(Clone)]
pub(crate) struct ModelMetrics {
    requests: Counter,
    latency: Gauge<f64, AtomicU64>,
    queue: Gauge<f64, AtomicU64>,
    seconds: Histogram,
}

impl Metrics {
    pub(crate) fn new() -> Arc<Self> {
        let mut registry = Registry::default();
        let requests = Family::<Labels, Counter>::default();
        // TorchServe's sums have no `_total` in their names; only gauges may lack it.
        let latency = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        let queue = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        let seconds =
            Family::<Labels, Histogram>::new_with_constructor(|| Histogram::new(exponential_buckets(1e-4, 2., 18)));
        let replies = Family::<Status, Counter>::default();
        registry.register("ts_inference_requests", "Predictions and explanations asked for", requests.clone());
        registry.register("ts_inference_latency_microseconds", "Time until they were answered", latency.clone());
        registry.register("ts_queue_latency_microseconds", "Time that they waited", queue.clone());
        registry.register("candle_explain_answer_seconds", "Time until an answer", seconds.clone());
        registry.register("candle_explain_replies", "Replies of all ports by status", replies.clone());
        Arc::new(Self { registry, requests, latency, queue, seconds, replies })
    }

    pub(crate) fn of_model(&self, name: &str, version: &str) -> ModelMetrics {
        let labels = Labels { model_name: name.to_string(), model_version: version.to_string() };
        ModelMetrics {
            requests: self.requests.get_or_create(&labels).clone(),
            latency: self.latency.get_or_create(&labels).clone(),
            queue: self.queue.get_or_create(&labels).clone(),
            seconds: self.seconds.get_or_create(&labels).clone(),
        }
    }

    pub(crate) fn replied(&self, code: u16) {
        self.replies.get_or_create(&Status { code }).inc();
    }

    /// Prometheus' text form.
    pub(crate) fn text(&self) -> Result<String> {
        let mut text = String::new();
        encode(&mut text, &self.registry).map_err(|e| error!(Input, "the metrics cannot be written: {e}"))?;
        Ok(text)
    }
}

impl ModelMetrics {
    pub(crate) fn asked(&self) {
        self.requests.inc();
    }

    pub(crate) fn waited(&self, time: Duration) {
        self.queue.inc_by(time.as_secs_f64() * 1e6);
    }

    pub(crate) fn answered(&self, time: Duration) {
        self.latency.inc_by(time.as_secs_f64() * 1e6);
        self.seconds.observe(time.as_secs_f64());
    }
}
