//! What all ports share, and how a request goes through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::models::ask::Ask;
use crate::models::servable::{Explanation, Row};
use crate::request::token::Keys;
use crate::settings::Settings;
use crate::work::catalog::Catalog;
use crate::work::queue::{Computed, Work};
use crate::work::rows::{Each, in_place, readable, unless_all_fail};
use crate::work::running::Running;

/// What all ports share.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) catalog: Catalog,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) keys: Option<Keys>,
    pub(crate) draining: AtomicBool,
    /// Whether some of the wanted models could not be loaded.
    pub(crate) left_out: bool,
}

impl App {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether requests can be answered: every model has a worker, there is a model if some were wanted,
    /// and the server is not ending.
    pub(crate) fn is_ready(&self) -> bool {
        let models = self.catalog.defaults();
        let are_ready = models.iter().all(|running| running.is_ready());
        !self.is_draining() && are_ready && !(self.left_out && models.is_empty())
    }

    /// What the model predicts for each row.
    pub(crate) async fn predict(&self, running: &Running, rows: Each<Row>) -> Result<Each<Vec<f64>>, Failure> {
        match self.compute(running, Work::Predict, &rows).await? {
            Computed::Predictions(outputs) => unless_all_fail(in_place(rows, outputs)),
            Computed::Explanations(_) => Err(Failure::internal("the model explained what it should predict")),
        }
    }

    /// Each row's explanation according to a request's parameters, and the question read from them.
    pub(crate) async fn explain(
        &self,
        running: &Running,
        parameters: &Map<String, Value>,
        rows: Each<Row>,
    ) -> Result<(Arc<Ask>, Each<Explanation>), Failure> {
        let ask = Ask::new(parameters, running.servable(), self.settings.max_steps)?;
        let ask = Arc::new(ask.with_gradient_check(self.settings.gradient_check));
        match self.compute(running, Work::Explain(ask.clone()), &rows).await? {
            Computed::Explanations(explanations) => Ok((ask, unless_all_fail(in_place(rows, explanations))?)),
            Computed::Predictions(_) => Err(Failure::internal("the model predicted what it should explain")),
        }
    }

    async fn compute(&self, running: &Running, work: Work, rows: &Each<Row>) -> Result<Computed, Failure> {
        let readable = readable(rows);
        if readable.is_empty() {
            // Each says why, and there is nothing to compute.
            return Ok(match work {
                Work::Predict => Computed::Predictions(Vec::new()),
                Work::Explain(_) => Computed::Explanations(Vec::new()),
            });
        }
        let started = Instant::now();
        running.metrics().asked();
        let outcome = running.compute(work, readable, self.settings.response_timeout).await;
        running.metrics().answered(started.elapsed());
        outcome
    }
}

/// Reads each record by itself into the model's input.
pub(crate) fn read_rows(running: &Running, records: Vec<candle_explain::Result<Value>>) -> Each<Row> {
    let read = |record: candle_explain::Result<Value>| Ok(running.servable().read(&record?)?);
    records.into_iter().map(read).collect()
}

/// The variable parts of an address, in order.
pub(crate) type Open = Result<Path<Vec<(String, String)>>, PathRejection>;

/// The model and, if there is one, the version in an address.
pub(crate) fn model_of(open: Open) -> Result<(String, Option<String>), Failure> {
    let Path(open) = open.map_err(|e| Failure::bad_request(e.body_text()))?;
    let mut parts = open.into_iter().map(|(_, part)| part);
    Ok((parts.next().unwrap_or_default(), parts.next()))
}
