//! What training makes sure of before its first epoch: that every parameter gets its gradient.

use candle_explain::candle_nn::{self, Dropout, LayerNorm as CandleLayerNorm};
use candle_explain::model::RobertaShape;
use candle_explain::nn::{LayerNorm, max, max_pool2d, softmax};
use candle_explain::prelude::*;
use candle_explain::{ErrorKind, candle_core};

use crate::plain::numbers;

const FEATURES: usize = 6;
const WIDTH: usize = 8;

/// Rows of which the label tells whether a product of two features is positive.
fn table(rows: usize, dtype: DType) -> Dataset {
    let values: Vec<f64> = numbers(5).take(rows * FEATURES).collect();
    let labels = values.chunks(FEATURES).map(|row| u32::from(row[0] * row[1] > 0.)).collect();
    let features = Tensor::from_vec(values, (rows, FEATURES), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
    Dataset::new(features, (0..FEATURES).map(|index| format!("f{index}")), labels).unwrap()
}

fn tensor(values: Vec<f64>, shape: &[usize], dtype: DType) -> Tensor {
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn linear(seed: u64, inputs: usize, outputs: usize, size: f64, dtype: DType) -> Linear {
    let mut draw = numbers(seed + 1).map(|x| x * size / (inputs as f64).sqrt());
    let weight = tensor(draw.by_ref().take(inputs * outputs).collect(), &[outputs, inputs], dtype);
    Linear::from_weights(&weight, Some(&tensor(draw.take(outputs).collect(), &[outputs], dtype))).unwrap()
}

fn norm(dtype: DType) -> LayerNorm {
    let ones = Tensor::ones(WIDTH, dtype, &Device::Cpu).unwrap();
    LayerNorm::new(&ones, &ones.zeros_like().unwrap(), 1e-5).unwrap()
}

#[track_caller]
fn refused<T>(result: Result<T>, parts: &[&str]) {
    let Err(error) = result else { panic!("no error with {parts:?}") };
    assert_eq!(error.kind(), ErrorKind::Gradient, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{error} does not say {part}");
    }
}

/// Two layers with something between them.
#[derive(Clone)]
struct Sandwich<F> {
    lower: Linear,
    upper: Linear,
    between: F,
}

impl<F: Fn(&Tensor) -> candle_core::Result<Tensor> + Send + Sync> Model for Sandwich<F> {
    fn forward(&self, input: &Inputs, _: &mut Layers) -> Result<Tensor> {
        let hidden = (self.between)(&self.lower.forward(input.first())?)?;
        Ok(self.upper.forward(&hidden)?)
    }

    fn parameters(&self) -> Vec<Var> {
        self.named_parameters().into_iter().map(|(_, var)| var).collect()
    }

    fn named_parameters(&self) -> Vec<(String, Var)> {
        [self.lower.named_parameters("lower"), self.upper.named_parameters("upper")].concat()
    }
}

fn sandwich<F: Fn(&Tensor) -> candle_core::Result<Tensor>>(dtype: DType, between: F) -> Sandwich<F> {
    Sandwich { lower: linear(1, FEATURES, WIDTH, 1., dtype), upper: linear(2, WIDTH, 2, 1., dtype), between }
}

#[test]
fn a_layer_below_candles_layer_norm_is_named() {
    let vars = VarMap::new();
    let builder = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
    let lower = candle_nn::linear(FEATURES, WIDTH, builder.pp("lower")).unwrap();
    let norm = candle_nn::layer_norm(WIDTH, 1e-5, builder.pp("norm")).unwrap();
    let upper = candle_nn::linear(WIDTH, 2, builder.pp("upper")).unwrap();
    let model = from_fn(move |input, _| {
        let hidden = lower.forward(input.first())?.tanh()?;
        Ok(upper.forward(&norm.forward(&hidden)?)?)
    });
    let data = table(40, DType::F32);
    let before = vars.all_vars().iter().map(|var| host(var)).collect::<Vec<_>>();
    let result = Trainer::adam(0.1).fit_parameters(&model, &vars, &data);
    refused(
        result,
        &["\"lower.bias\" [8]", "\"lower.weight\" [8, 6]", "\"norm.weight\" [8]", "the loss depends on it"],
    );
    refused(Trainer::adam(0.1).fit_parameters(&model, vars.all_vars(), &data), &["\"parameter ", "[8, 6]"]);
    assert_eq!(vars.all_vars().iter().map(|var| host(var)).collect::<Vec<_>>(), before);
    let upper = Parameters::from_iter(Parameters::from(&vars).names().into_iter().zip(Parameters::from(&vars).vars()));
    assert_eq!(upper.names()[..3], ["lower.bias", "lower.weight", "norm.bias"]);
}

#[test]
fn a_layer_below_ours_is_trained_with_the_norms_own_weights() {
    let inner = norm(DType::F32);
    let between = inner.clone();
    let model = sandwich(DType::F32, move |x: &Tensor| between.forward(&x.tanh()?));
    let parameters = model.named_parameters().into_iter().chain(inner.named_parameters("norm"));
    let parameters = Parameters::from_iter(parameters);
    let before: Vec<_> = parameters.vars().iter().map(|var| host(var)).collect();
    let history = Trainer::adam(0.05).epochs(200).fit_parameters(&model, parameters.clone(), &table(60, DType::F32));
    assert!(history.unwrap().train_accuracy() > 0.9);
    for ((name, var), before) in parameters.names().iter().zip(parameters.vars()).zip(before) {
        assert!(host(&var).iter().zip(before).all(|(now, before)| *now != before), "{name} did not move");
    }
}

#[test]
fn an_unused_parameter_is_told_from_one_that_is_cut_off() {
    let model = sandwich(DType::F32, |x: &Tensor| x.tanh());
    let data = table(40, DType::F32);
    let spare = Linear::new(2, 2, Seed(1)).unwrap();
    let listed = [model.named_parameters(), spare.named_parameters("spare")].concat();
    let result = Trainer::adam(0.1).fit_parameters(&model, Parameters::from_iter(listed), &data);
    refused(result, &["\"spare.weight\" [2, 2], \"spare.bias\" [2]", "does not depend on it"]);
    let cut = sandwich(DType::F32, |x: &Tensor| x.detach().tanh());
    refused(Trainer::adam(0.1).fit(&cut, &data), &["\"lower.weight\" [8, 6], \"lower.bias\" [8], although"]);
    let frozen = sandwich(DType::F32, |x: &Tensor| x.tanh());
    let (lower, upper) = (frozen.lower.clone(), frozen.upper.clone());
    let part = from_fn(move |input, _| Ok(upper.forward(&lower.forward_frozen(input.first())?.tanh()?)?));
    Trainer::adam(0.1).epochs(3).fit_parameters(&part, frozen.upper.parameters(), &data).unwrap();
    refused(Trainer::adam(0.1).fit_parameters(&part, frozen.parameters(), &data), &["\"parameter 0\" [8, 6]"]);
}

#[test]
fn a_gradient_that_goes_past_an_operation_is_named() {
    let data = table(40, DType::F32);
    let weight = Tensor::ones(WIDTH, DType::F32, &Device::Cpu).unwrap();
    let cut = CandleLayerNorm::new(weight.clone(), weight.zeros_like().unwrap(), 1e-5);
    let mixed = linear(9, WIDTH, WIDTH, 1., DType::F32);
    let residual = move |x: &Tensor| x + mixed.forward_frozen(&cut.forward(x)?)?;
    let wrong = |result| refused(result, &["the gradient is wrong at \"lower.weight\" [8, 6], \"lower.bias\" [8]:"]);
    wrong(Trainer::adam(0.1).fit(&sandwich(DType::F32, residual), &data));
    let soft = |x: &Tensor| x + (candle_nn::ops::softmax_last_dim(x)? * 3.)?;
    wrong(Trainer::adam(0.1).fit(&sandwich(DType::F32, soft), &data));
    let enlarged = |x: &Tensor| {
        let image = x.reshape((x.dim(0)?, 1, 2, 4))?;
        let large = image.upsample_nearest2d(4, 8)?.reshape((x.dim(0)?, 4, WIDTH))?.sum(1)?;
        large + image.affine(10., 0.)?.reshape(x.shape())?
    };
    wrong(Trainer::adam(0.1).fit(&sandwich(DType::F32, enlarged), &data));
    // Copies of one value, of which candle's max gives each the gradient.
    let tied = |x: &Tensor| {
        let twice = Tensor::stack(&[x, x], 2)?;
        twice.max(2)
    };
    wrong(Trainer::adam(0.1).fit(&sandwich(DType::F32, tied), &data));
    let first = |x: &Tensor| max(&Tensor::stack(&[x, x], 2)?, 2);
    Trainer::adam(0.1).epochs(2).fit(&sandwich(DType::F32, first), &data).unwrap();
}

#[test]
fn a_gradient_that_is_no_number_is_named() {
    // The slope of a square root is infinite at 0, where each dead unit is.
    let model = sandwich(DType::F32, |x: &Tensor| x.relu()?.sqrt());
    let result = Trainer::adam(0.1).fit(&model, &table(40, DType::F32));
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFinite);
    assert!(error.to_string().starts_with("the gradient of \"lower.weight\" [8, 6]"), "{error}");
}

#[test]
fn a_gradient_that_differs_on_purpose_is_let_through_when_asked() {
    // Three steps with the slope of a straight line of half their slope.
    let straight_through = |x: &Tensor| (x * 0.5)? + ((x * 3.)?.tanh()? - (x * 0.5)?)?.detach();
    let (model, data) = (sandwich(DType::F32, straight_through), table(40, DType::F32));
    refused(Trainer::adam(0.01).fit(&model, &data), &["gradient_check(Check::Off)"]);
    Trainer::adam(0.01).epochs(2).gradient_check(Check::Off).fit(&model, &data).unwrap();
    let warned = Trainer::adam(0.01).epochs(2).gradient_check(Check::Warn).fit(&model, &data).unwrap();
    assert!(warned.remarks()[0].contains("\"lower.weight\""), "{:?}", warned.remarks());
}

#[test]
fn looking_leaves_the_weights_and_the_course_of_the_training_as_they_were() {
    let data = table(50, DType::F64);
    let losses = |check: Check| {
        let model = sandwich(DType::F64, |x: &Tensor| x.tanh());
        Trainer::adam(0.1).epochs(20).gradient_check(check).fit(&model, &data).unwrap().losses().to_vec()
    };
    assert_eq!(losses(Check::Error), losses(Check::Off));
}

#[test]
fn a_parameter_that_is_listed_twice_takes_one_step() {
    let data = table(50, DType::F64);
    let losses = |twice: bool| {
        let model = sandwich(DType::F64, |x: &Tensor| x.tanh());
        let mut parameters = model.parameters();
        if twice {
            parameters.extend(model.upper.parameters());
        }
        Trainer::adam(0.1).epochs(20).fit_parameters(&model, parameters, &data).unwrap().losses().to_vec()
    };
    assert_eq!(losses(true), losses(false));
}

#[test]
fn dropout_is_no_wrong_gradient() {
    for share in [0.001, 0.01, 0.1, 0.5] {
        for _ in 0..20 {
            let dropout = Dropout::new(share);
            let model = sandwich(DType::F32, move |x: &Tensor| dropout.forward(&x.tanh()?, true));
            Trainer::adam(0.01).epochs(1).fit(&model, &table(40, DType::F32)).unwrap();
        }
    }
}

#[test]
fn a_model_that_takes_all_rows_or_none_is_checked_with_all() {
    let data = table(40, DType::F32);
    let neighbours = tensor(numbers(8).take(1600).collect(), &[40, 40], DType::F32);
    let mix = move |x: &Tensor| (neighbours.matmul(x)? / 40.)?.tanh();
    Trainer::adam(0.01).epochs(2).fit(&sandwich(DType::F32, mix.clone()), &data).unwrap();
    let cut = move |x: &Tensor| x.detach().tanh()? + mix(x)?;
    refused(Trainer::adam(0.01).fit(&sandwich(DType::F32, cut), &data), &["\"lower.weight\""]);
}

#[test]
fn losses_of_half_precision_are_summed_in_f32() {
    // 3000 rows of which each loses ln 2: in half precision the sum would stop growing.
    for dtype in [DType::BF16, DType::F16, DType::F32] {
        let features = Tensor::ones((3000, 1), dtype, &Device::Cpu).unwrap();
        let data = Dataset::new(features, ["x"], (0..3000).map(|row| row % 2).collect()).unwrap();
        let zeros = Tensor::zeros((2, 1), dtype, &Device::Cpu).unwrap();
        let layer = Linear::from_weights(&zeros, None).unwrap();
        let weights = layer.parameters();
        let model = from_fn(move |input, _| Ok(layer.forward(input.first())?));
        let history = Trainer::adam(1e-3).epochs(1).fit_parameters(&model, weights, &data).unwrap();
        let loss = history.losses()[0];
        assert!((loss - std::f64::consts::LN_2).abs() < 1e-6, "{dtype:?}: {loss}");
    }
}

/// The attention's key biases move every logit of a row alike, so their gradient is 0 but for rounding.
#[test]
fn an_encoder_with_parameters_of_no_influence_is_trained() {
    let shape = RobertaShape {
        vocabulary: 20,
        hidden: 8,
        layers: 2,
        heads: 2,
        intermediate: 16,
        tokens: 8,
        labels: vec!["a".to_string(), "b".to_string()],
        segmented_words: false,
    };
    let classifier = SequenceClassifier::untrained(&shape, Seed(1)).unwrap().output(ClassifierOutput::Logits);
    let names: Vec<String> = classifier.named_parameters().into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"roberta.encoder.layer.1.attention.self.key.bias".to_string()), "{names:?}");
    let ids: Vec<u32> = numbers(6).take(20 * 8).map(|x| 4 + ((x + 1.5) * 5.) as u32).collect();
    let labels = ids.chunks(8).map(|row| u32::from(row.contains(&7))).collect();
    let ids = Tensor::from_vec(ids, (20, 8), &Device::Cpu).unwrap();
    let data = Dataset::new(ids, (0..8).map(|token| token.to_string()), labels).unwrap();
    Trainer::adam(0.01).epochs(2).fit(&classifier, &data).unwrap();
}

