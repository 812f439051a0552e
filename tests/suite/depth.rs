//! Graphs of any depth, from threads with any stack: they run.

use std::sync::Arc;

use crate::laws::{mixes_rows, options};
use crate::plain::Square;
use crate::subjects::rectifies;
use crate::wave::wave;
use candle_explain::attr::METHODS;
use candle_explain::prelude::*;

const DEPTH: usize = 100_000;

/// So many times x + 1/`depth`, above a layer and below another, with or without a ReLU before.
fn deep(depth: usize, rectified: bool) -> Arc<dyn Model> {
    let twice = (Tensor::eye(4, DType::F64, &Device::Cpu).unwrap() * 2.).unwrap();
    let twice = Linear::from_weights(&twice, None).unwrap();
    from_fn(move |input, layers| {
        let mut x = layers.run(&twice, input.first())?;
        if rectified {
            x = layers.run(&Activation::Relu, &x)?;
        }
        x = layers.visit("tanh1", x)?;
        for _ in 0..depth {
            x = x.affine(1., 1. / depth as f64)?;
        }
        let top = layers.visit("top", x)?;
        Ok(layers.run(&Square, &top)?.sum(1)?)
    })
}

/// A tanh network that reads one number after another.
fn recurrent(steps: usize) -> Arc<dyn Model> {
    let weight = wave(&[3, 3], 0.2, 0.5).to_dtype(DType::F64).unwrap();
    from_fn(move |input, layers| {
        let x = input.first();
        let mut state = x.zeros_like()?.narrow(1, 0, 3)?.contiguous()?;
        for step in 0..steps {
            state = state.matmul(&weight)?.broadcast_add(&x.narrow(1, step % 4, 1)?)?.tanh()?;
        }
        Ok(layers.visit("tanh1", state)?.sqr()?.sum(1)?)
    })
}

fn on_small_stack<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(256 << 10).spawn(call).unwrap().join().unwrap()
}

#[test]
fn every_method_goes_through_a_hundred_thousand_operations() {
    on_small_stack(|| {
        let x = wave(&[1, 4], 0.3, 1.).to_dtype(DType::F64).unwrap();
        let numbers: Vec<f64> = x.flatten_all().unwrap().to_vec1().unwrap();
        for info in METHODS.iter().filter(|info| !mixes_rows(info)) {
            let mut options = options(info);
            if info.takes("n_steps") {
                options.n_steps = Some(3);
                options.internal_batch_size = Some(2);
            }
            let method = (info.build)(deep(DEPTH, rectifies(info)), &options).unwrap();
            let result = method.attribute_to(&Inputs::from(&x), &Target::None);
            let values: Vec<f64> = result
                .unwrap_or_else(|error| panic!("{}: {error}", info.name))
                .tensor()
                .flatten_all()
                .unwrap()
                .to_vec1()
                .unwrap();
            // F = Σ (2x + 1)²; three nodes of Gauss and Legendre are exact for it.
            let right: Vec<f64> = match info.name {
                "Saliency" => numbers.iter().map(|x| (4. * (2. * x + 1.)).abs()).collect(),
                "InputXGradient" => numbers.iter().map(|x| 4. * (2. * x + 1.) * x).collect(),
                "IntegratedGradients" | "LayerIntegratedGradients" | "FeatureAblation" | "LayerFeatureAblation" => {
                    numbers.iter().map(|x| (2. * x + 1.).powi(2) - 1.).collect()
                }
                _ => continue,
            };
            for (value, right) in values.iter().zip(right) {
                assert!((value - right).abs() < 1e-6, "{}: {value}, not {right}", info.name);
            }
        }
    });
}

#[test]
fn a_recurrent_network_of_twenty_thousand_steps() {
    on_small_stack(|| {
        let x = wave(&[2, 4], 0.3, 1.).to_dtype(DType::F64).unwrap();
        let of = |steps: usize| {
            let result = Saliency::new(recurrent(steps)).abs(false).attribute(&x, Target::None).unwrap();
            result.tensor().flatten_all().unwrap().to_vec1::<f64>().unwrap()
        };
        // What was read long ago is forgotten.
        for (long, short) in of(20_000).into_iter().zip(of(2_000)) {
            assert!((long - short).abs() < 1e-9, "{long} and {short}");
        }
        let result = LayerGradientXActivation::new(recurrent(20_000), "tanh1").attribute(&x, Target::None);
        assert!(result.unwrap().tensor().abs().unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap() > 0.);
    });
}

#[test]
fn predictions_of_deep_models_leave_no_graph_to_fall_over() {
    on_small_stack(|| {
        let weights = Var::from_tensor(&wave(&[1, 4], 0.5, 1.)).unwrap();
        struct Tracked(Var);
        impl Model for Tracked {
            fn forward(&self, input: &Inputs, _: &mut Layers) -> Result<Tensor> {
                let mut x = (input.first() * self.0.as_tensor())?;
                for _ in 0..DEPTH {
                    x = x.affine(1., 1e-6)?;
                }
                Ok(x.sum(1)?)
            }
        }
        let model = Tracked(weights);
        assert_eq!(model.predict(wave(&[1, 4], 0.3, 1.)).unwrap().dims(), [1]);
        assert!(model.layer_names(wave(&[1, 4], 0.3, 1.)).unwrap().is_empty());
    });
}
