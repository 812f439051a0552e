//! The files of weights in a checkpoint's folder.

use std::collections::BTreeSet;
use std::path::Path;

use candle_core::Device;
use candle_core::safetensors::SliceSafetensors;
use serde_json::Value;

use crate::error::{Error, Result, bail, error};
use crate::file::{read, read_text, refuse_pointer};
use crate::model::pickle;
use crate::progress::Progress;

pub(super) use crate::model::pickle::Loaded as Read;

/// Every tensor of a folder with its name in the file: from `model.safetensors` or its shards, or from
/// `pytorch_model.bin` or its shards.
pub(super) fn tensors(folder: &Path) -> Result<Vec<(String, Read)>> {
    let there = |file: &str| Some(folder.join(file)).filter(|path| path.exists());
    if let Some(single) = there("model.safetensors") {
        safetensors(&single)
    } else if let Some(index) = there("model.safetensors.index.json") {
        shards(folder, &index, safetensors)
    } else if let Some(single) = there("pytorch_model.bin") {
        pickled(&single)
    } else if let Some(index) = there("pytorch_model.bin.index.json") {
        shards(folder, &index, pickled)
    } else {
        bail!(
            File,
            "{} holds no weights: expected model.safetensors, pytorch_model.bin, or the shards of one of them with \
             model.safetensors.index.json or pytorch_model.bin.index.json",
            folder.display()
        )
    }
}

fn safetensors(path: &Path) -> Result<Vec<(String, Read)>> {
    let bytes = read(path)?;
    let file = SliceSafetensors::new(&bytes).map_err(|e| {
        error!(
            File,
            "{} is not a complete safetensors file ({} bytes): {}: fetch it again",
            path.display(),
            bytes.len(),
            Error::from(e)
        )
    })?;
    let names: Vec<String> = file.tensors().into_iter().map(|(name, _)| name).collect();
    let (progress, count) = (Progress::part(), names.len());
    let read = |(index, name): (usize, String)| {
        let tensor = file.load(&name, &Device::Cpu).map_err(|e| Error::from(e).to_string());
        progress.step_of(index + 1, Some(count))?;
        Ok((name, tensor))
    };
    names.into_iter().enumerate().map(read).collect()
}

/// The weights from a file of `torch.save`: its whole content, or the value under a usual key.
fn pickled(path: &Path) -> Result<Vec<(String, Read)>> {
    refuse_pointer(path)?;
    for key in [None, Some("state_dict"), Some("model_state_dict"), Some("model")] {
        let tensors = match pickle::state_dict(path, key) {
            Ok(tensors) => tensors,
            // A file without this key.
            Err(_) if key.is_some() => continue,
            Err(e) => bail!(
                File,
                "cannot read {}: {e}; only the zip format of PyTorch 1.6 and later can be read: save the model again, \
                 best as safetensors",
                path.display()
            ),
        };
        if !tensors.is_empty() {
            return Ok(tensors);
        }
    }
    bail!(File, "{} holds no weights: save model.state_dict(), best as safetensors", path.display())
}

fn shards(
    folder: &Path,
    index: &Path,
    read: impl Fn(&Path) -> Result<Vec<(String, Read)>>,
) -> Result<Vec<(String, Read)>> {
    let mut tensors = Vec::new();
    let (progress, files) = (Progress::part(), shards_of(index)?);
    progress.under_way(1);
    for (done, file) in files.iter().enumerate() {
        progress.step_of(done, Some(files.len()))?;
        tensors.extend(read(&folder.join(file))?);
    }
    Ok(tensors)
}

/// The files that an index of shards names, each once; all are in the index's folder.
pub(crate) fn shards_of(index: &Path) -> Result<Vec<String>> {
    let broken = |why: String| error!(File, "{}: {why}", index.display());
    let json: Value = serde_json::from_str(&read_text(index)?).map_err(|e| broken(format!("not JSON: {e}")))?;
    let map = json["weight_map"].as_object().ok_or_else(|| broken("there is no \"weight_map\" in it".to_string()))?;
    let files: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    let of_folder = |file: &&str| Path::new(file).components().count() == 1 && !file.starts_with('.');
    match files.iter().find(|file| !of_folder(file)) {
        Some(file) => Err(broken(format!("the shard \"{file}\" is not a file of the folder"))),
        None => Ok(files.into_iter().map(str::to_string).collect()),
    }
}
