//! What a feature is: masks of every kind, and those that do not fit.

use candle_explain::ErrorKind;
use candle_explain::prelude::*;

use crate::plain::tensor;

#[track_caller]
fn assert_error<T>(result: Result<T>, kind: ErrorKind, parts: &[&str]) {
    let error = result.err().expect("an error");
    assert_eq!(error.kind(), kind, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "\"{error}\" does not say \"{part}\"");
    }
}

/// The squared sum of everything: features that go together are worth more than apart.
fn squared_sum() -> impl Fn(&Inputs, &mut Layers) -> Result<Tensor> + Send + Sync {
    |input, _| {
        let sums = input.tensors().iter().map(|tensor| Ok(tensor.to_dtype(DType::F64)?.flatten_from(1)?.sum(1)?));
        let sums: Vec<Tensor> = sums.collect::<Result<_>>()?;
        Ok(Tensor::stack(&sums, 0)?.sum(0)?.sqr()?)
    }
}

fn worth(mask: FeatureMask, inputs: impl Into<Inputs>) -> Result<Vec<Vec<f64>>> {
    let result = FeatureAblation::new(from_fn(squared_sum())).feature_mask(mask).attribute(inputs, Target::None)?;
    result.values().iter().map(|value| Ok(value.flatten_all()?.to_vec1::<f64>()?)).collect()
}

/// What features of these sums are worth among a sum of `whole`.
fn lost(whole: f64, sums: &[f64]) -> Vec<f64> {
    sums.iter().map(|sum| whole * whole - (whole - sum).powi(2)).collect()
}

fn ids(ids: &[i64], shape: &[usize]) -> Tensor {
    Tensor::from_slice(ids, shape, &Device::Cpu).unwrap()
}

#[test]
fn ids_may_be_of_any_type_and_for_every_example_or_each() {
    let x = tensor(&[vec![1., 2., 4.], vec![3., 5., 9.]]);
    let shared = [lost(7., &[5., 2., 5.]), lost(17., &[12., 5., 12.])].concat();
    for dtype in [DType::U8, DType::U32, DType::I64, DType::F32, DType::F64] {
        let mask = ids(&[1, 0, 1], &[1, 3]).to_dtype(dtype).unwrap();
        assert_eq!(worth(FeatureMask::from(mask), &x).unwrap(), std::slice::from_ref(&shared));
    }
    let mask = ids(&[1, 0, 1, 0, 0, 0], &[2, 3]);
    let each = [lost(7., &[5., 2., 5.]), lost(17., &[17., 17., 17.])].concat();
    assert_eq!(worth(FeatureMask::from(mask), &x).unwrap(), [each]);
}

#[test]
fn a_feature_may_span_inputs_and_an_element_be_in_none() {
    let (x, y) = (tensor(&[vec![1., 2.]]), tensor(&[vec![4., 8., 16.]]));
    let mask = FeatureMask::new([ids(&[0, 1], &[1, 2]), ids(&[1, -1, 2], &[1, 3])]);
    let got = worth(mask, [&x, &y]).unwrap();
    assert_eq!(got, [lost(31., &[1., 6.]), [lost(31., &[6.]), vec![0.], lost(31., &[16.])].concat()]);
}

#[test]
fn columns_are_grouped_by_position_and_by_name() {
    let x = tensor(&[vec![1., 2., 4., 8.]]);
    let named = || Inputs::from(&x).with_names(["age", "port_a", "port_b", "sex"]);
    let together = [lost(15., &[1., 6., 6., 8.])];
    assert_eq!(worth(FeatureMask::groups([[1, 2]]), &x).unwrap(), together);
    assert_eq!(worth(FeatureMask::groups([["port_b", "port_a"]]), named()).unwrap(), together);
    assert_eq!(worth(FeatureMask::one_hot(["port_"]), named()).unwrap(), together);
    let two = FeatureMask::one_hot(["port_"]).with_group(["sex", "age"]);
    assert_eq!(worth(two, named()).unwrap(), [lost(15., &[9., 6., 6., 9.])]);
    // Columns of every row, and the elements of another input for themselves.
    let grid = x.reshape((1, 2, 2)).unwrap();
    let got = worth(FeatureMask::groups([[0]]), [&grid, &x]).unwrap();
    assert_eq!(got, [lost(30., &[5., 10., 5., 10.]), lost(30., &[1., 2., 4., 8.])]);
}

