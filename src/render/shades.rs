//! The colours of a feature's values, from low to high, and their bar.

use super::bins;
use super::canvas::{Anchor, Canvas};
use super::colour::Colour;
use super::theme::colours;

/// How wide a bar of colours is.
pub(super) const BAR: f64 = 12.;

/// Which values get the ends of the colours.
pub(super) struct Shades {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Shades {
    /// The colours for these values: their ends are the 5th and 95th percentile, so that a few outliers do not make all
    /// others look the same, or the lowest and highest if those two are equal.
    pub(super) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let ranked = |share: f64| {
            let rank = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
            sorted.get(rank).copied().unwrap_or(0.)
        };
        let (low, high) = (ranked(0.05), ranked(0.95));
        if low < high {
            return Self { low, high };
        }
        let (low, high) = bins::range(sorted.iter().copied());
        Self { low, high }
    }

    /// The colour of a value; the middle one if all values are equal.
    pub(super) fn colour(&self, value: f64) -> Colour {
        // Halved, so that the distance of the largest numbers is finite.
        let span = 0.5 * self.high - 0.5 * self.low;
        let share = if span > 0. { (0.5 * value - 0.5 * self.low) / span } else { 0.5 };
        blend(share.clamp(0., 1.))
    }
}

/// The colour at a share of the way from low to high.
pub(super) fn blend(share: f64) -> Colour {
    let [low, middle, high] = colours().shades;
    let place = 2. * share;
    if place < 1. { low.towards(middle, place) } else { middle.towards(high, place - 1.) }
}

/// The bar of colours with its ends' texts above and below it, and its name along it.
pub(super) fn bar(canvas: &mut Canvas, (x, top): (f64, f64), height: f64, [low, high]: [&str; 2], name: &str) {
    const STEPS: usize = 32;
    let faint = colours().faint;
    for step in 0..STEPS {
        let share = (step as f64 + 0.5) / STEPS as f64;
        let y = top + height * (1. - (step + 1) as f64 / STEPS as f64);
        // A little taller, so that no line is seen between two steps.
        let tall = height / STEPS as f64 + if step > 0 { 0.6 } else { 0. };
        canvas.rectangle((x, y), BAR, tall, blend(share));
    }
    canvas.text((x + 0.5 * BAR, top - 6.), Anchor::Middle, faint, high);
    canvas.text((x + 0.5 * BAR, top + height + 15.), Anchor::Middle, faint, low);
    canvas.upwards((x + BAR + 15., top + 0.5 * height), faint, name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_do_not_take_the_colours_of_all_others() {
        let mut values: Vec<f64> = (0..100).map(f64::from).collect();
        values[99] = 1e9;
        let shades = Shades::of(&values);
        assert_eq!((shades.low, shades.high), (5., 94.));
        assert_eq!((shades.colour(5.), shades.colour(1e9)), (blend(0.), blend(1.)));
        let rare = Shades::of(&[vec![0.; 99], vec![1.]].concat());
        assert_eq!((rare.colour(0.), rare.colour(1.)), (blend(0.), blend(1.)));
    }

    #[test]
    fn values_of_any_size_have_a_colour() {
        assert_eq!(Shades::of(&[3., 3.]).colour(3.), blend(0.5));
        let widest = Shades::of(&[f64::MIN, f64::MAX]);
        assert_eq!(
            (widest.colour(f64::MIN), widest.colour(0.), widest.colour(f64::MAX)),
            (blend(0.), blend(0.5), blend(1.))
        );
    }
}
