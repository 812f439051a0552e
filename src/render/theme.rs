//! Light and dark figures: the colours of both, and which of them is drawn.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Figure;
use super::colour::Colour;

/// The colours of figures, on a ground of their own. [`Figure::theme`] chooses them for one figure, [`set_theme`] for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Dark letters on white.
    #[default]
    Light,
    /// Light letters on nearly black. Numbers near 0 have the colour of the ground, large ones a bright one.
    Dark,
}

/// The colours of a theme.
pub(super) struct Colours {
    pub(super) ground: Colour,
    pub(super) ink: Colour,
    /// Letters and lines that stand back.
    pub(super) faint: Colour,
    pub(super) line: Colour,
    /// The lines at the ticks of charts.
    pub(super) grid: Colour,
    /// Blue for what speaks for the target and orange for what speaks against it: colour-blind readers
    /// can tell them apart.
    pub(super) blue: Colour,
    pub(super) orange: Colour,
    pub(super) green: Colour,
    pub(super) red: Colour,
    /// Low, middle and high values of a feature; told apart by their lightness too.
    pub(super) shades: [Colour; 3],
    /// Dots whose feature has no value.
    pub(super) without_value: Colour,
}

const LIGHT: Colours = Colours {
    ground: Colour(255, 255, 255),
    ink: Colour(31, 41, 51),
    faint: Colour(82, 96, 109),
    line: Colour(217, 223, 229),
    grid: Colour(226, 230, 235),
    blue: Colour(31, 95, 165),
    orange: Colour(200, 90, 15),
    green: Colour(32, 160, 32),
    red: Colour(214, 40, 40),
    shades: [Colour(45, 150, 195), Colour(112, 82, 168), Colour(160, 0, 75)],
    without_value: Colour(107, 119, 133),
};

const DARK: Colours = Colours {
    ground: Colour(20, 23, 27),
    ink: Colour(230, 234, 238),
    faint: Colour(163, 173, 184),
    line: Colour(56, 63, 72),
    grid: Colour(46, 52, 60),
    blue: Colour(64, 150, 255),
    orange: Colour(245, 122, 25),
    green: Colour(60, 180, 75),
    red: Colour(255, 70, 70),
    shades: [Colour(40, 120, 190), Colour(175, 125, 225), Colour(255, 165, 180)],
    without_value: Colour(138, 150, 163),
};

/// Whether figures are dark that have no theme of their own.
static ALL_DARK: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The theme of the figure that is being drawn, if it has its own.
    static DRAWN: Cell<Option<Theme>> = const { Cell::new(None) };
}

/// Draws all figures from now on in this theme, except those with a [`theme`](Figure::theme) of their own: one call for a
/// whole notebook.
///
/// ```standalone_crate
/// use candle_explain::prelude::*;
///
/// set_theme(Theme::Dark);
/// let chart = Series::new("loss", vec![1.0, 0.5, 0.25]).line()?;
/// assert_ne!(chart.html(), chart.theme(Theme::Light).html());
/// assert_eq!(chart.html(), chart.theme(Theme::Dark).html());
/// # Ok::<(), Error>(())
/// ```
pub fn set_theme(theme: Theme) {
    ALL_DARK.store(theme == Theme::Dark, Ordering::Relaxed);
}

impl Theme {
    /// The theme to draw in.
    pub(super) fn current() -> Theme {
        let all = if ALL_DARK.load(Ordering::Relaxed) { Theme::Dark } else { Theme::Light };
        DRAWN.get().unwrap_or(all)
    }

    /// What `draw` draws in this theme.
    pub(super) fn draws<R>(self, draw: impl FnOnce() -> R) -> R {
        struct Before(Option<Theme>);
        impl Drop for Before {
            fn drop(&mut self) {
                DRAWN.set(self.0);
            }
        }
        let _before = Before(DRAWN.replace(Some(self)));
        draw()
    }
}

/// The colours to draw in.
pub(super) fn colours() -> &'static Colours {
    match Theme::current() {
        Theme::Light => &LIGHT,
        Theme::Dark => &DARK,
    }
}

/// A figure in a theme of its own, made with [`Figure::theme`].
#[derive(Clone, Debug)]
pub struct Themed<F> {
    figure: F,
    theme: Theme,
}

impl<F: Clone> Themed<F> {
    pub(super) fn new(figure: &F, theme: Theme) -> Self {
        Self { figure: figure.clone(), theme }
    }

    /// The same figure in another theme.
    pub fn theme(&self, theme: Theme) -> Self {
        Self::new(&self.figure, theme)
    }
}

