//! Methods that leave features out: their formulas written out with loops, known answers, identities.

use std::sync::{Arc, Mutex};

use candle_explain::attr::METHODS;
use candle_explain::engine::Options;
use candle_explain::prelude::*;
use proptest::prelude::*;

use crate::plain::{Plain, SIZES, assert_close, rows, tensor};

const TARGET: usize = 1;

fn output(plain: &Plain, x: &[f64]) -> f64 {
    plain.output(x)[TARGET]
}

/// The row with some columns from another one.
fn without(x: &[f64], absent: &[usize], from: &[f64]) -> Vec<f64> {
    (0..x.len()).map(|column| if absent.contains(&column) { from[column] } else { x[column] }).collect()
}

fn numbers(result: &Attributions) -> Vec<Vec<f64>> {
    let rows = result.values().iter().map(|value| value.flatten_from(1).unwrap().to_vec2::<f64>().unwrap());
    rows.reduce(|one, other| one.into_iter().zip(other).map(|(one, other)| [one, other].concat()).collect()).unwrap()
}

/// F(x) − F(x without the group) for each column of each group.
fn ablated(f: impl Fn(&[f64]) -> f64, x: &[f64], b: &[f64], groups: &[Vec<usize>]) -> Vec<f64> {
    let mut worth = vec![0.; x.len()];
    for group in groups {
        let lost = f(x) - f(&without(x, group, b));
        group.iter().for_each(|column| worth[*column] = lost);
    }
    worth
}

#[test]
fn feature_ablation_is_its_formula() {
    let (plain, xs, bs) = (Plain::new(41), rows(141, 5), rows(142, 5));
    let method = FeatureAblation::new(plain.sequential()).baseline(tensor(&bs));
    for groups in [vec![vec![0], vec![1], vec![2], vec![3]], vec![vec![0, 3], vec![1], vec![2]], vec![vec![0, 1, 2, 3]]]
    {
        let method = method.feature_mask(FeatureMask::groups(groups.clone()));
        let expected: Vec<_> = xs.iter().zip(&bs).map(|(x, b)| ablated(|x| output(&plain, x), x, b, &groups)).collect();
        for rows in [1, 3, 1000] {
            let result = method.internal_batch_size(rows).attribute(tensor(&xs), TARGET).unwrap();
            assert_close(result.tensor(), &expected, 1e-12);
        }
        assert_close(method.attribute(tensor(&xs), TARGET).unwrap().tensor(), &expected, 1e-12);
    }
}

#[test]
fn more_numbers_than_are_compared_at_once_are_compared_example_by_example() {
    const WIDTH: usize = 70_000;
    let model = from_fn(|input, _| Ok(input.first().sum(1)?));
    let x = Tensor::ones((2, WIDTH), DType::F64, &Device::Cpu).unwrap();
    let ids: Vec<u32> = (0..WIDTH as u32).map(|column| column % 2).collect();
    let halves = FeatureMask::from(Tensor::from_vec(ids, (1, WIDTH), &Device::Cpu).unwrap());
    for method in [
        Box::new(FeatureAblation::new(&model).feature_mask(halves.clone())) as Box<dyn Attribute>,
        Box::new(KernelShap::new(&model).feature_mask(halves)),
    ] {
        let result = method.attribute_to(&Inputs::from(&x), &Target::None).unwrap();
        assert!(numbers(&result).concat().iter().all(|half| (half - WIDTH as f64 / 2.).abs() < 1e-6));
    }
}

#[test]
fn several_baselines_are_averaged() {
    let (plain, xs, bs) = (Plain::new(43), rows(143, 3), rows(144, 4));
    let each = [vec![0], vec![1], vec![2], vec![3]];
    let mean = |x: &Vec<f64>| {
        let all: Vec<_> = bs.iter().map(|b| ablated(|x| output(&plain, x), x, b, &each)).collect();
        (0..4).map(|column| all.iter().map(|row| row[column]).sum::<f64>() / 4.).collect()
    };
    let method = FeatureAblation::new(plain.sequential()).baseline(Baseline::distribution(&tensor(&bs)));
    let expected: Vec<Vec<f64>> = xs.iter().map(mean).collect();
    assert_close(method.attribute(tensor(&xs), TARGET).unwrap().tensor(), &expected, 1e-12);
}