#[test]
fn the_categories_of_the_titanic_are_one_feature_each() {
    let passengers = Titanic::offline().unwrap();
    let (train, test) = passengers.split(Split::Stratified { test: 0.3, seed: 42 }).unwrap();
    let net = Titanic::network(Seed(1)).unwrap();
    Trainer::adam(0.1).epochs(20).fit(&net, &train).unwrap();
    let ablation = FeatureAblation::new(&net).feature_mask(Titanic::categories());
    let result = ablation.attribute(test.features(), 1).unwrap();
    for (row, of_row) in result.tensor().to_vec2::<f32>().unwrap().into_iter().enumerate() {
        assert_eq!(of_row[4], of_row[5], "sex of row {row}");
        assert!(of_row[6] == of_row[7] && of_row[7] == of_row[8], "embarked of row {row}");
        assert!(of_row[9] == of_row[10] && of_row[10] == of_row[11], "class of row {row}");
        // Without the category, all of its columns are 0: the one that was 1 is what its absence costs.
        let alone =
            FeatureAblation::new(&net).attribute(test.features().first().narrow(0, row, 1).unwrap(), 1).unwrap();
        let alone = alone.tensor().to_vec2::<f32>().unwrap()[0][4..6].iter().sum::<f32>();
        assert!((of_row[4] - alone).abs() < 1e-6);
        if row == 20 {
            break;
        }
    }
}

#[test]
fn images_are_cut_into_cells_and_segments() {
    let image = tensor(&[(0..12).map(|i| f64::from(1 << i)).collect()]).reshape((1, 2, 2, 3)).unwrap();
    let whole = 4095.;
    // Cells of 1 by 2: columns 0 and 1, and column 2, of both channels.
    let of = |row: usize, columns: &[usize]| -> f64 {
        columns.iter().flat_map(|column| [row * 3 + column, 6 + row * 3 + column]).map(|i| f64::from(1 << i)).sum()
    };
    let cells = [of(0, &[0, 1]), of(0, &[0, 1]), of(0, &[2]), of(1, &[0, 1]), of(1, &[0, 1]), of(1, &[2])];
    let expected = lost(whole, &[cells, cells].concat());
    assert_eq!(worth(FeatureMask::grid(1, 2), &image).unwrap(), std::slice::from_ref(&expected));
    for labels in [[7, 7, 9, 30, 30, -2], [1, 1, 2, 3, 3, 0]] {
        assert_eq!(
            worth(FeatureMask::segments(&ids(&labels, &[2, 3])), &image).unwrap(),
            std::slice::from_ref(&expected)
        );
    }
    let all = worth(FeatureMask::grid(100, 100), &image).unwrap();
    assert_eq!(all, [lost(whole, &[whole; 12])]);
}

#[test]
fn masks_that_do_not_fit() {
    let x = tensor(&[vec![1., 2., 4.], vec![3., 5., 9.]]);
    let of = |mask: FeatureMask| worth(mask, &x);
    let input = ErrorKind::Input;
    let shape = ["feature mask of input 0", "[1, 4]", "expected [1, 3]", "or [2, 3]"];
    assert_error(of(FeatureMask::from(ids(&[0, 1, 2, 3], &[1, 4]))), input, &shape);
    assert_error(of(FeatureMask::from(ids(&[0, 1, 2], &[3]))), input, &["[3]: expected [1, 3]"]);
    assert_error(of(FeatureMask::from(ids(&[0; 9], &[3, 3]))), input, &["[3, 3]: expected [1, 3]"]);
    let gap = ["no element of id 1", "goes up to 2"];
    assert_error(of(FeatureMask::from(ids(&[0, 2, 2], &[1, 3]))), input, &gap);
    assert_error(of(FeatureMask::from(ids(&[1, 2, 3], &[1, 3]))), input, &["no element of id 0"]);
    assert_error(of(FeatureMask::from(ids(&[0, 1, 4_000_000_000], &[1, 3]))), input, &["no element of id 2"]);
    assert_error(of(FeatureMask::from(ids(&[-1; 3], &[1, 3]))), input, &["has no feature"]);
    assert_error(of(FeatureMask::from(ids(&[0, -2, 1], &[1, 3]))), input, &["is -2 at [0, 1]", "whole number"]);
    let halves = Tensor::new(&[[0f64, 0.5, 1.]], &Device::Cpu).unwrap();
    assert_error(of(FeatureMask::from(&halves)), input, &["is 0.5 at [0, 1]"]);
    let two = FeatureMask::new([ids(&[0; 3], &[1, 3]), ids(&[1; 3], &[1, 3])]);
    assert_error(of(two), input, &["2 tensors for 1"]);
    assert_error(of(FeatureMask::groups([[0, 3]])), input, &["column 3", "3 columns"]);
    assert_error(of(FeatureMask::groups([vec![0, 1], vec![1]])), input, &["column 1 is in two groups"]);
    assert_error(of(FeatureMask::groups([["age"]])), input, &["a column \"age\": the inputs have no names"]);
    let named = Inputs::from(&x).with_names(["a", "b", "c"]);
    assert_error(worth(FeatureMask::one_hot(["port"]), &named), input, &["begins with \"port\": a, b, c"]);
    assert_error(of(FeatureMask::grid(2, 2)), input, &["a mask of images", "[2, 3]"]);
    let image = x.reshape((1, 2, 3)).unwrap();
    assert_error(worth(FeatureMask::grid(0, 2), &image), input, &["0 by 2"]);
    assert_error(worth(FeatureMask::segments(&ids(&[0; 4], &[2, 2])), &image), input, &["[1, 2, 2]", "[1, 2, 3]"]);
}

