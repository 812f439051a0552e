//! Shapley values: exact ones against all orders, and estimates against exact ones.

use std::sync::{Arc, Mutex};

use candle_explain::ErrorKind;
use candle_explain::prelude::*;

use crate::coverage::Coverage;
use crate::plain::{numbers, rows, tensor};

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

/// Two tanh units, a product of three inputs, and one of the last two.
fn function(row: &[f64]) -> f64 {
    let unit = |seed: u64| -> f64 {
        let sum: f64 = row.iter().zip(numbers(seed)).map(|(x, weight)| 2. * x * weight).sum();
        sum.tanh()
    };
    let last = row.len() - 1;
    2. * unit(3) - 1.5 * unit(4) + 0.5 * row[0] * row[1] * row[2] - row[last] * row[last - 1]
}

fn model() -> Arc<dyn Model> {
    from_rows(|rows: &[Vec<f64>]| rows.iter().map(|row| function(row)).collect::<Vec<f64>>())
}

/// The Shapley values of groups of elements by their definition: the mean over all orders of what each group adds.
fn textbook(f: impl Fn(&[f64]) -> f64, x: &[f64], b: &[f64], groups: &[Vec<usize>]) -> Vec<f64> {
    fn orders(left: &[usize]) -> Vec<Vec<usize>> {
        if left.is_empty() {
            return vec![Vec::new()];
        }
        let first = |place: usize| {
            let (chosen, mut rest) = (left[place], left.to_vec());
            rest.remove(place);
            orders(&rest).into_iter().map(move |order| [vec![chosen], order].concat())
        };
        (0..left.len()).flat_map(first).collect()
    }
    let orders = orders(&(0..groups.len()).collect::<Vec<_>>());
    let mut shapley = vec![0.; groups.len()];
    for order in &orders {
        let mut row = b.to_vec();
        for group in order {
            let before = f(&row);
            groups[*group].iter().for_each(|element| row[*element] = x[*element]);
            shapley[*group] += (f(&row) - before) / orders.len() as f64;
        }
    }
    shapley
}

/// One group for each element.
fn each(count: usize) -> Vec<Vec<usize>> {
    (0..count).map(|element| vec![element]).collect()
}

fn row(seed: u64, count: usize) -> Vec<f64> {
    numbers(seed).take(count).map(|x| 1.5 * x).collect()
}

#[test]
fn exact_values_are_the_mean_over_all_orders() {
    for (seed, features) in [(11, 3), (12, 5), (13, 7)] {
        let (x, b) = (row(seed, features), row(seed + 50, features));
        let method = ShapleyValues::new(model()).baseline(tensor(std::slice::from_ref(&b)));
        let result = method.attribute(tensor(std::slice::from_ref(&x)), Target::None).unwrap();
        assert_near(&values(&result), &textbook(function, &x, &b, &each(features)), 1e-12);
        assert!(result.convergence_delta().unwrap().max_abs() < 1e-12);
    }
}

#[test]
fn every_estimate_is_near_the_mean_over_all_orders() {
    let (x, b) = (row(14, 6), row(64, 6));
    let expected = textbook(function, &x, &b, &each(6));
    let (x, b) = (tensor(&[x]), tensor(&[b]));
    let sampling = ShapleyValueSampling::new(model()).baseline(&b).n_samples(4_000);
    let kernel = KernelShap::new(model()).baseline(&b).n_samples(4_000);
    for result in [
        sampling.attribute(&x, Target::None),
        sampling.antithetic(false).attribute(&x, Target::None),
        kernel.paired(false).attribute(&x, Target::None),
        kernel.captum_rules(true).attribute(&x, Target::None),
    ] {
        let result = result.unwrap();
        let apart = values(&result).into_iter().zip(&expected).map(|(got, expected)| (got - expected).abs());
        for (apart, error) in apart.zip(errors(&result)) {
            assert!(apart < 4.5 * error && error < 0.1, "{apart}, error {error}");
        }
    }
    let exact = kernel.attribute(&x, Target::None).unwrap();
    assert_near(&values(&exact), &expected, 1e-12);
    assert_eq!((errors(&exact), exact.samples()), (vec![0.; 6], &[64][..]));
}

