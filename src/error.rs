//! The one error type: what was expected, what came, what to do.

use std::fmt;

/// What every fallible function of the crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error whose message says what was expected, what came and what to do.
///
/// The message is written for a person who reads it below a notebook cell; programs
/// use [`Error::kind`].
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    /// Whether the number of rows of a pass may be its cause.
    may_be_of_rows: bool,
}

/// The kind of an error, for programs that must tell errors apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument is out of its range or of the wrong shape.
    Input,
    /// The model does not name the layer asked for, or names it twice.
    Layer,
    /// No gradient reaches the tensor that is to be attributed.
    Gradient,
    /// A value is NaN or infinite.
    NotFinite,
    /// A file is missing, truncated, or not what it should be.
    File,
    /// The tensor library refused an operation.
    Tensor,
    /// An observer ended the call.
    Cancelled,
}

impl Error {
    /// An error of this kind; [`error!`](crate::error!) and [`bail!`](crate::bail!) format its message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), may_be_of_rows: kind != ErrorKind::Cancelled }
    }

    /// The same error, which would come with any number of rows: it is not tried again row by row.
    pub(crate) fn whatever_the_rows(self) -> Self {
        Self { may_be_of_rows: false, ..self }
    }

    /// Whether a pass of fewer rows may do better.
    pub(crate) fn may_be_of_rows(&self) -> bool {
        self.may_be_of_rows
    }

    /// What kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The same error, its message preceded by the place where it arose.
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self { message: format!("{place}: {}", self.message), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::new(ErrorKind::Tensor, without_backtrace(&error))
    }
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        candle_core::Error::Msg(error.message)
    }
}

/// candle wraps an error in its backtrace when `RUST_BACKTRACE` is set, as it is in notebooks.
fn without_backtrace(error: &candle_core::Error) -> String {
    use candle_core::Error::{Context, WithBacktrace, WithPath, WrappedContext};
    match error {
        WithBacktrace { inner, .. } => without_backtrace(inner),
        Context { inner, context } => format!("{context}: {}", without_backtrace(inner)),
        WithPath { inner, path } => format!("{}: {}", path.display(), without_backtrace(inner)),
        WrappedContext { wrapped, context } => match wrapped.downcast_ref() {
            Some(inner) => format!("{context}: {}", without_backtrace(inner)),
            None => format!("{context}: {wrapped}"),
        },
        other => other.to_string(),
    }
}

/// Returns an [`Error`](crate::Error) of a kind: `bail!(Input, "the row has {count} numbers: expected 12")`.
#[macro_export]
macro_rules! bail {
    ($kind:ident, $($message:tt)+) => {
        return Err($crate::error!($kind, $($message)+))
    };
}

/// An [`Error`](crate::Error) of a kind: `error!(File, "cannot read {}", path.display())`.
#[macro_export]
macro_rules! error {
    ($kind:ident, $($message:tt)+) => {
        $crate::Error::new($crate::ErrorKind::$kind, format!($($message)+))
    };
}

pub(crate) use {bail, error};
