//! KernelShap: Shapley values as the regression of F on which features are present.

use std::collections::BTreeMap;

use super::surrogate::{Cholesky, Observations, Surrogate};
use super::{Coalitions, Estimate, Moments, SamplingSettings, groups_of};
use crate::error::Result;
use crate::seed::Seed;

/// The weight that Captum gives the empty and the full coalition.
const CAPTUM_WEIGHT: f64 = 1e6;
/// Pairs are drawn if there are so many for each feature; otherwise coalitions one by one, which are twice as many rows.
const PAIRS_FOR_EACH_FEATURE: usize = 2;
/// A size is enumerated if so many pairs remain to be drawn: fewer do not tell how far they spread.
const FEWEST_TO_DRAW: usize = 30;

/// How KernelShap chooses its coalitions, and how they must add up.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kernel {
    /// Each coalition with its complement; sizes that the samples allow are enumerated.
    Paired,
    /// Each coalition by itself.
    Plain,
    /// The same, with a weight instead of the constraint.
    Captum,
}

impl Coalitions<'_> {
    /// Shapley values estimated by a regression over `n_samples` coalitions, the empty and the full one among them.
    pub(crate) fn kernel_shap(&self, sampling: &SamplingSettings, kernel: Kernel) -> Result<Vec<Estimate>> {
        if let Some(samples) = sampling.planned() {
            self.plans(samples);
        }
        let empty = self.empty()?;
        let ends = Ends { empty: &empty, whole: self.whole() };
        let scale = |example: usize, _: &[f64]| ends.difference(example).abs().max(1.);
        sampling.estimate_until_settled(empty.len(), scale, |open, samples| match kernel {
            Kernel::Captum => self.captum_kernel_shap(open, samples, sampling.seed, &ends),
            _ => self.by_constraint(open, samples, sampling, kernel == Kernel::Paired, &ends),
        })
    }

    /// A feature that equals every baseline is worth nothing: an example's coalitions are of the other features alone, and
    /// examples that differ in the same ones are asked together.
    fn by_constraint(
        &self,
        examples: &[usize],
        samples: usize,
        sampling: &SamplingSettings,
        paired: bool,
        ends: &Ends,
    ) -> Result<Vec<Estimate>> {
        let mut alike: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
        for example in examples {
            alike.entry(self.differing(*example)).or_default().push(*example);
        }
        let mut estimates = BTreeMap::new();
        for (differing, examples) in alike {
            let of_differing = match differing.as_slice() {
                [] => examples.iter().map(|_| Estimate::certain(Vec::new(), 2)).collect(),
                [_] => examples.iter().map(|example| ends.alone(*example)).collect(),
                differing => {
                    let count = samples.saturating_sub(2);
                    let sample = KernelSample::drawn(differing.len(), count, paired, sampling.seed);
                    self.regressed(&examples, differing, &sample, sampling.budget.bytes, ends)?
                }
            };
            let of_all = |of_differing: &[f64]| {
                let mut numbers = vec![0.; self.features()];
                differing.iter().zip(of_differing).for_each(|(feature, number)| numbers[*feature] = *number);
                numbers
            };
            estimates.extend(examples.into_iter().zip(of_differing.iter().map(|estimate| estimate.map(of_all))));
        }
        Ok(examples.iter().filter_map(|example| estimates.remove(example)).collect())
    }

    /// The regression over coalitions of these features, in which all of these examples differ from their baselines.
    fn regressed(
        &self,
        examples: &[usize],
        differing: &[usize],
        sample: &KernelSample,
        bytes: usize,
        ends: &Ends,
    ) -> Result<Vec<Estimate>> {
        let of_all = |row: &Vec<bool>, complement: bool| {
            let mut present = vec![false; self.features()];
            differing.iter().zip(row).for_each(|(feature, is_in)| present[*feature] = *is_in != complement);
            present
        };
        let mut asked: Vec<Vec<bool>> = sample.rows.iter().map(|row| of_all(row, false)).collect();
        if sample.paired {
            asked.extend(sample.rows.iter().map(|row| of_all(row, true)));
        }
        let used = 2 + asked.len();
        let at_once = (bytes / (size_of::<f64>() * asked.len())).max(1);
        let mut estimates = Vec::with_capacity(examples.len());
        for block in examples.chunks(at_once) {
            let games = block.iter().zip(self.values(block, &asked)?).map(|(example, values)| {
                let total = ends.difference(*example);
                let unexplained = |row: usize| {
                    let share = share(&sample.rows[row]);
                    match values.get(sample.rows.len() + row) {
                        Some(complement) => (values[row] - complement) / 2. - total * (share - 0.5),
                        None => values[row] - ends.empty[*example] - total * share,
                    }
                };
                Game { total, responses: (0..sample.rows.len()).map(unexplained).collect() }
            });
            estimates.extend(sample.estimates(&games.collect::<Vec<_>>(), differing.len(), used));
        }
        Ok(estimates)
    }

    /// As Captum: least squares with an intercept, in which the empty and the full coalition weigh a million times as
    /// much as the others.
    fn captum_kernel_shap(&self, examples: &[usize], samples: usize, seed: Seed, ends: &Ends) -> Result<Vec<Estimate>> {
        let features = self.features();
        let drawn = KernelSample::drawn(features, samples.saturating_sub(2), false, seed).rows;
        let (full, none) = (vec![true; features], vec![false; features]);
        let mut estimates = Vec::with_capacity(examples.len());
        for example in examples {
            let values = self.values(&[*example], &drawn)?.concat();
            let rows = [&full, &none].into_iter().chain(&drawn).map(Vec::as_slice).collect();
            let outputs = [ends.whole[*example], ends.empty[*example]].into_iter().chain(values).collect();
            let weights = [CAPTUM_WEIGHT; 2].into_iter().chain(drawn.iter().map(|_| 1.)).collect();
            let observed = Observations::new(rows, outputs, weights)?;
            estimates.push(observed.estimate(2, &Surrogate::Linear, 0)?);
        }
        Ok(estimates)
    }
}

