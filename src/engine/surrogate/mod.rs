//! Linear models that stand for another model nearby: which of its features count, and how much.

mod cholesky;
mod lasso;
mod least_squares;
mod logistic;
mod observations;

pub(crate) use cholesky::Cholesky;
pub(crate) use observations::Observations;

use crate::error::{Error, Result, bail, error};

/// The linear model that [`Lime`](crate::attr::Lime) fits to the model's outputs y for samples x of features that are
/// present (1) or absent (0), each with the weight w of its similarity to the example.
///
/// None penalises the intercept b₀.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Surrogate {
    /// Least squares: Σ w·(y − b₀ − x·b)². It needs more samples than features.
    Linear,
    /// Σ w·(y − b₀ − x·b)² + α·Σ b².
    Ridge {
        /// The strength α of the penalty, at least 0.
        alpha: f64,
    },
    /// ½ Σ w·(y − b₀ − x·b)² / Σ w + α·Σ|b|: features that say little get exactly 0.
    Lasso {
        /// The strength α of the penalty, at least 0.
        alpha: f64,
    },
    /// Σ w·(ln(1 + e^η) − y·η) + ½·α·Σ b² with η = b₀ + x·b, for probabilities y: coefficients are on the scale of the
    /// logarithm of odds.
    Logistic {
        /// The strength α of the penalty, at least 0.
        alpha: f64,
    },
}

impl Default for Surrogate {
    /// Captum's: lasso with α = 0.01.
    fn default() -> Self {
        Surrogate::Lasso { alpha: 0.01 }
    }
}

impl Surrogate {
    pub(crate) fn check(&self) -> Result<()> {
        let (Surrogate::Ridge { alpha } | Surrogate::Lasso { alpha } | Surrogate::Logistic { alpha }) = *self else {
            return Ok(());
        };
        if !alpha.is_finite() || alpha < 0. {
            bail!(Input, "the surrogate's alpha is {alpha}: expected a finite number that is not negative")
        }
        Ok(())
    }

    /// The best coefficients, found in at most so many rounds. An error if they are not determined, or if the search
    /// does not converge.
    pub(crate) fn fit(&self, observed: &Observations, most: usize) -> Result<Fit> {
        match *self {
            Surrogate::Lasso { alpha } if alpha > 0. => lasso::fit(observed, alpha, most),
            Surrogate::Ridge { alpha } if alpha > 0. => least_squares(observed, alpha),
            Surrogate::Linear | Surrogate::Ridge { .. } | Surrogate::Lasso { .. } => least_squares(observed, 0.),
            Surrogate::Logistic { alpha } => logistic::fit(observed, alpha, most),
        }
    }
}

/// A surrogate that was fitted.
#[derive(Clone, Debug)]
pub(crate) struct Fit {
    pub(crate) intercept: f64,
    pub(crate) coefficients: Vec<f64>,
    /// How many rounds the search took; 0 if there is a formula.
    pub(crate) rounds: usize,
}

impl Fit {
    /// These coefficients, with the intercept that goes through the mean output where each feature has its mean.
    fn through(output: f64, features: &[f64], coefficients: Vec<f64>) -> Self {
        let explained: f64 = features.iter().zip(&coefficients).map(|(mean, coefficient)| mean * coefficient).sum();
        Self { intercept: output - explained, coefficients, rounds: 0 }
    }

    fn at(&self, row: &[bool]) -> f64 {
        let present = row.iter().zip(&self.coefficients).filter(|(present, _)| **present);
        self.intercept + present.map(|(_, coefficient)| coefficient).sum::<f64>()
    }

    /// The point at this share of the way to another.
    fn towards(&self, other: &Self, share: f64) -> Self {
        let between = |from: f64, to: f64| from + share * (to - from);
        let coefficients = self.coefficients.iter().zip(&other.coefficients).map(|(from, to)| between(*from, *to));
        Self { intercept: between(self.intercept, other.intercept), coefficients: coefficients.collect(), ..*self }
    }

    fn is_finite(&self) -> bool {
        self.intercept.is_finite() && self.coefficients.iter().all(|coefficient| coefficient.is_finite())
    }
}

