//! Pictures of single predictions and of whole tables: what they show, what they refuse, and that all of it is seen.

use candle_explain::ErrorKind;
use candle_explain::prelude::*;

/// Attributions that are the inputs themselves: the model adds them up, against a baseline of zeros.
pub fn attributions(rows: &[Vec<f64>], names: &[&str]) -> (Inputs, Attributions) {
    let width = rows[0].len();
    let x = Tensor::from_vec(rows.concat(), (rows.len(), width), &Device::Cpu).unwrap();
    let inputs = Inputs::from(x).with_names(names.iter().copied());
    let sum = IntegratedGradients::new(|x: &Tensor| x.sum(1)).n_steps(1).gradient_check(Check::Off);
    (inputs.clone(), sum.attribute(&inputs, Target::None).unwrap())
}

fn three() -> (Inputs, Attributions) {
    attributions(&[vec![0.5, -0.25, 0.125], vec![1., 2., -4.], vec![0.1, 0.2, 0.3]], &["age", "<fare>", "parch"])
}

/// The Titanic's test rows under the shipped network.
fn titanic() -> (Dataset, Attributions) {
    let (_, test) = Titanic::offline().unwrap().split(Split::Tutorial).unwrap();
    let method = IntegratedGradients::new(Titanic::pretrained().unwrap()).tolerance(1e-3);
    let importance = method.attribute(&test, 1).unwrap();
    (test, importance)
}

pub fn words(text: &str) -> TokenAttributions {
    Explainer::from_pretrained("data/sentiment-vi").unwrap().n_steps(20).visualize(text).unwrap()
}

/// The numbers of an attribute wherever it stands in a picture.
fn numbers(svg: &str, attribute: &str) -> Vec<f64> {
    let mark = format!(" {attribute}=\"");
    let parts = svg.split(&mark).skip(1);
    parts.filter_map(|part| part.split('"').next().unwrap().parse().ok()).collect()
}

/// That a picture is well-formed enough to be seen: numbers are numbers, and marks lie on it.
pub fn seen(picture: &dyn Figure, what: &str) {
    let svg = picture.svg().unwrap();
    for broken in ["NaN", "inf"] {
        assert!(!svg.contains(broken), "{what}: {broken}");
    }
    assert!(svg.len() < 1_500_000, "{what}: {} bytes", svg.len());
    let (width, height) = (numbers(&svg, "width")[0], numbers(&svg, "height")[0]);
    for (attributes, most) in [(["x", "x1", "x2", "cx"], width), (["y", "y1", "y2", "cy"], height)] {
        for attribute in attributes {
            let outside = numbers(&svg, attribute).into_iter().find(|place| !(0. ..=most).contains(place));
            assert!(outside.is_none(), "{what}: {attribute} = {outside:?} of {most}");
        }
    }
    let corners = svg.split(" points=\"").skip(1).flat_map(|part| part.split('"').next().unwrap().split(' '));
    for corner in corners {
        let (x, y) = corner.split_once(',').unwrap();
        let [x, y]: [f64; 2] = [x, y].map(|number| number.parse().unwrap());
        assert!((0. ..=width).contains(&x) && (0. ..=height).contains(&y), "{what}: {corner}");
    }
}

#[test]
fn a_waterfall_leads_from_the_base_value_to_the_output() {
    let (inputs, result) = three();
    let text = result.waterfall((&inputs, 1)).unwrap().text();
    let lines: Vec<&str> = text.lines().take(6).collect();
    assert_eq!(
        lines,
        [
            "From the base value to the output of example 1",
            "output -1",
            "parch = -4: -4",
            "<fare> = 2: +2",
            "age = 1: +1",
            "base value 0"
        ]
    );
    let bare = result.waterfall(1).unwrap();
    assert!(bare.text().contains("parch: -4") && !bare.svg().unwrap().contains("<fare>"));
    let few = result.waterfall(1).unwrap().most(2).unwrap().text();
    assert!(few.contains("parch: -4\n2 others: +3\n"), "{few}");
}

#[test]
fn the_base_value_is_the_output_for_the_baseline() {
    let (test, importance) = titanic();
    let zeros = Tensor::zeros((1, 12), DType::F32, &Device::Cpu).unwrap();
    let output = Titanic::pretrained().unwrap().predict(zeros).unwrap().to_vec2::<f32>().unwrap()[0][1];
    for text in [importance.waterfall((&test, 7)).unwrap().text(), importance.force((&test, 7)).unwrap().text()] {
        let line = text.lines().find_map(|line| line.strip_prefix("base value ")).unwrap();
        let base: f64 = line.split(',').next().unwrap().parse().unwrap();
        assert!((base - f64::from(output)).abs() < 2e-3, "{base} and {output}");
    }
}