/// F of each example with no feature and with all.
struct Ends<'a> {
    empty: &'a [f64],
    whole: &'a [f64],
}

impl Ends<'_> {
    fn difference(&self, example: usize) -> f64 {
        self.whole[example] - self.empty[example]
    }

    /// The estimate of an only feature.
    fn alone(&self, example: usize) -> Estimate {
        Estimate::certain(vec![self.difference(example)], 2)
    }
}

/// Coalitions of the regression, or of each pair one: first those that are enumerated, then those that were drawn.
struct KernelSample {
    /// Whether each row stands for its complement as well.
    paired: bool,
    rows: Vec<Vec<bool>>,
    /// The weights of those that are enumerated.
    weights: Vec<f64>,
    /// The weight of all that were drawn together.
    weight_of_drawn: f64,
}

impl KernelSample {
    /// At most so many coalitions of at least two features, neither empty nor full, but at least one or a pair. Of pairs,
    /// sizes are enumerated from the outside in, while enough pairs remain for the others, or none is left.
    fn drawn(features: usize, count: usize, paired: bool, seed: Seed) -> Self {
        let pairs = (count / 2).max(1);
        let all: f64 = sizes(features, true).iter().map(|size| size.count).sum();
        let few = pairs < PAIRS_FOR_EACH_FEATURE * features && all > pairs as f64;
        let paired = paired && !(few && is_determined(count, features));
        let mut sizes = sizes(features, paired);
        let (mut rows, mut weights) = (Vec::new(), Vec::new());
        let mut room = if paired { pairs } else { count.max(1) };
        while let Some(size) = sizes.first().filter(|_| paired) {
            let all = size.count <= room as f64 && (sizes.len() == 1 || room - size.count as usize >= FEWEST_TO_DRAW);
            // The rest may fit as a whole where this size alone would leave too little for it.
            if !all && sizes.iter().map(|size| size.count).sum::<f64>() > room as f64 {
                break;
            }
            let of_size = subsets(features, size.present, 2 * size.present == features);
            room -= of_size.len();
            weights.extend(of_size.iter().map(|_| size.weight / of_size.len() as f64));
            rows.extend(of_size);
            sizes.remove(0);
        }
        let weight_of_drawn: f64 = sizes.iter().map(|size| size.weight).sum();
        if !sizes.is_empty() {
            rows.extend((0..room).map(|number| draw(features, &sizes, weight_of_drawn, seed.child(number))));
        }
        Self { paired, rows, weights, weight_of_drawn }
    }

