//! What every method obeys, on models of every kind and in both number types.

use candle_explain::ErrorKind;
use candle_explain::attr::METHODS;
use candle_explain::engine::{Cost, Family, MethodInfo, Options};
use candle_explain::prelude::*;

use crate::laws::{mixes_rows, takes_baseline_of_inputs};
use crate::subjects::{Subject, TYPES, averages_baselines, rectifies, subjects};

fn each(law: impl Fn(&Subject, DType)) {
    for dtype in TYPES {
        for subject in subjects(dtype) {
            law(&subject, dtype);
        }
    }
}

pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// How far numbers that should be the same may be apart by rounding, as a share of the largest.
pub fn rounding(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e-11 } else { 2e-4 }
}

#[track_caller]
fn assert_same(got: &Attributions, expected: &Attributions, share: f64, what: &str) {
    assert_eq!(got.values().len(), expected.values().len(), "{what}");
    for (got, expected) in got.values().iter().zip(expected.values()) {
        assert_eq!(got.dims(), expected.dims(), "{what}");
        let expected = numbers(expected);
        let largest = expected.iter().fold(1e-3, |largest: f64, value| largest.max(value.abs()));
        for (got, expected) in numbers(got).iter().zip(&expected) {
            assert!((got - expected).abs() <= share * largest, "{what}: {got} and {expected}, of {largest}");
        }
    }
}

#[test]
fn rows_get_alone_what_they_get_in_a_batch() {
    each(|subject, dtype| {
        for info in subject.methods().filter(|info| !mixes_rows(info)) {
            let options = subject.options(info);
            let together = subject.attribute(info, &options);
            for row in [0, 3] {
                let alone = subject.attribute_rows(info, &options, row, 1);
                for (alone, together) in alone.values().iter().zip(together.values()) {
                    let of_row = numbers(&together.narrow(0, row, 1).unwrap());
                    let largest = numbers(together).iter().fold(1e-3, |largest: f64, value| largest.max(value.abs()));
                    for (alone, of_row) in numbers(alone).iter().zip(&of_row) {
                        let apart = (alone - of_row).abs();
                        assert!(apart <= rounding(dtype) * largest, "{} of {}: {apart}", info.name, subject.name);
                    }
                }
            }
        }
    });
}

#[test]
fn the_size_of_a_pass_changes_nothing() {
    each(|subject, dtype| {
        for info in subject.methods().filter(|info| info.cost == Cost::PerStep) {
            let options = Options { n_steps: Some(11), ..subject.options(info) };
            let whole = subject.attribute(info, &options);
            for rows in [1, 4, 23] {
                let cut = Options { internal_batch_size: Some(rows), ..options.clone() };
                let what = format!("{} of {} in passes of {rows}", info.name, subject.name);
                assert_same(&subject.attribute(info, &cut), &whole, rounding(dtype), &what);
            }
        }
    });
}

#[test]
fn the_same_question_has_the_same_answer_to_the_bit() {
    each(|subject, _| {
        for info in subject.methods() {
            let options = subject.options(info);
            let first = subject.attribute(info, &options);
            let second = subject.attribute(info, &options);
            for (first, second) in first.values().iter().zip(second.values()) {
                assert_eq!(numbers(first), numbers(second), "{} of {}", info.name, subject.name);
            }
        }
    });
}

#[test]
fn methods_about_relus_say_where_there_are_none() {
    each(|subject, _| {
        for info in METHODS.iter().filter(|info| rectifies(info) && !subject.rectified) {
            let options = Options { layers: layers_of(subject, info), ..subject.options(info) };
            let method = (info.build)(subject.model.clone(), &options).unwrap();
            let error = method.attribute_to(&subject.inputs, &info.target(1)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Layer, "{} of {}: {error}", info.name, subject.name);
            assert!(error.to_string().starts_with("the model runs no ReLU as a block"), "{error}");
        }
    });
}

fn layers_of(subject: &Subject, info: &MethodInfo) -> Vec<String> {
    if info.takes("layer") { vec![subject.layer.to_string()] } else { Vec::new() }
}

#[test]
fn attributions_have_the_shape_and_type_of_what_they_belong_to() {
    each(|subject, dtype| {
        for info in subject.methods() {
            let result = subject.attribute(info, &subject.options(info));
            if info.name == "LayerGradCam" {
                let dims = result.tensor().dims();
                assert!(dims[1] == 1, "{}: {dims:?} with the channels added up", subject.name);
            } else if info.family == Family::Layer {
                let activation = LayerActivation::new(subject.model.clone(), subject.layer);
                let activation = activation.attribute(&subject.inputs).unwrap();
                assert_eq!(result.tensor().dims(), activation.tensor().dims(), "{} of {}", info.name, subject.name);
            } else {
                assert_eq!(result.values().len(), subject.inputs.tensors().len(), "{}", info.name);
                for (value, input) in result.values().iter().zip(subject.inputs.tensors()) {
                    assert_eq!(value.dims(), input.dims(), "{} of {}", info.name, subject.name);
                }
            }
            assert_eq!(result.tensor().dtype(), dtype, "{} of {}", info.name, subject.name);
        }
    });
}

