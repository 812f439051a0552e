//! Models at work: each version with its queue and its threads.

pub(crate) mod catalog;
pub(crate) mod queue;
pub(crate) mod rows;
pub(crate) mod running;
