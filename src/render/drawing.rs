//! Charts, drawn with plotters.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{IntoSegmentedCoord, SegmentValue};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::{AIR, Axis, DOT_AIR};
use super::chart::{Bin, Chart, Kind};
use super::colour::Colour;
use super::html::number;
use super::labels::{self, Dot, GAP, Side};
use super::lettering::SIZE;
use super::measure::{room, shortened_among};
use super::palette::plain;
use super::theme::colours;
use crate::visible::visible;

const WIDTH: u32 = 560;
const HEIGHT: u32 = 340;
/// The size of the letters on axes.
const LETTERS: f64 = 12.;
/// The size of the letters beside marks.
const SMALL_LETTERS: f64 = 11.;
/// How wide the names of bars may be.
const WIDEST_NAME: u32 = WIDTH * 5 / 12;
/// A line with more points than this is drawn from the lowest and the highest of each part: no more can be seen.
const MOST_POINTS: usize = 2000;
const PARTS: usize = 500;

/// The picture of a chart.
pub(super) fn svg(chart: &Chart) -> String {
    let mut svg = String::new();
    {
        let height = match &chart.kind {
            Kind::Bars(bars) => 90 + 22 * bars.len() as u32,
            _ => HEIGHT,
        };
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        // The backend writes into a string, which cannot fail.
        let _ = area.fill(&rgb(colours().ground)).and_then(|()| match &chart.kind {
            Kind::Bars(bars) => chart.draw_bars(&area, bars),
            Kind::Histogram { edges, counts } => chart.draw_histogram(&area, edges, counts),
            Kind::Scatter(bins) => chart.draw_scatter(&area, bins),
            Kind::Line(values) => chart.draw_line(&area, values),
        });
        let _ = area.present();
    }
    svg
}

/// Rounds to four places; 0 has no sign.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4 + 0.
}

/// Text on one side of a mark.
fn beside(side: Side) -> TextStyle<'static> {
    let place = match side {
        Side::Left => Pos::new(HPos::Right, VPos::Center),
        Side::Right => Pos::new(HPos::Left, VPos::Center),
        Side::Above => Pos::new(HPos::Center, VPos::Bottom),
        Side::Below => Pos::new(HPos::Center, VPos::Top),
    };
    ("sans-serif", SMALL_LETTERS).into_font().color(&ink()).pos(place)
}

fn rgb(Colour(red, green, blue): Colour) -> RGBColor {
    RGBColor(red, green, blue)
}

fn colour(value: f64) -> RGBColor {
    rgb(plain(value))
}

fn ink() -> RGBColor {
    rgb(colours().ink)
}

/// The width that the names of bars take.
fn room_for<'a>(names: impl Iterator<Item = &'a str>) -> u32 {
    let widest = names.map(room).fold(0., f64::max);
    ((widest * LETTERS / SIZE).ceil() as u32 + 20).min(WIDEST_NAME)
}

/// An axis along the bottom of a chart, whose names or numbers at the side take so much.
fn along_bottom(axis: Axis, beside: u32) -> Axis {
    let length = f64::from(WIDTH - beside - 30);
    axis.with_room_for(|text| (room(text) * LETTERS / SIZE + 6.) / length)
}

/// The width that the numbers of an axis take at its side.
fn room_beside(axis: &Axis, least: u32) -> u32 {
    least.max(7 * axis.longest_label() as u32 + 14)
}

