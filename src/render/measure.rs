//! Estimates of the width of letters in a sans-serif font; pictures fit the letters to them, or leave room for them.

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use super::lettering::SIZE;
use crate::script::{is_emoji, is_mark, unseen, unspaced};
use crate::visible::drawn;

/// How wide an emoji is.
const EMOJI: f64 = 1.3;

/// The estimated width of a text.
pub(super) fn width(text: &str) -> f64 {
    text.graphemes(true).map(character).sum()
}

/// The room that a text needs which is not fitted to its width: as much as it takes in one of the wider fonts, DejaVu Sans.
pub(super) fn room(text: &str) -> f64 {
    text.graphemes(true).map(roomy).sum()
}

/// Whether fonts agree well enough on the letters of a text to fit it to its estimated width.
pub(super) fn is_known(text: &str) -> bool {
    text.chars().map(drawn).all(|c| c < '\u{590}' || ('\u{1e00}'..'\u{2070}').contains(&c) && !unseen(c))
}

/// As much of a text's beginning as fits, at least one character.
pub(super) fn fitting(text: &str, most: f64) -> &str {
    fitting_by(character, text, most)
}

fn fitting_by(width_of: fn(&str) -> f64, text: &str, most: f64) -> &str {
    let mut wide = 0.;
    let over = text.grapheme_indices(true).find(|(start, whole)| {
        wide += width_of(whole);
        wide > most && *start > 0
    });
    &text[..over.map_or(text.len(), |(start, _)| start)]
}

/// Stands where a text was cut.
const CUT: &str = "…";

/// A text, cut and marked as cut if there is not the room that it needs.
pub(super) fn shortened(text: &str, most: f64) -> String {
    if room(text) <= most { text.to_string() } else { format!("{}{CUT}", fitting_by(roomy, text, most - room(CUT))) }
}

/// The same for a name among several: if another one begins with all that would be left of it, it loses its middle
/// instead of its end.
pub(super) fn shortened_among<'a>(name: &str, all: impl IntoIterator<Item = &'a str>, most: f64) -> String {
    let short = shortened(name, most);
    let Some(beginning) = short.strip_suffix(CUT).filter(|_| short != name) else { return short };
    match all.into_iter().any(|other| other != name && other.starts_with(beginning)) {
        true => without_middle(name, most),
        false => short,
    }
}

/// The beginning and the end of a text, of about the same width.
fn without_middle(text: &str, most: f64) -> String {
    let left = most - room(CUT);
    let beginning = fitting_by(roomy, text, 0.5 * left);
    let mut wide = room(beginning);
    let fits = |(_, whole): &(usize, &str)| {
        wide += roomy(whole);
        wide <= left
    };
    let end = text[beginning.len()..].grapheme_indices(true).rev().take_while(fits).last();
    format!("{beginning}{CUT}{}", end.map_or("", |(start, _)| &text[beginning.len() + start..]))
}

/// The width of a character with its marks.
fn character(whole: &str) -> f64 {
    if is_emoji(whole) {
        return EMOJI * SIZE;
    }
    let mut characters = whole.chars().map(drawn);
    let first = characters.next().map_or(0., letter);
    (first + characters.map(joined).sum::<f64>()) * SIZE
}

/// The room for a character with its marks.
fn roomy(whole: &str) -> f64 {
    let base = if is_known(whole) { whole.nfd().next().map(drawn) } else { None };
    let wide = match base {
        Some('+' | '<' | '=' | '>' | '^' | '~' | '#' | '±' | '×' | '÷') => 0.84,
        Some('m' | 'W' | '@' | 'Æ' | 'æ' | '…') => 1.,
        Some('%' | 'O' | 'U') => 0.95, // with a horn
        Some('M') => 0.87,
        Some('w') => 0.82,
        Some('&' | 'D' | 'G' | 'H' | 'N' | 'Q' | 'Đ') => 0.79,
        Some('œ' | 'Œ') => 1.1,
        Some('!' | 'r' | '-') => 0.42,
        Some('"') => 0.46,
        Some(' ' | ':' | ';' | '|' | '/' | '\\' | '.' | ',') => 0.34,
        Some(c) if c.is_uppercase() && c != 'I' => 0.7,
        Some(c) if (' '..'\u{250}').contains(&c) => 0.64_f64.min(1.1 * letter(c)),
        _ => return 1.1 * character(whole),
    };
    wide * SIZE
}