/// All positions of a window along one axis; the last ends with the axis.
fn positions(axis: usize, window: usize, stride: usize) -> Vec<std::ops::Range<usize>> {
    let mut starts = vec![0];
    while starts[starts.len() - 1] + window < axis {
        starts.push(starts[starts.len() - 1] + stride);
    }
    starts.into_iter().map(|start| start..axis.min(start + window)).collect()
}

#[test]
fn occlusion_is_its_formula() {
    let (plain, xs, bs) = (Plain::new(45), rows(145, 3), rows(146, 3));
    for (window, stride) in [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (4, 1), (4, 9)] {
        let twin = |x: &Vec<f64>, b: &Vec<f64>| {
            let (mut sums, mut times) = (vec![0.; 4], vec![0.; 4]);
            for absent in positions(4, window, stride) {
                let absent: Vec<usize> = absent.collect();
                let lost = output(&plain, x) - output(&plain, &without(x, &absent, b));
                for column in absent {
                    sums[column] += lost;
                    times[column] += 1.;
                }
            }
            sums.iter().zip(times).map(|(sum, times)| sum / times).collect()
        };
        let expected: Vec<Vec<f64>> = xs.iter().zip(&bs).map(|(x, b)| twin(x, b)).collect();
        let method = Occlusion::new(plain.sequential(), [window]).strides([stride]).baseline(tensor(&bs));
        assert_close(method.attribute(tensor(&xs), TARGET).unwrap().tensor(), &expected, 1e-12);
    }
}

#[test]
fn a_window_slides_over_the_features_of_a_mask() {
    let (plain, xs, bs) = (Plain::new(45), rows(145, 3), rows(146, 3));
    // What each row's features are; the last column of the second is none.
    let features: [&[&[usize]]; 3] = [&[&[0, 2], &[1], &[3]], &[&[1], &[0, 2]], &[&[3], &[2], &[1], &[0]]];
    let ids = [[0i64, 1, 0, 2], [1, 0, 1, -1], [3, 2, 1, 0]];
    for (window, stride) in [(1, 1), (2, 1), (2, 2)] {
        let twin = |example: usize| {
            let (x, b, features) = (&xs[example], &bs[example], features[example]);
            let (mut sums, mut times) = (vec![0.; 4], vec![0.; 4]);
            for absent in positions(features.len(), window, stride) {
                let absent: Vec<usize> = features[absent].concat();
                let lost = output(&plain, x) - output(&plain, &without(x, &absent, b));
                for column in absent {
                    sums[column] += lost;
                    times[column] += 1.;
                }
            }
            sums.iter().zip(times).map(|(sum, times): (&f64, f64)| sum / times.max(1.)).collect()
        };
        let expected: Vec<Vec<f64>> = (0..3).map(twin).collect();
        let method = Occlusion::new(plain.sequential(), window).strides(stride).baseline(tensor(&bs));
        let method = method.feature_mask(Tensor::new(&ids, &Device::Cpu).unwrap());
        assert_close(method.attribute(tensor(&xs), TARGET).unwrap().tensor(), &expected, 1e-12);
    }
}

