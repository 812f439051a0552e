//! The weights of a checkpoint folder, under the names of today's checkpoints.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, Var};

use super::architecture::Norms;
use super::config::Config;
use super::part::{Dense, Norm, Table};
use super::weight_files::{self, Read};
use super::weight_name::{Rank, Spelling};
use crate::error::{Result, bail, error};
use crate::finite;
use crate::nn::{LayerNorm, Linear};
use crate::progress::Progress;

/// The weights of a folder, by name without the model's prefix.
pub(super) struct Checkpoint {
    folder: PathBuf,
    spelling: Spelling,
    weights: BTreeMap<String, Vec<Candidate>>,
    /// The type in which all weights are given.
    dtype: DType,
    /// In a rehearsal, what was asked for.
    asked: Option<RefCell<Vec<String>>>,
    /// For a folder: one half is reading the files, the other the weights that are asked for.
    progress: Option<Progress>,
    expected: usize,
    given: Cell<usize>,
}

/// A tensor that a file holds under one of a weight's names.
struct Candidate {
    name: String,
    rank: Rank,
    tensor: Read,
}

impl Checkpoint {
    /// Reads the weights of a folder.
    pub(super) fn open(folder: &Path, spelling: Spelling) -> Result<Self> {
        let progress = Progress::of("weight", None);
        progress.reach(0., 0.5)?;
        let mut weights: BTreeMap<String, Vec<Candidate>> = BTreeMap::new();
        for (name, tensor) in weight_files::tensors(folder)? {
            let (today, rank) = spelling.todays_name(&name);
            weights.entry(today).or_default().push(Candidate { name, rank, tensor });
        }
        for candidates in weights.values_mut() {
            candidates.sort_by(|a, b| (a.rank, &a.name).cmp(&(b.rank, &b.name)));
            let usual = candidates[0].rank;
            candidates.retain(|candidate| candidate.rank == usual);
        }
        let progress = Some(progress);
        Ok(Self { folder: folder.to_path_buf(), weights, progress, ..Self::empty(spelling) })
    }

    fn empty(spelling: Spelling) -> Self {
        Self {
            folder: PathBuf::new(),
            spelling,
            weights: BTreeMap::new(),
            dtype: DType::F32,
            asked: None,
            progress: None,
            expected: 0,
            given: Cell::new(0),
        }
    }

    /// The names of the weights that `load` asks for: it runs once on weights that are all 0 and of any size.
    pub(super) fn names_of<T>(spelling: Spelling, load: impl FnOnce(&Self) -> Result<T>) -> Result<Vec<String>> {
        let rehearsal = Self { asked: Some(RefCell::default()), ..Self::empty(spelling) };
        load(&rehearsal)?;
        Ok(rehearsal.asked.map(RefCell::into_inner).unwrap_or_default())
    }

    /// Weights that come from no file.
    pub(super) fn from_weights(tensors: BTreeMap<String, Tensor>, spelling: Spelling) -> Self {
        let only =
            |name: &String, tensor| vec![Candidate { name: name.clone(), rank: Rank::Usual, tensor: Ok(tensor) }];
        let weights = tensors.into_iter().map(|(name, tensor)| (name.clone(), only(&name, tensor))).collect();
        Self { weights, ..Self::empty(spelling) }
    }