fn letter(c: char) -> f64 {
    match c {
        _ if unseen(c) || is_mark(c) && !is_beside(c) => 0.,
        'i' | 'j' | 'l' | 'ì' | 'í' | 'ỉ' | 'ĩ' | 'ị' | '.' | ',' | ':' | ';' | '!' | '|' | '\'' => 0.29,
        'f' | 'r' | 't' | ' ' | '(' | ')' | '[' | ']' => 0.37,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.88,
        'I' | 'Í' | 'Ì' | 'Ỉ' | 'Ĩ' | 'Ị' => 0.34,
        'ا' | 'أ' | 'إ' | 'آ' | 'ل' | 'ו' | 'י' | 'ן' | 'ז' | '،' | '؛' | '۔' | '।' | '॥' => 0.4,
        'ر' | 'ز' | 'د' | 'ذ' | 'و' | 'ג' | 'נ' | 'เ' => 0.5,
        '\u{590}'..='\u{6ff}' => 0.68,
        '\u{900}'..='\u{97f}' => 0.7,
        '\u{980}'..='\u{dff}' => 0.85,
        '\u{e00}'..='\u{eff}' => 0.66,
        '…' => 0.9,
        '␣' | '◌' => 0.7,
        '\u{ff61}'..='\u{ff9f}' => 0.5,
        '\u{ac00}'..='\u{d7a3}' | '\u{1100}'..='\u{115f}' => 1.,
        c if unspaced(c) && c >= '\u{2e80}' => 1.,
        c if c >= '\u{1f000}' => EMOJI,
        c if c.is_uppercase() => 0.68,
        c if c >= '\u{2100}' => 1.1,
        _ => 0.58,
    }
}

/// The width of what follows in the same character: marks next to the letter and letters joined to it take space.
fn joined(c: char) -> f64 {
    match c {
        '\u{1160}'..='\u{11ff}' | '\u{1f000}'.. => 0.,
        c if is_beside(c) => 0.4,
        c if c.is_alphabetic() && !is_mark(c) => 0.45,
        _ => 0.,
    }
}

/// Whether a sign of an Indian script is written next to its letter.
fn is_beside(c: char) -> bool {
    ('\u{900}'..'\u{e00}').contains(&c) && matches!(u32::from(c) % 0x80, 0x03 | 0x3e..=0x40 | 0x49..=0x4c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_take_no_space() {
        for (bare, marked) in
            [("a", "a\u{309}"), ("ש", "שָׁ"), ("س", "سَّ"), ("น", "นี้"), ("👩", "👩🏽\u{200d}👧"), ("한", "한")]
        {
            assert!((width(bare) - width(marked)).abs() < 1e-9, "{marked}: {} and {}", width(bare), width(marked));
        }
        assert!(width("को") > width("क") && width("漢字") == 2. * SIZE);
    }

    #[test]
    fn what_is_drawn_as_a_mark_has_its_width() {
        for acts in ["\u{1b}", "\0", "\u{202e}", "\u{202a}", "\u{2066}", "\u{2069}", "\u{ffff}"] {
            assert_eq!(width(&format!("a{acts}")), width("a\u{fffd}"), "{acts:?}");
            assert!(!is_known(acts) && width(acts) > 0., "{acts:?}");
        }
        assert_eq!(width("a\u{200f}\u{ad}"), width("a"));
    }

    #[test]
    fn what_does_not_fit_is_cut_between_characters() {
        assert_eq!(fitting("sa\u{309}n", width("sa")), "sa\u{309}");
        assert_eq!((fitting("漢字", 1.), fitting("", 1.)), ("漢", ""));
        let cut = shortened(&"giá ".repeat(30), 100.);
        assert!(cut.ends_with('…') && width(&cut) <= 100. && shortened("giá", 100.) == "giá");
    }

    #[test]
    fn names_that_differ_at_their_end_keep_it() {
        let names = ["a rather long name with 1", "a rather long name with 2", "another rather long name", "a rather"];
        let cut: Vec<String> = names.iter().map(|name| shortened_among(name, names, 150.)).collect();
        assert!(cut[0].starts_with("a ra") && cut[0].ends_with("ith 1") && cut[1].ends_with("ith 2"), "{cut:?}");
        assert!(cut[2].starts_with("another rath") && cut[2].ends_with('…') && cut[3] == names[3], "{cut:?}");
        assert!(cut.iter().all(|name| room(name) <= 150.));
        // With less room for one of them.
        let narrow = shortened_among(names[0], names, 120.);
        assert!(narrow.ends_with('1') && room(&narrow) <= 120., "{narrow}");
        // Marks stay on their letters, and a name alone is cut at its end.
        let marked = ["tệ ".repeat(30), format!("{}sa\u{309}", "tệ ".repeat(29))];
        let cut = shortened_among(&marked[1], marked.iter().map(String::as_str), 60.);
        assert!(cut.ends_with("sa\u{309}") && cut.starts_with("t"), "{cut}");
        assert!(shortened_among(names[0], [names[0]; 2], 150.).ends_with('…'));
        assert_eq!(shortened_among("漢字", ["漢文"], 1.), "漢…");
    }
}
