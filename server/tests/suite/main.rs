//! The server as its clients see it.

/// A client that speaks HTTP by hand, and a server to speak with.
mod client;

/// What each request gets, and each wrong one in place of it.
mod answers;

/// What the description says of the parameters.
mod description;

/// Parameters that do not fit a model or a method.
mod unfit;

/// Every method that is offered gives the library's numbers.
mod methods;

/// What a method is told besides: each parameter, and each wrong one.
mod parameters;

/// Rows that cannot be answered beside those that can.
mod rows;

/// Models that are registered, swapped, removed, and those that fail.
mod models;

/// Many requests at once: none lost, none crossed.
mod together;

/// KServe's protocols.
mod kserve;

/// JSON lines without a server.
mod lines;