#[test]
fn a_window_slides_over_the_words_of_each_text() {
    let model = TextClassifier::from_pretrained("data/sentiment-vi").unwrap();
    let texts = ["Sản phẩm này rất tốt, nhưng giao hàng quá chậm", "Hàng xấu quá"];
    let of = |texts: &[&str], window: usize| {
        let input = model.tokenize_all(texts.iter().copied()).unwrap();
        let occlusion = Occlusion::new(&model, window).baseline(input.reference().unwrap());
        let result = occlusion.feature_mask(input.word_mask().unwrap()).attribute(&input, 1).unwrap();
        result.of_words(&input).unwrap()
    };
    let together = of(&texts, 2);
    for (row, text) in texts.iter().enumerate() {
        let alone = of(&[text], 2);
        for (unit, other) in alone.records()[0].units().iter().zip(together.records()[row].units()) {
            assert!(unit.text == other.text && (unit.value - other.value).abs() < 1e-6, "{unit:?} and {other:?}");
        }
    }
    let input = model.tokenize(texts[0]).unwrap();
    let ablation = FeatureAblation::new(&model).baseline(input.reference().unwrap());
    let words = ablation.feature_mask(input.word_mask().unwrap()).attribute(&input, 1).unwrap();
    let words = words.of_words(&input).unwrap();
    let single = of(&texts[..1], 1);
    for (unit, other) in words.records()[0].units().iter().zip(single.records()[0].units()) {
        assert_eq!((&unit.text, unit.value), (&other.text, other.value), "a window of one word is that word");
    }
}

#[test]
fn a_window_slides_over_several_axes_and_inputs() {
    let weights: Vec<f64> = (0..15).map(|i| f64::from(i * i % 11) - 4.).collect();
    let weight = Tensor::from_vec(weights.clone(), (1, 3, 5), &Device::Cpu).unwrap();
    let model = from_fn(move |input, _| {
        let image = input.get(0)?.broadcast_mul(&weight)?.flatten_from(1)?.sum(1)?;
        Ok((image.sqr()? + input.get(1)?.sum(1)?)?)
    });
    let x: Vec<f64> = (0..15).map(|i| f64::from(i % 7) / 3. - 1.).collect();
    let image = Tensor::from_vec(x.clone(), (1, 3, 5), &Device::Cpu).unwrap();
    let row = Tensor::new(&[[1., 2., 4.]], &Device::Cpu).unwrap();
    let method = Occlusion::new(&model, vec![vec![2, 3], vec![2]]).strides(vec![vec![1, 2], vec![2]]);
    let result = method.attribute([&image, &row], Target::None).unwrap();

    let dot = |x: &[f64]| x.iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>().powi(2);
    let (mut sums, mut times) = (vec![0.; 15], vec![0.; 15]);
    for down in positions(3, 2, 1) {
        for across in positions(5, 3, 2) {
            let absent: Vec<usize> = down.clone().flat_map(|row| across.clone().map(move |c| row * 5 + c)).collect();
            let lost = dot(&x) - dot(&without(&x, &absent, &[0.; 15]));
            absent
                .into_iter()
                .for_each(|element| (sums[element], times[element]) = (sums[element] + lost, times[element] + 1.));
        }
    }
    let expected: Vec<f64> = sums.iter().zip(times).map(|(sum, times)| sum / times).collect();
    assert_close(result.value(0).unwrap(), &[expected], 1e-12);
    assert_close(result.value(1).unwrap(), &[vec![3., 3., 4.]], 1e-12);
}

#[test]
fn feature_permutation_is_its_formula() {
    let (plain, xs) = (Plain::new(47), rows(147, 6));
    let order = |feature: usize, rows: usize| (0..rows).map(|row| (row + 1 + feature) % rows).collect::<Vec<_>>();
    let method = FeaturePermutation::new(plain.sequential()).perm_func(order);
    for groups in [vec![vec![0], vec![1], vec![2], vec![3]], vec![vec![0, 2], vec![1], vec![3]]] {
        let twin = |(row, x): (usize, &Vec<f64>)| {
            let mut worth = vec![0.; 4];
            for (feature, group) in groups.iter().enumerate() {
                let lost = output(&plain, x) - output(&plain, &without(x, group, &xs[order(feature, 6)[row]]));
                group.iter().for_each(|column| worth[*column] = lost);
            }
            worth
        };
        let expected: Vec<_> = xs.iter().enumerate().map(twin).collect();
        let method = method.feature_mask(FeatureMask::groups(groups.clone()));
        for rows in [1, 5, 1000] {
            let result = method.internal_batch_size(rows).attribute(tensor(&xs), TARGET).unwrap();
            assert_close(result.tensor(), &expected, 1e-12);
        }
    }
}

