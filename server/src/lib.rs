//! Predictions and explanations over HTTP.
//!
//! [`Server`] answers like TorchServe on its three ports, speaks KServe's V1 and V2 protocols on
//! the first, and has a page to try models with. It serves the Titanic network, text classifiers
//! and any model that implements [`TabularModel`]. `/api-description` describes its requests and
//! answers.
//!
//! Requests that ask the same of a model are computed together, except quick predictions
//! ([`TabularModel::is_quick`]). If a model fails on one request, the others are not affected.

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
