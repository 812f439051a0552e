//! Cases whose answer is known by hand: Captum's own test network, and functions that can be
//! integrated on paper.

use candle_explain::nn::MaxPool2d;
use candle_explain::prelude::*;

/// 3 inputs, identity; 4 sums with bias -10, 1, 1, 1; relu; 2 sums with bias -1, 1.
fn network() -> Sequential {
    let linear = |weight: Vec<f64>, shape: (usize, usize), bias: Option<Vec<f64>>| {
        let weight = Tensor::from_vec(weight, shape, &Device::Cpu).unwrap();
        let bias = bias.map(|bias| Tensor::new(bias, &Device::Cpu).unwrap());
        Layer::Linear(Linear::from_weights(&weight, bias.as_ref()).unwrap())
    };
    let identity = vec![1., 0., 0., 0., 1., 0., 0., 0., 1.];
    Sequential::from_layers(
        3,
        [
            ("linear0", linear(identity, (3, 3), None)),
            ("linear1", linear(vec![1.; 12], (4, 3), Some(vec![-10., 1., 1., 1.]))),
            ("relu", Layer::Activation(Activation::Relu)),
            ("linear2", linear(vec![1.; 8], (2, 4), Some(vec![-1., 1.]))),
        ],
    )
    .unwrap()
}

fn row(values: &[f64]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap().unsqueeze(0).unwrap()
}

#[track_caller]
fn assert_near(got: Result<Attributions>, expected: &[f64], tolerance: f64) {
    let got = got.unwrap().tensor().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= tolerance, "{got} instead of {expected}");
    }
}

#[test]
fn layer_conductance() {
    let x = row(&[0., 100., 0.]);
    let of = |layer: &str| LayerConductance::new(&network(), layer).n_steps(500).attribute(&x, 0);
    assert_near(of("linear0"), &[0., 390., 0.], 0.1);
    assert_near(of("linear1"), &[90., 100., 100., 100.], 0.1);
    assert_near(of("relu"), &[90., 100., 100., 100.], 0.1);
    assert_near(of("linear2"), &[390., 0.], 0.1);
}

#[test]
fn neuron_conductance() {
    let x = row(&[0., 100., 0.]);
    let of = |layer: &str| {
        let method = NeuronConductance::new(&network(), layer, 0).quadrature(Quadrature::GaussLegendre);
        method.n_steps(500).attribute(&x, 0)
    };
    assert_near(of("linear2"), &[0., 390., 0.], 0.1);
    assert_near(of("linear1"), &[0., 90., 0.], 0.1);
}

#[test]
fn neuron_integrated_gradients() {
    let method = NeuronIntegratedGradients::new(&network(), "relu", 0).n_steps(200);
    assert_near(method.attribute(row(&[0., 6., 14.])), &[0., 3., 7.], 0.1);
}

#[test]
fn internal_influence() {
    let x = row(&[0., 100., 0.]);
    let of = |layer: &str| {
        let method = InternalInfluence::new(&network(), layer).quadrature(Quadrature::Trapezoid);
        method.n_steps(500).attribute(&x, 0)
    };
    assert_near(of("linear0"), &[3.9, 3.9, 3.9], 0.01);
    assert_near(of("linear1"), &[0.9, 1., 1., 1.], 0.01);
}

#[test]
fn kinks_settle_under_a_tolerance() {
    let of = |tolerance: f64| LayerConductance::new(&network(), "linear1").tolerance(tolerance);
    let result = of(1e-4).attribute(row(&[0., 100., 0.]), 0).unwrap();
    assert!(result.settled().unwrap()[0]);
    assert_near(Ok(result), &[90., 100., 100., 100.], 0.05);
}

#[test]
fn integrated_gradients_through_two_relus() {
    let relu = |x: &Tensor| Activation::Relu.forward(x);
    let f = move |x: &Tensor| {
        let (x1, x2) = (x.narrow(1, 0, 1)?, x.narrow(1, 1, 1)?);
        relu(&((relu(&x1)? - 1.)? - relu(&x2)?)?)?.squeeze(1)
    };
    assert_near(IntegratedGradients::new(f).n_steps(2000).attribute(row(&[3., 1.]), Target::None), &[1.5, -0.5], 1e-3);
    let settled = IntegratedGradients::new(f).tolerance(1e-6).attribute(row(&[3., 1.]), Target::None);
    assert_near(settled, &[1.5, -0.5], 2e-6);
}

