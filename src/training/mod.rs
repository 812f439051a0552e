//! What the trainers share: parameters with names, the loss, the steps, and a look at the gradients
//! before the first epoch.

mod adam;
mod gradient_check;
mod loss;
mod parameters;

pub(crate) use adam::Adam;
pub(crate) use gradient_check::{check_differences, check_reached};
pub(crate) use loss::cross_entropy;
pub use parameters::Parameters;
