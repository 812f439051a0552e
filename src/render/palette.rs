//! The colours of signed numbers.

use super::colour::Colour;
use super::theme::colours;

/// The colours of numbers above and below 0. With any palette, words that speak against the class
/// also get a dotted underline, so that nobody depends on colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Palette {
    /// Blue for and orange against: colour-blind readers can tell them apart.
    #[default]
    BlueOrange,
    /// Green for and red against, as in Captum.
    GreenRed,
}

/// How much of a colour the strongest number gets: the text on it stays readable.
const STRONGEST: f64 = 0.6;

/// The full colour of a number, for bars.
pub(super) fn plain(value: f64) -> Colour {
    if value < 0. { colours().orange } else { colours().blue }
}

impl Palette {
    /// The background of a number, stronger the nearer the number is to `largest`.
    pub(super) fn ground(self, value: f64, largest: f64) -> Colour {
        let share = if largest > 0. { (value.abs() / largest).min(1.) * STRONGEST } else { 0. };
        let colours = colours();
        let strong = match (self, value < 0.) {
            (Palette::BlueOrange, false) => colours.blue,
            (Palette::BlueOrange, true) => colours.orange,
            (Palette::GreenRed, false) => colours.green,
            (Palette::GreenRed, true) => colours.red,
        };
        colours.ground.towards(strong, share)
    }

    /// The colour of letters on that background; those of special tokens are faint where the background is.
    pub(super) fn ink(self, special: bool, value: f64, largest: f64) -> Colour {
        const FAINT_UP_TO: f64 = 0.25;
        if special && value.abs() <= FAINT_UP_TO * largest { colours().faint } else { colours().ink }
    }
}
