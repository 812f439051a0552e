//! Guided backpropagation, deconvolution and Grad-CAM against their formulas, and what they say of models that they do
//! not suit.

use std::sync::Arc;

use candle_explain::ErrorKind;
use candle_explain::candle_nn;
use candle_explain::prelude::*;

use crate::plain::{LAYERS, Plain, assert_close, numbers as drawn, rows, tensor};

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn assert_same(got: &[f64], expected: &[f64], within: f64) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= within, "{got} instead of {expected}");
    }
}

/// What passes through a ReLU of the gradient, by what goes into it.
fn guided(gradient: f64, input: f64) -> f64 {
    if input > 0. { gradient.max(0.) } else { 0. }
}

fn deconvolved(gradient: f64, _: f64) -> f64 {
    gradient.max(0.)
}

#[test]
fn the_positive_gradient_passes_relus() {
    for seed in 0..20 {
        let (plain, inputs) = (Plain::rectified(seed), rows(seed + 100, 3));
        let (net, x) = (plain.sequential(), tensor(&inputs));
        let twin = |steps: usize, index: usize, pass: fn(f64, f64) -> f64| -> Vec<Vec<f64>> {
            inputs.iter().map(|x| plain.passed(steps, x, index, pass)).collect()
        };
        let of_output = GuidedBackprop::new(&net).attribute(&x, 1).unwrap();
        assert_close(of_output.tensor(), &twin(LAYERS.len(), 1, guided), 1e-12);
        let of_output = Deconvolution::new(&net).attribute(&x, 1).unwrap();
        assert_close(of_output.tensor(), &twin(LAYERS.len(), 1, deconvolved), 1e-12);
        for (layer, name) in LAYERS.iter().enumerate().skip(1) {
            let of_neuron = NeuronGuidedBackprop::new(&net, *name, 1).attribute(&x).unwrap();
            assert_close(of_neuron.tensor(), &twin(layer + 1, 1, guided), 1e-12);
            let of_neuron = NeuronDeconvolution::new(&net, *name, 1).attribute(&x).unwrap();
            assert_close(of_neuron.tensor(), &twin(layer + 1, 1, deconvolved), 1e-12);
            let of_input = NeuronGuidedBackprop::new(&net, *name, 1).attribute_to_layer_input(true);
            if layer > 1 {
                assert_close(of_input.attribute(&x).unwrap().tensor(), &twin(layer, 1, guided), 1e-12);
            }
        }
    }
}

#[test]
fn a_model_without_relus_is_told() {
    let tanh = Plain::new(3).sequential();
    let x = tensor(&rows(4, 2));
    let errors = [
        GuidedBackprop::new(&tanh).attribute(&x, 1).unwrap_err(),
        Deconvolution::new(&tanh).attribute(&x, 1).unwrap_err(),
        GuidedGradCam::new(&tanh, "tanh1").attribute(&x, 1).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Layer);
        let error = error.to_string();
        assert!(error.starts_with("the model runs no ReLU as a block between the inputs and the output"), "{error}");
        assert!(error.contains("layers.run(&Activation::Relu, &x)"), "{error}");
    }
    let below = Plain::rectified(3).sequential();
    let errors = [
        NeuronGuidedBackprop::new(&below, "linear1", 0).attribute(&x).unwrap_err(),
        NeuronDeconvolution::new(&below, "linear1", 0).attribute(&x).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Layer);
        assert!(error.to_string().contains("between the inputs and layer \"linear1\""), "{error}");
    }
    let free = |x: &Tensor| x.relu()?.sum(1);
    let error = GuidedBackprop::new(free).attribute(&x, Target::None).unwrap_err().to_string();
    assert!(error.contains("the model runs no ReLU as a block"), "{error}");
    let gelu = Sequential::builder(4).linear("linear", 3).gelu("gelu").linear("out", 2).build(Seed(1)).unwrap();
    let error = Deconvolution::new(&gelu).attribute(x.to_dtype(DType::F32).unwrap(), 0).unwrap_err().to_string();
    assert!(error.contains("the model runs no ReLU as a block"), "{error}");
}

/// relu(x)·v through a block of some kind.
fn through(relu: impl Block + Clone + 'static) -> Arc<dyn Model> {
    from_fn(move |input: &Inputs, layers: &mut Layers| {
        let weights = Tensor::new(&[[1f64, -2., 3.]], &Device::Cpu)?;
        Ok(layers.run(&relu, input.first())?.broadcast_mul(&weights)?.sum(1)?)
    })
}

