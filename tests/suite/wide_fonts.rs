//! Texts of pictures neither overlap nor leave the picture in a wide font, DejaVu Sans.

use candle_explain::prelude::*;

use crate::pictures::attributions;

/// The advance widths of DejaVu Sans, in units of 1/2048.
const DEJAVU: [(f64, &str); 38] = [
    (563., "'"),
    (569., "ijlìíĩỉị"),
    (604., "IJÌÍĨỈỊ"),
    (651., " ,."),
    (690., "/:;\\|"),
    (721., "f"),
    (739., "-"),
    (799., "()[]"),
    (803., "t"),
    (821., "!"),
    (842., "r"),
    (942., "\""),
    (1024., "*_`"),
    (1067., "s"),
    (1087., "z?"),
    (1126., "cç"),
    (1178., "LF"),
    (1186., "k"),
    (1212., "vxyýỳỵỷỹ"),
    (1235., "P"),
    (1253., "TYo«»òóôõơọỏốồổỗộớờởỡợ"),
    (1260., "aàáâãăạảấầẩẫậắằẳẵặeèéêẹẻẽếềểễệ"),
    (1294., "EÈÉÊẸẺẼẾỀỂỄỆ"),
    (1303., "hnuùúũưụủứừửữựSbdgpqđ$0123456789{}"),
    (1343., "K"),
    (1405., "AVXZBÀÁÂÃĂẠẢẤẦẨẪẬẮẰẲẴẶ"),
    (1430., "RC"),
    (1499., "UÙÚŨỤỦ"),
    (1540., "NH"),
    (1597., "DGĐ&"),
    (1612., "OQÒÓÔÕỌỎỐỒỔỖỘ"),
    (1716., "w#+<=>^~±\u{2212}"),
    (1767., "MƯỨỪỬỮỰ"),
    (1870., "ƠỚỜỞỠỢ"),
    (1946., "%"),
    (2011., "mæÆ"),
    (2025., "W"),
    (2048., "@…"),
];

/// A text that is not fitted to a width, as DejaVu Sans writes it.
#[derive(Debug)]
struct Written {
    text: String,
    left: f64,
    right: f64,
    y: f64,
}

fn dejavu(text: &str) -> f64 {
    let of = |c: char| DEJAVU.iter().find(|(_, letters)| letters.contains(c)).unwrap_or_else(|| panic!("{c}")).0;
    text.chars().map(of).sum::<f64>() / 2048.
}

fn attribute<'a>(mark: &'a str, name: &str) -> Option<&'a str> {
    mark.split(&format!("{name}=\"")).nth(1)?.split('"').next()
}

/// The texts that lie flat and are not fitted to a width.
fn written(svg: &str) -> Vec<Written> {
    let texts = svg.split("<text ").skip(1).map(|part| part.split("</text>").next().unwrap());
    let texts = texts.filter(|text| !text.contains("textLength") && !text.contains("transform="));
    let read = |text: &str| {
        let (mark, inside) = text.split_once('>').unwrap();
        let number = |name: &str| attribute(mark, name).and_then(|number| number.parse::<f64>().ok());
        let letters: String = inside.split('<').map(|part| part.rsplit('>').next().unwrap()).collect();
        let letters = letters.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
        // Bold letters are a tenth wider.
        let bold = if mark.contains("font-weight") { 1.1 } else { 1. };
        let width = dejavu(letters.trim()) * number("font-size").unwrap_or(12.) * bold;
        let x = number("x").unwrap();
        let left = match attribute(mark, "text-anchor") {
            Some("middle") => x - 0.5 * width,
            Some("end") => x - width,
            _ => x,
        };
        Written { text: letters.trim().to_string(), left, right: left + width, y: number("y").unwrap() }
    };
    texts.map(read).filter(|text| !text.text.is_empty()).collect()
}

fn readable(picture: &dyn Figure, what: &str) {
    let svg = picture.svg().unwrap();
    let width: f64 = attribute(&svg, " width").unwrap().parse().unwrap();
    let texts = written(&svg);
    assert!(texts.len() > 4, "{what}: {texts:?}");
    for (index, text) in texts.iter().enumerate() {
        assert!(text.left >= 0. && text.right <= width, "{what}: {text:?} of {width}");
        let hides = |other: &&Written| {
            (other.y - text.y).abs() < 9. && other.left < text.right - 0.5 && text.left < other.right - 0.5
        };
        let hidden = texts[..index].iter().find(hides);
        assert!(hidden.is_none(), "{what}: {text:?} and {hidden:?}");
    }
}

#[test]
fn texts_of_pictures_have_room() {
    let (_, test) = Titanic::offline().unwrap().split(Split::Tutorial).unwrap();
    let method = IntegratedGradients::new(Titanic::pretrained().unwrap());
    let importance = method.attribute(&test, 1).unwrap();
    readable(&importance.beeswarm(&test).unwrap(), "beeswarm");
    readable(&importance.dependence(&test, "sibsp").unwrap(), "dependence");
    readable(&importance.mean().unwrap().bars(test.feature_names()).unwrap(), "bars");
    for example in 0..40 {
        readable(&importance.waterfall((&test, example)).unwrap(), "waterfall");
        readable(&importance.force((&test, example)).unwrap(), "force");
    }
}

#[test]
fn wide_letters_have_room() {
    let names = ["mmmm+mmmm+m", "WWWW", "www===www", "ƠỢỠỜ", "OQOQOQ", "%%%%", "NHNHNH", "@@@", "<><><>"];
    for share in [1., 0.5, 0.2, 0.05] {
        let row = (0..names.len()).map(|index| if index % 2 == 0 { share } else { -1. / (index as f64) }).collect();
        let (inputs, result) = attributions(&[row], &names);
        readable(&result.force((&inputs, 0)).unwrap(), "force");
        readable(&result.waterfall((&inputs, 0)).unwrap(), "waterfall");
        readable(&result.beeswarm(&inputs).unwrap(), "beeswarm");
        readable(&result.mean().unwrap().bars(names).unwrap(), "bars");
    }
}

#[test]
fn numbers_along_an_axis_have_room() {
    for scale in [1e-300, 3e-7, 1., 1e5, 1e9, 8e299] {
        let values = [-1., 0.5, 0.31, -0.27, 0.8, 0.123].map(|value| value * scale);
        let series = Series::new("x", values.to_vec());
        let readable = |picture: Result<Chart>, what: &str| readable(&picture.unwrap(), &format!("{what} of {scale}"));
        readable(series.bars(["a", "b", "c", "d", "e", "a long name of a bar"]), "bars");
        readable(series.histogram(5), "histogram");
        readable(series.binned_scatter(&series, 5), "scatter");
        readable(Series::new("x", values.repeat(20_000)).line(), "line");
    }
}

#[test]
fn the_forces_of_words_have_room() {
    let words = crate::pictures::words("Sản phẩm này rất tốt, nhưng giao hàng quá chậm, MMM WWW mmm %%% mãi mới tới");
    readable(&words.force().unwrap(), "words");
}
