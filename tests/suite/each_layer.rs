//! Layers that are attributed each by itself, together in one call.

use std::sync::{Arc, Mutex};

use candle_explain::prelude::*;

use crate::laws_on_models::numbers;
use crate::plain::{LAYERS, Plain, rows, tensor};

/// A network that notes the rows of each of its passes.
struct Noting {
    network: Sequential,
    passes: Mutex<Vec<usize>>,
}

impl Noting {
    fn new() -> Arc<Self> {
        Arc::new(Self { network: Plain::new(61).sequential(), passes: Mutex::default() })
    }

    fn passes(&self) -> Vec<usize> {
        std::mem::take(&mut self.passes.lock().unwrap())
    }
}

impl Model for Noting {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        self.passes.lock().unwrap().push(input.batch_size()?);
        self.network.forward(input, layers)
    }

    fn known_operations(&self) -> Option<usize> {
        self.network.known_operations()
    }
}

/// An error unless both know the same of a layer. In `f64` products of other numbers of rows may round otherwise.
#[track_caller]
fn assert_same(one: &Attributions, other: &Attributions, what: &str) {
    assert_eq!((one.places(), one.tensor().dims()), (other.places(), other.tensor().dims()), "{what}");
    assert_eq!(
        (one.steps(), one.settled(), one.targets()),
        (other.steps(), other.settled(), other.targets()),
        "{what}"
    );
    let deltas = |result: &Attributions| result.convergence_delta().unwrap().values().to_vec();
    let errors = |result: &Attributions| result.error_estimates().map(<[f64]>::to_vec).unwrap_or_default();
    let all = |result: &Attributions| [numbers(result.tensor()), deltas(result), errors(result)].concat();
    let (ours, theirs) = (all(one), all(other));
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (one, other) in ours.iter().zip(&theirs) {
        assert!((one - other).abs() <= 1e-13, "{what}: {one}, not {other}");
    }
    let words = |result: &Attributions| {
        result.remarks().iter().map(|remark| remark.replace(char::is_numeric, "")).collect::<Vec<_>>()
    };
    assert_eq!(words(one), words(other), "{what}");
}

/// Sets how the path is walked.
type Set = fn(LayerConductance) -> LayerConductance;

/// Ways to walk the path.
fn ways() -> Vec<(&'static str, Set)> {
    vec![
        ("50 steps", |method| method),
        ("one step", |method| method.n_steps(1)),
        ("passes of one row", |method| method.n_steps(7).internal_batch_size(1)),
        ("passes of three rows", |method| method.n_steps(7).internal_batch_size(3)),
        ("the trapezoid", |method| method.n_steps(9).quadrature(Quadrature::CaptumTrapezoid)),
        ("a tolerance", |method| method.tolerance(1e-9)),
        ("a tolerance in passes of four rows", |method| method.tolerance(1e-9).internal_batch_size(4)),
        ("a tolerance that is not reached", |method| method.tolerance(1e-15).max_steps(45)),
        ("three baselines", |method| method.n_steps(5).baseline(Baseline::distribution(&tensor(&rows(4, 3))))),
        ("a tolerance and three baselines", |method| {
            method.tolerance(1e-7).baseline(Baseline::distribution(&tensor(&rows(4, 3))))
        }),
        ("a baseline for each example", |method| method.n_steps(5).baseline(tensor(&rows(8, 4)))),
        ("the layers' inputs", |method| method.n_steps(5).attribute_to_layer_input(true)),
    ]
}

#[test]
fn layers_get_together_what_they_get_alone() {
    let net = Plain::new(61).sequential();
    let inputs = tensor(&rows(3, 4));
    for (what, set) in ways() {
        let layers = ["tanh2", "linear1", "linear3", "tanh1"];
        let together = set(LayerConductance::new(&net, layers)).attribute(&inputs, Target::Predicted).unwrap();
        assert_eq!(together.places().len(), layers.len());
        let each = together.each_layer();
        let mut farthest = vec![0.; 4];
        for (layer, own) in layers.into_iter().zip(&each) {
            let alone = set(LayerConductance::new(&net, layer)).attribute(&inputs, Target::Predicted).unwrap();
            assert_same(own, &alone, &format!("{what}, {layer}"));
            for (farthest, delta) in farthest.iter_mut().zip(own.convergence_delta().unwrap().values()) {
                *farthest = delta.abs().max(*farthest);
            }
        }
        let deltas = together.convergence_delta().unwrap();
        assert_eq!(deltas.values().iter().map(|delta| delta.abs()).collect::<Vec<_>>(), farthest, "{what}");
        let settled: Option<Vec<bool>> = together.settled().map(<[bool]>::to_vec);
        let all = |example: usize| each.iter().all(|layer| layer.settled().is_none_or(|settled| settled[example]));
        assert!(settled.is_none_or(|settled| (0..4).all(|example| settled[example] == all(example))), "{what}");
    }
}

