//! Several figures in one cell.

use super::Figure;
use super::svg::size;
use super::theme::Theme;
use crate::error::{Error, Result};

/// Figures side by side, made with [`row!`](crate::row); they wrap if there is no room.
/// [`theme`](Figure::theme) chooses light or dark, for the figures that have not chosen themselves.
#[derive(Clone, Debug, Default)]
pub struct Row {
    figures: Vec<Forms>,
}

/// A figure in its forms.
#[derive(Clone, Debug)]
pub struct Forms {
    text: String,
    light: Drawn,
    dark: Drawn,
}

#[derive(Clone, Debug)]
struct Drawn {
    html: String,
    svg: Option<String>,
}

impl Forms {
    fn of(figure: &impl Figure) -> Self {
        let drawn = |theme: Theme| theme.draws(|| Drawn { html: figure.html(), svg: figure.svg() });
        Self { text: figure.text(), light: drawn(Theme::Light), dark: drawn(Theme::Dark) }
    }

    fn drawn(&self) -> &Drawn {
        match Theme::current() {
            Theme::Light => &self.light,
            Theme::Dark => &self.dark,
        }
    }
}

impl Row {
    /// The same row with one more figure on the right.
    pub fn with(mut self, figure: impl IntoFigure) -> Result<Self> {
        self.figures.push(figure.into_forms()?);
        Ok(self)
    }
}

/// A figure, or a `Result` of one.
pub trait IntoFigure {
    /// The figure in its forms.
    fn into_forms(self) -> Result<Forms>;
}

impl<F: Figure> IntoFigure for F {
    fn into_forms(self) -> Result<Forms> {
        Ok(Forms::of(&self))
    }
}

impl<F: Figure> IntoFigure for &Result<F, Error> {
    fn into_forms(self) -> Result<Forms> {
        self.as_ref().map_err(Error::clone).and_then(IntoFigure::into_forms)
    }
}

impl Figure for Row {
    fn html(&self) -> String {
        let cells: String = self
            .figures
            .iter()
            .map(|figure| {
                // As wide as it must be, so that a wide table does not lie over its neighbour.
                let room = "flex:1 1 300px;min-width:min-content;max-width:560px";
                format!("<div style=\"{room}\">{}</div>", figure.drawn().html)
            })
            .collect();
        format!("<div style=\"display:flex;flex-wrap:wrap;gap:12px;align-items:flex-start\">{cells}</div>")
    }

    fn text(&self) -> String {
        self.figures.iter().map(|figure| figure.text.as_str()).collect::<Vec<_>>().join("\n\n")
    }

    /// The pictures side by side; `None` if one of the figures is not a picture.
    fn svg(&self) -> Option<String> {
        let mut parts = String::new();
        let (mut width, mut height) = (0., 0.);
        for figure in &self.figures {
            let drawing = figure.drawn().svg.as_deref()?;
            let inside = drawing.get(drawing.find("<svg")? + "<svg".len()..)?;
            parts += &format!("<svg x=\"{width}\"{inside}");
            let (own_width, own_height) = size(drawing)?;
            width += own_width;
            height = own_height.max(height);
        }
        let size = format!("width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\"");
        Some(format!("<svg {size} xmlns=\"http://www.w3.org/2000/svg\">{parts}</svg>"))
    }
}

/// Figures side by side in one cell: `row![chart, table, another?]`. It borrows the figures, takes
/// those that may fail with or without `?`, and gives a `Result`.
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
