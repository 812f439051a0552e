//! What attribution methods are made of.

mod attributions;
mod baseline;
mod expansion;
mod gradient;
mod integral;
mod layer_names;
mod method;
mod neuron;
mod options;
mod path;
mod path_settings;
mod quadrature;
mod question;
mod refinement;
mod series;
mod target;

pub(crate) use attributions::Convergence;
pub use attributions::{Attributions, Column};
pub use baseline::Baseline;
pub(crate) use expansion::Expansion;
pub(crate) use gradient::{Sample, check_finite};
pub(crate) use integral::{Integral, Integrand, integrate, walk};
pub use layer_names::LayerNames;
pub(crate) use method::define_methods;
pub use method::{Attribute, Build, Cost, Family, MethodInfo};
pub use neuron::Neuron;
pub use options::Options;
pub(crate) use path::Path;
pub use path_settings::PathSettings;
pub(crate) use path_settings::path_setters;
pub use quadrature::Quadrature;
pub(crate) use question::{Question, activations};
pub(crate) use refinement::{Stieltjes, refine};
pub use series::Series;
pub use target::Target;
