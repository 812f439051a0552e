//! Errors and remarks say what the reason is.

use std::sync::Arc;

use candle_explain::prelude::*;

fn rows(count: usize) -> Tensor {
    let values: Vec<f64> = (0..count * 3).map(|i| (1.3 * i as f64).sin()).collect();
    Tensor::from_vec(values, (count, 3), &Device::Cpu).unwrap()
}

/// Two cells, the second above the first, or beside it.
fn cells(above: bool) -> Arc<dyn Model> {
    from_fn(move |input, layers| {
        let first = layers.visit("cell.1", input.first().tanh()?)?;
        let below = if above { first.clone() } else { input.first().clone() };
        let second = layers.visit("cell.3", below.affine(2., 0.)?)?;
        let sum = if above { second } else { (first + second)? };
        Ok(sum.sqr()?.sum(1)?)
    })
}

#[test]
fn a_layer_below_one_that_is_put_in_its_place() {
    let layers = ["cell.1", "cell.3"];
    let error = LayerIntegratedGradients::new(cells(true), layers).attribute(rows(1), Target::None).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("cell.1") && error.contains("cell.3"), "{error}");
    assert!(error.contains("in its place") && !error.contains("no backward"), "{error}");
    let beside = LayerIntegratedGradients::new(cells(false), layers).attribute(rows(1), Target::None);
    assert!(beside.unwrap().convergence_delta().unwrap().max_abs() < 1e-9);
}

#[test]
fn outputs_without_a_number() {
    let nothing = |x: &Tensor| x.narrow(1, 0, 0);
    for target in [Target::Class(0), Target::None, Target::Predicted] {
        let error = Saliency::new(nothing).attribute(rows(2), target).unwrap_err().to_string();
        assert!(error.contains("[2, 0]") && error.contains("no number in it"), "{error}");
    }
}

#[test]
fn a_target_where_there_is_one_number_for_each_example() {
    let sum = |x: &Tensor| x.sum(1);
    for target in [Target::Class(0), Target::PerExample(vec![0, 0]), Target::Index(vec![0]), Target::Predicted] {
        let error = Saliency::new(sum).attribute(rows(2), target.clone()).unwrap_err().to_string();
        assert!(error.contains("one number per example") && error.contains("Target::None"), "{error}");
        let error = IntegratedGradients::new(sum).attribute(rows(2), target).unwrap_err().to_string();
        assert!(error.contains("one number per example") && error.contains("Target::None"), "{error}");
    }
}

#[test]
fn one_number_for_several_examples() {
    let mean = |x: &Tensor| x.sqr()?.mean_all();
    let results = [
        Saliency::new(mean).attribute(rows(3), Target::None),
        IntegratedGradients::new(mean).attribute(rows(3), Target::None),
    ];
    for result in results {
        let remarks = result.unwrap().remarks();
        assert!(remarks.iter().any(|remark| remark.contains("one example at a time")), "{remarks:?}");
    }
    let one = Saliency::new(mean).attribute(rows(1), Target::None).unwrap();
    assert!(one.remarks().is_empty(), "{:?}", one.remarks());
}

#[test]
fn a_gradient_without_a_value_at_an_end_of_the_path() {
    let norm = from_fn(|input, layers| {
        let hidden = layers.visit("hidden", input.first().affine(1., 0.)?)?;
        Ok(hidden.sqr()?.sum(1)?.sqrt()?)
    });
    let x = Tensor::new(&[[4f32, 3.]], &Device::Cpu).unwrap();
    let method = NeuronConductance::new(norm, "hidden", 0);
    let error = method.attribute(&x, Target::None).unwrap_err().to_string();
    assert!(error.contains("evaluates the ends of the path (GaussLegendre"), "{error}");
    let result = method.quadrature(Quadrature::GaussLegendre).attribute(&x, Target::None).unwrap();
    let found = result.tensor().to_vec2::<f32>().unwrap()[0].clone();
    assert!((found[0] - 3.2).abs() < 1e-4 && found[1].abs() < 1e-6, "{found:?}");
}

#[test]
fn number_types_that_candle_converts_to_little() {
    let x = rows(1).to_dtype(DType::F8E4M3).unwrap();
    let error = Saliency::new(|x: &Tensor| x.to_dtype(DType::F32)?.sum(1)).attribute(&x, Target::None);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("input 0 is F8E4M3") && error.contains("to_dtype"), "{error}");
}

#[test]
fn what_a_baseline_brings_about_is_told_of_it() {
    let table = Tensor::zeros((10, 2), DType::F32, &Device::Cpu).unwrap();
    let embedded = from_fn(move |input, layers| {
        let ids = input.first();
        let embedding = table.embedding(&ids.flatten_all()?)?.reshape((ids.dims()[0], (), 2))?;
        Ok(layers.visit("embedding", embedding)?.sum((1, 2))?)
    });
    let ids = Tensor::new(&[[1u32, 2]], &Device::Cpu).unwrap();
    let method = LayerIntegratedGradients::new(embedded, "embedding").baseline(300.);
    let error = method.attribute(&ids, Target::None).unwrap_err().to_string();
    assert!(error.contains("at the baseline"), "{error}");
}

#[test]
fn inputs_without_a_tensor() {
    let none = Inputs::new([]);
    assert_eq!(none.first().elem_count(), 0);
    let error = Saliency::new(|x: &Tensor| x.sum(1)).attribute(&none, Target::None).unwrap_err().to_string();
    assert!(error.contains("there are no inputs"), "{error}");
}

#[test]
fn ids_that_are_compared_with_an_id_that_nobody_chose() {
    let table = Tensor::arange(0f32, 8., &Device::Cpu).unwrap().unsqueeze(1).unwrap();
    let embedded = from_fn(move |input, layers| {
        let ids = input.first();
        let embedding = table.embedding(&ids.flatten_all()?)?.reshape((ids.dims()[0], ids.dims()[1], 1))?;
        Ok(layers.visit("embedding", embedding)?.sum((1, 2))?)
    });
    let ids = Tensor::new(&[[1u32, 2, 5]], &Device::Cpu).unwrap();
    let method = LayerIntegratedGradients::new(&embedded, "embedding");
    let remarks =
        |method: &LayerIntegratedGradients| method.attribute(&ids, Target::None).unwrap().remarks().join("; ");
    assert!(remarks(&method).contains("no baseline was given"), "{}", remarks(&method));
    assert!(remarks(&method).contains("text.reference()"));
    assert!(!remarks(&method.baseline(1)).contains("no baseline"));
    let floats = LayerIntegratedGradients::new(cells(true), "cell.1").attribute(rows(2), Target::None).unwrap();
    assert!(!floats.remarks().join("; ").contains("no baseline"));
}