#[test]
fn every_kind_of_relu_is_known_and_0_passes_nothing() {
    let x = Tensor::new(&[[2f64, 2., -2.], [0., 1., 0.]], &Device::Cpu).unwrap();
    let of = |method: &dyn Attribute| numbers(method.attribute_to(&Inputs::from(&x), &Target::None).unwrap().tensor());
    let guided = [1., 0., 0., 0., 0., 0.];
    let deconvolved = [1., 0., 3., 1., 0., 3.];
    assert_eq!(of(&GuidedBackprop::new(through(Activation::Relu))), guided);
    assert_eq!(of(&Deconvolution::new(through(Activation::Relu))), deconvolved);
    let shared = Arc::new(Activation::Relu);
    assert_eq!(of(&GuidedBackprop::new(through(Layer::Activation(Activation::Relu)))), guided);
    assert_eq!(of(&GuidedBackprop::new(through(shared))), guided);
    // candle's own ReLU has the slope 1 at 0.
    let theirs = through(candle_nn::Activation::Relu);
    assert_eq!(of(&GuidedBackprop::new(theirs.clone()).gradient_check(Check::Off)), guided);
    assert_eq!(of(&Deconvolution::new(theirs).gradient_check(Check::Off)), deconvolved);
    assert!(GuidedBackprop::new(through(candle_nn::Activation::Relu6)).attribute(&x, Target::None).is_err());
}

#[test]
fn a_relu_may_be_used_twice() {
    let weights = Linear::from_weights(&tensor(&[vec![1., -1.], vec![-2., 1.]]), None).unwrap();
    let twice = from_fn(move |input: &Inputs, layers: &mut Layers| {
        let once = layers.run(&Activation::Relu, &weights.forward(input.first())?)?;
        layers.run(&Activation::Relu, &weights.forward(&once)?)
    });
    // W x = [2, -3]; relu [2, 0]; W [2, 0] = [2, -4]. Back: 1, then W's first row [1, -1]: of it only 1 passes, and again.
    let x = tensor(&[vec![1., -1.]]);
    let result = GuidedBackprop::new(twice).attribute(&x, 0).unwrap();
    assert_eq!(numbers(result.tensor()), [1., -1.]);
}

#[test]
fn a_wrong_ordinary_gradient_is_found() {
    let cut = from_fn(|input: &Inputs, layers: &mut Layers| {
        let x = input.first();
        let active = layers.run(&Activation::Relu, x)?;
        Ok((active.sum(1)? + x.detach().sqr()?.sum(1)?)?)
    });
    let x = tensor(&rows(5, 2));
    let error = GuidedBackprop::new(&cut).attribute(&x, Target::None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gradient);
    let result = Deconvolution::new(&cut).gradient_check(Check::Warn).attribute(&x, Target::None).unwrap();
    assert!(result.remarks().join("; ").contains("not the derivative"), "{:?}", result.remarks());
    assert!(GuidedBackprop::new(&cut).gradient_check(Check::Off).attribute(&x, Target::None).is_ok());
}

#[test]
fn what_the_output_does_not_depend_on_gets_nothing_and_equals_get_the_same() {
    let half =
        Linear::from_weights(&tensor(&[vec![1., 1., 0.], vec![-1., -1., 0.], vec![0.5, 0.5, 0.]]), None).unwrap();
    let net = from_fn(move |input: &Inputs, layers: &mut Layers| {
        let hidden = layers.run(&half, input.first())?;
        let active = layers.apply("relu", &Activation::Relu, &hidden)?;
        Ok(active.sum(1)?)
    });
    let x = tensor(&[vec![0.4, 0.3, 0.9], vec![-0.7, -0.2, 0.1]]);
    for method in [&GuidedBackprop::new(&net) as &dyn Attribute, &Deconvolution::new(&net)] {
        let result = method.attribute_to(&Inputs::from(&x), &Target::None).unwrap();
        for row in numbers(result.tensor()).chunks(3) {
            assert!(row[2] == 0. && row[0] == row[1] && row[0] != 0., "{row:?}");
        }
    }
}

const SIDE: usize = 6;