impl Chart {
    fn draw_bars<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, bars: &[(String, f64)]) -> Drawn<B> {
        let largest = bars.iter().map(|(_, value)| value.abs()).fold(0., f64::max);
        // Four decimal places, so that the points line up, unless that shows no digits or far too many.
        let plain = (0.01..1e6).contains(&largest);
        let label = |value: f64| if plain { format!("{:.4}", round(value)) } else { number(value) };
        let names: Vec<String> = bars.iter().map(|(name, _)| visible(name)).collect();
        let names: Vec<String> = names.iter().map(|name| shown(name, &names, WIDEST_NAME - 20)).collect();
        let beside_names = room_for(names.iter().map(String::as_str));
        // Room for the numbers at the ends of the bars.
        let widest = bars.iter().map(|(_, value)| room(&label(*value))).fold(0., f64::max);
        let share = (widest * SMALL_LETTERS / SIZE + 6.) / f64::from(WIDTH - beside_names - 26);
        let beyond = ((share - AIR) / (1. - 2. * share)).max(0.09);
        let axis = Axis::new(bars.iter().map(|(_, value)| *value), true, AIR).with_room(beyond);
        let axis = along_bottom(axis, beside_names);
        let mut chart = builder(area, &self.title)
            .y_label_area_size(beside_names)
            .x_label_area_size(40)
            .margin_right(16)
            .build_cartesian_2d(axis.clone(), (0..bars.len() - 1).into_segmented())?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .light_line_style(rgb(colours().ground))
            .bold_line_style(rgb(colours().grid))
            .axis_style(ink())
            .label_style(("sans-serif", 12, &ink()))
            .x_desc(visible(&self.y_label))
            .y_desc(visible(&self.x_label))
            .y_labels(bars.len())
            .y_label_formatter(&|segment| match segment {
                SegmentValue::CenterOf(index) => {
                    let row = bars.len().checked_sub(index + 1);
                    row.map(|row| names[row].clone()).unwrap_or_default()
                }
                SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
            })
            .x_label_formatter(&|x| axis.label(*x))
            .draw()?;
        let from_top = |index: usize| bars.len() - 1 - index;
        chart.draw_series(bars.iter().enumerate().map(|(index, (_, value))| {
            let row = from_top(index);
            let above = if index == 0 { SegmentValue::Last } else { SegmentValue::Exact(row + 1) };
            let ends = [(0., SegmentValue::Exact(row)), (axis.place(*value), above)];
            let mut bar = Rectangle::new(ends, colour(*value).filled());
            bar.set_margin(4, 4, 0, 0);
            bar
        }))?;
        chart.draw_series(bars.iter().enumerate().map(|(index, (_, value))| {
            let (shift, side) = if *value < 0. { (-5, Side::Left) } else { (5, Side::Right) };
            EmptyElement::at((axis.place(*value), SegmentValue::CenterOf(from_top(index))))
                + Text::new(label(*value), (shift, 0), beside(side))
        }))?;
        chart.draw_series(std::iter::once(PathElement::new(
            [(0., SegmentValue::Exact(0)), (0., SegmentValue::Last)],
            ink(),
        )))?;
        Ok(())
    }

    fn draw_histogram<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        edges: &[f64],
        counts: &[usize],
    ) -> Drawn<B> {
        let tallest = counts.iter().copied().max().unwrap_or(1) as f64;
        let upwards = Axis::new([tallest].into_iter(), true, AIR);
        let beside = room_beside(&upwards, 52);
        let across = along_bottom(Axis::new(edges.iter().copied(), false, AIR), beside);
        let mut chart = builder(area, &self.title)
            .y_label_area_size(beside)
            .x_label_area_size(40)
            .build_cartesian_2d(across.clone(), upwards)?;
        mesh(&mut chart, &self.x_label, &self.y_label)?;
        let filled = || edges.windows(2).zip(counts).filter(|(_, count)| **count > 0);
        // A bin narrower than a pixel is visible only through its border.
        let narrow = counts.len() > WIDTH as usize / 2;
        chart.draw_series(filled().map(|(edge, count)| {
            let [left, right] = [edge[0], edge[1]].map(|edge| across.place(edge));
            let style = if narrow { colour(1.).stroke_width(1) } else { colour(1.).filled() };
            Rectangle::new([(left, 0.), (right, *count as f64)], style)
        }))?;
        Ok(())
    }

    fn draw_scatter<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, bins: &[Bin]) -> Drawn<B> {
        let most = bins.iter().map(|bin| bin.count).max().unwrap_or(1) as f64;
        let upwards = Axis::new(bins.iter().map(|bin| bin.mean).chain([0.]), false, DOT_AIR);
        let beside_axis = room_beside(&upwards, 62);
        let across = along_bottom(Axis::new(bins.iter().map(|bin| bin.middle), false, DOT_AIR), beside_axis);
        let mut chart = builder(area, &self.title)
            .y_label_area_size(beside_axis)
            .x_label_area_size(40)
            .build_cartesian_2d(across.clone(), upwards.clone())?;
        mesh(&mut chart, &self.x_label, &self.y_label)?;
        let label =
            |bin: &Bin| if bin.count == 1 { "1 example".to_string() } else { format!("{} examples", bin.count) };
        let place = |bin: &Bin| (across.place(bin.middle), upwards.place(bin.mean));
        let dots: Vec<Dot> = bins
            .iter()
            .map(|bin| {
                let (x, y) = chart.backend_coord(&place(bin));
                Dot {
                    x: f64::from(x),
                    y: f64::from(y),
                    radius: (4. + 14. * (bin.count as f64 / most).sqrt()).round(),
                    wide: room(&label(bin)) * SMALL_LETTERS / SIZE,
                    side: if across.place(bin.middle) > across.middle() { Side::Left } else { Side::Right },
                }
            })
            .collect();
        let sides = labels::sides(&dots, [0., 0., f64::from(WIDTH), f64::from(HEIGHT)]);
        chart.draw_series(bins.iter().zip(&dots).map(|(bin, dot)| {
            EmptyElement::at(place(bin)) + Circle::new((0, 0), dot.radius as i32, colour(bin.mean).mix(0.75).filled())
        }))?;
        let labelled = bins.iter().zip(dots).zip(sides).filter_map(|(dot, side)| Some((dot, side?)));
        chart.draw_series(labelled.map(|((bin, dot), side)| {
            let away = (dot.radius + GAP) as i32;
            let shift = match side {
                Side::Left => (-away, 0),
                Side::Right => (away, 0),
                Side::Above => (0, -away),
                Side::Below => (0, away),
            };
            EmptyElement::at(place(bin)) + Text::new(label(bin), shift, beside(side))
        }))?;
        Ok(())
    }

    fn draw_line<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, values: &[f64]) -> Drawn<B> {
        let last = values.len().saturating_sub(1).max(1) as f64;
        let upwards = Axis::new(values.iter().copied(), false, AIR);
        let beside = room_beside(&upwards, 62);
        let across = along_bottom(Axis::from_to(0., last), beside);
        let mut chart = builder(area, &self.title)
            .y_label_area_size(beside)
            .x_label_area_size(40)
            .build_cartesian_2d(across, upwards.clone())?;
        mesh(&mut chart, &self.x_label, &self.y_label)?;
        let points = corners(values).into_iter().map(|index| (index as f64, upwards.place(values[index])));
        chart.draw_series(LineSeries::new(points, colour(1.).stroke_width(2)))?;
        Ok(())
    }
}

