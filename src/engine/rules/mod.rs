//! The rules by which gradients pass through blocks.

mod captum;
mod gradient;
mod largest;
mod local;
mod pair;
mod relevance;
mod rescale;

pub(crate) use relevance::Relevance;
pub(crate) use rescale::Rescale;