fn least_squares(observed: &Observations, alpha: f64) -> Result<Fit> {
    let fit = least_squares::fit(observed.rows(), observed.outputs(), observed.weights(), alpha);
    fit.ok_or_else(|| undetermined(observed, "least squares", "take Surrogate::Ridge or Lasso"))
}

/// The error for samples that leave the coefficients open.
fn undetermined(observed: &Observations, by: &str, otherwise: &str) -> Error {
    error!(
        Input,
        "{} different samples that count do not tell {} features apart by {by}: draw more than {} samples, or {otherwise}",
        observed.counting(),
        observed.features(),
        observed.features()
    )
}

/// The error of a search that ended too early.
fn did_not_converge(surrogate: &str, rounds: usize, reached: String, wanted: f64) -> Error {
    error!(
        Input,
        "the {surrogate} did not converge in {rounds} rounds: {reached}, and was to be at most {wanted:.1e}; allow more \
         with max_iterations, or give a larger alpha"
    )
}

#[cfg(test)]
mod tests {
    // Surrogates against scikit-learn 1.9.1, whose numbers these are, and against their own conditions.
    use super::*;

    type Case = (&'static [&'static str], &'static [f64], &'static [f64]);

    /// Rows, weights, outputs.
    const LONG: Case = (
        &[
            "1011", "0001", "0010", "1000", "1011", "1101", "0111", "1000", "1001", "1011", "0101", "0010", "0000",
            "0111",
        ],
        &[0.962, 0.229, 0.073, 0.244, 0.715, 0.791, 0.072, 0.599, 0.052, 0.54, 0.658, 0.986, 0.296, 0.812],
        &[2.199, -0.02, 0.09, 1.55, 2.24, 1.567, -0.717, 1.812, 2.039, 2.104, -0.78, 0.171, 0.054, -0.442],
    );
    const CHANCES: &[f64] =
        &[0.9, 0.495, 0.522, 0.825, 0.904, 0.827, 0.328, 0.86, 0.885, 0.891, 0.314, 0.543, 0.513, 0.391];
    const WIDE: Case = (
        &["00000101", "11001001", "10010101", "10110001", "01100100"],
        &[0.946, 0.156, 0.851, 0.379, 0.146],
        &[0.213, -2.401, -0.112, 0.402, -0.056],
    );

    fn rows(rows: &[&str]) -> Vec<Vec<bool>> {
        rows.iter().map(|row| row.chars().map(|letter| letter == '1').collect()).collect()
    }

    fn fit(surrogate: Surrogate, (coalitions, weights, outputs): Case, most: usize) -> Result<Fit> {
        let rows = rows(coalitions);
        let rows = rows.iter().map(Vec::as_slice).collect();
        surrogate.fit(&Observations::new(rows, outputs.to_vec(), weights.to_vec())?, most)
    }

    #[track_caller]
    fn assert_fit(surrogate: Surrogate, case: Case, intercept: f64, coefficients: &[f64], within: f64) {
        let fit = fit(surrogate, case, 10_000).unwrap();
        assert!((fit.intercept - intercept).abs() < within, "{} and {intercept}", fit.intercept);
        for (got, expected) in fit.coefficients.iter().zip(coefficients) {
            assert!((got - expected).abs() < within, "{:?} and {coefficients:?}", fit.coefficients);
        }
    }

    #[test]
    fn least_squares_are_those_of_scikit_learn() {
        let expected = [2.0323945586399246, -0.5683405917507982, 0.24139822950173923, 0.06607239096640445];
        for surrogate in [Surrogate::Linear, Surrogate::Ridge { alpha: 0. }, Surrogate::Lasso { alpha: 0. }] {
            assert_fit(surrogate, LONG, -0.1429487433920824, &expected, 1e-12);
        }
    }

    #[test]
    fn ridge_is_that_of_scikit_learn() {
        let scaled: Vec<f64> = LONG.1.iter().map(|weight| weight / 0.986).collect();
        let long = (LONG.0, &*scaled.leak(), LONG.2);
        let expected = [1.4312284034448823, -0.5845837621711415, 0.13478605477966057, 0.1655613158025277];
        assert_fit(Surrogate::Ridge { alpha: 0.7 }, long, 0.19097108464568202, &expected, 1e-12);
        let scaled: Vec<f64> = WIDE.1.iter().map(|weight| weight / 0.946).collect();
        let wide = (WIDE.0, &*scaled.leak(), WIDE.2);
        let expected = [
            -0.22018186554002434,
            -0.33647339876154847,
            0.21009360353689893,
            0.11813691630696943,
            -0.3383187818469937,
            0.13007056139554002,
            0.,
            -0.001845383085445238,
        ];
        assert_fit(Surrogate::Ridge { alpha: 0.7 }, wide, -0.06806071602830022, &expected, 1e-12);
    }

    #[test]
    fn lasso_is_that_of_scikit_learn() {
        let expected = [2.026040806913522, -0.49813329365827097, 0.22960449521269166, 0.];
        assert_fit(Surrogate::Lasso { alpha: 0.01 }, LONG, -0.1103320522639818, &expected, 1e-12);
        let expected = [1.716905714785264, -0.26548874626981916, 0., 0.];
        assert_fit(Surrogate::Lasso { alpha: 0.1 }, LONG, 0.11999220945235478, &expected, 1e-12);
    }

    /// With more features than rows the coefficients are not unique, but the predictions are.
    #[test]
    fn a_wide_lasso_predicts_what_scikit_learn_predicts() {
        let expected = Fit {
            intercept: 0.08202748414376317,
            coefficients: vec![
                -0.04843406463730034,
                -0.17952113587740673,
                0.04149365173364318,
                0.,
                -1.4608415143982858,
                0.,
                0.,
                0.,
            ],
            rounds: 0,
        };
        let fit = fit(Surrogate::Lasso { alpha: 0.05 }, WIDE, 10_000).unwrap();
        for row in rows(WIDE.0) {
            assert!((fit.at(&row) - expected.at(&row)).abs() < 1e-6, "{fit:?}");
        }
        let size = |fit: &Fit| fit.coefficients.iter().map(|coefficient| coefficient.abs()).sum::<f64>();
        assert!((size(&fit) - size(&expected)).abs() < 1e-6);
    }

    #[test]
    fn logistic_regression_is_that_of_scikit_learn() {
        let scaled: Vec<f64> = LONG.1.iter().map(|weight| weight / 0.986).collect();
        let expected = [0.8122328841395073, -0.3702721133521392, 0.057302661097352874, 0.06737031009092205];
        let case = (LONG.0, &*scaled.leak(), CHANCES);
        assert_fit(Surrogate::Logistic { alpha: 0.5 }, case, 0.3991410620941084, &expected, 1e-7);
    }

    #[test]
    fn a_logistic_gradient_is_nought_where_it_ends() {
        for alpha in [0., 0.01, 3.] {
            let fit = fit(Surrogate::Logistic { alpha }, (LONG.0, LONG.1, CHANCES), 100).unwrap();
            assert!((1..20).contains(&fit.rounds), "{} rounds", fit.rounds);
            let rows = rows(LONG.0);
            let faults: Vec<f64> = (0..rows.len())
                .map(|row| LONG.1[row] * (1. / (1. + (-fit.at(&rows[row])).exp()) - CHANCES[row]))
                .collect();
            assert!(faults.iter().sum::<f64>().abs() < 1e-9);
            for feature in 0..4 {
                let present = (0..rows.len()).filter(|row| rows[*row][feature]);
                let slope = present.map(|row| faults[row]).sum::<f64>() + alpha * fit.coefficients[feature];
                assert!(slope.abs() < 1e-9, "{slope}");
            }
        }
    }

    #[test]
    fn a_search_that_is_cut_short_is_an_error_with_its_numbers() {
        let error = fit(Surrogate::Lasso { alpha: 0.01 }, LONG, 2).unwrap_err().to_string();
        assert!(error.contains("the lasso did not converge in 2 rounds: its duality gap is"), "{error}");
        let error = fit(Surrogate::Logistic { alpha: 0.5 }, (LONG.0, LONG.1, CHANCES), 1).unwrap_err().to_string();
        assert!(error.contains("the logistic regression did not converge in 1 rounds: its last step was"), "{error}");
        // The first feature alone tells 0 from 1: no finite coefficients are best.
        let parted: Vec<f64> = LONG.0.iter().map(|row| f64::from(u8::from(row.starts_with('1')))).collect();
        let parted = (LONG.0, LONG.1, &*parted.leak());
        let error = fit(Surrogate::Logistic { alpha: 0. }, parted, 1_000).unwrap_err().to_string();
        assert!(error.contains("the features part the answers"), "{error}");
        assert!(error.contains("give a larger alpha"), "{error}");
        assert!(fit(Surrogate::Logistic { alpha: 1e-3 }, parted, 1_000).is_ok());
    }

    #[test]
    fn a_logistic_regression_says_why_it_has_no_answer() {
        let said = |alpha, case: Case, most| fit(Surrogate::Logistic { alpha }, case, most).unwrap_err().to_string();
        for answer in [0., 1.] {
            let error = said(1., (LONG.0, LONG.1, vec![answer; 14].leak()), 1_000);
            let expected = format!("the model gave {answer} for each of 14 samples that count");
            assert!(error.contains(&expected) && !error.contains("rounds"), "{error}");
        }
        // What does not count may be of the other class.
        let error = said(1., (&["10", "01", "11"], &[1., 1., 0.], &[1., 1., 0.]), 1_000);
        assert!(error.contains("gave 1 for each of 2 samples"), "{error}");
        let error = said(0., (WIDE.0, WIDE.1, &[0.1, 0.2, 0.3, 0.4, 0.5]), 1_000);
        assert!(error.contains("5 different samples that count do not tell 8 features apart"), "{error}");
        let error = said(1., (LONG.0, LONG.1, CHANCES), 0);
        assert!(error.contains("max_iterations is 0"), "{error}");
    }

    #[test]
    fn coefficients_that_are_not_determined_are_an_error() {
        let error = fit(Surrogate::Linear, WIDE, 1).unwrap_err().to_string();
        assert!(error.contains("5 different samples that count do not tell 8 features apart"), "{error}");
        let never = (&["10", "10", "00", "10"][..], &[1., 1., 1., 1.][..], &[1., 2., 3., 4.][..]);
        assert!(fit(Surrogate::Linear, never, 1).is_err());
        let ridge = fit(Surrogate::Ridge { alpha: 1. }, never, 1).unwrap();
        assert_eq!(ridge.coefficients[1], 0.);
    }

    #[test]
    fn outputs_that_do_not_vary_have_no_coefficients() {
        let same = (LONG.0, LONG.1, &[0.25; 14][..]);
        for surrogate in [Surrogate::Linear, Surrogate::Lasso { alpha: 0.01 }, Surrogate::Ridge { alpha: 1. }] {
            let fit = fit(surrogate, same, 10).unwrap();
            assert!((fit.intercept - 0.25).abs() < 1e-15);
            assert!(fit.coefficients.iter().all(|coefficient| coefficient.abs() < 1e-15));
        }
        let fit = fit(Surrogate::Logistic { alpha: 1. }, same, 50).unwrap();
        assert!((fit.intercept - (0.25f64 / 0.75).ln()).abs() < 1e-9);
    }

    #[test]
    fn what_is_no_weight_no_chance_or_no_strength_is_an_error() {
        let with = |weight: f64| (&["1", "0"][..], &*vec![weight, 0.].leak(), &[0.5, 1.5][..]);
        for (weight, said) in
            [(f64::NAN, "sample 0 is NaN"), (-1., "sample 0 is -1"), (0., "all 2 samples have the similarity 0")]
        {
            let error = fit(Surrogate::Linear, with(weight), 1).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let error = fit(Surrogate::Logistic { alpha: 1. }, with(1.), 9).unwrap_err().to_string();
        assert!(error.contains("gave 1.5 for a sample"), "{error}");
        for alpha in [-1., f64::NAN, f64::INFINITY] {
            let error = Surrogate::Lasso { alpha }.check().unwrap_err().to_string();
            assert!(error.contains("alpha is"), "{error}");
        }
    }
}
