//! State dicts as `torch.save` writes them: a zip file with a pickle of names, and a file of numbers for
//! each storage.
//!
//! candle's own reader is not used: it prints a line for each tensor of an unknown type, such as a buffer of
//! booleans.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use candle_core::pickle::{Object, Stack};
use candle_core::{DType, Device, Shape, Tensor};
use zip::ZipArchive;

use crate::error::{Result, bail, error};

/// A tensor, or why it cannot be read: many files hold unreadable tensors that nobody needs.
pub type Loaded = std::result::Result<Tensor, String>;

/// The tensors, by name, of a state dict that is the file's whole content, or its value under a key.
pub fn state_dict(path: &Path, key: Option<&str>) -> Result<Vec<(String, Loaded)>> {
    let file = File::open(path).map_err(|e| error!(File, "{e}"))?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|e| error!(File, "{e}"))?;
    let names: Vec<String> = (0..zip.len())
        .filter_map(|index| Some(zip.by_index(index).ok()?.name().ok()?.to_string()))
        .filter(|name| name.ends_with("data.pkl"))
        .collect();
    let mut tensors = Vec::new();
    for name in names {
        let folder = name.trim_end_matches(".pkl");
        for (name, value) in entries(unpickled(&mut zip, &name)?, key)? {
            if let (Object::Unicode(name), Some(stored)) = (name, Stored::of(value)) {
                let tensor = stored.and_then(|stored| stored.load(&mut zip, folder));
                tensors.push((name, tensor.map_err(|e| e.to_string())));
            }
        }
    }
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(tensors)
}

fn unpickled(zip: &mut ZipArchive<BufReader<File>>, name: &str) -> Result<Object> {
    let entry = zip.by_name(name).map_err(|e| error!(File, "{name}: {e}"))?;
    let mut stack = Stack::empty();
    stack.read_loop(&mut BufReader::new(entry))?;
    Ok(stack.finalize()?)
}

/// The entries of a dictionary, or of the dictionary under a key in it; empty if there is none.
fn entries(object: Object, key: Option<&str>) -> Result<Vec<(Object, Object)>> {
    let object = match object {
        // A module of TorchScript.
        Object::Build { args, .. } => *args,
        object => object,
    };
    match (object, key) {
        (Object::Dict(named), None) => Ok(named),
        (Object::Dict(named), Some(key)) => {
            let found = named.into_iter().find(|(name, _)| matches!(name, Object::Unicode(name) if name == key));
            match found {
                Some((_, object)) => entries(object, None),
                None => bail!(File, "there is nothing under \"{key}\""),
            }
        }
        _ => Ok(Vec::new()),
    }
}

/// Where the numbers of a tensor are.
struct Stored {
    dtype: DType,
    shape: Vec<usize>,
    stride: Vec<usize>,
    offset: usize,
    /// The storage's name.
    storage: String,
}

impl Stored {
    /// A tensor's description in a pickled value; `None` if the value is no tensor.
    fn of(value: Object) -> Option<Result<Self>> {
        let (class, args) = call(value)?;
        match (class.as_str(), args) {
            ("_rebuild_tensor_v2", args) => Some(Self::rebuilt(args)),
            ("_rebuild_parameter", args) => Self::of(args.into_iter().next()?),
            // The call and its arguments, of a subclass of Tensor.
            ("_rebuild_from_type_v2", args) => {
                let mut args = args.into_iter();
                let callable = Box::new(args.next()?);
                Self::of(Object::Reduce { callable, args: Box::new(args.nth(1)?) })
            }
            _ => None,
        }
    }

