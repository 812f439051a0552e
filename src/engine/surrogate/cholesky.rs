//! Small dense systems of equations.

/// A pivot below this share of its diagonal is lost in rounding: the matrix is singular.
const SINGULAR: f64 = 1e-11;

/// A symmetric positive definite matrix as L·Lᵀ.
pub(crate) struct Cholesky {
    size: usize,
    /// The rows of L, each as wide as the matrix.
    lower: Vec<f64>,
}

impl Cholesky {
    /// The factors of a matrix of this size, row by row; `None` if it is singular.
    pub(crate) fn of(mut matrix: Vec<f64>, size: usize) -> Option<Self> {
        for row in 0..size {
            for column in 0..=row {
                let known: f64 = (0..column).map(|k| matrix[row * size + k] * matrix[column * size + k]).sum();
                let rest = matrix[row * size + column] - known;
                matrix[row * size + column] = if row > column {
                    rest / matrix[column * size + column]
                } else {
                    // A rest that is not a number is as singular as 0.
                    (rest > SINGULAR * matrix[row * size + row]).then(|| rest.sqrt())?
                };
            }
        }
        Some(Self { size, lower: matrix })
    }

    /// The solution for a right-hand side.
    pub(crate) fn solve(&self, right: &[f64]) -> Vec<f64> {
        let (size, lower) = (self.size, &self.lower);
        let mut solution = right.to_vec();
        for row in 0..size {
            let known: f64 = (0..row).map(|k| lower[row * size + k] * solution[k]).sum();
            solution[row] = (solution[row] - known) / lower[row * size + row];
        }
        for row in (0..size).rev() {
            let known: f64 = (row + 1..size).map(|k| lower[k * size + row] * solution[k]).sum();
            solution[row] = (solution[row] - known) / lower[row * size + row];
        }
        solution
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_solved() {
        let matrix = vec![4., 2., -1., 2., 5., 3., -1., 3., 6.];
        let solution = Cholesky::of(matrix.clone(), 3).unwrap().solve(&[3., -2., 7.]);
        for (row, right) in matrix.chunks(3).zip([3., -2., 7.]) {
            let left: f64 = row.iter().zip(&solution).map(|(a, x)| a * x).sum();
            assert!((left - right).abs() < 1e-13);
        }
    }

    #[test]
    fn a_singular_matrix_has_no_factors() {
        assert!(Cholesky::of(vec![1., 2., 2., 4.], 2).is_none());
        assert!(Cholesky::of(vec![0.], 1).is_none());
        assert!(Cholesky::of(vec![f64::NAN], 1).is_none());
    }
}
