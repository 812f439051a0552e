//! What counts as a model, and how its layers are named, tapped and trained.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_explain::candle_nn;
use candle_explain::model::SequenceClassifier;
use candle_explain::prelude::*;

fn row(values: &[f32]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap().unsqueeze(0).unwrap()
}

fn values(result: Result<Attributions>) -> Vec<f32> {
    result.unwrap().tensor().flatten_all().unwrap().to_vec1().unwrap()
}

/// 2x + 3y, as a candle module.
fn module() -> candle_nn::Linear {
    candle_nn::Linear::new(row(&[2., 3.]), None)
}

#[test]
fn modules_and_closures_by_value_and_by_reference() {
    let x = row(&[5., 7.]);
    let expected = [10., 21.];
    let (module, shared) = (module(), from_fn(|input, _| Ok(module().forward(input.first())?)));
    let captured = row(&[2., 3.]).t().unwrap();
    let methods = [
        InputXGradient::new(&module),
        InputXGradient::new(module.clone()),
        InputXGradient::new(move |x: &Tensor| module.forward(x)),
        InputXGradient::new(move |x: &Tensor| x.matmul(&captured)),
        InputXGradient::new(&shared),
        InputXGradient::new(shared),
        InputXGradient::new(Arc::new(Linear::from_weights(&row(&[2., 3.]), None).map(Wrapped).unwrap())),
    ];
    for method in methods {
        assert_eq!(values(method.attribute(&x, Target::None)), expected);
    }
}

struct Wrapped(Linear);

impl Model for Wrapped {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        layers.visit("out", self.0.forward(input.first())?)
    }
}

#[test]
fn a_method_can_be_varied_and_used_again() {
    let ig = IntegratedGradients::new(&module()).n_steps(1);
    let shifted = ig.baseline(1.);
    assert_eq!(values(ig.attribute(row(&[5., 7.]), Target::None)), [10., 21.]);
    assert_eq!(values(shifted.attribute(row(&[5., 7.]), Target::None)), [8., 18.]);
}

#[test]
fn nothing_above_the_last_layer_is_computed() {
    let reached = Arc::new(AtomicBool::new(false));
    let seen = reached.clone();
    let model = from_fn(move |input, layers| {
        let h = layers.visit("hidden", input.first().affine(2., 0.)?)?;
        seen.store(true, Ordering::Relaxed);
        Ok(h)
    });
    assert_eq!(values(LayerActivation::new(&model, "hidden").attribute(row(&[1., 2.]))), [2., 4.]);
    assert_eq!(values(NeuronGradient::new(&model, "hidden", 1).attribute(row(&[1., 2.]))), [0., 2.]);
    assert!(!reached.load(Ordering::Relaxed));
}

#[test]
fn a_candle_network_is_trained_through_its_var_map() {
    let vars = VarMap::new();
    let builder = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
    let layer = candle_nn::linear(2, 2, builder.pp("layer")).unwrap();
    for var in vars.all_vars() {
        var.set(&var.zeros_like().unwrap()).unwrap();
    }
    let model = from_fn(move |input, layers| layers.visit("layer", layer.forward(input.first())?));
    let features = Tensor::new(&[[0f32, 1.], [0.1, 0.9], [1., 0.], [0.9, 0.2]], &Device::Cpu).unwrap();
    let data = Dataset::new(features, ["a", "b"], vec![0, 0, 1, 1]).unwrap();
    let history = Trainer::adam(0.1).epochs(100).fit_parameters(&model, vars.all_vars(), &data).unwrap();
    assert_eq!(history.train_accuracy(), 1.);
    assert_eq!(data.accuracy(&model).unwrap(), 1.);
    let influence = Saliency::new(&model).abs(false).attribute(data.features(), 1).unwrap().mean().unwrap();
    assert!(influence.values()[0] > 0. && influence.values()[1] < 0., "{influence:?}");
    assert_eq!(influence.labels(), ["a", "b"]);
}

#[test]
fn weights_come_back_from_their_file_to_the_bit() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("round_trip.safetensors");
    let [saved, loaded] = [1, 2].map(|seed| Titanic::network(Seed(seed)).unwrap());
    let x = Tensor::ones((3, 12), DType::F32, &Device::Cpu).unwrap();
    let outputs = |net: &Sequential| net.predict(&x).unwrap().to_vec2::<f32>().unwrap();
    assert_ne!(outputs(&saved), outputs(&loaded));
    saved.save(&path).unwrap();
    loaded.load(&path).unwrap();
    assert_eq!(outputs(&saved), outputs(&loaded));
}

#[test]
fn the_same_seed_gives_the_same_network() {
    let outputs = |seed: u32| {
        let net = Sequential::builder([1, 6, 6])
            .conv2d("conv", 3, 3)
            .relu("relu")
            .max_pool2d("pool", 2)
            .flatten("flat")
            .linear("out", 2)
            .build(Seed(seed))
            .unwrap();
        net.predict(Tensor::ones((1, 1, 6, 6), DType::F32, &Device::Cpu).unwrap()).unwrap().to_vec2::<f32>().unwrap()
    };
    assert_eq!(outputs(5), outputs(5));
    assert_ne!(outputs(5), outputs(6));
}

#[test]
fn layers_are_listed_in_the_order_of_the_pass() {
    let names =
        Titanic::network(Seed(1)).unwrap().layer_names(Tensor::ones((1, 12), DType::F32, &Device::Cpu).unwrap());
    assert_eq!(names.unwrap(), ["linear1", "sigmoid1", "linear2", "sigmoid2", "linear3", "softmax"]);
}

#[test]
fn a_prediction_without_inputs_is_an_error() {
    let error = Wrapped(Linear::new(2, 1, Seed(1)).unwrap()).predict(Vec::new()).unwrap_err();
    assert!(error.to_string().contains("there are no inputs"), "{error}");
}

#[test]
fn padding_behind_a_mask_changes_nothing() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints");
    for name in ["tiny-bert", "tiny-roberta", "tiny-distilbert"] {
        let classifier = SequenceClassifier::from_pretrained(folder.join(name)).unwrap();
        let padding = classifier.pad_token_id();
        let short = Tensor::new(&[[7u32, 20, 30, 8]], &Device::Cpu).unwrap();
        let padded = Tensor::new(&[[7u32, 20, 30, 8, padding, padding]], &Device::Cpu).unwrap();
        let mask = Tensor::new(&[[1u32, 1, 1, 1, 0, 0]], &Device::Cpu).unwrap();
        let lig = LayerIntegratedGradients::new(&classifier, "embeddings").n_steps(5);
        let alone = values(lig.attribute(&short, 0));
        let beside = values(lig.attribute(Inputs::from(&padded).with_args([mask]), 0));
        for (alone, beside) in alone.iter().zip(&beside) {
            assert!((alone - beside).abs() < 1e-6, "{name}: {alone} and {beside}");
        }
        assert!(beside[alone.len()..].iter().all(|value| value.abs() < 1e-6), "{name}: padding is attributed");
    }
}
