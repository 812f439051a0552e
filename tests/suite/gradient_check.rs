//! Gradients held against the function: what is caught, what must not be, and what it costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_explain::candle_core::D;
use candle_explain::candle_nn;
use candle_explain::nn;
use candle_explain::prelude::*;

use crate::plain;
use crate::wave::wave;

type Norm = fn(&Tensor) -> candle_core::Result<Tensor>;

fn candle_layer_norm(x: &Tensor) -> candle_core::Result<Tensor> {
    let weight = Tensor::ones(4, DType::F32, &Device::Cpu)?;
    candle_nn::LayerNorm::new(weight.clone(), weight.zeros_like()?, 1e-5).forward(x)
}

fn right_layer_norm(x: &Tensor) -> candle_core::Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred.broadcast_div(&(variance + 1e-5)?.sqrt()?)
}

fn candle_rms_norm(x: &Tensor) -> candle_core::Result<Tensor> {
    candle_nn::RmsNorm::new(Tensor::ones(4, DType::F32, &Device::Cpu)?, 1e-5).forward(x)
}

fn right_softmax(x: &Tensor) -> candle_core::Result<Tensor> {
    nn::softmax(x, 1)
}

/// h = x + norm(x)·W, F = Σ (h + upper(h)²), where a norm with weights has g and b, and upper is the same or, without weights, nothing.
fn beside_a_path(norm: Norm, affine: bool) -> Arc<dyn Model> {
    from_fn(move |input: &Inputs, layers: &mut Layers| {
        let x = input.first();
        let [g, b] = [wave(&[4], 0.2, 1.), wave(&[4], 0.9, 0.3)];
        let norm = |x: &Tensor| -> candle_core::Result<Tensor> {
            let normed = norm(x)?;
            if affine { normed.broadcast_mul(&g)?.broadcast_add(&b) } else { Ok(normed) }
        };
        let h = (x + norm(x)?.matmul(&wave(&[4, 4], 0.5, 0.8))?)?;
        let h = layers.visit("block", h)?;
        let upper = if affine { norm(&h)? } else { h.clone() };
        Ok((h + upper.sqr()?)?.sum(1)?)
    })
}

fn numbers(result: &Attributions) -> Vec<f64> {
    result.tensor().to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn assert_close(found: &[f64], right: &[f64]) {
    for (found, right) in found.iter().zip(right) {
        assert!((found - right).abs() < 2e-5 * right.abs().max(1.), "{found} and {right}");
    }
}

#[track_caller]
fn assert_found(result: Result<Attributions>, parts: &[&str]) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), candle_explain::ErrorKind::Gradient, "{error}");
    for part in [&["gradient_check(Check::Warn)"], parts].concat() {
        assert!(error.to_string().contains(part), "{error}: expected {part}");
    }
}

#[test]
fn operations_without_a_backward_beside_a_path_that_has_one_are_found() {
    let x = wave(&[2, 4], 0.1, 1.);
    let right = beside_a_path(right_layer_norm, true);
    let saliency = Saliency::new(right.clone()).abs(false).attribute(&x, Target::None).unwrap();
    let expected = [1.056244, 3.207269, -1.259685, 0.996172, 0.335158, 2.326595, -0.179452, 1.517699];
    assert_close(&numbers(&saliency), &expected);
    let product = InputXGradient::new(right.clone()).attribute(&x, Target::None).unwrap();
    assert_close(&numbers(&product)[..4], &[0.105448, 3.160602, -0.538364, -0.753906]);
    let neuron = NeuronGradient::new(right, "block", 0).attribute(&x).unwrap();
    assert_close(&numbers(&neuron)[..4], &[1.212975, -0.025573, -0.116463, -0.070939]);
    let softmax = Saliency::new(beside_a_path(right_softmax, false)).abs(false).attribute(&x, Target::None).unwrap();
    assert_close(&numbers(&softmax)[..4], &[0.699402, 4.225324, 2.337507, -0.944789]);

    let norms: [(Norm, bool); 3] =
        [(candle_layer_norm, true), (candle_rms_norm, true), (candle_nn::ops::softmax_last_dim, false)];
    for (norm, affine) in norms {
        let wrong = beside_a_path(norm, affine);
        let above = if affine { "above layer \"block\"" } else { "above the input, up to layer \"block\"" };
        assert_found(Saliency::new(wrong.clone()).attribute(&x, Target::None), &["not the derivative", above]);
        assert_found(InputXGradient::new(wrong.clone()).attribute(&x, Target::None), &[above]);
        assert_found(NeuronGradient::new(wrong.clone(), "block", 0).attribute(&x), &["above the input"]);
        assert_found(
            NeuronConductance::new(wrong.clone(), "block", 0).attribute(&x, Target::None),
            &["above the input"],
        );
        assert_found(
            NeuronConductance::new(wrong.clone(), "block", 0).tolerance(1e-3).attribute(&x, Target::None),
            &["above the input"],
        );
        assert_found(NeuronIntegratedGradients::new(wrong.clone(), "block", 0).attribute(&x), &["above the input"]);
        assert_found(IntegratedGradients::new(wrong.clone()).attribute(&x, Target::None), &[above]);
        let of_layer = [
            LayerGradientXActivation::new(wrong.clone(), "block").attribute(&x, Target::None),
            InternalInfluence::new(wrong.clone(), "block").attribute(&x, Target::None),
            LayerConductance::new(wrong.clone(), "block").attribute(&x, Target::None),
            LayerIntegratedGradients::new(wrong.clone(), "block").attribute(&x, Target::None),
        ];
        for result in of_layer {
            if affine { assert_found(result, &[above]) } else { assert!(result.is_ok(), "all is well above the block") }
        }
        assert_found(
            IntegratedGradients::new(wrong).multiply_by_inputs(false).attribute(&x, Target::None),
            &["not the derivative"],
        );
    }
}

