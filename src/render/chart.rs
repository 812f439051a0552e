//! Charts.

use super::captioned::captioned;
use super::html::{self, number};
use super::{Figure, bins, drawing};
use crate::engine::Series;
use crate::error::{Result, bail};
use crate::text::StrongestWords;
use crate::visible::visible;

/// How many bars a chart draws.
const MOST_BARS: usize = 500;

/// A chart: bars, a histogram, a binned scatter or a line. A notebook displays it, and
/// [`Chart::svg`](Figure::svg) gives the picture.
/// [`theme`](Figure::theme) draws it in light or dark.
#[derive(Clone, Debug)]
pub struct Chart {
    pub(super) title: String,
    pub(super) x_label: String,
    pub(super) y_label: String,
    pub(super) kind: Kind,
    /// What the picture does not show.
    remarks: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// One signed bar for each label.
    Bars(Vec<(String, f64)>),
    /// Bins of the same width, with the number of values in each.
    Histogram { edges: Vec<f64>, counts: Vec<usize> },
    /// The mean of each bin at the bin's middle, with the number of values in it.
    Scatter(Vec<Bin>),
    /// Values over 0, 1, 2, ...
    Line(Vec<f64>),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Bin {
    pub(super) middle: f64,
    pub(super) mean: f64,
    pub(super) count: usize,
}

impl Series {
    /// One bar for each value, with these labels: blue above 0 and orange below. Columns that a feature mask joined are
    /// one bar. If there are more than 500, only the 500 farthest from 0 are drawn, in order, and the chart says so.
    pub fn bars(&self, labels: impl IntoIterator<Item = impl Into<String>>) -> Result<Chart> {
        let labelled = self.clone().with_labels(labels)?.by_feature();
        let values = labelled.values();
        drawable(self.name(), values)?;
        let mut drawn = labelled.ranking();
        drawn.truncate(MOST_BARS);
        drawn.sort_unstable();
        let bars = drawn.iter().map(|&index| (labelled.labels()[index].clone(), values[index])).collect();
        let mut chart = Chart::new(self.name(), "", "attribution", Kind::Bars(bars));
        if drawn.len() < labelled.len() {
            chart.remarks.push(format!("{MOST_BARS} of {} bars: those farthest from 0", labelled.len()));
        }
        chart.remarks.extend(self.remark());
        Ok(chart)
    }

    /// How often values fall into each of `bins` bins of the same width, 10,000 at most.
    pub fn histogram(&self, bins: usize) -> Result<Chart> {
        let title = format!("Distribution of {}", self.name());
        let of_features = self.by_feature();
        let values = of_features.values();
        drawable(&title, values)?;
        let edges = bins::edges(values, bins)?;
        let mut counts = vec![0; bins];
        values.iter().for_each(|value| counts[bins::of(*value, &edges)] += 1);
        Ok(Chart::new(title, self.name(), "count", Kind::Histogram { edges, counts }))
    }

    /// The mean of these values in each of `bins` bins of another series, 10,000 at most: how an attribution
    /// depends on the feature's own value. Larger dots stand for more examples; a bin without one has no dot. A dot's
    /// number of examples stands beside it where it hides nothing, and always in the text.
    pub fn binned_scatter(&self, over: &Series, bins: usize) -> Result<Chart> {
        if over.len() != self.len() {
            bail!(
                Input,
                "{} values of \"{}\" over {} of \"{}\": expected one for each",
                self.len(),
                self.name(),
                over.len(),
                over.name()
            )
        }
        let title = format!("Mean attribution by value of {}", over.name());
        drawable(over.name(), over.values())?;
        drawable(&title, self.values())?;
        let edges = bins::edges(over.values(), bins)?;
        let mut fallen = vec![Vec::new(); bins];
        for (value, position) in self.values().iter().zip(over.values()) {
            fallen[bins::of(*position, &edges)].push(*value);
        }
        let filled = fallen.iter().zip(edges.windows(2)).filter(|(values, _)| !values.is_empty());
        let dot = |(values, edge): (&Vec<f64>, &[f64])| Bin {
            middle: 0.5 * edge[0] + 0.5 * edge[1],
            mean: bins::mean(values),
            count: values.len(),
        };
        let dots = filled.map(dot).collect();
        Ok(Chart::new(title, over.name(), "mean attribution", Kind::Scatter(dots)))
    }

