//! Words set in lines, for pictures of text.

use super::html::{GROUND, escape};

const WIDTH: f64 = 860.;
const MARGIN: f64 = 14.;
const SIZE: f64 = 14.;
const LINE: f64 = 22.;
/// The space on each side of a word in its box.
const PADDING: f64 = 4.;
/// The space between two boxes.
const BETWEEN: f64 = 4.;

/// Sets texts and boxed words one behind the other, and breaks lines where they are full.
pub(super) struct Lettering {
    x: f64,
    y: f64,
    marks: String,
}

/// What was set, and how high it came to be.
pub(super) struct Placed {
    marks: String,
    height: f64,
}

impl Lettering {
    pub(super) fn new() -> Self {
        Self { x: MARGIN, y: MARGIN + SIZE, marks: String::new() }
    }

    /// Words without a box; broken between words where a line is full.
    pub(super) fn text(&mut self, text: &str, colour: &str, bold: bool) {
        for word in text.split_inclusive(' ') {
            let width = width(word);
            self.make_room(width);
            let weight = if bold { " font-weight=\"600\"" } else { "" };
            self.letters(word.trim_end(), width_or(word.trim_end(), width), colour, weight);
            self.x += width;
        }
    }

    /// A word in a box, with a title that tells its value; dotted below if it speaks against.
    pub(super) fn boxed(&mut self, word: &str, title: &str, colour: &str, ground: &str, dotted: bool) {
        let letters = width(word).min(WIDTH - 2. * (MARGIN + PADDING));
        let width = letters + 2. * PADDING;
        self.make_room(width);
        let top = self.y - SIZE;
        self.marks.push_str(&format!(
            "<g><title>{}: {title}</title><rect x=\"{:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\" rx=\"3\" \
             fill=\"{ground}\"/>",
            escape(word),
            self.x,
            SIZE + 5.
        ));
        self.x += PADDING;
        self.letters(word, letters, colour, "");
        if dotted {
            let line = self.y + 3.;
            self.marks.push_str(&format!(
                "<line x1=\"{:.1}\" y1=\"{line:.1}\" x2=\"{:.1}\" y2=\"{line:.1}\" stroke=\"{colour}\" stroke-dasharray=\"2 2\"/>",
                self.x,
                self.x + letters
            ));
        }
        self.marks.push_str("</g>");
        self.x += width - PADDING + BETWEEN;
    }

    pub(super) fn space(&mut self, width: f64) {
        self.x += width;
    }

    /// A line from margin to margin above what comes next.
    pub(super) fn rule(&mut self, colour: &str) {
        let y = self.y - SIZE - 4.;
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

    fn make_room(&mut self, width: f64) {
        if self.x + width > WIDTH - MARGIN && self.x > MARGIN {
            self.line_break(1.15);
        }
    }

    fn letters(&mut self, text: &str, width: f64, colour: &str, attributes: &str) {
        if text.is_empty() {
            return;
        }
        self.marks.push_str(&format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\" textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\"\
             {attributes}>{}</text>",
            self.x,
            self.y,
            escape(text)
        ));
    }
}

impl Placed {
    /// The picture; `description` is for those who cannot see it.
    pub(super) fn svg(&self, description: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" viewBox=\"0 0 {WIDTH} \
             {height:.0}\" font-family=\"sans-serif\" font-size=\"{SIZE}\" role=\"img\"><desc>{}</desc><rect width=\"100%\" \
             height=\"100%\" fill=\"{GROUND}\"/>{}</svg>",
            escape(description),
            self.marks,
            height = self.height,
        )
    }
}

fn width_or(text: &str, full: f64) -> f64 {
    width(text).min(full)
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

/// About how wide a text is in a sans-serif font; the picture then fits the letters to it.
pub(super) fn width(text: &str) -> f64 {
    let share = |c: char| match c {
        'i' | 'j' | 'l' | 'ì' | 'í' | 'ỉ' | 'ĩ' | 'ị' | '.' | ',' | ':' | ';' | '!' | '|' | '\'' => 0.29,
        'f' | 'r' | 't' | ' ' | '(' | ')' | '[' | ']' => 0.37,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.88,
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' => 0.,
        c if c.is_uppercase() => 0.68,
        c if (c as u32) >= 0x1100 && !('\u{1e00}'..='\u{1fff}').contains(&c) => 1.1,
        _ => 0.58,
    };
    text.chars().map(share).sum::<f64>() * SIZE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_where_they_are_full_and_nothing_leaves_the_page() {
        let mut page = Lettering::new();
        for _ in 0..40 {
            page.boxed("giao_hàng", "+0.1", "#000", "#fff", false);
            assert!(page.x - BETWEEN <= WIDTH - MARGIN + 1e-6);
        }
        assert!(page.y > MARGIN + SIZE + LINE);
        page.boxed(&"dài".repeat(200), "+0.1", "#000", "#fff", true);
        assert!(page.x - BETWEEN <= WIDTH - MARGIN + 1e-6);
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
        page.boxed("<script>", "+0.1", "#000", "#fff", false);
        page.text("a & b", "#000", true);
        let svg = page.placed().svg("\"<x>\"");
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;") && !svg.contains("<x>"));
    }
}
