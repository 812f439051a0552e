//! Lime against Captum, against linear models, and its surrogates, similarities and samplers.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_explain::prelude::*;

use crate::coverage::Coverage;
use crate::plain::{rows, tensor};

fn values(result: &Attributions) -> Vec<f64> {
    result.tensor().to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn errors(result: &Attributions) -> Vec<f64> {
    result.standard_errors().unwrap()[0].flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn assert_near(got: &[f64], expected: &[f64], within: f64) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= within, "{got} instead of {expected}");
    }
}

fn function(row: &[f64]) -> f64 {
    2. * (row[0] - 0.5 * row[1]).tanh() + row[2] * row[3] + 0.3 * row[1]
}

fn model() -> std::sync::Arc<dyn Model> {
    from_rows(|rows: &[Vec<f64>]| rows.iter().map(|row| function(row)).collect::<Vec<f64>>())
}

const SAMPLES: [&str; 14] =
    ["1011", "0001", "0110", "1000", "1011", "1101", "0111", "1100", "1001", "0011", "0101", "0010", "0000", "1111"];

/// The samples above, one after another.
fn fixed() -> Sampler {
    let next = AtomicUsize::new(0);
    Sampler::custom(move |_, _| {
        let sample = SAMPLES[next.fetch_add(1, Ordering::Relaxed) % SAMPLES.len()];
        sample.chars().map(|letter| letter == '1').collect()
    })
}

fn inputs() -> (Tensor, Tensor) {
    (tensor(&[vec![1.2, -0.7, 0.5, 2.]]), tensor(&[vec![0.1, 0.2, -0.3, 0.4]]))
}

/// Captum fits in f32.
#[test]
fn coefficients_are_captums_for_the_same_samples() {
    let (x, b) = inputs();
    let (cosine, euclidean) = (Similarity::default(), Similarity::Euclidean { width: 0.8 });
    let lasso = Surrogate::default();
    let ridge = Surrogate::Ridge { alpha: 0.5 };
    for (surrogate, similarity, expected) in [
        (lasso, &cosine, [1.5210509300231934, 0.14999577403068542, 1.2090086936950684, 0.07072224467992783]),
        (lasso, &euclidean, [1.2354718446731567, 0.04825633019208908, 1.4993582963943481, 0.0]),
        (ridge, &cosine, [1.332924246788025, 0.161178320646286, 1.0567454099655151, 0.14302793145179749]),
        (ridge, &euclidean, [0.7885296940803528, 0.0006727678701281548, 1.0052686929702759, 0.08303482085466385]),
        (Surrogate::Linear, &cosine, [1.5632163286209106, 0.1905606985092163, 1.251243233680725, 0.10106474161148071]),
        (
            Surrogate::Linear,
            &euclidean,
            [1.2917120456695557, 0.09875550121068954, 1.5476303100585938, 0.01601969264447689],
        ),
    ] {
        let lime = Lime::new(model()).baseline(&b).sampler(fixed()).n_samples(SAMPLES.len());
        let lime = lime.surrogate(surrogate).similarity(similarity.clone());
        assert_near(&values(&lime.attribute(&x, Target::None).unwrap()), &expected, 2e-6);
    }
}

/// The lasso by its definition: no coefficient can be moved to lower the objective.
#[test]
fn coefficients_minimise_the_objective() {
    let (x, b) = inputs();
    let lime = Lime::new(model()).baseline(&b).sampler(fixed()).n_samples(SAMPLES.len());
    let found = values(&lime.attribute(&x, Target::None).unwrap());
    let (x, b) = (x.to_vec2::<f64>().unwrap().concat(), b.to_vec2::<f64>().unwrap().concat());
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let samples: Vec<(Vec<f64>, f64, f64)> = SAMPLES
        .iter()
        .map(|sample| {
            let z: Vec<f64> = sample.chars().map(|letter| f64::from(u8::from(letter == '1'))).collect();
            let row: Vec<f64> = (0..4).map(|i| z[i] * x[i] + (1. - z[i]) * b[i]).collect();
            let distance = 1. - dot(&x, &row) / (dot(&x, &x) * dot(&row, &row)).sqrt();
            (z, function(&row), (-distance * distance / 2.).exp())
        })
        .collect();
    let weight: f64 = samples.iter().map(|sample| sample.2).sum();
    let objective = |coefficients: &[f64]| {
        let rests = samples.iter().map(|(z, y, weight)| (y - dot(z, coefficients), *weight));
        let intercept = rests.clone().map(|(rest, w)| w * rest).sum::<f64>() / weight;
        let squares = rests.map(|(rest, w)| w * (rest - intercept).powi(2)).sum::<f64>() / weight;
        0.5 * squares + 0.01 * coefficients.iter().map(|c| c.abs()).sum::<f64>()
    };
    let least = objective(&found);
    for feature in 0..4 {
        for step in [-1e-3, -1e-5, 1e-5, 1e-3] {
            let mut moved = found.clone();
            moved[feature] += step;
            assert!(objective(&moved) >= least - 1e-15, "{feature}, {step}");
        }
    }
}

