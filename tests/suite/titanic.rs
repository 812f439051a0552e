//! The Titanic walkthrough, to the digits of Captum's tutorial. It runs where the tutorial's data
//! is: in the folder `CANDLE_EXPLAIN_DATA`, or `shared/data` beside the checkout.

use std::path::{Path, PathBuf};

use candle_explain::prelude::*;

/// The tutorial's weights and split, or nothing where they are not.
fn tutorial() -> Option<(Sequential, Dataset, Dataset, serde_json::Value)> {
    let folder = std::env::var_os("CANDLE_EXPLAIN_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let weights = folder.join("titanic_tutorial_weights.safetensors");
    if !weights.exists() {
        println!("not run: {} is not there", weights.display());
        return None;
    }
    let net = Titanic::network(Seed(1)).unwrap();
    net.load(&weights).unwrap();
    let passengers = Titanic::from_path(folder.join("titanic3.csv")).unwrap();
    let (train, test) = passengers.split(Split::Tutorial).unwrap();
    let split = std::fs::read_to_string(folder.join("titanic_tutorial_split.json")).unwrap();
    Some((net, train, test, serde_json::from_str(&split).unwrap()))
}

fn assert_close(got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len());
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= tolerance, "{index}: {got} instead of {expected}");
    }
}

#[test]
fn the_tutorials_split_comes_out_of_its_seed() {
    let Some((_, train, test, split)) = tutorial() else { return };
    let passengers = Titanic::load().unwrap();
    for (rows, name) in [(train, "train"), (test, "test")] {
        let positions: Vec<usize> =
            split[name].as_array().unwrap().iter().map(|row| row.as_u64().unwrap() as usize).collect();
        let expected = passengers.data().rows(&positions).unwrap();
        let values = |data: &Dataset| data.features().first().to_vec2::<f32>().unwrap();
        assert_eq!(values(&rows), values(&expected), "{name}");
        assert_eq!(rows.labels(), expected.labels(), "{name}");
    }
}

#[test]
fn accuracies() {
    let Some((net, train, test, _)) = tutorial() else { return };
    assert_eq!(train.accuracy(&net).unwrap(), 0.8493449781659389);
    assert_eq!(test.accuracy(&net).unwrap(), 0.816793893129771);
}

#[test]
fn integrated_gradients() {
    let Some((net, _, test, _)) = tutorial() else { return };
    let result = IntegratedGradients::new(&net).attribute(test.features(), Target::Class(1)).unwrap();
    let expected =
        [-0.4537, -0.1191, -0.0555, 0.1753, 0.1539, -0.3593, 0.0862, -0.0005, -0.0817, 0.0620, 0.0209, -0.1593];
    assert_close(result.mean().unwrap().values(), &expected, 0.00005);
    assert!((result.convergence_delta().unwrap().max_abs() - 0.0254).abs() <= 0.00005);
}

#[test]
fn layer_conductance() {
    let Some((net, _, test, _)) = tutorial() else { return };
    let result = LayerConductance::new(&net, "sigmoid1").attribute(test.features(), Target::Class(1)).unwrap();
    let expected = [-0.123, -0.040, 0.030, 0.012, -0.022, -0.137, 0.009, 0.001, -0.136, 0.000, -0.306, 0.016];
    assert_close(result.mean().unwrap().values(), &expected, 0.0005);
}

#[test]
fn neuron_conductance() {
    let Some((net, _, test, _)) = tutorial() else { return };
    let of = |neuron: usize| {
        let method = NeuronConductance::new(&net, "sigmoid1", neuron).quadrature(Quadrature::CaptumTrapezoid);
        method.attribute(test.features(), Target::Class(1)).unwrap().mean().unwrap()
    };
    let neuron_0 = [-0.128, -0.004, 0.003, 0.003, 0.000, 0.001, 0.006, 0.000, -0.004, 0.002, 0.007, -0.019];
    let neuron_10 = [-0.012, 0.003, 0.000, -0.015, 0.055, -0.210, 0.016, -0.006, -0.052, 0.022, 0.009, -0.116];
    assert_close(of(0).values(), &neuron_0, 0.0005);
    assert_close(of(10).values(), &neuron_10, 0.0005);
}

#[test]
fn a_tolerance_settles_the_rows_that_50_steps_leave_open() {
    let Some((net, _, test, _)) = tutorial() else { return };
    let fixed = IntegratedGradients::new(&net);
    let settled = fixed.tolerance(1e-3).attribute(test.features(), Target::Class(1)).unwrap();
    assert!(fixed.attribute(test.features(), Target::Class(1)).unwrap().convergence_delta().unwrap().max_abs() > 0.02);
    assert!(settled.settled().unwrap().iter().all(|settled| *settled));
    assert!(settled.convergence_delta().unwrap().max_abs() <= 1e-3);

    let conductance = LayerConductance::new(&net, "sigmoid1").tolerance(1e-3);
    let conductance = conductance.attribute(test.features(), Target::Class(1)).unwrap();
    assert!(conductance.settled().unwrap().iter().all(|settled| *settled));
    assert!(conductance.convergence_delta().unwrap().max_abs() <= 1e-3);
}

#[test]
fn training_from_scratch() {
    let Some((_, train, test, _)) = tutorial() else { return };
    let fit = |seed: Seed| {
        let net = Titanic::network(seed).unwrap();
        let history = Trainer::adam(0.1).epochs(200).test_on(&test).fit(&net, &train).unwrap();
        (history.test_accuracy().unwrap(), net.predict(test.features()).unwrap().to_vec2::<f32>().unwrap())
    };
    // A processor's rounding decides what becomes of one seed, so ten are asked.
    let accuracies: Vec<f64> = (1..=10).map(|seed| fit(Seed(seed)).0).collect();
    assert!(accuracies.iter().all(|accuracy| *accuracy > 0.76), "{accuracies:?}");
    assert!(accuracies.iter().sum::<f64>() / 10. > 0.79, "{accuracies:?}");
    assert_eq!(fit(Seed::default()).1, fit(Seed::default()).1, "the same seed gives the same network");
}

#[test]
fn the_shipped_weights() {
    let net = Titanic::network(Seed(1)).unwrap();
    net.load(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/titanic.safetensors")).unwrap();
    let Some((_, _, test, _)) = tutorial() else { return };
    let accuracy = test.accuracy(&net).unwrap();
    assert!(accuracy >= 0.80, "{accuracy}");
}

#[test]
fn the_synthetic_table_trains_and_says_that_it_is_synthetic() {
    let passengers = Titanic::offline().unwrap();
    assert!(passengers.is_synthetic());
    assert_eq!((passengers.data().len(), passengers.survivors(), passengers.ages_filled()), (1309, 500, 263));
    let (train, test) = passengers.split(Split::Tutorial).unwrap();
    let net = Titanic::network(Seed::default()).unwrap();
    let history = Trainer::adam(0.1).test_on(&test).fit(&net, &train).unwrap();
    assert!(history.test_accuracy().unwrap() > 0.75, "{:?}", history.test_accuracy());
}
