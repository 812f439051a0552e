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

/// Every chart of these values.
fn charts(values: &[f64]) -> [Result<Chart>; 7] {
    let series = Series::new("x", values.to_vec());
    let places = Series::new("place", (0..values.len()).map(|place| place as f64).collect());
    let names = || (0..values.len()).map(|name| format!("name {name}"));
    [
        series.bars(names()),
        series.histogram(1),
        series.histogram(40),
        series.histogram(10_000),
        series.binned_scatter(&places, 7),
        places.binned_scatter(&series, 7),
        series.line(),
    ]
}

#[test]
fn charts_of_numbers_of_any_size_are_drawn_at_once() {
    let start = std::time::Instant::now();
    let groups: [&[f64]; 18] = [
        &[-8e307, 8e307],
        &[0., 1.7e308],
        &[1.7e308],
        &[1.7e308, 1.7e308, 1.6e308],
        &[f64::MAX, f64::MAX],
        &[f64::MIN, f64::MIN],
        &[-1.7e308, 0.],
        &[5e-324],
        &[5e-324, -5e-324, 0.],
        &[1e-310, 3e-310],
        &[1e17, 1e17 + 16.],
        &[1., 1. + f64::EPSILON],
        &[-1e300, 1e-300, 1.],
        &[0., 0., 0.],
        &[0.],
        &[-0., 1e-5],
        &[1e9, 1e9 + 1.],
        &[-3., 1e6, 12.5],
    ];
    for values in groups {
        for chart in charts(values) {
            let svg = chart.as_ref().unwrap().svg().unwrap();
            assert!(svg.len() < 3_000_000, "{values:?}: {} bytes", svg.len());
            for broken in ["NaN", "inf", "-2147483648", "2147483647"] {
                assert!(!svg.contains(broken), "{values:?}: {broken}");
            }
            let numbers = svg.split('"').skip(1).step_by(2).filter_map(|text| text.parse::<f64>().ok());
            numbers.for_each(|number| assert!((-200. ..=15_000.).contains(&number), "{values:?}: {number}"));
        }
    }
    let broken: [&[f64]; 5] = [&[f64::NAN], &[1., f64::INFINITY], &[f64::NEG_INFINITY, 1.], &[f64::MIN, f64::MAX], &[]];
    for values in broken {
        for chart in charts(values) {
            let error = chart.unwrap_err().to_string();
            assert!(error.contains("cannot be drawn") || error.contains("nothing to draw"), "{error}");
        }
    }
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn bars_of_huge_numbers_say_what_they_are() {
    let svg = Series::new("x", vec![-8e307, 8e307, 4e307]).bars(["a", "b", "c"]).unwrap().svg().unwrap();
    for label in ["-8.00e307", ">\n8.00e307", ">\n4.00e307", ">\n0"] {
        assert!(svg.contains(label), "{label}: {svg}");
    }
    // Where the bars begin and how long they are: the two large ones as long as each other, the third half of it.
    let attribute = |bar: &str, name: &str| -> f64 {
        bar.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    };
    let colours = ["#C85A0F", "#1F5FA5"];
    let bars: Vec<&str> =
        svg.split("<rect").filter(|rect| colours.iter().any(|colour| rect.contains(colour))).collect();
    let widths: Vec<f64> = bars.iter().map(|bar| attribute(bar, "width")).collect();
    assert!(
        widths.len() == 3 && (widths[0] - widths[1]).abs() <= 1. && (widths[2] - widths[1] / 2.).abs() <= 1.,
        "{widths:?}"
    );
    assert!((attribute(bars[0], "x") + widths[0] - attribute(bars[1], "x")).abs() <= 1.);
}

#[test]
fn the_mean_of_huge_numbers_is_drawn() {
    let values = Series::new("x", vec![1.7e308, 1.7e308, 1.6e308]);
    let over = Series::new("over", vec![1.7e308; 3]);
    let text = values.binned_scatter(&over, 3).unwrap().text();
    assert!(text.contains("at 1.70e308: 1.67e308 (3 examples)"), "{text}");
}

#[test]
fn many_values_make_a_picture_of_bounded_size() {
    let values: Vec<f64> =
        (0..200_000).map(|index| f64::from(index % 1000) * if index % 3 == 0 { -1. } else { 1. }).collect();
    let series = Series::new("x", values);
    let bars = series.bars((0..200_000).map(|index| format!("bar {index}"))).unwrap();
    let said = "500 of 200000 bars: those farthest from 0";
    for form in [bars.svg().unwrap(), bars.html(), bars.text()] {
        assert!(form.len() < 1_500_000 && form.contains(said), "{} bytes", form.len());
    }
    assert!(bars.text().contains("bar 999: -999") && !bars.text().contains("bar 5:"));
    let line = series.line().unwrap();
    assert!(line.svg().unwrap().len() < 100_000, "{} bytes", line.svg().unwrap().len());
    assert!(line.text().contains("200000 steps"));
    assert!(Series::new("x", vec![1.; 500]).bars(vec!["a"; 500]).unwrap().text().lines().count() == 501);
}

#[test]
fn names_in_charts_are_whole_or_cut_with_a_sign() {
    let names = [
        "a\u{1}b\u{202e}",
        "tên rất dài của một đặc trưng mà không ai đọc hết được",
        "这个产品质量很好但是物流太慢了客服也不理人",
    ];
    let chart = Series::new("x\u{7}", vec![1., 2., 3.]).bars(names).unwrap().axes("feature\u{8}", "y");
    let svg = chart.svg().unwrap();
    assert!(
        !svg.contains(['\u{1}', '\u{202e}', '\u{7}', '\u{8}'])
            && svg.contains("a\u{fffd}b\u{fffd}")
            && svg.contains("feature")
    );
    assert!(
        svg.contains("tên rất dài")
            && !svg.contains(names[1])
            && !svg.contains(names[2])
            && svg.matches('…').count() == 2
    );
    assert!(chart.text().contains(names[1]));
}
