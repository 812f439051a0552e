//! Words set in lines, for pictures of text.

use std::borrow::Cow;
use std::ops::Range;

use super::bidi::{Order, Part, named};
use super::colour::Colour;
use super::html::escape;
use super::measure::{fitting, is_known, width};
use super::theme::colours;
use crate::script::{free_standing, line_may_end_between};

pub(super) const SIZE: f64 = 14.;
const WIDTH: f64 = 860.;
const MARGIN: f64 = 14.;
const LINE: f64 = 22.;
/// How far a box goes above and below the line that letters stand on.
const ABOVE: f64 = 15.;
const BELOW: f64 = 6.;
/// The space on each side of a word in its box.
const PADDING: f64 = 4.;
/// The space between two boxes, and between two without a space between them in the text.
const BETWEEN: f64 = 4.;
const BETWEEN_JOINED: f64 = 2.;

/// Sets texts and boxed words one after the other, and breaks full lines.
pub(super) struct Lettering {
    x: f64,
    y: f64,
    marks: String,
}

/// A word in a box.
pub(super) struct Boxed<'a> {
    pub(super) word: &'a str,
    /// Its tooltip.
    pub(super) title: String,
    pub(super) colour: Colour,
    pub(super) ground: Colour,
    /// Whether it gets a dotted underline, because it speaks against the class.
    pub(super) dotted: bool,
    /// Whether it takes the direction of the words around it, regardless of its letters.
    pub(super) special: bool,
    /// Whether no white space separates it from the one before.
    pub(super) joined: bool,
}

/// A word with its place in a line, in a box or without one.
struct Set<'a> {
    word: Cow<'a, str>,
    letters: f64,
    colour: Colour,
    weight: &'static str,
    joined: bool,
    boxed: Option<&'a Boxed<'a>>,
}

/// The words that were set, and their total height.
pub(super) struct Placed {
    marks: String,
    height: f64,
}

impl Lettering {
    pub(super) fn new() -> Self {
        Self { x: MARGIN, y: MARGIN + SIZE, marks: String::new() }
    }

    /// Sets words without boxes; full lines are broken between words.
    pub(super) fn text(&mut self, text: &str, colour: Colour, bold: bool) {
        let weight = if bold { " font-weight=\"600\"" } else { "" };
        let set =
            |word| Set { word: Cow::Borrowed(word), letters: width(word), colour, weight, joined: false, boxed: None };
        let words: Vec<Set> = text.split(' ').map(set).collect();
        self.set(&words, false);
    }

    /// Sets words in boxes; a right-to-left text starts at the right margin.
    pub(super) fn boxes(&mut self, words: &[Boxed]) {
        let set: Vec<Set> = words.iter().flat_map(boxed_parts).collect();
        self.set(&set, true);
        self.x += BETWEEN;
    }

    fn set(&mut self, words: &[Set], at_its_margin: bool) {
        let is_special = |set: &Set| set.boxed.is_some_and(|boxed| boxed.special);
        let order = Order::of(
            words.iter().map(|set| Part { letters: (!is_special(set)).then_some(&*set.word), joined: set.joined }),
        );
        let apart = if at_its_margin { 1.15 } else { 1. };
        let mut start = 0;
        for index in 0..words.len() {
            while self.x + room(words, start..index + 1) > WIDTH - MARGIN && (index > start || self.x > MARGIN) {
                let first = start + usize::from(self.x <= MARGIN);
                let end = (first..=index).rev().find(|next| may_begin_line(words, *next)).unwrap_or(index);
                self.set_line(words, start..end, &order, at_its_margin);
                self.line_break(apart);
                start = end;
            }
        }
        self.set_line(words, start..words.len(), &order, at_its_margin);
    }

    fn set_line(&mut self, words: &[Set], line: Range<usize>, order: &Order, at_its_margin: bool) {
        if at_its_margin && order.is_right_to_left() {
            self.x = (WIDTH - MARGIN - room(words, line.clone())).max(self.x);
        }
        for (place, (index, spaced)) in order.spaced_line(line).into_iter().enumerate() {
            let word = &words[index];
            let drawn = order.alone(index, &word.word);
            self.x += if place == 0 { 0. } else { word.apart(spaced) };
            match word.boxed {
                Some(boxed) => self.draw_box(word, boxed, &drawn),
                None => self.letters(&drawn, self.x, word),
            }
            self.x += word.room();
        }
    }

