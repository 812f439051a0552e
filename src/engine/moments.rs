//! Running means and variances of samples, and how uncertain each is.

use std::borrow::Cow;

/// What is estimated from samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statistic {
    Mean,
    /// The sum of squares over one less than the samples' number: on average the true variance.
    Variance,
    /// The sum of squares over the samples' number: on average less than the true variance.
    BiasedVariance,
}

/// The mean of samples of several numbers, one after another, and the powers of how far they were from it.
#[derive(Clone)]
pub(crate) struct Moments {
    statistic: Statistic,
    count: usize,
    means: Vec<f64>,
    squares: Vec<f64>,
    /// The sums of third and fourth powers, where a variance is estimated.
    higher: Vec<(f64, f64)>,
}

impl Moments {
    /// No samples yet, of this many numbers each.
    pub(crate) fn new(width: usize) -> Self {
        Self::of(Statistic::Mean, width)
    }

    /// The same to estimate something else than the mean.
    pub(crate) fn of(statistic: Statistic, width: usize) -> Self {
        let higher = if statistic == Statistic::Mean { Vec::new() } else { vec![(0., 0.); width] };
        Self { statistic, count: 0, means: vec![0.; width], squares: vec![0.; width], higher }
    }

    /// Adds a sample, by Welford's recurrence; the higher powers by that of Pébay.
    pub(crate) fn add(&mut self, sample: impl IntoIterator<Item = f64>) {
        self.count += 1;
        let count = self.count as f64;
        let mut higher = self.higher.iter_mut();
        for ((mean, squares), value) in self.means.iter_mut().zip(&mut self.squares).zip(sample) {
            let before = value - *mean;
            let step = before / count;
            *mean += step;
            let square = before * (value - *mean);
            if let Some((cubes, fourths)) = higher.next() {
                *fourths += square * step * step * (count * count - 3. * count + 3.) + 6. * step * step * *squares
                    - 4. * step * *cubes;
                *cubes += square * step * (count - 2.) - 3. * step * *squares;
            }
            *squares += square;
        }
    }

    /// How many samples there were.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn means(&self) -> &[f64] {
        &self.means
    }

    /// What is estimated, for each number. A variance is not known from one sample, and is then not a number.
    pub(crate) fn estimates(&self) -> Cow<'_, [f64]> {
        match self.statistic {
            Statistic::Mean => Cow::Borrowed(&self.means),
            Statistic::Variance | Statistic::BiasedVariance => {
                let share = self.share();
                self.variances().map(|variance| share * variance).collect()
            }
        }
    }

    /// The standard error of each estimate: of a mean, the samples' standard deviation over the square root of their
    /// number; of a variance, the same of the squares, by the fourth moment. It is not known from one sample, and is then
    /// not a number.
    pub(crate) fn standard_errors(&self) -> Vec<f64> {
        let count = self.count as f64;
        if self.statistic == Statistic::Mean {
            return self.variances().map(|variance| (variance / count).sqrt()).collect();
        }
        let share = self.share();
        let of_variance = |(variance, (_, fourths)): (f64, &(f64, f64))| {
            let spread = fourths / count - variance * variance * (count - 3.) / (count - 1.);
            // Not by max, which makes 0 of what is not a number.
            let spread = if spread < 0. { 0. } else { spread };
            share * (spread / count).sqrt()
        };
        self.variances().zip(&self.higher).map(of_variance).collect()
    }

    fn variances(&self) -> impl Iterator<Item = f64> {
        let count = self.count as f64;
        self.squares.iter().map(move |squares| if count > 1. { squares / (count - 1.) } else { f64::NAN })
    }

    /// The estimate as a share of the variance.
    fn share(&self) -> f64 {
        let count = self.count as f64;
        if self.statistic == Statistic::BiasedVariance { (count - 1.) / count } else { 1. }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_errors_are_those_of_the_textbook() {
        let mut moments = Moments::new(2);
        for value in [1., 2., 4., 9.] {
            moments.add([value, -10.]);
        }
        assert_eq!((moments.count(), moments.means()), (4, &[4., -10.][..]));
        // The squares of -3, -2, 0 and 5 are 38 together.
        assert!((moments.standard_errors()[0] - (38f64 / 3. / 4.).sqrt()).abs() < 1e-14);
        assert_eq!(moments.standard_errors()[1], 0.);
    }

    #[test]
    fn variances_and_their_errors_are_those_of_the_textbook() {
        let mut right = Moments::of(Statistic::Variance, 2);
        let mut biased = Moments::of(Statistic::BiasedVariance, 2);
        for value in [1., 2., 4., 9.] {
            right.add([value, 3.]);
            biased.add([value, 3.]);
        }
        let variance = 38. / 3.;
        // The fourth powers of -3, -2, 0 and 5 are 722 together.
        let error = ((722. / 4. - variance * variance / 3.) / 4f64).sqrt();
        for (moments, share) in [(right, 1.), (biased, 0.75)] {
            assert!((moments.estimates()[0] - share * variance).abs() < 1e-12);
            assert!((moments.standard_errors()[0] - share * error).abs() < 1e-12);
            assert_eq!((moments.estimates()[1], moments.standard_errors()[1]), (0., 0.));
        }
    }

    #[test]
    fn one_sample_has_no_known_error() {
        for statistic in [Statistic::Mean, Statistic::Variance, Statistic::BiasedVariance] {
            let mut moments = Moments::of(statistic, 1);
            moments.add([3.]);
            assert!(moments.standard_errors()[0].is_nan());
        }
    }
}