    /// The values in their order, joined by a line.
    pub fn line(&self) -> Result<Chart> {
        drawable(self.name(), self.values())?;
        Ok(Chart::new(self.name(), "step", self.name(), Kind::Line(self.values().to_vec())))
    }
}

impl StrongestWords {
    /// A bar for each word, the strongest on top: how much it moved all predictions together.
    pub fn bars(&self) -> Result<Chart> {
        let series = self.series()?;
        let chart = series.bars(series.labels().iter().cloned())?;
        Ok(chart.axes("", format!("sum of attributions for «{}»", self.class())))
    }
}

/// An error if there is nothing to draw, or a value has no place on an axis.
fn drawable(title: &str, values: &[f64]) -> Result<()> {
    if values.is_empty() {
        bail!(Input, "there is nothing to draw for \"{title}\": the series is empty")
    }
    if let Some(position) = values.iter().position(|value| !value.is_finite()) {
        bail!(NotFinite, "\"{title}\" cannot be drawn: value {position} is {}", values[position])
    }
    let (low, high) = bins::range(values.iter().copied());
    if !(high - low).is_finite() {
        bail!(Input, "\"{title}\" cannot be drawn: its values reach from {low:e} to {high:e}")
    }
    Ok(())
}

impl Chart {
    fn new(title: impl Into<String>, x_label: &str, y_label: &str, kind: Kind) -> Self {
        let [x_label, y_label] = [x_label, y_label].map(str::to_string);
        Self { title: title.into(), x_label, y_label, kind, remarks: Vec::new() }
    }

    /// The same chart under another title.
    pub fn title(&self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self.clone() }
    }

    /// The same chart with other names on its axes; bars run along the second one.
    pub fn axes(&self, x_label: impl Into<String>, y_label: impl Into<String>) -> Self {
        Self { x_label: x_label.into(), y_label: y_label.into(), ..self.clone() }
    }

    fn draw(&self) -> String {
        captioned(drawing::svg(self), &self.remarks)
    }
}

impl Figure for Chart {
    fn html(&self) -> String {
        html::image(&self.draw(), &self.text())
    }

    fn text(&self) -> String {
        let lines: Vec<String> = match &self.kind {
            Kind::Bars(bars) => bars.iter().map(|(label, value)| format!("{label}: {}", number(*value))).collect(),
            Kind::Histogram { edges, counts } => vec![format!(
                "{} values in {} bins from {} to {}",
                counts.iter().sum::<usize>(),
                counts.len(),
                number(edges[0]),
                number(edges[edges.len() - 1])
            )],
            Kind::Scatter(bins) => bins
                .iter()
                .map(|bin| format!("at {}: {} ({} examples)", number(bin.middle), number(bin.mean), bin.count))
                .collect(),
            Kind::Line(values) => vec![format!(
                "from {} to {} in {} steps",
                number(values[0]),
                number(values[values.len() - 1]),
                values.len()
            )],
        };
        let lines = std::iter::once(&self.title).chain(&lines).chain(&self.remarks);
        visible(&lines.map(String::as_str).collect::<Vec<_>>().join("\n"))
    }

    fn svg(&self) -> Option<String> {
        Some(self.draw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_drawn_is_an_error() {
        let series = Series::new("x", vec![1., f64::NAN]);
        assert_eq!(series.line().unwrap_err().to_string(), "\"x\" cannot be drawn: value 1 is NaN");
        assert!(Series::new("x", vec![]).histogram(3).is_err());
        assert!(Series::new("x", vec![1.]).histogram(0).is_err());
        assert!(Series::new("x", vec![1.]).bars(["a", "b"]).is_err());
        assert!(Series::new("x", vec![1.]).binned_scatter(&Series::new("y", vec![]), 3).is_err());
    }

    #[test]
    fn small_bars_have_numbers_too() {
        let svg = |values: [f64; 2]| {
            let chart = Series::new("x", values.to_vec()).bars(["a", "b"]).unwrap();
            chart.svg().unwrap()
        };
        let small = svg([1.72e-5, -3e-5]);
        assert!(small.contains("1.72e-5") && small.contains("-3.00e-5"), "{small}");
        let mixed = svg([0.5, -1e-6]);
        assert!(mixed.contains("0.5000") && mixed.contains("0.0000") && !mixed.contains("-0.0000"), "{mixed}");
    }

    #[test]
    fn a_title_is_escaped_in_the_picture() {
        let chart = Series::new("<script>", vec![1., 2.]).line().unwrap();
        assert!(!chart.svg().unwrap().contains("<script>"));
        assert!(!chart.html().contains("<script>"));
    }
}
