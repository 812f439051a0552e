//! Light and dark figures.

use candle_explain::prelude::*;
use candle_explain::render::page_of;
use proptest::prelude::*;

use crate::pictures::{attributions, words};

/// Markup without its colours, and the colours.
fn parted(markup: &str) -> (String, Vec<String>) {
    // An image carries its picture with escaped signs.
    let markup = markup.replace("%23", "#");
    let mut parts = markup.split('#');
    let mut bare = parts.next().unwrap().to_string();
    let mut colours = Vec::new();
    for part in parts {
        let is_colour = part.len() >= 6 && part.bytes().take(6).all(|digit| digit.is_ascii_hexdigit());
        let (colour, rest) = part.split_at(if is_colour { 6 } else { 0 });
        colours.extend(is_colour.then(|| colour.to_lowercase()));
        bare += &format!("#{rest}");
    }
    (bare, colours)
}

/// That a figure's two themes differ in nothing but colours, and share none of them.
pub fn draws_the_same_in_both<F: Figure + Clone>(figure: &F) {
    let [light, dark] = [Theme::Light, Theme::Dark].map(|theme| figure.theme(theme));
    assert_eq!(light.text(), dark.text());
    let forms = [(Some(light.html()), Some(dark.html())), (light.svg(), dark.svg())];
    for (light, dark) in forms.into_iter().filter_map(|(light, dark)| light.zip(dark)) {
        let ((light, light_colours), (dark, dark_colours)) = (parted(&light), parted(&dark));
        assert_eq!(light, dark);
        assert_eq!(light_colours.len(), dark_colours.len());
        let shared = light_colours.iter().find(|colour| dark_colours.contains(colour));
        assert!(shared.is_none(), "{shared:?} in both themes of\n{light}");
        for name in ["\"white\"", "\"black\"", "background:white", "currentColor"] {
            assert!(!light.contains(name), "{name} in {light}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_themes_draw_the_same_marks(
        rows in proptest::collection::vec(proptest::collection::vec(-1e3f64..1e3, 4), 1..40),
        bins in 1usize..12,
    ) {
        let (inputs, result) = attributions(&rows, &["a", "#1", "<c>", "d"]);
        draws_the_same_in_both(&result);
        draws_the_same_in_both(&inputs);
        draws_the_same_in_both(&result.waterfall((&inputs, 0)).unwrap().most(3).unwrap());
        draws_the_same_in_both(&result.beeswarm(&inputs).unwrap().most(3).unwrap());
        draws_the_same_in_both(&result.dependence(&inputs, "a").unwrap());
        for palette in [Palette::BlueOrange, Palette::GreenRed] {
            draws_the_same_in_both(&result.force((&inputs, 0)).unwrap().palette(palette));
        }
        let series = result.column("a").unwrap();
        draws_the_same_in_both(&series);
        let charts = [
            series.bars((0..rows.len()).map(|row| format!("row {row}"))),
            series.histogram(bins),
            series.binned_scatter(&result.column("d").unwrap(), bins),
            series.line(),
        ];
        for chart in &charts {
            draws_the_same_in_both(chart.as_ref().unwrap());
        }
        draws_the_same_in_both(&row![charts[0], series, charts[1]].unwrap());
    }
}

#[test]
fn words_in_both_themes_are_the_same() {
    for text in ["Sản phẩm này rất tốt", "المنتج رائع! #1", "quá ".repeat(70).as_str()] {
        let words = words(text);
        draws_the_same_in_both(&words);
        draws_the_same_in_both(&words.force().unwrap());
        draws_the_same_in_both(&heatmap![words, words].unwrap().palette(Palette::GreenRed));
    }
}

fn chart() -> Chart {
    Series::new("x", vec![1., -2.]).bars(["a", "b"]).unwrap()
}

#[test]
fn light_is_the_default() {
    let chart = chart();
    assert_eq!(chart.svg(), chart.theme(Theme::Light).svg());
    assert_ne!(chart.svg(), chart.theme(Theme::Dark).svg());
    assert_eq!(page_of(&chart, &[]), page_of(&chart.theme(Theme::Light), &[]));
}

#[test]
fn the_last_theme_counts() {
    let dark = chart().theme(Theme::Dark);
    assert_eq!(dark.theme(Theme::Light).svg(), chart().svg());
    assert_eq!(dark.theme(Theme::Light).theme(Theme::Dark).html(), dark.html());
}

#[test]
fn a_row_has_a_theme_and_keeps_those_of_its_figures() {
    let (chart, mean) = (chart(), Series::new("mean", vec![0.5, -1.]));
    let row = row![chart, mean].unwrap().theme(Theme::Dark);
    for part in [chart.theme(Theme::Dark).html(), mean.theme(Theme::Dark).html()] {
        assert!(row.html().contains(&part));
    }
    let mixed = row![chart, chart.theme(Theme::Light), chart.theme(Theme::Dark)].unwrap();
    let inside = |theme: Theme| mixed.theme(theme).html().matches(&chart.theme(theme).html()).count();
    assert_eq!((inside(Theme::Light), inside(Theme::Dark)), (2, 2));
    let svg = mixed.theme(Theme::Dark).svg().unwrap();
    assert!(svg.contains("#FFFFFF") && svg.matches("</svg>").count() == 4);
}

#[test]
fn a_dark_page_is_dark_from_edge_to_edge() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join("dark.html");
    chart().theme(Theme::Dark).save(&path).unwrap();
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(page.contains("<meta name=\"color-scheme\" content=\"dark\">"));
    let remarks = ["what the reader must know".to_string()];
    let (_, colours) = parted(&page_of(&chart().theme(Theme::Dark), &remarks));
    let (_, light) = parted(&page_of(&chart(), &remarks));
    assert!(colours.iter().all(|colour| !light.contains(colour)), "{colours:?}");
    assert!(!page_of(&chart(), &[]).contains("color-scheme"));
}
