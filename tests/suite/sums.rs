//! What sums, means and differences are worth: in any number type, over any baselines, in any passes.

use std::sync::Arc;

use crate::laws::options;
use crate::wave::wave;
use candle_explain::attr::METHODS;
use candle_explain::engine::{Cost, Family, Options, Requirement};
use candle_explain::nn::Softmax;
use candle_explain::prelude::*;

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn assert_near(found: &[f64], right: &[f64], relative: f64) {
    assert_eq!(found.len(), right.len());
    for (found, right) in found.iter().zip(right) {
        assert!((found - right).abs() <= relative * right.abs().max(1e-3), "{found}, not {right}");
    }
}

fn row<T: candle_core::WithDType>(values: &[T]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap().unsqueeze(0).unwrap()
}

/// F = Σ h², h = x, whose numbers are 1, 2 and 3.
fn squares() -> Arc<dyn Model> {
    from_fn(|input, layers| Ok(layers.visit("tanh1", input.first().affine(1., 0.)?)?.sqr()?.sum(1)?))
}

#[test]
fn deltas_of_several_baselines_do_not_cancel() {
    let step = |x: &Tensor| x.gt(0.)?.to_dtype(DType::F64)?.sum(1)? + x.affine(0.001, 0.)?.sum(1)?;
    let x = row(&[0.5f64]);
    let baselines = Tensor::new(&[[-1f64], [2.]], &Device::Cpu).unwrap();
    let method = IntegratedGradients::new(step).gradient_check(Check::Off);
    let result = method.baseline(Baseline::distribution(&baselines)).attribute(&x, Target::None).unwrap();
    assert_near(&[result.convergence_delta().unwrap().max_abs()], &[1.], 1e-9);
    let remarks = result.remarks().join("; ");
    assert!(remarks.contains("of a single baseline") && remarks.contains("beyond 0.01 for 1 of 1"), "{remarks}");

    let over = |x: &Tensor| x.gt(0.)?.to_dtype(DType::F64)?.sum(1);
    let alone = |row: usize| {
        let baseline = baselines.narrow(0, row, 1).unwrap();
        let sloped = from_fn(move |input, _| Ok((over(input.first())? + input.first().affine(0.001, 0.)?.sum(1)?)?));
        let method = IntegratedGradients::new(&sloped).gradient_check(Check::Off).baseline(baseline);
        method.attribute(&x, Target::None).unwrap().convergence_delta().unwrap().values()[0]
    };
    assert_near(&[alone(0), alone(1)], &[-1., 0.], 1e-9);
}

#[test]
fn the_delta_of_a_distribution_is_that_of_its_worst_baseline() {
    let model = |x: &Tensor| x.affine(3., 0.)?.sin()?.sum(1);
    let x = wave(&[4, 3], 0.3, 2.).to_dtype(DType::F64).unwrap();
    let baselines = wave(&[40, 3], 0.7, 3.).to_dtype(DType::F64).unwrap();
    let method = IntegratedGradients::new(model).n_steps(10);
    let all = method.baseline(Baseline::distribution(&baselines)).attribute(&x, Target::None).unwrap();
    let mut worst = [0f64; 4];
    for row in 0..40 {
        let alone = method.baseline(baselines.narrow(0, row, 1).unwrap()).attribute(&x, Target::None).unwrap();
        for (worst, delta) in worst.iter_mut().zip(alone.convergence_delta().unwrap().values()) {
            *worst = worst.max(delta.abs());
        }
    }
    let found: Vec<f64> = all.convergence_delta().unwrap().values().iter().map(|delta| delta.abs()).collect();
    assert_near(&found, &worst, 1e-9);
}

#[test]
fn half_precision_is_summed_in_more() {
    for (dtype, relative) in [(DType::BF16, 0.005), (DType::F16, 0.001)] {
        let x = row(&[1f32, 2., 3.]).to_dtype(dtype).unwrap();
        for (steps, rows) in [(50, 1), (1000, 1), (1000, 1000), (3000, 7)] {
            let method = IntegratedGradients::new(squares()).n_steps(steps).internal_batch_size(rows);
            let result = method.attribute(&x, Target::None).unwrap();
            assert_near(&numbers(result.tensor()), &[1., 4., 9.], relative);
            let influence = InternalInfluence::new(squares(), "tanh1").n_steps(steps).internal_batch_size(rows);
            assert_near(&numbers(influence.attribute(&x, Target::None).unwrap().tensor()), &[1., 2., 3.], relative);
        }
        let zeros = Tensor::zeros((3000, 3), dtype, &Device::Cpu).unwrap();
        let method = IntegratedGradients::new(squares()).n_steps(5).baseline(Baseline::distribution(&zeros));
        assert_near(&numbers(method.attribute(&x, Target::None).unwrap().tensor()), &[1., 4., 9.], relative);
    }
}

