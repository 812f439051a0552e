//! Every method tells its observer how far it is, and ends between two passes when it is told to.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use candle_explain::ErrorKind;
use candle_explain::attr::METHODS;
use candle_explain::engine::{MethodInfo, Observer, Options};
use candle_explain::prelude::*;

use crate::laws::{network, options};
use crate::plain::{Plain, rows, tensor};

/// A network that counts its passes and their rows.
struct Counted {
    network: Sequential,
    passes: AtomicUsize,
    rows: AtomicUsize,
}

impl Counted {
    fn new() -> Arc<Self> {
        Self::of(Plain::new(71).sequential())
    }

    fn of(network: Sequential) -> Arc<Self> {
        Arc::new(Self { network, passes: AtomicUsize::new(0), rows: AtomicUsize::new(0) })
    }
}

impl Model for Counted {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        self.passes.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(input.batch_size()?, Ordering::Relaxed);
        self.network.forward(input, layers)
    }

    fn known_operations(&self) -> Option<usize> {
        self.network.known_operations()
    }
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// A method's attributions under an observer, and the model that it asked.
fn attributed(info: &MethodInfo, observer: Arc<dyn Observer>) -> (Result<Attributions>, Arc<Counted>) {
    let model = Counted::of(network(info, 71));
    let options = Options { observer: Some(observer), ..options(info) };
    let method = (info.build)(model.clone(), &options).unwrap();
    (method.attribute_to(&Inputs::from(&tensor(&rows(72, 6))), &info.target(1)), model)
}

/// What an observer was told that lets all pass.
type Told = Arc<Mutex<Vec<Progress>>>;

fn note() -> (Arc<dyn Observer>, Told) {
    let told: Told = Arc::default();
    let note = told.clone();
    let observer = move |progress: &Progress| {
        note.lock().unwrap().push(*progress);
        ControlFlow::Continue(())
    };
    (Arc::new(observer), told)
}

#[test]
fn an_observer_sees_every_pass_and_changes_nothing() {
    for info in METHODS {
        let name = info.name;
        let (quiet, _) = attributed(info, Arc::new(|_: &Progress| ControlFlow::Continue(())));
        let (observer, told) = note();
        let (watched, model) = attributed(info, observer);
        assert_eq!(numbers(watched.unwrap().tensor()), numbers(quiet.unwrap().tensor()), "{name}");
        let told = told.lock().unwrap();
        let passes = model.passes.load(Ordering::Relaxed);
        match info.takes("method") {
            // One for the inputs themselves and one for those with noise, of which the method makes several passes.
            true => assert_eq!(told.len(), 2, "{name}: {told:?}"),
            false => assert_eq!(told.len(), passes, "{name}: {told:?}"),
        }
        assert!(told.iter().enumerate().all(|(index, progress)| progress.passes() == index), "{name}: {told:?}");
        assert!(told.windows(2).all(|pair| pair[0].rows() < pair[1].rows()), "{name}: {told:?}");
        assert!(told.last().unwrap().rows() < model.rows.load(Ordering::Relaxed), "{name}");
    }
}

#[test]
fn every_method_tells_about_how_many_rows_it_takes() {
    for info in METHODS.iter().filter(|info| !info.takes("method")) {
        let (observer, told) = note();
        let (result, model) = attributed(info, observer);
        result.unwrap();
        let (rows, name) = (model.rows.load(Ordering::Relaxed), info.name);
        let planned = told.lock().unwrap().last().unwrap().rows_planned();
        let planned = planned.unwrap_or_else(|| panic!("{name} plans nothing, and takes {rows} rows"));
        // What was evaluated is not evaluated again, nor a row that keeps its feature; ends of lines are not counted.
        assert!((7 * planned..=13 * planned).contains(&(10 * rows)), "{name} plans {planned} rows and takes {rows}");
    }
    let (observer, told) = note();
    let tunnel = METHODS.iter().find(|info| info.takes("method")).unwrap();
    attributed(tunnel, observer).0.unwrap();
    // Six examples without noise, and five samples of each.
    assert_eq!(told.lock().unwrap().last().unwrap().rows_planned(), Some(36));
}

#[test]
fn a_cancelled_call_is_an_error_and_runs_no_more_passes() {
    for info in METHODS {
        let name = info.name;
        for allowed in [0, 1, 2] {
            let until = move |progress: &Progress| match progress.passes() < allowed {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            };
            let (result, model) = attributed(info, Arc::new(until));
            let passes = model.passes.load(Ordering::Relaxed);
            match result {
                // It needed no more.
                Ok(_) => assert!(passes <= allowed || info.takes("method"), "{name}: {passes} of {allowed}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Cancelled, "{name}: {error}");
                    assert!(error.to_string().contains("the observer cancelled the call after"), "{error}");
                    assert!(passes == allowed || info.takes("method"), "{name}: {passes} of {allowed}");
                }
            }
        }
    }
}

#[test]
fn the_rows_of_a_path_are_planned_unless_a_tolerance_chooses_them() {
    let model = Counted::new();
    let x = tensor(&rows(73, 4));
    let last = |method: IntegratedGradients| {
        let seen: Arc<Mutex<Option<Progress>>> = Arc::default();
        let note = seen.clone();
        let method = method.observer(move |progress: &Progress| {
            *note.lock().unwrap() = Some(*progress);
            ControlFlow::Continue(())
        });
        method.attribute(&x, 1).unwrap();

        seen.lock().unwrap().take().unwrap()
    };
    let method = IntegratedGradients::new(model.clone()).internal_batch_size(16);
    let progress = last(method.clone());
    let planned = progress.rows_planned().unwrap();
    assert!((200..=210).contains(&planned), "{planned}");
    // F at the baselines is not counted.
    assert!((planned - 16..planned + 5).contains(&progress.rows()), "{progress:?}");
    assert_eq!(last(method.tolerance(1e-6)).rows_planned(), None);
}

#[test]
fn a_cancelled_call_stops_on_every_thread() {
    let model = Counted::new();
    let x = tensor(&rows(74, 200));
    let method = IntegratedGradients::new(model.clone()).memory_budget(1 << 14).workers(4);
    method.attribute(&x, 1).unwrap();
    let all = model.passes.swap(0, Ordering::Relaxed);
    let until = |progress: &Progress| match progress.passes() < 10 {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    };
    let error = method.observer(until).attribute(&x, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let passes = model.passes.load(Ordering::Relaxed);
    assert!((10..14).contains(&passes) && all > 20, "{passes} of {all}");
}

#[test]
fn what_a_tunnel_wraps_is_observed() {
    let model = Counted::new();
    let x = tensor(&rows(75, 3));
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let cancelled =
        Saliency::new(model.clone()).observer(move |_: &Progress| match count.fetch_add(1, Ordering::Relaxed) < 3 {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        });
    let error = NoiseTunnel::new(cancelled).attribute(&x, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert_eq!(model.passes.load(Ordering::Relaxed), 3);
}
