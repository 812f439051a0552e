//! The answer for each row, in the format that was asked for.

pub(crate) mod accept;
pub(crate) mod answer;
pub(crate) mod told;