/// The points of a line that a picture can distinguish.
fn corners(values: &[f64]) -> Vec<usize> {
    if values.len() <= MOST_POINTS {
        return (0..values.len()).collect();
    }
    let part = |part: usize| {
        let [start, end] = [part, part + 1].map(|edge| edge * values.len() / PARTS);
        let by_value = |a: &usize, b: &usize| values[*a].total_cmp(&values[*b]);
        let extremes = [(start..end).min_by(by_value), (start..end).max_by(by_value)];
        let mut kept: Vec<usize> = extremes.into_iter().flatten().chain([start, end - 1]).collect();
        kept.sort_unstable();
        kept.dedup();
        kept
    };
    (0..PARTS).flat_map(part).collect()
}

/// A name among others, cut if it does not fit, so that it is not taken for one of them.
fn shown(name: &str, all: &[String], room: u32) -> String {
    shortened_among(name, all.iter().map(String::as_str), f64::from(room) * SIZE / LETTERS)
}

type Drawn<B> = std::result::Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

fn builder<'a, 'b, B: DrawingBackend>(area: &'a DrawingArea<B, Shift>, title: &str) -> ChartBuilder<'a, 'b, B> {
    let mut builder = ChartBuilder::on(area);
    builder.margin(10).margin_right(20).caption(visible(title), ("sans-serif", 16).into_font().color(&ink()));
    builder
}

fn mesh<B: DrawingBackend>(
    chart: &mut ChartContext<B, Cartesian2d<Axis, Axis>>,
    x_label: &str,
    y_label: &str,
) -> Drawn<B> {
    chart
        .configure_mesh()
        .light_line_style(rgb(colours().ground))
        .bold_line_style(rgb(colours().grid))
        .axis_style(ink())
        .label_style(("sans-serif", 12, &ink()))
        .x_desc(visible(x_label))
        .y_desc(visible(y_label))
        .draw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_keeps_its_ends_and_its_peaks() {
        let mut values: Vec<f64> = (0..100_000).map(|x| f64::from(x % 7)).collect();
        (values[31_415], values[92_653]) = (100., -100.);
        let kept = corners(&values);
        assert!(kept.len() <= MOST_POINTS && kept.windows(2).all(|pair| pair[0] < pair[1]));
        for index in [0, 31_415, 92_653, 99_999] {
            assert!(kept.contains(&index), "{index}");
        }
        assert_eq!(corners(&values[..MOST_POINTS]).len(), MOST_POINTS);
    }
}
