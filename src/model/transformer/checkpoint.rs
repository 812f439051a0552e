//! The weights of a checkpoint folder, under the names of today's checkpoints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::pickle::PthTensors;
use candle_core::safetensors::SliceSafetensors;
use candle_core::{DType, Device, Tensor};
use serde_json::Value;

use super::config::Config;
use crate::error::{Error, Result, bail, error};
use crate::finite;
use crate::nn::{LayerNorm, Linear};

/// The weights of a folder, by name without the model's prefix.
pub(super) struct Checkpoint {
    folder: PathBuf,
    tensors: BTreeMap<String, Read>,
}

/// A tensor of a file, or why it cannot be read: many files hold some that nobody needs.
type Read = std::result::Result<Tensor, String>;

impl Checkpoint {
    /// Reads `model.safetensors`, the shards of its index, or `pytorch_model.bin`.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let single = folder.join("model.safetensors");
        let index = folder.join("model.safetensors.index.json");
        let pickle = folder.join("pytorch_model.bin");
        let named = if single.exists() {
            safetensors(&single)?
        } else if index.exists() {
            shards(folder, &index)?
        } else if pickle.exists() {
            pickled(&pickle)?
        } else {
            bail!(
                File,
                "{} holds no weights: expected model.safetensors, model.safetensors.index.json or pytorch_model.bin",
                folder.display()
            )
        };
        let tensors = named.into_iter().map(|(name, tensor)| (todays_name(&name), tensor)).collect();
        Ok(Self { folder: folder.to_path_buf(), tensors })
    }

    /// Weights that come from no file.
    pub(super) fn from_weights(tensors: BTreeMap<String, Tensor>) -> Self {
        let tensors = tensors.into_iter().map(|(name, tensor)| (name, Ok(tensor))).collect();
        Self { folder: PathBuf::new(), tensors }
    }

    /// Where the weights come from.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether there is a weight of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The names of its weights, for an error.
    pub(super) fn names(&self) -> String {
        listed(&self.tensors.keys().map(String::as_str).collect::<Vec<_>>())
    }

    /// An error that names every weight that is missing, and what is there in their place.
    pub(super) fn require(&self, expected: &[String]) -> Result<()> {
        let missing: Vec<&str> = expected.iter().filter(|name| !self.has(name)).map(String::as_str).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let others: Vec<&str> =
            self.tensors.keys().filter(|name| !expected.contains(name)).map(String::as_str).collect();
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

    /// An error if there are weights of layers above the `count` that `config.json` tells of.
    pub(super) fn refuse_further_layers(&self, layer: &str, count: usize) -> Result<()> {
        let index = |name: &String| name.strip_prefix(layer)?.split('.').next()?.parse::<usize>().ok();
        match self.tensors.keys().filter_map(|name| Some((index(name)?, name))).max() {
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

    /// An error if `config.json` tells of another size than the weights have.
    pub(super) fn check_size(&self, config: &Config, key: &str, size: usize) -> Result<()> {
        match config.size(key) {
            Some(told) if told != size as u64 => bail!(
                File,
                "{}: config.json says that {key} is {told}, and the weights have {size}: is it theirs?",
                self.folder.display()
            ),
            _ => Ok(()),
        }
    }

    /// A weight of this shape; `0` stands for any size. Half precision becomes `f32`.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let Some(tensor) = self.tensors.get(name) else {
            bail!(File, "{} has no weight \"{name}\"", self.folder.display())
        };
        let tensor = tensor.as_ref().map_err(|why| {
            error!(
                File,
                "{}: \"{name}\" cannot be read: {why}: save the model again in f32, best as safetensors",
                self.folder.display()
            )
        })?;
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
            DType::F64 => tensor.clone(),
            DType::F32 | DType::F16 | DType::BF16 => tensor.to_dtype(DType::F32)?,
            other => bail!(
                File,
                "{}: \"{name}\" is {other:?}: expected f64, f32, f16 or bf16; quantised weights mean nothing without \
                 their scales: take the model before it was quantised",
                self.folder.display()
            ),
        };
        finite::check(&tensor).map_err(|e| e.at(format!("{}: \"{name}\"", self.folder.display())))?;
        Ok(tensor)
    }

    /// A dense layer, `name.weight` and `name.bias`; `0` outputs stand for any number.
    pub(super) fn linear(&self, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
        let weight = self.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = self.tensor(&format!("{name}.bias"), &[weight.dims()[0]])?;
        Linear::from_weights(&weight, Some(&bias))
    }

    pub(super) fn layer_norm(&self, name: &str, width: usize, eps: f64) -> Result<LayerNorm> {
        let [weight, bias] = ["weight", "bias"].map(|part| self.tensor(&format!("{name}.{part}"), &[width]));
        LayerNorm::new(&weight?, &bias?, eps)
    }
}

