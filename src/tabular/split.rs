//! How a table is split into rows to train with and rows to test with.

use std::collections::BTreeSet;

use crate::error::{Result, bail};
use crate::seed::Seed;

/// How a table is split into rows to train with and rows to test with.
#[derive(Clone, Debug, PartialEq)]
pub enum Split {
    /// A random share of each class is for testing, the rest for training.
    Stratified {
        /// The share of the test, between 0 and 1.
        test: f64,
        /// The seed of the draw.
        seed: u32,
    },
    /// The split of Captum's Titanic tutorial: 916 of the 1309 rows to train with, in the drawn order, and the
    /// other 393 to test with, in ascending order. NumPy gives the same for `seed(131254)` and
    /// `choice(1309, 916, replace=False)`.
    Tutorial,
    /// Rows by their positions.
    Positions {
        /// Rows to train with.
        train: Vec<usize>,
        /// Rows to test with.
        test: Vec<usize>,
    },
}

const TUTORIAL_SEED: Seed = Seed(131_254);
const TUTORIAL_ROWS: usize = 1309;
const TUTORIAL_TRAIN: usize = 916;

impl Split {
    /// The positions to train and to test with.
    pub(super) fn positions(&self, labels: &[u32]) -> Result<(Vec<usize>, Vec<usize>)> {
        match self {
            Split::Stratified { test, seed } => stratified(labels, *test, Seed(*seed)),
            Split::Tutorial if labels.len() == TUTORIAL_ROWS => Ok(tutorial()),
            Split::Tutorial => bail!(
                Input,
                "the tutorial's split is one of {TUTORIAL_ROWS} rows, and this table has {}: use Split::Stratified",
                labels.len()
            ),
            Split::Positions { train, test } => {
                if let Some(both) = train.iter().find(|position| test.contains(position)) {
                    bail!(Input, "row {both} is to train and to test with: a row can serve for one of them only")
                }
                Ok((train.clone(), test.clone()))
            }
        }
    }
}

fn tutorial() -> (Vec<usize>, Vec<usize>) {
    let mut train = TUTORIAL_SEED.permutation(TUTORIAL_ROWS);
    train.truncate(TUTORIAL_TRAIN);
    let test = (0..TUTORIAL_ROWS).filter(|row| !train.contains(row)).collect();
    (train, test)
}

fn stratified(labels: &[u32], share: f64, seed: Seed) -> Result<(Vec<usize>, Vec<usize>)> {
    if !(share > 0. && share < 1.) {
        bail!(Input, "the share of the test is {share}: expected a number between 0 and 1, for example 0.3")
    }
    let order = seed.permutation(labels.len());
    let classes: BTreeSet<u32> = labels.iter().copied().collect();
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for class in classes {
        let members: Vec<usize> = order.iter().copied().filter(|&row| labels[row] == class).collect();
        let tested = (members.len() as f64 * share).round() as usize;
        test.extend(&members[..tested]);
        train.extend(&members[tested..]);
    }
    if train.is_empty() || test.is_empty() {
        bail!(Input, "{} rows leave none to train or none to test with at a share of {share}", labels.len())
    }
    train.sort_unstable();
    test.sort_unstable();
    Ok((train, test))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stratified_keeps_the_share_of_each_class_and_every_row_once() {
        let labels: Vec<u32> = (0..1000).map(|row| u32::from(row % 5 == 0)).collect();
        let (train, test) = stratified(&labels, 0.3, Seed(42)).unwrap();
        assert_eq!((train.len(), test.len()), (700, 300));
        assert_eq!(test.iter().filter(|&&row| labels[row] == 1).count(), 60);
        let mut all = [train, test].concat();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn the_same_seed_gives_the_same_split_and_another_seed_another() {
        let labels = vec![0; 100];
        assert_eq!(stratified(&labels, 0.5, Seed(1)).unwrap(), stratified(&labels, 0.5, Seed(1)).unwrap());
        assert_ne!(stratified(&labels, 0.5, Seed(1)).unwrap(), stratified(&labels, 0.5, Seed(2)).unwrap());
    }

    #[test]
    fn the_tutorial_split_has_the_tutorials_sizes() {
        let (train, test) = tutorial();
        assert_eq!((train.len(), test.len()), (916, 393));
    }

    #[test]
    fn bad_splits_are_errors() {
        assert!(stratified(&[0, 1], 0., Seed(1)).is_err());
        assert!(stratified(&[0, 1], f64::NAN, Seed(1)).is_err());
        assert!(stratified(&[0], 0.5, Seed(1)).is_err());
        assert!(Split::Tutorial.positions(&[0, 1]).is_err());
        assert!(Split::Positions { train: vec![0, 1], test: vec![1] }.positions(&[0, 1]).is_err());
    }
}
