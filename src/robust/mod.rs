//! Attacks: the small change of an input that misleads the model most.

mod attack;
mod fgsm;
mod pgd;

pub use fgsm::FGSM;
pub use pgd::{Norm, PGD};
