//! How a bar looks: as HTML, as text, and as a line of its own.

use std::time::Duration;

/// How wide the bar of a text is.
const CELLS: usize = 24;

/// How far some work is, as its reader sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bar {
    /// What is counted: "row", "epoch".
    pub(super) what: &'static str,
    pub(super) done: usize,
    pub(super) total: Option<usize>,
    /// What else there is to say: "loss 0.5".
    pub(super) state: String,
    /// From 0 to 1, where it can be told.
    pub(super) share: Option<f64>,
    pub(super) elapsed: Duration,
    pub(super) stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Stage {
    #[default]
    Running,
    Done,
    Stopped,
}

impl Bar {
    /// Whole percents; 100 only when all is done.
    pub(super) fn percent(&self) -> Option<usize> {
        match self.stage {
            Stage::Done => Some(100),
            Stage::Running | Stage::Stopped => self.share.map(|share| ((100. * share) as usize).min(99)),
        }
    }

    fn figure(&self) -> String {
        match self.known_total() {
            Some(total) => format!("{} {}/{total}", self.what, self.done),
            None if self.done > 0 => format!("{} {}", self.what, self.done),
            None => self.what.to_string(),
        }
    }

    fn known_total(&self) -> Option<usize> {
        self.total.filter(|total| *total >= self.done)
    }

    fn left(&self) -> Option<Duration> {
        let share = self.share.filter(|share| self.stage == Stage::Running && *share >= 0.01)?;
        Some(self.elapsed.mul_f64((1. - share).max(0.) / share))
    }

    fn times(&self) -> String {
        let elapsed = match self.elapsed.as_secs_f64() {
            seconds if seconds < 9.95 => format!("{seconds:.1} s"),
            _ => spelled(self.elapsed),
        };
        match (self.stage, self.left()) {
            (Stage::Done, _) => format!("done in {elapsed}"),
            (Stage::Stopped, _) => format!("stopped after {elapsed}"),
            (Stage::Running, Some(left)) => format!("{} left, {elapsed} so far", spelled(left)),
            (Stage::Running, None) => format!("{elapsed} so far"),
        }
    }