#[test]
fn a_linear_models_coefficients_come_out_in_sign_and_order() {
    let weights = [3., -2., 1., -0.5, 0.25, 0.];
    let linear = from_rows(move |rows: &[Vec<f64>]| -> Vec<f64> {
        rows.iter().map(|row| row.iter().zip(weights).map(|(x, weight)| x * weight).sum()).collect()
    });
    let x = Tensor::ones((2, 6), DType::F64, &Device::Cpu).unwrap();
    let exact = Lime::new(&linear).surrogate(Surrogate::Linear).attribute(&x, Target::None).unwrap();
    assert_near(&values(&exact), &[weights, weights].concat(), 1e-12);
    assert!(errors(&exact).iter().all(|error| *error < 1e-12));
    let ridge = Surrogate::Ridge { alpha: 0.1 };
    for lime in [Lime::new(&linear), Lime::new(&linear).surrogate(ridge)] {
        for seed in 0..20 {
            let result = values(&lime.n_samples(60).seed(Seed(seed)).attribute(&x, Target::None).unwrap());
            let mut order: Vec<usize> = (0..6).collect();
            order.sort_by(|a, b| result[*b].abs().total_cmp(&result[*a].abs()));
            assert_eq!(order, [0, 1, 2, 3, 4, 5], "{result:?}");
            assert!(result[..5].iter().zip(weights).all(|(found, weight)| found * weight > 0.), "{result:?}");
            assert!(result[5].abs() < 0.05);
        }
    }
}

#[test]
fn a_logistic_surrogate_finds_the_odds() {
    let chance = from_rows(|rows: &[Vec<f64>]| -> Vec<f64> {
        rows.iter().map(|row| 1. / (1. + (-(2. * row[0] - row[1] + 0.5)).exp())).collect()
    });
    let x = tensor(&[vec![1., 1., 1.]]);
    let lime = Lime::new(&chance).surrogate(Surrogate::Logistic { alpha: 0. });
    assert_near(&values(&lime.attribute(&x, Target::None).unwrap()), &[2., -1., 0.], 1e-6);
    let error = lime.attribute(tensor(&[vec![1., 1., 1.]]), Target::None);
    assert!(error.is_ok());
    let error = Lime::new(model()).surrogate(Surrogate::Logistic { alpha: 1. }).attribute(&inputs().0, Target::None);
    assert!(error.unwrap_err().to_string().contains("a logistic surrogate takes probabilities"));
}

#[test]
fn standard_errors_cover_the_coefficients_of_many_samples() {
    let (x, b) = inputs();
    for surrogate in [Surrogate::default(), Surrogate::Linear, Surrogate::Ridge { alpha: 0.05 }] {
        let lime = Lime::new(model()).baseline(&b).surrogate(surrogate);
        let many = values(&lime.n_samples(200_000).attribute(&x, Target::None).unwrap());
        let of_seed = |seed| lime.n_samples(200).seed(seed).attribute(&x, Target::None).unwrap();
        Coverage::of(&many, of_seed).hold("Lime", &format!("{surrogate:?}, 200 samples"));
    }
}

#[test]
fn a_tolerance_takes_the_samples_it_needs() {
    let (x, b) = inputs();
    let lime = Lime::new(model()).baseline(&b);
    let loose = lime.tolerance(0.1).attribute(&x, Target::None).unwrap();
    let strict = lime.tolerance(0.01).attribute(&x, Target::None).unwrap();
    assert!(loose.samples()[0] < strict.samples()[0]);
    assert!(errors(&strict).iter().all(|error| *error <= 0.02), "{:?}", errors(&strict));
    assert_eq!(strict.settled().unwrap(), [true]);
}

#[test]
fn a_samplers_seeds_are_far_apart() {
    let seen: std::sync::Arc<std::sync::Mutex<Vec<u32>>> = Default::default();
    let note = seen.clone();
    // What a simple generator makes of them must not follow a pattern.
    let sampler = Sampler::custom(move |features, seed| {
        note.lock().unwrap().push(seed.0);
        (0..features).map(|feature| seed.0 >> feature & 1 == 1).collect()
    });
    let (x, b) = inputs();
    let lime = Lime::new(model()).baseline(&b).surrogate(Surrogate::Ridge { alpha: 0.1 });
    lime.sampler(sampler).n_samples(400).attribute(&x, Target::None).unwrap();
    let seeds = seen.lock().unwrap();
    assert_eq!(seeds.len(), 400);
    assert!(seeds.windows(2).all(|pair| pair[0].abs_diff(pair[1]) > 1_000), "{seeds:?}");
    for bit in 0..32 {
        let set = seeds.iter().filter(|seed| *seed >> bit & 1 == 1).count();
        assert!((150..250).contains(&set), "bit {bit} is set in {set}");
    }
}

