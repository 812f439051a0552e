//! Which elements of the inputs are one feature.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::Column;
use super::features::{FIXED, Features, Ids};
use super::host::host;
use crate::error::{Result, bail};
use crate::finite::unravel;
use crate::model::Inputs;

/// Which elements of the inputs are one feature: present together or absent together.
///
/// | Mask | One feature is |
/// |---|---|
/// | [`FeatureMask::elements`] (the default) | one number or id of one input |
/// | [`FeatureMask::new`] | all elements of one id, in any of the inputs |
/// | [`FeatureMask::groups`] | some columns, by position or name |
/// | [`FeatureMask::one_hot`] | the columns of one category, by the prefix of their names |
/// | [`FeatureMask::grid`], [`FeatureMask::segments`] | a part of an image, all channels together |
/// | [`TextInput::word_mask`](crate::text::TextInput::word_mask) | a word of a text |
///
/// ```
/// use candle_explain::prelude::*;
///
/// let x = Tensor::new(&[[5f32, 7., 1.]], &Device::Cpu)?;
/// let sum = FeatureAblation::new(|x: &Tensor| x.sum(1));
/// let pair = sum.feature_mask(FeatureMask::groups([[0, 2]])).attribute(&x, Target::None)?;
/// assert_eq!(pair.tensor().to_vec2::<f32>()?, [[6., 7., 6.]]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FeatureMask {
    kind: Kind,
}

#[derive(Clone, Debug, Default)]
enum Kind {
    #[default]
    Elements,
    Tensors(Vec<Tensor>),
    Columns(Vec<Group>),
    Grid(usize, usize),
    Segments(Tensor),
}

/// Columns that are one feature.
#[derive(Clone, Debug)]
enum Group {
    Columns(Vec<Column>),
    Prefix(String),
}

impl FeatureMask {
    /// Every element of every input is a feature of its own.
    pub fn elements() -> Self {
        Self::default()
    }

    /// Whether every element is a feature of its own without being asked for.
    pub(crate) fn is_of_elements(&self) -> bool {
        matches!(self.kind, Kind::Elements)
    }

    /// One tensor of ids for each input, `[1, ...]` for every example or `[batch, ...]`. An axis after the batch may
    /// have the length 1 where the ids are the same along it. Elements of one id are one feature, also in different
    /// inputs. The ids are 0, 1, 2 and so on; an element of id −1 is in no feature, stays as it is, and is attributed 0.
    pub fn new(ids: impl IntoIterator<Item = Tensor>) -> Self {
        Self { kind: Kind::Tensors(ids.into_iter().collect()) }
    }

    /// Columns of the first input's last axis that are one feature, by position or by the names that
    /// [`Inputs::with_names`](crate::model::Inputs::with_names) gave. A column of no group is a feature of its own, and
    /// so is every element of another input.
    pub fn groups<G, C>(groups: impl IntoIterator<Item = G>) -> Self
    where
        G: IntoIterator<Item = C>,
        C: Into<Column>,
    {
        let group = |group: G| Group::Columns(group.into_iter().map(Into::into).collect());
        Self { kind: Kind::Columns(groups.into_iter().map(group).collect()) }
    }

    /// The columns whose names begin alike are one category, of which each example has one: `embark_C`, `embark_Q`
    /// and `embark_S` by the prefix `embark_`. Columns of no category are features of their own.
    pub fn one_hot(prefixes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { kind: Kind::Columns(prefixes.into_iter().map(|prefix| Group::Prefix(prefix.into())).collect()) }
    }

    /// The same mask of columns with one more group, for columns whose names do not begin alike. It replaces a mask
    /// that is not one of columns.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let mask = FeatureMask::one_hot(["embark_", "class_"]).with_group(["female", "male"]);
    /// # let _ = mask;
    /// ```
    pub fn with_group(&self, columns: impl IntoIterator<Item = impl Into<Column>>) -> Self {
        let mut groups = match &self.kind {
            Kind::Columns(groups) => groups.clone(),
            _ => Vec::new(),
        };
        groups.push(Group::Columns(columns.into_iter().map(Into::into).collect()));
        Self { kind: Kind::Columns(groups) }
    }

    /// Cells of so many rows and columns of an image `[batch, ..., height, width]`, all channels together. Cells at
    /// the lower and right edges are smaller where the image ends.
    pub fn grid(height: usize, width: usize) -> Self {
        Self { kind: Kind::Grid(height, width) }
    }

    /// The segments of an image: its labels, `[height, width]` for every example and all channels, or with more axes
    /// as in [`FeatureMask::new`]. The labels may be any whole numbers.
    pub fn segments(labels: &Tensor) -> Self {
        Self { kind: Kind::Segments(labels.clone()) }
    }

