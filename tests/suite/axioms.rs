//! The axioms of attribution, on every method that keeps them.

use std::sync::Arc;

use candle_explain::attr::METHODS;
use candle_explain::engine::{Cost, Family, MethodInfo, Options};
use candle_explain::prelude::*;

use crate::laws::mixes_rows;
use crate::subjects::{TYPES, drawn, rectifies, subjects, takes_pairs};

/// The signed numbers of a method that attributes to the inputs of a function, against 0.
fn attribute(info: &MethodInfo, model: &Arc<dyn Model>, inputs: &Tensor) -> Tensor {
    let options = Options {
        abs: info.takes("abs").then_some(false),
        n_steps: info.takes("n_steps").then_some(200),
        baseline: match info.needs("baseline") {
            true => Some(Baseline::distribution(&Tensor::zeros((1, 3), DType::F64, &Device::Cpu).unwrap())),
            false => info.takes("baseline").then_some(Baseline::Zero),
        },
        method: info.takes("method").then(|| "InputXGradient".to_string()),
        // Noise would tell equal inputs apart.
        stdevs: info.takes("stdevs").then_some(Stdevs::All(0.)),
        sliding_window_shapes: info.takes("sliding_window_shapes").then(|| Sizes::from(1)),
        ..Options::default()
    };
    let method = (info.build)(model.clone(), &options).unwrap();
    method.attribute_to(&Inputs::from(inputs), &Target::None).unwrap().tensor().clone()
}

/// Those about ReLUs, which these functions do not have, are held in rectified.rs: they are not linear, and depend on the
/// way in which a function is computed.
fn primary() -> impl Iterator<Item = &'static MethodInfo> {
    METHODS.iter().filter(|info| info.family == Family::Primary && !rectifies(info))
}

/// All but Lime, whose coefficients are those of another model, fitted with a penalty to a few samples.
fn exact() -> impl Iterator<Item = &'static MethodInfo> {
    primary().filter(|info| info.name != "Lime")
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn assert_close(got: &Tensor, expected: &Tensor, within: f64, what: &str) {
    for (got, expected) in numbers(got).iter().zip(numbers(expected)) {
        assert!((got - expected).abs() <= within, "{what}: {got} and {expected}");
    }
}

/// tanh(x W) v of three inputs, made of blocks.
fn smooth(seed: u64) -> impl Fn(&mut Layers, &Tensor) -> Result<Tensor> + Clone {
    let (weight, readout) = (drawn(seed, &[4, 3], DType::F64), drawn(seed + 1, &[1, 4], DType::F64));
    let hidden = Linear::from_weights(&weight, None).unwrap();
    let readout = Linear::from_weights(&readout, None).unwrap();
    move |layers, x| {
        let hidden = layers.run(&hidden, x)?;
        let active = layers.run(&Activation::Tanh, &hidden)?;
        Ok(layers.run(&readout, &active)?.squeeze(1)?)
    }
}

fn model(f: impl Fn(&mut Layers, &Tensor) -> Result<Tensor> + Send + Sync + 'static) -> Arc<dyn Model> {
    from_fn(move |input, layers| f(layers, input.first()))
}

fn inputs() -> Tensor {
    drawn(81, &[6, 3], DType::F64)
}

#[test]
fn completeness() {
    let mut held = 0;
    for dtype in TYPES {
        for subject in subjects(dtype) {
            // Samples add up within their standard errors only, which the methods' own tests hold; and biases take relevance,
            // by LRP's definition: lrp.rs holds how much.
            let exact = |info: &&MethodInfo| info.has_delta && info.cost != Cost::PerSample && !info.takes("rules");
            for info in subject.methods().filter(exact) {
                let options = Options {
                    tolerance: info.takes("tolerance").then_some(subject.tolerance(dtype)),
                    ..subject.options(info)
                };
                let result = subject.attribute(info, &options);
                let rows = subject.inputs.first().dims()[0];
                let repeated: Vec<Tensor> = subject
                    .baseline
                    .iter()
                    .zip(subject.inputs.tensors())
                    .map(|(row, input)| row.broadcast_as(input.dims()).unwrap().contiguous().unwrap())
                    .collect();
                let baseline = Inputs::new(repeated).with_args(subject.inputs.args().iter().cloned());
                let (ends, starts) = (subject.attributed(info, &subject.inputs), subject.attributed(info, &baseline));
                for row in 0..rows {
                    let sum = subject.sum(info, &result, row);
                    let difference = ends[row] - starts[row];
                    let apart = (sum - difference).abs() / difference.abs().max(1.);
                    let within = if info.takes("tolerance") { subject.tolerance(dtype) } else { 1e-4 };
                    assert!(apart <= 1.01 * within, "{} of {} in {dtype:?}: {apart}", info.name, subject.name);
                    held += 1;
                }
            }
        }
    }
    assert!(held >= 5 * 8 * 5, "{held}");
}

