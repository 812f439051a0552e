//! How often stated standard errors hold the exact number, over a thousand seeds: `docs/measurements.md` has the table.

use candle_explain::prelude::*;

pub(crate) struct Coverage {
    /// The share of attributions within 1.96 standard errors of the exact ones.
    pub(crate) within_two: f64,
    pub(crate) within_three: f64,
    /// The mean of the distances, in standard errors.
    pub(crate) bias: f64,
    /// The mean of the squared distances.
    pub(crate) squares: f64,
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

impl Coverage {
    pub(crate) fn of(exact: &[f64], estimate: impl Fn(Seed) -> Attributions) -> Self {
        let mut all = Vec::new();
        for seed in 0..1_000 {
            let result = estimate(Seed(seed));
            let (values, errors) = (numbers(result.tensor()), numbers(&result.standard_errors().unwrap()[0]));
            assert_eq!(values.len(), exact.len());
            all.extend(values.iter().zip(exact).map(|(value, exact)| value - exact).zip(errors));
        }
        let mean = |of: &dyn Fn(f64, f64) -> f64| {
            all.iter().map(|(apart, error)| of(*apart, *error)).sum::<f64>() / all.len() as f64
        };
        let within = |most: f64| mean(&|apart, error| f64::from(apart.abs() <= most * error));
        Self {
            within_two: within(1.96),
            within_three: within(3.),
            bias: mean(&|apart, error| apart / error),
            squares: mean(&|apart, _| apart * apart),
        }
    }

    /// Prints a row of the table and holds it: between 93 and 97 % within 1.96 standard errors.
    pub(crate) fn hold(&self, method: &str, how: &str) {
        let [two, three] = [self.within_two, self.within_three].map(|share| 100. * share);
        println!("| {method} | {how} | {two:.1} % | {three:.2} % |");
        assert!((93. ..=97.).contains(&two), "{method}, {how}: {two} % within 1.96 standard errors");
    }
}
