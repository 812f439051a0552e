//! The nested Gauss-Kronrod rules of 7 and 15 points.

/// The positive nodes of the 15-point Kronrod rule on [-1, 1], outermost first; every second one
/// is a node of the 7-point Gauss rule.
const KRONROD: [f64; 8] = [
    0.991_455_371_120_812_6,
    0.949_107_912_342_758_5,
    0.864_864_423_359_769_1,
    0.741_531_185_599_394_4,
    0.586_087_235_467_691_1,
    0.405_845_151_377_397_2,
    0.207_784_955_007_898_47,
    0.0,
];
const KRONROD_WEIGHTS: [f64; 8] = [
    0.022_935_322_010_529_224,
    0.063_092_092_629_978_56,
    0.104_790_010_322_250_18,
    0.140_653_259_715_525_92,
    0.169_004_726_639_267_9,
    0.190_350_578_064_785_4,
    0.204_432_940_075_298_9,
    0.209_482_141_084_727_82,
];
const GAUSS_WEIGHTS: [f64; 4] =
    [0.129_484_966_168_869_7, 0.279_705_391_489_276_64, 0.381_830_050_505_118_9, 0.417_959_183_673_469_4];
/// The points of the larger rule.
pub(super) const NODES: usize = 15;

/// The pair on [-1, 1], and the matrix that differentiates the polynomial through the 15 points.
pub(super) struct Rule {
    pub(super) abscissae: [f64; NODES],
    pub(super) kronrod: [f64; NODES],
    pub(super) gauss: [f64; NODES],
    pub(super) differentiation: [[f64; NODES]; NODES],
}

impl Rule {
    pub(super) fn new() -> Self {
        let mut rule = Self {
            abscissae: [0.; NODES],
            kronrod: [0.; NODES],
            gauss: [0.; NODES],
            differentiation: [[0.; NODES]; NODES],
        };
        for k in 0..NODES {
            let from_outside = k.min(NODES - 1 - k);
            let sign = if k < NODES / 2 { -1. } else { 1. };
            rule.abscissae[k] = sign * KRONROD[from_outside];
            rule.kronrod[k] = KRONROD_WEIGHTS[from_outside];
            if from_outside % 2 == 1 {
                rule.gauss[k] = GAUSS_WEIGHTS[from_outside / 2];
            }
        }
        let x = rule.abscissae;
        let others = |k: usize| (0..NODES).filter(move |&m| m != k);
        let barycentric: [f64; NODES] = std::array::from_fn(|k| 1. / others(k).map(|m| x[k] - x[m]).product::<f64>());
        for k in 0..NODES {
            for m in others(k) {
                rule.differentiation[k][m] = barycentric[m] / barycentric[k] / (x[k] - x[m]);
            }
            rule.differentiation[k][k] = -others(k).map(|m| rule.differentiation[k][m]).sum::<f64>();
        }
        rule
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kronrod_is_exact_to_degree_22_and_gauss_to_13() {
        let rule = Rule::new();
        let integral = |weights: &[f64; NODES], degree: i32| -> f64 {
            rule.abscissae.iter().zip(weights).map(|(x, weight)| weight * x.powi(degree)).sum()
        };
        for degree in 0..=22 {
            let exact = if degree % 2 == 0 { 2. / f64::from(degree + 1) } else { 0. };
            assert!((integral(&rule.kronrod, degree) - exact).abs() < 1e-14, "Kronrod, degree {degree}");
            if degree <= 13 {
                assert!((integral(&rule.gauss, degree) - exact).abs() < 1e-14, "Gauss, degree {degree}");
            }
        }
    }

    #[test]
    fn differentiation_is_exact_to_degree_14() {
        let rule = Rule::new();
        for degree in 0..NODES as i32 {
            for (x, row) in rule.abscissae.iter().zip(&rule.differentiation) {
                let computed: f64 = row.iter().zip(rule.abscissae).map(|(d, x)| d * x.powi(degree)).sum();
                let exact = if degree == 0 { 0. } else { f64::from(degree) * x.powi(degree - 1) };
                assert!((computed - exact).abs() < 1e-10, "degree {degree} at {x}: {computed} {exact}");
            }
        }
    }
}
