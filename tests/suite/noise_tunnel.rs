//! NoiseTunnel against loops over the same draws, what its errors promise, and what it wraps.

use std::sync::Arc;

use candle_explain::attr::METHODS;
use candle_explain::engine::Options;
use candle_explain::prelude::*;

use crate::coverage::Coverage;
use crate::gradient_shap::{child, normal};
use crate::laws;
use crate::plain::{Plain, assert_close, gradient, rows, tensor};
use crate::subjects::rectifies;

const TARGET: usize = 1;
const SAMPLES: usize = 6;
const STDEV: f64 = 0.3;

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// The noisy inputs of one row.
fn noisy(seed: u32, x: &[f64], samples: usize) -> Vec<Vec<f64>> {
    let of = |sample| {
        let noise = normal(child(child(seed, sample), 0));
        x.iter().zip(noise).map(|(x, noise)| x + STDEV * noise).collect()
    };
    (0..samples).map(of).collect()
}

#[test]
fn noise_tunnel() {
    let plain = Plain::new(1);
    let inputs = rows(2, 3);
    let tunnel = NoiseTunnel::new(Saliency::new(&plain.sequential()).abs(false));
    let tunnel = tunnel.n_samples(SAMPLES).stdevs(STDEV).seed(Seed(5));
    let n = SAMPLES as f64;
    let check = |nt_type: NoiseTunnelType, estimate: &dyn Fn(&[f64]) -> (f64, f64)| {
        let result = tunnel.nt_type(nt_type).attribute(tensor(&inputs), TARGET).unwrap();
        let (mut values, mut errors) = (Vec::new(), Vec::new());
        for x in &inputs {
            let gradients: Vec<Vec<f64>> =
                noisy(5, x, SAMPLES).iter().map(|x| gradient(|x| plain.output(x)[TARGET], x)).collect();
            let column = |index: usize| gradients.iter().map(|gradient| gradient[index]).collect::<Vec<_>>();
            let (value, error): (Vec<f64>, Vec<f64>) = (0..x.len()).map(|index| estimate(&column(index))).unzip();
            values.push(value);
            errors.push(error);
        }
        assert_close(result.tensor(), &values, 1e-8);
        assert_close(&result.standard_errors().unwrap()[0], &errors, 1e-8);
        assert_eq!(result.samples(), [SAMPLES; 3]);
    };
    let central = |a: &[f64], power: i32| a.iter().map(|x| (x - mean(a)).powi(power)).sum::<f64>();
    let of_mean = |a: &[f64]| (mean(a), (central(a, 2) / (n - 1.) / n).sqrt());
    let of_variance = |a: &[f64]| {
        let variance = central(a, 2) / (n - 1.);
        (variance, ((central(a, 4) / n - variance * variance * (n - 3.) / (n - 1.)) / n).sqrt())
    };
    check(NoiseTunnelType::SmoothGrad, &of_mean);
    check(NoiseTunnelType::SmoothGradSq, &|a| of_mean(&a.iter().map(|a| a * a).collect::<Vec<_>>()));
    check(NoiseTunnelType::VarGrad, &of_variance);
    check(NoiseTunnelType::CaptumVarGrad, &|a| {
        let (variance, error) = of_variance(a);
        let captums = mean(&a.iter().map(|a| a * a).collect::<Vec<_>>()) - mean(a).powi(2);
        assert!((captums - variance * (n - 1.) / n).abs() < 1e-12);
        (captums, error * (n - 1.) / n)
    });
}

