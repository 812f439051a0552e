//! The addresses of the server, and their answers.

pub(crate) mod app;
pub(crate) mod inference;
pub(crate) mod kserve_v1;
pub(crate) mod kserve_v2;
pub(crate) mod management;
pub(crate) mod openapi;
pub(crate) mod page;
mod parameters;
pub(crate) mod schemas;
