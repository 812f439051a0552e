//! The Titanic's passengers, prepared as in the tutorials.

use std::path::{Path, PathBuf};
use std::process::Command;

use candle_core::{Device, Tensor};

use super::{Dataset, Split};
use crate::engine::FeatureMask;
use crate::error::{Result, bail, error};
use crate::file::write_whole;
use crate::model::Sequential;
use crate::seed::Seed;

const FILE: &str = "titanic3.csv";
const FOLDER_VARIABLE: &str = "CANDLE_EXPLAIN_DATA";
const ADDRESS: &str = "https://biostat.app.vumc.org/wiki/pub/Main/DataSets/titanic3.csv";
const SYNTHETIC: &str = include_str!("../../data/synthetic_passengers.csv");
const WEIGHTS: &[u8] = include_bytes!("../../data/titanic.safetensors");
const SYNTHETIC_NAME: &str = "Synthetic passenger";
const SECONDS_TO_CONNECT: &str = "4";
const SECONDS_TO_DOWNLOAD: &str = "30";

/// What the complete passenger list holds: rows, survivors, missing ages.
const COMPLETE: (usize, usize, usize) = (1309, 500, 263);

/// Where the passenger list comes from.
pub struct Titanic;

/// Where the passengers of a table came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An existing file.
    File(PathBuf),
    /// A file that was just downloaded.
    Downloaded(PathBuf),
    /// The synthetic table that comes with the crate, and why it was used.
    Synthetic(String),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::File(path) => write!(f, "the passenger list in {}", end_of(path)),
            Source::Downloaded(path) => write!(f, "the passenger list, downloaded to {}", end_of(path)),
            Source::Synthetic(why) => write!(f, "SYNTHETIC passengers, made up from published totals ({why})"),
        }
    }
}

/// The file name and its two folders: enough to recognise the file, and the same on every machine.
fn end_of(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).filter(|part| part != "..").collect();
    parts[parts.len().saturating_sub(3)..].join("/")
}

/// The passengers, encoded as in the tutorials: missing ages and fares are filled with the mean; sex,
/// port and class have one column for each value.
#[derive(Clone, Debug)]
pub struct Passengers {
    data: Dataset,
    source: Source,
    ages_filled: usize,
    fares_filled: usize,
    survivors: usize,
}

impl Titanic {
    /// The features of a passenger, in the order of the network's inputs.
    pub const FEATURES: [&str; 12] = [
        "age", "sibsp", "parch", "fare", "female", "male", "embark_C", "embark_Q", "embark_S", "class_1", "class_2",
        "class_3",
    ];

