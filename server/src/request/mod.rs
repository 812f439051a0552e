//! Reading requests: keys, bodies, rows.

pub(crate) mod aside;
pub(crate) mod csv_rows;
pub(crate) mod payload;
pub(crate) mod token;
