//! Ports: connections, and the threads that serve them.

pub(crate) mod connection;
pub(crate) mod lanes;
pub(crate) mod server;