#[test]
fn columns_of_one_feature_are_one_bar() {
    let net = Titanic::pretrained().unwrap();
    let (test, _) = titanic();
    let average = test.features().first().mean_keepdim(0).unwrap();
    let output = f64::from(net.predict(&average).unwrap().to_vec2::<f32>().unwrap()[0][1]);
    let exact = ShapleyValues::new(&net).baseline(&average).feature_mask(Titanic::categories());
    let result = exact.attribute(test.features(), 1).unwrap();
    for example in [0, 7] {
        for text in [result.waterfall((&test, example)).unwrap().text(), result.force((&test, example)).unwrap().text()]
        {
            let line = text.lines().find_map(|line| line.strip_prefix("base value ")).unwrap();
            let base: f64 = line.split(',').next().unwrap().parse().unwrap();
            assert!((base - output).abs() < 2e-3, "{base} and {output}");
        }
        let text = result.waterfall((&test, example)).unwrap().most(20).unwrap().text();
        let bars: Vec<&str> = text.lines().filter(|line| line.contains(" = ")).collect();
        assert_eq!(bars.len(), 7, "{text}");
        for category in ["male = 1", "embark_", "class_"] {
            assert_eq!(bars.iter().filter(|bar| bar.contains(category)).count(), 1, "{text}");
        }
        let named = result.waterfall(example).unwrap().most(20).unwrap().text();
        assert!(named.contains("female, male: ") && named.contains("class_1, class_2, class_3: "), "{named}");
    }
}

#[test]
fn what_does_not_add_up_has_no_base_value() {
    let net = Titanic::pretrained().unwrap();
    let (test, _) = titanic();
    let rows = test.rows(&[0, 1]).unwrap();
    let saliency = Saliency::new(&net).attribute(&rows, 1).unwrap();
    let neuron = NeuronConductance::new(&net, "sigmoid1", 0).attribute(&rows, 1).unwrap();
    for (result, part) in [(saliency, "Saliency do not add up"), (neuron, "NeuronConductance")] {
        for error in [result.waterfall(0).unwrap_err(), result.force(0).unwrap_err()] {
            assert!(error.to_string().contains(part), "{error}");
        }
        assert!(result.beeswarm(&rows).is_ok() && result.dependence(&rows, "age").is_ok());
    }
}

#[test]
fn the_parts_of_a_layer_add_up_too() {
    let (test, _) = titanic();
    let method = LayerConductance::new(Titanic::pretrained().unwrap(), "sigmoid1");
    let result = method.attribute(&test.rows(&[0, 1]).unwrap(), 1).unwrap();
    let text = result.waterfall(0).unwrap().text();
    assert!(text.contains("[0]: ") || text.contains("[1]: "), "{text}");
    seen(&result.force(0).unwrap(), "neurons");
}

#[test]
fn what_does_not_fit_is_an_error() {
    let (inputs, result) = three();
    let says = |result: Result<Waterfall>, part: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    says(result.waterfall(3), "there is no example 3: there are 3");
    says(result.waterfall(0).unwrap().most(1), "most is 1: expected at least 2");
    let narrow = Tensor::zeros((3, 2), DType::F64, &Device::Cpu).unwrap();
    says(result.waterfall((&narrow, 0)), "values have the shape [3, 2] and the attributions [3, 3]");
    let error = result.dependence(&inputs, "fare").unwrap_err().to_string();
    assert_eq!(error, "there is no feature \"fare\"; there are: age, <fare>, parch");
    assert!(result.dependence(&inputs, "age").unwrap().coloured_by("x").is_err());
    assert!(result.beeswarm(&inputs).unwrap().most(0).is_err());
    let broken = Tensor::new(&[[0., f64::NAN, 0.], [0.; 3], [0.; 3]], &Device::Cpu).unwrap();
    for error in [
        result.waterfall((&broken, 1)).unwrap_err(),
        result.beeswarm(&broken).unwrap_err(),
        result.dependence(&broken, "age").unwrap_err(),
        result.force((&broken, 1)).unwrap_err(),
    ] {
        let expected = "the value of \"<fare>\" in example 0 is NaN: it cannot be drawn";
        assert_eq!((error.to_string().as_str(), error.kind()), (expected, ErrorKind::NotFinite));
    }
    let image = Tensor::zeros((2, 1, 3, 3), DType::F64, &Device::Cpu).unwrap();
    let sum = |x: &Tensor| x.flatten_from(1)?.sum(1);
    let result = IntegratedGradients::new(sum).attribute(&image, Target::None).unwrap();
    says(result.waterfall(0), "needs one tensor [batch, features]");
}

