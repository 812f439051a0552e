//! Gauss-Legendre nodes: by Newton's method if few, from root to root if many.

use std::f64::consts::PI;
use std::sync::{Mutex, PoisonError};

use super::quadrature::Node;

/// Up to this many steps every root is found from the recurrence, in n² operations in all.
const MOST_BY_RECURRENCE: usize = 1000;
/// How many terms of the series from one root to the next are taken; the last ones are below rounding.
const TERMS: usize = 40;

/// The Gauss-Legendre nodes. The last ones computed are kept: finding many nodes takes longer than
/// a small model takes to evaluate them.
pub(super) fn gauss_legendre(n: usize) -> Vec<Node> {
    static LAST: Mutex<Vec<Node>> = Mutex::new(Vec::new());
    let last = || LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = Some(last()).filter(|last| last.len() == n).map(|last| last.clone());
    kept.unwrap_or_else(|| {
        let nodes = on_unit_interval(n);
        last().clone_from(&nodes);
        nodes
    })
}

/// The nodes on [0, 1], from the roots that are not below 0: the others mirror them, with equal weights.
fn on_unit_interval(n: usize) -> Vec<Node> {
    let upper = if n <= MOST_BY_RECURRENCE { by_recurrence(n) } else { from_root_to_root(n) };
    let node = |x: f64, weight: f64| Node { alpha: 0.5 * (1. + x), weight };
    let lower = upper.iter().map(|&(x, weight)| node(-x, weight));
    lower.chain(upper[..n / 2].iter().rev().map(|&(x, weight)| node(x, weight))).collect()
}

/// Tricomi's estimate of the root that is the `k`th below 1.
fn estimate(n: usize, k: usize) -> f64 {
    (PI * (k as f64 + 0.75) / (n as f64 + 0.5)).cos()
}

/// The roots of the Legendre polynomial Pₙ that are not below 0, the largest first, with their weights for an
/// interval of length 1: by Newton's method.
fn by_recurrence(n: usize) -> Vec<(f64, f64)> {
    let root = |k: usize| {
        let mut x = estimate(n, k);
        let mut slope = 0.;
        for _ in 0..100 {
            let (value, derivative) = legendre(n, x);
            slope = derivative;
            let step = value / derivative;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        (x, 1. / ((1. - x * x) * slope * slope))
    };
    (0..n.div_ceil(2)).map(root).collect()
}

/// Pₙ(x) and its derivative, by the three-term recurrence.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (1., x);
    for k in 2..=n {
        let k = k as f64;
        (before, value) = (value, ((2. * k - 1.) * x * value - (k - 1.) * before) / k);
    }
    (value, n as f64 * (x * value - before) / (x * x - 1.))
}

/// The same roots and weights in time linear in n (Glaser, Liu and Rokhlin, 2007): from 0 upwards, each root by
/// Newton's method on the Taylor series around the one before. Legendre's equation gives the terms of the series. Pₙ is
/// known up to a factor, which follows from the sum of the weights.
fn from_root_to_root(n: usize) -> Vec<(f64, f64)> {
    let count = n.div_ceil(2);
    let mut roots = Vec::with_capacity(count);
    let (mut x, mut value, mut slope) = if n % 2 == 1 { (0., 0., 1.) } else { (0., 1., 0.) };
    if n % 2 == 1 {
        roots.push((x, slope));
    }
    for k in (0..n / 2).rev() {
        let unit = estimate(n, k) - x;
        let terms = series(n, x, value, slope, unit);
        let mut units = 1.;
        for _ in 0..20 {
            let (at, derivative) = evaluate(&terms, units);
            let correction = at / derivative;
            units -= correction;
            if correction.abs() < 1e-15 {
                break;
            }
        }
        slope = evaluate(&terms, units).1 / unit;
        x += units * unit;
        value = 0.;
        roots.push((x, slope));
    }
    let weight = |&(x, slope): &(f64, f64)| 1. / ((1. - x * x) * slope * slope);
    let halves = roots.iter().map(|root| if root.0 == 0. { 0.5 * weight(root) } else { weight(root) });
    let sum = 2. * halves.sum::<f64>();
    roots.iter().rev().map(|root| (root.0, weight(root) / sum)).collect()
}

/// The Taylor series of a solution of Legendre's equation around x, from its value and slope there, in powers of the
/// distance from x. The distance is in units of `unit`; otherwise the terms near 1 would overflow.
fn series(n: usize, x: f64, value: f64, slope: f64, unit: f64) -> [f64; TERMS] {
    let mut terms = [0.; TERMS];
    (terms[0], terms[1]) = (value, slope * unit);
    let eigenvalue = n as f64 * (n as f64 + 1.);
    for k in 0..TERMS - 2 {
        let order = k as f64;
        let lower = (order * (order + 1.) - eigenvalue) * terms[k] * unit * unit;
        let middle = 2. * x * (order + 1.) * (order + 1.) * terms[k + 1] * unit;
        terms[k + 2] = (middle + lower) / ((1. - x * x) * (order + 1.) * (order + 2.));
    }
    terms
}

/// The values of a series and its derivative at a point.
fn evaluate(terms: &[f64; TERMS], at: f64) -> (f64, f64) {
    terms.iter().rev().fold((0., 0.), |(value, derivative), term| (value * at + term, derivative * at + value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_the_roots_agree() {
        for n in [2, 3, 10, 51, 500, 2001, 4000] {
            let (newton, walked) = (by_recurrence(n), from_root_to_root(n));
            assert_eq!(newton.len(), walked.len());
            for ((x, weight), (other, other_weight)) in newton.into_iter().zip(walked) {
                assert!((x - other).abs() < 2e-15, "{n}: {x} {other}");
                let rounding = 1e-15 + 1e-11 * weight;
                assert!((weight - other_weight).abs() < rounding, "{n}, {x}: {weight} {other_weight}");
            }
        }
    }

    #[test]
    fn many_nodes_integrate_what_few_do_not() {
        for n in [20_000, 50_001] {
            let nodes = on_unit_interval(n);
            let integral = |f: &dyn Fn(f64) -> f64| nodes.iter().map(|node| node.weight * f(node.alpha)).sum::<f64>();
            assert!((integral(&|_| 1.) - 1.).abs() < 1e-12);
            let frequency = 30_000.;
            let exact = (1. - f64::cos(frequency)) / frequency;
            assert!((integral(&|x| (frequency * x).sin()) - exact).abs() < 1e-11, "{n}");
            assert!(nodes.windows(2).all(|pair| pair[0].alpha < pair[1].alpha));
        }
    }
}
