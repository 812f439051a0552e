//! Seeded random numbers: the Mersenne Twister, whose sequence is fixed for ever.

use rand_mt::Mt;

/// The seed of everything that is drawn at random: the same seed gives the same numbers on any
/// machine and any number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seed(pub u32);

impl Default for Seed {
    /// The seed of the project's own trained weights.
    fn default() -> Self {
        Seed(13)
    }
}

impl Seed {
    /// Numbers drawn uniformly from `low..high`, with 53 random bits.
    pub(crate) fn uniform(self, low: f64, high: f64) -> impl Iterator<Item = f64> {
        let mut generator = Mt::new(self.0);
        std::iter::repeat_with(move || {
            let upper = f64::from(generator.next_u32() >> 5);
            let lower = f64::from(generator.next_u32() >> 6);
            low + (high - low) * (upper * 67_108_864. + lower) / 9_007_199_254_740_992.
        })
    }

    /// Numbers drawn from the normal distribution with mean 0 and this standard deviation.
    pub(crate) fn normal(self, deviation: f64) -> impl Iterator<Item = f64> {
        let mut uniform = self.uniform(0., 1.);
        std::iter::from_fn(move || {
            // 1 − u is never 0, which has no logarithm.
            let radius = (-2. * (1. - uniform.next()?).ln()).sqrt();
            Some(deviation * radius * (std::f64::consts::TAU * uniform.next()?).cos())
        })
    }

    /// Draws of true with this probability.
    pub(crate) fn chances(self, probability: f64) -> impl Iterator<Item = bool> {
        let below = (probability * 4_294_967_296.) as u64;
        let mut generator = Mt::new(self.0);
        std::iter::repeat_with(move || u64::from(generator.next_u32()) < below)
    }

    /// The numbers `0..n` in random order, exactly as NumPy's legacy `RandomState(seed).permutation(n)`.
    pub(crate) fn permutation(self, n: usize) -> Vec<usize> {
        let mut generator = Mt::new(self.0);
        let mut order: Vec<usize> = (0..n).collect();
        for last in (1..n).rev() {
            let mask = u32::MAX >> (last as u32).leading_zeros();
            let other = loop {
                let draw = (generator.next_u32() & mask) as usize;
                if draw <= last {
                    break draw;
                }
            };
            order.swap(last, other);
        }
        order
    }

    /// The seed for one of several draws that share this seed.
    pub(crate) fn child(self, index: usize) -> Seed {
        Seed(self.0.wrapping_mul(0x9E37_79B1).wrapping_add(index as u32 + 1))
    }

    /// A seed of its own for each seed, far from those of its neighbours, for generators that are not ours: children that
    /// follow each other differ by 1. The finalizer of MurmurHash3.
    pub(crate) fn scattered(self) -> Seed {
        let mut bits = self.0;
        bits = (bits ^ bits >> 16).wrapping_mul(0x85EB_CA6B);
        bits = (bits ^ bits >> 13).wrapping_mul(0xC2B2_AE35);
        Seed(bits ^ bits >> 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_numpys_random_state() {
        assert_eq!(Seed(7).permutation(10), [8, 5, 0, 2, 1, 9, 7, 3, 6, 4]);
        assert_eq!(Seed(u32::MAX).permutation(300)[..6], [110, 21, 54, 6, 19, 166]);
        let draws: Vec<f64> = Seed(7).uniform(0., 1.).take(3).collect();
        assert_eq!(draws, [0.07630828937395717, 0.7799187922401146, 0.4384092314408935]);
    }

    #[test]
    fn draws_have_the_mean_and_the_spread_that_was_asked_for() {
        let draws: Vec<f64> = Seed(3).normal(2.).take(20_000).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let spread = (draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64).sqrt();
        assert!(mean.abs() < 0.05 && (spread - 2.).abs() < 0.05, "{mean}, {spread}");
        let share = Seed(3).chances(0.2).take(20_000).filter(|happens| *happens).count() as f64 / 20_000.;
        assert!((share - 0.2).abs() < 0.01, "{share}");
        assert!(Seed(3).chances(1.).take(100).all(|happens| happens));
        assert!(!Seed(3).chances(0.).take(100).any(|happens| happens));
    }

    #[test]
    fn scattered_seeds_have_half_of_their_bits_in_common() {
        let seeds: Vec<u32> = (0..1_000).map(|index| Seed(13).child(index).scattered().0).collect();
        let mut sorted = seeds.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 1_000);
        let differ: u32 = seeds.windows(2).map(|pair| (pair[0] ^ pair[1]).count_ones()).sum();
        assert!((15. ..17.).contains(&(f64::from(differ) / 999.)), "{differ}");
    }

    #[test]
    fn children_differ_from_each_other_and_from_their_parent() {
        let seeds = [Seed(1), Seed(1).child(0), Seed(1).child(1), Seed(2).child(0)];
        for (index, seed) in seeds.iter().enumerate() {
            assert!(!seeds[..index].contains(seed));
        }
    }
}
