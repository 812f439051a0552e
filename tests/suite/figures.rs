//! How results show themselves: self-contained, escaped, and saying what the reader must know.

use candle_explain::prelude::*;

fn attributions() -> Attributions {
    let net = Sequential::builder(2).linear("a", 3).tanh("b").linear("c", 2).build(Seed(3)).unwrap();
    let x = Tensor::new(&[[1f32, 2.], [3., 40.]], &Device::Cpu).unwrap();
    let inputs = Inputs::from(&x).with_names(["<b>first</b>", "second"]);
    IntegratedGradients::new(&net).n_steps(3).attribute(&inputs, 1).unwrap()
}

#[test]
fn html_is_escaped_and_without_scripts_and_style_sheets() {
    let html = attributions().html();
    assert!(html.contains("&lt;b&gt;first&lt;/b&gt;"));
    for forbidden in ["<b>first", "<script", "<style", "class=", "http:", "https:"] {
        assert!(!html.contains(forbidden), "{forbidden} in {html}");
    }
}

#[test]
fn a_poor_convergence_is_pointed_out() {
    let result = attributions();
    let largest = result.convergence_delta().unwrap().max_abs();
    assert!(largest > 0.01, "{largest}");
    assert!(result.html().contains("tolerance(1e-3)"));
    assert!(result.text().contains("3 steps for each example"));
}

#[test]
fn every_figure_has_html_and_text() {
    let result = attributions();
    let passengers = Titanic::offline().unwrap();
    let net = Titanic::network(Seed(1)).unwrap();
    let (train, test) = passengers.split(Split::Stratified { test: 0.3, seed: 42 }).unwrap();
    let history = Trainer::adam(0.1).epochs(3).test_on(&test).fit(&net, &train).unwrap();
    let mean = result.mean().unwrap();
    let chart = mean.bars(["one", "two"]).unwrap();
    let figures: [(&dyn Figure, &str); 8] = [
        (&result, "IntegratedGradients of input 0: 2 examples, target class 1"),
        (&passengers, "SYNTHETIC"),
        (&net, "sigmoid1"),
        (&train, "916 rows, 12 features"),
        (&test.features(), "embark_C"),
        (&history, "test"),
        (&mean, "second"),
        (&chart, "two"),
    ];
    for (figure, part) in figures {
        assert!(figure.text().contains(part), "\"{part}\" is not in {}", figure.text());
        assert!(figure.html().contains(part), "\"{part}\" is not in {}", figure.html());
    }
}

#[test]
fn several_figures_share_a_row_with_and_without_question_mark() {
    let mean = attributions().mean().unwrap();
    let row = row![mean.histogram(2), mean, mean.line().unwrap()].unwrap();
    assert_eq!(row.html().matches("<img").count(), 2);
    assert!(row![mean.histogram(2), mean.histogram(0)].is_err());
}

#[test]
fn what_has_no_scale_is_an_error() {
    let series = Series::new("x", vec![1., 2.]);
    let broken = Series::new("over", vec![f64::NAN, f64::NAN]);
    assert!(series.binned_scatter(&broken, 3).unwrap_err().to_string().contains("\"over\" cannot be drawn"));
    assert!(series.histogram(usize::MAX).is_err());
    assert!(Series::new("x", vec![f64::MAX, f64::MIN]).line().unwrap_err().to_string().contains("reach from"));
    assert!(broken.max_abs().is_nan());
}

#[test]
fn a_chart_is_saved_whole_or_not_at_all() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("charts");
    std::fs::create_dir_all(&folder).unwrap();
    let chart = attributions().mean().unwrap().histogram(4).unwrap();
    chart.save(folder.join("chart.svg")).unwrap();
    let svg = std::fs::read_to_string(folder.join("chart.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    assert!(chart.save(folder.join("no/such/chart.svg")).is_err());
    let names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["chart.svg"]);
}

#[test]
fn columns_come_by_name_and_by_position() {
    let result = attributions();
    assert_eq!(result.column("second").unwrap().values(), result.column(1).unwrap().values());
    let error = result.column("third").unwrap_err().to_string();
    assert_eq!(error, "there is no column \"third\"; there are: <b>first</b>, second");
}