#[test]
fn powers_and_products_on_paper() {
    let cube = |x: &Tensor| x.powf(3.)?.sum(1);
    assert_near(IntegratedGradients::new(cube).attribute(row(&[2., -1.]), Target::None), &[8., -1.], 1e-12);
    let from_one = IntegratedGradients::new(cube).baseline(1.);
    assert_near(from_one.attribute(row(&[2., -1.]), Target::None), &[7., -2.], 1e-12);
    // x·y from 0: each gets half.
    let product = |x: &Tensor| (x.narrow(1, 0, 1)? * x.narrow(1, 1, 1)?)?.squeeze(1);
    assert_near(IntegratedGradients::new(product).attribute(row(&[3., 5.]), Target::None), &[7.5, 7.5], 1e-12);
}

#[test]
fn shapley_values() {
    let x = row(&[20., 50., 30.]);
    let expected = [76.66666666666667, 196.66666666666666, 116.66666666666667];
    assert_near(ShapleyValues::new(&network()).attribute(&x, 0), &expected, 1e-10);
    assert_near(KernelShap::new(&network()).attribute(&x, 0), &expected, 1e-10);
    assert_near(ShapleyValueSampling::new(&network()).tolerance(1e-3).attribute(&x, 0), &expected, 2.);
}

/// One image of 4 × 4; two convolutions of 3 × 3 ones with bias −50 and −75; relu; 4 sums, the second half subtracted.
fn image_network() -> (Sequential, Tensor) {
    let tensor = |values: Vec<f64>, shape: &[usize]| Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
    let conv = Conv2d::from_weights(&tensor(vec![1.; 18], &[2, 1, 3, 3]), Some(&tensor(vec![-50., -75.], &[2])), 1, 0)
        .unwrap();
    let row = [[1.; 5].as_slice(), &[-1.; 3]].concat();
    let out = Linear::from_weights(&tensor(row.repeat(4), &[4, 8]), Some(&tensor(vec![0.; 4], &[4]))).unwrap();
    let net = Sequential::from_layers(
        [1, 4, 4],
        [
            ("conv1", Layer::Conv2d(conv)),
            ("relu1", Layer::Activation(Activation::Relu)),
            ("flatten", Layer::Flatten),
            ("fc1", Layer::Linear(out)),
            ("relu2", Layer::Activation(Activation::Relu)),
        ],
    );
    (net.unwrap(), tensor((0..16).map(f64::from).collect(), &[1, 1, 4, 4]))
}

#[test]
fn guided_backpropagation_and_deconvolution() {
    let (net, x) = image_network();
    let guided = [0., 1., 1., 1., 1., 3., 3., 2., 1., 3., 3., 2., 1., 2., 2., 1.];
    assert_near(GuidedBackprop::new(&net).attribute(&x, 0), &guided, 0.);
    let deconvolved = [2., 3., 3., 1., 3., 5., 5., 2., 3., 5., 5., 2., 1., 2., 2., 1.];
    assert_near(Deconvolution::new(&net).attribute(&x, 0), &deconvolved, 0.);
    assert_near(NeuronGuidedBackprop::new(&net, "fc1", 0).attribute(&x), &guided, 0.);
    assert_near(NeuronDeconvolution::new(&net, "fc1", 0).attribute(&x), &deconvolved, 0.);
}

#[test]
fn grad_cam() {
    let (net, x) = image_network();
    assert_near(LayerGradCam::new(&net, "conv1").attribute(&x, 0), &[11.25, 13.5, 20.25, 22.5], 0.);
}

#[test]
fn deep_lift_through_relus() {
    let net = from_fn(|input: &Inputs, layers: &mut Layers| {
        let x = input.first();
        let first = layers.run(&Activation::Relu, &x.narrow(1, 0, 1)?)?;
        let second = layers.run(&Activation::Relu, &(x.narrow(1, 1, 1)? - 1.5)?)?;
        Ok(((first + second)? * 2.)?)
    });
    for captum in [false, true] {
        let method = DeepLift::new(&net).captum_rules(captum);
        let result = method.attribute(row(&[1., 2.]), 0).unwrap();
        assert_eq!(result.convergence_delta().unwrap().values(), [0.]);
        assert_near(Ok(result), &[2., 1.], 0.);
        assert_near(method.multiply_by_inputs(false).attribute(row(&[1., 2.]), 0), &[2., 0.5], 0.);
    }
}

#[test]
fn deep_lift_through_the_largest_of_a_window() {
    let pool = MaxPool2d { kernel: (1, 4), stride: (1, 4) };
    let net =
        from_fn(move |input: &Inputs, layers: &mut Layers| Ok(layers.run(&pool, input.first())?.flatten_from(1)?));
    let ones = Tensor::ones((2, 1, 1, 4), DType::F64, &Device::Cpu).unwrap();
    let baseline =
        Tensor::new(&[1f64, 2., 3., 9., 4., 8., 6., 7.], &Device::Cpu).unwrap().reshape((2, 1, 1, 4)).unwrap();
    for captum in [false, true] {
        let method = DeepLift::new(&net).captum_rules(captum).baseline(&baseline);
        let result = method.attribute(&ones, 0).unwrap();
        assert_eq!(result.convergence_delta().unwrap().values(), [0., 0.]);
        assert_near(Ok(result), &[0., 0., 0., -8., 0., -7., 0., 0.], 0.);
    }
}

