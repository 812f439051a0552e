//! How thoroughly gradients are compared.

use super::Parameters;

/// How many passes a group of parameters takes if nothing is wrong.
const PASSES: usize = 12;
const FEWEST_ROWS: usize = 4;
const FEWEST_GROUPS: usize = 4;
/// The comparison may take a tenth of the training's own work (a step counts as three passes of a row),
const SHARE: usize = 10;
/// or this many rows, if it takes no more products with a weight than `PRODUCTS`.
const ROWS: usize = 8192;
const PRODUCTS: usize = 2_000_000_000;

/// Over how many rows, and in how many groups of parameters, gradients are compared with differences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Effort {
    pub(crate) rows: usize,
    pub(super) groups: usize,
}

impl Effort {
    /// The effort for a training that goes `epochs` times through `rows` rows; each parameter alone and
    /// `most_rows` if that costs little.
    pub(crate) fn new(parameters: &Parameters, rows: usize, epochs: usize, most_rows: usize) -> Self {
        let vars = parameters.vars();
        let weights = vars.iter().map(|var| var.elem_count()).sum::<usize>().max(1);
        let own = rows.saturating_mul(epochs).saturating_mul(3) / SHARE;
        let passes = own.max(ROWS.min(PRODUCTS / weights)) / PASSES;
        let rows = (passes / vars.len().max(1)).clamp(FEWEST_ROWS, most_rows.max(FEWEST_ROWS));
        Self { rows, groups: (passes / rows).max(FEWEST_GROUPS) }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;

    #[test]
    fn large_models_are_compared_in_groups_and_small_ones_in_full() {
        let effort = |count: usize, size: usize, rows: usize, epochs: usize| {
            let vars: Vec<Var> = (0..count).map(|_| Var::zeros(size, DType::F32, &Device::Cpu).unwrap()).collect();
            Effort::new(&Parameters::from(vars), rows, epochs, 32)
        };
        assert_eq!(effort(6, 50, 40, 1), Effort { rows: 32, groups: 21 });
        assert_eq!(effort(200, 500, 10_000, 50), Effort { rows: 32, groups: 390 });
        assert_eq!(effort(200, 50_000, 500, 1), Effort { rows: 4, groups: 4 });
    }
}
