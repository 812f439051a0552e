//! Seeded random numbers: the Mersenne Twister, whose sequence is fixed for ever.

use rand_mt::Mt;

/// The seed of everything that is drawn at random: the same seed gives the same numbers on any
/// machine and any number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seed(pub u32);

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

    /// A seed for one of several things drawn under this one.
    pub(crate) fn child(self, index: usize) -> Seed {
        Seed(self.0.wrapping_mul(0x9E37_79B1).wrapping_add(index as u32 + 1))
    }
}
