//! The only place that knows how the notebook kernel takes rich output.

use std::io::Write;

use crate::progress;

/// Gives a figure to the notebook: each form between the kernel's markers.
pub(super) fn display(forms: &[(&str, String)]) {
    let mut out = std::io::stdout().lock();
    for (mime, body) in forms {
        // If the notebook is gone, nobody can be told.
        let _ = writeln!(out, "EVCXR_BEGIN_CONTENT {mime}\n{body}\nEVCXR_END_CONTENT");
    }
    let _ = out.flush();
}

/// Ends the notebook cell with an error. evcxr's kernel has no way to do so for the last value: there the error is text.
pub(super) fn complain(error: &crate::Error) {
    let text = error.to_string();
    let _ = if progress::kernel_is_ours() {
        writeln!(std::io::stdout(), "CANDLE_EXPLAIN_FAILED {}", serde_json::Value::from(text))
    } else {
        writeln!(std::io::stderr(), "{text}")
    };
}
