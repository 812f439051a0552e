//! DeepLift of layers and neurons, and over distributions of baselines.

use std::path::Path;
use std::sync::Arc;

use candle_explain::ErrorKind;
use candle_explain::nn::Softmax;
use candle_explain::prelude::*;

use crate::plain::{LAYERS, Plain, assert_close, rows, tensor};

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn times(multipliers: &[f64], x: &[f64], b: &[f64]) -> Vec<f64> {
    multipliers.iter().zip(x.iter().zip(b)).map(|(multiplier, (x, b))| multiplier * (x - b)).collect()
}

/// What a layer gets, by loops.
fn of_layer(plain: &Plain, layer: usize, x: &[f64], b: &[f64]) -> Vec<f64> {
    let multipliers = plain.multipliers_in(layer + 1..LAYERS.len(), x, b, 1);
    times(&multipliers, &plain.up_to_layer(layer, x), &plain.up_to_layer(layer, b))
}

#[test]
fn layers_and_neurons_get_the_rescaled_multipliers() {
    for plain in [Plain::new(31), Plain::rectified(32)] {
        let (inputs, origins) = (rows(41, 3), rows(42, 3));
        let (net, x, b) = (plain.sequential(), tensor(&inputs), tensor(&origins));
        type Twin<'a> = &'a dyn Fn(&[f64], &[f64]) -> Vec<f64>;
        let each = |twin: Twin| -> Vec<Vec<f64>> { inputs.iter().zip(&origins).map(|(x, b)| twin(x, b)).collect() };
        for (layer, name) in LAYERS.iter().enumerate() {
            let method = LayerDeepLift::new(&net, *name).baseline(&b);
            let result = method.attribute(&x, 1).unwrap();
            assert_close(result.tensor(), &each(&|x, b| of_layer(&plain, layer, x, b)), 1e-10);
            assert!(result.convergence_delta().unwrap().max_abs() < 1e-12, "{name}");
            let local = method.multiply_by_inputs(false).attribute(&x, 1).unwrap();
            let multipliers = each(&|x, b| plain.multipliers_in(layer + 1..LAYERS.len(), x, b, 1));
            assert_close(local.tensor(), &multipliers, 1e-10);
            assert!(local.convergence_delta().is_err());
            let at_input = method.attribute_to_layer_input(true).attribute(&x, 1).unwrap();
            let expected = each(&|x, b| match layer {
                0 => times(&plain.multipliers(x, b, 1), x, b),
                _ => of_layer(&plain, layer - 1, x, b),
            });
            assert_close(at_input.tensor(), &expected, 1e-10);

            let neuron = NeuronDeepLift::new(&net, *name, 1).baseline(&b);
            let result = neuron.attribute(&x).unwrap();
            let of_neuron = |x: &[f64], b: &[f64]| plain.multipliers_in(0..layer + 1, x, b, 1);
            assert_close(result.tensor(), &each(&|x, b| times(&of_neuron(x, b), x, b)), 1e-10);
            assert!(result.convergence_delta().unwrap().max_abs() < 1e-12, "{name}");
            let local = neuron.multiply_by_inputs(false).attribute(&x).unwrap();
            assert_close(local.tensor(), &each(&of_neuron), 1e-10);
            if layer > 0 {
                let at_input = neuron.attribute_to_layer_input(true).attribute(&x).unwrap();
                let below = NeuronDeepLift::new(&net, LAYERS[layer - 1], 1).baseline(&b).attribute(&x).unwrap();
                assert_eq!(numbers(at_input.tensor()), numbers(below.tensor()), "{name}");
            }
        }
    }
}

#[test]
fn a_distribution_gives_the_mean_of_its_rows_and_how_far_they_spread() {
    let (plain, x, sample) = (Plain::new(33), tensor(&rows(43, 3)), rows(44, 7));
    let net = plain.sequential();
    let all = Baseline::distribution(&tensor(&sample));
    let row = |row: usize| tensor(&sample[row..row + 1]);
    let results: [(Attributions, Vec<Attributions>); 3] = [
        (
            DeepLiftShap::new(&net).baseline(&all).attribute(&x, 1).unwrap(),
            (0..7).map(|at| DeepLift::new(&net).baseline(row(at)).attribute(&x, 1).unwrap()).collect(),
        ),
        (
            LayerDeepLiftShap::new(&net, "tanh1").baseline(&all).attribute(&x, 1).unwrap(),
            (0..7).map(|at| LayerDeepLift::new(&net, "tanh1").baseline(row(at)).attribute(&x, 1).unwrap()).collect(),
        ),
        (
            NeuronDeepLiftShap::new(&net, "tanh2", 2).baseline(&all).attribute(&x).unwrap(),
            (0..7).map(|at| NeuronDeepLift::new(&net, "tanh2", 2).baseline(row(at)).attribute(&x).unwrap()).collect(),
        ),
    ];
    for (result, each) in results {
        let errors = numbers(&result.standard_errors().unwrap()[0]);
        for (index, mean) in numbers(result.tensor()).into_iter().enumerate() {
            let values: Vec<f64> = each.iter().map(|one| numbers(one.tensor())[index]).collect();
            let expected = values.iter().sum::<f64>() / 7.;
            let variance = values.iter().map(|value| (value - expected).powi(2)).sum::<f64>() / 6.;
            assert!((mean - expected).abs() < 1e-12, "{}: {mean} and {expected}", result.method());
            assert!((errors[index] - (variance / 7.).sqrt()).abs() < 1e-12, "{}", result.method());
        }
        assert_eq!(result.samples(), [7, 7, 7]);
        assert!(result.convergence_delta().unwrap().max_abs() < 1e-12);
        assert!(result.remarks().join("; ").contains("largest standard error"), "{:?}", result.remarks());
    }
}

