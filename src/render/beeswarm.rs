//! The attributions of many examples: a line for each feature, a dot for each example.

use super::Figure;
use super::axis::Axis;
use super::canvas::{Anchor, Canvas, MARGIN, Stretch, cut, wide};
use super::captioned::captioned;
use super::features::{Features, reaches};
use super::html::{self, number};
use super::shades::{self, Shades};
use super::swarm;
use super::theme::{Colours, colours};
use crate::engine::Attributions;
use crate::error::{Result, bail};
use crate::model::Inputs;
use crate::visible::visible;

/// How many lines are drawn, unless the caller chooses.
const MOST: usize = 20;
/// How many dots a line has.
pub(super) const MOST_DOTS: usize = 1000;

/// The attributions of many examples: a line for each feature, those that count most on top, and on it a dot for each
/// example, at its attribution and in the colour of the feature's own value. Made with [`Attributions::beeswarm`].
/// [`theme`](Figure::theme) draws it in light or dark.
#[derive(Clone, Debug)]
pub struct Beeswarm {
    title: String,
    examples: usize,
    /// Whether a feature has several columns.
    joined: bool,
    /// The feature with the largest mean |attribution| first.
    swarms: Vec<Swarm>,
    most: usize,
    remarks: Vec<String>,
}

/// The dots of one feature.
#[derive(Clone, Debug)]
struct Swarm {
    name: String,
    attributions: Vec<f64>,
    /// Empty for what has no single value: a feature of several columns, and the features left over.
    values: Vec<f64>,
    mean_size: f64,
}

impl Attributions {
    /// The attributions of all examples, with the values of the features in `data`: the table that was attributed, or
    /// the same rows in units that are easier to read. Lines are in the order of the mean size of their attributions.
    /// Columns that a feature mask joins are one line, without colours: they have no single value. For attributions of a
    /// layer `data` are its activations, with names for its neurons if it has any; the inputs are an error.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let (_, test) = Titanic::offline()?.split(Split::Tutorial)?;
    /// let importance = IntegratedGradients::new(Titanic::pretrained()?).attribute(&test, 1)?;
    /// importance.beeswarm(&test)?.most(8)?.title("What speaks for survival?");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn beeswarm(&self, data: impl Into<Inputs>) -> Result<Beeswarm> {
        let features = Features::with_values(self, &data.into())?;
        let title = format!("Attributions of each feature by {}", self.method());
        reaches(&format!("\"{title}\""), features.attributions.iter().flatten().copied().chain([0.]))?;
        let parts = features.parts();
        let swarm = |part: &Vec<usize>| {
            let values = if let [only] = part[..] { features.values_of(only) } else { Vec::new() };
            Swarm::new(features.name(part), features.attributions_of(part[0]), values)
        };
        let mut swarms: Vec<Swarm> = parts.iter().map(swarm).collect();
        swarms.sort_by(|a, b| b.mean_size.total_cmp(&a.mean_size));
        let joined = parts.len() < features.names.len();
        let remarks = features.remark().into_iter().chain(self.remarks()).collect();
        Ok(Beeswarm { title, examples: self.batch_size(), joined, swarms, most: MOST, remarks })
    }
}

impl Swarm {
    fn new(name: String, attributions: Vec<f64>, values: Vec<f64>) -> Self {
        let count = attributions.len() as f64;
        let mean_size = attributions.iter().map(|value| value.abs() / count).sum();
        Self { name, attributions, values, mean_size }
    }
}