#[test]
fn a_permutation_is_seeded_and_never_the_identity() {
    let (net, xs) = (Plain::new(48).sequential(), tensor(&rows(148, 2)));
    let of = |seed: u32| numbers(&FeaturePermutation::new(&net).seed(Seed(seed)).attribute(&xs, TARGET).unwrap());
    for seed in 0..40 {
        assert_eq!(of(seed), of(0), "two rows can only change places");
    }
    let many = tensor(&rows(149, 20));
    let of = |seed: u32| numbers(&FeaturePermutation::new(&net).seed(Seed(seed)).attribute(&many, TARGET).unwrap());
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    // What a permutation takes from one row it gives to another: of a sum over rows nothing is left.
    let sum = FeaturePermutation::new(|x: &Tensor| x.sum(1)).attribute(&many, Target::None).unwrap();
    assert!(sum.mean().unwrap().values().iter().all(|mean| mean.abs() < 1e-12));
}

#[test]
fn a_feature_of_several_inputs_comes_from_one_row() {
    let product = from_fn(|input, _| Ok((input.get(0)? * input.get(1)?)?.sum(1)?));
    let (a, b) = (tensor(&[vec![1.], vec![3.], vec![10.]]), tensor(&[vec![2.], vec![5.], vec![100.]]));
    let mask = FeatureMask::new([
        Tensor::new(&[[0u32]], &Device::Cpu).unwrap(),
        Tensor::new(&[[0u32]], &Device::Cpu).unwrap(),
    ]);
    let method = FeaturePermutation::new(&product).feature_mask(mask).perm_func(|_, _| vec![1, 2, 0]);
    let result = method.attribute([&a, &b], Target::None).unwrap();
    assert_close(result.value(0).unwrap(), &[vec![2. - 15.], vec![15. - 1000.], vec![1000. - 2.]], 1e-12);
    assert_close(result.value(1).unwrap(), &[vec![2. - 15.], vec![15. - 1000.], vec![1000. - 2.]], 1e-12);
}

#[test]
fn layers_and_neurons_are_their_formulas() {
    let (plain, xs, bs) = (Plain::new(51), rows(151, 3), rows(152, 3));
    let net = plain.sequential();
    let each = |width: usize| (0..width).map(|column| vec![column]).collect::<Vec<_>>();
    for (layer, name, width) in [(0, "linear1", SIZES[1]), (1, "tanh1", SIZES[1]), (3, "tanh2", SIZES[2])] {
        let above = |y: &[f64]| plain.above_layer(layer + 1, y)[TARGET];
        let twin = |x: &Vec<f64>| ablated(above, &plain.up_to_layer(layer, x), &vec![0.5; width], &each(width));
        let expected: Vec<_> = xs.iter().map(twin).collect();
        let method = LayerFeatureAblation::new(&net, name).baseline(0.5);
        assert_close(method.attribute(tensor(&xs), TARGET).unwrap().tensor(), &expected, 1e-12);

        let moved = |row: usize| plain.up_to_layer(layer, &xs[(row + 1) % 3]);
        let twin =
            |(row, x): (usize, &Vec<f64>)| ablated(above, &plain.up_to_layer(layer, x), &moved(row), &each(width));
        let expected: Vec<_> = xs.iter().enumerate().map(twin).collect();
        let method = LayerFeaturePermutation::new(&net, name).perm_func(|_, _| vec![1, 2, 0]);
        assert_close(method.attribute(tensor(&xs), TARGET).unwrap().tensor(), &expected, 1e-12);

        let twin = |(x, b): (&Vec<f64>, &Vec<f64>)| ablated(|x| plain.up_to_layer(layer, x)[2], x, b, &each(4));
        let expected: Vec<_> = xs.iter().zip(&bs).map(twin).collect();
        let method = NeuronFeatureAblation::new(&net, name, 2).baseline(tensor(&bs));
        assert_close(method.attribute(tensor(&xs)).unwrap().tensor(), &expected, 1e-12);
    }
}

