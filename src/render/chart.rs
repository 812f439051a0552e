//! Charts, drawn with plotters.

use plotters::coord::ranged1d::{IntoSegmentedCoord, SegmentValue};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::html::{self, NEGATIVE, POSITIVE, number};
use crate::engine::Series;
use crate::error::{Result, bail};
use crate::text::StrongestWords;

const WIDTH: u32 = 560;
const HEIGHT: u32 = 340;
const INK: RGBColor = RGBColor(31, 41, 51);
const GRID: RGBColor = RGBColor(226, 230, 235);

/// A chart: bars, a histogram, a binned scatter or a line. It shows itself in a notebook, and
/// [`Chart::svg`](Figure::svg) gives the picture.
#[derive(Clone, Debug)]
pub struct Chart {
    title: String,
    x_label: String,
    y_label: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
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
struct Bin {
    middle: f64,
    mean: f64,
    count: usize,
}

impl Series {
    /// One bar for each value, with these labels: blue above 0 and orange below.
    pub fn bars(&self, labels: impl IntoIterator<Item = impl Into<String>>) -> Result<Chart> {
        let labelled = self.clone().with_labels(labels)?;
        let bars = labelled.labels().iter().cloned().zip(self.values().iter().copied()).collect();
        Chart::new(self.name(), "", "attribution", Kind::Bars(bars), self.values())
    }

    /// How often values fall into each of `bins` bins of the same width.
    pub fn histogram(&self, bins: usize) -> Result<Chart> {
        let edges = bin_edges(self.values(), bins)?;
        let mut counts = vec![0; bins];
        self.values().iter().for_each(|value| counts[bin_of(*value, &edges)] += 1);
        let kind = Kind::Histogram { edges, counts };
        Chart::new(format!("Distribution of {}", self.name()), self.name(), "count", kind, self.values())
    }

    /// The mean of these values in each of `bins` bins of another series: how an attribution
    /// depends on the feature's own value. Larger dots stand for more examples.
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
        if let Some(position) = over.values().iter().position(|value| !value.is_finite()) {
            bail!(NotFinite, "\"{}\" cannot be drawn: value {position} is {}", over.name(), over.values()[position])
        }
        let edges = bin_edges(over.values(), bins)?;
        let mut sums = vec![(0., 0); bins];
        for (value, position) in self.values().iter().zip(over.values()) {
            let (sum, count) = &mut sums[bin_of(*position, &edges)];
            *sum += value;
            *count += 1;
        }
        let filled = sums.iter().zip(edges.windows(2)).filter(|((_, count), _)| *count > 0);
        let dots = filled.map(|(&(sum, count), edge)| Bin {
            middle: 0.5 * (edge[0] + edge[1]),
            mean: sum / count as f64,
            count,
        });
        let title = format!("Mean attribution by value of {}", over.name());
        Chart::new(title, over.name(), "mean attribution", Kind::Scatter(dots.collect()), self.values())
    }

    /// The values in their order, joined by a line.
    pub fn line(&self) -> Result<Chart> {
        Chart::new(self.name(), "step", self.name(), Kind::Line(self.values().to_vec()), self.values())
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

const MOST_BINS: usize = 10_000;

fn bin_edges(values: &[f64], bins: usize) -> Result<Vec<f64>> {
    if !(1..=MOST_BINS).contains(&bins) {
        bail!(Input, "{bins} bins: expected 1 to {MOST_BINS}")
    }
    let (low, high) = range(values.iter().copied());
    let (low, high) = if high > low { (low, high) } else { (low - 0.5, high + 0.5) };
    Ok((0..=bins).map(|edge| low + (high - low) * edge as f64 / bins as f64).collect())
}

/// Bins are open on the right, but for the last one.
fn bin_of(value: f64, edges: &[f64]) -> usize {
    edges[1..edges.len() - 1].partition_point(|edge| *edge <= value)
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

/// The share of its length that an axis leaves free at each end.
const AIR: f64 = 0.06;
/// The same where dots with a radius and a label stand.
const DOT_AIR: f64 = 0.14;

/// The range of an axis that shows these values with some air, from 0 on if `from_zero`.
fn axis(values: impl Iterator<Item = f64>, from_zero: bool, air: f64) -> std::ops::Range<f64> {
    let (mut low, mut high) = range(values);
    if from_zero {
        (low, high) = (low.min(0.), high.max(0.));
    }
    let air = if high > low { air * (high - low) } else { 0.5 };
    let below = if from_zero && low == 0. { 0. } else { air };
    let above = if from_zero && high == 0. { 0. } else { air };
    low - below..high + above
}

/// The text of a tick: what is 0 but for rounding is written as 0.
fn tick(value: f64, span: f64) -> String {
    if value.abs() < 1e-9 * span { "0".to_string() } else { number(value) }
}

/// Text on one side of a mark, at its height.
/// To four places; what is nothing then has no sign.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4 + 0.
}

fn beside(side: HPos) -> TextStyle<'static> {
    ("sans-serif", 11).into_font().color(&INK).pos(Pos::new(side, VPos::Center))
}

fn colour(value: f64) -> RGBColor {
    let (red, green, blue) = if value < 0. { NEGATIVE } else { POSITIVE };
    RGBColor(red, green, blue)
}

impl Chart {
    fn new(title: impl Into<String>, x_label: &str, y_label: &str, kind: Kind, values: &[f64]) -> Result<Self> {
        let title = title.into();
        if values.is_empty() {
            bail!(Input, "there is nothing to draw for \"{title}\": the series is empty")
        }
        if let Some(position) = values.iter().position(|value| !value.is_finite()) {
            bail!(NotFinite, "\"{title}\" cannot be drawn: value {position} is {}", values[position])
        }
        let (low, high) = range(values.iter().copied());
        if !(high - low).is_finite() {
            bail!(Input, "\"{title}\" cannot be drawn: its values reach from {low:e} to {high:e}")
        }
        Ok(Self { title, x_label: x_label.to_string(), y_label: y_label.to_string(), kind })
    }