/// A recurrent network of this many steps, a row of numbers long: h ← tanh(w·h + u·x).
fn recurrent(steps: usize) -> (impl Model, Parameters, Dataset) {
    let one = |value: f32| Var::new(&[[value]], &Device::Cpu).unwrap();
    let (w, u, out) = (one(0.9), one(0.5), linear(3, 1, 2, 1., DType::F32));
    let named = [("w".to_string(), w.clone()), ("u".to_string(), u.clone())];
    let parameters = named.into_iter().chain(out.named_parameters("out")).collect();
    let model = from_fn(move |input, _| {
        let driven = input.first().broadcast_mul(&u)?;
        let mut hidden = driven.narrow(1, 0, 1)?;
        for step in 1..steps {
            hidden = (hidden.broadcast_mul(&w)? + driven.narrow(1, step, 1)?)?.tanh()?;
        }
        Ok(out.forward(&hidden)?)
    });
    let features = tensor(numbers(4).take(2 * steps).collect(), &[2, steps], DType::F32);
    let data = Dataset::new(features, (0..steps).map(|step| step.to_string()), vec![0, 1]).unwrap();
    (model, parameters, data)
}

#[test]
fn deep_graphs_are_trained_from_a_thread_with_a_small_stack() {
    let work = || {
        let (model, parameters, data) = recurrent(20_000);
        let trainer = Trainer::adam(0.01).epochs(2).test_on(&data).gradient_check(Check::Off);
        let history = trainer.fit_parameters(&model, parameters, &data).unwrap();
        assert!(history.losses()[1] < history.losses()[0], "{:?}", history.losses());
        data.accuracy(model).unwrap();

        let (model, parameters, data) = recurrent(300);
        Trainer::adam(0.01).epochs(2).fit_parameters(&model, parameters, &data).unwrap();

        let scale = Var::new(&[0.5f32], &Device::Cpu).unwrap();
        let parameters = Parameters::from_iter([("scale", scale.clone())]);
        let chain = from_fn(move |input, _| {
            let start = input.first().broadcast_mul(&scale)?;
            Ok((0..100_000).try_fold(start, |x, _| x.affine(1., 0.))?)
        });
        let table = table(8, DType::F32);
        let trainer = Trainer::adam(0.01).epochs(2);
        trainer.fit_parameters(&chain, parameters, &table).unwrap();
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(work).unwrap().join().unwrap();
}

fn host(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// A network drawn at random: a layer, parts of many kinds, and a layer that gives the classes.
#[derive(Clone, Debug)]
struct Drawn {
    parts: Vec<(u8, u64)>,
    size: f64,
    zeros: bool,
    dtype: DType,
    /// The part that a gradient goes past, if one is cut.
    cut: Option<usize>,
}

struct Built {
    drawn: Drawn,
    lower: Linear,
    inner: Vec<(Linear, LayerNorm)>,
    upper: Linear,
}

impl Built {
    fn new(drawn: &Drawn) -> Self {
        let layer = |seed, inputs, outputs| linear(seed, inputs, outputs, drawn.size, drawn.dtype);
        let inner = drawn.parts.iter().map(|(_, seed)| {
            let layer = layer(*seed, WIDTH, WIDTH);
            if drawn.zeros {
                let bias = layer.bias().unwrap();
                bias.set(&bias.zeros_like().unwrap()).unwrap();
            }
            (layer, norm(drawn.dtype))
        });
        Self {
            lower: layer(71, FEATURES, WIDTH),
            inner: inner.collect(),
            upper: layer(72, WIDTH, 2),
            drawn: drawn.clone(),
        }
    }

    fn part(&self, index: usize, x: &Tensor) -> candle_core::Result<Tensor> {
        let (layer, norm) = &self.inner[index];
        let dense = layer.forward(x)?;
        let result = match self.drawn.parts[index].0 {
            0 => Activation::Relu.forward(&dense)?,
            1 => Activation::Gelu.forward(&dense)?,
            2 => norm.forward(&dense)?,
            3 => (softmax(&dense, 1)? * 4.)?,
            4 => {
                let pooled = max_pool2d(&dense.reshape(((), 1, 2, 4))?, (1, 2), (1, 2))?.flatten_from(1)?;
                Tensor::cat(&[&pooled, &pooled], 1)?
            }
            5 => Activation::Sigmoid.forward(&(dense * 20.)?)?,
            _ => {
                // Attention over two tokens of four numbers each; the key's bias has no influence.
                let tokens = dense.reshape(((), 2, 4))?;
                let weights = softmax(&tokens.matmul(&tokens.t()?)?, 2)?;
                weights.matmul(&tokens)?.flatten_from(1)?
            }
        };
        if self.drawn.cut == Some(index) { result.detach() + x * 0.7 } else { result + x * 0.7 }
    }
}

impl Model for Built {
    fn forward(&self, input: &Inputs, _: &mut Layers) -> Result<Tensor> {
        let below = self.lower.forward(input.first())?;
        let hidden = (0..self.inner.len()).try_fold(below, |x, index| self.part(index, &x))?;
        Ok(self.upper.forward(&hidden)?)
    }

    fn parameters(&self) -> Vec<Var> {
        self.named_parameters().into_iter().map(|(_, var)| var).collect()
    }

    fn named_parameters(&self) -> Vec<(String, Var)> {
        let mut named = self.lower.named_parameters("lower");
        for (index, (layer, norm)) in self.inner.iter().enumerate() {
            // What stands inside of a cut part gets no gradient at all.
            if self.drawn.cut != Some(index) {
                named.extend(layer.named_parameters(&format!("{index}.dense")));
                if self.drawn.parts[index].0 == 2 {
                    named.extend(norm.named_parameters(&format!("{index}.norm")));
                }
            }
        }
        named.extend(self.upper.named_parameters("upper"));
        named
    }
}

/// The network of a number: one of many kinds, its weights of a size between these, smaller ones as likely.
fn drawn(number: u64, smallest: f64, largest: f64) -> Drawn {
    let mut draw = numbers(number * 7919 + 13).skip(20).map(|x| (x + 1.5) / 3.);
    let mut chance = || draw.next().unwrap();
    let parts = 1 + (chance() * 4.) as usize;
    Drawn {
        parts: (0..parts).map(|_| ((chance() * 7.) as u8, 100 + (chance() * 1e5) as u64)).collect(),
        size: smallest * (largest / smallest).powf(chance()),
        zeros: chance() < 0.5,
        dtype: if chance() < 0.75 { DType::F32 } else { DType::F64 },
        cut: None,
    }
}

#[test]
fn no_right_gradient_is_refused() {
    for number in 0..200 {
        let drawn = drawn(number, 0.05, 30.);
        let dtype = match number % 8 {
            0 => DType::F16,
            1 => DType::BF16,
            _ => drawn.dtype,
        };
        // Half precision ends at 65504.
        let size = if number % 8 < 2 { drawn.size.min(2.) } else { drawn.size };
        let drawn = Drawn { dtype, size, ..drawn };
        let result = Trainer::adam(0.01).epochs(1).fit(&Built::new(&drawn), &table(40, dtype));
        assert!(result.is_ok(), "{drawn:?}: {}", result.unwrap_err());
    }
}

/// By what share a gradient of the lowest weights is off.
fn off(cut: &Built, whole: &Built, data: &Dataset) -> f64 {
    let gradient = |model: &Built| {
        let output = model.forward(&data.features(), &mut Layers::default()).unwrap();
        let labels = Tensor::new(data.labels(), &Device::Cpu).unwrap();
        let loss = candle_nn::loss::cross_entropy(&output, &labels).unwrap();
        host(loss.backward().unwrap().get(model.lower.weight()).unwrap())
    };
    let (cut, whole) = (gradient(cut), gradient(whole));
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    length(&mut cut.iter().zip(&whole).map(|(a, b)| a - b)) / length(&mut whole.iter().copied())
}

#[test]
fn hardly_a_cut_is_missed() {
    let (mut cuts, mut missed) = (0, 0);
    for number in 0..150 {
        let whole = drawn(number, 0.5, 2.);
        let cut = Drawn { cut: Some(number as usize % whole.parts.len()), ..whole.clone() };
        let (built, data) = (Built::new(&cut), table(40, cut.dtype));
        if off(&built, &Built::new(&whole), &data) > 0.3 {
            cuts += 1;
            let result = Trainer::adam(0.01).epochs(1).fit(&built, &data);
            missed += usize::from(!result.is_err_and(|error| error.to_string().contains("the gradient is wrong at")));
        }
    }
    assert!(cuts > 120 && missed * 50 <= cuts, "{missed} of {cuts}");
}
