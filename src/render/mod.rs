//! How results are displayed: functions to HTML, SVG and text, pure but for the theme that they draw in.
//!
//! Every figure paints its own background, so that it looks the same wherever it is shown: white unless its
//! [`Theme`] is dark. It uses inline styles only, so that it survives in viewers without scripts or style sheets.

mod axis;
mod batch;
mod beeswarm;
mod bidi;
mod bins;
mod canvas;
mod captioned;
mod chart;
mod colour;
mod dependence;
mod drawing;
mod features;
mod figure;
mod force;
mod heatmap;
mod html;
mod interaction;
mod labels;
mod layer_map;
mod lettering;
mod measure;
mod method;
mod models;
mod notebook;
mod palette;
#[cfg(feature = "png")]
mod png;
mod results;
mod row;
mod shades;
mod shown_as;
mod svg;
mod swarm;
mod table;
mod tensor;
mod theme;
mod values;
mod waterfall;

pub use beeswarm::Beeswarm;
pub use captioned::captioned;
pub use chart::Chart;
pub use dependence::Dependence;
pub use features::Example;
pub use figure::{Figure, Show, page_of};
pub use force::Force;
pub use heatmap::Heatmap;
pub use layer_map::LayerMap;
pub use palette::Palette;
#[cfg(feature = "png")]
pub use png::from_svg as png_from_svg;
pub use row::Row;
pub use table::{Cells, Table};
pub use theme::{Theme, Themed, set_theme};
pub use waterfall::Waterfall;