    /// Sex, port and class as one feature each, for methods that take a feature mask; the other columns are features of
    /// their own.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let (_, test) = Titanic::offline()?.split(Split::Stratified { test: 0.3, seed: 42 })?;
    /// let ablation = FeatureAblation::new(Titanic::pretrained()?).feature_mask(Titanic::categories());
    /// ablation.attribute(test.features(), 1)?.mean()?.bars(test.feature_names())?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn categories() -> FeatureMask {
        FeatureMask::one_hot(["embark_", "class_"]).with_group(["female", "male"])
    }

    /// The passengers from `titanic3.csv`. If the environment variable `CANDLE_EXPLAIN_DATA` names a folder,
    /// the file must be there. Otherwise it is looked for in the crate's `data` folder and in `shared/data`
    /// beside the crate, then downloaded into `data`. Without a network the result is a synthetic
    /// table. The result says where it came from.
    pub fn load() -> Result<Passengers> {
        if let Some(folder) = std::env::var_os(FOLDER_VARIABLE) {
            return Self::from_path(Path::new(&folder).join(FILE)).map_err(|e| e.at(FOLDER_VARIABLE));
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let place = root.join("data").join(FILE);
        for path in [&place, &root.join("../shared/data").join(FILE)] {
            if path.exists() {
                return Self::from_path(path);
            }
        }
        match download(&place) {
            Ok(()) => Self::complete(&place, Source::Downloaded(place.clone())),
            Err(why) => Self::synthetic(why.to_string()),
        }
    }

    /// The passengers from a file in the form of titanic3.csv, which must be complete.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Passengers> {
        let path = path.as_ref();
        Self::complete(path, Source::File(path.to_path_buf()))
    }

    /// The synthetic table that comes with the crate.
    pub fn offline() -> Result<Passengers> {
        Self::synthetic("asked for".to_string())
    }

    /// The tutorials' network: 12 features, 12 and 8 sigmoid neurons, softmax over 2 classes.
    pub fn network(seed: Seed) -> Result<Sequential> {
        Sequential::builder(Self::FEATURES.len())
            .linear("linear1", 12)
            .sigmoid("sigmoid1")
            .linear("linear2", 8)
            .sigmoid("sigmoid2")
            .linear("linear3", 2)
            .softmax("softmax")
            .build(seed)
    }

    /// The same network with the weights that come with the crate (`data/titanic.md` says how they were made).
    pub fn pretrained() -> Result<Sequential> {
        let network = Self::network(Seed::default())?;
        network.load_bytes(WEIGHTS, "titanic.safetensors")?;
        Ok(network)
    }

    /// The features of one passenger; `numbers` are age, siblings and spouses, parents and children, fare. The port is
    /// `'C'`, `'Q'` or `'S'`, the class 1, 2 or 3.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let passenger = Titanic::encode([24., 0., 0., 80.], true, Some('C'), 1);
    /// let survival = Titanic::pretrained()?.predict(Tensor::new(&[passenger], &Device::Cpu)?)?;
    /// assert!(survival.to_vec2::<f32>()?[0][1] > 0.9);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn encode(numbers: [f64; 4], female: bool, port: Option<char>, class: usize) -> [f32; 12] {
        let flag = |condition: bool| f32::from(u8::from(condition));
        let [age, sibsp, parch, fare] = numbers.map(|number| number as f32);
        let [c, q, s] = ['C', 'Q', 'S'].map(|name| flag(port == Some(name)));
        let [first, second, third] = [1, 2, 3].map(|number| flag(class == number));
        [age, sibsp, parch, fare, flag(female), flag(!female), c, q, s, first, second, third]
    }

    fn synthetic(why: String) -> Result<Passengers> {
        encode(&parse(SYNTHETIC)?, Source::Synthetic(why))
    }

    fn complete(path: &Path, source: Source) -> Result<Passengers> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| error!(File, "cannot read the passenger list {}: {e}", path.display()))?;
        check_complete(&text).and_then(|passengers| encode(&passengers, source)).map_err(|e| e.at(path.display()))
    }
}

impl Passengers {
    /// The encoded table.
    pub fn data(&self) -> &Dataset {
        &self.data
    }

    /// Where the passengers came from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Whether the passengers are invented.
    pub fn is_synthetic(&self) -> bool {
        matches!(self.source, Source::Synthetic(_))
    }

    /// How many passengers had no age and got the mean.
    pub fn ages_filled(&self) -> usize {
        self.ages_filled
    }

    /// How many passengers had no fare and got the mean.
    pub fn fares_filled(&self) -> usize {
        self.fares_filled
    }

    /// How many passengers survived.
    pub fn survivors(&self) -> usize {
        self.survivors
    }

    /// Splits the table into one to train with and one to test with.
    pub fn split(&self, split: Split) -> Result<(Dataset, Dataset)> {
        self.data.split(split)
    }
}

/// One row of the list, as written.
struct Passenger {
    class: usize,
    survived: bool,
    synthetic: bool,
    female: bool,
    age: Option<f64>,
    sibsp: f64,
    parch: f64,
    fare: Option<f64>,
    port: Option<char>,
}

/// The passengers of a list; an error if it does not hold all of the known list.
fn check_complete(text: &str) -> Result<Vec<Passenger>> {
    let passengers = parse(text)?;
    let survivors = passengers.iter().filter(|passenger| passenger.survived).count();
    let ages_missing = passengers.iter().filter(|passenger| passenger.age.is_none()).count();
    let found = (passengers.len(), survivors, ages_missing);
    if found != COMPLETE || passengers.iter().any(|passenger| passenger.synthetic) {
        let (rows, survived, missing) = COMPLETE;
        bail!(
            File,
            "this is not the complete passenger list: {} rows, {} survivors and {} missing ages, expected {rows}, \
             {survived} and {missing} real ones; fetch it again from {ADDRESS}",
            found.0,
            found.1,
            found.2
        )
    }
    Ok(passengers)
}