    /// What stands beside the bar.
    fn caption(&self) -> String {
        let percent = self.percent().map(|percent| format!("{percent} %")).unwrap_or_default();
        let parts = [percent, self.figure(), self.state.clone(), self.times()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
    }

    /// One line of text with a bar.
    pub(super) fn text(&self) -> String {
        let full = self.percent().unwrap_or(0) * CELLS / 100;
        format!("{}{} {}", "█".repeat(full), "░".repeat(CELLS - full), self.caption())
    }

    /// The bar as HTML in the colours of the page around it.
    pub(super) fn html(&self) -> String {
        let percent = self.percent();
        let value = percent.map(|percent| format!(" aria-valuenow=\"{percent}\"")).unwrap_or_default();
        let layer = "position:absolute;top:0;bottom:0;left:0;border-radius:3px;background:currentColor";
        format!(
            "<div style=\"max-width:44em;font-family:system-ui,sans-serif;font-size:13px;line-height:1.5;\
             font-variant-numeric:tabular-nums\">\
             <div role=\"progressbar\" aria-label=\"{what}\" aria-valuemin=\"0\" aria-valuemax=\"100\"{value} \
             style=\"position:relative;height:6px;margin:4px 0\">\
             <div style=\"{layer};right:0;opacity:0.15\"></div>\
             <div style=\"{layer};width:{width}%;opacity:0.65\"></div></div>\
             <div style=\"opacity:0.85\">{caption}</div></div>",
            what = escaped(self.what),
            width = percent.unwrap_or(0),
            caption = escaped(&self.caption()),
        )
    }

    /// The line of a notebook that shows whole lines only.
    pub(super) fn line(&self) -> String {
        let Self { what, done, .. } = self;
        let state = if self.state.is_empty() { String::new() } else { format!("{}, ", self.state) };
        match (self.known_total(), self.percent()) {
            (Some(total), Some(percent)) => {
                let left = self.left().map_or_else(|| self.times(), |left| format!("{} left", spelled(left)));
                format!("{what} {done}/{total} ({percent}%), {state}{left}")
            }
            (None, Some(percent)) => format!("{what} {done} ({percent}%), {state}{}", self.times()),
            _ => format!("{what} {done}, {state}{}", self.times()),
        }
    }
}

/// A time in whole seconds: "5 s", "2 min 5 s", "1 h 3 min".
fn spelled(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match seconds {
        0 => "under 1 s".to_string(),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(done: usize, total: Option<usize>, share: Option<f64>) -> Bar {
        Bar { what: "row", done, total, share, elapsed: Duration::from_secs(3), ..Bar::default() }
    }

    #[test]
    fn a_line_says_how_far_the_work_is() {
        assert_eq!(bar(30, Some(120), Some(0.25)).line(), "row 30/120 (25%), 9 s left");
        let epoch = Bar { what: "epoch", state: "loss 0.5".to_string(), ..bar(1, Some(2), Some(0.5)) };
        assert_eq!(epoch.line(), "epoch 1/2 (50%), loss 0.5, 3 s left");
        assert_eq!(bar(30, None, None).line(), "row 30, 3.0 s so far");
        assert_eq!(bar(30, Some(20), Some(0.9)).line(), "row 30 (90%), under 1 s left, 3.0 s so far");
    }

    #[test]
    fn a_text_has_the_bar_its_figure_and_the_times() {
        let text = bar(30, Some(120), Some(0.25)).text();
        assert_eq!(text, "██████░░░░░░░░░░░░░░░░░░ 25 % · row 30/120 · 9 s left, 3.0 s so far");
        let begun = Bar { state: "loss <1".to_string(), ..bar(0, None, None) };
        assert_eq!(begun.text(), "░░░░░░░░░░░░░░░░░░░░░░░░ row · loss <1 · 3.0 s so far");
    }

    #[test]
    fn a_hundred_percent_are_told_when_all_is_done_and_not_before() {
        let mut bar = bar(130, Some(120), Some(1.));
        assert_eq!(bar.percent(), Some(99));
        assert!(bar.text().contains("99 % · row 130 · under 1 s left"), "{}", bar.text());
        bar.stage = Stage::Stopped;
        assert!(bar.text().ends_with("99 % · row 130 · stopped after 3.0 s"), "{}", bar.text());
        bar.stage = Stage::Done;
        assert!(bar.text().ends_with("█ 100 % · row 130 · done in 3.0 s"), "{}", bar.text());
    }

    #[test]
    fn the_html_takes_its_colours_from_the_page_and_escapes_what_it_shows() {
        let bar = Bar { state: "a<b & \"c\"".to_string(), ..bar(30, Some(120), Some(0.25)) };
        let html = bar.html();
        assert!(html.contains("aria-valuenow=\"25\"") && html.contains("width:25%"), "{html}");
        assert!(html.contains("a&lt;b &amp; &quot;c&quot;"), "{html}");
        assert_eq!(html.matches("currentColor").count(), 2);
        for forbidden in ["#", "rgb", "class=", "<style", "\n", "\u{1b}"] {
            assert!(!html.contains(forbidden), "{forbidden} in {html}");
        }
        assert!(!Bar::default().html().contains("aria-valuenow"));
    }

    #[test]
    fn times_are_in_units_that_people_read() {
        let spelled = |seconds: f64| spelled(Duration::from_secs_f64(seconds));
        assert_eq!(spelled(0.2), "under 1 s");
        assert_eq!(spelled(59.4), "59 s");
        assert_eq!(spelled(125.), "2 min 5 s");
        assert_eq!(spelled(3780.), "1 h 3 min");
    }
}
