//! Predictions with their reasons over HTTP.
//!
//! [`Server`] answers as TorchServe does, on its three ports; speaks KServe's V1 and V2 protocols on
//! the first; and shows a page to try models with. It serves the Titanic network, text classifiers
//! and any model that implements [`TabularModel`]. What it takes and answers is described at
//! `/api-description`.
//!
//! Requests for the same model that ask the same are computed together, except predictions that take
//! less than being handed on ([`TabularModel::is_quick`]). A model that fails on one request costs that
//! request alone.

#![warn(missing_docs)]

mod answers;
mod body;
mod failure;
mod files;
#[cfg(fuzzing)]
pub mod fuzzing;
mod json;
mod json_lines;
mod metrics;
mod models;
mod ports;
mod request;
mod routes;
mod settings;
mod work;

pub use json_lines::{JsonLines, JsonLinesSummary};
pub use models::archive::Archive;
pub use models::tabular_model::{Feature, Field, TabularModel};
pub use models::titanic::TitanicModel;
pub use ports::server::{BoundServer, Server};
pub use settings::Settings;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
