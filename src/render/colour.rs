//! A colour.

use std::fmt::{Display, Formatter, Result};

/// Red, green and blue; written as in HTML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour(pub(super) u8, pub(super) u8, pub(super) u8);

impl Display for Colour {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

impl Colour {
    /// The colour at a share of the way to another.
    pub(super) fn towards(self, other: Colour, share: f64) -> Colour {
        let channel = |from: u8, to: u8| {
            let (from, to) = (f64::from(from), f64::from(to));
            (from + share * (to - from)).round() as u8
        };
        Colour(channel(self.0, other.0), channel(self.1, other.1), channel(self.2, other.2))
    }
}