#[test]
fn classes_and_layers_share_a_path() {
    let inputs = tensor(&rows(3, 4));
    for (what, set) in ways() {
        let net = Noting::new();
        let method = set(LayerConductance::new(net.clone(), ["linear1", "tanh2"]));
        for (class, together) in method.attribute_classes(&inputs, [0, 1]).unwrap().iter().enumerate() {
            let alone = method.attribute(&inputs, class).unwrap();
            for (own, alone) in together.each_layer().iter().zip(alone.each_layer()) {
                assert_same(own, &alone, &format!("{what}, class {class}"));
            }
        }
    }
}

#[test]
fn layers_share_the_passes() {
    let inputs = tensor(&rows(3, 4));
    let rows_of = |set: Set, layers: &[&str], classes: usize| {
        let net = Noting::new();
        set(LayerConductance::new(net.clone(), layers)).attribute_classes(&inputs, 0..classes).unwrap();
        net.passes().iter().sum::<usize>()
    };
    for (what, set) in ways().into_iter().filter(|(what, _)| !what.contains("tolerance") && !what.contains("inputs")) {
        let one = rows_of(set, &["linear1"], 1);
        // A pass or two that measure what one keeps are of as many rows as there are classes.
        let (layers, both) = (rows_of(set, &LAYERS, 1), rows_of(set, &LAYERS, 2));
        assert!((one..one + 3).contains(&layers), "{what}: {one} rows for one layer, {layers} for all");
        assert!((one..one + 12).contains(&both), "{what}: {one} rows for one layer, {both} for all and two classes");
    }
    // Of one example, whose layers are all cut at the same places.
    let inputs = tensor(&rows(3, 1));
    let rows_of = |layers: &[&str]| {
        let net = Noting::new();
        LayerConductance::new(net.clone(), layers).tolerance(1e-3).attribute(&inputs, 1).unwrap();
        net.passes().iter().sum::<usize>()
    };
    assert_eq!(rows_of(&LAYERS), rows_of(&["tanh1"]));
}

#[test]
fn passes_are_of_no_more_rows_than_were_chosen() {
    for set in [|method: LayerConductance| method.n_steps(20), |method: LayerConductance| method.tolerance(1e-12)] {
        let net = Noting::new();
        let method = set(LayerConductance::new(net.clone(), LAYERS)).internal_batch_size(3);
        method.attribute(tensor(&rows(3, 4)), 0).unwrap();
        assert!(net.passes().iter().all(|rows| *rows <= 3));
    }
}

#[test]
fn an_encoders_layers_are_those_of_a_call_for_each() {
    let explain = Explainer::from_pretrained("data/sentiment-vi").unwrap();
    let model = explain.model();
    let input = model.tokenize("Sản phẩm này rất tốt, nhưng giao hàng quá chậm").unwrap();
    let upper = FromLayer::new(model, "embeddings");
    let (embedded, reference) = (upper.inputs(&input).unwrap(), upper.inputs(input.reference().unwrap()).unwrap());
    let names = ["encoder.layer.0", "encoder.layer.0.attention.weights", "encoder.layer.1"];
    for set in [|method: LayerConductance| method, |method: LayerConductance| method.tolerance(1e-4)] {
        let method = |layers: &[&str]| set(LayerConductance::new(&upper, layers).baseline(&reference));
        let together = method(&names).attribute(&embedded, Target::Predicted).unwrap();
        for (name, own) in names.iter().zip(together.each_layer()) {
            let alone = method(&[name]).attribute(&embedded, Target::Predicted).unwrap();
            assert_eq!((own.steps(), own.settled()), (alone.steps(), alone.settled()));
            let (own, alone) = (numbers(own.tensor()), numbers(alone.tensor()));
            let largest = alone.iter().fold(0f64, |largest, value| largest.max(value.abs()));
            // What lies below and above a layer is computed in other ways when it is tapped.
            for (own, alone) in own.iter().zip(&alone) {
                assert!((own - alone).abs() <= 1e-6 * largest.max(1.), "{name}: {own}, not {alone} of {largest}");
            }
        }
    }
}

