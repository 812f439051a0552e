//! Attributions of several classes in one call.

use std::sync::Arc;

use candle_explain::attr::METHODS;
use candle_explain::engine::Options;
use candle_explain::prelude::*;

use crate::laws::{mixes_rows, options};
use crate::laws_on_models::{numbers, rounding};
use crate::passes::Counted;
use crate::plain::{Plain, rows, tensor};
use crate::subjects::{TYPES, subjects};

#[track_caller]
fn assert_near(got: &[f64], expected: &[f64], share: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-3, |largest: f64, value| largest.max(value.abs()));
    for (got, expected) in got.iter().zip(expected) {
        let equal = (got - expected).abs() <= share * largest || (got.is_nan() && expected.is_nan());
        assert!(equal, "{what}: {got} and {expected}, of {largest}");
    }
}

#[track_caller]
fn assert_same(got: &Attributions, expected: &Attributions, share: f64, what: &str) {
    let all = |tensors: &[Tensor]| tensors.iter().flat_map(numbers).collect::<Vec<f64>>();
    assert_eq!(got.tensor().dims(), expected.tensor().dims(), "{what}");
    assert_near(&all(got.values()), &all(expected.values()), share, what);
    let errors = |result: &Attributions| result.standard_errors().map(all).unwrap_or_default();
    assert_near(&errors(got), &errors(expected), share, &format!("{what}, errors"));
    let deltas =
        |result: &Attributions| result.convergence_delta().map(|delta| delta.values().to_vec()).unwrap_or_default();
    let largest = all(expected.values()).iter().fold(1., |largest: f64, value| largest.max(value.abs()));
    for (got, expected) in deltas(got).iter().zip(&deltas(expected)) {
        assert!((got - expected).abs() <= share * largest, "{what}, deltas: {got} and {expected}");
    }
    assert_eq!(deltas(got).len(), deltas(expected).len(), "{what}");
    assert_eq!(got.targets(), expected.targets(), "{what}");
    assert_eq!((got.samples(), got.steps()), (expected.samples(), expected.steps()), "{what}");
    assert_eq!(got.output().is_some(), expected.output().is_some(), "{what}");
    if let (Some(got), Some(expected)) = (got.output(), expected.output()) {
        assert_near(&numbers(got), &numbers(expected), share, what);
    }
}

#[test]
fn classes_get_together_what_they_get_alone() {
    for dtype in TYPES {
        let share = rounding(dtype);
        for subject in subjects(dtype) {
            for info in subject.methods().filter(|info| info.has_target) {
                let method = (info.build)(subject.model.clone(), &subject.options(info)).unwrap();
                let together = method.attribute_classes(&subject.inputs, [1, 0]).unwrap();
                assert_eq!(together.len(), 2);
                for (class, together) in [1, 0].into_iter().zip(&together) {
                    let alone = method.attribute_to(&subject.inputs, &info.target(class)).unwrap();
                    assert_same(
                        together,
                        &alone,
                        share,
                        &format!("class {class} by {} of {}", info.name, subject.name),
                    );
                }
            }
        }
    }
}

#[test]
fn classes_share_the_forward_passes() {
    const EXAMPLES: usize = 40;
    let inputs = tensor(&rows(3, EXAMPLES));
    for info in METHODS.iter().filter(|info| info.has_target) {
        let model = Counted::new(info, true);
        let method = (info.build)(model.clone(), &options(info)).unwrap();
        let counted = |classes: &[usize]| {
            method.attribute_classes(&inputs, classes.iter().copied()).unwrap();
            model.passes().iter().sum::<usize>()
        };
        let (one, both) = (counted(&[1]), counted(&[0, 1]));
        if info.name.ends_with("LRP") {
            assert_eq!(both, 2 * one, "{}", info.name);
            continue;
        }
        // An example whose classes fall into different passes is evaluated in both.
        assert!((one..one + one / 20 + 8).contains(&both), "{}: {one} rows for one class, {both} for two", info.name);
    }
}

#[test]
fn baselines_and_masks_of_each_example_go_with_it() {
    let net = Plain::new(61).sequential();
    let inputs = tensor(&rows(3, 5));
    let baseline = tensor(&rows(4, 5));
    let width = inputs.dims()[1];
    let ids: Vec<i64> = (0..5 * width).map(|index| ((index % width + index / width) % 2) as i64).collect();
    let mask = Tensor::from_vec(ids, (5, width), &Device::Cpu).unwrap();
    for info in
        METHODS.iter().filter(|info| info.takes("feature_mask") && !info.takes("layer") || info.name == "DeepLift")
    {
        let options = Options {
            baseline: (!mixes_rows(info)).then(|| Baseline::from(&baseline)),
            feature_mask: info.takes("feature_mask").then(|| FeatureMask::from(&mask)),
            // Of two features.
            sliding_window_shapes: info.takes("sliding_window_shapes").then(|| Sizes::from(1)),
            ..options(info)
        };
        let method = (info.build)(Arc::new(net.clone()), &options).unwrap();
        for (class, together) in method.attribute_classes(&inputs, 0..2).unwrap().iter().enumerate() {
            let alone = method.attribute_to(&Inputs::from(&inputs), &Target::Class(class)).unwrap();
            assert_same(together, &alone, 1e-11, info.name);
        }
    }
}