#[test]
fn at_the_input_of_the_first_layer_layer_methods_are_input_methods() {
    let (net, x, b) = (Plain::new(53).sequential(), tensor(&rows(153, 4)), tensor(&rows(154, 4)));
    let mask = || FeatureMask::groups([[0, 2]]);
    let ablation = FeatureAblation::new(&net).baseline(&b).feature_mask(mask()).attribute(&x, TARGET).unwrap();
    let of_layer = LayerFeatureAblation::new(&net, "linear1").attribute_to_layer_input(true).baseline(&b);
    assert_eq!(numbers(&of_layer.feature_mask(mask()).attribute(&x, TARGET).unwrap()), numbers(&ablation));
    let permutation = FeaturePermutation::new(&net).seed(Seed(5)).attribute(&x, TARGET).unwrap();
    let of_layer = LayerFeaturePermutation::new(&net, "linear1").attribute_to_layer_input(true).seed(Seed(5));
    assert_eq!(numbers(&of_layer.attribute(&x, TARGET).unwrap()), numbers(&permutation));
    let neuron = NeuronFeatureAblation::new(&net, "linear3", TARGET).baseline(&b).feature_mask(mask());
    assert_eq!(numbers(&neuron.attribute(&x).unwrap()), numbers(&ablation));
    let at_input = NeuronFeatureAblation::new(&net, "linear2", 3).attribute_to_layer_input(true).attribute(&x).unwrap();
    let below = NeuronFeatureAblation::new(&net, "tanh1", 3).attribute(&x).unwrap();
    assert_eq!(numbers(&at_input), numbers(&below));
}

/// Captum's own test network: 3 inputs; 4 sums with bias -10, 1, 1, 1; relu; 2 sums with bias -1, 1.
fn captums_network() -> Sequential {
    let linear = |weight: &[f64], shape: (usize, usize), bias: &[f64]| {
        let weight = Tensor::from_slice(weight, shape, &Device::Cpu).unwrap();
        Layer::Linear(Linear::from_weights(&weight, Some(&Tensor::new(bias, &Device::Cpu).unwrap())).unwrap())
    };
    let layers = [
        ("linear1", linear(&[1.; 12], (4, 3), &[-10., 1., 1., 1.])),
        ("relu", Layer::Activation(Activation::Relu)),
        ("linear2", linear(&[1.; 8], (2, 4), &[-1., 1.])),
    ];
    Sequential::from_layers(3, layers).unwrap()
}

#[test]
fn captums_known_answers() {
    let x = tensor(&[vec![20., 50., 30.]]);
    let of = |result: Result<Attributions>| numbers(&result.unwrap()).concat();
    let ablation = FeatureAblation::new(captums_network());
    assert_eq!(of(ablation.attribute(&x, 0)), [80., 200., 120.]);
    let masked = ablation.feature_mask(Tensor::new(&[[0u32, 0, 1]], &Device::Cpu).unwrap());
    assert_eq!(of(masked.attribute(&x, 0)), [280., 280., 120.]);
    assert_eq!(of(masked.baseline(4.).attribute(&x, 0)), [248., 248., 104.]);
    let occlusion = Occlusion::new(captums_network(), [2]).baseline(10.);
    assert_eq!(of(occlusion.attribute(&x, 0)), [200., 220., 240.]);
    assert_eq!(of(Occlusion::new(captums_network(), [2]).strides([2]).attribute(&x, 0)), [280., 280., 120.]);
}

