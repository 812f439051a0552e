//! Marks on a picture that is drawn without plotters.

use super::axis::Axis;
use super::colour::Colour;
use super::html::escape;
use super::lettering::SIZE;
use super::measure;
use super::theme::{Colours, colours};

/// The size of letters.
const LETTERS: f64 = 12.;
const TITLE: f64 = 16.;
pub(super) const MARGIN: f64 = 14.;
/// The line that a title stands on.
const TITLE_LINE: f64 = 26.;
/// How far the numbers of an axis stand below it.
const BELOW_AXIS: f64 = 17.;

/// On which side of its place a text ends.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture of a given width, drawn mark by mark.
pub(super) struct Canvas {
    width: f64,
    marks: String,
}

/// The stretch of a picture that an axis takes, in pixels.
#[derive(Clone)]
pub(super) struct Stretch {
    pub(super) axis: Axis,
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Stretch {
    /// Where a number lies.
    pub(super) fn at(&self, value: f64) -> f64 {
        self.from + (self.to - self.from) * self.axis.share(value)
    }

    /// The ticks of an axis along the bottom, with their texts.
    pub(super) fn ticks_below(&self) -> Vec<(f64, String)> {
        self.ticks(|text| wide(text) + 14.)
    }

    /// The ticks with their texts; fewer if the texts are too wide for their distance.
    fn ticks(&self, room: impl Fn(&str) -> f64) -> Vec<(f64, String)> {
        let ticks = self.axis.texts();
        let widest = ticks.iter().map(|(_, _, text)| room(text)).fold(1., f64::max);
        let most = ((self.to - self.from).abs() / widest).floor().max(1.);
        let every = (ticks.len() as f64 / most).ceil().max(1.) as i64;
        let kept = ticks.into_iter().filter(|(number, _, _)| number.rem_euclid(every) == 0);
        kept.map(|(_, share, text)| (self.from + (self.to - self.from) * share, text)).collect()
    }
}

impl Canvas {
    pub(super) fn new(width: f64) -> Self {
        Self { width, marks: String::new() }
    }

    pub(super) fn push(&mut self, mark: &str) {
        self.marks.push_str(mark);
    }

    /// The title, cut if it is wider than the picture.
    pub(super) fn title(&mut self, title: &str) {
        let ink = colours().ink;
        let room = (self.width - 2. * MARGIN) * SIZE / TITLE / 1.1;
        self.push(&format!(
            "<text x=\"{MARGIN}\" y=\"{TITLE_LINE}\" font-size=\"{TITLE}\" font-weight=\"600\" fill=\"{ink}\">{}</text>",
            escape(&measure::shortened(title, room))
        ));
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, colour: Colour, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        self.push(&format!("<text x=\"{x:.1}\" y=\"{y:.1}\"{anchor} fill=\"{colour}\">{}</text>", escape(text)));
    }

    /// A text in the middle of its place, moved so far that it stays between the margins.
    pub(super) fn text_within(&mut self, (x, y): (f64, f64), colour: Colour, text: &str) {
        let half = 0.5 * wide(text);
        let x = x.min(self.width - MARGIN - half).max(MARGIN + half);
        self.text((x, y), Anchor::Middle, colour, text);
    }

    /// A text that runs upwards, with its middle at this place.
    pub(super) fn upwards(&mut self, (x, y): (f64, f64), colour: Colour, text: &str) {
        self.push(&format!(
            "<text transform=\"translate({x:.1} {y:.1}) rotate(-90)\" text-anchor=\"middle\" fill=\"{colour}\">{}</text>",
            escape(text)
        ));
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: Colour, dashed: bool) {
        let dashes = if dashed { " stroke-dasharray=\"3 3\"" } else { "" };
        self.push(&format!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"{dashes}/>",
            from.0, from.1, to.0, to.1
        ));
    }

    /// A text on the ground of the picture, so that no line runs through it.
    pub(super) fn text_on_ground(&mut self, (x, y): (f64, f64), anchor: Anchor, colour: Colour, text: &str) {
        let room = wide(text);
        let left = match anchor {
            Anchor::Start => x,
            Anchor::Middle => x - 0.5 * room,
            Anchor::End => x - room,
        };
        self.rectangle((left - 2., y - LETTERS), room + 4., LETTERS + 4., colours().ground);
        self.text((x, y), anchor, colour, text);
    }

    pub(super) fn polygon(&mut self, corners: &[(f64, f64)], colour: Colour, tooltip: &str) {
        let corners: Vec<String> = corners.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.push(&format!(
            "<polygon points=\"{}\" fill=\"{colour}\"><title>{}</title></polygon>",
            corners.join(" "),
            escape(tooltip)
        ));
    }

    pub(super) fn rectangle(&mut self, (x, y): (f64, f64), width: f64, height: f64, colour: Colour) {
        self.push(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
        ));
    }

    /// Dots of one size, each with its colour.
    pub(super) fn dots(&mut self, dots: impl IntoIterator<Item = ((f64, f64), Colour)>, radius: f64) {
        self.push("<g stroke=\"none\">");
        for ((x, y), colour) in dots {
            self.push(&format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"/>"));
        }
        self.push("</g>");
    }

    /// An axis along the bottom, with lines up from its ticks.
    pub(super) fn axis_below(&mut self, across: &Stretch, ticks: &[(f64, String)], (top, bottom): (f64, f64)) {
        let &Colours { ink, faint, line, .. } = colours();
        for (x, text) in ticks {
            self.line((*x, top), (*x, bottom), line, false);
            self.text((*x, bottom + BELOW_AXIS), Anchor::Middle, faint, text);
        }
        self.line((across.from, bottom), (across.to, bottom), ink, false);
    }

    /// An axis at the left, with lines to the right from its ticks.
    pub(super) fn axis_beside(&mut self, upwards: &Stretch, (left, right): (f64, f64)) {
        let &Colours { ink, faint, line, .. } = colours();
        for (y, text) in upwards.ticks(|_| 2. * LETTERS) {
            self.line((left, y), (right, y), line, false);
            self.text((left - 7., y + 4.), Anchor::End, faint, &text);
        }
        self.line((left, upwards.from), (left, upwards.to), ink, false);
    }

    /// The picture; `description` is for those who cannot see it.
    pub(super) fn svg(&self, height: f64, description: &str) -> String {
        let (width, ground) = (self.width, colours().ground);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 \
             {width:.0} {height:.0}\" font-family=\"sans-serif\" font-size=\"{LETTERS}\" role=\"img\"><desc>{}</desc>\
             <rect width=\"100%\" height=\"100%\" fill=\"{ground}\"/>{}</svg>",
            escape(description),
            self.marks
        )
    }
}

/// The room that a text needs on a canvas.
pub(super) fn wide(text: &str) -> f64 {
    measure::room(text) * LETTERS / SIZE
}

/// A name among others, cut if it does not fit, so that it is not taken for one of them.
pub(super) fn cut<'a>(name: &str, all: impl IntoIterator<Item = &'a String>, room: f64) -> String {
    measure::shortened_among(name, all.into_iter().map(String::as_str), room * SIZE / LETTERS)
}
