//! What a feature mask comes to for the tensors of a call.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::Bits;
use super::host::to_device;
use crate::error::Result;

/// The id of an element that belongs to no feature.
pub(super) const FIXED: u32 = u32::MAX;

/// The feature of every element of the tensors of a call.
pub(crate) struct Features {
    count: usize,
    tensors: Vec<Ids>,
}

/// The feature of every element of one tensor, row-major: one row for all examples, or a row for each.
pub(super) struct Ids {
    pub(super) ids: Vec<u32>,
    pub(super) width: usize,
    pub(super) per_example: bool,
}

/// Which elements of one tensor are of one feature.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Grouping {
    /// The feature of each element, in one row for all examples or in a row for each; nothing if no feature has several
    /// elements.
    rows: Vec<Vec<u32>>,
}

impl Grouping {
    /// Whether no feature has several elements.
    pub(crate) fn is_trivial(&self) -> bool {
        self.rows.is_empty()
    }

    /// The feature of each of an example's elements; `None` if no feature has several.
    pub(crate) fn of(&self, example: usize) -> Option<&[u32]> {
        self.rows.get(if self.rows.len() == 1 { 0 } else { example }).map(Vec::as_slice)
    }

    /// Whether the elements of one feature are not the same in every example.
    pub(crate) fn differs(&self) -> bool {
        self.rows.windows(2).any(|rows| rows[0] != rows[1])
    }

    /// A remark for pictures and tables in which columns of one feature cannot be joined.
    pub(crate) fn remark(&self) -> Option<String> {
        self.differs().then(|| {
            "which columns are one feature differs between examples: each column has the number of its feature"
                .to_string()
        })
    }

    /// The positions of each feature's elements in an example of so many, in the order of their first ones. An element
    /// of no feature is alone.
    pub(crate) fn parts_of(&self, example: usize, width: usize) -> Vec<Vec<usize>> {
        let Some(features) = self.of(example) else { return (0..width).map(|position| vec![position]).collect() };
        let (mut parts, mut known) = (Vec::<Vec<usize>>::new(), BTreeMap::new());
        for (position, feature) in features.iter().enumerate() {
            let part = *known.entry(*feature).or_insert(parts.len());
            match parts.get_mut(part) {
                Some(part) if *feature != FIXED => part.push(position),
                _ => parts.push(vec![position]),
            }
        }
        parts
    }

    /// The same in all examples; each element alone if they differ.
    pub(crate) fn parts(&self, width: usize) -> Vec<Vec<usize>> {
        if self.differs() { Self::default().parts_of(0, width) } else { self.parts_of(0, width) }
    }
}

impl Ids {
    /// The features of an example's elements.
    pub(super) fn of(&self, example: usize) -> &[u32] {
        if self.per_example { &self.ids[example * self.width..(example + 1) * self.width] } else { &self.ids }
    }
}

impl Features {
    pub(super) fn new(count: usize, tensors: Vec<Ids>) -> Self {
        Self { count, tensors }
    }

    /// The features of one tensor's elements.
    pub(super) fn grouping(&self, tensor: usize) -> Grouping {
        let ids = &self.tensors[tensor];
        let examples = self.tensors.iter().map(|ids| ids.ids.len() / ids.width.max(1)).max().unwrap_or(1);
        let has_several = |example: usize| {
            let mut found = vec![false; self.count];
            self.of_elements(example).flatten().any(|feature| std::mem::replace(&mut found[feature], true))
        };
        if !(0..examples).any(has_several) {
            return Grouping { rows: Vec::new() };
        }
        Grouping { rows: ids.ids.chunks(ids.width.max(1)).map(<[u32]>::to_vec).collect() }
    }

    pub(super) fn into_ids(self) -> Vec<Ids> {
        self.tensors
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// How many features an example has, up to the last of them.
    pub(super) fn count_of(&self, example: usize) -> usize {
        self.of_elements(example).flatten().max().map_or(0, |last| last + 1)
    }

    /// The features of the elements of one tensor in an example.
    pub(super) fn of(&self, tensor: usize, example: usize) -> &[u32] {
        self.tensors[tensor].of(example)
    }

    /// The feature of each element of an example, one tensor after another; `None` for an element of no feature.
    pub(super) fn of_elements(&self, example: usize) -> impl Iterator<Item = Option<usize>> {
        let elements = self.tensors.iter().flat_map(move |ids| ids.of(example));
        elements.map(|id| (*id != FIXED).then_some(*id as usize))
    }

    /// Which features of an example have an element that satisfies `holds`, given the tensor and the position of each.
    pub(super) fn that_have(&self, example: usize, holds: impl Fn(usize, usize) -> bool) -> Bits {
        let mut features = Bits::none(self.count);
        for tensor in 0..self.tensors.len() {
            for (position, id) in self.of(tensor, example).iter().enumerate() {
                if *id != FIXED && holds(tensor, position) {
                    features.insert(*id as usize);
                }
            }
        }
        features
    }

    /// Writes for each element of a tensor in an example 1 if its feature is present, 0 if it is absent.
    pub(super) fn write_mask(&self, tensor: usize, example: usize, present: &Bits, mask: &mut Vec<u8>) {
        let is_present = |id: &u32| u8::from(*id == FIXED || present.contains(*id as usize));
        mask.extend(self.of(tensor, example).iter().map(is_present));
    }

    /// The number of each element of an example, one tensor after another, given one for each feature. An element of
    /// no feature gets 0.
    pub(crate) fn spread(&self, example: usize, values: &[f64]) -> Vec<f64> {
        self.tensors.iter().flat_map(|ids| ids.of(example)).map(|id| number(*id, values)).collect()
    }

    /// The numbers of each example's features, in the shapes and types of the tensors `[batch, ...]`.
    pub(crate) fn in_shape(&self, values: &[Vec<f64>], like: &[Tensor]) -> Result<Vec<Tensor>> {
        let tensor = |(ids, like): (&Ids, &Tensor)| {
            let rows = values.iter().enumerate();
            let numbers = rows.flat_map(|(example, values)| ids.of(example).iter().map(|id| number(*id, values)));
            to_device(numbers.collect(), like.dims(), like)
        };
        self.tensors.iter().zip(like).map(tensor).collect()
    }
}

/// The number of an element's feature; 0 for one of no feature.
fn number(id: u32, values: &[f64]) -> f64 {
    if id == FIXED { 0. } else { values[id as usize] }
}
