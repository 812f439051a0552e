//! Seven methods beside Captum's and shap's, on the Titanic network and on the shipped text classifier, in one run on
//! one machine.
//!
//! `CAPTUM_PYTHON=/path/to/python cargo bench --bench methods`, where that Python has what
//! `tests/golden/requirements.txt` lists, and shap==0.51.0. Half of the rounds run before theirs and half after them.
//! `benches/methods.py` says what each method is asked.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use candle_explain::attr::METHODS;
use candle_explain::candle_core::safetensors;
use candle_explain::engine::Options;
use candle_explain::error;
use candle_explain::prelude::*;
use serde_json::{Value, json};

const ROUNDS: usize = 6;
const TARGET: usize = 1;
const COALITIONS: usize = 256;
const ORDERS: usize = 10;
const POINTS: usize = 20;
/// The words of an occluded text that are away at once.
const WINDOW: usize = 2;
const TEXTS: usize = 10;
/// So that the exact Shapley values, with which estimates are compared, take seconds.
const MOST_WORDS: usize = 14;

type Failure = Box<dyn std::error::Error>;
type Outcome<T> = std::result::Result<T, Failure>;

fn main() -> Outcome<()> {
    let python = std::env::var("CAPTUM_PYTHON")
        .map_err(|_| "set CAPTUM_PYTHON to a Python that has captum, torch, transformers and shap installed")?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rows = Rows::load(root)?;
    let texts = Texts::load(root)?;
    let theirs = Peers { python, root: root.to_path_buf(), job: job(root, &rows, &texts)? };

    let mut ours: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    let asked = [("titanic", rows.methods()?), ("text", texts.methods()?)];
    time(&asked, &mut ours)?;
    let (lines, attributions) = theirs.run()?;
    time(&asked, &mut ours)?;

    let exact = HashMap::from([("titanic", rows.exact()?), ("text", texts.exact()?)]);
    println!("{}; {} test rows; {} comments", rows.source, rows.features.dims()[0], texts.inputs.len());
    println!("{}", lines.first().ok_or("the other side said nothing")?);
    println!(
        "{:<8} {:<21} {:<7} {:>9} {:>10} {:>10} {:>7}  {:>13} {:>11} {:>19}",
        "data",
        "method",
        "beside",
        "ms here",
        "ms there",
        "ratio",
        "rows",
        "rows there",
        "apart by",
        "errors, ours theirs"
    );
    for (data, methods) in &asked {
        for method in methods {
            let times = ours.get_mut(&(*data, method.name)).ok_or("a method was not timed")?;
            let here = median(times);
            let values = method.values()?;
            for line in lines.iter().filter(|line| line["data"] == *data && line["method"] == method.name) {
                let library = line["library"].as_str().ok_or("no library")?;
                if let Some(error) = line["error"].as_str() {
                    println!("{data:<8} {:<21} {library:<7} {here:>9.2} cannot: {error}", method.name);
                    continue;
                }
                let there = line["median_ms"].as_f64().ok_or("no median_ms")?;
                let found = found(&attributions, &format!("{data}/{library}/{}", method.name))?;
                let errors = match method.estimates {
                    true => format!("{:.1e} {:.1e}", apart(&values, &exact[data])?, apart(&found, &exact[data])?),
                    false => String::new(),
                };
                println!(
                    "{data:<8} {:<21} {library:<7} {here:>9.2} {there:>10.2} {:>10.4} {:>7} {:>13} {:>11.1e} {errors:>19}",
                    method.name,
                    here / there,
                    method.rows()?,
                    line["evaluations"],
                    apart(&values, &found)?,
                );
            }
        }
    }
    Ok(())
}

/// A method with its inputs: all rows, or one text after the other.
struct Asked<'a> {
    name: &'static str,
    /// Whether it estimates Shapley values.
    estimates: bool,
    evaluated: Arc<AtomicUsize>,
    parts: Vec<Box<dyn Fn() -> Result<Tensor> + 'a>>,
}

impl Asked<'_> {
    fn values(&self) -> Result<Vec<Tensor>> {
        self.parts.iter().map(|part| part()).collect()
    }

    /// How many rows go forward through the model.
    fn rows(&self) -> Result<usize> {
        self.evaluated.store(0, Ordering::Relaxed);
        self.values()?;
        Ok(self.evaluated.load(Ordering::Relaxed))
    }
}

