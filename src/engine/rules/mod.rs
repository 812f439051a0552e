//! The rules by which gradients pass through blocks.

mod captum;
mod gradient;
mod largest;
mod local;
mod pair;
mod rectified;
mod relevance;
mod rescale;

pub(crate) use rectified::{Passing, Rectified};
pub(crate) use relevance::Relevance;
pub(crate) use rescale::Rescale;
