//! The models that are served, with everything between a record and its answer, and how they are loaded.

pub(crate) mod archive;
pub(crate) mod ask;
pub(crate) mod handler;
pub(crate) mod parameters;
pub(crate) mod readable;
pub(crate) mod servable;
pub(crate) mod tabular;
pub(crate) mod tabular_model;
pub(crate) mod texts;
pub(crate) mod titanic;
pub(crate) mod watched;