#[test]
fn without_noise_it_is_the_method_itself() {
    let inputs = Inputs::from(&tensor(&rows(3, 4)));
    for info in METHODS.iter().filter(|info| !info.takes("seed")) {
        let net = if rectifies(info) { Plain::rectified(4) } else { Plain::new(4) };
        let build = || (info.build)(Arc::new(net.sequential()), &laws::options(info)).unwrap();
        let alone = build().attribute_to(&inputs, &Target::Predicted).unwrap();
        let tunnel = NoiseTunnel::new(build()).stdevs(0.);
        let through = tunnel.attribute_to(&inputs, &Target::Predicted).unwrap();
        assert_eq!((through.places(), through.targets()), (alone.places(), alone.targets()), "{}", info.name);
        for (through, alone) in numbers(through.tensor()).iter().zip(numbers(alone.tensor())) {
            assert!((through - alone).abs() < 1e-12, "{}: {through} and {alone}", info.name);
        }
        let variance = tunnel.nt_type(NoiseTunnelType::VarGrad).attribute_to(&inputs, &Target::Predicted).unwrap();
        assert!(numbers(variance.tensor()).iter().all(|variance| *variance < 1e-24), "{}", info.name);
    }
}

#[test]
fn the_stated_errors_cover() {
    // The gradient of x³ is 3x²; of x + ε it is 3(x + ε)², with the mean 3(x² + s²) and the variance 36x²s² + 18s⁴.
    let cubes = |x: &Tensor| x.powf(3.)?.sum(1);
    let (x, s) = (tensor(&[vec![1., 2., 3.]]), 0.1f64);
    let tunnel = NoiseTunnel::new(Saliency::new(cubes)).stdevs(s);
    let exact = |f: &dyn Fn(f64) -> f64| [1., 2., 3.].map(f);
    let means = exact(&|x| 3. * (x * x + s * s));
    let variances = exact(&|x: f64| 36. * x * x * s * s + 18. * s.powi(4));
    let squares: Vec<f64> = means.iter().zip(variances).map(|(mean, variance)| mean * mean + variance).collect();
    for (nt_type, samples, exact) in [
        (NoiseTunnelType::SmoothGrad, 100, means.to_vec()),
        (NoiseTunnelType::SmoothGradSq, 200, squares),
        (NoiseTunnelType::VarGrad, 400, variances.to_vec()),
    ] {
        let tunnel = tunnel.nt_type(nt_type).n_samples(samples);
        let of_seed = |seed| tunnel.seed(seed).attribute(&x, Target::None).unwrap();
        Coverage::of(&exact, of_seed).hold("NoiseTunnel", &format!("{nt_type:?}, {samples} samples"));
    }
}

#[test]
fn the_variance_of_few_samples_is_right_on_average() {
    let squares = |x: &Tensor| x.sqr()?.sum(1);
    let x = tensor(&[vec![1., 2.]]);
    let tunnel = NoiseTunnel::new(Saliency::new(squares).abs(false)).stdevs(1.).n_samples(5);
    let average = |nt_type| {
        let of = |seed| tunnel.nt_type(nt_type).seed(Seed(seed)).attribute(&x, Target::None).unwrap();
        mean(&(0..2000).flat_map(|seed| numbers(of(seed).tensor())).collect::<Vec<_>>())
    };
    // The gradient is 2(x + ε), of variance 4.
    let (right, captums) = (average(NoiseTunnelType::VarGrad), average(NoiseTunnelType::CaptumVarGrad));
    assert!((right - 4.).abs() < 0.2, "{right}");
    assert!((captums - 3.2).abs() < 0.2, "{captums}");
}

#[test]
fn the_predicted_class_is_that_without_noise() {
    let plain = Plain::new(6);
    let net = plain.sequential();
    let x = tensor(&rows(7, 5));
    let classes = net.predict(&x).unwrap().argmax(1).unwrap().to_vec1::<u32>().unwrap();
    let classes: Vec<usize> = classes.into_iter().map(|class| class as usize).collect();
    let tunnel = NoiseTunnel::new(InputXGradient::new(&net)).stdevs(3.).n_samples(40);
    let predicted = tunnel.attribute(&x, Target::Predicted).unwrap();
    let fixed = tunnel.attribute(&x, classes.clone()).unwrap();
    assert_eq!(numbers(predicted.tensor()), numbers(fixed.tensor()));
    assert_eq!(predicted.targets(), classes.into_iter().map(|class| vec![class]).collect::<Vec<_>>());
    let output = numbers(predicted.output().unwrap());
    assert!(
        output.iter().zip(numbers(&net.predict(&x).unwrap())).all(|(got, expected)| (got - expected).abs() < 1e-12)
    );
}