    /// That of one of several tensors.
    pub(super) fn of_tensor(&self, index: usize) -> Self {
        match &self.kind {
            Kind::Tensors(ids) if ids.len() > 1 => Self { kind: Kind::Tensors(vec![ids[index].clone()]) },
            _ => self.clone(),
        }
    }

    /// The feature of every element of these tensors of a call; `what` names one of them in errors.
    pub(crate) fn resolve(&self, call: &Inputs, tensors: &[Tensor], names: &[String], what: &str) -> Result<Features> {
        match &self.kind {
            Kind::Elements => Ok(elements(tensors, 0)),
            Kind::Tensors(ids) => {
                let ids = ids.iter().map(|ids| call.repeated_like(ids)).collect::<Result<Vec<_>>>()?;
                from_tensors(&ids, tensors, what)
            }
            Kind::Columns(groups) => from_columns(groups, tensors, names, what),
            Kind::Grid(height, width) => {
                let [rows, columns] = image_of(tensors, "a grid", what)?;
                if *height == 0 || *width == 0 {
                    bail!(Input, "the grid's cells are {height} by {width}: expected at least 1 by 1")
                }
                let across = columns.div_ceil(*width);
                let cell = |row: usize, column: usize| (row / height * across + column / width) as u32;
                let ids = (0..rows).flat_map(|row| (0..columns).map(move |column| cell(row, column))).collect();
                let ids = Tensor::from_vec::<_, u32>(ids, (rows, columns), &candle_core::Device::Cpu)?;
                from_tensors(&[with_leading_axes(&ids, tensors[0].rank())?], tensors, what)
            }
            Kind::Segments(labels) => {
                image_of(tensors, "segments of an image", what)?;
                let labels = with_leading_axes(labels, tensors[0].rank())?;
                let found = host(&labels)?;
                let mut sorted = found.clone();
                sorted.sort_by(f64::total_cmp);
                sorted.dedup();
                let number = |label: &f64| sorted.partition_point(|other| other.total_cmp(label).is_lt()) as u32;
                let ids: Vec<u32> = found.iter().map(number).collect();
                let ids = Tensor::from_vec(ids, labels.dims(), &candle_core::Device::Cpu)?;
                from_tensors(&[ids], tensors, what)
            }
        }
    }
}

/// Every element of these tensors as a feature of its own, from this id on.
fn elements(tensors: &[Tensor], first: usize) -> Features {
    let mut next = first;
    let ids = tensors.iter().map(|tensor| {
        let width = tensor.elem_count() / tensor.dims()[0].max(1);
        let ids = (next..next + width).map(|id| id as u32).collect();
        next += width;
        Ids { ids, width, per_example: false }
    });
    let ids = ids.collect();
    Features::new(next, ids)
}

fn from_tensors(ids: &[Tensor], tensors: &[Tensor], what: &str) -> Result<Features> {
    if ids.len() != tensors.len() {
        bail!(
            Input,
            "the feature mask has {} tensors for {} inputs or layers: give one for each",
            ids.len(),
            tensors.len()
        )
    }
    let read = |(index, (ids, tensor)): (usize, (&Tensor, &Tensor))| ids_of(ids, tensor, &format!("{what} {index}"));
    let ids: Vec<Ids> = ids.iter().zip(tensors).enumerate().map(read).collect::<Result<_>>()?;
    let count = ids.iter().flat_map(|ids| &ids.ids).filter(|id| **id != FIXED).max().map_or(0, |id| *id as usize + 1);
    let elements: usize = ids.iter().map(|ids| ids.ids.len()).sum();
    let mut found = vec![false; count.min(elements + 1)];
    for id in ids.iter().flat_map(|ids| &ids.ids).filter(|id| **id != FIXED) {
        if let Some(found) = found.get_mut(*id as usize) {
            *found = true;
        }
    }
    if let Some(missing) = found.iter().position(|found| !found) {
        bail!(
            Input,
            "the feature mask has no element of id {missing}, and goes up to {}: number the features 0, 1, 2 and so on \
             without a gap",
            count - 1
        )
    }
    if count == 0 {
        bail!(Input, "the feature mask has no feature: give at least one element the id 0")
    }
    Ok(Features::new(count, ids))
}