#[test]
fn a_mean_of_many_baselines_does_not_overflow() {
    let linear = |x: &Tensor| x.sum(1);
    let x = row(&[10f32, 100., 200.]).to_dtype(DType::F16).unwrap();
    let zeros = Tensor::zeros((3000, 3), DType::F16, &Device::Cpu).unwrap();
    let method = IntegratedGradients::new(linear).n_steps(5).baseline(Baseline::distribution(&zeros));
    assert_near(&numbers(method.attribute(&x, Target::None).unwrap().tensor()), &[10., 100., 200.], 1e-3);
}

#[test]
fn the_size_of_a_pass_changes_no_number_of_any_type() {
    let x = wave(&[3, 4], 0.4, 1.);
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let x = x.to_dtype(dtype).unwrap();
        for info in METHODS.iter().filter(|info| info.cost == Cost::PerStep) {
            let of = |rows: usize| {
                let mut options = options(info);
                options.internal_batch_size = Some(rows);
                let method = (info.build)(squares(), &options).unwrap();
                numbers(method.attribute_to(&Inputs::from(&x), &Target::None).unwrap().tensor())
            };
            let whole = of(1000);
            for rows in [1, 2, 7, 50] {
                assert_near(&of(rows), &whole, 1e-6);
            }
        }
    }
}

#[test]
fn baselines_that_the_inputs_type_cannot_hold_are_errors() {
    let ids = Tensor::new(&[[1u8, 2]], &Device::Cpu).unwrap();
    let table = Tensor::arange(0f32, 256., &Device::Cpu).unwrap().unsqueeze(1).unwrap();
    let embedded = from_fn(move |input, layers| {
        let ids = input.first();
        let embedding = table.embedding(&ids.flatten_all()?)?.reshape((ids.dims()[0], 2, 1))?;
        Ok(layers.visit("embedding", embedding)?.sum((1, 2))?)
    });
    let method = LayerIntegratedGradients::new(&embedded, "embedding");
    for value in [300., -1., 1.5] {
        let error = method.baseline(value).attribute(&ids, Target::None).unwrap_err().to_string();
        assert!(error.contains("baseline") && error.contains(&value.to_string()), "{error}");
    }
    let of_254 = method.baseline(254.).attribute(&ids, Target::None).unwrap();
    assert_near(&numbers(of_254.tensor()), &[-253., -252.], 1e-6);
    for (dtype, value) in [(DType::F32, 1e300), (DType::F16, 1e6), (DType::F64, f64::INFINITY), (DType::F64, f64::NAN)]
    {
        let x = row(&[1f32, 2., 3.]).to_dtype(dtype).unwrap();
        for info in METHODS.iter().filter(|info| info.takes("baseline")) {
            let mut options = options(info);
            options.baseline = Some(Baseline::from(value));
            let method = (info.build)(squares(), &options).unwrap();
            let error = method.attribute_to(&Inputs::from(&x), &Target::None).unwrap_err().to_string();
            assert!(error.contains("baseline"), "{}: {error}", info.name);
        }
    }
}

#[test]
fn names_that_do_not_fit_are_errors() {
    for count in [1, 2, 4] {
        let names: Vec<String> = (0..count).map(|index| format!("feature {index}")).collect();
        for info in METHODS {
            let inputs = Inputs::from(&row(&[1f32, 2., 3.])).with_names(names.clone());
            let method = (info.build)(squares(), &options(info)).unwrap();
            let error = method.attribute_to(&inputs, &Target::None).unwrap_err().to_string();
            assert!(error.contains(&format!("there are {count} names")), "{}: {error}", info.name);
        }
    }
}