    /// From `(storage, offset, shape, stride, ...)`, where storage is `(_, type, name, device, size)`.
    fn rebuilt(args: Vec<Object>) -> Result<Self> {
        let mut args = args.into_iter();
        let (storage, offset, shape, stride) = (args.next(), args.next(), args.next(), args.next());
        let broken = || error!(File, "it is not told where its numbers are");
        let Some(Object::PersistentLoad(storage)) = storage else { return Err(broken()) };
        let Object::Tuple(storage) = *storage else { return Err(broken()) };
        let mut storage = storage.into_iter().skip(1);
        let (Some(Object::Class { class_name, .. }), Some(Object::Unicode(storage))) = (storage.next(), storage.next())
        else {
            return Err(broken());
        };
        let dtype = match class_name.as_str() {
            "FloatStorage" => DType::F32,
            "DoubleStorage" => DType::F64,
            "HalfStorage" => DType::F16,
            "BFloat16Storage" => DType::BF16,
            "LongStorage" => DType::I64,
            "ByteStorage" | "BoolStorage" => DType::U8,
            other => bail!(File, "its numbers are in a {other}, which is not known here"),
        };
        let read = || Some((whole(&offset?)?, all_whole(shape?)?, all_whole(stride?)?));
        let (offset, shape, stride) = read().filter(|(_, a, b)| a.len() == b.len()).ok_or_else(broken)?;
        Ok(Self { dtype, shape, stride, offset, storage })
    }

    fn load(&self, zip: &mut ZipArchive<BufReader<File>>, folder: &str) -> Result<Tensor> {
        let name = format!("{folder}/{}", self.storage);
        let mut entry = zip.by_name(&name).map_err(|e| error!(File, "its numbers, {name}: {e}"))?;
        let size = self.dtype.size_in_bytes();
        let shape = Shape::from(self.shape.as_slice());
        let count = shape.elem_count();
        let too_far = || error!(File, "its numbers go beyond the end of {name}");
        let last = self.shape.iter().zip(&self.stride).try_fold(self.offset, |last, (length, stride)| {
            length.saturating_sub(1).checked_mul(*stride).and_then(|steps| last.checked_add(steps))
        });
        let needed = match last {
            _ if count == 0 => 0,
            last => last.and_then(|last| (last + 1).checked_mul(size)).ok_or_else(too_far)?,
        };
        if entry.size() < needed as u64 {
            return Err(too_far());
        }
        let mut bytes = Vec::new();
        entry.by_ref().take(needed as u64).read_to_end(&mut bytes).map_err(|e| error!(File, "{name}: {e}"))?;
        if bytes.len() < needed {
            return Err(too_far());
        }
        let device = Device::Cpu;
        if shape.is_contiguous(&self.stride) {
            let start = if count == 0 { 0 } else { self.offset * size };
            return Ok(Tensor::from_raw_buffer(&bytes[start..start + count * size], self.dtype, &self.shape, &device)?);
        }
        if count > needed / size {
            bail!(File, "it repeats its numbers: save it after contiguous()")
        }
        let storage = Tensor::from_raw_buffer(&bytes, self.dtype, &[needed / size], &device)?;
        let places = Tensor::from_vec(self.places(count), count, &device)?;
        Ok(storage.index_select(&places, 0)?.reshape(shape)?)
    }

    /// The position of each number in its storage, in the order of the tensor.
    fn places(&self, count: usize) -> Vec<i64> {
        let mut index = vec![0; self.shape.len()];
        let mut places = Vec::with_capacity(count);
        for _ in 0..count {
            let place: usize = index.iter().zip(&self.stride).map(|(at, stride)| at * stride).sum();
            places.push((self.offset + place) as i64);
            for (at, length) in index.iter_mut().zip(&self.shape).rev() {
                *at += 1;
                if *at < *length {
                    break;
                }
                *at = 0;
            }
        }
        places
    }
}

/// The name of the function that a pickled value calls, and its arguments.
fn call(value: Object) -> Option<(String, Vec<Object>)> {
    match value {
        Object::Reduce { callable, args } => match (*callable, *args) {
            (Object::Class { class_name, .. }, Object::Tuple(args)) => Some((class_name, args)),
            _ => None,
        },
        _ => None,
    }
}