    /// The same chart under another title.
    pub fn title(&self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self.clone() }
    }

    /// The same chart with other names on its axes.
    pub fn axes(&self, x_label: impl Into<String>, y_label: impl Into<String>) -> Self {
        Self { x_label: x_label.into(), y_label: y_label.into(), ..self.clone() }
    }

    fn height(&self) -> u32 {
        match &self.kind {
            Kind::Bars(bars) => 90 + 22 * bars.len() as u32,
            _ => HEIGHT,
        }
    }

    fn draw(&self) -> String {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (WIDTH, self.height())).into_drawing_area();
            // The backend writes into a string, which cannot fail.
            let _ = area.fill(&WHITE).and_then(|()| match &self.kind {
                Kind::Bars(bars) => self.draw_bars(&area, bars),
                Kind::Histogram { edges, counts } => self.draw_histogram(&area, edges, counts),
                Kind::Scatter(bins) => self.draw_scatter(&area, bins),
                Kind::Line(values) => self.draw_line(&area, values),
            });
            let _ = area.present();
        }
        svg
    }

    fn draw_bars<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, plotters::coord::Shift>,
        bars: &[(String, f64)],
    ) -> Drawn<B> {
        let longest = bars.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        let x_range = axis(bars.iter().map(|(_, value)| *value), true, AIR);
        let span = x_range.end - x_range.start;
        let mut chart = builder(area, &self.title)
            .y_label_area_size((longest as u32 * 7 + 20).min(WIDTH / 3))
            .x_label_area_size(40)
            .margin_right(16)
            .build_cartesian_2d(
                x_range.start - 0.09 * span..x_range.end + 0.09 * span,
                (0..bars.len() - 1).into_segmented(),
            )?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .light_line_style(WHITE)
            .bold_line_style(GRID)
            .axis_style(INK)
            .label_style(("sans-serif", 12, &INK))
            .x_desc(&self.y_label)
            .y_labels(bars.len())
            .y_label_formatter(&|segment| match segment {
                SegmentValue::CenterOf(index) => {
                    let row = bars.len().checked_sub(index + 1);
                    row.map(|row| bars[row].0.clone()).unwrap_or_default()
                }
                SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
            })
            .x_label_formatter(&|x| tick(*x, span))
            .draw()?;
        let largest = bars.iter().map(|(_, value)| value.abs()).fold(0., f64::max);
        // Four places, so that the points stand below each other, unless they would show nothing.
        let label = |value: f64| if largest < 0.01 { number(value) } else { format!("{:.4}", round(value)) };
        let from_top = |index: usize| bars.len() - 1 - index;
        chart.draw_series(bars.iter().enumerate().map(|(index, (_, value))| {
            let row = from_top(index);
            let above = if index == 0 { SegmentValue::Last } else { SegmentValue::Exact(row + 1) };
            let ends = [(0., SegmentValue::Exact(row)), (*value, above)];
            let mut bar = Rectangle::new(ends, colour(*value).filled());
            bar.set_margin(4, 4, 0, 0);
            bar
        }))?;
        chart.draw_series(bars.iter().enumerate().map(|(index, (_, value))| {
            let (shift, side) = if *value < 0. { (-5, HPos::Right) } else { (5, HPos::Left) };
            EmptyElement::at((*value, SegmentValue::CenterOf(from_top(index))))
                + Text::new(label(*value), (shift, 0), beside(side))
        }))?;
        chart.draw_series(std::iter::once(PathElement::new(
            [(0., SegmentValue::Exact(0)), (0., SegmentValue::Last)],
            INK,
        )))?;
        Ok(())
    }

    fn draw_histogram<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, plotters::coord::Shift>,
        edges: &[f64],
        counts: &[usize],
    ) -> Drawn<B> {
        let tallest = counts.iter().copied().max().unwrap_or(1);
        let mut chart = builder(area, &self.title)
            .y_label_area_size(52)
            .x_label_area_size(40)
            .build_cartesian_2d(axis(edges.iter().copied(), false, AIR), 0f64..tallest as f64 * 1.06)?;
        mesh(&mut chart, &self.x_label, &self.y_label)?;
        chart.draw_series(
            edges
                .windows(2)
                .zip(counts)
                .filter(|(_, count)| **count > 0)
                .map(|(edge, count)| Rectangle::new([(edge[0], 0.), (edge[1], *count as f64)], colour(1.).filled())),
        )?;
        Ok(())
    }

    fn draw_scatter<B: DrawingBackend>(&self, area: &DrawingArea<B, plotters::coord::Shift>, bins: &[Bin]) -> Drawn<B> {
        let most = bins.iter().map(|bin| bin.count).max().unwrap_or(1) as f64;
        let x_range = axis(bins.iter().map(|bin| bin.middle), false, DOT_AIR);
        let mut chart = builder(area, &self.title)
            .y_label_area_size(62)
            .x_label_area_size(40)
            .build_cartesian_2d(x_range.clone(), axis(bins.iter().map(|bin| bin.mean).chain([0.]), false, DOT_AIR))?;
        mesh(&mut chart, &self.x_label, &self.y_label)?;
        let middle = 0.5 * (x_range.start + x_range.end);
        chart.draw_series(bins.iter().map(|bin| {
            let radius = (4. + 14. * (bin.count as f64 / most).sqrt()).round() as i32;
            let label = if bin.count == 1 { "1 example".to_string() } else { format!("{} examples", bin.count) };
            let (shift, side) = if bin.middle > middle { (-radius - 3, HPos::Right) } else { (radius + 3, HPos::Left) };
            EmptyElement::at((bin.middle, bin.mean))
                + Circle::new((0, 0), radius, colour(bin.mean).mix(0.75).filled())
                + Text::new(label, (shift, 0), beside(side))
        }))?;
        Ok(())
    }

    fn draw_line<B: DrawingBackend>(&self, area: &DrawingArea<B, plotters::coord::Shift>, values: &[f64]) -> Drawn<B> {
        let last = values.len().saturating_sub(1).max(1) as f64;
        let mut chart = builder(area, &self.title)
            .y_label_area_size(62)
            .x_label_area_size(40)
            .build_cartesian_2d(0f64..last, axis(values.iter().copied(), false, AIR))?;
        mesh(&mut chart, &self.x_label, &self.y_label)?;
        let points = values.iter().enumerate().map(|(index, value)| (index as f64, *value));
        chart.draw_series(LineSeries::new(points, colour(1.).stroke_width(2)))?;
        Ok(())
    }
}