#[test]
fn rows_and_passes_change_nothing() {
    let net = Plain::new(8).sequential();
    let x = tensor(&rows(9, 7));
    let tunnel = NoiseTunnel::new(LayerIntegratedGradients::new(&net, "tanh1")).stdevs(0.2).n_samples(9);
    let whole = tunnel.attribute(&x, TARGET).unwrap();
    for variant in [tunnel.internal_batch_size(4), tunnel.memory_budget(1 << 12)] {
        let cut = variant.attribute(&x, TARGET).unwrap();
        assert!(
            numbers(cut.tensor()).iter().zip(numbers(whole.tensor())).all(|(one, other)| (one - other).abs() < 1e-12)
        );
    }
    for row in 0..7 {
        let alone = tunnel.attribute(x.narrow(0, row, 1).unwrap(), TARGET).unwrap();
        let of_row = whole.tensor().narrow(0, row, 1).unwrap().to_vec2().unwrap();
        assert_close(alone.tensor(), &of_row, 1e-12);
    }
    assert_eq!(whole.places(), ["layer \"tanh1\""]);
}

#[test]
fn several_classes_take_passes_of_any_size() {
    let net = Plain::new(8).sequential();
    let x = tensor(&rows(9, 3));
    let tunnel = NoiseTunnel::new(IntegratedGradients::new(&net).n_steps(5)).stdevs(0.2);
    let one = tunnel.attribute(&x, TARGET).unwrap();
    for rows in 1..8 {
        let classes = tunnel.internal_batch_size(rows).attribute_classes(&x, [0, TARGET]).unwrap();
        assert_close(classes[1].tensor(), &one.tensor().to_vec2().unwrap(), 1e-12);
    }
}

/// The baseline and the features of an example are its own in every sample, also when other examples need no more.
#[test]
fn settings_of_each_example_stay_with_it() {
    let net = Plain::new(8).sequential();
    let x = tensor(&[vec![0., 0., 0., 0.], vec![1., -2., 0.5, 3.], vec![0.1, 0., 0., 0.1]]);
    let baselines = tensor(&rows(13, 3));
    let masks = Tensor::new(&[[0u32, 0, 0, 0], [0, 1, 2, 3], [0, 0, 1, 1]], &Device::Cpu).unwrap();
    let path = |rows: &Tensor| NoiseTunnel::new(IntegratedGradients::new(&net).baseline(rows).n_steps(5));
    let without = |rows: &Tensor| NoiseTunnel::new(FeatureAblation::new(&net).feature_mask(rows));
    let nested = |rows: &Tensor| NoiseTunnel::new(path(rows).stdevs(0.).n_samples(2));
    type OfRows<'a> = &'a dyn Fn(&Tensor) -> NoiseTunnel;
    let tunnels: [(OfRows, &Tensor); 3] = [(&path, &baselines), (&without, &masks), (&nested, &baselines)];
    for (of_rows, settings) in tunnels {
        let all = of_rows(settings).stdevs(0.2);
        for rows in [1, 2, 3, 100] {
            let variants = [all.n_samples(7), all.tolerance(0.004).max_samples(130)];
            for (index, tunnel) in variants.iter().map(|all| all.internal_batch_size(rows)).enumerate() {
                let whole = tunnel.attribute(&x, TARGET).unwrap();
                let classes = tunnel.attribute_classes(&x, [TARGET, 0]).unwrap();
                for row in 0..3 {
                    let own = of_rows(&settings.narrow(0, row, 1).unwrap()).stdevs(0.2);
                    let own = if index == 0 { own.n_samples(7) } else { own.tolerance(0.004).max_samples(130) };
                    let alone = own.attribute(x.narrow(0, row, 1).unwrap(), TARGET).unwrap();
                    for result in [&whole, &classes[0]] {
                        let of_row = result.tensor().narrow(0, row, 1).unwrap().to_vec2().unwrap();
                        assert_close(alone.tensor(), &of_row, 1e-12);
                        assert_eq!(result.samples()[row], alone.samples()[0]);
                    }
                }
            }
        }
    }
}