/// How many points or samples a result has that nobody chose.
#[test]
fn defaults_are_captums() {
    let (net, x) = (network(), row(&[2., 5., 3.]));
    let rows = Baseline::distribution(&Tensor::zeros((4, 3), DType::F64, &Device::Cpu).unwrap());
    for result in [
        IntegratedGradients::new(&net).attribute(&x, 0),
        LayerIntegratedGradients::new(&net, "linear1").attribute(&x, 0),
        InternalInfluence::new(&net, "linear1").attribute(&x, 0),
        NeuronConductance::new(&net, "linear1", 0).attribute(&x, 0),
        NeuronIntegratedGradients::new(&net, "linear1", 0).attribute(&x),
    ] {
        assert_eq!(result.unwrap().steps(), [50]);
    }
    // Both ends of each of 50 steps.
    assert_eq!(LayerConductance::new(&net, "linear1").attribute(&x, 0).unwrap().steps(), [51]);
    for result in [
        GradientShap::new(&net).baseline(&rows).attribute(&x, 0),
        LayerGradientShap::new(&net, "linear1").baseline(&rows).attribute(&x, 0),
        NeuronGradientShap::new(&net, "linear1", 0).baseline(&rows).attribute(&x),
        NoiseTunnel::new(Saliency::new(&net)).attribute(&x, 0),
    ] {
        assert_eq!(result.unwrap().samples(), [5]);
    }
    let orders = ShapleyValueSampling::new(&net);
    assert_eq!(orders.antithetic(false).attribute(&x, 0).unwrap().samples(), [25]);
    assert_eq!(orders.attribute(&x, 0).unwrap().samples(), [26], "an order and its reverse are two");
    assert_eq!(Lime::new(&net).attribute(&x, 0).unwrap().samples(), [25]);
    let wide = Tensor::ones((1, 8), DType::F64, &Device::Cpu).unwrap();
    let squares = |x: &Tensor| x.sum(1)?.sqr();
    let samples = |kernel: KernelShap| kernel.attribute(&wide, Target::None).unwrap().samples().to_vec();
    assert_eq!(samples(KernelShap::new(squares).paired(false)), [25]);
}

/// Settings that no result tells: the default and what it is said to be give the same bits.
#[test]
fn settings_default_to_captums() {
    let (net, x) = (network(), row(&[2., 5., 3.]));
    let rows = Baseline::distribution(&Tensor::new(&[[0f64, 1., 0.], [1., 1., 3.]], &Device::Cpu).unwrap());
    let shap = GradientShap::new(&net).baseline(rows);
    let tunnel = NoiseTunnel::new(IntegratedGradients::new(&net).n_steps(3));
    let (image, pixels) = image_network();
    let cam = LayerGradCam::new(&image, "conv1");
    let lime = Lime::new(&net);
    let lrp = LRP::new(&net);
    for (default, said) in [
        (shap.attribute(&x, 0), shap.stdevs(0.).multiply_by_inputs(true).attribute(&x, 0)),
        (tunnel.attribute(&x, 0), tunnel.stdevs(1.).nt_type(NoiseTunnelType::SmoothGrad).attribute(&x, 0)),
        (cam.attribute(&pixels, 0), cam.relu_attributions(false).attr_dim_summation(true).attribute(&pixels, 0)),
        (
            lime.attribute(&x, 0),
            lime.surrogate(Surrogate::Lasso { alpha: 0.01 })
                .similarity(Similarity::Cosine { width: 1. })
                .sampler(Sampler::Bernoulli(0.5))
                .attribute(&x, 0),
        ),
        (lrp.attribute(&x, 0), lrp.default_rule(LrpRule::Epsilon(1e-9)).set_bias_to_zero(false).attribute(&x, 0)),
        (Saliency::new(&net).attribute(&x, 0), Saliency::new(&net).abs(true).attribute(&x, 0)),
        (
            NeuronConductance::new(&net, "linear1", 1).attribute(&x, 0),
            NeuronConductance::new(&net, "linear1", 1).quadrature(Quadrature::Trapezoid).attribute(&x, 0),
        ),
    ] {
        let bits = |result: Result<Attributions>| {
            let numbers = result.unwrap().tensor().flatten_all().unwrap().to_vec1::<f64>().unwrap();
            numbers.into_iter().map(f64::to_bits).collect::<Vec<_>>()
        };
        assert_eq!(bits(default), bits(said));
    }
}