#[test]
fn masks_make_one_feature_of_several_elements() {
    let (x, b) = (row(15, 6), row(65, 6));
    let groups = [vec![0, 3], vec![1], vec![2, 4, 5]];
    let ids = Tensor::new(&[[0u32, 1, 2, 0, 2, 2]], &Device::Cpu).unwrap();
    let expected = textbook(function, &x, &b, &groups);
    let expected: Vec<f64> = [0, 1, 2, 0, 2, 2].iter().map(|group: &usize| expected[*group]).collect();
    let (x, b) = (tensor(&[x]), tensor(&[b]));
    let exact = ShapleyValues::new(model()).baseline(&b).feature_mask(&ids).attribute(&x, Target::None).unwrap();
    assert_near(&values(&exact), &expected, 1e-12);
    // The delta counts each feature once.
    assert!(exact.convergence_delta().unwrap().max_abs() < 1e-12);
    let kernel = KernelShap::new(model()).baseline(&b).feature_mask(&ids).attribute(&x, Target::None).unwrap();
    assert_near(&values(&kernel), &expected, 1e-12);
    let sampling = ShapleyValueSampling::new(model()).baseline(&b).feature_mask(&ids).n_samples(2_000);
    let sampling = sampling.attribute(&x, Target::None).unwrap();
    assert_near(&values(&sampling), &expected, 0.05);
    assert_eq!(errors(&sampling)[0].to_bits(), errors(&sampling)[3].to_bits());
}

