//! A picture with lines of text below it.

use super::html::escape;
use super::lettering;
use super::svg::size;
use super::theme::{Colours, colours};

const LINE_HEIGHT: f64 = 17.;
const MARGIN: f64 = 14.;

/// A picture made by this crate with these remarks below it, each in as many lines as it needs.
pub fn captioned(svg: String, remarks: &[String]) -> String {
    let Some((width, height)) = size(&svg).filter(|_| !remarks.is_empty()) else { return svg };
    let lines = remarks.iter().flat_map(|remark| lettering::lines(remark, width - 2. * MARGIN));
    let Colours { ground, faint, .. } = colours();
    let (mut texts, mut y) = (String::new(), height);
    for line in lines {
        y += LINE_HEIGHT;
        texts.push_str(&format!("<text x=\"{MARGIN}\" y=\"{y}\" fill=\"{faint}\">{}</text>", escape(&line)));
    }
    let height = y + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\"><rect width=\"100%\" height=\"100%\" fill=\"{ground}\"/>{svg}{texts}</svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_stand_below_the_picture() {
        let svg = "<svg xmlns=\"x\" width=\"200\" height=\"100\"><rect/></svg>";
        assert_eq!(captioned(svg.to_string(), &[]), svg);
        let remarks = ["age is 200: the <training> data go from 0.17 to 80".to_string(), "x".to_string()];
        let whole = captioned(svg.to_string(), &remarks);
        assert!(whole.contains(svg) && whole.contains("&lt;training&gt;") && size(&whole).unwrap().0 == 200.);
        let lines = whole.matches("<text").count();
        assert!(lines >= 3 && size(&whole).unwrap().1 == 100. + LINE_HEIGHT * lines as f64 + MARGIN);
    }
}