fn time<'a>(asked: &[(&'a str, Vec<Asked<'a>>)], times: &mut BTreeMap<(&'a str, &'a str), Vec<f64>>) -> Result<()> {
    for (data, methods) in asked {
        for method in methods {
            method.values()?;
            for _ in 0..ROUNDS / 2 {
                let start = Instant::now();
                method.values()?;
                times.entry((*data, method.name)).or_default().push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    Ok(())
}

/// A model that counts the rows that go through it.
#[derive(Clone)]
struct Counted<M> {
    model: M,
    rows: Arc<AtomicUsize>,
}

impl<M: Model> Model for Counted<M> {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        self.rows.fetch_add(input.batch_size()?, Ordering::Relaxed);
        self.model.forward(input, layers)
    }

    fn known_operations(&self) -> Option<usize> {
        self.model.known_operations()
    }
}

/// The Titanic walkthrough's test rows.
struct Rows {
    source: String,
    features: Tensor,
    /// What GradientShap draws from.
    train: Tensor,
    net: Counted<Sequential>,
    /// The network without its softmax, which LRP explains.
    logits: Counted<Sequential>,
}

impl Rows {
    fn load(root: &Path) -> Result<Self> {
        let passengers = Titanic::load()?;
        let (train, test) = passengers.split(Split::Tutorial)?;
        let weights = root.join("data/titanic.safetensors");
        let net = Titanic::network(Seed(1))?;
        let logits = Sequential::builder(12)
            .linear("linear1", 12)
            .sigmoid("sigmoid1")
            .linear("linear2", 8)
            .sigmoid("sigmoid2")
            .linear("linear3", 2)
            .build(Seed(1))?;
        net.load(&weights)?;
        logits.load(&weights)?;
        let rows = Arc::new(AtomicUsize::new(0));
        Ok(Self {
            source: passengers.source().to_string(),
            features: test.features().first().clone(),
            train: train.features().first().narrow(0, 0, 100)?,
            net: Counted { model: net, rows: rows.clone() },
            logits: Counted { model: logits, rows },
        })
    }

    fn methods(&self) -> Result<Vec<Asked<'_>>> {
        let asked = |name, estimates, method: Box<dyn Attribute>| Asked {
            name,
            estimates,
            evaluated: self.net.rows.clone(),
            parts: vec![Box::new(move || {
                Ok(method.attribute_to(&(&self.features).into(), &Target::Class(TARGET))?.tensor().clone())
            })],
        };
        let train = Baseline::distribution(&self.train);
        Ok(vec![
            asked("KernelShap", true, Box::new(KernelShap::new(&self.net).n_samples(COALITIONS))),
            asked("ShapleyValueSampling", true, Box::new(ShapleyValueSampling::new(&self.net).n_samples(ORDERS))),
            asked("FeatureAblation", false, Box::new(FeatureAblation::new(&self.net))),
            asked("Occlusion", false, Box::new(Occlusion::new(&self.net, [1]))),
            asked("DeepLift", false, Box::new(DeepLift::new(&self.net))),
            asked("GradientShap", false, Box::new(GradientShap::new(&self.net).baseline(train).n_samples(POINTS))),
            asked("LRP", false, Box::new(LRP::new(&self.logits))),
        ])
    }

    fn exact(&self) -> Result<Vec<Tensor>> {
        Ok(vec![ShapleyValues::new(&self.net).attribute(&self.features, TARGET)?.tensor().clone()])
    }
}

/// Comments, with the words as features that padding takes the place of.
struct Texts {
    inputs: Vec<TextInput>,
    model: Counted<TextClassifier>,
}

impl Texts {
    fn load(root: &Path) -> Outcome<Self> {
        let model = TextClassifier::from_pretrained(root.join("data/sentiment-vi").to_string_lossy())?;
        let comments = Comments::load(root.join("data/comments.csv"))?;
        let short = comments.rows().iter().filter(|comment| comment.text.split(' ').count() <= MOST_WORDS);
        let inputs = short.take(TEXTS).map(|comment| model.tokenize(comment)).collect::<Result<_>>()?;
        Ok(Self { inputs, model: Counted { model, rows: Arc::default() } })
    }

