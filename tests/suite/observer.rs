//! Every method tells its observer how far it is, and ends between two passes when it is told to.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use candle_explain::ErrorKind;
use candle_explain::prelude::*;

use crate::plain::{Plain, rows, tensor};

/// A network that counts its passes and their rows.
struct Counted {
    network: Sequential,
    passes: AtomicUsize,
    rows: AtomicUsize,
}

impl Counted {
    fn new() -> Arc<Self> {
        Arc::new(Self { network: Plain::new(71).sequential(), passes: AtomicUsize::new(0), rows: AtomicUsize::new(0) })
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

/// Does the same with each method: `$of` is called with its name and with what attributes under an observer.
macro_rules! with_each {
    ($model:expr, $of:expr, $($method:ident($($given:expr),*) $(.$set:ident($value:expr))*,)+) => {
        $($of(stringify!($method), &|observer: Arc<dyn Observer>| {
            let observer = move |progress: &Progress| observer.before_pass(progress);
            let method = $method::new($model, $($given),*)$(.$set($value))*.observer(observer);
            method.attribute_to(&Inputs::from(&tensor(&rows(72, 6))), &Target::Class(1))
        });)+
    };
}

type Attributed<'a> = &'a dyn Fn(Arc<dyn Observer>) -> Result<Attributions>;

fn each(model: &Arc<Counted>, of: impl Fn(&str, Attributed)) {
    let model = || model.clone();
    with_each! {
        model(), of,
        IntegratedGradients(),
        Saliency(),
        InputXGradient(),
        DeepLift(),
        GradientShap().baseline(0.),
        LayerIntegratedGradients("tanh1"),
        LayerConductance("tanh1"),
        LayerActivation("tanh1"),
        LayerGradientXActivation("tanh1"),
        InternalInfluence("tanh1"),
        LayerGradientShap("tanh1").baseline(0.),
        NeuronConductance("tanh1", 2),
        NeuronGradient("tanh1", 2),
        NeuronIntegratedGradients("tanh1", 2),
        NeuronGradientShap("tanh1", 2).baseline(0.),
    }
}

#[test]
fn an_observer_sees_every_pass_and_changes_nothing() {
    let model = Counted::new();
    each(&model, |name, attributed| {
        let seen: Arc<Mutex<Vec<Progress>>> = Arc::default();
        let quiet = attributed(Arc::new(|_: &Progress| ControlFlow::Continue(()))).unwrap();
        model.passes.store(0, Ordering::Relaxed);
        model.rows.store(0, Ordering::Relaxed);
        let note = seen.clone();
        let watched = attributed(Arc::new(move |progress: &Progress| {
            note.lock().unwrap().push(*progress);
            ControlFlow::Continue(())
        }));
        assert_eq!(numbers(watched.unwrap().tensor()), numbers(quiet.tensor()), "{name}");
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), model.passes.load(Ordering::Relaxed), "{name}");
        assert!(seen.iter().enumerate().all(|(index, progress)| progress.passes() == index), "{name}: {seen:?}");
        assert!(seen.windows(2).all(|pair| pair[0].rows() < pair[1].rows()), "{name}: {seen:?}");
        assert!(seen.last().unwrap().rows() < model.rows.load(Ordering::Relaxed), "{name}");
    });
}

#[test]
fn a_cancelled_call_is_an_error_and_runs_no_more_passes() {
    let model = Counted::new();
    each(&model, |name, attributed| {
        for allowed in [0, 1, 2] {
            model.passes.store(0, Ordering::Relaxed);
            let until = move |progress: &Progress| match progress.passes() < allowed {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            };
            let result = attributed(Arc::new(until));
            let passes = model.passes.load(Ordering::Relaxed);
            match result {
                // It needed no more.
                Ok(_) => assert!(passes <= allowed, "{name}: {passes} of {allowed}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Cancelled, "{name}: {error}");
                    assert!(error.to_string().contains("the observer cancelled the call after"), "{error}");
                    assert_eq!(passes, allowed, "{name}");
                }
            }
        }
    });
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
