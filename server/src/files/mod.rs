//! Files that requests name.

pub(crate) mod input_directory;
pub(crate) mod remembered;