#[test]
fn layers_that_do_not_fit_are_errors() {
    let net = Plain::new(61).sequential();
    let inputs = tensor(&rows(3, 2));
    let message = |layers: &[&str]| LayerConductance::new(&net, layers).attribute(&inputs, 0).unwrap_err().to_string();
    assert!(message(&["tanh1", "tanh7"]).starts_with("no layer named \"tanh7\" in this model; it has: linear1"));
    assert_eq!(message(&["tanh1", "tanh1"]), "layer \"tanh1\" was named twice: name each layer once");
    assert!(message(&[]).contains("no layer was named"));
    let mixed = from_fn(|input, layers| {
        let narrow = layers.visit("narrow", input.first().to_dtype(DType::F32)?)?;
        let wide = layers.visit("wide", narrow.to_dtype(DType::F64)?)?;
        Ok(wide.sqr()?.sum(1)?)
    });
    let mixed = LayerConductance::new(mixed, ["narrow", "wide"]).attribute(&inputs, Target::None).unwrap_err();
    assert_eq!(mixed.to_string(), "the layers are of the types [F32, F64]: attribute to those of one type at a time");
    let beside = from_fn(|input, layers| {
        let used = layers.visit("used", input.first().affine(2., 0.)?)?;
        layers.visit("unused", input.first().affine(3., 0.)?)?;
        Ok(used.sqr()?.sum(1)?)
    });
    let unused = LayerConductance::new(beside, ["used", "unused"]).attribute(&inputs, Target::None).unwrap_err();
    assert!(unused.to_string().contains("no gradient reaches layer \"unused\""), "{unused}");
    let wrong = from_fn(|input, layers| {
        let lower = layers.visit("lower", input.first().affine(2., 0.)?)?;
        let cut = (lower.sqr()?.detach() + &lower)?;
        let upper = layers.visit("upper", cut)?;
        Ok(upper.sqr()?.sum(1)?)
    });
    let upper = LayerConductance::new(wrong.clone(), "upper").attribute(&inputs, Target::None);
    assert!(upper.is_ok());
    let both = LayerConductance::new(wrong, ["upper", "lower"]).attribute(&inputs, Target::None).unwrap_err();
    assert!(both.to_string().contains("the gradient is not the derivative of the model's output"), "{both}");
}

#[test]
fn layers_that_only_add_up_together_have_no_delta_of_their_own() {
    let model = from_fn(|input, layers| {
        let left = layers.visit("left", input.first().affine(2., 0.)?)?;
        let right = layers.visit("right", input.first().sqr()?)?;
        Ok((left.sqr()? + right)?.sum(1)?)
    });
    let both = LayerIntegratedGradients::new(model, ["left", "right"]).attribute(tensor(&rows(3, 2)), Target::None);
    let both = both.unwrap();
    assert!(both.convergence_delta().unwrap().max_abs() < 1e-9);
    for (index, layer) in both.each_layer().iter().enumerate() {
        assert_eq!(layer.places(), &both.places()[index..=index]);
        assert_eq!(numbers(layer.tensor()), numbers(both.value(index).unwrap()));
        assert!(layer.convergence_delta().is_err() && layer.steps().is_empty());
    }
}

/// A network with a layer of one number for each row, which may take only one row at a time.
struct Scored {
    network: Sequential,
    one_row_only: bool,
}

impl Model for Scored {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        let rows = input.batch_size()?;
        if self.one_row_only && rows > 1 {
            return Err(candle_explain::candle_core::Error::Msg(format!("{rows} rows")).into());
        }
        let output = self.network.forward(input, layers)?;
        let score = layers.visit("score", output.sum(1)?)?;
        Ok(score.sqr()?)
    }
}

#[test]
fn layers_of_one_number_and_models_of_one_row_are_taken() {
    let inputs = tensor(&rows(5, 2));
    let baselines = Baseline::distribution(&tensor(&rows(6, 3)));
    let of = |one_row_only: bool| {
        let model = Arc::new(Scored { network: Plain::new(61).sequential(), one_row_only });
        let names = [LAYERS[0], "score"];
        let method = LayerConductance::new(model, names).baseline(baselines.clone()).gradient_check(Check::Off);
        method.n_steps(20).attribute(&inputs, Target::None).unwrap()
    };
    let (many, one) = (of(false), of(true));
    assert_eq!(many.values()[1].dims(), [2]);
    for (many, one) in many.values().iter().zip(one.values()) {
        assert!(numbers(many).iter().zip(numbers(one)).all(|(many, one)| (many - one).abs() < 1e-12));
    }
}
