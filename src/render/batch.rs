//! The words of many texts, with those that could not be explained below.

use super::captioned::captioned;
use super::{Figure, html};
use crate::text::BatchAttributions;
use crate::visible::visible;

/// How many of the texts that could not be explained are named.
pub(super) const NAMED: usize = 5;

impl Figure for BatchAttributions {
    fn html(&self) -> String {
        let words = if self.records().is_empty() { String::new() } else { self.attributions().html() };
        words + &html::remarks(&Vec::from_iter(self.refusals(NAMED)))
    }

    fn text(&self) -> String {
        let words = (!self.records().is_empty()).then(|| self.attributions().text());
        let refusals = self.refusals(NAMED).map(|refusals| visible(&refusals));
        words.into_iter().chain(refusals).collect::<Vec<_>>().join("\n")
    }

    fn svg(&self) -> Option<String> {
        if self.records().is_empty() {
            return None;
        }
        Some(captioned(self.attributions().svg()?, &Vec::from_iter(self.refusals(NAMED))))
    }
}

/// The figure as text, which a notebook shows if it cannot show the figure.
impl std::fmt::Debug for BatchAttributions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}