    fn drawn_rows(&self) -> usize {
        self.rows.len() - self.weights.len()
    }

    /// The drawn rows of a group.
    fn group(&self, group: usize) -> impl Iterator<Item = usize> {
        (self.weights.len() + group..self.rows.len()).step_by(groups_of(self.drawn_rows()).max(1))
    }
}

/// Coalitions of one size, or pairs of one and its complement.
struct Size {
    present: usize,
    /// The weight of all of them, of 1 for all sizes.
    weight: f64,
    /// How many there are.
    count: f64,
}

/// The sizes by the Shapley kernel: the weight of all coalitions of a size k is as 1 / (k (n − k)).
fn sizes(features: usize, paired: bool) -> Vec<Size> {
    let kernel = |size: usize| 1. / (size as f64 * (features - size) as f64);
    let total: f64 = (1..features).map(kernel).sum();
    let mut coalitions = 1.;
    let mut sizes = Vec::new();
    for present in 1..if paired { features / 2 + 1 } else { features } {
        coalitions *= (features + 1 - present) as f64 / present as f64;
        let is_middle = 2 * present == features;
        let (weight, count) = match paired {
            true if is_middle => (kernel(present), coalitions / 2.),
            true => (2. * kernel(present), coalitions),
            false => (kernel(present), coalitions),
        };
        sizes.push(Size { present, weight: weight / total, count });
    }
    sizes
}

/// All coalitions of a size; with `halved`, only one of each and its complement.
fn subsets(features: usize, size: usize, halved: bool) -> Vec<Vec<bool>> {
    let mut members: Vec<usize> = (0..size).collect();
    let mut subsets = Vec::new();
    loop {
        let mut subset = vec![false; features];
        members.iter().for_each(|member| subset[*member] = true);
        if !halved || subset[0] {
            subsets.push(subset);
        }
        // The last member that can still move up takes those after it along.
        let Some(moving) = (0..size).rev().find(|place| members[*place] < features - size + place) else {
            return subsets;
        };
        let start = members[moving] + 1;
        members[moving..].iter_mut().zip(start..).for_each(|(member, to)| *member = to);
    }
}

fn draw(features: usize, sizes: &[Size], total: f64, seed: Seed) -> Vec<bool> {
    let mut left = seed.uniform(0., total).next().unwrap_or_default();
    let chosen = sizes.iter().find(|size| {
        left -= size.weight;
        left < 0.
    });
    let size = chosen.or(sizes.last()).map_or(0, |size| size.present);
    let mut present = vec![false; features];
    seed.child(0).permutation(features)[..size].iter().for_each(|feature| present[*feature] = true);
    present
}

/// What the coefficients of a regression must add up to, and what each row leaves for them to explain beyond that.
struct Game {
    total: f64,
    responses: Vec<f64>,
}

