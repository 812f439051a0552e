//! LRP against numbers of Captum 0.9, and what Captum's own tests expect.

use candle_explain::nn::{AvgPool2d, MaxPool2d};
use candle_explain::prelude::*;

use crate::lrp::{assert_near, linear, mlp, network, wave};

#[track_caller]
fn assert_captum(method: &LRP, x: &Tensor, target: usize, attributions: &[f64], delta: &[f64]) {
    let result = method.attribute(x, target).unwrap();
    assert_near(result.tensor(), attributions, 1e-9);
    for (got, expected) in result.convergence_delta().unwrap().values().iter().zip(delta) {
        assert!((got - expected).abs() < 1e-9, "a delta of {got} instead of {expected}");
    }
}

#[test]
#[rustfmt::skip]
fn dense_networks_have_captums_numbers() {
    let x = wave(21, &[2, 4]);
    let (relu, tanh) = (LRP::new(&mlp(Activation::Relu)), LRP::new(&mlp(Activation::Tanh)));
    assert_captum(&relu, &x, 1,
        &[-0.027372817998, -0.351507189601, -0.192995699959, -0.175358571734, 0.376930472243, -0.5129908196, 0.388943191466, -0.46511186014],
        &[0.456884530781, 0.299271386635]);
    assert_captum(&relu.default_rule(LrpRule::Epsilon(0.1)), &x, 1,
        &[-0.016043903775, -0.206027290531, -0.113119680971, -0.102782112214, 0.076631797269, -0.117810020852, 0.075736814271, -0.104062828361],
        &[0.147623238981, 0.156546608278]);
    assert_captum(&relu.default_rule(LrpRule::Gamma(0.25)), &x, 1,
        &[-0.03321631543, -0.426546279834, -0.187356845668, -0.170235030458, 0.103435785151, -0.188105722503, 0.072944455816, -0.161285256916],
        &[0.52700472288, 0.260053109057]);
    assert_captum(&relu.default_rule(LrpRule::Gamma(0.5)).set_bias_to_zero(true), &x, 1,
        &[-0.012727515221, -0.163439990223, -0.059824694435, -0.054357547722, -0.050358371174, 0.0872733596, -0.028892728737, 0.079020110206],
        &[-9.09e-10, 7.09e-10]);
    assert_captum(&relu.default_rule(LrpRule::Alpha1Beta0), &x, 1,
        &[-0.006325790302, -0.081232439107, 0., 0., 0., 0., 0., 0.],
        &[-0.202791519101, 0.087042370605]);
    assert_captum(&relu.default_rule(LrpRule::Alpha1Beta0).set_bias_to_zero(true), &x, 1,
        &[-0.020976801569, -0.269372943876, 0., 0., 0., 0., 0., 0.],
        &[-3.066e-09, 0.087042370605]);
    assert_captum(&tanh, &x, 1,
        &[0.002017973247, -0.656878896939, -0.040128800011, -0.573777687792, 0.096126431287, -0.473361349604, 0.014617647848, -0.359448996767],
        &[0.596380960445, 0.577850605603]);
    assert_captum(&tanh.default_rule(LrpRule::Gamma(0.25)), &x, 1,
        &[-0.00208867213, -0.649085581069, -0.032981230236, -0.113025850216, 0.070718799172, -0.282575682916, 0.014480307332, -0.232316505271],
        &[0.1247948826, 0.28547742005]);
    assert_captum(&tanh.default_rule(LrpRule::Alpha1Beta0), &x, 1,
        &[0.072614648996, 0.073088179646, 0., -1.452821189452, 9.035496092589, -0.024494245861, 0., -14.166110730046],
        &[0.634731909759, 5.010893221686]);
    // Behind an activation, Captum's identity rule hands on the gradient instead of the relevance.
    let deep = mlp(Activation::Tanh);
    let layers = deep.layers().iter().filter(|(name, _)| name != "a1").map(|(name, layer)| (name.as_str(), layer.clone()));
    let adjacent = LRP::new(&network(&[4], layers.collect()));
    assert_captum(&adjacent.rule("l1", LrpRule::Gamma(0.25)).rule("l2", LrpRule::Identity), &x, 1,
        &[-0.054336834106, -0.618102514478, -0.31029667932, -0.397846730246, 0.766610454639, -1.120154052405, 0.5622952208, -1.196733235489],
        &[0.733728893573, 0.484996489699]);
    let below = LayerLRP::new(&mlp(Activation::Relu), "l2").attribute_to_layer_input(true).attribute(&x, 1).unwrap();
    assert_near(below.tensor(), &[-0.652108792284, 0., 0., 0., -1.199442889309, 0.700544854836, 0.322229826924, 0.], 1e-9);
}