    fn methods(&self) -> Result<Vec<Asked<'_>>> {
        Ok(vec![
            self.asked("KernelShap", true, |input| self.of_words("KernelShap", Some(COALITIONS), input)),
            self.asked("ShapleyValueSampling", true, |input| {
                self.of_words("ShapleyValueSampling", Some(ORDERS), input)
            }),
            self.asked("FeatureAblation", false, |input| self.of_words("FeatureAblation", None, input)),
            self.asked("Occlusion", false, |input| {
                let present = WithoutWords::new(self.model.clone(), input)?;
                Ok(Occlusion::new(&present, [WINDOW]).attribute(&present.all()?, TARGET)?.tensor().clone())
            }),
            self.asked("DeepLift", false, |input| {
                of_tokens(&LayerDeepLift::new(&self.model, "embeddings").baseline(input.reference()?), input)
            }),
            self.asked("GradientShap", false, |input| {
                let method =
                    LayerGradientShap::new(&self.model, "embeddings").baseline(input.reference()?).n_samples(POINTS);
                of_tokens(&method, input)
            }),
            self.asked("LRP", false, |input| of_tokens(&LayerLRP::new(&self.model, "embeddings"), input)),
        ])
    }

    fn asked<'a>(
        &'a self,
        name: &'static str,
        estimates: bool,
        attribute: impl Fn(&'a TextInput) -> Result<Tensor> + Copy + 'a,
    ) -> Asked<'a> {
        let part =
            |input: &'a TextInput| -> Box<dyn Fn() -> Result<Tensor> + 'a> { Box::new(move || attribute(input)) };
        Asked { name, estimates, evaluated: self.model.rows.clone(), parts: self.inputs.iter().map(part).collect() }
    }

    /// The numbers of a text's words by a method that puts words to padding.
    fn of_words(&self, method: &str, n_samples: Option<usize>, input: &TextInput) -> Result<Tensor> {
        let info = METHODS.iter().find(|info| info.name == method);
        let info = info.ok_or_else(|| error!(Input, "there is no method {method}"))?;
        let options = Options {
            n_samples,
            baseline: Some(input.reference()?.into()),
            feature_mask: Some(input.word_mask()?),
            ..Options::default()
        };
        let method = (info.build)(Arc::new(self.model.clone()), &options)?;
        let tokens = method.attribute(input, TARGET)?.tensor().clone();
        let words = words(input);
        let last = words.iter().copied().max().unwrap_or(-1);
        let first = (0..=last).filter_map(|word| words.iter().position(|of| *of == word));
        let first: Vec<u32> = first.map(|position| position as u32).collect();
        Ok(tokens.index_select(&Tensor::new(first, tokens.device())?, 1)?)
    }

    fn exact(&self) -> Result<Vec<Tensor>> {
        self.inputs.iter().map(|input| self.of_words("ShapleyValues", None, input)).collect()
    }
}

/// From which words are there, `[rows, words]`, to the probabilities of the text without the others.
#[derive(Clone)]
struct WithoutWords {
    model: Counted<TextClassifier>,
    ids: Tensor,
    padding: Tensor,
    /// The column of each token; special ones have the last, which is always there.
    columns: Tensor,
    words: usize,
}

impl WithoutWords {
    fn new(model: Counted<TextClassifier>, input: &TextInput) -> Result<Self> {
        let words = words(input);
        let count = words.iter().copied().max().map_or(0, |last| last + 1);
        let columns: Vec<i64> = words.iter().map(|word| if *word < 0 { count } else { *word }).collect();
        let columns = Tensor::new(columns, input.ids().device())?;
        let padding = input.reference()?.ids().clone();
        Ok(Self { model, ids: input.ids().clone(), padding, columns, words: count as usize })
    }

    fn all(&self) -> Result<Tensor> {
        Ok(Tensor::ones((1, self.words), DType::F32, self.ids.device())?)
    }
}

impl Model for WithoutWords {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        let present = input.first();
        let special = Tensor::ones((present.dims()[0], 1), present.dtype(), present.device())?;
        let kept = Tensor::cat(&[present, &special], 1)?.index_select(&self.columns, 1)?.gt(0.5)?;
        let (ids, padding) = (self.ids.broadcast_as(kept.shape())?, self.padding.broadcast_as(kept.shape())?);
        self.model.forward(&Inputs::from(kept.where_cond(&ids, &padding)?), layers)
    }
}