#[test]
fn the_features_that_count_most_stand_on_top() {
    let (inputs, result) = three();
    let swarm = result.beeswarm(&inputs).unwrap();
    let text = swarm.text();
    let at = |name: &str| text.find(name).unwrap();
    assert!(at("parch: mean |attribution| 1.475") < at("<fare>: ") && at("<fare>: ") < at("age: "), "{text}");
    assert_eq!(swarm.svg().unwrap().matches("<circle").count(), 9);
    let few = swarm.most(2).unwrap();
    assert!(few.text().contains("sum of 2 others: "), "{}", few.text());
}

#[test]
fn no_example_hides_another() {
    let (test, importance) = titanic();
    let svg = importance.beeswarm(&test).unwrap().svg().unwrap();
    let circles: Vec<&str> = svg.split("<circle").skip(1).collect();
    assert!(circles.len() > 1000, "{}", circles.len());
    let read = |circle: &str, name: &str| numbers(circle, name)[0];
    let mut dots: Vec<(f64, f64)> = circles.iter().map(|circle| (read(circle, "cy"), read(circle, "cx"))).collect();
    let radius = read(circles[0], "r");
    dots.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    for pair in dots.windows(2) {
        let apart = (pair[0].0 - pair[1].0).hypot(pair[0].1 - pair[1].1);
        assert!(apart >= 2. * radius - 0.1, "{pair:?}");
    }
    assert!(svg.contains(">+"));
}

#[test]
fn the_second_feature_is_the_one_that_interacts_or_the_one_that_is_asked_for() {
    let x: Vec<f64> =
        (0..300).flat_map(|row| [83, 31, 59].map(|step| (row * step % 307) as f64 / 153.5 - 1.)).collect();
    let inputs = Inputs::from(Tensor::from_vec(x, (300, 3), &Device::Cpu).unwrap()).with_names(["a", "b", "c"]);
    let product =
        |x: &Tensor| (x.narrow(1, 0, 1)? * x.narrow(1, 2, 1)?)?.squeeze(1)? + x.narrow(1, 1, 1)?.squeeze(1)?;
    let result = IntegratedGradients::new(product).attribute(&inputs, Target::None).unwrap();
    let picture = result.dependence(&inputs, "a").unwrap();
    assert!(picture.text().contains("in the colour of its c: of all features"), "{}", picture.text());
    assert!(picture.coloured_by("b").unwrap().text().contains("in the colour of its b."));
    let (inputs, result) = attributions(&[vec![1.], vec![2.]], &["alone"]);
    assert!(result.dependence(&inputs, "alone").unwrap().text().contains("No other feature"));
}

#[test]
fn numbers_of_any_size_are_drawn() {
    let groups: [&[[f64; 3]]; 9] = [
        &[[0., 0., 0.]],
        &[[0., 0., 0.], [0., 0., 0.]],
        &[[1e300, -1e300, 5e299], [1., 2., 3.]],
        &[[5e-324, -5e-324, 1e-310]],
        &[[1e17, 1., -1e17], [0., 1e-9, 3.]],
        &[[-1., -2., -3.]],
        &[[1., 1e-12, -1e-12]],
        &[[3., 3., 3.], [3., 3., 3.], [3., 3., 3.]],
        &[[-0.001, 0.002, 0.0005]],
    ];
    for group in groups {
        let rows: Vec<Vec<f64>> = group.iter().map(|row| row.to_vec()).collect();
        let (inputs, result) = attributions(&rows, &["a", "b", "c"]);
        seen(&result.waterfall((&inputs, 0)).unwrap(), &format!("waterfall of {group:?}"));
        seen(&result.beeswarm(&inputs).unwrap(), &format!("beeswarm of {group:?}"));
        seen(&result.dependence(&inputs, "b").unwrap(), &format!("dependence of {group:?}"));
        seen(&result.force((&inputs, 0)).unwrap(), &format!("force of {group:?}"));
    }
    let (_, result) = attributions(&[vec![1.7e308, -1.7e308, 0.]], &["a", "b", "c"]);
    assert!(result.force(0).unwrap_err().to_string().contains("reach from"));
}

#[test]
fn many_features_and_examples_make_pictures_of_bounded_size() {
    let row = |row: usize| (0..400).map(|column| ((row * 31 + column * 17) % 101) as f64 - 50.).collect::<Vec<f64>>();
    let rows: Vec<Vec<f64>> = (0..3000).map(row).collect();
    let (inputs, result) = attributions(&rows, &[]);
    let swarm = result.beeswarm(&inputs).unwrap();
    seen(&swarm, "beeswarm");
    assert!(swarm.text().contains("sum of 381 others") && swarm.text().contains("1000 of 3000 examples"));
    let waterfall = result.waterfall(0).unwrap();
    seen(&waterfall, "waterfall");
    assert!(waterfall.text().contains("391 others: "));
    seen(&result.force(0).unwrap(), "force");
}