/// Weighted least squares of coefficients that must add up to a total, over rows x that say which features are present.
///
/// Each coefficient is the total's n-th part and a rest; the rests add up to 0. For them a row counts as x − |x|/n: the
/// matrix of their normal equations has the constant vector as its only null vector, which is filled up.
impl KernelSample {
    /// With few rows the matrix is too uncertain, and its expectation is taken: the coefficients are then right in the
    /// mean, and vary more.
    fn estimates(&self, games: &[Game], features: usize, samples: usize) -> Vec<Estimate> {
        let determined = !self.weights.is_empty() || is_determined(self.rows.len(), features);
        let regression = if determined { self.solved(games, features, samples, false) } else { None };
        regression.or_else(|| self.solved(games, features, samples, true)).unwrap_or_default()
    }

    /// The solutions by the matrix or by its expectation, and their errors by the jackknife; `None` if it is singular.
    fn solved(&self, games: &[Game], features: usize, samples: usize, by_expectation: bool) -> Option<Vec<Estimate>> {
        let drawn = self.drawn_rows();
        let groups = if drawn == 0 { 0 } else { groups_of(drawn) };
        let enumerated = || self.weights.iter().copied().enumerate();
        let all = || (self.weights.len()..self.rows.len()).map(|row| (row, 1.));
        let known = self.squares(enumerated(), features);
        let squares = self.squares(all(), features);
        let rights: Vec<[Vec<f64>; 2]> = games
            .iter()
            .map(|game| [self.products(enumerated(), game, features), self.products(all(), game, features)])
            .collect();
        let mut values = Vec::new();
        let mut without = vec![Moments::new(features); games.len()];
        for left_out in (0..=groups).map(|group| group.checked_sub(1)) {
            let rows = || left_out.into_iter().flat_map(|group| self.group(group)).map(|row| (row, 1.));
            let weight = self.weight_of_drawn / (drawn - rows().count()).max(1) as f64;
            let scaled = |known: &[f64], all: &[f64], left: &[f64]| -> Vec<f64> {
                known.iter().zip(all).zip(left).map(|((known, all), left)| known + weight * (all - left)).collect()
            };
            let factors = match by_expectation {
                true => None,
                false => {
                    let mut matrix = scaled(&known, &squares, &self.squares(rows(), features));
                    matrix.iter_mut().for_each(|entry| *entry += expected(features) / features as f64);
                    Some(Cholesky::of(matrix, features)?)
                }
            };
            for (index, (game, [known, all])) in games.iter().zip(&rights).enumerate() {
                let right = scaled(known, all, &self.products(rows(), game, features));
                let rests = match &factors {
                    Some(factors) => factors.solve(&right),
                    None => right.iter().map(|right| right / expected(features)).collect(),
                };
                let solution = rests.iter().map(|rest| game.total / features as f64 + rest);
                match left_out {
                    None => values.push(solution.collect()),
                    Some(_) => without[index].add(solution),
                }
            }
        }
        let estimate = |(values, without): (Vec<f64>, &Moments)| match groups {
            0 => Estimate::certain(values, samples),
            _ => Estimate::by_jackknife(values, without, samples),
        };
        Some(values.into_iter().zip(&without).map(estimate).collect())
    }

    /// Σ w·(x − |x|/n)(x − |x|/n)ᵀ of some rows.
    fn squares(&self, rows: impl Iterator<Item = (usize, f64)>, features: usize) -> Vec<f64> {
        let mut squares = vec![0.; features * features];
        for (row, weight) in rows {
            let centred: Vec<f64> = self.centred(row).collect();
            for one in 0..features {
                (0..=one).for_each(|other| squares[one * features + other] += weight * centred[one] * centred[other]);
            }
        }
        squares
    }

    /// Σ w·(x − |x|/n)·y of some rows.
    fn products(&self, rows: impl Iterator<Item = (usize, f64)>, game: &Game, features: usize) -> Vec<f64> {
        let mut products = vec![0.; features];
        for (row, weight) in rows {
            let weighted = weight * game.responses[row];
            products.iter_mut().zip(self.centred(row)).for_each(|(product, x)| *product += weighted * x);
        }
        products
    }

    fn centred(&self, row: usize) -> impl Iterator<Item = f64> {
        let share = share(&self.rows[row]);
        self.rows[row].iter().map(move |present| f64::from(u8::from(*present)) - share)
    }
}

