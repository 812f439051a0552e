//! Settings that do not fit, over every method that takes them: chosen at run time, and below a NoiseTunnel.

use std::sync::Arc;

use candle_explain::ErrorKind;
use candle_explain::attr::METHODS;
use candle_explain::engine::{Cost, Family, MethodInfo, Options, Requirement};
use candle_explain::prelude::*;

use crate::laws::{mixes_rows, network, options, takes_baseline_of_inputs};
use crate::plain::{SIZES, rows, tensor};

fn taking(setting: &str) -> Vec<&'static MethodInfo> {
    let methods: Vec<_> = METHODS.iter().filter(|info| info.takes(setting)).collect();
    assert!(!methods.is_empty(), "{setting}");
    methods
}

fn tunnel() -> &'static MethodInfo {
    METHODS.iter().find(|info| info.takes("method")).unwrap()
}

/// What the method says to these options, and what a tunnel over it says.
#[track_caller]
fn assert_refused(info: &MethodInfo, options: &Options, inputs: &Tensor, parts: &[&str]) {
    let below = Options { method: Some(info.name.to_string()), ..options.clone() };
    let target = info.target(1);
    for (info, options) in [(info, options), (tunnel(), &below)] {
        let method = (info.build)(Arc::new(network(info, 21)), options).unwrap();
        let error = method.attribute_to(&Inputs::from(inputs), &target).map(|_| info.name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{}: {error}", info.name);
        for part in parts {
            assert!(error.to_string().contains(part), "{}: \"{error}\" does not say \"{part}\"", info.name);
        }
    }
}

fn ids(ids: &[u32]) -> Option<FeatureMask> {
    Some(FeatureMask::from(Tensor::from_slice(ids, (1, ids.len()), &Device::Cpu).unwrap()))
}

#[test]
fn a_mask_of_another_shape() {
    let x = tensor(&rows(1, 2));
    for info in taking("feature_mask") {
        let (what, width) = if info.family == Family::Layer { ("layer", SIZES[1]) } else { ("input", SIZES[0]) };
        let wide = Options { feature_mask: ids(&[0, 1, 2, 3, 4, 5]), ..options(info) };
        let shape = format!("the feature mask of {what} 0 has the shape [1, 6]");
        assert_refused(
            info,
            &wide,
            &x,
            &[&shape, &format!("expected [1, {width}] for every example, or [2, {width}]")],
        );
        if !info.requires(Requirement::SeveralRows) {
            let one = (info.build)(Arc::new(network(info, 3)), &wide).unwrap();
            let one = one.attribute_to(&Inputs::from(&tensor(&rows(1, 1))), &info.target(1)).unwrap_err().to_string();
            assert!(one.ends_with(&format!("expected [1, {width}]")), "{}: {one}", info.name);
        }
        let mask = Tensor::zeros((1, width), DType::U32, &Device::Cpu).unwrap();
        let two = Options { feature_mask: Some(FeatureMask::from(vec![mask.clone(), mask])), ..options(info) };
        assert_refused(info, &two, &x, &["2 tensors for 1 inputs or layers", "give one for each"]);
    }
}

#[test]
fn a_mask_with_a_gap() {
    let x = tensor(&rows(2, 2));
    for info in taking("feature_mask") {
        let width = if info.family == Family::Layer { SIZES[1] } else { SIZES[0] };
        let gap = Options { feature_mask: ids(&[0, 2, 2, 0, 0][..width]), ..options(info) };
        let parts = ["no element of id 1", "goes up to 2", "number the features 0, 1, 2 and so on without a gap"];
        assert_refused(info, &gap, &x, &parts);
    }
}

#[test]
fn windows_and_strides() {
    let x = tensor(&rows(3, 2));
    for info in taking("sliding_window_shapes") {
        let of = |window: usize, strides: Sizes| Options {
            sliding_window_shapes: Some(Sizes::from(window)),
            strides: Some(strides),
            ..options(info)
        };
        let larger = ["the window [5] is larger than input 0, which is [4]", "give at most the input's size"];
        assert_refused(info, &of(5, 1.into()), &x, &larger);
        for zero in [Sizes::from(0), Sizes::from([0])] {
            assert_refused(info, &of(2, zero), &x, &["strides of input 0 is [0]", "expected at least 1"]);
        }
    }
}

#[test]
fn one_row_for_a_permutation() {
    for info in METHODS.iter().filter(|info| mixes_rows(info)) {
        let parts = ["there is one example", "from the other rows of a batch, at least 2"];
        assert_refused(info, &options(info), &tensor(&rows(4, 1)), &parts);
    }
}

#[test]
fn a_surrogate_that_does_not_converge() {
    for info in taking("max_iterations") {
        let short = Options { max_iterations: Some(1), ..options(info) };
        let parts = ["did not converge in 1 rounds", "was to be at most", "allow more with max_iterations"];
        assert_refused(info, &short, &tensor(&rows(5, 2)), &parts);
    }
}

#[test]
fn a_distribution_of_baselines_that_is_empty_or_missing() {
    let x = tensor(&rows(6, 2));
    let give = "give baseline(Baseline::distribution(&rows)) with rows [rows, ...] like those of the inputs";
    for info in taking("baseline") {
        let width = if takes_baseline_of_inputs(info) { SIZES[0] } else { SIZES[1] };
        let empty = Baseline::distribution(&Tensor::zeros((0, width), DType::F64, &Device::Cpu).unwrap());
        let empty = Options { baseline: Some(empty), ..options(info) };
        assert_refused(info, &empty, &x, &["has no row", &format!("[[0, {width}]]"), give]);
        let none = Options { baseline: Some(Baseline::Distribution(Vec::new())), ..options(info) };
        let missing = format!("{} needs a distribution of baselines, and none came", info.name);
        let said = if info.needs("baseline") { &missing } else { "has no row, its shapes are []" };
        assert_refused(info, &none, &x, &[said, give]);
        if info.needs("baseline") {
            assert_refused(info, &Options { baseline: None, ..options(info) }, &x, &[&missing, give]);
        }
    }
}

#[test]
fn a_rule_for_a_layer_that_is_not_there() {
    for info in taking("rules") {
        let rules = Some(vec![("nowhere".to_string(), LrpRule::Gamma(0.25))]);
        let method = Options { rules, ..options(info) };
        let below = Options { method: Some(info.name.to_string()), ..method.clone() };
        for (info, options) in [(info, method), (tunnel(), below)] {
            let method = (info.build)(Arc::new(network(info, 21)), &options).unwrap();
            let error = method.attribute_to(&Inputs::from(tensor(&rows(7, 2))), &info.target(1)).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Layer, "{}: {error}", info.name);
            let said =
                "a rule was chosen for a layer: no layer named \"nowhere\" in this model; it has: linear1, tanh1,";
            assert!(error.to_string().contains(said), "{}: {error}", info.name);
        }
    }
}

#[test]
fn exact_values_of_17_features() {
    let sum = from_rows(|rows: &[Vec<f64>]| rows.iter().map(|row| row.iter().sum()).collect::<Vec<f64>>());
    let x = Inputs::from(Tensor::ones((2, 17), DType::F64, &Device::Cpu).unwrap());
    let direct = METHODS.iter().find(|info| info.cost == Cost::PerCoalition).unwrap();
    let below = Options { method: Some(direct.name.to_string()), ..Options::default() };
    for (info, options) in [(direct, Options::default()), (tunnel(), below)] {
        let method = (info.build)(sum.clone(), &options).unwrap();
        let error = method.attribute_to(&x, &Target::None).map(|_| info.name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        for part in ["17 features", "131072 evaluations of the model for each example", "with 65536", "feature_mask"] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