#[test]
fn equal_questions_are_asked_once() {
    let rows: Arc<Mutex<Vec<Vec<f64>>>> = Arc::default();
    let seen = rows.clone();
    let model = from_rows(move |rows: &[Vec<f64>]| -> Vec<f64> {
        seen.lock().unwrap().extend_from_slice(rows);
        rows.iter().map(|row| row.iter().sum()).collect()
    });
    let x = tensor(&[vec![1., 0., 3., 0.], vec![0., 0., 0., 0.]]);
    let result = FeatureAblation::new(model).attribute(&x, Target::None).unwrap();
    assert_eq!(numbers(&result), [[1., 0., 3., 0.], [0.; 4]]);
    let asked = rows.lock().unwrap().clone();
    assert_eq!(asked, [vec![1., 0., 3., 0.], vec![0.; 4], vec![0., 0., 3., 0.], vec![1., 0., 0., 0.]]);
}

#[test]
fn a_model_of_one_number_is_asked_row_by_row() {
    let whole = from_fn(|input, _| Ok(input.first().sqr()?.sum_all()?));
    let x = tensor(&rows(155, 3));
    let result = FeatureAblation::new(&whole).attribute(&x, Target::None).unwrap();
    assert_close(
        result.tensor(),
        &rows(155, 3).iter().map(|row| row.iter().map(|x| x * x).collect()).collect::<Vec<_>>(),
        1e-12,
    );
    assert!(result.remarks().iter().any(|remark| remark.contains("one example at a time")), "{:?}", result.remarks());
}