impl<F: Figure> Figure for Themed<F> {
    fn html(&self) -> String {
        self.theme.draws(|| self.figure.html())
    }

    fn text(&self) -> String {
        self.figure.text()
    }

    fn svg(&self) -> Option<String> {
        self.theme.draws(|| self.figure.svg())
    }

    fn own_theme(&self) -> Option<Theme> {
        Some(self.theme)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::palette::{Palette, plain};
    use crate::render::shades::blend;

    /// What WCAG asks of letters, and of marks that must be told from their ground.
    const LETTERS: f64 = 4.5;
    const MARKS: f64 = 3.;

    /// The relative luminance of WCAG 2.
    fn luminance(colour: Colour) -> f64 {
        let channel = |value: u8| {
            let share = f64::from(value) / 255.;
            if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(colour.0) + 0.7152 * channel(colour.1) + 0.0722 * channel(colour.2)
    }

    fn contrast(one: Colour, other: Colour) -> f64 {
        let [one, other] = [one, other].map(|colour| luminance(colour) + 0.05);
        one.max(other) / one.min(other)
    }

    fn in_both(check: impl Fn(Theme, &Colours)) {
        for theme in [Theme::Light, Theme::Dark] {
            theme.draws(|| check(theme, colours()));
        }
    }

    #[test]
    fn letters_stand_out_from_every_ground() {
        in_both(|theme, colours| {
            for ink in [colours.ink, colours.faint] {
                let found = contrast(ink, colours.ground);
                assert!(found >= LETTERS, "{theme:?}: {ink} on the ground: {found:.2}");
            }
            for palette in [Palette::BlueOrange, Palette::GreenRed] {
                for (special, value) in (-100..=100).flat_map(|value| [(false, value), (true, value)]) {
                    let value = f64::from(value) / 100.;
                    let (ink, ground) = (palette.ink(special, value, 1.), palette.ground(value, 1.));
                    let found = contrast(ink, ground);
                    assert!(found >= LETTERS, "{theme:?}, {palette:?}, {value}: {ink} on {ground}: {found:.2}");
                }
            }
        });
    }

    #[test]
    fn marks_stand_out_from_the_ground() {
        in_both(|theme, colours| {
            let shades = (0..=100).map(|share| blend(f64::from(share) / 100.));
            let marks = [plain(1.), plain(-1.), colours.without_value, colours.faint, colours.ink];
            for mark in shades.chain(marks) {
                let found = contrast(mark, colours.ground);
                assert!(found >= MARKS, "{theme:?}: {mark} on {}: {found:.2}", colours.ground);
            }
            // Seen, but behind all else.
            for line in [colours.line, colours.grid] {
                let found = contrast(line, colours.ground);
                assert!((1.2..2.).contains(&found), "{theme:?}: {line}: {found:.2}");
            }
        });
    }

    #[test]
    fn signed_colours_begin_at_the_ground_and_leave_it_steadily() {
        in_both(|theme, colours| {
            for (palette, sign) in
                [Palette::BlueOrange, Palette::GreenRed].into_iter().flat_map(|p| [(p, 1.), (p, -1.)])
            {
                let steps: Vec<f64> = (0..=10)
                    .map(|step| contrast(palette.ground(sign * f64::from(step) / 10., 1.), colours.ground))
                    .collect();
                assert_eq!(palette.ground(0., 1.), colours.ground);
                assert!(steps.windows(2).all(|pair| pair[0] < pair[1]), "{theme:?}, {palette:?}: {steps:?}");
                assert!(steps[10] > 1.8, "{theme:?}, {palette:?}: {steps:?}");
            }
        });
    }

    #[test]
    fn low_middle_and_high_values_differ_in_lightness() {
        in_both(|theme, _| {
            let [low, middle, high] = [0., 0.5, 1.].map(|share| luminance(blend(share)));
            assert!((low < middle) == (middle < high), "{theme:?}: {low}, {middle}, {high}");
            assert!((low - high).abs() > 0.15, "{theme:?}: {low}, {high}");
        });
    }

    #[test]
    fn a_theme_ends_with_its_figure() {
        let before = Theme::current();
        let within = Theme::Dark.draws(|| (Theme::current(), Theme::Light.draws(Theme::current), Theme::current()));
        assert_eq!(within, (Theme::Dark, Theme::Light, Theme::Dark));
        let _ = std::panic::catch_unwind(|| Theme::Dark.draws(|| panic!("a figure that fails")));
        assert_eq!(Theme::current(), before);
    }
}
