//! What the trainers share: named parameters, the loss, the optimiser, and a check of the gradients
//! before the first epoch.

mod adam;
mod differences;
mod effort;
mod gradients;
mod in_place;
mod loss;
mod parameters;
mod probe;
mod reached;
mod weights;

pub(crate) use adam::Adam;
pub(crate) use differences::check_differences;
pub(crate) use effort::Effort;
pub(crate) use gradients::Gradients;
pub(crate) use in_place::pair;
pub(crate) use loss::cross_entropy;
pub use parameters::Parameters;
pub(crate) use reached::check_reached;
