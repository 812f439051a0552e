//! Confidence intervals of few samples: how often they hold the exact number, and what is said of them.

use candle_explain::prelude::*;

use crate::plain::{Plain, rows, tensor};

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The shares of attributions within 1.96 standard errors of the exact ones, and of 95 % intervals that hold them, over a
/// thousand seeds.
fn held(exact: &[f64], estimate: impl Fn(Seed) -> Attributions) -> (f64, f64) {
    let (mut within, mut inside, mut all) = (0, 0, 0);
    for seed in 0..1_000 {
        let result = estimate(Seed(seed));
        let (lower, upper) = result.confidence_intervals(0.95).unwrap().swap_remove(0);
        let ends = numbers(&lower).into_iter().zip(numbers(&upper));
        let errors = numbers(&result.standard_errors().unwrap()[0]);
        for ((exact, error), (lower, upper)) in exact.iter().zip(errors).zip(ends) {
            let middle = (lower + upper) / 2.;
            within += usize::from((middle - exact).abs() <= 1.96 * error);
            inside += usize::from((lower..=upper).contains(exact));
            all += 1;
        }
    }
    (within as f64 / all as f64, inside as f64 / all as f64)
}

#[test]
fn intervals_of_normal_draws_hold_what_they_say_however_few_there_are() {
    // The gradient at a noisy input is as normal as the noise.
    let squares = |x: &Tensor| x.sqr()?.sum(1);
    let x = tensor(&[vec![1., -2., 0.5]]);
    let tunnel = NoiseTunnel::new(Saliency::new(squares).abs(false)).stdevs(0.5);
    for samples in [2, 3, 5, 12] {
        let of_seed = |seed| tunnel.n_samples(samples).seed(seed).attribute(&x, Target::None).unwrap();
        let (within, inside) = held(&[2., -4., 1.], of_seed);
        println!("NoiseTunnel, {samples} samples: {within} within 1.96 errors, {inside} inside");
        assert!(within < inside - 0.015 && (0.938..=0.962).contains(&inside), "{samples}: {within} and {inside}");
    }
}

#[test]
fn intervals_hold_more_than_the_errors_of_skewed_draws() {
    let net = Titanic::pretrained().unwrap();
    let man = Titanic::encode([22., 1., 0., 7.25], false, Some('S'), 3);
    let x = Tensor::from_slice(&man, (1, 12), &Device::Cpu).unwrap();
    let features =
        FeatureMask::groups([vec![0], vec![1], vec![2], vec![3], vec![4, 5], vec![6, 7, 8], vec![9, 10, 11]]);
    let method = ShapleyValueSampling::new(&net).feature_mask(&features);
    let exact = ShapleyValues::new(&net).feature_mask(&features).attribute(&x, 1).unwrap();
    let of = |method: &ShapleyValueSampling| {
        held(&numbers(exact.tensor()), |seed| method.seed(seed).attribute(&x, 1).unwrap())
    };
    let (within, inside) = of(&method);
    println!("ShapleyValueSampling, 25 samples: {within} within 1.96 errors, {inside} inside");
    assert!(inside > within + 0.01 && inside > 0.9, "{within} and {inside}");
    let (within, inside) = of(&method.tolerance(0.05));
    println!("ShapleyValueSampling, tolerance 0.05: {within} within 1.96 errors, {inside} inside");
    assert!((0.93..=0.97).contains(&within) && inside >= within, "{within} and {inside}");
}

#[test]
fn draws_are_counted_by_what_is_independent() {
    let net = Plain::new(31).sequential();
    let x = tensor(&rows(32, 2));
    let draws = |method: &dyn Attribute| {
        let result = method.attribute_to(&Inputs::from(&x), &Target::Class(1)).unwrap();
        let few = result.remarks().iter().any(|remark| remark.contains("independent draws are uncertain"));
        (result.independent_draws().to_vec(), few)
    };
    let sampling = ShapleyValueSampling::new(&net);
    assert_eq!(draws(&sampling), (vec![13, 13], true));
    assert_eq!(draws(&sampling.antithetic(false)), (vec![25, 25], true));
    assert_eq!(draws(&sampling.n_samples(60)), (vec![30, 30], false));
    assert_eq!(draws(&GradientShap::new(&net).baseline(0.)), (vec![5, 5], true));
    assert_eq!(draws(&Lime::new(&net).n_samples(400)), (vec![50, 50], false));
    // All coalitions of four features, so that nothing is drawn.
    assert_eq!(draws(&KernelShap::new(&net).n_samples(16)), (vec![0, 0], false));
    assert_eq!(draws(&Saliency::new(&net)), (vec![], false));
    let result = GradientShap::new(&net).baseline(0.).attribute(&x, 1).unwrap();
    let remarks = result.remarks().join("; ");
    assert!(remarks.contains("from 5 independent draws are uncertain themselves: 95 % take 2.8 of them"), "{remarks}");
}

#[test]
fn an_interval_is_so_many_errors_to_either_side() {
    let net = Plain::new(33).sequential();
    let x = tensor(&rows(34, 3));
    let method = GradientShap::new(&net).baseline(0.).n_samples(5);
    let result = method.attribute(&x, 1).unwrap();
    let (lower, upper) = result.confidence_intervals(0.95).unwrap().swap_remove(0);
    assert_eq!(lower.dims(), result.tensor().dims());
    let errors = numbers(&result.standard_errors().unwrap()[0]);
    let values = numbers(result.tensor()).into_iter().zip(errors);
    for ((value, error), (lower, upper)) in values.zip(numbers(&lower).into_iter().zip(numbers(&upper))) {
        let margin = 2.776_445_105_197_793_4 * error;
        assert!((lower - (value - margin)).abs() < 1e-12 && (upper - (value + margin)).abs() < 1e-12);
    }
    let exact = KernelShap::new(&net).n_samples(16).attribute(&x, 1).unwrap();
    let (lower, upper) = exact.confidence_intervals(0.99).unwrap().swap_remove(0);
    assert_eq!(numbers(&lower), numbers(&upper));
    let one = method.n_samples(1).attribute(&x, 1).unwrap();
    assert!(numbers(&one.confidence_intervals(0.95).unwrap()[0].0).iter().all(|end| end.is_nan()));
    for level in [0., 1., -1., f64::NAN] {
        let error = result.confidence_intervals(level).unwrap_err().to_string();
        assert!(error.contains("the level of a confidence interval is"), "{error}");
    }
    let error = Saliency::new(&net).attribute(&x, 1).unwrap().confidence_intervals(0.95).unwrap_err().to_string();
    assert!(error.contains("Saliency draws nothing"), "{error}");
}