fn parse(text: &str) -> Result<Vec<Passenger>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| error!(File, "the header cannot be read: {e}"))?.clone();
    let column = |name: &str| {
        header.iter().position(|other| other.trim_start_matches('\u{feff}') == name).ok_or_else(|| {
            error!(
                File,
                "there is no column \"{name}\" in the header; there are: {}",
                header.iter().collect::<Vec<_>>().join(", ")
            )
        })
    };
    let [class, survived, name, sex, age] =
        [column("pclass")?, column("survived")?, column("name")?, column("sex")?, column("age")?];
    let [sibsp, parch, fare, port] = [column("sibsp")?, column("parch")?, column("fare")?, column("embarked")?];
    let mut passengers = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let row = index + 1;
        let record = record.map_err(|e| {
            error!(File, "passenger {row} cannot be read ({e}): is the file complete? fetch it again from {ADDRESS}")
        })?;
        let bad = |column: usize, expected: &str| {
            error!(File, "passenger {row}: {} is \"{}\", expected {expected}", &header[column], &record[column])
        };
        let number = |column: usize| match record[column].trim() {
            "" => Ok(None),
            text => match text.parse::<f64>() {
                Ok(value) if value.is_finite() && value >= 0. => Ok(Some(value)),
                _ => Err(bad(column, "a number of at least 0, or nothing")),
            },
        };
        if record.iter().all(str::is_empty) {
            continue;
        }
        passengers.push(Passenger {
            class: match record[class].trim() {
                "1" => 1,
                "2" => 2,
                "3" => 3,
                _ => return Err(bad(class, "1, 2 or 3")),
            },
            survived: match record[survived].trim() {
                "0" => false,
                "1" => true,
                _ => return Err(bad(survived, "0 or 1")),
            },
            synthetic: record[name].starts_with(SYNTHETIC_NAME),
            female: match record[sex].trim() {
                "female" => true,
                "male" => false,
                _ => return Err(bad(sex, "female or male")),
            },
            age: number(age)?,
            sibsp: number(sibsp)?.ok_or_else(|| bad(sibsp, "a number"))?,
            parch: number(parch)?.ok_or_else(|| bad(parch, "a number"))?,
            fare: number(fare)?,
            port: match record[port].trim() {
                "" => None,
                "C" => Some('C'),
                "Q" => Some('Q'),
                "S" => Some('S'),
                _ => return Err(bad(port, "C, Q, S or nothing")),
            },
        });
    }
    if passengers.is_empty() {
        bail!(File, "there is no passenger in the file: fetch it again from {ADDRESS}")
    }
    Ok(passengers)
}

fn encode(passengers: &[Passenger], source: Source) -> Result<Passengers> {
    let mean_of = |value: fn(&Passenger) -> Option<f64>| {
        let known: Vec<f64> = passengers.iter().filter_map(value).collect();
        (known.iter().sum::<f64>() / known.len().max(1) as f64, passengers.len() - known.len())
    };
    let (mean_age, ages_filled) = mean_of(|passenger| passenger.age);
    let (mean_fare, fares_filled) = mean_of(|passenger| passenger.fare);
    let features: Vec<f32> = passengers
        .iter()
        .flat_map(|passenger| {
            let (age, fare) = (passenger.age.unwrap_or(mean_age), passenger.fare.unwrap_or(mean_fare));
            let numbers = [age, passenger.sibsp, passenger.parch, fare];
            Titanic::encode(numbers, passenger.female, passenger.port, passenger.class)
        })
        .collect();
    let labels: Vec<u32> = passengers.iter().map(|passenger| u32::from(passenger.survived)).collect();
    let survivors = labels.iter().sum::<u32>() as usize;
    let features = Tensor::from_vec(features, (passengers.len(), Titanic::FEATURES.len()), &Device::Cpu)?;
    Ok(Passengers {
        data: Dataset::new(features, Titanic::FEATURES, labels)?,
        source,
        ages_filled,
        fares_filled,
        survivors,
    })
}

/// Downloads the list with the system's `curl`, so that notebooks need not compile a
/// TLS library. The file is checked before it is moved into place.
fn download(place: &Path) -> Result<()> {
    if let Some(folder) = place.parent() {
        std::fs::create_dir_all(folder).map_err(|e| error!(File, "{}: {e}", folder.display()))?;
    }
    write_whole(place, |temporary| {
        let fetched = Command::new("curl")
            .args(["--fail", "--silent", "--show-error", "--location"])
            .args(["--connect-timeout", SECONDS_TO_CONNECT, "--max-time", SECONDS_TO_DOWNLOAD, "--output"])
            .arg(temporary)
            .arg(ADDRESS)
            .output()
            .map_err(|e| error!(File, "curl could not be started: {e}"))?;
        if !fetched.status.success() {
            bail!(File, "no download: {}", String::from_utf8_lossy(&fetched.stderr).trim())
        }
        let text = std::fs::read_to_string(temporary).map_err(|e| error!(File, "the download: {e}"))?;
        check_complete(&text).map(|_| ())
    })
}
