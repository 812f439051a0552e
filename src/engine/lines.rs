//! Which straight lines a method walks: one for each example and each of its baselines.

use std::ops::Range;

use super::Expansion;

/// The lines of a call, grouped by example.
#[derive(Clone, Copy)]
pub(crate) struct Lines {
    examples: usize,
    baselines: usize,
    /// How many examples in a row are the same one.
    repeats: usize,
}

impl Lines {
    pub(crate) fn new(examples: usize, baselines: usize) -> Self {
        Self { examples, baselines, repeats: 1 }
    }

    /// The same lines, where this many examples in a row are the same one.
    pub(crate) fn of_repeated(self, repeats: usize) -> Self {
        Self { repeats, ..self }
    }

    /// Each example this many times, one right after another, as many lines each time.
    pub(crate) fn repeated(self, times: usize) -> Self {
        Self { examples: self.examples * times, repeats: self.repeats * times, ..self }
    }

    /// How many lines are walked together in passes of `rows` rows, with `points` points each, and how many points a pass
    /// takes. Equal lines go together, as they are evaluated once, where a pass has room for all baselines of one.
    pub(crate) fn blocks(self, rows: usize, points: usize) -> (usize, usize) {
        let (count, equal) = (self.count(), self.repeats * self.baselines);
        let rows = if self.baselines > rows { rows } else { rows * self.repeats };
        let block = (rows / points).clamp(1, count);
        let block = if equal > rows { block } else { block.next_multiple_of(equal).min(count) };
        (block, (rows / block).clamp(1, points))
    }

    pub(crate) fn count(self) -> usize {
        self.examples * self.baselines
    }

    pub(crate) fn examples(self) -> usize {
        self.examples
    }

    /// How many examples in a row are the same one.
    pub(crate) fn repeats(self) -> usize {
        self.repeats
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