#[test]
fn an_input_at_its_baseline_gets_nothing_where_the_gradient_is_infinite() {
    let root = from_fn(|input, layers| {
        let h = layers.visit("tanh1", input.first().affine(1., 0.)?)?;
        Ok(h.sqr()?.sum(1)?.sqrt()?)
    });
    let x = Tensor::new(&[[4f64, 3.], [0., 0.]], &Device::Cpu).unwrap();
    let result = IntegratedGradients::new(&root).attribute(&x, Target::None).unwrap();
    assert_near(&numbers(result.tensor()), &[3.2, 1.8, 0., 0.], 1e-9);
    let layer = LayerIntegratedGradients::new(&root, "tanh1").attribute(&x, Target::None).unwrap();
    assert_near(&numbers(layer.tensor()), &[3.2, 1.8, 0., 0.], 1e-9);
    let settled = IntegratedGradients::new(&root).tolerance(1e-6).attribute(&x, Target::None).unwrap();
    assert_near(&numbers(settled.tensor()), &[3.2, 1.8, 0., 0.], 1e-5);
    let conductance = LayerConductance::new(&root, "tanh1").attribute(&x, Target::None).unwrap();
    assert_near(&numbers(conductance.tensor())[2..], &[0., 0.], 1e-9);

    // One coordinate alone is at its baseline: √|x| has an infinite slope there.
    let roots = |x: &Tensor| x.abs()?.sqrt()?.sum(1);
    let x = row(&[0f64, 4.]);
    let method = IntegratedGradients::new(roots).quadrature(Quadrature::GaussLegendre).n_steps(500);
    assert_near(&numbers(method.attribute(&x, Target::None).unwrap().tensor()), &[0., 2.], 1e-2);
}

#[test]
fn baselines_of_signed_integers_may_be_negative() {
    let square = from_fn(|input, layers| {
        let numbers = layers.visit("numbers", input.first().to_dtype(DType::F32)?)?;
        Ok(numbers.sqr()?.sum(1)?)
    });
    let method = LayerIntegratedGradients::new(&square, "numbers");
    for dtype in [DType::I64, DType::I32, DType::I16] {
        let x = Tensor::new(&[[1i64, 2]], &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let result = method.baseline(-1.).attribute(&x, Target::None).unwrap();
        let found = numbers(result.tensor());
        assert!(found[0].abs() < 1e-6 && (found[1] - 3.).abs() < 1e-5, "{found:?}");
    }
    let x = Tensor::new(&[[1i64, 2]], &Device::Cpu).unwrap();
    assert!(method.baseline(5e9).attribute(&x, Target::None).is_ok());
    let error = method.baseline(1e17).attribute(&x, Target::None).unwrap_err().to_string();
    assert!(error.contains("-9007199254740992 to 9007199254740992"), "{error}");
}

#[test]
fn masks_of_minus_infinity_are_taken() {
    let masked = from_fn(|input, layers| {
        let scores = layers.visit("tanh1", input.first().broadcast_add(input.arg(0)?)?)?;
        Ok((layers.run(&Softmax { axis: 1 }, &scores)? * input.first())?.sum(1)?)
    });
    let mask = row(&[0f32, 0., f32::NEG_INFINITY]);
    let inputs = Inputs::from(&wave(&[1, 3], 0.1, 1.)).with_args([mask]);
    let result = Saliency::new(&masked).attribute(&inputs, Target::None).unwrap();
    assert_near(&numbers(result.tensor()), &[0.108921, 0.891079, 0.], 1e-5);
    let gradients = IntegratedGradients::new(&masked).attribute(&inputs, Target::None).unwrap();
    assert!(gradients.convergence_delta().unwrap().max_abs() < 1e-5);
    for info in METHODS.iter().filter(|info| {
        // Without the −∞ of a mask, what it hides is seen.
        info.family == Family::Layer && info.requires(Requirement::Gradients)
    }) {
        for tolerance in [None, info.takes("tolerance").then_some(1e-4)] {
            let masked = masked.clone();
            let zeros = || Baseline::distribution(&Tensor::zeros((1, 3), DType::F32, &Device::Cpu).unwrap());
            let baseline = info.needs("baseline").then(zeros);
            let options = Options { tolerance, baseline, ..options(info) };
            let method = (info.build)(masked, &options).unwrap();
            let result = method.attribute_to(&inputs, &Target::None).unwrap_or_else(|error| {
                panic!("{}: {error}", info.name);
            });
            let of_layer = numbers(result.tensor());
            if info.name == "LayerGradCam" {
                assert!(of_layer.len() == 1 && of_layer[0].is_finite(), "the channels are added up: {of_layer:?}");
                continue;
            }
            assert!(of_layer[..2].iter().all(|number| *number != 0.), "{}: {of_layer:?}", info.name);
            let nothing = of_layer[2] == 0. || info.name == "InternalInfluence";
            assert!(nothing, "{}: {of_layer:?} where the mask is −∞", info.name);
        }
    }
    for bad in [f32::INFINITY, f32::NAN] {
        let inputs = Inputs::from(&wave(&[1, 3], 0.1, 1.)).with_args([row(&[0f32, 0., bad])]);
        let error = Saliency::new(&masked).attribute(&inputs, Target::None).unwrap_err().to_string();
        assert!(error.contains("extra argument 0: the value at [0, 2]"), "{error}");
    }
}
