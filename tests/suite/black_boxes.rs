//! Models that are closures from rows to numbers.

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

fn ruled() -> std::sync::Arc<dyn Model> {
    from_rows(|rows: &[Vec<f64>]| -> Vec<f64> {
        rows.iter().map(|row| if row[0] > 2. { 10. * row[1] } else { row[2] }).collect()
    })
}

#[test]
fn one_number_for_each_row() {
    let x = tensor(&[vec![3., 2., 7.], vec![1., 2., 7.]]);
    let result = FeatureAblation::new(ruled()).attribute(&x, Target::None).unwrap();
    assert_eq!(result.tensor().to_vec2::<f64>().unwrap(), [[13., 20., 0.], [0., 0., 7.]]);
    let single = x.to_dtype(DType::F32).unwrap();
    let result = FeatureAblation::new(ruled()).attribute(&single, Target::None).unwrap();
    assert_eq!(result.tensor().to_vec2::<f32>().unwrap(), [[13., 20., 0.], [0., 0., 7.]]);
}

#[test]
fn several_numbers_for_each_row_of_several_inputs() {
    let model = from_rows(|rows: &[Vec<f64>]| -> Vec<Vec<f64>> {
        rows.iter().map(|row| vec![row[0] * row[3], row[1] + row[2]]).collect()
    });
    let (x, y) = (tensor(&[vec![2., 3.]]), tensor(&[vec![5., 7.]]));
    let of = |target: Target| {
        let result = FeatureAblation::new(&model).attribute([&x, &y], target).unwrap();
        [0, 1].map(|input| result.value(input).unwrap().to_vec2::<f64>().unwrap().concat())
    };
    assert_eq!(of(Target::Class(0)), [[14., 0.], [0., 14.]]);
    assert_eq!(of(Target::Predicted), [[14., 0.], [0., 14.]]);
    assert_eq!(of(Target::Class(1)), [[0., 3.], [5., 0.]]);
    let occlusion = Occlusion::new(&model, vec![vec![2], vec![1]]).attribute([&x, &y], 1).unwrap();
    assert_eq!(occlusion.value(0).unwrap().to_vec2::<f64>().unwrap(), [[3., 3.]]);
}

#[test]
fn methods_by_gradient_name_those_that_need_none() {
    let x = tensor(&[vec![3., 2., 7.]]);
    let parts = ["black box", "FeatureAblation", "KernelShap"];
    assert_error(Saliency::new(ruled()).attribute(&x, Target::None), ErrorKind::Gradient, &parts);
    assert_error(IntegratedGradients::new(ruled()).attribute(&x, Target::None), ErrorKind::Gradient, &parts);
    assert_error(InputXGradient::new(ruled()).attribute(&x, Target::None), ErrorKind::Gradient, &parts);
    assert_error(DeepLift::new(ruled()).attribute(&x, Target::None), ErrorKind::Gradient, &parts);
    let layer = LayerConductance::new(ruled(), "hidden").attribute(&x, Target::None);
    assert_error(layer, ErrorKind::Layer, &["names none"]);
    let tracked = Var::from_tensor(&x).unwrap();
    assert!(FeatureAblation::new(ruled()).attribute(tracked.as_tensor(), Target::None).is_ok());
}

#[test]
fn what_a_black_box_says_of_itself() {
    let x = tensor(&[vec![1., 2.], vec![3., 4.]]);
    let of = |model: std::sync::Arc<dyn Model>| FeatureAblation::new(model).attribute(&x, Target::None);
    let failing = from_rows(|rows: &[Vec<f64>]| -> Result<Vec<f64>, String> {
        if rows.iter().any(|row| row[1] == 0.) { Err("no price for 0".to_string()) } else { Ok(vec![1.; rows.len()]) }
    });
    assert_error(of(failing), ErrorKind::Input, &["the black box failed: no price for 0"]);
    let short = from_rows(|_: &[Vec<f64>]| -> Vec<f64> { vec![1.; 3] });
    assert_error(of(short), ErrorKind::Input, &["3 answers for 2 rows: expected 2, one for each"]);
    // Each row alone would get its answer, but who gives one for all has not looked at all.
    let one = from_rows(|rows: &[Vec<f64>]| -> Vec<f64> { vec![rows[0][0]] });
    let five = tensor(&crate::plain::rows(7, 5));
    let said = ["1 answer for 5 rows: expected 5, one for each"];
    assert_error(FeatureAblation::new(&one).attribute(&five, Target::None), ErrorKind::Input, &said);
    assert_error(ShapleyValueSampling::new(&one).attribute(&five, Target::None), ErrorKind::Input, &said);
    let several = from_rows(|rows: &[Vec<f64>]| -> Vec<Vec<f64>> { vec![rows[0].clone()] });
    assert_error(KernelShap::new(several).attribute(&five, 1), ErrorKind::Input, &said);
    // A service that refuses several rows is asked one by one.
    let single = from_rows(|rows: &[Vec<f64>]| match rows {
        [row] => Ok(vec![row[0]]),
        _ => Err("one row at a time"),
    });
    assert!(of(single).is_ok());
    let ragged =
        from_rows(|rows: &[Vec<f64>]| -> Vec<Vec<f64>> { rows.iter().map(|row| vec![0.; row[0] as usize]).collect() });
    assert_error(of(ragged), ErrorKind::Input, &["1 numbers for one row and 3 for another"]);
    let infinite = from_rows(|rows: &[Vec<f64>]| -> Vec<f64> { rows.iter().map(|row| 1. / row[0]).collect() });
    assert_error(of(infinite), ErrorKind::NotFinite, &["where some features are absent", "inf"]);
}
