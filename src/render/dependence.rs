//! A feature's value against its attribution, in the colours of a second feature.

use super::Figure;
use super::axis::Axis;
use super::beeswarm::{MOST_DOTS, evenly};
use super::canvas::{Anchor, Canvas, MARGIN, Stretch, cut, wide};
use super::captioned::captioned;
use super::features::{Features, reaches};
use super::html::{self, number};
use super::shades::{self, Shades};
use super::theme::{Colours, colours};
use super::{bins, interaction, swarm};
use crate::engine::Attributions;
use crate::error::{Result, bail, error};
use crate::model::Inputs;
use crate::visible::visible;

/// A feature of up to so many values has the dots of each value side by side.
const FEW: usize = 8;
/// The least room for the name of a column under its dots.
const NARROWEST_NAME: f64 = 48.;

/// A dot for each example: a feature's value from left to right, its attribution upwards, in the colour of a second
/// feature. Made with [`Attributions::dependence`].
/// [`theme`](Figure::theme) draws it in light or dark.
#[derive(Clone, Debug)]
pub struct Dependence {
    title: String,
    names: Vec<String>,
    columns: Vec<Vec<f64>>,
    attributions: Vec<f64>,
    name: String,
    /// The feature's value in each example; of a category the position of its column.
    own: Vec<f64>,
    /// The columns of a category, empty for a feature of one.
    categories: Vec<String>,
    second: Option<usize>,
    chosen: bool,
    remarks: Vec<String>,
}

impl Attributions {
    /// How the attribution of a feature depends on its value in `data`, the table that was attributed; for a neuron of a
    /// layer the layer's activations.
    ///
    /// The colours are of the feature that interacts with it most; [`Dependence::coloured_by`] chooses another. To find
    /// it, examples of about the same value of `feature` are compared with each other, 25 at a time: it is the feature
    /// that goes with the largest part of the spread that their attributions still have.
    ///
    /// Columns that a feature mask joins are one feature. If each example has one of them, as of a category, the names of
    /// the columns take the place of values; else it is an error.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let (_, test) = Titanic::offline()?.split(Split::Tutorial)?;
    /// let importance = IntegratedGradients::new(Titanic::pretrained()?).attribute(&test, 1)?;
    /// importance.dependence(&test, "age")?.coloured_by("fare")?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn dependence(&self, data: impl Into<Inputs>, feature: &str) -> Result<Dependence> {
        let features = Features::with_values(self, &data.into())?;
        let part = features.columns_of(feature)?;
        let (own, categories) = match part[..] {
            [only] => (features.values_of(only), Vec::new()),
            _ => (category(&features, &part)?, part.iter().map(|column| features.names[*column].clone()).collect()),
        };
        let name = features.name(&part);
        let columns: Vec<Vec<f64>> = (0..features.names.len()).map(|index| features.values_of(index)).collect();
        let attributions = features.attributions_of(part[0]);
        let title = format!("Attribution of {name} by its value");
        reaches(&format!("\"{title}\""), attributions.iter().copied().chain([0.]))?;
        reaches(&format!("\"{name}\""), own.iter().copied())?;
        let second = interaction::strongest(&own, &attributions, &columns, &part);
        let remarks = features.remark().into_iter().chain(self.remarks()).collect();
        Ok(Dependence {
            title,
            names: features.names,
            columns,
            attributions,
            name,
            own,
            categories,
            second,
            chosen: false,
            remarks,
        })
    }
}

/// Which of a category's columns each example has.
fn category(features: &Features, columns: &[usize]) -> Result<Vec<f64>> {
    let of_row = |(example, row): (usize, &Vec<f64>)| {
        let mut there = (0..columns.len()).filter(|index| row[columns[*index]] != 0.);
        match (there.next(), there.next()) {
            (Some(only), None) => Ok(only as f64),
            (found, _) => bail!(
                Input,
                "the feature mask joins {}, and example {example} has {} of these columns: with one column for each \
                 value of a category there is something to draw the attributions against; draw a beeswarm instead",
                features.name(columns),
                if found.is_none() { "none" } else { "several" }
            ),
        }
    };
    features.values.iter().enumerate().map(of_row).collect()
}