#[test]
fn dummy() {
    // The function does not depend on the second input.
    let f = smooth(41);
    let blind = model(move |layers, x| {
        let seen = (x * &Tensor::new(&[1., 0., 1.], &Device::Cpu)?.broadcast_as(x.shape())?)?;
        f(layers, &seen)
    });
    for info in exact() {
        let result = attribute(info, &blind, &inputs());
        let unseen = numbers(&result.narrow(1, 1, 1).unwrap());
        // KernelShap solves equations.
        let rounding = if info.name == "KernelShap" { 1e-14 } else { 0. };
        assert!(unseen.iter().all(|value| value.abs() <= rounding), "{}: {unseen:?}", info.name);
        assert!(numbers(&result).iter().any(|value| value.abs() > 1e-3), "{}", info.name);
    }
}

#[test]
fn symmetry() {
    // The function is the same where the first two inputs change places, and these are equal.
    let f = smooth(43);
    let symmetric = model(move |layers, x| {
        let (one, other, last) = (x.narrow(1, 0, 1)?, x.narrow(1, 1, 1)?, x.narrow(1, 2, 1)?);
        let straight = f(layers, x)?;
        let crossed = f(layers, &Tensor::cat(&[&other, &one, &last], 1)?)?;
        Ok((straight + crossed)?)
    });
    let x = inputs();
    let x = Tensor::cat(&[&x.narrow(1, 0, 1).unwrap(), &x.narrow(1, 0, 1).unwrap(), &x.narrow(1, 2, 1).unwrap()], 1);
    let x = x.unwrap();
    // Orders that are drawn are not symmetric, only what they are drawn from; and some take each feature from other rows.
    for info in exact().filter(|info| info.name != "ShapleyValueSampling" && !mixes_rows(info)) {
        let result = attribute(info, &symmetric, &x);
        let (one, other) = (result.narrow(1, 0, 1).unwrap(), result.narrow(1, 1, 1).unwrap());
        assert_close(&one, &other, 1e-12, info.name);
    }
}

#[test]
fn linearity() {
    let (f, g) = (smooth(45), smooth(47));
    let (first, second) = (f.clone(), g.clone());
    let sum = model(move |layers, x| Ok(((first(layers, x)? * 2.)? - (second(layers, x)? * 3.)?)?));
    let (f, g) = (model(f), model(g));
    for info in exact() {
        let apart = |model: &Arc<dyn Model>| attribute(info, model, &inputs());
        let expected = ((apart(&f) * 2.).unwrap() - (apart(&g) * 3.).unwrap()).unwrap();
        assert_close(&apart(&sum), &expected, 1e-12, info.name);
    }
}

#[test]
fn implementation_invariance() {
    // tanh x = 2σ(2x) − 1: two networks, one function.
    let weight = drawn(49, &[4, 3], DType::F64);
    let hidden = Linear::from_weights(&weight, None).unwrap();
    let doubled = Linear::from_weights(&(&weight * 2.).unwrap(), None).unwrap();
    let by_tanh = model(move |layers, x| {
        let hidden = layers.run(&hidden, x)?;
        Ok(layers.run(&Activation::Tanh, &hidden)?.sum(1)?)
    });
    let by_sigmoid = model(move |layers, x| {
        let hidden = layers.run(&doubled, x)?;
        Ok(layers.run(&Activation::Sigmoid, &hidden)?.affine(2., -1.)?.sum(1)?)
    });
    // By a rule, multipliers are those of the way in which a function is computed.
    for info in primary().filter(|info| !takes_pairs(info) && !info.takes("rules")) {
        let (one, other) = (attribute(info, &by_tanh, &inputs()), attribute(info, &by_sigmoid, &inputs()));
        assert_close(&one, &other, 1e-12, info.name);
    }
}
