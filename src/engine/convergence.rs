//! How integrals along a path converged, for each example.

/// How an integral along the path went, for each example.
#[derive(Clone, Debug)]
pub(crate) struct Convergence {
    /// The convergence delta; with several baselines, the one farthest from 0.
    pub(crate) delta: Option<Vec<f64>>,
    /// Whether one of the example's deltas is large enough for a remark.
    pub(crate) beyond: Vec<bool>,
    /// How many baselines each example is compared with.
    pub(crate) baselines: usize,
    pub(crate) steps: Vec<usize>,
    pub(crate) refinement: Option<Refinement>,
    /// That of each layer, where each adds up by itself; what is above is then the worst of them.
    pub(crate) of_layers: Vec<Convergence>,
}

/// How choosing the steps by a tolerance ended, for each example.
#[derive(Clone, Debug)]
pub(crate) struct Refinement {
    pub(crate) tolerance: f64,
    pub(crate) errors: Vec<f64>,
    pub(crate) settled: Vec<bool>,
    /// Whether the attributions settled on what does not add up.
    pub(crate) stalled: Vec<bool>,
}

impl Convergence {
    /// That of sums without steps.
    pub(super) fn without_steps(delta: Vec<f64>, beyond: Vec<bool>, baselines: usize) -> Self {
        Self { delta: Some(delta), beyond, baselines, steps: Vec::new(), refinement: None, of_layers: Vec::new() }
    }

    /// That of layers which each add up by themselves: of each example the worst.
    pub(super) fn of_layers(layers: Vec<Self>) -> Option<Self> {
        let worst = layers.iter().cloned().reduce(|one, other| Self {
            delta: one.delta.zip(other.delta).map(|(one, other)| of_two(&one, &other, farthest)),
            beyond: of_two(&one.beyond, &other.beyond, |one, other| one | other),
            baselines: one.baselines,
            steps: of_two(&one.steps, &other.steps, usize::max),
            refinement: one.refinement.zip(other.refinement).map(|(one, other)| Refinement {
                tolerance: one.tolerance,
                errors: of_two(&one.errors, &other.errors, f64::max),
                settled: of_two(&one.settled, &other.settled, |one, other| one & other),
                stalled: of_two(&one.stalled, &other.stalled, |one, other| one | other),
            }),
            of_layers: Vec::new(),
        });
        worst.map(|worst| Self { of_layers: layers, ..worst })
    }

    /// That of these examples.
    pub(super) fn of(&self, rows: &[usize]) -> Self {
        Self {
            delta: self.delta.as_ref().map(|delta| of_each(delta, rows)),
            beyond: of_each(&self.beyond, rows),
            baselines: self.baselines,
            steps: of_each(&self.steps, rows),
            refinement: self.refinement.as_ref().map(|refinement| Refinement {
                tolerance: refinement.tolerance,
                errors: of_each(&refinement.errors, rows),
                settled: of_each(&refinement.settled, rows),
                stalled: of_each(&refinement.stalled, rows),
            }),
            of_layers: self.of_layers.iter().map(|layer| layer.of(rows)).collect(),
        }
    }
}

/// What belongs to these examples; nothing where nothing is kept for examples.
pub(super) fn of_each<T: Clone>(of_examples: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().filter_map(|row| of_examples.get(*row).cloned()).collect()
}

fn of_two<T: Copy>(one: &[T], other: &[T], join: fn(T, T) -> T) -> Vec<T> {
    one.iter().zip(other).map(|(one, other)| join(*one, *other)).collect()
}

/// Of two deltas the one farther from 0; one that is no number before all others.
fn farthest(one: f64, other: f64) -> f64 {
    if other.is_nan() || other.abs() > one.abs() { other } else { one }
}