/// The numbers of a text's tokens, from those of a layer.
fn of_tokens(method: &dyn Attribute, input: &TextInput) -> Result<Tensor> {
    Ok(method.attribute_to(&input.into(), &Target::Class(TARGET))?.tensor().sum(2)?)
}

/// Which word each token is of; -1 for special ones.
fn words(input: &TextInput) -> Vec<i64> {
    let mut before = None;
    let mut word = -1;
    let of = |token: &candle_explain::text::Token| {
        if !token.special && before != Some(token.word) {
            before = Some(token.word);
            word += 1;
        }
        if token.special { -1 } else { word }
    };
    input.texts().iter().flat_map(|text| &text.tokens).map(of).collect()
}

/// Captum and shap, in a process of their own.
struct Peers {
    python: String,
    root: PathBuf,
    job: Value,
}

impl Peers {
    /// The lines that they print, and their attributions.
    fn run(&self) -> Outcome<(Vec<Value>, HashMap<String, Tensor>)> {
        let mut child = Command::new(&self.python)
            .arg(self.root.join("benches/methods.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        child.stdin.take().ok_or("no input")?.write_all(self.job.to_string().as_bytes())?;
        let done = child.wait_with_output()?;
        if !done.status.success() {
            return Err("the other side failed".into());
        }
        let lines =
            String::from_utf8(done.stdout)?.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?;
        Ok((lines, safetensors::load(out(), &Device::Cpu)?))
    }
}

fn out() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("attributions.safetensors")
}

fn job(root: &Path, rows: &Rows, texts: &Texts) -> Outcome<Value> {
    let features = Path::new(env!("CARGO_TARGET_TMPDIR")).join("features.safetensors");
    let tensors = HashMap::from([("features", rows.features.clone()), ("baselines", rows.train.clone())]);
    safetensors::save(&tensors, &features)?;
    let text = |input: &TextInput| -> Result<Value> {
        let ids = |input: &TextInput| input.ids().flatten_all()?.to_vec1::<u32>();
        Ok(json!({"ids": ids(input)?, "words": words(input), "baseline": ids(&input.reference()?)?}))
    };
    let texts = texts.inputs.iter().map(text).collect::<Result<Vec<_>>>()?;
    let samples =
        json!({"target": TARGET, "kernel_shap": COALITIONS, "shapley_value_sampling": ORDERS, "gradient_shap": POINTS});
    let with = |mut own: Value| {
        own.as_object_mut().into_iter().for_each(|own| own.extend(samples.as_object().cloned().unwrap_or_default()));
        own
    };
    Ok(json!({
        "out": out(),
        "rounds": ROUNDS,
        "titanic": with(json!({"weights": root.join("data/titanic.safetensors"), "features": features})),
        "text": with(json!({"folder": root.join("data/sentiment-vi"), "texts": texts, "window": WINDOW})),
    }))
}

/// The attributions of one method of the other side, a tensor for each part.
fn found(attributions: &HashMap<String, Tensor>, name: &str) -> Outcome<Vec<Tensor>> {
    if let Some(only) = attributions.get(name) {
        return Ok(vec![only.clone()]);
    }
    let parts = (0..).map_while(|index| attributions.get(&format!("{name}/{index}")).cloned());
    Ok(parts.collect())
}

/// The largest difference, as a share of the largest of the second.
fn apart(these: &[Tensor], those: &[Tensor]) -> Outcome<f64> {
    let numbers = |tensors: &[Tensor]| -> Result<Vec<f64>> {
        tensors
            .iter()
            .map(|tensor| tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>())
            .collect::<candle_explain::candle_core::Result<Vec<_>>>()
            .map(|all| all.concat())
            .map_err(Into::into)
    };
    let (these, those) = (numbers(these)?, numbers(those)?);
    if these.len() != those.len() {
        return Err(format!("{} numbers here, {} there", these.len(), those.len()).into());
    }
    let largest = those.iter().fold(0f64, |largest, value| largest.max(value.abs()));
    let apart = these.iter().zip(&those).map(|(one, other)| (one - other).abs()).fold(0., f64::max);
    Ok(apart / largest)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    0.5 * (times[(times.len() - 1) / 2] + times[times.len() / 2])
}