#[test]
fn several_inputs_have_errors_of_their_own_and_one_row_has_none() {
    let product = from_fn(|input: &Inputs, layers: &mut Layers| {
        Ok(layers.run(&candle_explain::nn::Multiply, &[input.get(0)?, input.get(1)?])?.sum(1)?)
    });
    let inputs = Inputs::new([tensor(&rows(51, 2)), tensor(&rows(52, 2))]);
    let sample = vec![tensor(&rows(53, 5)), tensor(&rows(54, 5))];
    let result = DeepLiftShap::new(&product).baseline(Baseline::Distribution(sample.clone()));
    let result = result.attribute(inputs.clone(), Target::None).unwrap();
    for (value, error) in result.values().iter().zip(result.standard_errors().unwrap()) {
        assert_eq!(value.dims(), error.dims());
        assert!(numbers(error).iter().all(|error| *error > 0.));
    }
    let one = sample.iter().map(|rows| rows.narrow(0, 0, 1).unwrap()).collect();
    let result = DeepLiftShap::new(&product).baseline(Baseline::Distribution(one));
    let result = result.attribute(inputs, Target::None).unwrap();
    assert!(numbers(&result.standard_errors().unwrap()[0]).iter().all(|error| error.is_nan()));
}

#[test]
fn the_input_as_its_only_baseline_gets_nothing() {
    let net = Plain::new(34).sequential();
    let x = tensor(&rows(45, 1));
    let itself = Baseline::distribution(&x);
    for result in [
        DeepLiftShap::new(&net).baseline(&itself).attribute(&x, 1),
        LayerDeepLiftShap::new(&net, "tanh1").baseline(&itself).attribute(&x, 1),
        NeuronDeepLiftShap::new(&net, "tanh1", 2).baseline(&itself).attribute(&x),
    ] {
        assert!(numbers(result.unwrap().tensor()).iter().all(|value| *value == 0.));
    }
}

