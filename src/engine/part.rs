//! The integral over a part of a line by nested rules, and how far from it these may be.

use super::host::product;
use super::patterson::{CLOSE, FIRST, RULES, Rules, points};
use crate::error::{Result, bail};

/// The part of a disagreement that F's differences must show too for these to tell where the trouble is.
const TELLING: f64 = 0.5;
/// An error that falls to this share from one rule to the next falls fast.
const FALLS_FAST: f64 = 0.1;
/// How much larger the error by few points is taken to be where F's differences do not show it, and cannot tell of what hides
/// between the points.
const HIDDEN: f64 = 3.;
/// F's differences are known to this many units of its rounding.
const ROUNDING_UNITS: f64 = 4.;

/// A part of a line.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) line: usize,
    pub(super) start: f64,
    pub(super) end: f64,
    /// F at both ends, where attributions must add up to its difference.
    pub(super) ends: Option<(f64, f64)>,
}

impl Part {
    /// Where a point of [-1, 1] is on the line.
    pub(super) fn alpha(&self, x: f64) -> f64 {
        0.5 * (self.start + self.end) + self.half() * x
    }

    fn half(&self) -> f64 {
        0.5 * (self.end - self.start)
    }

    pub(super) fn middle(&self) -> f64 {
        0.5 * (self.start + self.end)
    }
}

/// What was evaluated at the nodes of a part, in their order.
#[derive(Default)]
pub(super) struct Nodes {
    /// F.
    pub(super) values: Vec<f64>,
    pub(super) gradients: Vec<Vec<f64>>,
    /// Where the integrand needs them.
    pub(super) activations: Vec<Vec<f64>>,
}

/// The integral over a part by one rule.
#[derive(Default)]
pub(super) struct PartEstimate {
    pub(super) rule: usize,
    pub(super) value: Vec<f64>,
    pub(super) error: f64,
    /// The error of the rule before.
    pub(super) before: f64,
    /// Whether F's differences show that error.
    pub(super) told: bool,
}

/// What is integrated: G, or G · dY/dα, of gradients G and activations Y, and what it is multiplied by.
pub(super) struct Measure<'a> {
    pub(super) rules: &'a Rules,
    pub(super) of_slopes: bool,
    pub(super) scale: Option<Vec<f64>>,
    /// The relative rounding of F.
    pub(super) rounding: f64,
}

impl Measure<'_> {
    /// The estimate by a rule all of whose nodes are there; `last` is that by the rule before, if there was one.
    pub(super) fn estimate(
        &self,
        part: &Part,
        nodes: &Nodes,
        rule: usize,
        last: Option<PartEstimate>,
    ) -> Result<PartEstimate> {
        let (value, sums) = self.by_rule(part, nodes, rule);
        if let Some(value) = value.iter().find(|value| !value.is_finite()) {
            bail!(NotFinite, "the gradient along the path is not finite although the inputs are: it comes to {value}")
        }
        let (before, rougher) = match last {
            Some(last) => (last.error, last.value),
            None => {
                let (rougher, its_sums) = self.by_rule(part, nodes, rule - 1);
                let (roughest, _) = self.by_rule(part, nodes, rule - 2);
                let residual = self.residual(part, nodes, rule - 1, &its_sums);
                (apart(&rougher, &roughest).max(residual), rougher)
            }
        };
        let (apart, residual) = (apart(&value, &rougher), self.residual(part, nodes, rule, &sums));
        let told = part.ends.is_some() && residual >= TELLING * apart;
        let apart = if told || rule >= CLOSE { apart } else { HIDDEN * apart };
        Ok(PartEstimate { rule, value, error: apart.max(residual), before, told })
    }

    /// The integral, and the sum of the integrand over all attributions at each node.
    fn by_rule(&self, part: &Part, nodes: &Nodes, rule: usize) -> (Vec<f64>, Vec<f64>) {
        let half = part.half();
        let mut value = vec![0.; nodes.gradients[0].len()];
        let mut row = Vec::new();
        let mut sums = Vec::with_capacity(points(rule));
        for (node, weight) in self.rules.rules[rule].weights.iter().enumerate() {
            self.integrand(nodes, rule, node, half, &mut row);
            value.iter_mut().zip(&row).for_each(|(sum, sample)| *sum += half * weight * sample);
            sums.push(row.iter().sum());
        }
        (value, sums)
    }

    /// The integrand at a node.
    fn integrand(&self, nodes: &Nodes, rule: usize, node: usize, half: f64, row: &mut Vec<f64>) {
        row.clear();
        let gradients = &nodes.gradients[node];
        if self.of_slopes {
            let factors = &self.rules.rules[rule].differentiation[node];
            row.resize(gradients.len(), 0.);
            for (factor, activations) in factors.iter().zip(&nodes.activations) {
                row.iter_mut().zip(activations).for_each(|(sum, activation)| *sum += factor * activation);
            }
            let masked =
                |element: usize| nodes.activations[..factors.len()].iter().all(|row| row[element] == f64::NEG_INFINITY);
            for (element, (slope, gradient)) in row.iter_mut().zip(gradients).enumerate() {
                let along = if slope.is_nan() && masked(element) { 0. } else { *slope / half };
                *slope = product(*gradient, along);
            }
        } else {
            match &self.scale {
                Some(scale) => row.extend(gradients.iter().zip(scale).map(|(gradient, by)| product(*gradient, *by))),
                None => row.extend(gradients),
            }
        }
    }

    /// How much the integrals of the polynomial through the sums at the nodes miss F's differences over the gaps between
    /// them, all together. What may be F's rounding does not count: it would grow with the number of parts.
    fn residual(&self, part: &Part, nodes: &Nodes, rule: usize, sums: &[f64]) -> f64 {
        let Some((start, end)) = part.ends else { return 0. };
        let of_rule = &self.rules.rules[rule];
        let inner = of_rule.ascending.iter().map(|node| nodes.values[*node]);
        let values: Vec<f64> = [start].into_iter().chain(inner).chain([end]).collect();
        let largest = values.iter().fold(0., |largest: f64, value| largest.max(value.abs()));
        let unknown = ROUNDING_UNITS * self.rounding * largest;
        let (mut missing, mut residual) = (0., 0.);
        for (gap, ends) in of_rule.gaps.iter().zip(values.windows(2)) {
            let integral: f64 = gap.iter().zip(sums).map(|(weight, sum)| weight * sum).sum();
            let difference = part.half() * integral - (ends[1] - ends[0]);
            missing += difference;
            residual += (difference.abs() - unknown).max(0.);
        }
        residual.max(missing.abs() - unknown)
    }
}

/// The larger of two differences between integrals: in any attribution, and in the sum of all.
fn apart(one: &[f64], other: &[f64]) -> f64 {
    let differences = one.iter().zip(other).map(|(one, other)| one - other);
    let largest = differences.clone().fold(0., |largest: f64, difference| largest.max(difference.abs()));
    largest.max(differences.sum::<f64>().abs())
}

impl PartEstimate {
    /// Whether the next rule, which uses all nodes again, is worth its points: the error falls fast, or nothing but more
    /// points can tell more.
    pub(super) fn is_to_be_raised(&self) -> bool {
        let falls_fast = self.error <= FALLS_FAST * self.before;
        self.rule + 1 < RULES && (falls_fast || self.rule < self.rule_of_halves())
    }

    /// The rule with which halves of the part begin. Where F's differences tell of the trouble, they will tell of it again;
    /// what they do not show may hide from few points.
    pub(super) fn rule_of_halves(&self) -> usize {
        if self.told { FIRST } else { CLOSE }
    }
}