/// The first names, and how many more there are.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 16;
    let first = names.iter().take(SHOWN).map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{first} and {} more", names.len() - SHOWN) } else { first }
}

fn safetensors(path: &Path) -> Result<Vec<(String, Read)>> {
    let bytes = std::fs::read(path).map_err(|e| error!(File, "cannot read {}: {e}: fetch it again", path.display()))?;
    let file = SliceSafetensors::new(&bytes).map_err(|e| {
        error!(
            File,
            "{} is not a complete safetensors file ({} bytes): {}: fetch it again",
            path.display(),
            bytes.len(),
            Error::from(e)
        )
    })?;
    let read = |name: String| {
        let tensor = file.load(&name, &Device::Cpu).map_err(|e| Error::from(e).to_string());
        (name, tensor)
    };
    Ok(file.tensors().into_iter().map(|(name, _)| read(name)).collect())
}

/// What `torch.save` wrote: the weights, or something that holds them under a usual name.
fn pickled(path: &Path) -> Result<Vec<(String, Read)>> {
    for key in [None, Some("state_dict"), Some("model_state_dict"), Some("model")] {
        let file = match PthTensors::new(path, key) {
            Ok(file) => file,
            // A file without this key.
            Err(_) if key.is_some() => continue,
            Err(e) => bail!(
                File,
                "cannot read {}: {}; only the zip format of PyTorch 1.6 and later can be read: save the model again, \
                 best as safetensors",
                path.display(),
                Error::from(e)
            ),
        };
        let read = |name: &String| match file.get(name) {
            Ok(tensor) => tensor.map(|tensor| (name.clone(), Ok(tensor))),
            Err(e) => Some((name.clone(), Err(Error::from(e).to_string()))),
        };
        let tensors: Vec<_> = file.tensor_infos().keys().filter_map(read).collect();
        if !tensors.is_empty() {
            return Ok(tensors);
        }
    }
    bail!(File, "{} holds no weights: save model.state_dict(), best as safetensors", path.display())
}

fn shards(folder: &Path, index: &Path) -> Result<Vec<(String, Read)>> {
    let broken = |why: String| error!(File, "{}: {why}", index.display());
    let text = std::fs::read_to_string(index).map_err(|e| broken(e.to_string()))?;
    let json: Value = serde_json::from_str(&text).map_err(|e| broken(format!("not JSON: {e}")))?;
    let map = json["weight_map"].as_object().ok_or_else(|| broken("there is no \"weight_map\" in it".to_string()))?;
    let mut files: Vec<&str> = map.values().filter_map(Value::as_str).collect();
    files.sort_unstable();
    files.dedup();
    let mut tensors = Vec::new();
    for file in files {
        if Path::new(file).components().count() != 1 || file.starts_with('.') {
            return Err(broken(format!("the shard \"{file}\" is not a file of the folder")));
        }
        tensors.extend(safetensors(&folder.join(file))?);
    }
    Ok(tensors)
}

/// Without the prefix of the model, or of what trained it on several devices, and with the names that
/// layer norms have had since 2019.
fn todays_name(name: &str) -> String {
    let name = name.strip_prefix("module.").unwrap_or(name);
    let name = ["roberta.", "bert.", "distilbert."].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
}