impl Beeswarm {
    /// The same picture under another title.
    pub fn title(&self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self.clone() }
    }

    /// The same with up to `most` lines, that of the features left over included; 20 by default.
    pub fn most(&self, most: usize) -> Result<Self> {
        if most < 2 {
            bail!(Input, "most is {most}: expected at least 2 lines, one for a feature and one for all others")
        }
        Ok(Self { most, ..self.clone() })
    }

    /// The lines, the features left over added up in one without colours.
    fn lines(&self) -> Vec<Swarm> {
        if self.swarms.len() <= self.most {
            return self.swarms.clone();
        }
        let (shown, others) = self.swarms.split_at(self.most - 1);
        let sum = |example: usize| others.iter().map(|swarm| swarm.attributions[example]).sum();
        let sums = (0..self.examples).map(sum).collect();
        let others = Swarm::new(format!("sum of {} others", others.len()), sums, Vec::new());
        shown.iter().cloned().chain([others]).collect()
    }

    /// What the picture shows, and what it leaves out.
    fn caption(&self, is_full: bool) -> Vec<String> {
        let mut caption = vec![
            "A dot for each example: how far the feature moved its output, in the colour of the feature's own value. \
             Features are in the order of their mean |attribution|."
                .to_string(),
        ];
        if self.joined {
            caption.push("A feature of several columns has no single value: its dots have no colour.".to_string());
        }
        if self.examples > MOST_DOTS {
            caption.push(format!("{MOST_DOTS} of {} examples are drawn, evenly chosen", self.examples));
        }
        if is_full {
            caption.push(
                "The number after a line says how many more examples lie where it is full, mostly on its highest stack."
                    .to_string(),
            );
        }
        caption.extend(self.remarks.iter().cloned());
        caption
    }

    fn draw(&self) -> String {
        const WIDTH: f64 = 720.;
        const TOP: f64 = 46.;
        const WIDEST_NAME: f64 = 220.;
        /// The room for the bar of colours.
        const COLOURS: f64 = 64.;
        const COLOURS_MEAN: &str = "the feature's value";
        /// The room above and below the bar of colours.
        const BESIDE_COLOURS: f64 = 44.;
        /// The room for the number of dots that found none.
        const MORE: f64 = 36.;
        let lines = self.lines();
        let all = lines.len() as f64;
        let tall = (760. / all).clamp(36., 90.).max((wide(COLOURS_MEAN) + BESIDE_COLOURS) / all);
        let cut = |line: &Swarm| cut(&line.name, lines.iter().map(|line| &line.name), WIDEST_NAME);
        let names: Vec<String> = lines.iter().map(cut).collect();
        let left = MARGIN + 10. + names.iter().map(|name| wide(name)).fold(30., f64::max);
        let values = lines.iter().flat_map(|line| line.attributions.iter().copied()).chain([0.]);
        let across = Stretch { axis: Axis::new(values, false, 0.04), from: left, to: WIDTH - MARGIN - COLOURS - MORE };
        let shown = evenly(self.examples, MOST_DOTS);
        let placed: Vec<(Vec<f64>, Vec<usize>)> = lines
            .iter()
            .map(|line| {
                let at = |example: &usize| across.at(line.attributions[*example]);
                let by = if line.values.is_empty() { &line.attributions } else { &line.values };
                let by: Vec<f64> = shown.iter().map(|example| by[*example]).collect();
                (shown.iter().map(at).collect(), swarm::ranked(&by))
            })
            .collect();
        let swarmed = |diameter: f64| -> Vec<Vec<Option<i32>>> {
            let most = (((tall - 4.) / diameter - 1.) / 2.).floor() as i32;
            placed.iter().map(|(places, ranks)| swarm::levels(places, ranks, diameter, most)).collect()
        };
        let hidden = |swarms: &[Vec<Option<i32>>]| swarms.iter().flatten().filter(|level| level.is_none()).count();
        // The largest dots that all find room, or else the smallest.
        let (mut diameter, mut swarms) = (6., swarmed(6.));
        for smaller in [5., 4., 3.4] {
            if hidden(&swarms) > 0 {
                (diameter, swarms) = (smaller, swarmed(smaller));
            }
        }
        let bottom = TOP + tall * lines.len() as f64;
        let colours = colours();
        let &Colours { ink, faint, .. } = colours;
        let mut canvas = Canvas::new(WIDTH);
        canvas.title(&self.title);
        canvas.axis_below(&across, &across.ticks_below(), (TOP, bottom));
        let zero = across.at(0.);
        canvas.line((zero, TOP), (zero, bottom), faint, false);
        for (row, (line, name)) in lines.iter().zip(&names).enumerate() {
            let middle = TOP + tall * (row as f64 + 0.5);
            canvas.line((across.from, middle), (across.to, middle), colours.line, true);
            canvas.text((left - 10., middle + 4.), Anchor::End, ink, name);
            let shades = Shades::of(&line.values);
            let colour = |example: usize| match line.values.get(example) {
                Some(value) => shades.colour(*value),
                None => colours.without_value,
            };
            let dots = shown.iter().zip(&placed[row].0).zip(&swarms[row]);
            let dots = dots.filter_map(|((example, x), level)| {
                level.map(|level| ((*x, middle - f64::from(level) * diameter), colour(*example)))
            });
            canvas.dots(dots, 0.5 * diameter - 0.2);
            let more = hidden(&swarms[row..=row]);
            if more > 0 {
                canvas.text((across.to + 8., middle + 4.), Anchor::Start, faint, &format!("+{more}"));
            }
        }
        canvas.text(
            (0.5 * (across.from + across.to), bottom + 36.),
            Anchor::Middle,
            ink,
            "attribution: moves the output down (left) or up (right)",
        );
        let length = (bottom - TOP - BESIDE_COLOURS).min(260.);
        let place = (WIDTH - MARGIN - COLOURS + 26., 0.5 * (TOP + bottom - length));
        shades::bar(&mut canvas, place, length, ["low", "high"], COLOURS_MEAN);
        captioned(canvas.svg(bottom + 46., &self.text()), &self.caption(hidden(&swarms) > 0))
    }
}

/// Up to `most` of so many examples, evenly chosen.
pub(super) fn evenly(examples: usize, most: usize) -> Vec<usize> {
    let count = examples.min(most);
    (0..count).map(|index| index * examples / count).collect()
}

impl Figure for Beeswarm {
    fn html(&self) -> String {
        html::image(&self.draw(), &self.text())
    }

    fn text(&self) -> String {
        let line = |swarm: &Swarm| {
            let (low, high) = super::bins::range(swarm.attributions.iter().copied());
            format!(
                "{}: mean |attribution| {}, from {} to {}",
                swarm.name,
                number(swarm.mean_size),
                number(low),
                number(high)
            )
        };
        let swarms = self.lines();
        let lines = std::iter::once(self.title.clone()).chain(swarms.iter().map(line)).chain(self.caption(false));
        visible(&lines.collect::<Vec<_>>().join("\n"))
    }

    fn svg(&self) -> Option<String> {
        Some(self.draw())
    }
}