#[test]
fn a_mean_over_no_distribution_is_an_error() {
    let net = Plain::new(35).sequential();
    let x = tensor(&rows(46, 2));
    let empty = Tensor::zeros((0, 4), DType::F64, &Device::Cpu).unwrap();
    let cases = [
        (Baseline::Zero, "and one baseline for each example came"),
        (Baseline::Value(0.5), "and one baseline for each example came"),
        (Baseline::from(&x), "and one baseline for each example came"),
        (Baseline::distribution(&empty), "the distribution of baselines has no row, its shapes are [[0, 4]]"),
        (Baseline::Distribution(Vec::new()), "and none came"),
    ];
    for (baseline, expected) in cases {
        for result in [
            DeepLiftShap::new(&net).baseline(&baseline).attribute(&x, 1),
            LayerDeepLiftShap::new(&net, "tanh1").baseline(&baseline).attribute(&x, 1),
            NeuronDeepLiftShap::new(&net, "tanh1", 2).baseline(&baseline).attribute(&x),
        ] {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
    let error = LayerDeepLiftShap::new(&net, "tanh1").baseline(0.).attribute(&x, 1).unwrap_err().to_string();
    assert!(error.starts_with("LayerDeepLiftShap needs") && error.ends_with("take LayerDeepLift"), "{error}");
}

/// The largest delta, as a share of max(1, |F(x) − F(b)|).
fn worst(model: &SequenceClassifier, layer: &str, x: &Inputs, baseline: &Inputs) -> f64 {
    let result = LayerDeepLift::new(model, layer).baseline(baseline).attribute(x.clone(), 0).unwrap();
    let output = |inputs: &Inputs| numbers(&model.predict(inputs.clone()).unwrap().narrow(1, 0, 1).unwrap());
    let differences = output(x).into_iter().zip(output(baseline)).map(|(x, b)| (x - b).abs());
    let deltas = result.convergence_delta().unwrap();
    deltas.values().iter().zip(differences).map(|(delta, by)| delta.abs() / by.max(1.)).fold(0., f64::max)
}

#[test]
fn every_layer_that_all_goes_through_adds_up_in_every_encoder() {
    let checkpoints = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints");
    let ids = |ids: [[u32; 6]; 2]| {
        let mask = Tensor::new(&[[1u32, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]], &Device::Cpu).unwrap();
        Inputs::from(Tensor::new(&ids, &Device::Cpu).unwrap()).with_args([mask])
    };
    let (x, b) = (ids([[2, 7, 9, 11, 5, 3], [2, 8, 8, 3, 1, 1]]), ids([[2, 1, 1, 1, 1, 3], [2, 1, 1, 3, 1, 1]]));
    for folder in std::fs::read_dir(checkpoints).unwrap() {
        let folder = folder.unwrap().path();
        let name = folder.file_name().unwrap().display().to_string();
        let classifier = SequenceClassifier::from_pretrained(&folder).unwrap();
        let layers = classifier.layer_names(x.clone()).unwrap();
        let whole = |layer: &&String| {
            *layer == "embeddings" || layer.rsplit('.').next().is_some_and(|last| last.parse::<usize>().is_ok())
        };
        let layers: Vec<&String> = layers.iter().filter(whole).collect();
        assert!(layers.len() >= 3, "{name}: {layers:?}");
        for (dtype, most) in [(DType::F64, 1e-9), (DType::F32, 1e-4)] {
            let model = classifier.to_dtype(dtype).unwrap();
            for layer in &layers {
                // Its convolution takes the embeddings past the first layer.
                if name == "tiny-deberta-v2" && *layer == "encoder.layer.0" {
                    let method = LayerDeepLift::new(&model, layer.as_str()).baseline(&b);
                    let remarks = method.attribute(x.clone(), 0).unwrap().remarks().join("; ");
                    assert!(remarks.contains("goes past layer \"encoder.layer.0\""), "{remarks}");
                    continue;
                }
                let worst = worst(&model, layer, &x, &b);
                println!("{name}, {layer} in {dtype:?}: {worst:e}");
                assert!(worst <= most, "{name}, {layer} in {dtype:?}: {worst:e}");
            }
        }
    }
}

#[test]
fn the_shipped_classifier_adds_up_over_texts() {
    let model = TextClassifier::from_pretrained("data/sentiment-vi").unwrap();
    let input = model.tokenize("Sản phẩm này rất tốt, giao hàng nhanh").unwrap();
    let (x, baseline) = (Inputs::from(&input), Inputs::from(&input.reference().unwrap()));
    let worst = worst(model.classifier(), "embeddings", &x, &baseline);
    println!("{worst:e}");
    assert!(worst <= 1e-4, "{worst:e}");
    let parts = ["word", "position", "token_type"].map(|kind| format!("embeddings.{kind}_embeddings")).to_vec();
    let result = LayerDeepLift::new(&model, parts).baseline(&baseline).attribute(&input, 0).unwrap();
    assert_eq!(result.values().len(), 3);
    assert!(result.convergence_delta().unwrap().max_abs() < 1e-3, "{:?}", result.remarks());
    let unset = LayerDeepLift::new(&model, "embeddings").attribute(&input, 0).unwrap();
    assert!(unset.remarks().join("; ").contains("compared with the id 0"), "{:?}", unset.remarks());
}

/// Attention beside a residual path, all in blocks.
fn beside() -> Arc<dyn Model> {
    from_fn(|input: &Inputs, layers: &mut Layers| {
        let below = layers.apply("below", &Activation::Tanh, input.first())?;
        let branch = layers.apply("branch", &Softmax { axis: 1 }, &below)?;
        let joined = layers.visit("joined", (branch + below)?)?;
        Ok(layers.apply("above", &Activation::Sigmoid, &joined)?.sum(1)?)
    })
}

#[test]
fn what_goes_past_a_layer_is_told_from_what_is_in_no_block() {
    let x = tensor(&rows(47, 2)).affine(3., 1.).unwrap();
    let past = LayerDeepLift::new(beside(), "branch").attribute(&x, Target::None).unwrap();
    let remarks = past.remarks().join("; ");
    assert!(remarks.contains("a part of the output goes past layer \"branch\""), "{remarks}");
    for layer in ["below", "joined", "above"] {
        let whole = LayerDeepLift::new(beside(), layer).attribute(&x, Target::None).unwrap();
        assert!(whole.convergence_delta().unwrap().max_abs() < 1e-12, "{layer}");
    }
    // Nothing named lies below the branch.
    let first = from_fn(|input: &Inputs, layers: &mut Layers| {
        let branch = layers.apply("branch", &Softmax { axis: 1 }, input.first())?;
        Ok((branch + input.first())?.sum(1)?)
    });
    let past = LayerDeepLift::new(first, "branch").attribute(&x, Target::None).unwrap();
    assert!(past.remarks().join("; ").contains("goes past layer \"branch\""), "{:?}", past.remarks());

    let free = from_fn(|input: &Inputs, layers: &mut Layers| {
        let below = layers.apply("below", &Activation::Tanh, input.first())?;
        let squares = layers.visit("squares", below.exp()?)?;
        Ok(layers.apply("above", &Activation::Tanh, &squares)?.sum(1)?)
    });
    let lost = LayerDeepLift::new(free, "below").attribute(&x, Target::None).unwrap();
    let remarks = lost.remarks().join("; ");
    assert!(remarks.contains("add up down to layer \"squares\" and not below it"), "{remarks}");
}

#[test]
fn layers_side_by_side_add_up_together_and_one_above_another_is_an_error() {
    let net = from_fn(|input: &Inputs, layers: &mut Layers| {
        let left = layers.apply("left", &Activation::Tanh, input.first())?;
        let right = layers.apply("right", &Activation::Sigmoid, input.first())?;
        let product = layers.run(&candle_explain::nn::Multiply, &[&left, &right])?;
        layers.visit("sum", product.sum(1)?)
    });
    let x = tensor(&rows(48, 3));
    let both = LayerDeepLift::new(&net, ["left", "right"]).attribute(&x, Target::None).unwrap();
    assert!(both.convergence_delta().unwrap().max_abs() < 1e-12);
    let plain = Plain::new(36).sequential();
    let error = LayerDeepLift::new(&plain, ["tanh1", "linear2"]).attribute(&x, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gradient);
    assert!(error.to_string().contains("of layer \"tanh1\" and layer \"linear2\" one is above another"), "{error}");
}

#[test]
fn a_layer_used_by_each_class_of_target_and_a_missing_one() {
    let net = Plain::new(37).sequential();
    let x = tensor(&rows(49, 3));
    let mixed = LayerDeepLift::new(&net, "tanh1").attribute(&x, vec![1, 0, 1]).unwrap();
    for (row, class) in [1, 0, 1].into_iter().enumerate() {
        let alone = LayerDeepLift::new(&net, "tanh1").attribute(x.narrow(0, row, 1).unwrap(), class).unwrap();
        let apart = (mixed.tensor().narrow(0, row, 1).unwrap() - alone.tensor()).unwrap();
        assert!(numbers(&apart).iter().all(|apart| apart.abs() < 1e-12));
    }
    let error = LayerDeepLift::new(&net, "nowhere").attribute(&x, 1).unwrap_err().to_string();
    assert!(error.contains("no layer named \"nowhere\""), "{error}");
    let error = NeuronDeepLift::new(&net, "tanh1", 9).attribute(&x).unwrap_err().to_string();
    assert!(error.contains("neuron 9 is out of range"), "{error}");
    let ids = Tensor::new(&[[1u32, 2, 3, 4]], &Device::Cpu).unwrap();
    let error = NeuronDeepLift::new(&net, "tanh1", 1).attribute(&ids).unwrap_err().to_string();
    assert!(error.contains("attribute to the embedding layer"), "{error}");
}

#[test]
fn masks_of_minus_infinity_are_taken_by_blocks() {
    let masked = from_fn(|input: &Inputs, layers: &mut Layers| {
        let scores = layers.visit("scores", input.first().broadcast_add(input.arg(0)?)?)?;
        let weights = layers.run(&Softmax { axis: 1 }, &scores)?;
        Ok(layers.run(&candle_explain::nn::Multiply, &[&weights, input.first()])?.sum(1)?)
    });
    let mask = Tensor::new(&[[0f64, 0., f64::NEG_INFINITY, 0.]], &Device::Cpu).unwrap();
    let x = Inputs::from(&tensor(&rows(55, 1))).with_args([mask]);
    let whole = DeepLift::new(&masked).attribute(x.clone(), Target::None).unwrap();
    assert!(whole.convergence_delta().unwrap().max_abs() < 1e-12);
    let of_layer = LayerDeepLift::new(&masked, "scores").attribute(x, Target::None).unwrap();
    let of_layer = numbers(of_layer.tensor());
    assert!(of_layer[2] == 0. && of_layer.iter().all(|number| number.is_finite()), "{of_layer:?}");
}