#[test]
fn a_permutation_is_one_of_all_examples() {
    let x = tensor(&[vec![1., 2.], vec![1., 2.], vec![1., 2.], vec![30., 40.]]);
    let sums = |x: &Tensor| x.sum(1);
    let next = FeaturePermutation::new(sums).perm_func(|_, rows| (0..rows).map(|row| (row + 1) % rows).collect());
    let plain = next.attribute(&x, Target::None).unwrap().tensor().to_vec2().unwrap();
    let tunnel = NoiseTunnel::new(next).stdevs(0.).n_samples(3);
    for tunnel in [tunnel.clone(), tunnel.internal_batch_size(1), NoiseTunnel::new(tunnel).stdevs(0.)] {
        assert_close(tunnel.attribute(&x, Target::None).unwrap().tensor(), &plain, 1e-12);
    }
    // The last example settles first. Then the others take its features as often as before.
    let drawn = NoiseTunnel::new(FeaturePermutation::new(sums)).stdevs(0.).tolerance(0.05).max_samples(400);
    let result = drawn.attribute(&x, Target::None).unwrap();
    assert!(result.samples()[3] < 400, "{:?}", result.samples());
    let whole = drawn.n_samples(400).attribute(&x, Target::None).unwrap().tensor().narrow(0, 0, 3).unwrap();
    assert_close(&result.tensor().narrow(0, 0, 3).unwrap(), &whole.to_vec2().unwrap(), 1e-12);
}

#[test]
fn a_method_that_draws_gets_fresh_seeds() {
    let net = Plain::new(10).sequential();
    let x = tensor(&rows(11, 2));
    let baseline = Baseline::distribution(&tensor(&rows(12, 5)));
    let shap = GradientShap::new(&net).baseline(&baseline).n_samples(1);
    // Without noise the samples differ by what the method draws: together they are its own samples.
    let tunnel = NoiseTunnel::new(shap.clone()).stdevs(0.).n_samples(2000).attribute(&x, TARGET).unwrap();
    let exact = IntegratedGradients::new(&net).baseline(baseline).tolerance(1e-10).attribute(&x, TARGET).unwrap();
    let errors = numbers(&tunnel.standard_errors().unwrap()[0]);
    for ((value, error), exact) in numbers(tunnel.tensor()).iter().zip(errors).zip(numbers(exact.tensor())) {
        assert!(error > 0. && (value - exact).abs() < 5. * error, "{value} ± {error}, not {exact}");
    }
    // Of two rows there is but one other order.
    let inputs = Inputs::from(&tensor(&rows(11, 5)));
    for info in METHODS.iter().filter(|info| info.takes("seed")) {
        // With more samples KernelShap takes all coalitions of four features.
        let n_samples = (info.name == "KernelShap").then_some(10);
        let options = Options { n_samples, ..laws::options(info) };
        let method = (info.build)(Arc::new(net.clone()), &options).unwrap();
        let other = method.reseeded(Seed(77));
        let other = other.unwrap_or_else(|| panic!("{} takes a seed, and does not say how", info.name));
        let [one, other] =
            [method, other].map(|method| numbers(method.attribute_to(&inputs, &info.target(TARGET)).unwrap().tensor()));
        assert_ne!(one, other, "{}", info.name);
    }
}