#[test]
#[rustfmt::skip]
fn convolutions_and_pooling_have_captums_numbers() {
    let conv = |index: usize, shape: [usize; 4], padding: usize, shift: f64| {
        let bias = wave(index + 10, &shape[..1]).affine(0.3, shift).unwrap();
        Layer::Conv2d(Conv2d::from_weights(&wave(index, &shape), Some(&bias), 1, padding).unwrap())
    };
    let net = |pool: Layer| {
        let bias = wave(13, &[2]).affine(0.3, 0.2).unwrap();
        let relu = || Layer::Activation(Activation::Relu);
        network(&[1, 4, 4], vec![
            ("c1", conv(1, [2, 1, 3, 3], 1, 0.2)), ("a1", relu()), ("pool", pool), ("c2", conv(2, [2, 2, 2, 2], 0, 1.5)),
            ("a2", relu()), ("flatten", Layer::Flatten), ("fc", linear(&wave(3, &[2, 2]), Some(&bias))),
        ])
    };
    let x = wave(31, &[1, 1, 4, 4]);
    let max = LRP::new(&net(Layer::MaxPool2d(MaxPool2d { kernel: (2, 2), stride: (2, 2) })));
    let mean = LRP::new(&net(Layer::AvgPool2d(AvgPool2d { kernel: (2, 2), stride: (2, 2) })));
    let mixed = |method: &LRP| method.rule("c1", LrpRule::Gamma(0.25)).rule("c2", LrpRule::Alpha1Beta0);
    assert_captum(&max, &x, 0,
        &[-0.121574836096, 0.357263033705, -0.076359924824, 0.019484664731, 0.029233396423, 1.287938987105, 0.264189746809, 0.915094369921,
          -0.30646045447, 0.525617783718, -0.550533355313, -0.011498412301, -0.817339366771, -0.052324002974, -0.490167981583, -0.005394525689],
        &[-0.903516991875]);
    assert_captum(&mixed(&max), &x, 0,
        &[0.076526342209, -0.151354750118, 0.034828873203, 0., 0.008946323803, -0.263110248818, 0.002217959248, -0.006675108181,
          0.163102890292, -0.022254585652, 0.288918703328, -0.013207810013, -0.058226976728, -0.008201513813, 0.019127925431, -0.000234282357],
        &[-0.006751611316]);
    assert_captum(&mean, &x, 0,
        &[-0.032585077068, -0.011355815184, -0.036076415664, 0.120381919329, -0.018127541889, 0.644795827768, -0.094573485983, 0.500500732031,
          -0.227588921207, 0.257570663968, -0.51637347167, 0.103369457947, -0.081208606257, -0.151326031773, -0.093308983697, -0.002826362608],
        &[-0.907753660071]);
    assert_captum(&mixed(&mean), &x, 0,
        &[-0.014992541655, -0.160712716224, 0.010368012173, 0., 0.014341380823, 0.092818915067, -0.038494656683, 0.035042330112,
          -0.01843843583, 0.147641466093, -0.096013823633, -0.002964061013, 0.020260805282, -0.074383200435, -0.034862231391, -0.001017521285],
        &[-0.425079493431]);
}

#[test]
fn captums_own_network() {
    let ones = Tensor::ones((2, 1, 3, 3), DType::F64, &Device::Cpu).unwrap();
    let bias = Tensor::new(&[-50f64, -75.], &Device::Cpu).unwrap();
    let readout: Vec<f64> = (0..32).map(|index| if index % 8 < 5 { 1. } else { -1. }).collect();
    let readout = Tensor::from_vec(readout, (4, 8), &Device::Cpu).unwrap();
    let net = network(
        &[1, 4, 4],
        vec![
            ("conv1", Layer::Conv2d(Conv2d::from_weights(&ones, Some(&bias), 1, 0).unwrap())),
            ("relu1", Layer::Activation(Activation::Relu)),
            ("flatten", Layer::Flatten),
            ("fc", linear(&readout, None)),
            ("relu2", Layer::Activation(Activation::Relu)),
        ],
    );
    let x = Tensor::arange(0f64, 16., &Device::Cpu).unwrap().reshape((1, 1, 4, 4)).unwrap();
    let result = LRP::new(&net).attribute(&x, 0).unwrap();
    let expected = [0., 1., 2., 3., 0., 5., 6., 7., 0., 9., 10., 11., 0., 0., 0., 0.];
    assert_near(result.tensor(), &expected, 1e-8);
    assert!(result.convergence_delta().unwrap().max_abs() < 1e-8);
    let conv = LayerLRP::new(&net, "conv1").attribute(&x, 0).unwrap();
    assert_near(conv.tensor(), &[0., 4., 31., 40., 0., 0., -6., -15.], 1e-8);
}