/// How many of the features are present, as a share of all.
fn share(row: &[bool]) -> f64 {
    row.iter().filter(|present| **present).count() as f64 / row.len() as f64
}

/// Whether so many rows should determine a regression.
fn is_determined(rows: usize, features: usize) -> bool {
    2 * rows >= 3 * features
}

/// What the matrix is in the mean where every coalition is drawn: this number in the diagonal, on vectors that add up
/// to 0.
fn expected(features: usize) -> f64 {
    let kernel: f64 = (1..features).map(|size| 1. / (size as f64 * (features - size) as f64)).sum();
    1. / (features as f64 * kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_are_all_of_one_size() {
        assert_eq!(subsets(5, 2, false).len(), 10);
        assert_eq!(subsets(6, 3, true).len(), 10);
        let all = subsets(5, 3, false);
        assert!(all.iter().all(|subset| subset.iter().filter(|present| **present).count() == 3));
        assert!(all.iter().enumerate().all(|(index, subset)| !all[..index].contains(subset)));
    }

    #[test]
    fn small_games_are_enumerated_and_large_ones_are_drawn() {
        // 2⁵ − 2 coalitions are 15 pairs.
        let all = KernelSample::drawn(5, 30, true, Seed(1));
        assert_eq!((all.rows.len(), all.drawn_rows()), (15, 0));
        assert!((all.weights.iter().sum::<f64>() - 1.).abs() < 1e-15);
        let most = KernelSample::drawn(5, 29, true, Seed(1));
        assert_eq!((most.rows.len(), most.drawn_rows()), (14, 14));
        // The 12 pairs of the outer size, and the rest of the others.
        let some = KernelSample::drawn(12, 90, true, Seed(1));
        assert_eq!((some.rows.len(), some.drawn_rows()), (45, 33));
        let few = KernelSample::drawn(12, 23, true, Seed(1));
        assert_eq!((few.paired, few.rows.len(), few.drawn_rows()), (false, 23, 23));
        let too_few = KernelSample::drawn(20, 23, true, Seed(1));
        assert_eq!((too_few.paired, too_few.rows.len(), too_few.drawn_rows()), (true, 11, 11));
        let plain = KernelSample::drawn(5, 29, false, Seed(1));
        assert_eq!((plain.rows.len(), plain.drawn_rows()), (29, 29));
        assert_eq!(KernelSample::drawn(100, 0, true, Seed(1)).rows.len(), 1);
    }

    #[test]
    fn sizes_are_drawn_as_the_kernel_says() {
        let rows = KernelSample::drawn(5, 20_000, false, Seed(4)).rows;
        for (size, weight) in [(1, 0.3), (2, 0.2), (3, 0.2), (4, 0.3)] {
            let count = rows.iter().filter(|row| row.iter().filter(|present| **present).count() == size).count();
            assert!((count as f64 / 20_000. - weight).abs() < 0.01, "{count} of size {size}");
        }
        let first = rows.iter().filter(|row| row[0]).count();
        assert!((first as f64 / 20_000. - 0.5).abs() < 0.012, "{first}");
    }

    #[test]
    fn the_matrix_is_in_the_mean_what_it_is_expected_to_be() {
        for paired in [false, true] {
            let sample = KernelSample::drawn(9, 400, paired, Seed(5));
            let rows = (0..100_000).map(|number| draw(9, &sizes(9, paired), 1., Seed(5).child(number))).collect();
            let sample = KernelSample { rows, ..sample };
            let squares = sample.squares((0..100_000).map(|row| (row, 1e-5)), 9);
            // On vectors that add up to 0, here e₀ − e₁.
            let square = (squares[0] + squares[10] - 2. * squares[9]) / 2.;
            assert!((square / expected(9) - 1.).abs() < 0.02, "{square} and {}", expected(9));
        }
    }
}
