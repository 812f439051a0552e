//! Columns that a feature mask joins are one bar, line or row wherever attributions are shown.

use candle_explain::prelude::*;

use crate::pictures::seen;

/// A mask for each way of showing, over six columns: a number, a category of three, and two numbers that belong together.
const NAMES: [&str; 6] = ["age", "port_C", "port_Q", "port_S", "width", "height"];

fn mask() -> FeatureMask {
    FeatureMask::one_hot(["port_"]).with_group(["width", "height"])
}

fn rows() -> Inputs {
    let rows = [[0.5f64, 1., 0., 0., 2., 3.], [1.5, 0., 0., 1., 4., 5.], [2.5, 0., 1., 0., 6., 0.]];
    Inputs::from(Tensor::new(&rows, &Device::Cpu).unwrap()).with_names(NAMES)
}

fn weighted(x: &Tensor) -> candle_core::Result<Tensor> {
    x.broadcast_mul(&Tensor::new(&[1f64, 10., 20., 40., 100., 100.], x.device())?)?.sum(1)
}

/// What the model loses: of the port 10, 40 and 20, of the size 500, 900 and 600.
fn joined() -> Attributions {
    FeatureAblation::new(weighted).feature_mask(mask()).attribute(rows(), Target::None).unwrap()
}

#[test]
fn a_chart_has_one_bar_for_them() {
    let mean = joined().mean().unwrap();
    assert_eq!(mean.len(), 6, "each column keeps its number");
    let bars = mean.bars(NAMES).unwrap();
    let lines: Vec<String> = bars.text().lines().map(String::from).collect();
    assert_eq!(
        lines,
        ["mean attribution by FeatureAblation", "age: 1.5", "port_C, port_Q, port_S: 23.33", "width, height: 666.7"]
    );
    assert!(mean.histogram(4).unwrap().text().contains("3 values in 4 bins"), "a feature counts once");
}

#[test]
fn tables_have_one_row_for_them() {
    for text in [joined().text(), joined().mean().unwrap().text()] {
        assert!(text.contains("port_C, port_Q, port_S  ") && text.contains("width, height  "), "{text}");
        assert_eq!(text.lines().filter(|line| line.contains("port_")).count(), 1, "{text}");
    }
    assert_eq!(joined().column("port_Q").unwrap().name(), "attribution of port_C, port_Q, port_S");
}

#[test]
fn a_sum_has_the_number_of_a_feature_once() {
    let image = Tensor::ones((2, 1, 8, 8), DType::F64, &Device::Cpu).unwrap();
    let ablation = FeatureAblation::new(|x: &Tensor| x.sum((1, 2, 3))).feature_mask(FeatureMask::grid(4, 4));
    let text = ablation.attribute(&image, Target::None).unwrap().text();
    assert!(text.lines().any(|line| line.starts_with("input 0") && line.ends_with(" 64")), "{text}");
}

#[test]
fn a_beeswarm_has_one_line_for_them_without_colours() {
    let swarm = joined().beeswarm(rows()).unwrap();
    let text = swarm.text();
    assert!(text.contains("\nport_C, port_Q, port_S: mean |attribution| 23.33, from 10 to 40\n"), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains(": mean |attribution|")).count(), 3, "{text}");
    assert!(text.contains("no single value"), "{text}");
    seen(&swarm, "joined lines");
    assert_eq!(swarm.svg().unwrap().matches("<circle").count(), 9);
}

#[test]
fn a_dependence_has_the_columns_of_a_category_for_values() {
    for name in ["port_S", "port_C, port_Q, port_S"] {
        let dependence = joined().dependence(rows(), name).unwrap();
        let text = dependence.text();
        assert!(text.starts_with("Attribution of port_C, port_Q, port_S by its value\n"), "{text}");
        assert!(text.contains("\nport_C, port_Q, port_S, attributions from 10 to 40\n"), "{text}");
        let svg = dependence.svg().unwrap();
        assert!(NAMES[1..4].iter().all(|name| svg.contains(&format!(">{name}</text>"))), "{svg}");
        assert!(!text.contains("colour of its port_"), "{text}");
        seen(&dependence, name);
    }
    let error = joined().dependence(rows(), "width").unwrap_err().to_string();
    assert!(error.contains("the feature mask joins width, height, and example 0 has several"), "{error}");
}

#[test]
fn many_categories_are_drawn() {
    let names: Vec<String> = (0..60).map(|index| format!("of_a_long_name_{index}")).collect();
    let one_hot = (0..60).map(|row| (0..60).map(|column| f64::from(u8::from(row == column))).collect::<Vec<_>>());
    let rows = Tensor::from_vec(one_hot.collect::<Vec<_>>().concat(), (60, 60), &Device::Cpu).unwrap();
    let rows = Inputs::from(rows).with_names(&names);
    let ablation = FeatureAblation::new(|x: &Tensor| x.sum(1)).feature_mask(FeatureMask::one_hot(["of_"]));
    let result = ablation.attribute(&rows, Target::None).unwrap();
    seen(&result.dependence(&rows, "of_a_long_name_7").unwrap(), "sixty categories");
    seen(&result.beeswarm(&rows).unwrap(), "one line of sixty columns");
    let exact = ShapleyValues::new(|x: &Tensor| x.sum(1)).feature_mask(FeatureMask::one_hot(["of_"]));
    let result = exact.attribute(&rows, Target::None).unwrap();
    seen(&result.waterfall((&rows, 3)).unwrap(), "one bar of sixty columns");
}

#[test]
fn neurons_are_joined_as_columns_are() {
    let net = Titanic::pretrained().unwrap();
    let (_, test) = Titanic::offline().unwrap().split(Split::Tutorial).unwrap();
    let method = LayerFeatureAblation::new(&net, "sigmoid1").feature_mask(FeatureMask::groups([[0, 3]]));
    let result = method.attribute(&test.rows(&[0, 1]).unwrap(), 1).unwrap();
    assert!(result.text().contains("[0], [3]  "), "{}", result.text());
}

#[test]
fn what_is_joined_differently_in_each_example_gets_a_remark() {
    let ids = Tensor::new(&[[0i64, 0, 1, 1, 2, 2], [0, 1, 1, 2, 2, 2], [0, 1, 2, 3, 4, 5]], &Device::Cpu).unwrap();
    let ablation = FeatureAblation::new(weighted).feature_mask(&ids);
    let result = ablation.attribute(rows(), Target::None).unwrap();
    let mean = result.mean().unwrap();
    let shown = [
        result.text(),
        mean.text(),
        mean.bars(NAMES).unwrap().text(),
        result.beeswarm(rows()).unwrap().text(),
        result.dependence(rows(), "port_C").unwrap().text(),
    ];
    for text in shown {
        assert!(text.contains("differs between examples"), "{text}");
    }
}

#[test]
fn what_is_in_no_feature_stands_alone() {
    let ids = Tensor::new(&[[0i64, 0, 1, 1, -1, -1]], &Device::Cpu).unwrap();
    let result = FeatureAblation::new(weighted).feature_mask(&ids).attribute(rows(), Target::None).unwrap();
    let text = result.mean().unwrap().bars(NAMES).unwrap().text();
    assert!(text.contains("age, port_C: ") && text.contains("\nwidth: 0") && text.contains("\nheight: 0"), "{text}");
}
