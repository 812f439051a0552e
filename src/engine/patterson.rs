//! Patterson's nested rules of 1, 3, 7, 15 and 31 points: each has all points of the one before.

use super::quadrature::{Node, Quadrature};
use crate::error::Result;

/// The positive nodes on [-1, 1] that each rule adds. 0 is the first rule's only node.
const ADDED: [&[f64]; 5] = [
    &[],
    &[0.774_596_669_241_483_4],
    &[0.960_491_268_708_020_3, 0.434_243_749_346_802_55],
    &[0.993_831_963_212_755, 0.888_459_232_872_257, 0.621_102_946_737_226_4, 0.223_386_686_428_966_87],
    &[
        0.999_098_124_967_667_6,
        0.981_531_149_553_740_1,
        0.929_654_857_429_740_1,
        0.836_725_938_168_868_7,
        0.702_496_206_491_527_1,
        0.531_319_743_644_375_6,
        0.331_135_393_257_976_8,
        0.112_488_943_133_186_63,
    ],
];
/// How many rules there are.
pub(super) const RULES: usize = ADDED.len();
/// The first rule that may settle, of 7 points.
pub(super) const FIRST: usize = 2;
/// The rule of 15 points, for errors that F's differences do not show.
pub(super) const CLOSE: usize = 3;

/// How many points a rule has.
pub(super) const fn points(rule: usize) -> usize {
    (2 << rule) - 1
}

/// A rule on [-1, 1]. Its nodes are the first of [`Rules::abscissae`].
pub(super) struct Rule {
    pub(super) weights: Vec<f64>,
    /// For each of the gaps between -1, the nodes and 1: the weights that integrate the polynomial through the nodes over
    /// it.
    pub(super) gaps: Vec<Vec<f64>>,
    /// The nodes from left to right.
    pub(super) ascending: Vec<usize>,
    /// The matrix that differentiates the polynomial through the nodes.
    pub(super) differentiation: Vec<Vec<f64>>,
}

/// All rules, and their nodes in the order in which they come to be evaluated.
pub(super) struct Rules {
    pub(super) abscissae: Vec<f64>,
    pub(super) rules: Vec<Rule>,
}

impl Rules {
    pub(super) fn new() -> Result<Self> {
        let added = ADDED.iter().flat_map(|added| added.iter().flat_map(|node| [-node, *node]));
        let abscissae: Vec<f64> = [0.].into_iter().chain(added).collect();
        let rules = (0..RULES).map(|rule| Rule::new(&abscissae[..points(rule)])).collect::<Result<_>>()?;
        Ok(Self { abscissae, rules })
    }
}

impl Rule {
    fn new(nodes: &[f64]) -> Result<Self> {
        let count = nodes.len();
        let mut ascending: Vec<usize> = (0..count).collect();
        ascending.sort_by(|one, other| nodes[*one].total_cmp(&nodes[*other]));
        let others = |k: usize| (0..count).filter(move |m| *m != k);
        let barycentric: Vec<f64> =
            (0..count).map(|k| 1. / others(k).map(|m| nodes[k] - nodes[m]).product::<f64>()).collect();
        // Exact for the polynomial through the nodes, and none of its own nodes is theirs.
        let inner = Quadrature::GaussLegendre.nodes(count / 2 + 1)?;
        let edges: Vec<f64> = [-1.].into_iter().chain(ascending.iter().map(|node| nodes[*node])).chain([1.]).collect();
        let over = |start: f64, end: f64| {
            let mut weights = vec![0.; count];
            for Node { alpha, weight } in &inner {
                let x = start + alpha * (end - start);
                let terms: Vec<f64> = (0..count).map(|k| barycentric[k] / (x - nodes[k])).collect();
                let whole = weight * (end - start) / terms.iter().sum::<f64>();
                weights.iter_mut().zip(&terms).for_each(|(sum, term)| *sum += whole * term);
            }
            weights
        };
        let gaps: Vec<Vec<f64>> = edges.windows(2).map(|edge| over(edge[0], edge[1])).collect();
        let weights = (0..count).map(|node| gaps.iter().map(|gap| gap[node]).sum()).collect();
        let mut differentiation = vec![vec![0.; count]; count];
        for (k, row) in differentiation.iter_mut().enumerate() {
            for m in others(k) {
                row[m] = barycentric[m] / barycentric[k] / (nodes[k] - nodes[m]);
            }
            row[k] = -others(k).map(|m| row[m]).sum::<f64>();
        }
        Ok(Self { weights, gaps, ascending, differentiation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Legendre polynomials up to a degree at a point.
    fn legendre(degree: usize, x: f64) -> Vec<f64> {
        let mut values = vec![1., x];
        for k in 1..degree {
            let order = k as f64;
            values.push(((2. * order + 1.) * x * values[k] - order * values[k - 1]) / (order + 1.));
        }
        values
    }

    #[test]
    fn each_rule_is_exact_to_the_degree_that_defines_its_nodes() {
        let all = Rules::new().unwrap();
        assert_eq!(all.abscissae.len(), points(RULES - 1));
        for (index, rule) in all.rules.iter().enumerate() {
            let degree = if index == 0 { 1 } else { (3 * points(index)).div_ceil(2) };
            let mut integrals = vec![0.; degree + 1];
            for (x, weight) in all.abscissae.iter().zip(&rule.weights) {
                integrals.iter_mut().zip(legendre(degree, *x)).for_each(|(sum, value)| *sum += weight * value);
            }
            assert!(rule.weights.iter().all(|weight| *weight > 0.));
            assert!((integrals[0] - 2.).abs() < 1e-14, "{index}");
            for (degree, integral) in integrals.iter().enumerate().skip(1) {
                assert!(integral.abs() < 1e-14, "rule {index}, degree {degree}: {integral}");
            }
        }
    }

    #[test]
    fn gaps_and_slopes_are_exact_for_the_polynomial_through_the_nodes() {
        let all = Rules::new().unwrap();
        for (index, rule) in all.rules.iter().enumerate() {
            let nodes = &all.abscissae[..points(index)];
            let edges: Vec<f64> =
                [-1.].into_iter().chain(rule.ascending.iter().map(|node| nodes[*node])).chain([1.]).collect();
            for degree in 0..points(index) as i32 {
                for (gap, edge) in rule.gaps.iter().zip(edges.windows(2)) {
                    let power = |x: f64| x.powi(degree + 1) / f64::from(degree + 1);
                    let computed: f64 = gap.iter().zip(nodes).map(|(weight, x)| weight * x.powi(degree)).sum();
                    assert!((computed - power(edge[1]) + power(edge[0])).abs() < 1e-13, "{index} {degree}");
                }
                for (x, row) in nodes.iter().zip(&rule.differentiation) {
                    let computed: f64 = row.iter().zip(nodes).map(|(d, x)| d * x.powi(degree)).sum();
                    let exact = if degree == 0 { 0. } else { f64::from(degree) * x.powi(degree - 1) };
                    assert!((computed - exact).abs() < 1e-9, "{index} {degree} at {x}: {computed} {exact}");
                }
            }
        }
    }
}