fn whole(object: &Object) -> Option<usize> {
    match object {
        Object::Int(number) => usize::try_from(*number).ok(),
        Object::Long(number) => usize::try_from(*number).ok(),
        _ => None,
    }
}

fn all_whole(object: Object) -> Option<Vec<usize>> {
    match object {
        Object::Tuple(numbers) => numbers.iter().map(whole).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Name, storage, numbers, shape and stride of a tensor.
    type Saved<'a> = (&'a str, &'a str, &'a [u8], &'a [u8], &'a [u8]);

    /// A file of `torch.save` by hand: a dictionary of tensors.
    fn saved(name: &str, tensors: &[Saved]) -> std::path::PathBuf {
        let text = |text: &str| [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
        let tuple = |numbers: &[u8]| {
            let numbers = numbers.iter().flat_map(|number| [b'K', *number]);
            [b'('].into_iter().chain(numbers).chain([b't']).collect::<Vec<u8>>()
        };
        let mut pickle = vec![0x80, 2, b'}', b'('];
        for (index, (name, storage, bytes, shape, stride)) in tensors.iter().enumerate() {
            pickle.extend(text(name));
            pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
            pickle.extend(text("storage"));
            pickle.extend(format!("ctorch\n{storage}\n").bytes());
            pickle.extend(text(&index.to_string()));
            pickle.extend(text("cpu"));
            pickle.extend([b'K', bytes.len() as u8, b't', b'Q', b'K', 0]);
            pickle.extend([tuple(shape), tuple(stride)].concat());
            pickle.extend(*b"\x89Nt");
            pickle.push(b'R');
        }
        pickle.extend(*b"u.");
        let path = std::env::temp_dir().join(format!("candle-explain-{name}-{}.pt", std::process::id()));
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file("model/data.pkl", options).unwrap();
        zip.write_all(&pickle).unwrap();
        for (index, (_, _, bytes, ..)) in tensors.iter().enumerate() {
            zip.start_file(format!("model/data/{index}"), options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    #[test]
    fn tensors_of_every_kind_come_by_name() {
        let floats: Vec<u8> = [1f32, 2., 3., 4., 5., 6.].iter().flat_map(|value| value.to_le_bytes()).collect();
        let path = saved(
            "kinds",
            &[
                ("weight", "FloatStorage", &floats, &[2, 3], &[3, 1]),
                ("mask", "BoolStorage", &[1, 0, 1], &[3], &[1]),
                ("turned", "FloatStorage", &floats, &[3, 2], &[1, 3]),
                ("steps", "FloatStorage", &floats, &[2, 2], &[3, 2]),
                ("small", "ShortStorage", &[0, 0], &[1], &[1]),
                ("cut", "FloatStorage", &floats, &[7], &[1]),
                ("repeated", "FloatStorage", &floats, &[9, 1], &[0, 1]),
            ],
        );
        let tensors = state_dict(&path, None).unwrap();
        let names: Vec<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["cut", "mask", "repeated", "small", "steps", "turned", "weight"]);
        let of = |name: &str| &tensors[names.iter().position(|n| *n == name).unwrap()].1;
        let floats = |name: &str| of(name).as_ref().unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(floats("weight"), [[1., 2., 3.], [4., 5., 6.]]);
        assert_eq!(of("mask").as_ref().unwrap().to_vec1::<u8>().unwrap(), [1, 0, 1]);
        assert_eq!(floats("turned"), [[1., 4.], [2., 5.], [3., 6.]]);
        assert_eq!(floats("steps"), [[1., 3.], [4., 6.]]);
        let why = |name: &str| of(name).as_ref().unwrap_err();
        assert!(why("small").contains("ShortStorage"));
        assert!(why("cut").contains("beyond the end"));
        assert!(why("repeated").contains("repeats its numbers"));
        assert!(state_dict(&path, Some("model")).unwrap_err().to_string().contains("nothing under \"model\""));
        std::fs::remove_file(&path).unwrap();
    }
}