#[test]
fn upsampling_beside_a_path_is_found() {
    let upsampled = |x: &Tensor| {
        let upsampled = x.upsample_nearest2d(4, 4)?.flatten_from(1)?.sum(1)?;
        upsampled + (x * 10.)?.flatten_from(1)?.sum(1)?
    };
    let x = wave(&[2, 1, 2, 2], 0.1, 1.);
    let gradient = Saliency::new(upsampled).gradient_check(Check::Off).attribute(&x, Target::None).unwrap();
    assert_eq!(numbers(&gradient), [4.; 8], "candle puts one gradient in the place of the other: right is 14");
    assert_found(Saliency::new(upsampled).attribute(&x, Target::None), &["above the input"]);
}

#[test]
fn the_maximum_of_equal_values_is_found_and_ours_is_right() {
    // Six equal tokens, of which the largest over time is taken after a layer of its own: F is linear there.
    let network = |largest: fn(&Tensor) -> candle_core::Result<Tensor>| {
        from_fn(move |input: &Inputs, layers: &mut Layers| {
            let hidden = layers.visit("hidden", input.first().broadcast_matmul(&wave(&[3, 5], 0.4, 1.))?)?;
            Ok(largest(&hidden)?.broadcast_mul(&wave(&[5], 0.7, 1.))?.sum(1)?)
        })
    };
    let token = wave(&[1, 1, 3], 0.3, 1.);
    let x = token.broadcast_as((1, 6, 3)).unwrap().contiguous().unwrap();
    let wrong = network(|hidden| hidden.max(1));
    assert_found(InputXGradient::new(wrong.clone()).attribute(&x, Target::None), &["above layer \"hidden\""]);
    let unchecked = InputXGradient::new(wrong.clone()).gradient_check(Check::Off).attribute(&x, Target::None).unwrap();
    let output: f32 = wrong.predict(&x).unwrap().to_vec1().unwrap()[0];
    let sum = numbers(&unchecked).iter().sum::<f64>();
    assert!((sum / f64::from(output) - 6.).abs() < 1e-4, "the tie is counted six times: {sum} {output}");
}

#[test]
fn random_models_and_rows_that_depend_on_each_other_are_told_apart() {
    let draws = AtomicUsize::new(0);
    let random = move |x: &Tensor| {
        let mask = wave(x.dims(), draws.fetch_add(1, Ordering::Relaxed) as f64, 1.).ge(0.)?.to_dtype(x.dtype())?;
        (x * mask)?.sum(1)
    };
    let x = wave(&[2, 4], 0.1, 1.);
    assert_found(Saliency::new(random).attribute(&x, Target::None), &["the model is random", "dropout"]);
    let normalised = |x: &Tensor| {
        let centred = x.broadcast_sub(&x.mean_keepdim(0)?)?;
        let deviation = (centred.sqr()?.mean_keepdim(0)? + 1e-5)?.sqrt()?;
        (centred.broadcast_div(&deviation)? + x.sqr()?)?.sum(1)
    };
    let depends = ["rows depend on each other", "batch normalisation"];
    assert_found(Saliency::new(normalised).attribute(&x, Target::None), &depends);
    assert_found(IntegratedGradients::new(normalised).attribute(&x, Target::None), &depends);
    assert_found(Saliency::new(normalised).attribute(x.narrow(0, 0, 1).unwrap(), Target::None), &depends);
}