#[test]
fn long_names_are_cut_and_all_are_escaped() {
    let long = "tên rất dài của một đặc trưng mà không ai đọc hết được trong một hình nhỏ";
    let (inputs, result) =
        attributions(&[vec![1., -2., 0.5], vec![2., 1., 0.]], &[long, "<script>\u{202e}", "数量".repeat(30).as_str()]);
    let figures: [Box<dyn Figure>; 4] = [
        Box::new(result.waterfall((&inputs, 0)).unwrap()),
        Box::new(result.beeswarm(&inputs).unwrap()),
        Box::new(result.dependence(&inputs, long).unwrap().coloured_by("<script>\u{202e}").unwrap()),
        Box::new(result.force((&inputs, 0)).unwrap()),
    ];
    for figure in figures {
        seen(&*figure, "long names");
        let svg = figure.svg().unwrap();
        assert!(
            !svg.contains("<script>")
                && !svg.contains('\u{202e}')
                && svg.contains('…')
                && !figure.html().contains("<script>")
        );
        assert!(figure.text().contains(long));
    }
}

#[test]
fn long_names_that_differ_at_their_end_are_told_apart() {
    let names: Vec<String> =
        (1..=3).map(|number| format!("a rather long feature name with the number {number}")).collect();
    let short: Vec<&str> = names.iter().map(String::as_str).collect();
    let (inputs, result) = attributions(&[vec![1., -2., 1.5], vec![2., 1., 0.]], &short);
    let bars = result.mean().unwrap().bars(names.clone()).unwrap();
    // Of bars the names are glyphs' texts in the same way.
    for figure in [
        result.waterfall((&inputs, 0)).unwrap().svg().unwrap(),
        result.beeswarm(&inputs).unwrap().svg().unwrap(),
        result.force((&inputs, 0)).unwrap().svg().unwrap(),
        bars.svg().unwrap(),
    ] {
        let texts = figure.split("<text").skip(1);
        let labels: Vec<&str> =
            texts.filter_map(|text| text.split(['>', '<']).map(str::trim).find(|part| part.contains('…'))).collect();
        assert!(labels.len() >= 2, "{labels:?}");
        for (index, label) in labels.iter().enumerate() {
            assert!(label.starts_with("a r") && label.ends_with(|end: char| end.is_ascii_digit()), "{labels:?}");
            assert!(!labels[..index].contains(label), "{labels:?}");
        }
    }
}

#[test]
fn the_meaning_of_the_colours_has_room_beside_one_feature() {
    let (inputs, result) = attributions(&[vec![1.], vec![2.]], &["age"]);
    let svg = result.beeswarm(&inputs).unwrap().svg().unwrap();
    let height = |text: &str| {
        let before = svg.split(&format!(">{text}<")).next().unwrap();
        let tag = before.rsplit("<text").next().unwrap().to_string();
        match tag.split_once("translate(") {
            Some((_, place)) => place.split([' ', ')']).nth(1).unwrap().parse::<f64>().unwrap(),
            None => tag.split("y=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap(),
        }
    };
    let (high, low, middle) = (height("high"), height("low"), height("the feature&#39;s value"));
    // The text is about 110 pixels long.
    assert!(middle - 55. > high && middle + 55. < low, "{high}, {middle}, {low}");
}

#[test]
fn the_forces_of_words_are_those_before_they_were_normalized() {
    let words = words("Sản phẩm này rất tốt, nhưng giao hàng quá chậm");
    let text = words.force().unwrap().text();
    let line = text.lines().nth(1).unwrap();
    let number = |name: &str| -> f64 { line.split(name).nth(1).unwrap().split(',').next().unwrap().parse().unwrap() };
    let pushes = text.lines().skip(2).map_while(|line| line.rsplit_once(": ")?.1.parse::<f64>().ok());
    let sum: f64 = pushes.sum();
    assert!((number("base value ") + sum - number("output ")).abs() < 5e-3, "{text}");
    assert!(!text.contains("divided by their norm"));
    let html = words.force().unwrap().html();
    assert!(html.contains("tốt") && html.contains("position:absolute") && !html.contains("<img"));
}

#[test]
fn words_in_a_bar_are_escaped_and_keep_their_direction() {
    let html = words("المنتج رائع! <script>alert(1)</script>").force().unwrap();
    for form in [html.html(), html.svg().unwrap()] {
        assert!(!form.contains("<script") && form.contains("&lt;"), "{form}");
    }
    assert!(html.html().contains(" dir=\"rtl\""));
    let two = words("tốt").with(&words("chậm"));
    assert!(two.force().unwrap_err().to_string().contains("only(0)"));
}

#[test]
fn pictures_are_the_same_each_time() {
    let (test, importance) = titanic();
    let draw = || {
        importance.beeswarm(&test).unwrap().svg().unwrap()
            + &importance.dependence(&test, "age").unwrap().svg().unwrap()
    };
    assert_eq!(draw(), draw());
}
