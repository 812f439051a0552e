//! Running means of samples, and how uncertain each mean is.

/// The mean of samples of several numbers, one after another, and the squares of how far they were from it.
#[derive(Clone)]
pub(crate) struct Moments {
    count: usize,
    means: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    /// No samples yet, of this many numbers each.
    pub(crate) fn new(width: usize) -> Self {
        Self { count: 0, means: vec![0.; width], squares: vec![0.; width] }
    }

    /// Adds a sample, by Welford's recurrence.
    pub(crate) fn add(&mut self, sample: impl IntoIterator<Item = f64>) {
        self.count += 1;
        let count = self.count as f64;
        for ((mean, squares), value) in self.means.iter_mut().zip(&mut self.squares).zip(sample) {
            let before = value - *mean;
            *mean += before / count;
            *squares += before * (value - *mean);
        }
    }

    /// How many samples there were.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn means(&self) -> &[f64] {
        &self.means
    }

    /// The standard error of each mean: the samples' standard deviation over the square root of their number. It is
    /// not known from one sample, and is then not a number.
    pub(crate) fn standard_errors(&self) -> Vec<f64> {
        let count = self.count as f64;
        let error = |squares: &f64| (squares / (count - 1.) / count).sqrt();
        match self.count {
            0 | 1 => vec![f64::NAN; self.means.len()],
            _ => self.squares.iter().map(error).collect(),
        }
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
    fn one_sample_has_no_known_error() {
        let mut moments = Moments::new(1);
        moments.add([3.]);
        assert!(moments.standard_errors()[0].is_nan());
    }
}
