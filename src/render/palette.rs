//! The colours of signed numbers.

use super::html::{FAINT, INK, NEGATIVE, POSITIVE};

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
pub(super) fn plain(value: f64) -> &'static str {
    if value < 0. { "#c85a0f" } else { "#1f5fa5" }
}

impl Palette {
    /// The background of a number, stronger the nearer the number is to `largest`.
    pub(super) fn ground(self, value: f64, largest: f64) -> String {
        let share = if largest > 0. { (value.abs() / largest).min(1.) * STRONGEST } else { 0. };
        let (red, green, blue) = match (self, value < 0.) {
            (Palette::BlueOrange, false) => POSITIVE,
            (Palette::BlueOrange, true) => NEGATIVE,
            (Palette::GreenRed, false) => (32, 160, 32),
            (Palette::GreenRed, true) => (214, 40, 40),
        };
        let blend = |channel: u8| (255. - share * (255. - f64::from(channel))).round() as u8;
        format!("#{:02x}{:02x}{:02x}", blend(red), blend(green), blend(blue))
    }

    /// The colour of letters on that background; those of special tokens are faint where the background is.
    pub(super) fn ink(self, special: bool, value: f64, largest: f64) -> &'static str {
        const FAINT_UP_TO: f64 = 0.25;
        if special && value.abs() <= FAINT_UP_TO * largest { FAINT } else { INK }
    }
}