#[test]
fn tolerances_settle_for_each_class() {
    let net = Plain::new(61).sequential();
    let inputs = tensor(&rows(3, 5));
    let path = IntegratedGradients::new(&net).tolerance(1e-6);
    let sampled = ShapleyValueSampling::new(&net).tolerance(1e-2).max_samples(4_000);
    for method in [Box::new(path) as Box<dyn Attribute>, Box::new(sampled)] {
        for (class, together) in method.attribute_classes(&inputs, 0..2).unwrap().iter().enumerate() {
            let alone = method.attribute_to(&Inputs::from(&inputs), &Target::Class(class)).unwrap();
            assert_same(together, &alone, 1e-11, together.method());
            assert_eq!(together.settled(), alone.settled());
        }
    }
}

#[test]
fn no_classes_and_rules_over_the_whole_batch_are_errors() {
    let net = Plain::new(61).sequential();
    let inputs = tensor(&rows(3, 2));
    let error = Saliency::new(&net).attribute_classes(&inputs, []).unwrap_err().to_string();
    assert_eq!(error, "there are no classes: give at least one, for example 0..2 for both of two");
    let captum = DeepLift::new(&net).captum_rules(true);
    let error = captum.attribute_classes(&inputs, 0..2).unwrap_err().to_string();
    assert!(error.starts_with("captum_rules looks at the whole batch at once"), "{error}");
    assert_eq!(captum.attribute_classes(&inputs, [1]).unwrap().len(), 1);
}

#[test]
fn a_class_is_refused_by_the_methods_without_one() {
    let inputs = Inputs::from(&tensor(&rows(3, 2)));
    let mut without = Vec::new();
    for info in METHODS {
        let model = Counted::new(info, false);
        let method = (info.build)(model.clone(), &options(info)).unwrap();
        assert!(method.attribute_to(&inputs, &info.target(1)).is_ok(), "{}", info.name);
        model.passes();
        let wrong = [Target::Class(99), Target::PerExample(vec![99; 2]), Target::Index(vec![99])];
        let errors = wrong.map(|target| method.attribute_to(&inputs, &target).unwrap_err().to_string());
        let of_classes = method.attribute_classes(&inputs, [0, 99]).unwrap_err().to_string();
        if info.has_target {
            assert!(errors.iter().chain([&of_classes]).all(|error| error.contains("99")), "{}: {errors:?}", info.name);
            assert_eq!(info.target(1), Target::Class(1));
            continue;
        }
        without.push(info.name);
        assert!(model.passes().is_empty(), "{}", info.name);
        let expected = format!(
            "{} explains what is inside the model, whatever the class: it takes no target, and Class(99) came; call \
             attribute without one",
            info.name
        );
        assert_eq!((&errors[0], &of_classes), (&expected, &expected));
        assert!(errors[1].contains("PerExample([99, 99]) came") && errors[2].contains("Index([99]) came"));
        assert!(method.attribute_classes(&inputs, [0, 1]).is_err() && method.attribute_classes(&inputs, [1]).is_err());
        // What callers give who choose no class.
        assert_eq!(info.target(1), Target::None);
        for target in [Target::None, Target::Predicted] {
            assert!(method.attribute_to(&inputs, &target).unwrap().targets().is_empty(), "{}", info.name);
        }
    }
    assert_eq!(without.len(), 9, "{without:?}");
    let tunnel = NoiseTunnel::new(NeuronGradient::new(Plain::new(61).sequential(), "tanh1", 0));
    let error = tunnel.attribute(&inputs, 1).unwrap_err().to_string();
    assert!(error.starts_with("NeuronGradient explains what is inside the model"), "{error}");
}

#[test]
fn errors_name_the_examples_that_came() {
    let net = Plain::new(61).sequential();
    let x = tensor(&rows(62, 5));
    let said = |method: &dyn Fn(&Tensor) -> Result<Vec<Attributions>>, x: &Tensor| method(x).unwrap_err().to_string();
    let ablated = |x: &Tensor| FeatureAblation::new(&net).attribute_classes(x, [0, 7, 1]);
    let error = said(&ablated, &x);
    assert!(error.contains("target class 7 is out of range: the model's output is [5, 2]"), "{error}");
    let error = said(&|x: &Tensor| IntegratedGradients::new(&net).attribute_classes(x, [0, 7]), &x);
    assert!(error.contains("class 7 is out of range") && !error.contains("example"), "{error}");
    let mask = Tensor::zeros((5, 3), DType::U32, &Device::Cpu).unwrap();
    let masked = |x: &Tensor| FeatureAblation::new(&net).feature_mask(&mask).attribute_classes(x, [0, 1]);
    let error = said(&masked, &x);
    assert!(error.contains("has the shape [5, 3]: expected [1, 4] for every example, or [5, 4]"), "{error}");
    let mut holes = rows(62, 5);
    holes[3][1] = f64::NAN;
    let error = said(&ablated, &tensor(&holes));
    assert!(error.contains("input 0") && error.contains("[3, 1]"), "{error}");
}