#[test]
fn a_mask_may_go_across_several_inputs() {
    let two = from_fn(|input, _| {
        let product = (input.get(0)?.narrow(1, 0, 2)? * input.get(1)?)?;
        Ok((product.sum(1)? + input.get(0)?.narrow(1, 2, 1)?.sum(1)?)?)
    });
    let f = |row: &[f64]| row[0] * row[3] + row[1] * row[4] + row[2];
    let (left, right) = (vec![1., -2., 3.], vec![4., 0.5]);
    let inputs = Inputs::new([tensor(std::slice::from_ref(&left)), tensor(std::slice::from_ref(&right))]);
    let ids = |ids: &[u32]| Tensor::new(ids, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
    // The second element of both inputs is one feature.
    let mask = FeatureMask::new([ids(&[0, 1, 2]), ids(&[3, 1])]);
    let groups = [vec![0], vec![1, 4], vec![2], vec![3]];
    let expected = textbook(f, &[left, right].concat(), &[0.; 5], &groups);
    let methods: [Box<dyn Attribute>; 3] = [
        Box::new(ShapleyValues::new(&two).feature_mask(&mask)),
        Box::new(KernelShap::new(&two).feature_mask(&mask)),
        // Pairs of orders are exact for products of two features.
        Box::new(ShapleyValueSampling::new(&two).feature_mask(&mask)),
    ];
    for method in methods {
        let result = method.attribute_to(&inputs, &Target::None).unwrap();
        let of = |input: usize| result.value(input).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        assert_near(&of(0), &expected[..3], 1e-12);
        assert_near(&of(1), &[expected[3], expected[1]], 1e-12);
    }
}

#[test]
fn token_ids_are_compared_with_ids() {
    let table = Tensor::new(&[1f64, 2., 4., 8., 16.], &Device::Cpu).unwrap();
    let model = from_fn(move |input, _| {
        let ids = input.first();
        let found = table.index_select(&ids.flatten_all()?, 0)?.reshape(ids.shape())?;
        Ok((found.narrow(1, 0, 1)? * found.narrow(1, 1, 1)?)?.add(&found.narrow(1, 2, 1)?)?.sum(1)?)
    });
    let ids = Tensor::new(&[[1u32, 2, 4]], &Device::Cpu).unwrap();
    let f = |row: &[f64]| row[0] * row[1] + row[2];
    let expected = textbook(f, &[2., 4., 16.], &[1., 1., 1.], &each(3));
    let expected: Vec<f64> = expected.iter().map(|value| f64::from(*value as f32)).collect();
    let none = Tensor::zeros((1, 3), DType::U32, &Device::Cpu).unwrap();
    for result in [
        ShapleyValues::new(&model).baseline(&none).attribute(&ids, Target::None),
        KernelShap::new(&model).baseline(&none).attribute(&ids, Target::None),
        ShapleyValueSampling::new(&model).baseline(&none).attribute(&ids, Target::None),
    ] {
        assert_near(&values(&result.unwrap()), &expected, 1e-5);
    }
}

#[test]
fn several_baselines_are_averaged() {
    let (x, b) = (tensor(&[row(16, 4)]), tensor(&rows(9, 3)));
    let spread = Baseline::distribution(&b);
    let alone = (0..3).map(|one| {
        let method = ShapleyValues::new(model()).baseline(b.narrow(0, one, 1).unwrap());
        values(&method.attribute(&x, Target::None).unwrap())
    });
    let mut mean = vec![0.; 4];
    alone.for_each(|alone| mean.iter_mut().zip(alone).for_each(|(mean, value)| *mean += value / 3.));
    let exact = ShapleyValues::new(model()).baseline(&spread).attribute(&x, Target::None).unwrap();
    assert_near(&values(&exact), &mean, 1e-12);
    assert!(exact.convergence_delta().unwrap().max_abs() < 1e-12);
    let kernel = KernelShap::new(model()).baseline(&spread).attribute(&x, Target::None).unwrap();
    assert_near(&values(&kernel), &mean, 1e-12);
}

#[test]
fn efficiency_holds_whatever_the_samples() {
    let (x, b) = (tensor(&rows(17, 5)), tensor(&rows(18, 5)));
    for samples in [1, 2, 3, 7, 26] {
        let sampling = ShapleyValueSampling::new(model()).baseline(&b).n_samples(samples);
        let kernel = KernelShap::new(model()).baseline(&b).n_samples(samples);
        for result in [
            sampling.attribute(&x, Target::None),
            sampling.antithetic(false).attribute(&x, Target::None),
            kernel.attribute(&x, Target::None),
            kernel.paired(false).attribute(&x, Target::None),
        ] {
            let result = result.unwrap();
            assert!(result.convergence_delta().unwrap().max_abs() < 1e-10, "{samples}: {:?}", result.remarks());
        }
    }
    let captum = KernelShap::new(model()).baseline(&b).n_samples(200).captum_rules(true).attribute(&x, Target::None);
    let delta = captum.unwrap().convergence_delta().unwrap().max_abs();
    assert!(delta > 1e-9 && delta < 1e-3, "{delta}");
}

#[test]
fn dummies_get_nothing_and_equals_get_the_same() {
    // The third of five inputs does not count; the first two are alike.
    let f = |row: &[f64]| (row[0] + row[1]).tanh() * (1. + row[3]) + row[0] * row[1] * row[4];
    let model = from_rows(move |rows: &[Vec<f64>]| rows.iter().map(|row| f(row)).collect::<Vec<f64>>());
    let x = tensor(&[vec![0.7, 0.7, 5., -0.4, 1.1]]);
    let exact = values(&ShapleyValues::new(&model).attribute(&x, Target::None).unwrap());
    assert_eq!(exact[2], 0.);
    assert!((exact[0] - exact[1]).abs() < 1e-15);
    for antithetic in [true, false] {
        let sampling = ShapleyValueSampling::new(&model).antithetic(antithetic).n_samples(400);
        let result = sampling.attribute(&x, Target::None).unwrap();
        let (values, errors) = (values(&result), errors(&result));
        assert_eq!((values[2], errors[2]), (0., 0.));
        assert!((values[0] - values[1]).abs() < 4. * (errors[0] + errors[1]), "{values:?}, {errors:?}");
    }
    let kernel = KernelShap::new(&model).n_samples(32).attribute(&x, Target::None).unwrap();
    let kernel = self::values(&kernel);
    assert!(kernel[2].abs() < 1e-14 && (kernel[0] - kernel[1]).abs() < 1e-14);
}

#[test]
fn kernel_shap_leaves_out_what_equals_the_baseline() {
    let seen = Arc::new(Mutex::new(0));
    let counts = seen.clone();
    let model = from_rows(move |rows: &[Vec<f64>]| -> Vec<f64> {
        *counts.lock().unwrap() += rows.len();
        rows.iter().map(|row| function(row)).collect()
    });
    let (b, far) = (row(91, 9), row(92, 9));
    let except = |differing: &[usize]| -> Vec<f64> {
        (0..9).map(|feature| if differing.contains(&feature) { far[feature] } else { b[feature] }).collect()
    };
    // Of so many features: none, one, few and all.
    let differing: [&[usize]; 6] = [&[0, 2, 5, 8], &[], &[4], &[1, 2, 3, 5, 6, 7], &[0, 2, 5, 8], &EACH];
    const EACH: [usize; 9] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
    let x = tensor(&differing.map(except));
    let b = tensor(std::slice::from_ref(&b));
    let exact = values(&ShapleyValues::new(&model).baseline(&b).attribute(&x, Target::None).unwrap());
    let kernel = KernelShap::new(&model).baseline(&b).n_samples(16);
    let together = kernel.attribute(&x, Target::None).unwrap();
    let [got, errors] = [values(&together), errors(&together)];
    for (example, differing) in differing.iter().enumerate() {
        let of_example = example * 9..(example + 1) * 9;
        let (got, errors) = (&got[of_example.clone()], &errors[of_example.clone()]);
        let rest = |feature: &usize| !differing.contains(feature);
        assert!((0..9).filter(rest).all(|feature| (got[feature], errors[feature]) == (0., 0.)));
        if differing.len() <= 4 {
            assert_near(got, &exact[of_example], 1e-12);
            assert!(errors.iter().all(|error| *error == 0.), "{errors:?}");
        } else {
            assert!(differing.iter().all(|feature| errors[*feature] > 0.), "{errors:?}");
        }
        *seen.lock().unwrap() = 0;
        let alone = kernel.attribute(x.narrow(0, example, 1).unwrap(), Target::None).unwrap();
        assert_eq!((values(&alone).as_slice(), self::errors(&alone).as_slice()), (got, errors));
        assert_eq!(alone.samples(), &together.samples()[example..=example]);
        let evaluated = *seen.lock().unwrap();
        assert!(evaluated <= 16.min(1 << differing.len()).max(2), "{evaluated} rows, {} differ", differing.len());
    }
    assert_eq!(together.samples()[..3], [16, 2, 2]);
    assert!(together.convergence_delta().unwrap().max_abs() < 1e-12);
    // With a tolerance, and one by one.
    let all = kernel.tolerance(1e-9).max_samples(512).attribute(&x, Target::None).unwrap();
    assert_near(&values(&all), &exact, 1e-10);
    let plain = values(&kernel.paired(false).n_samples(4_000).attribute(&x, Target::None).unwrap());
    assert!(plain[9..18].iter().all(|value| *value == 0.));
    assert_near(&plain[18..27], &exact[18..27], 1e-12);
    // What equals one of several baselines only is not left out.
    let spread = Tensor::cat(&[&b, &tensor(std::slice::from_ref(&far))], 0).unwrap();
    let (x, spread) = (x.narrow(0, 0, 1).unwrap(), Baseline::distribution(&spread));
    let exact = ShapleyValues::new(&model).baseline(spread.clone()).attribute(&x, Target::None).unwrap();
    let kernel = KernelShap::new(&model).baseline(spread).n_samples(512).attribute(&x, Target::None).unwrap();
    assert_near(&values(&kernel), &values(&exact), 1e-10);
    assert!(values(&exact).iter().all(|value| *value != 0.));
}

#[test]
fn sums_of_functions_get_sums_of_values() {
    let (f, g) = (function, |row: &[f64]| row[0] * row[3] - row[1].exp());
    let of = |weights: (f64, f64)| {
        from_rows(move |rows: &[Vec<f64>]| -> Vec<f64> {
            rows.iter().map(|row| weights.0 * f(row) + weights.1 * g(row)).collect()
        })
    };
    let x = tensor(&rows(19, 3));
    type New = fn(Arc<dyn Model>) -> Box<dyn Attribute>;
    let methods: [New; 4] = [
        |model| Box::new(ShapleyValues::new(model)),
        |model| Box::new(ShapleyValueSampling::new(model)),
        |model| Box::new(KernelShap::new(model).n_samples(10)),
        |model| Box::new(KernelShap::new(model).paired(false)),
    ];
    for method in methods {
        let of = |weights| values(&method(of(weights)).attribute_to(&Inputs::from(&x), &Target::None).unwrap());
        let (first, second) = (of((1., 0.)), of((0., 1.)));
        let expected: Vec<f64> = first.iter().zip(&second).map(|(first, second)| 2. * first - 3. * second).collect();
        assert_near(&of((2., -3.)), &expected, 1e-11);
    }
}

#[test]
fn standard_errors_cover_and_pairs_vary_less() {
    let x = tensor(&[row(20, 8)]);
    let exact = values(&ShapleyValues::new(model()).attribute(&x, Target::None).unwrap());
    let sampling = ShapleyValueSampling::new(model()).n_samples(150);
    let kernel = KernelShap::new(model()).n_samples(150);
    let of_sampling = |antithetic: bool| {
        Coverage::of(&exact, |seed| sampling.antithetic(antithetic).seed(seed).attribute(&x, Target::None).unwrap())
    };
    let of_kernel = |paired: bool| {
        Coverage::of(&exact, |seed| kernel.paired(paired).seed(seed).attribute(&x, Target::None).unwrap())
    };
    for (name, paired, plain) in [
        ("ShapleyValueSampling", of_sampling(true), of_sampling(false)),
        ("KernelShap", of_kernel(true), of_kernel(false)),
    ] {
        for (how, coverage) in [("in pairs", &paired), ("plain", &plain)] {
            coverage.hold(name, &format!("150 samples, {how}"));
            assert!(coverage.within_three >= 0.99, "{name}, {how}: {} within 3", coverage.within_three);
        }
        let ratio = paired.squares / plain.squares;
        println!("| {name} | {ratio:.3} of the variance of plain samples |");
        assert!(ratio <= 1., "{name}: {ratio}");
    }
}

#[test]
fn a_tolerance_is_kept_by_as_many_samples_as_it_takes() {
    let (x, b) = (tensor(&[row(21, 7), row(22, 7)]), tensor(&[row(71, 7)]));
    let exact = values(&ShapleyValues::new(model()).baseline(&b).attribute(&x, Target::None).unwrap());
    let sampling = ShapleyValueSampling::new(model()).baseline(&b);
    let kernel = KernelShap::new(model()).baseline(&b).paired(false);
    let run = |tolerance: f64| {
        [
            sampling.tolerance(tolerance).attribute(&x, Target::None).unwrap(),
            kernel.tolerance(tolerance).attribute(&x, Target::None).unwrap(),
        ]
    };
    for (loose, strict) in run(0.05).into_iter().zip(run(0.01)) {
        for (tolerance, result) in [(0.05, &loose), (0.01, &strict)] {
            assert_eq!(result.settled().unwrap(), [true, true], "{:?}", result.remarks());
            let of_examples = values(result).into_iter().zip(errors(result)).zip(&exact).enumerate();
            for (index, ((value, error), expected)) in of_examples {
                let difference: f64 = exact[index / 7 * 7..index / 7 * 7 + 7].iter().sum();
                let allowed = tolerance * difference.abs().max(1.);
                assert!(
                    error <= allowed && (value - expected).abs() <= 5. * allowed,
                    "{value}, not {expected}: {error}"
                );
            }
        }
        assert!(loose.samples().iter().zip(strict.samples()).all(|(loose, strict)| loose < strict));
    }
    let short = sampling.tolerance(1e-6).max_samples(100).attribute(&x, Target::None).unwrap();
    assert_eq!((short.settled().unwrap(), short.samples()), (&[false, false][..], &[100, 100][..]));
    assert!(short.remarks().iter().any(|remark| remark.contains("max_samples")), "{:?}", short.remarks());
    // All coalitions are certain.
    let all = KernelShap::new(model()).baseline(&b).tolerance(1e-9).attribute(&x, Target::None).unwrap();
    assert_near(&values(&all), &exact, 1e-12);
}

#[test]
fn examples_get_alone_what_they_get_among_others() {
    let x = tensor(&rows(23, 6));
    let sampling = ShapleyValueSampling::new(model()).tolerance(0.05);
    let kernel = KernelShap::new(model()).n_samples(11);
    let together = [sampling.attribute(&x, Target::None).unwrap(), kernel.attribute(&x, Target::None).unwrap()];
    for row in 0..6 {
        let one = x.narrow(0, row, 1).unwrap();
        let alone = [sampling.attribute(&one, Target::None).unwrap(), kernel.attribute(&one, Target::None).unwrap()];
        for (together, alone) in together.iter().zip(&alone) {
            let of_row = |result: &Attributions, row: usize| values(result)[4 * row..4 * row + 4].to_vec();
            assert_eq!(of_row(together, row), of_row(alone, 0));
            assert_eq!(together.samples()[row], alone.samples()[0]);
        }
    }
}

#[test]
fn workers_and_passes_change_no_bit() {
    let x = tensor(&rows(24, 3));
    let sampling = ShapleyValueSampling::new(model());
    let kernel = KernelShap::new(model()).paired(false);
    let whole = [sampling.attribute(&x, Target::None).unwrap(), kernel.attribute(&x, Target::None).unwrap()];
    for (rows, workers) in [(1, 1), (3, 1), (64, 2), (2, 7)] {
        let cut = [
            sampling.internal_batch_size(rows).workers(workers).attribute(&x, Target::None).unwrap(),
            kernel.internal_batch_size(rows).workers(workers).attribute(&x, Target::None).unwrap(),
        ];
        for (whole, cut) in whole.iter().zip(&cut) {
            assert_eq!((values(whole), errors(whole)), (values(cut), errors(cut)));
        }
    }
}

#[test]
fn no_coalition_is_evaluated_twice() {
    let seen: Arc<Mutex<Vec<Vec<u64>>>> = Arc::default();
    let notes = seen.clone();
    let model = from_rows(move |rows: &[Vec<f64>]| -> Vec<f64> {
        let bits = |row: &Vec<f64>| row.iter().map(|x| x.to_bits()).collect::<Vec<u64>>();
        notes.lock().unwrap().extend(rows.iter().map(bits));
        rows.iter().map(|row| function(row)).collect()
    });
    let x = tensor(&[row(25, 5)]);
    let rows_of = |method: &dyn Attribute| {
        seen.lock().unwrap().clear();
        method.attribute_to(&Inputs::from(&x), &Target::None).unwrap();
        let mut rows = seen.lock().unwrap().clone();
        let count = rows.len();
        rows.sort();
        rows.dedup();
        assert_eq!(rows.len(), count, "some rows were evaluated again");
        count
    };
    assert_eq!(rows_of(&ShapleyValues::new(&model)), 32);
    assert_eq!(rows_of(&KernelShap::new(&model).n_samples(32)), 32);
    assert!(rows_of(&KernelShap::new(&model).paired(false).n_samples(1_000)) <= 32);
    assert!(rows_of(&ShapleyValueSampling::new(&model).n_samples(1_000)) <= 32);
}

#[test]
fn one_feature_gets_all() {
    let model = from_rows(|rows: &[Vec<f64>]| rows.iter().map(|row| row[0].exp()).collect::<Vec<f64>>());
    let x = tensor(&[vec![2.]]);
    let expected = [2f64.exp() - 1.];
    let methods: [Box<dyn Attribute>; 4] = [
        Box::new(ShapleyValues::new(&model)),
        Box::new(ShapleyValueSampling::new(&model)),
        Box::new(KernelShap::new(&model)),
        Box::new(KernelShap::new(&model).paired(false)),
    ];
    for method in methods {
        let result = method.attribute_to(&Inputs::from(&x), &Target::None).unwrap();
        assert_near(&values(&result), &expected, 1e-15);
    }
}

#[test]
fn two_to_five_features_may_be_few_samples() {
    for features in 2..6 {
        let x = tensor(&[row(26, features)]);
        let sum = from_rows(|rows: &[Vec<f64>]| rows.iter().map(|row| row.iter().sum()).collect::<Vec<f64>>());
        for samples in 1..40 {
            for paired in [true, false] {
                let result =
                    KernelShap::new(&sum).paired(paired).n_samples(samples).attribute(&x, Target::None).unwrap();
                assert!(values(&result).iter().all(|value| value.is_finite()));
                assert!(result.samples()[0] <= samples.max(4), "{:?} of {samples}", result.samples());
            }
        }
    }
}

#[test]
fn too_many_features_are_an_error_with_the_number_of_evaluations() {
    let sum = from_rows(|rows: &[Vec<f64>]| rows.iter().map(|row| row.iter().sum()).collect::<Vec<f64>>());
    let of = |features: usize| {
        let x = Tensor::ones((2, features), DType::F64, &Device::Cpu).unwrap();
        ShapleyValues::new(&sum).attribute(&x, Target::None)
    };
    assert!(of(16).unwrap().tensor().to_vec2::<f64>().unwrap().concat().iter().all(|value| (value - 1.).abs() < 1e-11));
    let error = of(17).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    for part in ["17 features", "131072 evaluations", "feature_mask", "ShapleyValueSampling or KernelShap"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(of(40).unwrap_err().to_string().contains("1099511627776 evaluations"));
    assert!(of(300).unwrap_err().to_string().contains("2^300 evaluations"));
}

#[test]
fn samples_that_cannot_be_are_errors() {
    let x = tensor(&rows(27, 1));
    let sampling = ShapleyValueSampling::new(model());
    let said = |result: Result<Attributions>| result.unwrap_err().to_string();
    assert!(said(sampling.n_samples(0).attribute(&x, Target::None)).contains("n_samples is 0"));
    let few = sampling.tolerance(0.1).max_samples(40);
    assert!(said(few.attribute(&x, Target::None)).contains("max_samples is 40: with a tolerance at least 64"));
    assert!(few.antithetic(false).attribute(&x, Target::None).is_ok());
    assert!(said(KernelShap::new(model()).n_samples(0).attribute(&x, Target::None)).contains("n_samples is 0"));
    let captum = KernelShap::new(model()).captum_rules(true).n_samples(4);
    assert!(said(captum.attribute(&x, Target::None)).contains("do not tell 4 features apart"));
}

#[test]
fn one_sample_does_not_know_its_error() {
    let x = tensor(&rows(28, 1));
    let plain = ShapleyValueSampling::new(model()).antithetic(false).n_samples(1).attribute(&x, Target::None).unwrap();
    assert!(errors(&plain).iter().all(|error| error.is_nan()));
    let pair = ShapleyValueSampling::new(model()).n_samples(2).attribute(&x, Target::None).unwrap();
    assert!(errors(&pair).iter().all(|error| error.is_nan()));
    assert!(pair.remarks().iter().any(|remark| remark.contains("how certain")), "{:?}", pair.remarks());
}
