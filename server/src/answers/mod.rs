//! Answers: what is told of each row, in the form that was asked for.

pub(crate) mod accept;
pub(crate) mod answer;
pub(crate) mod told;
