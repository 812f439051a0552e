//! The only place that knows how the notebook kernel takes rich output.

use std::io::Write;

/// Gives a figure to the notebook: each form between the kernel's markers.
pub(super) fn display(forms: &[(&str, String)]) {
    let mut out = std::io::stdout().lock();
    for (mime, body) in forms {
        // If the notebook is gone, nobody can be told.
        let _ = writeln!(out, "EVCXR_BEGIN_CONTENT {mime}\n{body}\nEVCXR_END_CONTENT");
    }
    let _ = out.flush();
}

/// Shows an error below the notebook cell, through the error stream.
pub(super) fn complain(error: &crate::Error) {
    let _ = writeln!(std::io::stderr(), "{error}");
}