impl Dependence {
    /// The same picture under another title.
    pub fn title(&self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self.clone() }
    }

    /// The same in the colours of this feature.
    pub fn coloured_by(&self, feature: &str) -> Result<Self> {
        let position =
            self.names.iter().position(|name| name == feature).ok_or_else(|| {
                error!(Input, "there is no feature \"{feature}\"; there are: {}", self.names.join(", "))
            })?;
        Ok(Self { second: Some(position), chosen: true, ..self.clone() })
    }

    fn caption(&self, hidden: usize) -> Vec<String> {
        let own = &self.name;
        let mut caption = vec![match self.second.map(|second| &self.names[second]) {
            None => format!("A dot for each example. No other feature goes with the attributions of {own}."),
            Some(second) if self.chosen => format!("A dot for each example, in the colour of its {second}."),
            Some(second) => format!(
                "A dot for each example, in the colour of its {second}: of all features, it goes with most of the \
                 spread that the attributions have among examples of about the same {own}."
            ),
        }];
        if self.attributions.len() > MOST_DOTS {
            caption.push(format!("{MOST_DOTS} of {} examples are drawn, evenly chosen", self.attributions.len()));
        }
        if self.distinct().is_some() {
            caption.push("Dots of one value stand side by side.".to_string());
        }
        if hidden > 0 {
            caption
                .push(format!("{hidden} dots found no room: where a column is full, more examples lie than are seen"));
        }
        caption.extend(self.remarks.iter().cloned());
        caption
    }

    /// The values that the feature has, if they are few or the columns of a category.
    fn distinct(&self) -> Option<Vec<f64>> {
        let mut values = self.own.clone();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let few = values.len() <= FEW && values.len() < self.attributions.len();
        (few || !self.categories.is_empty()).then_some(values)
    }

    /// The ticks of the feature's axis: its values, if they are few and far enough apart; of a category the names of its
    /// columns.
    fn ticks(&self, across: &Stretch, few: Option<&[f64]>) -> Vec<(f64, String)> {
        if !self.categories.is_empty() {
            let of_columns = |columns: usize| (across.at(columns as f64) - across.at(0.)).abs();
            let every = (NARROWEST_NAME / of_columns(1)).ceil().max(1.) as usize;
            let names = self.categories.iter().enumerate().step_by(every);
            return names
                .map(|(index, name)| (across.at(index as f64), cut(name, &self.categories, of_columns(every) - 8.)))
                .collect();
        }
        let ticks: Vec<(f64, String)> =
            few.unwrap_or_default().iter().map(|value| (across.at(*value), number(*value))).collect();
        let widest = ticks.iter().map(|(_, text)| wide(text)).fold(0., f64::max) + 10.;
        let fit = ticks.windows(2).all(|pair| pair[1].0 - pair[0].0 >= widest);
        if ticks.is_empty() || !fit { across.ticks_below() } else { ticks }
    }

    fn draw(&self) -> String {
        const WIDTH: f64 = 660.;
        const TOP: f64 = 46.;
        const BOTTOM: f64 = 366.;
        /// The room for the bar of colours and the numbers at its ends.
        const COLOURS: f64 = 84.;
        let own = &self.own;
        let shown = evenly(self.attributions.len(), MOST_DOTS);
        let upwards = Axis::new(self.attributions.iter().copied().chain([0.]), false, 0.06);
        let numbers = upwards.texts().iter().map(|(_, _, text)| wide(text)).fold(20., f64::max);
        let left = MARGIN + 20. + numbers + 7.;
        let right = WIDTH - MARGIN - if self.second.is_some() { COLOURS } else { 0. };
        let few = self.distinct();
        let air = if few.is_some() { 0.15 } else { 0.04 };
        let ends = own.iter().copied().chain((0..self.categories.len()).map(|column| column as f64));
        let across = Stretch { axis: Axis::new(ends, false, air), from: left, to: right };
        let upwards = Stretch { axis: upwards, from: BOTTOM, to: TOP };
        let mut places: Vec<Option<(f64, f64)>> = shown
            .iter()
            .map(|example| Some((across.at(own[*example]), upwards.at(self.attributions[*example]))))
            .collect();
        let mut diameter = 6.4;
        if let Some(values) = &few {
            // Half the distance between two neighbouring values, less a gap.
            let apart = values.windows(2).map(|pair| across.at(pair[1]) - across.at(pair[0])).fold(160., f64::min);
            let beside = |diameter: f64| {
                let most = ((0.5 * apart - 6.) / diameter).floor().max(0.) as i32;
                let mut moved = places.clone();
                for value in values {
                    let column: Vec<usize> = (0..shown.len()).filter(|dot| own[shown[*dot]] == *value).collect();
                    let heights: Vec<f64> = column.iter().filter_map(|dot| places[*dot]).map(|(_, y)| y).collect();
                    let levels = swarm::levels(&heights, &swarm::ranked(&heights), diameter, most);
                    for (dot, level) in column.into_iter().zip(levels) {
                        let aside = level.map(|level| diameter * f64::from(level));
                        moved[dot] = places[dot].zip(aside).map(|((x, y), aside)| (x + aside, y));
                    }
                }
                moved
            };
            // The largest dots that all find room, or else the smallest.
            let mut moved = beside(diameter);
            for smaller in [5., 4.] {
                if moved.iter().any(Option::is_none) {
                    (diameter, moved) = (smaller, beside(smaller));
                }
            }
            places = moved;
        }
        let hidden = places.iter().filter(|place| place.is_none()).count();
        let &Colours { ink, faint, without_value, .. } = colours();
        let mut canvas = Canvas::new(WIDTH);
        canvas.title(&self.title);
        canvas.axis_beside(&upwards, (left, right));
        canvas.axis_below(&across, &self.ticks(&across, few.as_deref()), (TOP, BOTTOM));
        let zero = upwards.at(0.);
        canvas.line((left, zero), (right, zero), faint, false);
        let middle = 0.5 * (left + right);
        canvas.text((middle, BOTTOM + 38.), Anchor::Middle, ink, &cut(&self.name, &self.names, right - left));
        canvas.upwards((MARGIN + 10., 0.5 * (TOP + BOTTOM)), ink, "attribution");
        let second = self.second.map(|second| &self.columns[second]);
        let shades = second.map(|values| Shades::of(values));
        let colour = |example: usize| match (&shades, second) {
            (Some(shades), Some(values)) => shades.colour(values[example]),
            _ => without_value,
        };
        let dots =
            places.iter().zip(&shown).filter_map(|(place, example)| place.map(|place| (place, colour(*example))));
        canvas.dots(dots, 0.5 * diameter - 0.2);
        if let (Some(shades), Some(second)) = (&shades, self.second) {
            let ends = [number(shades.low), number(shades.high)];
            let name = cut(&self.names[second], &self.names, BOTTOM - TOP - 40.);
            let place = (right + 36., TOP + 24.);
            shades::bar(&mut canvas, place, BOTTOM - TOP - 48., [&ends[0], &ends[1]], &name);
        }
        captioned(canvas.svg(BOTTOM + 48., &self.text()), &self.caption(hidden))
    }
}

impl Figure for Dependence {
    fn html(&self) -> String {
        html::image(&self.draw(), &self.text())
    }

    fn text(&self) -> String {
        let (low, high) = bins::range(self.own.iter().copied());
        let (lowest, highest) = bins::range(self.attributions.iter().copied());
        let ends = if self.categories.is_empty() {
            format!("{} from {} to {}", self.name, number(low), number(high))
        } else {
            self.name.clone()
        };
        let attributions = format!("attributions from {} to {}", number(lowest), number(highest));
        let mut lines = vec![self.title.clone(), format!("{ends}, {attributions}")];
        lines.extend(self.caption(0));
        visible(&lines.join("\n"))
    }

    fn svg(&self) -> Option<String> {
        Some(self.draw())
    }
}