#[test]
fn a_mask_of_a_layer_has_the_layers_shape() {
    let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7)).unwrap();
    let x = Tensor::ones((2, 3), DType::F32, &Device::Cpu).unwrap();
    let method = LayerFeatureAblation::new(&net, "hidden").feature_mask(ids(&[0, 0, 1], &[1, 3]));
    assert_error(method.attribute(&x, 1), ErrorKind::Input, &["feature mask of layer 0", "expected [1, 4]"]);
    let method =
        LayerFeatureAblation::new(&net, "hidden").baseline(Tensor::zeros((1, 3), DType::F32, &Device::Cpu).unwrap());
    assert_error(method.attribute(&x, 1), ErrorKind::Input, &["at the layer", "[1, 3]", "[2, 4]"]);
}

#[test]
fn windows_that_do_not_fit() {
    let x = tensor(&[vec![1., 2., 4.], vec![3., 5., 9.]]);
    let of = |window: Sizes, strides: Sizes| {
        Occlusion::new(from_fn(squared_sum()), window).strides(strides).attribute(&x, Target::None)
    };
    let input = ErrorKind::Input;
    assert_error(of([4].into(), 1.into()), input, &["window [4] is larger than input 0", "[3]"]);
    assert_error(of([0].into(), 1.into()), input, &["sliding_window_shapes of input 0 is [0]", "at least 1"]);
    assert_error(of([2].into(), 0.into()), input, &["strides of input 0 is [0]", "at least 1"]);
    assert_error(of([2].into(), [3].into()), input, &["strides [3]", "larger than the window [2]"]);
    assert_error(of([1, 2].into(), 1.into()), input, &["[1, 2]", "[3] after the batch"]);
    assert_error(of(vec![vec![1], vec![1]].into(), 1.into()), input, &["for 2 inputs, and there are 1"]);
    assert!(of([3].into(), [7].into()).is_ok(), "one position covers all");
}

#[test]
fn windows_over_features_that_do_not_fit() {
    let x = tensor(&[vec![1., 2., 4.], vec![3., 5., 9.]]);
    let of = |ids: Tensor, window: Sizes, strides: Sizes| {
        let method = Occlusion::new(from_fn(squared_sum()), window).strides(strides);
        method.feature_mask(ids).attribute(&x, Target::None)
    };
    let (pair, each) = (ids(&[0, 0, 1], &[1, 3]), ids(&[0, 1, 2, 0, 0, 1], &[2, 3]));
    let input = ErrorKind::Input;
    assert_error(of(pair.clone(), 3.into(), 1.into()), input, &["covers 3 features, and example 0 has 2"]);
    assert_error(of(each, 3.into(), 1.into()), input, &["covers 3 features, and example 1 has 2"]);
    assert_error(of(pair.clone(), 0.into(), 1.into()), input, &["sliding_window_shapes is 0", "at least 1"]);
    assert_error(of(pair.clone(), 1.into(), 0.into()), input, &["strides is 0", "at least 1"]);
    assert_error(of(pair.clone(), 1.into(), 2.into()), input, &["stride 2", "larger than the window of 1"]);
    assert_error(
        of(pair.clone(), [1, 1].into(), 1.into()),
        input,
        &["several sizes", "give one, a number of features"],
    );
    assert_error(of(ids(&[0, 2, 2], &[1, 3]), 1.into(), 1.into()), input, &["no element of id 1"]);
    assert!(of(pair, 2.into(), 9.into()).is_ok(), "one position covers all");
}

#[test]
fn permutations_that_are_none() {
    let method = FeaturePermutation::new(from_fn(squared_sum()));
    let of = |rows: usize, order: Vec<usize>| {
        let x = Tensor::ones((rows, 2), DType::F64, &Device::Cpu).unwrap();
        method.perm_func(move |_, _| order.clone()).attribute(&x, Target::None)
    };
    let one = method.attribute(Tensor::ones((1, 2), DType::F64, &Device::Cpu).unwrap(), Target::None);
    assert_error(one, ErrorKind::Input, &["one example", "at least 2"]);
    assert_error(of(3, vec![0, 1]), ErrorKind::Input, &["feature 0 is [0, 1]", "0 to 2 once"]);
    assert_error(of(3, vec![0, 1, 1]), ErrorKind::Input, &["0 to 2 once"]);
    assert_error(of(3, vec![0, 1, 3]), ErrorKind::Input, &["0 to 2 once"]);
    assert_error(of(3, vec![0, 1, 2]), ErrorKind::Input, &["leaves every row as it is"]);
    assert!(of(3, vec![0, 2, 1]).is_ok());
}