#[test]
fn single_precision_gives_what_double_gives() {
    let pairs = subjects(DType::F32).into_iter().zip(subjects(DType::F64));
    for (single, double) in pairs {
        for info in single.methods() {
            let what = format!("{} of {}", info.name, single.name);
            let got = single.attribute(info, &single.options(info));
            let expected = double.attribute(info, &double.options(info));
            let of_type = |value: &Tensor| value.to_dtype(DType::F64).unwrap();
            for (got, expected) in got.values().iter().zip(expected.values()) {
                let expected = numbers(expected);
                let largest = expected.iter().fold(1e-3, |largest: f64, value| largest.max(value.abs()));
                for (got, expected) in numbers(&of_type(got)).iter().zip(&expected) {
                    assert!((got - expected).abs() <= 1e-3 * largest, "{what}: {got} and {expected} of {largest}");
                }
            }
        }
    }
}

#[test]
fn the_baseline_against_itself_gets_nothing() {
    each(|subject, _| {
        let compared = |info: &&MethodInfo| takes_baseline_of_inputs(info) && info.name != "InternalInfluence";
        for info in subject.methods().filter(compared) {
            // Each example is compared with all of them.
            if averages_baselines(info) {
                continue;
            }
            let baseline = Baseline::Tensors(subject.inputs.tensors().to_vec());
            let options = Options { baseline: Some(baseline), ..subject.options(info) };
            for value in subject.attribute(info, &options).values() {
                assert!(numbers(value).iter().all(|value| *value == 0.), "{} of {}", info.name, subject.name);
            }
        }
    });
}

#[test]
fn a_tolerance_is_kept_on_every_model() {
    each(|subject, dtype| {
        for info in subject.methods().filter(|info| info.has_delta && info.takes("max_steps")) {
            let options = Options { tolerance: Some(subject.tolerance(dtype)), ..subject.options(info) };
            let result = subject.attribute(info, &options);
            assert!(
                result.settled().unwrap().iter().all(|settled| *settled),
                "{} of {}: {:?}",
                info.name,
                subject.name,
                result.remarks()
            );
        }
    });
}

/// The result of a path method whose passes are shared by so many workers.
macro_rules! shared_by {
    ($workers:expr, $subject:expr, $method:expr, $steps:ident($n:expr)) => {{
        let method = $method.$steps($n).workers($workers).memory_budget(1 << 16);
        let baseline = Baseline::Tensors($subject.baseline.clone());
        method.baseline(baseline).attribute_to(&$subject.inputs, &Target::Predicted).unwrap()
    }};
}

#[test]
fn workers_change_no_bit() {
    each(|subject, dtype| {
        let bits = |workers: usize| {
            let model = || subject.model.clone();
            let (layer, neuron) = (subject.layer, subject.neuron.clone());
            let mut all = vec![
                shared_by!(workers, subject, IntegratedGradients::new(model()), n_steps(40)),
                shared_by!(workers, subject, LayerConductance::new(model(), layer), n_steps(40)),
                shared_by!(workers, subject, InternalInfluence::new(model(), layer), n_steps(40)),
                shared_by!(workers, subject, LayerIntegratedGradients::new(model(), layer), n_steps(40)),
                shared_by!(workers, subject, NeuronConductance::new(model(), layer, neuron.clone()), n_steps(40)),
                shared_by!(workers, subject, NeuronIntegratedGradients::new(model(), layer, neuron), n_steps(40)),
            ];
            let tolerance = subject.tolerance(dtype);
            all.extend([
                shared_by!(workers, subject, IntegratedGradients::new(model()), tolerance(tolerance)),
                shared_by!(workers, subject, LayerConductance::new(model(), layer), tolerance(tolerance)),
            ]);
            let numbers = all.iter().map(|result| result.values().iter().flat_map(numbers).map(f64::to_bits).collect());
            numbers.collect::<Vec<Vec<u64>>>()
        };
        let one = bits(1);
        for workers in [2, 7] {
            for (index, (one, several)) in one.iter().zip(bits(workers)).enumerate() {
                assert!(*one == several, "result {index} of {} with {workers} workers", subject.name);
            }
        }
    });
}
