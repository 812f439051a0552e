//! The pieces of HTML that figures are made of.

use super::theme::{Colours, Theme, colours};
use crate::visible::visible;

/// Text that is shown as it is, whatever is in it; see [`visible`] for what cannot be shown.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in visible(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// An SVG as an image that carries its own data: notebook viewers that strip inline SVG keep it.
pub(super) fn image(svg: &str, description: &str) -> String {
    let mut data = String::with_capacity(svg.len() + svg.len() / 4);
    for byte in svg.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b' '
            | b'-'
            | b'.'
            | b'_'
            | b'='
            | b':'
            | b'/'
            | b','
            | b';'
            | b'('
            | b')' => {
                data.push(byte as char);
            }
            other => data.push_str(&format!("%{other:02X}")),
        }
    }
    format!(
        "<img alt=\"{}\" style=\"max-width:100%;height:auto\" src=\"data:image/svg+xml;charset=utf-8,{data}\">",
        escape(description)
    )
}

/// A page that contains only this, on the browser's own light or dark ground.
pub(super) fn page(body: &str) -> String {
    let scheme = match Theme::current() {
        Theme::Light => "",
        Theme::Dark => "<meta name=\"color-scheme\" content=\"dark\">",
    };
    format!(
        "<!DOCTYPE html>\n<html>\n<head><meta charset=\"utf-8\">{scheme}<title>candle-explain</title></head>\n<body>\n\
         {body}\n</body>\n</html>\n"
    )
}

/// The figure on its background.
pub(super) fn framed(body: &str) -> String {
    let Colours { ground, ink, line, .. } = colours();
    format!(
        "<div style=\"display:inline-block;box-sizing:border-box;max-width:100%;overflow-x:auto;background:{ground};\
         color:{ink};border:1px solid {line};border-radius:6px;padding:8px;font-family:sans-serif;font-size:13px;\
         line-height:1.4\">{body}</div>"
    )
}

/// A number with four significant digits, written as short as possible.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0. {
        "0".to_string()
    } else if !(1e-4..1e6).contains(&size) {
        format!("{value:.2e}")
    } else {
        let digits = (3 - size.log10().floor() as i32).clamp(0, 7) as usize;
        let text = format!("{value:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
    }
}

/// A signed number among others, of which `largest` is the farthest from 0: with two decimal places, unless that
/// shows no digits or far too many.
pub(super) fn beside_others(value: f64, largest: f64) -> String {
    if value == 0. {
        "0".to_string()
    } else if (0.01..1e6).contains(&largest) {
        format!("{value:+.2}")
    } else {
        signed(value)
    }
}

/// A number with its sign.
pub(super) fn signed(value: f64) -> String {
    let sign = if value > 0. { "+" } else { "" };
    format!("{sign}{}", number(value))
}

/// Remarks below a figure.
pub(super) fn remarks<'a>(remarks: impl IntoIterator<Item = &'a String>) -> String {
    let faint = colours().faint;
    let line = |remark: &String| format!("<div style=\"color:{faint};padding:2px 10px\">{}</div>", escape(remark));
    remarks.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("<b a=\"x\" b='y'>&"), "&lt;b a=&quot;x&quot; b=&#39;y&#39;&gt;&amp;");
    }

    #[test]
    fn numbers_keep_four_digits() {
        let cases = [
            (0., "0"),
            (1.5, "1.5"),
            (-0.45371, "-0.4537"),
            (1309., "1309"),
            (0.00012, "0.00012"),
            (1e-9, "1.00e-9"),
            (123456., "123456"),
            (1e7, "1.00e7"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn numbers_beside_others_show_what_they_are() {
        assert_eq!(
            [beside_others(0.254, 0.9), beside_others(-0.001, 0.9), beside_others(0., 0.)],
            ["+0.25", "-0.00", "0"]
        );
        assert_eq!([beside_others(1.5e-5, 3e-5), beside_others(-1e300, 1e300)], ["+1.50e-5", "-1.00e300"]);
    }

    #[test]
    fn an_image_holds_no_character_that_ends_its_attribute() {
        let image = image("<svg a=\"b\">é#%</svg>", "a \"chart\"");
        let source = image.split("src=\"").nth(1).unwrap();
        assert_eq!(source.matches('"').count(), 1);
        assert!(source.contains("%3Csvg") && source.contains("%23%25"));
    }
}
