//! Several figures in one cell.

use super::Figure;
use crate::error::{Error, Result};

/// Figures side by side, made with [`row!`](crate::row); they wrap where there is no room.
#[derive(Clone, Debug, Default)]
pub struct Row {
    figures: Vec<(String, String)>,
}

impl Row {
    /// The same row with one figure more on the right.
    pub fn with(mut self, figure: impl IntoFigure) -> Result<Self> {
        let (html, text) = figure.into_forms()?;
        self.figures.push((html, text));
        Ok(self)
    }
}

/// A figure, or a `Result` of one.
pub trait IntoFigure {
    /// The figure as HTML and as text.
    fn into_forms(self) -> Result<(String, String)>;
}

impl<F: Figure> IntoFigure for F {
    fn into_forms(self) -> Result<(String, String)> {
        Ok((self.html(), self.text()))
    }
}

impl<F: Figure> IntoFigure for &Result<F, Error> {
    fn into_forms(self) -> Result<(String, String)> {
        self.as_ref().map_err(Error::clone).and_then(IntoFigure::into_forms)
    }
}

impl Figure for Row {
    fn html(&self) -> String {
        let cells: String = self
            .figures
            .iter()
            .map(|(html, _)| format!("<div style=\"flex:1 1 300px;max-width:560px\">{html}</div>"))
            .collect();
        format!("<div style=\"display:flex;flex-wrap:wrap;gap:12px;align-items:flex-start\">{cells}</div>")
    }

    fn text(&self) -> String {
        self.figures.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n\n")
    }
}

/// Figures side by side in one cell: `row![chart, table, another?]`. Figures that may fail can
/// be given with or without `?`; none is moved; the whole is a `Result`.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let series = Series::new("loss", vec![1.0, 0.5, 0.25]);
/// let figures = row![series.line(), series.histogram(3)]?;
/// assert!(figures.html().matches("<img").count() == 2);
/// # Ok::<(), Error>(())
/// ```
#[macro_export]
macro_rules! row {
    ($($figure:expr),+ $(,)?) => {
        Ok::<_, $crate::Error>($crate::render::Row::default())
            $(.and_then(|row| row.with(&$figure)))+
    };
}
