//! Windows that slide over tensors.

use std::ops::Range;

use candle_core::Tensor;

use crate::error::{Result, bail};

/// Sizes along the axes of each input after the batch: of a window, or of its steps.
///
/// `3` is 3 along every axis, `[1, 3, 3]` the sizes along three axes of the only input, and a list of lists has the
/// sizes of each of several inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Everywhere(usize),
    OfInputs(Vec<Vec<usize>>),
}

impl Sizes {
    /// The size along the features of an example.
    fn of_features(&self, what: &str) -> Result<usize> {
        let size = match &self.0 {
            Kind::Everywhere(size) => Some(*size),
            Kind::OfInputs(sizes) => match sizes.as_slice() {
                [only] if only.len() == 1 => Some(only[0]),
                _ => None,
            },
        };
        match size {
            Some(0) => bail!(Input, "{what} is 0: expected at least 1 feature"),
            Some(size) => Ok(size),
            None => bail!(Input, "{what} has several sizes: with a feature mask give one, a number of features"),
        }
    }

    /// The sizes along each axis of each tensor `[batch, ...]`; `what` names them in errors.
    fn of(&self, tensors: &[Tensor], what: &str) -> Result<Vec<Vec<usize>>> {
        let sizes = match &self.0 {
            Kind::Everywhere(size) => tensors.iter().map(|tensor| vec![*size; tensor.rank() - 1]).collect(),
            Kind::OfInputs(sizes) => sizes.clone(),
        };
        if sizes.len() != tensors.len() {
            bail!(Input, "{what} is for {} inputs, and there are {}: give sizes for each", sizes.len(), tensors.len())
        }
        for (index, (sizes, tensor)) in sizes.iter().zip(tensors).enumerate() {
            let axes = &tensor.dims()[1..];
            if sizes.len() != axes.len() {
                bail!(
                    Input,
                    "{what} of input {index} is {sizes:?}, and the input has the axes {axes:?} after the batch: give one \
                     size for each axis"
                )
            }
            if sizes.contains(&0) {
                bail!(Input, "{what} of input {index} is {sizes:?}: expected at least 1 along every axis")
            }
        }
        Ok(sizes)
    }
}

impl From<usize> for Sizes {
    fn from(size: usize) -> Self {
        Self(Kind::Everywhere(size))
    }
}

impl From<Vec<usize>> for Sizes {
    fn from(sizes: Vec<usize>) -> Self {
        Self(Kind::OfInputs(vec![sizes]))
    }
}

impl<const N: usize> From<[usize; N]> for Sizes {
    fn from(sizes: [usize; N]) -> Self {
        Self::from(sizes.to_vec())
    }
}

impl From<Vec<Vec<usize>>> for Sizes {
    fn from(sizes: Vec<Vec<usize>>) -> Self {
        Self(Kind::OfInputs(sizes))
    }
}

impl From<&Sizes> for Sizes {
    fn from(sizes: &Sizes) -> Self {
        sizes.clone()
    }
}

/// All positions of a window in each of some tensors, or over the features of each example. The last along an axis ends
/// where the tensor or the example does.
pub(crate) struct Windows {
    tensors: Vec<Sliding>,
    /// How many positions are within each example; empty if all are.
    within: Vec<usize>,
}

/// One window over one tensor.
struct Sliding {
    axes: Vec<usize>,
    window: Vec<usize>,
    strides: Vec<usize>,
    /// How many positions there are along each axis.
    counts: Vec<usize>,
    /// The position of the tensor's first element among those of all tensors.
    first: usize,
}

impl Windows {
    /// The positions of these windows in tensors `[batch, ...]`; an error unless they cover every element.
    pub(crate) fn over(tensors: &[Tensor], shapes: &Sizes, strides: &Sizes) -> Result<Self> {
        let shapes = shapes.of(tensors, "sliding_window_shapes")?;
        let strides = strides.of(tensors, "strides")?;
        let mut first = 0;
        let mut sliding = Vec::new();
        for (index, (tensor, (window, strides))) in tensors.iter().zip(shapes.into_iter().zip(strides)).enumerate() {
            let axes = tensor.dims()[1..].to_vec();
            if window.iter().zip(&axes).any(|(window, axis)| window > axis) {
                bail!(
                    Input,
                    "the window {window:?} is larger than input {index}, which is {axes:?}: give at most the input's size \
                     along each axis"
                )
            }
            let gaps =
                window.iter().zip(&axes).zip(&strides).any(|((window, axis), stride)| window < axis && stride > window);
            if gaps {
                bail!(
                    Input,
                    "the strides {strides:?} of input {index} are larger than the window {window:?}, so elements between \
                     windows would get nothing: give at most the window's size along each axis"
                )
            }
            let count = |axis: usize| (axes[axis] - window[axis]).div_ceil(strides[axis]) + 1;
            let counts = (0..axes.len()).map(count).collect();
            let elements: usize = axes.iter().product();
            sliding.push(Sliding { axes, window, strides, counts, first });
            first += elements;
        }
        Ok(Self { tensors: sliding, within: Vec::new() })
    }

    /// The positions of a window over the features of examples that have so many.
    pub(crate) fn over_features(features: &[usize], shapes: &Sizes, strides: &Sizes) -> Result<Self> {
        let window = shapes.of_features("sliding_window_shapes")?;
        let stride = strides.of_features("strides")?;
        if let Some(example) = features.iter().position(|features| window > *features) {
            bail!(
                Input,
                "the window covers {window} features, and example {example} has {}: give at most as many",
                features[example]
            )
        }
        let most = features.iter().copied().max().unwrap_or(0);
        if window < most && stride > window {
            bail!(
                Input,
                "the stride {stride} is larger than the window of {window} features, so features between windows would \
                 get nothing: give at most the window's size"
            )
        }
        let count = |features: usize| (features - window).div_ceil(stride) + 1;
        let sliding = Sliding {
            axes: vec![most],
            window: vec![window],
            strides: vec![stride],
            counts: vec![count(most)],
            first: 0,
        };
        Ok(Self { tensors: vec![sliding], within: features.iter().map(|features| count(*features)).collect() })
    }

    /// How many positions are within an example.
    pub(crate) fn within(&self, example: usize) -> usize {
        self.within.get(example).copied().unwrap_or_else(|| self.count())
    }

    /// How many positions there are.
    pub(crate) fn count(&self) -> usize {
        self.tensors.iter().map(Sliding::count).sum()
    }

    /// The elements in the window at a position, counted through all tensors.
    pub(crate) fn elements(&self, mut position: usize) -> Vec<usize> {
        for sliding in &self.tensors {
            if position < sliding.count() {
                return sliding.elements(position);
            }
            position -= sliding.count();
        }
        Vec::new()
    }
}

impl Sliding {
    fn count(&self) -> usize {
        self.counts.iter().product()
    }

    fn elements(&self, mut position: usize) -> Vec<usize> {
        let along = |axis: usize| {
            let start = position % self.counts[axis] * self.strides[axis];
            position /= self.counts[axis];
            start..self.axes[axis].min(start + self.window[axis])
        };
        let ranges: Vec<Range<usize>> = (0..self.axes.len()).map(along).collect();
        let extended = ranges.iter().zip(&self.axes).fold(vec![0], |before: Vec<usize>, (range, axis)| {
            before.iter().flat_map(|outer| range.clone().map(move |inner| outer * axis + inner)).collect()
        });
        extended.into_iter().map(|element| self.first + element).collect()
    }
}