#[test]
fn a_backward_that_is_wrong_for_batches_is_found() {
    let kernel = wave(&[3, 2, 2], 0.4, 1.);
    let of = |kernel: Tensor| move |x: &Tensor| x.conv1d(&kernel, 0, 1, 1, 1)?.tanh()?.sum((1, 2));
    let x = wave(&[3, 2, 5], 0.1, 1.);
    for rows in [1, 3] {
        let x = x.narrow(0, 0, rows).unwrap();
        assert_found(Saliency::new(of(kernel.clone())).attribute(&x, Target::None), &["where in a batch it stands"]);
        assert_found(IntegratedGradients::new(of(kernel.clone())).attribute(&x, Target::None), &["conv1d"]);
    }
    let conv = candle_nn::Conv1d::new(kernel.clone(), None, Default::default());
    let as_block = from_fn(move |input: &Inputs, layers: &mut Layers| {
        let convolved = layers.apply("conv", &conv, input.first())?;
        Ok(convolved.tanh()?.sum((1, 2))?)
    });
    let together = Saliency::new(as_block.clone()).attribute(&x, Target::None).unwrap();
    for row in 0..3 {
        let alone = Saliency::new(as_block.clone()).attribute(x.narrow(0, row, 1).unwrap(), Target::None).unwrap();
        let of_batch = together.tensor().narrow(0, row, 1).unwrap();
        let apart = (alone.tensor() - of_batch).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(apart < 1e-6, "{apart}");
    }
}

#[test]
fn every_way_in_which_rows_depend_on_each_other_is_found() {
    let models: [(&str, Norm); 6] = [
        ("centred by the batch", |x| (x.broadcast_sub(&x.mean_keepdim(0)?)?.sqr()? + x.sqr()?)?.sum(1)),
        ("the first row in all", |x| x.sqr()?.broadcast_add(&x.narrow(0, 0, 1)?.detach())?.sum(1)),
        ("the last row in all", |x| x.sqr()?.broadcast_add(&x.narrow(0, x.dim(0)? - 1, 1)?.detach())?.sum(1)),
        ("rows before", |x| (x.sqr()? + x.detach().cumsum(0)?)?.sum(1)),
        ("centred by a constant of the batch", |x| x.broadcast_sub(&x.detach().mean_keepdim(0)?)?.sqr()?.sum(1)),
        ("the size of the batch", |x| (x.sqr()? * x.dim(0)? as f64)?.sum(1)),
    ];
    for (what, model) in models {
        for rows in [1, 2] {
            let x = wave(&[rows, 4], 0.1, 1.);
            let result = Saliency::new(move |x: &Tensor| model(x)).attribute(&x, Target::None);
            let error = result.err().unwrap_or_else(|| panic!("{what}, {rows} rows")).to_string();
            assert!(error.contains("rows depend on each other"), "{what}, {rows} rows: {error}");
        }
    }
}

/// The two numbers Σx and Σ (0.5 r + 3 softmax(r))², the second without softmax's backward.
fn a_right_head_and_a_wrong_one() -> Arc<dyn Model> {
    from_fn(|input: &Inputs, _: &mut Layers| {
        let r = input.first().narrow(1, 0, 3)?.contiguous()?;
        let wrong = ((&r * 0.5)? + (candle_nn::ops::softmax_last_dim(&r)? * 3.)?)?.sqr()?.sum(1)?;
        Ok(Tensor::stack(&[&input.first().sum(1)?, &wrong], 1)?)
    })
}