/// The ids of one tensor's elements.
fn ids_of(ids: &Tensor, tensor: &Tensor, what: &str) -> Result<Ids> {
    let (got, expected) = (ids.dims(), tensor.dims());
    let fits = got.len() == expected.len()
        && (got[0] == 1 || got[0] == expected[0])
        && got[1..].iter().zip(&expected[1..]).all(|(got, expected)| got == expected || *got == 1);
    if !fits {
        let row = [&[1], &expected[1..]].concat();
        let each = if expected[0] == 1 { String::new() } else { format!(" for every example, or {expected:?}") };
        bail!(Input, "the feature mask of {what} has the shape {got:?}: expected {row:?}{each}")
    }
    let per_example = got[0] > 1;
    let full = [&[got[0]], &expected[1..]].concat();
    let ids = ids.detach().broadcast_as(full.as_slice())?.contiguous()?;
    let id = |(position, id): (usize, f64)| {
        if id == -1. {
            return Ok(FIXED);
        }
        if id.fract() != 0. || !(0. ..f64::from(FIXED)).contains(&id) {
            bail!(
                Input,
                "the feature mask of {what} is {id} at {:?}: expected a whole number from 0, or -1 for what is in no feature",
                unravel(position, &full)
            )
        }
        Ok(id as u32)
    };
    let width = full[1..].iter().product();
    let ids = host(&ids)?.into_iter().enumerate().map(id).collect::<Result<_>>()?;
    Ok(Ids { ids, width, per_example })
}

/// The features of columns of the first tensor, numbered in the order of their first columns; the elements of the
/// other tensors follow.
fn from_columns(groups: &[Group], tensors: &[Tensor], names: &[String], what: &str) -> Result<Features> {
    let dims = tensors[0].dims();
    let [_, .., width] = *dims else {
        bail!(Input, "a mask of columns needs {what} 0 to be [batch, ..., columns], and it is {dims:?}")
    };
    let mut group_of: Vec<Option<usize>> = vec![None; width];
    for (group, columns) in groups.iter().enumerate() {
        for column in columns.positions(width, names)? {
            if group_of[column].is_some() {
                let name = names.get(column).map(|name| format!(" (\"{name}\")")).unwrap_or_default();
                bail!(Input, "column {column}{name} is in two groups of the feature mask: put it in one")
            }
            group_of[column] = Some(group);
        }
    }
    let (mut known, mut count) = (BTreeMap::new(), 0);
    let mut next = || {
        count += 1;
        count as u32 - 1
    };
    let ids: Vec<u32> = group_of
        .into_iter()
        .map(|group| match group {
            Some(group) => *known.entry(group).or_insert_with(&mut next),
            None => next(),
        })
        .collect();
    let row = dims[1..].iter().product::<usize>();
    let first = Ids { ids: ids.repeat(row / width.max(1)), width: row, per_example: false };
    let others = elements(&tensors[1..], count);
    Ok(Features::new(others.count(), std::iter::once(first).chain(others.into_ids()).collect()))
}

impl Group {
    /// The positions of the group's columns.
    fn positions(&self, width: usize, names: &[String]) -> Result<Vec<usize>> {
        let known = || if names.is_empty() { "the inputs have no names".to_string() } else { names.join(", ") };
        match self {
            Group::Prefix(prefix) => {
                let of = |(index, name): (usize, &String)| name.starts_with(prefix.as_str()).then_some(index);
                let positions: Vec<usize> = names.iter().enumerate().filter_map(of).collect();
                if positions.is_empty() {
                    bail!(Input, "no column's name begins with \"{prefix}\": {}", known())
                }
                Ok(positions)
            }
            Group::Columns(columns) => {
                let position = |column: &Column| match column {
                    Column::Position(index) if *index < width => Ok(*index),
                    Column::Position(index) => {
                        bail!(Input, "the feature mask groups column {index}, and there are {width} columns")
                    }
                    Column::Name(name) => match names.iter().position(|other| other == name) {
                        Some(index) => Ok(index),
                        None => bail!(Input, "the feature mask groups a column \"{name}\": {}", known()),
                    },
                };
                columns.iter().map(position).collect()
            }
        }
    }
}

/// The last two axes of the only tensor, which must be an image.
fn image_of(tensors: &[Tensor], mask: &str, what: &str) -> Result<[usize; 2]> {
    match tensors {
        [image] => match image.dims() {
            [_, .., height, width] if image.rank() > 2 => Ok([*height, *width]),
            dims => bail!(Input, "{mask} is a mask of images [batch, ..., height, width], and {what} 0 is {dims:?}"),
        },
        several => bail!(Input, "{mask} is a mask of one image, and there are {} inputs", several.len()),
    }
}

/// The tensor with axes of length 1 before its own.
fn with_leading_axes(tensor: &Tensor, rank: usize) -> Result<Tensor> {
    let missing = rank.saturating_sub(tensor.rank());
    Ok(tensor.reshape([vec![1; missing], tensor.dims().to_vec()].concat())?)
}

impl From<Tensor> for FeatureMask {
    fn from(ids: Tensor) -> Self {
        Self::new([ids])
    }
}

impl From<&Tensor> for FeatureMask {
    fn from(ids: &Tensor) -> Self {
        Self::new([ids.clone()])
    }
}

impl From<Vec<Tensor>> for FeatureMask {
    fn from(ids: Vec<Tensor>) -> Self {
        Self::new(ids)
    }
}

impl From<&FeatureMask> for FeatureMask {
    fn from(mask: &FeatureMask) -> Self {
        mask.clone()
    }
}