/// An image network with pooling, and two images of two channels.
fn images() -> (Sequential, Tensor) {
    let draw = |seed: u64, shape: &[usize]| {
        let values: Vec<f64> = drawn(seed).take(shape.iter().product()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    };
    let conv = |seed: u64, shape: [usize; 4]| {
        Layer::Conv2d(Conv2d::from_weights(&draw(seed, &shape), Some(&draw(seed + 1, &shape[..1])), 1, 0).unwrap())
    };
    let out = Linear::from_weights(&draw(5, &[3, 48]), None).unwrap();
    let layers = [
        ("conv1", conv(1, [4, 2, 2, 2])),
        ("relu1", Layer::Activation(Activation::Relu)),
        ("conv2", conv(3, [3, 4, 2, 2])),
        ("relu2", Layer::Activation(Activation::Relu)),
        ("flatten", Layer::Flatten),
        ("out", Layer::Linear(out)),
    ];
    (Sequential::from_layers([2, SIDE, SIDE], layers).unwrap(), draw(9, &[2, 2, SIDE, SIDE]))
}

/// Grad-CAM of one image by loops: activations and gradients `[channels][places]`.
fn cam(activation: &[f64], gradient: &[f64], channels: usize) -> Vec<f64> {
    let places = activation.len() / channels;
    let mut map = vec![0.; places];
    for channel in 0..channels {
        let of_channel = channel * places..(channel + 1) * places;
        let weight = gradient[of_channel.clone()].iter().sum::<f64>() / places as f64;
        map.iter_mut().zip(&activation[of_channel]).for_each(|(sum, activation)| *sum += weight * activation);
    }
    map
}

#[test]
fn grad_cam_is_the_channels_weighted_by_their_mean_gradients() {
    let (net, x) = images();
    for (layer, channels, side) in [("conv1", 4, 5), ("relu2", 3, 4)] {
        let gradient = LayerGradientXActivation::new(&net, layer).multiply_by_inputs(false).attribute(&x, 1).unwrap();
        let activation = LayerActivation::new(&net, layer).attribute(&x).unwrap();
        let (gradient, activation) = (numbers(gradient.tensor()), numbers(activation.tensor()));
        let size = gradient.len() / 2;
        let images = activation.chunks(size).zip(gradient.chunks(size));
        let expected: Vec<f64> = images.flat_map(|(a, g)| cam(a, g, channels)).collect();

        let method = LayerGradCam::new(&net, layer);
        let result = method.attribute(&x, 1).unwrap();
        assert_eq!(result.tensor().dims(), [2, 1, side, side]);
        assert_same(&numbers(result.tensor()), &expected, 1e-12);
        let positive: Vec<f64> = expected.iter().map(|value| value.max(0.)).collect();
        let rectified = method.relu_attributions(true).attribute(&x, 1).unwrap();
        assert_same(&numbers(rectified.tensor()), &positive, 1e-12);
        let each = method.attr_dim_summation(false).attribute(&x, 1).unwrap();
        assert_eq!(each.tensor().dims(), [2, channels, side, side]);
        assert_same(&numbers(&each.tensor().sum_keepdim(1).unwrap()), &expected, 1e-12);
        let at_input = LayerGradCam::new(&net, "relu1").attribute_to_layer_input(true).attribute(&x, 1).unwrap();
        if layer == "conv1" {
            assert_same(&numbers(at_input.tensor()), &expected, 1e-12);
        }

        // Guided: nearest cells by loops, times guided backpropagation.
        let guided = numbers(GuidedBackprop::new(&net).attribute(&x, 1).unwrap().tensor());
        let result = GuidedGradCam::new(&net, layer).attribute(&x, 1).unwrap();
        assert_eq!(result.tensor().dims(), x.dims());
        for (index, got) in numbers(result.tensor()).into_iter().enumerate() {
            let (image, row, column) = (index / (2 * SIDE * SIDE), index / SIDE % SIDE, index % SIDE);
            let at = image * side * side + row * side / SIDE * side + column * side / SIDE;
            assert!((got - guided[index] * positive[at]).abs() < 1e-12, "{index}: {got}");
        }
    }
}

#[test]
fn several_layers_are_mapped_in_one_pass() {
    let (net, x) = images();
    let both = LayerGradCam::new(&net, ["conv1", "conv2"]).attribute(&x, 1).unwrap();
    for (index, layer) in ["conv1", "conv2"].into_iter().enumerate() {
        let alone = LayerGradCam::new(&net, layer).attribute(&x, 1).unwrap();
        assert_same(&numbers(both.value(index).unwrap()), &numbers(alone.tensor()), 1e-12);
    }
}

#[test]
fn grad_cam_of_a_table_is_one_number() {
    let (plain, inputs) = (Plain::rectified(4), rows(5, 3));
    let (net, x) = (plain.sequential(), tensor(&inputs));
    let product = LayerGradientXActivation::new(&net, "tanh1").attribute(&x, 1).unwrap();
    let map = LayerGradCam::new(&net, "tanh1").attribute(&x, 1).unwrap();
    assert_eq!(map.tensor().dims(), [3, 1]);
    assert_same(&numbers(map.tensor()), &numbers(&product.tensor().sum_keepdim(1).unwrap()), 1e-12);
    let guided = GuidedBackprop::new(&net).attribute(&x, 1).unwrap();
    let expected = guided.tensor().broadcast_mul(&map.tensor().relu().unwrap()).unwrap();
    let both = GuidedGradCam::new(&net, "tanh1").attribute(&x, 1).unwrap();
    assert_same(&numbers(both.tensor()), &numbers(&expected), 1e-12);
}

#[test]
fn grad_cam_says_what_it_cannot_take() {
    let net = from_fn(|input: &Inputs, layers: &mut Layers| {
        let active = layers.apply("relu", &Activation::Relu, input.first())?;
        layers.visit("sum", active.sum(1)?)
    });
    let x = tensor(&rows(6, 2));
    let error = LayerGradCam::new(&net, "sum").attribute(&x, Target::None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Layer);
    assert!(error.to_string().contains("layer \"sum\" gives [2]: Grad-CAM weighs channels"), "{error}");
    let (images, x) = images();
    let error = GuidedGradCam::new(&images, "out").attribute(&x, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(
        error.to_string().contains("input 0 has the shape [2, 2, 6, 6], and layer \"out\" gives [2, 3]"),
        "{error}"
    );
    let error = LayerGradCam::new(&images, "nowhere").attribute(&x, 1).unwrap_err().to_string();
    assert!(error.contains("no layer named \"nowhere\" in this model; it has: conv1"), "{error}");
}