#[test]
fn each_target_is_looked_at_whatever_chose_it() {
    let model = a_right_head_and_a_wrong_one();
    let row = |values: [f32; 4]| Tensor::new(&[values], &Device::Cpu).unwrap();
    let (right, wrong) = (row([0.1, 0.1, 0.2, 9.]), row([-3., -1., -2., -1.]));
    let both = Tensor::cat(&[&right, &wrong], 0).unwrap();
    let saliency = Saliency::new(model.clone());
    saliency.attribute(&right, Target::Predicted).unwrap();
    assert_found(saliency.attribute(&wrong, Target::Predicted), &["not the derivative"]);
    saliency.attribute(&right, Target::Predicted).unwrap();
    for target in [Target::Predicted, Target::PerExample(vec![0, 1]), Target::PerExample(vec![1, 0])] {
        let results = [
            Saliency::new(model.clone()).attribute(&both, &target),
            InputXGradient::new(model.clone()).attribute(&both, &target),
            IntegratedGradients::new(model.clone()).n_steps(3).attribute(&both, &target),
        ];
        for result in results {
            assert_found(result, &["not the derivative"]);
        }
    }
    let checked = Saliency::new(model).gradient_check(Check::Warn).attribute(&both, Target::Predicted).unwrap();
    assert_eq!(checked.targets(), [[0], [1]]);
    assert_eq!(checked.output().unwrap().dims(), [2, 2]);
    assert!(checked.remarks()[0].contains("Example 1 was moved"), "{:?}", checked.remarks());
}

#[test]
fn what_hides_at_some_examples_is_found_at_another() {
    let saliency = Saliency::new(from_fn(|input: &Inputs, _: &mut Layers| {
        let r = input.first().relu()?;
        Ok(((&r * 0.5)? + (candle_nn::ops::softmax_last_dim(&r)? * 3.)?)?.sqr()?.sum(1)?)
    }));
    let asleep = Tensor::new(&[[-1f32, -2., -3.]], &Device::Cpu).unwrap();
    let awake = Tensor::new(&[[0.3f32, 0.9, 1.7]], &Device::Cpu).unwrap();
    for _ in 0..12 {
        saliency.attribute(&asleep, Target::None).unwrap();
    }
    let looks = (1..=4).find(|_| saliency.attribute(&awake, Target::None).is_err());
    assert!(looks.is_some(), "it stays hidden");
}

