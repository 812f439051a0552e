//! What can show itself.

use super::{html, notebook};
use crate::error::{Error, Result};

/// Something that shows itself below a notebook cell, and as text or HTML anywhere else.
pub trait Figure {
    /// A self-contained piece of HTML with inline styles only.
    fn html(&self) -> String;

    /// The same content for a terminal.
    fn text(&self) -> String;

    /// A standalone SVG, for a figure that is a chart.
    fn svg(&self) -> Option<String> {
        None
    }
}

/// What the notebook kernel calls on the last value of a cell. In scope through the prelude, it
/// makes a `Result` of a figure show itself too.
pub trait Show {
    /// Shows the value below the cell.
    fn evcxr_display(&self);
}

impl<F: Figure> Show for F {
    fn evcxr_display(&self) {
        let mut forms = vec![("text/html", html::framed(&self.html())), ("text/plain", self.text())];
        if let Some(svg) = self.svg() {
            forms.push(("image/svg+xml", svg));
        }
        notebook::display(&forms);
    }
}

impl<F: Figure> Show for Result<F, Error> {
    fn evcxr_display(&self) {
        match self {
            Ok(figure) => figure.evcxr_display(),
            Err(error) => notebook::complain(error),
        }
    }
}

impl<F: Figure + ?Sized> Figure for &F {
    fn html(&self) -> String {
        (**self).html()
    }

    fn text(&self) -> String {
        (**self).text()
    }

    fn svg(&self) -> Option<String> {
        (**self).svg()
    }
}