#[test]
fn similarity_and_sampler_may_be_closures() {
    let (x, b) = inputs();
    let lime = Lime::new(model()).baseline(&b).sampler(fixed()).n_samples(14).surrogate(Surrogate::Linear);
    let kernel = |neighbour: &Neighbour| (-neighbour.cosine_distance.powi(2) / 2.).exp();
    let expected = [1.5632163286209106, 0.1905606985092163, 1.251243233680725, 0.10106474161148071];
    let own = lime.similarity(Similarity::custom(kernel)).sampler(fixed());
    assert_near(&values(&own.attribute(&x, Target::None).unwrap()), &expected, 2e-6);
    let kernel = |neighbour: &Neighbour| {
        assert_eq!(neighbour.present.len(), 4);
        (-neighbour.euclidean_distance.powi(2) / 1.28).exp()
    };
    let expected = [1.2917120456695557, 0.09875550121068954, 1.5476303100585938, 0.01601969264447689];
    let own = lime.similarity(Similarity::custom(kernel)).sampler(fixed());
    assert_near(&values(&own.attribute(&x, Target::None).unwrap()), &expected, 2e-6);
}

#[test]
fn masks_go_across_inputs_and_ids_are_compared_with_ids() {
    let sum = from_rows(|rows: &[Vec<f64>]| rows.iter().map(|row| row.iter().sum()).collect::<Vec<f64>>());
    let ids = |ids: &[u32]| Tensor::new(ids, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
    let inputs = Inputs::new([tensor(&[vec![1., 2., 4.]]), tensor(&[vec![8., 16.]])]);
    let mask = FeatureMask::new([ids(&[0, 1, 0]), ids(&[1, 2])]);
    let lime = Lime::new(&sum).surrogate(Surrogate::Linear).feature_mask(&mask);
    let result = lime.attribute(inputs, Target::None).unwrap();
    assert_near(&values(&result), &[5., 10., 5.], 1e-12);
    let other: Vec<f64> = result.value(1).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    assert_near(&other, &[10., 16.], 1e-12);
    let words = Lime::new(&sum).surrogate(Surrogate::Linear).baseline(ids(&[1, 1, 1]));
    assert_near(&values(&words.attribute(ids(&[4, 3, 9]), Target::None).unwrap()), &[3., 2., 8.], 1e-5);
}

#[test]
fn examples_get_alone_what_they_get_among_others() {
    let x = tensor(&rows(33, 5));
    let lime = Lime::new(model()).tolerance(0.1);
    let together = lime.attribute(&x, Target::None).unwrap();
    for row in 0..5 {
        let alone = lime.attribute(x.narrow(0, row, 1).unwrap(), Target::None).unwrap();
        assert_eq!(values(&together)[4 * row..4 * row + 4], values(&alone));
        assert_eq!(together.samples()[row], alone.samples()[0]);
    }
}

#[test]
fn settings_that_make_no_sense_are_errors() {
    let (x, _) = inputs();
    let lime = Lime::new(model());
    let said = |lime: Lime| lime.attribute(&x, Target::None).unwrap_err().to_string();
    for (lime, part) in [
        (lime.surrogate(Surrogate::Lasso { alpha: -0.1 }), "alpha is -0.1"),
        (lime.similarity(Similarity::Cosine { width: 0. }), "the width of the similarity is 0"),
        (lime.similarity(Similarity::Euclidean { width: 1e-4 }), "of 25 samples only one set of features has"),
        (lime.similarity(Similarity::custom(|_| 0.)), "all 25 samples have the similarity 0 to the example"),
        (lime.n_samples(1), "of 1 samples only one set of features has"),
        (lime.similarity(Similarity::custom(|_| f64::NAN)), "the similarity of sample 0 is NaN"),
        (lime.sampler(Sampler::Bernoulli(1.)), "with the probability 1"),
        (lime.sampler(Sampler::custom(|_, _| vec![true])), "the sampler gave 1 features: expected 4"),
        (lime.max_iterations(1), "example 0: the lasso did not converge in 1 rounds: its duality gap is"),
        (lime.surrogate(Surrogate::Linear).n_samples(3), "do not tell 4 features apart"),
        (lime.n_samples(0), "n_samples is 0"),
    ] {
        let error = said(lime);
        assert!(error.contains(part), "\"{error}\" does not say \"{part}\"");
    }
}