type Drawn<B> = std::result::Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

fn builder<'a, 'b, B: DrawingBackend>(
    area: &'a DrawingArea<B, plotters::coord::Shift>,
    title: &str,
) -> ChartBuilder<'a, 'b, B> {
    let mut builder = ChartBuilder::on(area);
    builder.margin(10).margin_right(20).caption(title, ("sans-serif", 16, &INK));
    builder
}

fn mesh<B: DrawingBackend>(
    chart: &mut ChartContext<
        B,
        Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
    >,
    x_label: &str,
    y_label: &str,
) -> Drawn<B> {
    let (x_range, y_range) = (chart.x_range(), chart.y_range());
    let (x_span, y_span) = (x_range.end - x_range.start, y_range.end - y_range.start);
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", 12, &INK))
        .x_desc(x_label)
        .y_desc(y_label)
        .x_label_formatter(&|x| tick(*x, x_span))
        .y_label_formatter(&|y| tick(*y, y_span))
        .draw()
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
        format!("{}\n{}", self.title, lines.join("\n"))
    }

    fn svg(&self) -> Option<String> {
        Some(self.draw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_every_value_once() {
        let values = [0., 0.1, 0.5, 0.999, 1., 1.];
        let edges = bin_edges(&values, 4).unwrap();
        let bins: Vec<usize> = values.iter().map(|value| bin_of(*value, &edges)).collect();
        assert_eq!(bins, [0, 0, 2, 3, 3, 3]);
        assert_eq!(bin_of(2., &bin_edges(&[2., 2.], 3).unwrap()), 1);
    }

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