#[test]
fn what_its_method_leaves_short_is_said() {
    let step = |x: &Tensor| Activation::Sigmoid.forward(&x.affine(1e4, -3e3)?)?.sum(1);
    let x = tensor(&[vec![1.]]);
    let coarse = IntegratedGradients::new(step).n_steps(5);
    let result = NoiseTunnel::new(coarse).stdevs(0.01).attribute(&x, Target::None).unwrap();
    assert!(
        result.remarks().iter().any(|remark| remark.contains("5 of 5 attributions of noisy inputs")),
        "{:?}",
        result.remarks()
    );
}

#[test]
fn a_tolerance_draws_as_many_as_it_takes() {
    let squares = |x: &Tensor| x.sqr()?.sum(1);
    let x = tensor(&[vec![1., 2.]]);
    let tunnel = NoiseTunnel::new(Saliency::new(squares)).stdevs(0.1).tolerance(0.001);
    let result = tunnel.attribute(&x, Target::None).unwrap();
    assert_eq!(result.settled(), Some(&[true][..]));
    assert!(result.samples()[0] > 500, "{:?}", result.samples());
    assert!(numbers(&result.standard_errors().unwrap()[0]).iter().all(|error| *error <= 0.0041));
}

#[test]
fn it_is_built_by_name() {
    let info = METHODS.iter().find(|info| info.name == "NoiseTunnel").unwrap();
    let model: Arc<dyn Model> = Arc::new(Plain::new(13).sequential());
    let of = |method: &str| Options { method: Some(method.to_string()), ..Options::default() };
    let options =
        Options { n_steps: Some(7), n_samples: Some(3), stdevs: Some(0.1.into()), ..of("IntegratedGradients") };
    let inputs = Inputs::from(&tensor(&rows(14, 2)));
    let built = (info.build)(model.clone(), &options).unwrap().attribute_to(&inputs, &Target::Class(TARGET)).unwrap();
    let tunnel = NoiseTunnel::new(IntegratedGradients::new(model.clone()).n_steps(7)).n_samples(3).stdevs(0.1);
    assert_eq!(numbers(built.tensor()), numbers(tunnel.attribute(&inputs, TARGET).unwrap().tensor()));
    let error = |options: &Options| (info.build)(model.clone(), options).err().unwrap().to_string();
    assert!(error(&Options::default()).contains("NoiseTunnel needs the name of the method"));
    assert!(error(&of("Magic")).contains("cannot wrap \"Magic\""));
    assert!(error(&Options { n_steps: Some(7), ..of("Saliency") }).contains("Saliency has no option \"n_steps\""));
}

#[test]
fn errors_say_what_to_do() {
    let net = Plain::new(15).sequential();
    let x = tensor(&rows(16, 2));
    let tunnel = NoiseTunnel::new(Arc::new(Saliency::new(&net)) as Arc<dyn Attribute>);
    let error = |tunnel: &NoiseTunnel| tunnel.attribute(&x, TARGET).unwrap_err().to_string();
    assert!(error(&tunnel.stdevs(-1.)).contains("the standard deviation of input 0 is -1"));
    assert!(error(&tunnel.stdevs([1., 2.])).contains("there are 2 standard deviations for 1 inputs"));
    assert!(error(&tunnel.n_samples(0)).contains("n_samples is 0"));
    let one = error(&tunnel.n_samples(1).nt_type(NoiseTunnelType::VarGrad));
    assert!(one.contains("n_samples is 1: a variance takes at least 2"), "{one}");
    let ids = Tensor::new(&[[1u32, 2]], &Device::Cpu).unwrap();
    let refused = tunnel.attribute(&ids, TARGET).unwrap_err().to_string();
    assert!(refused.contains("input 0 is U32, to which no noise can be added"), "{refused}");
    let root = |x: &Tensor| x.sqrt()?.sum(1);
    let refused = NoiseTunnel::new(Saliency::new(root)).attribute(tensor(&[vec![0.1]]), Target::None).unwrap_err();
    assert!(refused.to_string().contains("with noise on the inputs"), "{refused}");
}
