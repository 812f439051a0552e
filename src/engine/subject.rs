//! The model that a method asks, and what was found out about its gradients.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::gradient_check::Look;
use super::observer::Watched;
use super::{Check, Observer};
use crate::deep_stack::{any_stack_holds, on_deep_stack};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{IntoModel, Model};

/// If rounding or a kink hides the answer, the next calls look closely as well, up to this many times; then seldom.
const CLOSE_LOOKS: usize = 3;

/// A method's model. Copies of a method share what was found out.
#[derive(Clone)]
pub(crate) struct Subject {
    model: Arc<dyn Model>,
    check: Check,
    observer: Option<Arc<dyn Observer>>,
    findings: Arc<Mutex<BTreeMap<String, Finding>>>,
}

/// What a look at a gradient found.
#[derive(Clone)]
enum Finding {
    Right,
    /// Rounding hid the answer this many times.
    Hidden(usize),
    Wrong(String),
}

impl Subject {
    pub(crate) fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        Self { model: model.into_model(), check: Check::default(), observer: None, findings: Arc::default() }
    }

    pub(crate) fn with_check(self, check: Check) -> Self {
        Self { check, ..self }
    }

    /// The same about another model, of whose gradients nothing is known yet.
    pub(crate) fn about(&self, model: Arc<dyn Model>) -> Self {
        Self { model, findings: Arc::default(), ..self.clone() }
    }

    pub(crate) fn with_observer(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    pub(super) fn model(&self) -> &dyn Model {
        &*self.model
    }

    /// The model as one call is watched, if anybody does.
    pub(super) fn watched(&self) -> Option<Arc<Watched>> {
        Watched::new(&self.model, self.observer.clone()).map(Arc::new)
    }

    /// The model for one call without a question, which evaluates so many rows.
    pub(crate) fn for_call(&self, rows: usize) -> Arc<dyn Model> {
        match self.watched() {
            Some(watched) => {
                watched.plans(rows);
                watched
            }
            None => self.model.clone(),
        }
    }

    /// Runs a method's whole call on a thread with room for its graphs.
    pub(crate) fn ask<T: Send>(&self, call: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        match self.model.known_operations() {
            Some(tensors) if any_stack_holds(tensors) => call(),
            _ => on_deep_stack(call),
        }
    }

    /// Whether gradients are ever compared with the function.
    pub(super) fn checks_gradients(&self) -> bool {
        self.check != Check::Off && self.model.known_operations().is_none()
    }

    /// How a gradient of this kind must still be compared with the function; `None` if it need not be.
    pub(super) fn look(&self, kind: &str) -> Option<Look> {
        if !self.checks_gradients() {
            return None;
        }
        match self.findings().get(kind) {
            None => Some(Look::Close),
            Some(Finding::Hidden(times)) if *times < CLOSE_LOOKS || times.is_power_of_two() => Some(Look::Close),
            Some(Finding::Hidden(_)) => Some(Look::Quick),
            Some(Finding::Right | Finding::Wrong(_)) => None,
        }
    }

    /// Keeps what a look at a gradient found: a fault, nothing, or nothing for sure (`None`).
    pub(crate) fn record(&self, kind: String, fault: Option<Option<String>>) {
        let mut findings = self.findings();
        let finding = match (fault, findings.get(&kind)) {
            (Some(Some(fault)), _) => Finding::Wrong(fault),
            (Some(None), _) => Finding::Right,
            (None, Some(Finding::Hidden(times))) => Finding::Hidden(times + 1),
            (None, _) => Finding::Hidden(1),
        };
        findings.insert(kind, finding);
    }

    /// The error for a gradient of this kind that was found wrong, or the warning instead.
    pub(crate) fn verdict(&self, kind: &str) -> Result<Option<String>> {
        let fault = match self.findings().get(kind) {
            Some(Finding::Wrong(fault)) if self.check != Check::Off => fault.clone(),
            _ => return Ok(None),
        };
        match self.check {
            Check::Error => Err(Error::new(ErrorKind::Gradient, fault)),
            Check::Warn | Check::Off => Ok(Some(fault)),
        }
    }

    fn findings(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Finding>> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
