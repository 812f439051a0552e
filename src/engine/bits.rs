//! Sets of features, one bit each.

/// Which of some features are in a set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    /// None of this many features.
    pub(crate) fn none(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    /// All of this many features but one.
    pub(crate) fn all_but(count: usize, feature: usize) -> Self {
        let mut bits = Self::none(count);
        (0..count).filter(|other| *other != feature).for_each(|other| bits.insert(other));
        bits
    }

    pub(crate) fn insert(&mut self, feature: usize) {
        self.0[feature / 64] |= 1 << (feature % 64);
    }

    pub(crate) fn contains(&self, feature: usize) -> bool {
        self.0[feature / 64] >> (feature % 64) & 1 == 1
    }

    /// How many features are in the set.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The bytes that such a set of this many features takes.
    pub(crate) fn bytes(count: usize) -> usize {
        size_of::<Self>() + size_of::<u64>() * count.div_ceil(64)
    }
}