#[test]
fn token_ids_are_ablated_against_other_ids() {
    let table = [0.5, -1., 2., 7.];
    let lookup = from_fn(move |input, _| {
        let ids = input.first().to_dtype(DType::U32)?;
        let embedding = Tensor::new(&table, &Device::Cpu)?;
        Ok(embedding.index_select(&ids.flatten_all()?, 0)?.reshape(ids.dims())?.sum(1)?)
    });
    for dtype in [DType::U32, DType::I64] {
        let ids = Tensor::new(&[[3u32, 1, 2], [0, 3, 3]], &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let method = FeatureAblation::new(&lookup).baseline(1);
        let result = method.attribute(&ids, Target::None).unwrap();
        assert_eq!(result.tensor().to_vec2::<f64>().unwrap(), [[8., 0., 3.], [1.5, 8., 8.]]);
        assert!(!result.remarks().iter().any(|remark| remark.contains("id 0")), "{:?}", result.remarks());
        let unsaid = FeatureAblation::new(&lookup).attribute(&ids, Target::None).unwrap();
        assert!(unsaid.remarks().iter().any(|remark| remark.contains("id 0")), "{:?}", unsaid.remarks());
    }
    // Bytes are no ids of words.
    let bytes = Tensor::new(&[[3u8, 1, 2]], &Device::Cpu).unwrap();
    let result = FeatureAblation::new(&lookup).attribute(&bytes, Target::None).unwrap();
    assert!(!result.remarks().iter().any(|remark| remark.contains("id 0")), "{:?}", result.remarks());
}

#[test]
fn attributions_to_ids_are_of_the_models_type() {
    for dtype in [DType::F64, DType::F32, DType::BF16] {
        let lookup = from_fn(move |input, layers| {
            let (ids, table) = (input.first(), Tensor::new(&[0.1f64, -1., 2.], &Device::Cpu)?.to_dtype(dtype)?);
            let rows = table.index_select(&ids.flatten_all()?, 0)?.reshape(ids.dims())?;
            Ok(layers.visit("rows", rows)?.sum(1)?)
        });
        let ids = Tensor::new(&[[0u32, 1], [2, 1]], &Device::Cpu).unwrap();
        for info in METHODS.iter().filter(|info| info.takes("feature_mask") || info.takes("sliding_window_shapes")) {
            let options = Options {
                layers: if info.takes("layer") { vec!["rows".to_string()] } else { Vec::new() },
                neuron: info.takes("neuron").then(|| Neuron::from(0)),
                sliding_window_shapes: info.takes("sliding_window_shapes").then(|| Sizes::from(1)),
                ..Options::default()
            };
            let method = (info.build)(lookup.clone(), &options).unwrap();
            let result = method.attribute_to(&Inputs::from(&ids), &Target::None).unwrap();
            let expected = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
            assert_eq!(result.tensor().dtype(), expected, "{} of {dtype:?}", info.name);
            for errors in result.standard_errors().into_iter().flatten() {
                assert_eq!(errors.dtype(), expected, "{} of {dtype:?}", info.name);
            }
            if info.name == "ShapleyValues" && dtype == DType::F64 {
                assert!((result.tensor().to_vec2::<f64>().unwrap()[1][1] + 1.1).abs() < 1e-15);
            }
        }
    }
}

#[test]
fn passes_are_as_large_as_was_allowed_and_workers_change_no_bit() {
    let largest = Arc::new(Mutex::new(0));
    let seen = largest.clone();
    let net = Plain::new(57).sequential();
    let model = from_fn(move |input, layers| {
        let mut largest = seen.lock().unwrap();
        *largest = input.batch_size()?.max(*largest);
        drop(largest);
        net.forward(input, layers)
    });
    let x = tensor(&rows(157, 40));
    for rows in [1, 7] {
        let of = |method: &dyn Attribute| {
            *largest.lock().unwrap() = 0;
            method.attribute_to(&Inputs::from(&x), &Target::Class(TARGET)).unwrap();
            assert_eq!(*largest.lock().unwrap(), rows);
        };
        of(&FeatureAblation::new(&model).internal_batch_size(rows));
        of(&Occlusion::new(&model, [2]).internal_batch_size(rows));
        of(&FeaturePermutation::new(&model).internal_batch_size(rows));
    }
    let bits = |workers: usize| {
        let x = tensor(&crate::plain::rows(158, 500));
        let ablation = FeatureAblation::new(&model).workers(workers).memory_budget(1 << 16).attribute(&x, TARGET);
        let permutation = FeaturePermutation::new(&model).workers(workers).attribute(&x, TARGET);
        [numbers(&ablation.unwrap()), numbers(&permutation.unwrap())].concat()
    };
    let one = bits(1);
    assert!([2, 7].into_iter().all(|workers| bits(workers) == one));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn of_a_linear_model_each_method_gives_the_products(
        x in proptest::collection::vec(-5f64..5., 6),
        b in proptest::collection::vec(-5f64..5., 6),
        w in proptest::collection::vec(-5f64..5., 6),
    ) {
        let weight = Tensor::from_slice(&w, (1, 6), &Device::Cpu).unwrap();
        let model = from_fn(move |input, _| Ok(input.first().broadcast_mul(&weight)?.sum(1)?));
        let pair = tensor(&[x.clone(), b.clone()]);
        let products: Vec<f64> = (0..6).map(|i| w[i] * (x[i] - b[i])).collect();
        let near = |got: &[f64]| got.iter().zip(&products).all(|(got, expected)| (got - expected).abs() < 1e-9);
        let ablation = FeatureAblation::new(&model).baseline(tensor(std::slice::from_ref(&b)));
        let row = pair.narrow(0, 0, 1).unwrap();
        prop_assert!(near(&numbers(&ablation.attribute(&row, Target::None).unwrap())[0]));
        let occlusion = Occlusion::new(&model, [1]).baseline(tensor(std::slice::from_ref(&b)));
        prop_assert!(near(&numbers(&occlusion.attribute(&row, Target::None).unwrap())[0]));
        // Two rows change places.
        prop_assert!(near(&numbers(&FeaturePermutation::new(&model).attribute(&pair, Target::None).unwrap())[0]));
    }

    #[test]
    fn a_mask_of_the_ids_of_elements_changes_nothing(seed in 0u64..1000, most in 1usize..50) {
        let (net, x) = (Plain::new(seed).sequential(), tensor(&rows(seed, 3)));
        let method = FeatureAblation::new(&net).internal_batch_size(most);
        let plain = numbers(&method.attribute(&x, TARGET).unwrap()).concat();
        let ids = Tensor::arange(0u32, 4, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let masked = numbers(&method.feature_mask(ids).attribute(&x, TARGET).unwrap()).concat();
        prop_assert_eq!(plain, masked);
    }
}