    /// The folder of the weights.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether there is a weight of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.weights.contains_key(self.spelling.bare(name))
    }

    /// The names of its weights, for an error.
    pub(super) fn names(&self) -> String {
        listed(&self.weights.keys().map(String::as_str).collect::<Vec<_>>())
    }

    /// The same with one type for all expected weights: f64 if any of them is, else f32. An error
    /// names every weight that is missing, and those that are there instead.
    pub(super) fn require(mut self, expected: &[String]) -> Result<Self> {
        let missing: Vec<&str> = expected.iter().filter(|name| !self.has(name)).map(String::as_str).collect();
        if missing.is_empty() {
            self.expected = expected.len();
            let of_expected = expected.iter().filter_map(|name| self.weights.get(name)).flatten();
            let double = of_expected.filter_map(|candidate| candidate.tensor.as_ref().ok());
            if double.map(Tensor::dtype).any(|dtype| dtype == DType::F64) {
                self.dtype = DType::F64;
            }
            return Ok(self);
        }
        let others: Vec<&str> =
            self.weights.keys().filter(|name| !expected.contains(name)).map(String::as_str).collect();
        let instead = if others.is_empty() { "nothing else".to_string() } else { listed(&others) };
        bail!(
            File,
            "{} has no weights for {} of the {} that its config.json asks for: {}; there is in their place: {instead}. \
             Random numbers in their stead would make the results worthless: is it the config.json of these weights, \
             and was all of the model saved?",
            self.folder.display(),
            missing.len(),
            expected.len(),
            listed(&missing)
        )
    }

    /// An error if there are weights of layers beyond the `count` that `config.json` names. Those of
    /// another encoder in the same file do not count.
    pub(super) fn refuse_further_layers(&self, layer: &str, count: usize) -> Result<()> {
        let index = |name: &String| name.strip_prefix(layer)?.split('.').next()?.parse::<usize>().ok();
        let rank = |candidates: &[Candidate]| candidates.first().map(|candidate| candidate.rank);
        let layers = || self.weights.iter().filter_map(|(name, found)| Some((index(name)?, name, rank(found)?)));
        let usual = layers().map(|(.., rank)| rank).min();
        match layers().filter(|(.., rank)| Some(*rank) == usual).map(|(index, name, _)| (index, name)).max() {
            Some((last, name)) if last >= count => bail!(
                File,
                "{} has weights of {} layers (\"{name}\"), and its config.json tells of {count}: without the others the \
                 results would be worthless: is it the config.json of these weights?",
                self.folder.display(),
                last + 1
            ),
            _ => Ok(()),
        }
    }

    /// An error if the size in `config.json` is not that of the weights.
    pub(super) fn check_size(&self, config: &Config, key: &str, size: usize) -> Result<()> {
        let told = config.size(key).unwrap_or(size as u64);
        self.ensure(told == size as u64, || {
            format!("config.json says that {key} is {told}, and the weights have {size}: is it theirs?")
        })
    }

    /// An error unless a condition on the weights holds.
    pub(super) fn ensure(&self, holds: bool, why: impl FnOnce() -> String) -> Result<()> {
        if holds || self.asked.is_some() {
            return Ok(());
        }
        bail!(File, "{}: {}", self.folder.display(), why())
    }

    /// A weight of this shape; `0` stands for any size. All have the type that [`Checkpoint::require`] found.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let name = self.spelling.bare(name);
        if let Some(asked) = &self.asked {
            asked.borrow_mut().push(name.to_string());
            let any: Vec<usize> = shape.iter().map(|size| (*size).max(1)).collect();
            return Ok(Tensor::zeros(any, self.dtype, &Device::Cpu)?);
        }
        let candidates = self.weights.get(name).map(Vec::as_slice).unwrap_or_default();
        let [first, others @ ..] = candidates else {
            bail!(File, "{} has no weight \"{name}\"", self.folder.display())
        };
        let tensor = self.read(first)?;
        for other in others {
            if !same(tensor, self.read(other)?)? {
                bail!(
                    File,
                    "{} holds \"{}\" and \"{}\" with different numbers, and both are the weight \"{name}\": save the \
                     model again with one of them",
                    self.folder.display(),
                    first.name,
                    other.name
                )
            }
        }
        let fits = tensor.rank() == shape.len()
            && tensor.dims().iter().zip(shape).all(|(got, expected)| *expected == 0 || got == expected);
        if !fits {
            bail!(
                File,
                "{}: \"{name}\" has the shape {:?}, expected {shape:?} (0 stands for any size)",
                self.folder.display(),
                tensor.dims()
            )
        }
        let tensor = match tensor.dtype() {
            DType::F64 | DType::F32 | DType::F16 | DType::BF16 => tensor.to_dtype(self.dtype)?,
            other => bail!(
                File,
                "{}: \"{name}\" is {other:?}: expected f64, f32, f16 or bf16; quantised weights mean nothing without \
                 their scales: take the model before it was quantised",
                self.folder.display()
            ),
        };
        finite::check(&tensor).map_err(|e| e.at(format!("{}: \"{name}\"", self.folder.display())))?;
        self.note_given()?;
        Ok(tensor)
    }

    fn note_given(&self) -> Result<()> {
        self.given.set(self.given.get() + 1);
        let share = self.given.get() as f64 / self.expected.max(1) as f64;
        self.progress.as_ref().map_or(Ok(()), |progress| progress.reach(0.5 + share / 2., 0.))
    }

    fn read<'a>(&self, candidate: &'a Candidate) -> Result<&'a Tensor> {
        candidate.tensor.as_ref().map_err(|why| {
            error!(
                File,
                "{}: \"{}\" cannot be read: {why}: save the model again in f32, best as safetensors",
                self.folder.display(),
                candidate.name
            )
        })
    }

    /// A dense layer, `name.weight` and, with a bias, `name.bias`; `0` outputs stand for any number.
    pub(super) fn dense(&self, name: &str, bias: bool, inputs: usize, outputs: usize) -> Result<Dense> {
        let weight = self.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = bias.then(|| self.tensor(&format!("{name}.bias"), &[weight.dims()[0]])).transpose()?;
        Ok(Dense { name: name.to_string(), linear: Linear::from_weights(&weight, bias.as_ref())? })
    }

    /// A dense layer from the embeddings' width to that of the layers.
    pub(super) fn widened(&self, config: &Config, name: &str, bias: bool, inputs: usize) -> Result<Dense> {
        let dense = self.dense(name, bias, inputs, 0)?;
        self.check_size(config, "hidden_size", dense.outputs())?;
        Ok(dense)
    }

    pub(super) fn layer_norm(&self, name: &str, width: usize, norms: Norms) -> Result<Norm> {
        let part = |part: &str| self.tensor(&format!("{name}.{part}"), &[width]);
        let norm = if norms.bias {
            LayerNorm::new(&part("weight")?, &part("bias")?, norms.eps)?
        } else {
            LayerNorm::without_bias(&part("weight")?, norms.eps)?
        };
        Ok(Norm { name: name.to_string(), norm })
    }

    /// A table of rows, `name.weight`; `0` stands for any size.
    pub(super) fn table(&self, name: &str, shape: [usize; 2]) -> Result<Table> {
        let rows = Var::from_tensor(&self.tensor(&format!("{name}.weight"), &shape)?)?;
        Ok(Table { name: name.to_string(), rows })
    }
}

/// The first names, and how many more there are.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 16;
    let first = names.iter().take(SHOWN).map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{first} and {} more", names.len() - SHOWN) } else { first }
}

/// Whether two tensors hold the same numbers.
fn same(a: &Tensor, b: &Tensor) -> Result<bool> {
    if a.dims() != b.dims() {
        return Ok(false);
    }
    let bits = |tensor: &Tensor| -> Result<Vec<u64>> {
        let numbers = tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        Ok(numbers.into_iter().map(f64::to_bits).collect())
    };
    Ok(bits(a)? == bits(b)?)
}
