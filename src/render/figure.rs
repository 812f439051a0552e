//! Figures: results that can be displayed and saved.

use std::path::Path;

use super::theme::{Theme, Themed};
use super::{html, notebook};

use crate::error::{Error, Result, bail, error};
use crate::file::{cannot_write, write_whole};

/// A result that is displayed below a notebook cell, and as text or HTML anywhere else.
pub trait Figure {
    /// A self-contained piece of HTML with inline styles only.
    fn html(&self) -> String;

    /// The same content for a terminal.
    fn text(&self) -> String;

    /// A standalone SVG, for a figure that can be drawn.
    fn svg(&self) -> Option<String> {
        None
    }

    /// The same figure in this theme, whatever that of the notebook is; called last.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let chart = Series::new("loss", vec![1.0, 0.5, 0.25]).line()?.title("Training");
    /// let both = row![chart, chart.theme(Theme::Dark)]?;
    /// # Ok::<(), Error>(())
    /// ```
    fn theme(&self, theme: Theme) -> Themed<Self>
    where
        Self: Clone,
    {
        Themed::new(self, theme)
    }

    /// The theme that was chosen for it alone; `None` if it follows the notebook's.
    fn own_theme(&self) -> Option<Theme> {
        None
    }

    /// Writes the figure, whole or not at all. The end of the name chooses the format: `.html` (a
    /// page of its own), `.txt`, and for a figure that can be drawn `.svg` and, with the crate's feature
    /// `png`, `.png`.
    fn save(&self, path: impl AsRef<Path>) -> Result<()>
    where
        Self: Sized,
    {
        let path = path.as_ref();
        let drawn = || {
            self.svg().ok_or_else(|| {
                error!(Input, "{}: this figure is not a picture: save it as .html or .txt", path.display())
            })
        };
        let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
        let bytes = match extension.as_deref() {
            Some("html") => page_of(self, &[]).into_bytes(),
            Some("txt") => (self.text() + "\n").into_bytes(),
            Some("svg") => drawn()?.into_bytes(),
            #[cfg(feature = "png")]
            Some("png") => super::png::from_svg(&drawn()?)?,
            #[cfg(not(feature = "png"))]
            Some("png") => {
                bail!(Input, "{}: PNG needs the crate's feature png: save it as .svg, or turn it on", path.display())
            }
            _ => bail!(Input, "{}: expected a name that ends in .html, .txt, .svg or .png", path.display()),
        };
        write_whole(path, |temporary| std::fs::write(temporary, &bytes).map_err(|e| cannot_write(path, e)))
    }
}

/// A page with nothing but this figure in it, and remarks below it.
pub fn page_of(figure: &(impl Figure + ?Sized), remarks: &[String]) -> String {
    let page = || html::page(&html::framed(&(figure.html() + &html::remarks(remarks))));
    theme_of(figure).draws(page)
}

fn theme_of(figure: &(impl Figure + ?Sized)) -> Theme {
    figure.own_theme().unwrap_or_else(Theme::current)
}

/// Displays the last value of a notebook cell: the kernel calls it. In scope through the prelude, it
/// also displays a `Result` of a figure.
pub trait Show {
    /// Shows the value below the cell.
    fn evcxr_display(&self);
}

impl<F: Figure> Show for F {
    fn evcxr_display(&self) {
        let mut forms =
            vec![("text/html", theme_of(self).draws(|| html::framed(&self.html()))), ("text/plain", self.text())];
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

    fn own_theme(&self) -> Option<Theme> {
        (**self).own_theme()
    }
}
