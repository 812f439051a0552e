//! Which straight lines a method walks: one for each example and each of its baselines.

use std::ops::Range;

use super::Expansion;

/// The lines of a call, grouped by example.
#[derive(Clone, Copy)]
pub(crate) struct Lines {
    examples: usize,
    baselines: usize,
}

impl Lines {
    pub(crate) fn new(examples: usize, baselines: usize) -> Self {
        Self { examples, baselines }
    }

    pub(crate) fn count(self) -> usize {
        self.examples * self.baselines
    }

    pub(crate) fn examples(self) -> usize {
        self.examples
    }

    /// How many baselines each example is compared with.
    pub(crate) fn baselines(self) -> usize {
        self.baselines
    }

    pub(crate) fn example(self, line: usize) -> usize {
        line / self.baselines
    }

    /// The examples of some lines.
    pub(crate) fn at(self, lines: &Range<usize>, copies: usize) -> Expansion {
        Expansion::new(lines.clone().map(|line| self.example(line)).collect(), copies)
    }
}
