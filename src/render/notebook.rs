//! The one place that knows how the notebook kernel takes rich output.

use std::io::Write;

/// Hands a figure to the notebook: each form between the kernel's markers.
pub(super) fn display(forms: &[(&str, String)]) {
    let mut out = std::io::stdout().lock();
    for (mime, body) in forms {
        // A notebook that has gone away cannot be told so.
        let _ = writeln!(out, "EVCXR_BEGIN_CONTENT {mime}\n{body}\nEVCXR_END_CONTENT");
    }
    let _ = out.flush();
}

/// Tells the notebook of an error: it stands below the cell in the error stream.
pub(super) fn complain(error: &crate::Error) {
    let _ = writeln!(std::io::stderr(), "{error}");
}
