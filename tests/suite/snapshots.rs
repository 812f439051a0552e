//! Every figure in every form, as it was when someone last looked at it.
//!
//! `INSTA_UPDATE=always cargo test --release -p candle-explain --test suite snapshots` writes them anew: look at what
//! changed before it is committed.

use candle_explain::prelude::*;

use crate::themes::draws_the_same_in_both;

/// What differs from run to run: times, and deltas that are nothing but rounding.
const UNSTEADY: [(&str, &str); 3] = [
    (r"in \d+\.\d+ s", "in [time]"),
    (r#"textLength="[\d.]+"([^>]*>\n)-?\d(\.\d+)?e-\d+"#, "textLength=\"[its]\"$1[tiny]"),
    (r"-?\d(\.\d+)?e-\d+", "[tiny]"),
];

/// Holds a figure's HTML, text and picture, light and dark, against `tests/suite/snapshots/`.
fn hold<F: Figure + Clone>(name: &str, figure: &F) {
    draws_the_same_in_both(figure);
    let dark = figure.theme(Theme::Dark);
    let [html, dark_html] = [figure.html(), dark.html()].map(|html| broken_into_lines(&html));
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, filters => UNSTEADY }, {
        insta::assert_snapshot!(format!("{name}.html"), html);
        insta::assert_snapshot!(format!("{name}.txt"), figure.text());
        // Nothing but a picture, which is held by itself, is the same in both.
        if dark_html != html {
            insta::assert_snapshot!(format!("{name}.dark.html"), dark_html);
        }
        for (form, svg) in [("svg", figure.svg()), ("dark.svg", dark.svg())] {
            if let Some(svg) = svg {
                insta::assert_snapshot!(format!("{name}.{form}"), broken_into_lines(&svg));
            }
        }
    });
}

/// An element a line, so that a difference shows where it is; a picture within is held by itself.
fn broken_into_lines(markup: &str) -> String {
    let mut lines = String::new();
    for part in markup.split_inclusive('>') {
        match part.split_once("src=\"data:image/svg+xml") {
            Some((before, rest)) => {
                let after = rest.split_once('"').map_or("", |(_, after)| after);
                lines += &format!("{before}src=\"(the picture)\"{after}\n");
            }
            None => lines += &format!("{part}\n"),
        }
    }
    lines
}

fn series() -> Series {
    let values = vec![0.5, -0.25, 0.125, 0.75, -0.5, 0., 1., 0.375];
    Series::new("effect", values).with_labels(["age", "fare", "sibsp", "parch", "female", "male", "C", "<S>"]).unwrap()
}

/// Attributions whose numbers are known: Integrated Gradients of x² + 3x against 0 is x² + 3x.
fn attributions(target: impl Into<Target>) -> Attributions {
    let square = |x: &Tensor| x.sqr()? + (x * 3.)?;
    let x = Tensor::new(&[[1f64, -2., 0.5], [0.25, 3., -1.]], &Device::Cpu).unwrap();
    let inputs = Inputs::from(&x).with_names(["age", "fare", "<b>parch</b>"]);
    IntegratedGradients::new(square).n_steps(4).attribute(&inputs, target).unwrap()
}

#[test]
fn charts() {
    let series = series();
    hold("bars", &series.bars(series.labels().iter().cloned()).unwrap());
    hold("histogram", &series.histogram(4).unwrap());
    hold("scatter", &series.binned_scatter(&Series::new("age", (0..8).map(f64::from).collect()), 3).unwrap());
    hold("line", &series.line().unwrap());
    hold("row", &row![series.line(), series.histogram(2)].unwrap());
    hold("series", &series);
}

#[test]
fn results() {
    hold("attributions", &attributions(Target::PerExample(vec![0, 2])));
    hold("attributions_column", &attributions(0).column("fare").unwrap());
    let net = Sequential::builder([1, 6, 6])
        .conv2d("conv", 2, 3)
        .relu("relu")
        .max_pool2d("pool", 2)
        .flatten("flatten")
        .linear("linear", 2)
        .softmax("softmax")
        .build(Seed(3))
        .unwrap();
    hold("sequential", &net);
    let x = Tensor::ones((1, 1, 6, 6), DType::F32, &Device::Cpu).unwrap();
    hold("layer_attributions", &LayerActivation::new(&net, "pool").attribute(&x).unwrap());
}

#[test]
fn pictures() {
    let (_, test) = Titanic::offline().unwrap().split(Split::Tutorial).unwrap();
    let test = test.rows(&(0..40).collect::<Vec<_>>()).unwrap();
    let net = Titanic::pretrained().unwrap();
    let importance = IntegratedGradients::new(net).attribute(&test, 1).unwrap();
    hold("waterfall", &importance.waterfall((&test, 0)).unwrap());
    hold("beeswarm", &importance.beeswarm(&test).unwrap().most(5).unwrap());
    hold("dependence", &importance.dependence(&test, "age").unwrap());
    hold("force", &importance.force((&test, 0)).unwrap());
}

#[test]
fn tables() {
    let passengers = Titanic::offline().unwrap();
    hold("passengers", &passengers);
    let (train, test) = passengers.split(Split::Stratified { test: 0.3, seed: 42 }).unwrap();
    hold("dataset", &train);
    hold("inputs", &test.features());
    let net = Titanic::network(Seed(1)).unwrap();
    hold("history", &Trainer::adam(0.1).epochs(3).test_on(&test).fit(&net, &train).unwrap());
}

#[test]
fn texts() {
    let model = TextClassifier::from_pretrained("data/sentiment-vi").unwrap();
    hold("classifier", &model);
    let text = "Sản phẩm này rất tốt, nhưng giao hàng quá chậm";
    hold("text_input", &model.tokenize(text).unwrap());
    hold("prediction", &model.predict_text(text).unwrap());
    let explain = Explainer::new(&model).n_steps(20);
    let words = explain.visualize(text).unwrap();
    hold("words", &words);
    hold("words_green_red", &heatmap![words].unwrap().palette(Palette::GreenRed));
    hold("force_words", &words.force().unwrap());
    hold("pieces", &explain.pieces(true).visualize("tốt <b>đẹp</b>").unwrap());
    hold("layer_map", &explain.layers("Áo đẹp").unwrap().layer_map().unwrap());
    let comments = Comments::load("data/comments.csv").unwrap().first(6);
    hold("comments", &comments);
    let batch = explain.batch(&comments).unwrap();
    hold("batch", &batch);
    let strongest = batch.strongest_words(5).unwrap();
    hold("strongest_words", &strongest);
    hold("strongest_words_bars", &strongest.bars().unwrap());
}