    fn draw_box(&mut self, word: &Set, boxed: &Boxed, drawn: &str) {
        let width = word.room();
        self.marks.push_str(&format!(
            "<g><title>{}</title><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" rx=\"3\" \
             fill=\"{}\"/>",
            escape(&named(&free_standing(boxed.word), &boxed.title)),
            self.x,
            self.y - ABOVE,
            ABOVE + BELOW,
            boxed.ground
        ));
        let start = self.x + PADDING;
        self.letters(drawn, start, word);
        if boxed.dotted {
            let (line, end, colour) = (self.y + BELOW - 2., start + word.letters, boxed.colour);
            self.marks.push_str(&format!(
                "<line x1=\"{start:.1}\" y1=\"{line:.1}\" x2=\"{end:.1}\" y2=\"{line:.1}\" stroke=\"{colour}\" \
                 stroke-dasharray=\"2 2\"/>"
            ));
        }
        self.marks.push_str("</g>");
    }

    pub(super) fn space(&mut self, width: f64) {
        self.x += width;
    }

    /// A line from margin to margin above what comes next.
    pub(super) fn rule(&mut self, colour: Colour) {
        let y = self.y - ABOVE - 4.;
        self.marks.push_str(&format!(
            "<line x1=\"{MARGIN}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\"/>",
            WIDTH - MARGIN
        ));
    }

    /// A new line, `lines` below this one.
    pub(super) fn line_break(&mut self, lines: f64) {
        self.x = MARGIN;
        self.y += LINE * lines;
    }

    pub(super) fn placed(self) -> Placed {
        Placed { marks: self.marks, height: self.y - SIZE + MARGIN }
    }

    /// What was set, for a part of a larger picture, and its height.
    pub(super) fn into_marks(self) -> (String, f64) {
        let Placed { marks, height } = self.placed();
        (marks, height)
    }

    fn letters(&mut self, text: &str, x: f64, word: &Set) {
        if word.letters <= 0. {
            return;
        }
        // Letters of uncertain width are centred in their place instead of stretched.
        let (x, fitted) = if is_known(text) {
            (x, format!("textLength=\"{:.1}\" lengthAdjust=\"spacingAndGlyphs\"", word.letters))
        } else {
            (x + 0.5 * word.letters, "text-anchor=\"middle\"".to_string())
        };
        self.marks.push_str(&format!(
            "<text x=\"{x:.1}\" y=\"{:.1}\" fill=\"{}\" {fitted}{}>{}</text>",
            self.y,
            word.colour,
            word.weight,
            escape(text)
        ));
    }
}

impl Set<'_> {
    /// Its width in a line.
    fn room(&self) -> f64 {
        self.letters + if self.boxed.is_some() { 2. * PADDING } else { 0. }
    }

    /// Its distance from a neighbouring word.
    fn apart(&self, spaced: bool) -> f64 {
        match (self.boxed, spaced) {
            (Some(_), true) => BETWEEN,
            (Some(_), false) => BETWEEN_JOINED,
            (None, true) => width(" "),
            (None, false) => 0.,
        }
    }
}

/// The width of these words in a line.
fn room(words: &[Set], line: Range<usize>) -> f64 {
    let line = &words[line];
    line.iter().map(Set::room).sum::<f64>() + line.iter().skip(1).map(|word| word.apart(!word.joined)).sum::<f64>()
}

/// Whether a line may end before this word.
fn may_begin_line(words: &[Set], index: usize) -> bool {
    let word = &words[index];
    !word.joined || index > 0 && line_may_end_between(&words[index - 1].word, &word.word)
}

/// A word in its box; in several if it is longer than a line.
fn boxed_parts<'a>(boxed: &'a Boxed<'a>) -> Vec<Set<'a>> {
    let most = WIDTH - 2. * (MARGIN + PADDING);
    let mut parts: Vec<Set> = Vec::new();
    let mut rest = boxed.word;
    loop {
        let line = fitting(rest, most);
        let word = free_standing(line);
        let letters = width(&word);
        let joined = boxed.joined || !parts.is_empty();
        parts.push(Set { word, letters, colour: boxed.colour, weight: "", joined, boxed: Some(boxed) });
        rest = &rest[line.len()..];
        if rest.is_empty() {
            return parts;
        }
    }
}

impl Placed {
    /// The picture; `description` is for those who cannot see it.
    pub(super) fn svg(&self, description: &str) -> String {
        let ground = colours().ground;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" viewBox=\"0 0 {WIDTH} \
             {height:.0}\" font-family=\"sans-serif\" font-size=\"{SIZE}\" role=\"img\"><desc>{}</desc><rect width=\"100%\" \
             height=\"100%\" fill=\"{ground}\"/>{}</svg>",
            escape(description),
            self.marks,
            height = self.height,
        )
    }
}

