//! JSON as clients write it, read without losing what is wrong with it.

pub(crate) mod flaws;
pub(crate) mod record;
pub(crate) mod strict;
