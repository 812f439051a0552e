//! Sets of features, one bit each.

/// Which of some features are in a set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Bits {
    /// Of at most 64 features.
    Few(u64),
    Many(Vec<u64>),
}

impl Bits {
    /// None of this many features.
    pub(crate) fn none(count: usize) -> Self {
        if count <= 64 { Self::Few(0) } else { Self::Many(vec![0; count.div_ceil(64)]) }
    }

    /// All of this many features but one.
    pub(crate) fn all_but(count: usize, feature: usize) -> Self {
        (0..count).map(|other| other != feature).collect()
    }

    pub(crate) fn insert(&mut self, feature: usize) {
        self.words_mut()[feature / 64] |= 1 << (feature % 64);
    }

    pub(crate) fn contains(&self, feature: usize) -> bool {
        self.words()[feature / 64] >> (feature % 64) & 1 == 1
    }

    /// The features of either set, both of as many features.
    pub(crate) fn or(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.words_mut().iter_mut().zip(other.words()).for_each(|(word, more)| *word |= more);
        both
    }

    /// How many features are in the set.
    pub(crate) fn len(&self) -> usize {
        self.words().iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The bytes that such a set of this many features takes.
    pub(crate) fn bytes(count: usize) -> usize {
        size_of::<Self>() + if count <= 64 { 0 } else { size_of::<u64>() * count.div_ceil(64) }
    }

    fn words(&self) -> &[u64] {
        match self {
            Self::Few(word) => std::slice::from_ref(word),
            Self::Many(words) => words,
        }
    }

    fn words_mut(&mut self) -> &mut [u64] {
        match self {
            Self::Few(word) => std::slice::from_mut(word),
            Self::Many(words) => words,
        }
    }
}

/// Whether each feature is in the set.
impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(features: I) -> Self {
        let mut features = features.into_iter();
        let mut word = || {
            let next = features.by_ref().take(64).enumerate();
            next.map(|(place, is_in)| u64::from(is_in) << place).reduce(|word, bit| word | bit)
        };
        let first = word().unwrap_or(0);
        match word() {
            Some(second) => Self::Many([first, second].into_iter().chain(std::iter::from_fn(word)).collect()),
            None => Self::Few(first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_features_make_the_same_sets() {
        for count in [0, 1, 63, 64, 65, 200] {
            let mut set = Bits::none(count);
            (0..count).filter(|feature| feature % 3 == 1).for_each(|feature| set.insert(feature));
            assert_eq!(set, (0..count).map(|feature| feature % 3 == 1).collect());
            assert!((0..count).all(|feature| set.contains(feature) == (feature % 3 == 1)));
            assert_eq!(set.len(), (count + 1) / 3);
            assert_eq!(set.or(&Bits::none(count)), set);
        }
        assert_eq!(Bits::all_but(65, 64).or(&(0..65).map(|feature| feature == 64).collect()).len(), 65);
    }
}