/// A text in lines of at most this width, broken between words.
pub(super) fn lines(text: &str, most: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + width(" ") + width(word) <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(word: &str) -> Boxed<'_> {
        let (title, colour, ground) = ("+0.1".to_string(), colours().ink, colours().ground);
        Boxed { word, title, colour, ground, dotted: true, special: false, joined: false }
    }

    /// Where each box begins, with the letters in it.
    fn places(svg: &str) -> Vec<(f64, String)> {
        let place = |part: &str| {
            let after = |mark: &str| part.split(mark).nth(1).unwrap();
            let x = after("<rect x=\"").split('"').next().unwrap().parse().unwrap();
            (x, after("</title>").split("</text>").next().unwrap().rsplit('>').next().unwrap().to_string())
        };
        svg.split("<g>").skip(1).map(place).collect()
    }

    #[test]
    fn lines_break_where_they_are_full_and_nothing_leaves_the_page() {
        let mut page = Lettering::new();
        for _ in 0..40 {
            page.boxes(&[boxed("giao_hàng")]);
            assert!(page.x - BETWEEN <= WIDTH - MARGIN + 1e-6);
        }
        assert!(page.y > MARGIN + SIZE + LINE);
        let long = "dài".repeat(200);
        page.boxes(&[boxed(&long)]);
        assert!(page.x - BETWEEN <= WIDTH - MARGIN + 1e-6);
        let svg = page.placed().svg("");
        let shown: String = places(&svg).into_iter().skip(40).map(|(_, letters)| letters).collect();
        assert_eq!(shown, long);
    }

    #[test]
    fn scripts_that_run_to_the_left_begin_at_the_right_margin() {
        let mut page = Lettering::new();
        let words: Vec<Boxed> = ["אחת", "שתים", "שלוש"].map(boxed).into_iter().collect();
        page.boxes(&words);
        let places = places(&page.placed().svg(""));
        assert_eq!(places.iter().map(|(_, word)| word.as_str()).collect::<Vec<_>>(), ["שלוש", "שתים", "אחת"]);
        assert!(places[0].0 < places[1].0 && places[1].0 < places[2].0);
        let end = places[2].0 + width("אחת") + 2. * PADDING;
        assert!((end - (WIDTH - MARGIN)).abs() < 0.2, "{end}");
    }

    #[test]
    fn numbers_and_signs_stay_in_their_line() {
        let joined = |word| Boxed { joined: true, ..boxed(word) };
        let lines = |words: &[Boxed]| {
            let mut page = Lettering::new();
            page.boxes(words);
            let height = |part: &str| part.split("y=\"").nth(1).unwrap().split('"').next().unwrap().to_string();
            page.marks.split("<rect").skip(1).map(height).collect::<Vec<String>>()
        };
        for tail in [["1", "0", "0"], ["好", "吗", "。"]] {
            for filling in 50..70 {
                let words = [boxed("字")].into_iter().chain((0..filling).map(|_| joined("字")));
                let words: Vec<Boxed> = words.chain(tail.map(joined)).collect();
                let lines = lines(&words);
                let last = lines.len() - 1;
                assert_eq!(lines[last - 1], lines[last], "{filling} and {tail:?}");
                assert!(tail[0] == "好" || lines[last - 2] == lines[last], "{filling} and {tail:?}");
            }
        }
        let endless: Vec<Boxed> = (0..200).map(|_| joined("1")).collect();
        let lines = lines(&endless);
        let full: Vec<usize> = lines.chunk_by(|a, b| a == b).map(<[String]>::len).collect();
        assert!(full.len() > 2 && full[..full.len() - 1].iter().all(|count| *count > 40), "{full:?}");
    }

    #[test]
    fn a_space_stands_between_the_words_that_it_parts() {
        let mut page = Lettering::new();
        page.text("سلبي (0.97)", colours().ink, true);
        let x = |part: &str| part.split("x=\"").nth(1).unwrap().split('"').next().unwrap().parse::<f64>().unwrap();
        let seen: Vec<f64> = page.marks.split("<text").skip(1).map(x).collect();
        // Both are centred in their places.
        let begins = [seen[0] - 0.5 * width("(0.97)"), seen[1] - 0.5 * width("سلبي")];
        assert!((begins[0] - MARGIN).abs() < 0.1 && (begins[1] - MARGIN - width("(0.97) ")).abs() < 0.2, "{begins:?}");
    }

    #[test]
    fn a_piece_that_begins_with_a_mark_stands_on_a_circle() {
        let mut page = Lettering::new();
        page.boxes(&[boxed("\u{309}n")]);
        assert_eq!(places(&page.placed().svg(""))[0].1, "\u{25cc}\u{309}n");
    }

    #[test]
    fn lines_keep_their_words_and_their_width() {
        let text = "the numbers of each row's tokens are divided by their norm";
        let broken = lines(text, 120.);
        assert!(broken.len() > 2 && broken.iter().all(|line| width(line) <= 120.));
        assert_eq!(broken.join(" "), text);
    }

    #[test]
    fn what_is_set_is_escaped() {
        let mut page = Lettering::new();
        page.boxes(&[boxed("<script>")]);
        page.text("a & b", colours().ink, true);
        let svg = page.placed().svg("\"<x>\"");
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;") && !svg.contains("<x>"));
    }
}