#[test]
fn hardly_a_wrong_gradient_of_single_precision_passes() {
    let of = |softmax: fn(&Tensor) -> candle_core::Result<Tensor>| {
        move |x: &Tensor| {
            let a = x.tanh()?;
            let b = (&a + a.sqr()?)?;
            (&b + softmax(&b)?)?.sqr()?.sum(1)
        }
    };
    let (wrong, right) = (of(candle_nn::ops::softmax_last_dim), of(right_softmax));
    let (mut tried, mut passed) = (0, 0);
    for seed in 0..1000 {
        let values: Vec<f32> = plain::numbers(seed + 5000).take(3).map(|value| value as f32).collect();
        let x = Tensor::new(values, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let wanted = numbers(&Saliency::new(right).abs(false).attribute(&x, Target::None).unwrap());
        let got = Saliency::new(wrong).abs(false).gradient_check(Check::Off).attribute(&x, Target::None).unwrap();
        let largest = wanted.iter().fold(0., |largest: f64, value| largest.max(value.abs()));
        if numbers(&got).iter().zip(&wanted).all(|(got, wanted)| (got - wanted).abs() <= 0.05 * largest) {
            continue;
        }
        tried += 1;
        passed += usize::from(Saliency::new(wrong).attribute(&x, Target::None).is_ok());
    }
    println!("{passed} of {tried} passed");
    assert!(tried > 700, "{tried}");
    assert!(passed * 1000 <= 3 * tried, "{passed} of {tried} passed");
}

/// What is hard to look at for its scale: features of very different size, steep functions, cancellation, half precision
/// inside.
#[test]
fn right_functions_of_any_scale_raise_no_alarm() {
    let random = |seed: u64, shape: [usize; 2], scale: f64, dtype: DType| {
        let values: Vec<f64> = plain::numbers(seed).take(shape[0] * shape[1]).map(|value| scale * value).collect();
        Tensor::from_vec(values, &shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
    };
    let mut alarms = Vec::new();
    let mut look = |what: String, model: Arc<dyn Model>, x: &Tensor| {
        if let Err(error) = Saliency::new(model).attribute(x, Target::None) {
            alarms.push(format!("{what}: {error}"));
        }
    };
    for seed in 0..60 {
        for dtype in [DType::F32, DType::F64] {
            let of = |values: &[f64]| Tensor::new(values, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            let (mean, deviation) = ([5e4, 40., 0., 0., 0.5], [2e4, 12., 1., 1., 0.3]);
            let noise: Vec<f64> = plain::numbers(seed * 7 + 1).take(5).collect();
            let row: Vec<f64> = (0..5).map(|i| mean[i] + deviation[i] * noise[i]).collect();
            let x = of(&row).unsqueeze(0).unwrap();
            for scale in [0.5, 2., 4.] {
                let (mean, deviation) = (of(&mean), of(&deviation));
                let first = random(seed * 11 + 2, [5, 8], scale, dtype);
                let second = random(seed * 13 + 3, [8, 1], 1., dtype);
                let standardised = from_fn(move |input: &Inputs, _: &mut Layers| {
                    let x = input.first().broadcast_sub(&mean)?.broadcast_div(&deviation)?;
                    Ok(x.matmul(&first)?.tanh()?.matmul(&second)?.squeeze(1)?)
                });
                look(format!("standardised {seed} {dtype:?} {scale}"), standardised, &x);
            }
            let big = [2e3, 5e4, 1e6][seed as usize % 3];
            let x = of(&[big, 0.3 + noise[0], -0.7, 1.1, noise[1]]).unsqueeze(0).unwrap();
            let mixed = from_fn(move |input: &Inputs, _: &mut Layers| {
                let others = (input.first().narrow(1, 1, 4)? * 2.)?.tanh()?.sum(1)?;
                Ok(((input.first().narrow(1, 0, 1)?.squeeze(1)? / big)? + others)?)
            });
            look(format!("one large feature {seed} {dtype:?}"), mixed, &x);

            let x = random(seed * 17 + 4, [1, 6], 1., dtype);
            let steep = if dtype == DType::F64 { 1e5 } else { 2e3 };
            let sine = from_fn(move |input: &Inputs, _: &mut Layers| Ok((input.first() * steep)?.sin()?.sum(1)?));
            look(format!("sine {seed} {dtype:?}"), sine, &x);
            let near_half = ((&x * 1e-4).unwrap() + 0.5).unwrap();
            let step = from_fn(|input: &Inputs, _: &mut Layers| {
                Ok(candle_nn::ops::sigmoid(&((input.first() - 0.5)? * 5000.)?)?.sum(1)?)
            });
            look(format!("step {seed} {dtype:?}"), step, &near_half);
            let cancelling =
                from_fn(|input: &Inputs, _: &mut Layers| Ok((((input.first() + 1e4)?.sqr()? - 1e8)? * 1e-4)?.sum(1)?));
            look(format!("cancellation {seed} {dtype:?}"), cancelling, &x);
            let weight = Tensor::ones(6, dtype, &Device::Cpu).unwrap();
            let norm = nn::LayerNorm::new(&weight, &weight.zeros_like().unwrap(), 1e-12).unwrap();
            let head = random(seed * 19 + 5, [6, 1], 1., dtype);
            let of_equals = from_fn(move |input: &Inputs, _: &mut Layers| {
                Ok(norm.forward(input.first())?.matmul(&head)?.squeeze(1)?)
            });
            look(
                format!("norm of nearly equal values {seed} {dtype:?}"),
                of_equals,
                &((&x * 1e-4).unwrap() + 1.).unwrap(),
            );
            for half in [DType::BF16, DType::F16] {
                let weight = random(seed * 23 + 6, [6, 6], 1., half);
                let inside = from_fn(move |input: &Inputs, _: &mut Layers| {
                    let hidden = input.first().to_dtype(half)?.matmul(&weight)?.tanh()?;
                    Ok(hidden.sqr()?.sum(1)?.to_dtype(input.first().dtype())?)
                });
                look(format!("{half:?} inside {seed} {dtype:?}"), inside, &x);
            }
        }
        for half in [DType::BF16, DType::F16] {
            let x = random(seed * 29 + 7, [1, 12], 1., half);
            let [first, second] = [1, 2].map(|part| random(seed * 31 + part, [12, 12], 0.6, half));
            let network = from_fn(move |input: &Inputs, _: &mut Layers| {
                Ok(input.first().matmul(&first)?.relu()?.matmul(&second)?.relu()?.sum(1)?)
            });
            look(format!("{half:?} {seed}"), network, &x);
        }
    }
    assert!(alarms.is_empty(), "{} alarms: {:#?}", alarms.len(), &alarms[..alarms.len().min(8)]);
}

#[test]
fn a_fault_can_be_a_remark_or_ignored_and_is_remembered() {
    let x = wave(&[2, 4], 0.1, 1.);
    let wrong = beside_a_path(candle_layer_norm, true);
    let warned = Saliency::new(wrong.clone()).gradient_check(Check::Warn);
    for _ in 0..2 {
        let remarks = warned.attribute(&x, Target::None).unwrap().remarks();
        assert!(remarks.iter().any(|remark| remark.contains("not the derivative")), "{remarks:?}");
    }
    let silent = warned.gradient_check(Check::Off).attribute(&x, Target::None).unwrap();
    assert!(silent.remarks().is_empty());
    assert!(numbers(&silent).iter().all(|number| (number.abs() - 1.).abs() < 10.));
    let strict = warned.gradient_check(Check::Error);
    for _ in 0..2 {
        assert_found(strict.attribute(&x, Target::None), &["not the derivative"]);
    }
}

#[test]
fn the_check_costs_three_rows_and_a_second_gradient_once() {
    let rows = Arc::new(AtomicUsize::new(0));
    let seen = rows.clone();
    let model = from_fn(move |input: &Inputs, layers: &mut Layers| {
        seen.fetch_add(input.first().dims()[0], Ordering::Relaxed);
        let hidden = layers.visit("hidden", input.first().tanh()?)?;
        Ok(hidden.sqr()?.sum(1)?)
    });
    let x = wave(&[1, 4], 0.1, 1.);
    let count = |run: &dyn Fn() -> Result<Attributions>| {
        rows.store(0, Ordering::Relaxed);
        run().unwrap();
        rows.load(Ordering::Relaxed)
    };
    let saliency = Saliency::new(model.clone());
    assert_eq!(count(&|| saliency.attribute(&x, Target::None)), 1 + 3 + 2);
    assert_eq!(count(&|| saliency.attribute(&x, Target::None)), 1);
    assert_eq!(count(&|| saliency.gradient_check(Check::Off).attribute(&x, Target::None)), 1);
    let layer = LayerGradientXActivation::new(model, "hidden");
    assert_eq!(count(&|| layer.attribute(&x, Target::None)), 1 + 3 + 2);
    assert_eq!(count(&|| layer.attribute(&x, Target::None)), 1);
}

/// A random network of dense layers, with everything between them that people put there.
struct Random {
    blocks: Vec<Block>,
    head: Tensor,
    /// How steep the softmax is; none gives logits.
    sharpness: Option<f64>,
}

struct Block {
    weight: Tensor,
    bias: Tensor,
    kind: u64,
    residual: bool,
    cut: bool,
}

const WIDTH: usize = 8;

impl Random {
    fn new(seed: u64, dtype: DType) -> Self {
        let tensor = |shape: &[usize], phase: u64, scale: f64| {
            let numbers = plain::numbers(seed * 131 + phase * 17).map(|number| scale * number);
            let values: Vec<f64> = numbers.take(shape.iter().product()).collect();
            Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
        };
        let block = |index: u64| Block {
            weight: tensor(&[WIDTH, WIDTH], index + 1, 0.8),
            bias: tensor(&[WIDTH], index + 50, 0.5),
            kind: (seed / 3 + index * (seed % 5 + 1)) % 9,
            residual: (seed + index).is_multiple_of(2),
            cut: false,
        };
        let sharpness = Some([1., 1., 1., 30.][seed as usize % 4]);
        Self { blocks: (0..2 + seed % 3).map(block).collect(), head: tensor(&[WIDTH, 3], 99, 1.), sharpness }
    }

    fn model(self) -> Arc<dyn Model> {
        from_fn(move |input: &Inputs, layers: &mut Layers| {
            let mut x = input.first().clone();
            for (index, block) in self.blocks.iter().enumerate() {
                let dense = x.matmul(&block.weight)?.broadcast_add(&block.bias)?;
                let mut out = block.between(&dense)?;
                if block.cut {
                    out = out.detach();
                }
                x = layers.visit(&format!("block{index}"), if block.residual { (x + out)? } else { out })?;
            }
            let logits = x.matmul(&self.head)?;
            Ok(match self.sharpness {
                Some(sharpness) => nn::softmax(&(logits * sharpness)?, 1)?,
                None => logits,
            })
        })
    }
}

impl Block {
    fn between(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        match self.kind {
            0 => x.relu(),
            1 => x.gelu_erf(),
            2 => {
                let pairs = x.reshape(((), 1, WIDTH, 1))?;
                let pooled = nn::max_pool2d(&pairs.broadcast_as((x.dim(0)?, 1, WIDTH, 2))?.contiguous()?, 2, 2)?;
                pooled.flatten_from(1)?.matmul(&self.weight.narrow(0, 0, WIDTH / 2)?)
            }
            3 => nn::softmax(x, 1),
            4 => {
                let centred = x.broadcast_sub(&x.mean_keepdim(1)?)?;
                centred.broadcast_div(&(centred.sqr()?.mean_keepdim(1)? + 1e-5)?.sqrt()?)
            }
            5 => x.tanh(),
            6 => x.abs(),
            7 => x.affine(8., 0.)?.tanh(),
            _ => x.silu(),
        }
    }
}

#[test]
fn a_thousand_right_networks_raise_no_alarm() {
    let mut alarms = Vec::new();
    for seed in 0..1000 {
        let dtype = if seed % 2 == 0 { DType::F32 } else { DType::F64 };
        let x = wave(&[2, WIDTH], seed as f64 * 0.77, 1.).to_dtype(dtype).unwrap();
        let model = Random::new(seed, dtype).model();
        let target = Target::Class(seed as usize % 3);
        let results = [
            Saliency::new(model.clone()).attribute(&x, &target),
            LayerGradientXActivation::new(model.clone(), "block0").attribute(&x, &target),
            IntegratedGradients::new(model.clone()).n_steps(2).attribute(&x, &target),
            LayerIntegratedGradients::new(model.clone(), "block1").n_steps(2).attribute(&x, &target),
            NeuronGradient::new(model, "block1", 1).attribute(&x),
        ];
        let wrong = results.into_iter().enumerate().filter_map(|(method, result)| Some((seed, method, result.err()?)));
        alarms.extend(wrong);
    }
    assert!(alarms.is_empty(), "{} alarms: {:?}", alarms.len(), alarms.first());
}

/// Whether the cut changes the gradient by more than a twentieth, and rounding does not hide it.
fn matters(right: &Result<Attributions>, cut: &Result<Attributions>) -> bool {
    let [right, cut] = [right, cut].map(|result| numbers(result.as_ref().unwrap()));
    let size = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|number| number * number).sum::<f64>().sqrt();
    let apart = size(&mut right[..WIDTH].iter().zip(&cut).map(|(right, cut)| right - cut));
    apart > 0.05 * size(&mut right[..WIDTH].iter().copied()) && apart > 0.01
}

#[test]
fn two_hundred_networks_with_an_operation_cut_are_caught() {
    let mut missed = Vec::new();
    let mut tried = 0;
    for seed in 0.. {
        if tried == 200 {
            break;
        }
        let dtype = if seed % 2 == 0 { DType::F32 } else { DType::F64 };
        let network = |cut: Option<usize>| {
            let mut network = Random { sharpness: None, ..Random::new(seed, dtype) };
            cut.into_iter().for_each(|index| network.blocks[index].cut = true);
            network
        };
        let blocks = network(None).blocks;
        let residual: Vec<usize> = (0..blocks.len()).filter(|&index| blocks[index].residual).collect();
        let Some(&index) = residual.get(seed as usize % residual.len().max(1)) else { continue };
        let x = wave(&[2, WIDTH], seed as f64 * 0.77, 1.).to_dtype(dtype).unwrap();
        let gradient = |network: Random, check: Check| {
            Saliency::new(network.model()).abs(false).gradient_check(check).attribute(&x, Target::Class(0))
        };
        if !matters(&gradient(network(None), Check::Error), &gradient(network(Some(index)), Check::Off)) {
            continue;
        }
        tried += 1;
        match gradient(network(Some(index)), Check::Error) {
            Err(error) if error.to_string().contains(&format!("layer \"block{index}\"")) => {}
            other => missed.push((seed, index, other.err())),
        }
    }
    assert!(missed.is_empty(), "{} of {tried} missed: {missed:?}", missed.len());
}
