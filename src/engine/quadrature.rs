//! How the integral along the path becomes a weighted sum.

use super::legendre::gauss_legendre;
use crate::error::{Result, bail};

/// The rule that turns the integral over α from 0 to 1 into a weighted sum of `n` steps.
///
/// | Rule | α | weights |
/// |---|---|---|
/// | `GaussLegendre` | (1 + xₖ)/2, xₖ the roots of the Legendre polynomial Pₙ | Gauss weights / 2 |
/// | `RiemannLeft` | k/n, k = 0 … n−1 | 1/n |
/// | `RiemannRight` | k/n, k = 1 … n | 1/n |
/// | `RiemannMiddle` | (k + ½)/n | 1/n |
/// | `Trapezoid` | k/(n−1), k = 0 … n−1 | 1/(n−1), half at the ends: they sum to 1; n ≥ 2 |
/// | `CaptumTrapezoid` | as `Trapezoid` | 1/n, half at the ends: they sum to (n−1)/n, so results are too small by 1/n |
///
/// `CaptumTrapezoid` exists only for parity with Captum's `riemann_trapezoid`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Quadrature {
    /// Exact for polynomials of degree 2n − 1; the default.
    #[default]
    GaussLegendre,
    /// The left end of each of n intervals.
    RiemannLeft,
    /// The right end of each of n intervals.
    RiemannRight,
    /// The middle of each of n intervals.
    RiemannMiddle,
    /// The ends of n − 1 intervals, with weights that sum to 1.
    Trapezoid,
    /// Captum's trapezoid, whose weights sum to (n − 1)/n.
    CaptumTrapezoid,
}

/// A point of the path and its weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) alpha: f64,
    pub(crate) weight: f64,
}

impl Quadrature {
    /// The nodes of `n` steps, α ascending.
    pub(crate) fn nodes(self, n: usize) -> Result<Vec<Node>> {
        if n == 0 {
            bail!(Input, "n_steps is 0: expected at least 1 (50 is the default)")
        }
        if n == 1 && self == Quadrature::Trapezoid {
            bail!(Input, "n_steps is 1: the trapezoid rule needs at least 2 points, the two ends of the path")
        }
        let count = n as f64;
        let riemann =
            |offset: f64| (0..n).map(|k| Node { alpha: (k as f64 + offset) / count, weight: 1. / count }).collect();
        let trapezoid = |weight: f64| {
            let last = n - 1;
            let node = |k: usize| {
                let alpha = if last == 0 { 0. } else { k as f64 / last as f64 };
                let halves = i32::from(k == 0) + i32::from(k == last);
                Node { alpha, weight: weight * 0.5f64.powi(halves) }
            };
            (0..n).map(node).collect()
        };
        Ok(match self {
            Quadrature::GaussLegendre => gauss_legendre(n),
            Quadrature::RiemannLeft => riemann(0.),
            Quadrature::RiemannRight => riemann(1.),
            Quadrature::RiemannMiddle => riemann(0.5),
            Quadrature::Trapezoid => trapezoid(1. / (count - 1.)),
            Quadrature::CaptumTrapezoid => trapezoid(1. / count),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Quadrature; 6] = [
        Quadrature::GaussLegendre,
        Quadrature::RiemannLeft,
        Quadrature::RiemannRight,
        Quadrature::RiemannMiddle,
        Quadrature::Trapezoid,
        Quadrature::CaptumTrapezoid,
    ];

    fn integral(rule: Quadrature, n: usize, f: impl Fn(f64) -> f64) -> f64 {
        rule.nodes(n).unwrap().iter().map(|node| node.weight * f(node.alpha)).sum()
    }

    #[test]
    fn weights_sum_to_one_except_captums_trapezoid() {
        for rule in ALL {
            for n in 2..40 {
                let expected = if rule == Quadrature::CaptumTrapezoid { (n - 1) as f64 / n as f64 } else { 1. };
                assert!((integral(rule, n, |_| 1.) - expected).abs() < 1e-12, "{rule:?} {n}");
            }
        }
    }

    #[test]
    fn nodes_are_where_captum_has_them() {
        let nodes = |rule: Quadrature| {
            let nodes = rule.nodes(4).unwrap();
            nodes.iter().map(|node| (node.alpha, node.weight)).collect::<Vec<_>>()
        };
        let even = |alphas: [f64; 4]| alphas.map(|alpha| (alpha, 0.25)).to_vec();
        assert_eq!(nodes(Quadrature::RiemannLeft), even([0., 0.25, 0.5, 0.75]));
        assert_eq!(nodes(Quadrature::RiemannRight), even([0.25, 0.5, 0.75, 1.]));
        assert_eq!(nodes(Quadrature::RiemannMiddle), even([0.125, 0.375, 0.625, 0.875]));
        let captum = [(0., 0.125), (1. / 3., 0.25), (2. / 3., 0.25), (1., 0.125)];
        assert_eq!(nodes(Quadrature::CaptumTrapezoid), captum);
    }

    #[test]
    fn gauss_legendre_is_exact_up_to_degree_2n_minus_1() {
        for n in [1usize, 2, 3, 5, 10, 50, 500] {
            for degree in 0..(2 * n).min(40) {
                let exact = 1. / (degree as f64 + 1.);
                let computed = integral(Quadrature::GaussLegendre, n, |x| x.powi(degree as i32));
                assert!((computed - exact).abs() < 1e-13, "n {n} degree {degree}: {computed} {exact}");
            }
        }
    }

    #[test]
    fn two_point_gauss_legendre_is_the_textbook_one() {
        let nodes = Quadrature::GaussLegendre.nodes(2).unwrap();
        assert!((nodes[0].alpha - (0.5 - 0.5 / 3f64.sqrt())).abs() < 1e-15);
        assert!((nodes[1].weight - 0.5).abs() < 1e-15);
    }

    #[test]
    fn alphas_ascend_within_the_path() {
        for rule in ALL {
            let alphas: Vec<f64> = rule.nodes(33).unwrap().iter().map(|node| node.alpha).collect();
            assert!(alphas.windows(2).all(|pair| pair[0] < pair[1]), "{rule:?}");
            assert!(alphas.iter().all(|alpha| (0. ..=1.).contains(alpha)), "{rule:?}");
        }
    }

    #[test]
    fn steps_out_of_range_are_errors() {
        for rule in ALL {
            assert!(rule.nodes(0).unwrap_err().to_string().starts_with("n_steps is 0"));
        }
        assert!(Quadrature::Trapezoid.nodes(1).is_err());
        assert_eq!(Quadrature::CaptumTrapezoid.nodes(1).unwrap()[0].weight, 0.25);
    }
}
