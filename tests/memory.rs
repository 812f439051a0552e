//! What every method holds at its peak: the bytes that are allocated, counted one by one.
//!
//! `cargo test --release --test memory -- --nocapture` shows the tables; with `CANDLE_EXPLAIN_STEPS=500` for so many
//! steps, in some minutes. `docs/measurements.md` has that of 512 rows.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_explain::attr::METHODS;
use candle_explain::engine::{Cost, MethodInfo, Options, Requirement};
use candle_explain::nn::Operation;
use candle_explain::prelude::*;

const FEATURES: usize = 1_000_000;
const MEGABYTE: usize = 1_000_000;

/// The system's allocator with a count of what is held.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(held, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The bytes are those of the whole process: one test at a time.
fn turn() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The most that a call held beyond what was held before it, in megabytes, and what it keeps, which is its result.
fn peak_of<T>(call: impl FnOnce() -> T) -> (usize, usize) {
    let before = HELD.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = call();
    let (peak, kept) = (PEAK.load(Ordering::Relaxed), HELD.load(Ordering::Relaxed));
    drop(result);
    (peak.saturating_sub(before) / MEGABYTE, kept.saturating_sub(before) / MEGABYTE)
}

/// x² as a block, for methods that need one.
#[derive(Clone)]
struct Square;

impl Block for Square {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok(inputs[0].sqr()?)
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Elementwise
    }
}

/// x · scale + shift as a block.
#[derive(Clone)]
struct Affine {
    scale: f64,
    shift: f64,
}

impl Block for Affine {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok(inputs[0].affine(self.scale, self.shift)?)
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Affine
    }
}

/// Whether the method follows rules, which blocks must ask for.
fn follows_rules(info: &MethodInfo) -> bool {
    info.requires(Requirement::Blocks)
}

/// x², as a block if the method follows rules.
fn square(info: &MethodInfo) -> impl Fn(&mut Layers, &Tensor) -> Result<Tensor> + use<> {
    let by_rule = follows_rules(info);
    move |layers, x| if by_rule { layers.run(&Square, x) } else { Ok(x.sqr()?) }
}

/// x · scale + shift, as a block if the method follows rules.
fn affine(info: &MethodInfo, scale: f64, shift: f64) -> impl Fn(&mut Layers, &Tensor) -> Result<Tensor> + use<> {
    let block = follows_rules(info).then_some(Affine { scale, shift });
    move |layers, x| match &block {
        Some(block) => layers.run(block, x),
        None => Ok(x.affine(scale, shift)?),
    }
}

/// A ReLU for methods that are about ReLUs.
fn rectified(info: &MethodInfo) -> impl Fn(&mut Layers, Tensor) -> Result<Tensor> + use<> {
    let rectifies = info.requires(Requirement::Relus);
    move |layers, x| if rectifies { layers.run(&Activation::Relu, &x) } else { Ok(x) }
}

/// F = mean h², h = x + 1.
fn squares(info: &MethodInfo) -> Arc<dyn Model> {
    let (affine, square, rectified) = (affine(info, 1., 1.), square(info), rectified(info));
    from_fn(move |input, layers| {
        let hidden = affine(layers, input.first())?;
        let hidden = rectified(layers, hidden)?;
        let hidden = layers.visit("hidden", hidden)?;
        Ok(square(layers, &hidden)?.mean(1)?)
    })
}

/// More of candle's own operations, each of which keeps what its backward needs.
fn composed(info: &MethodInfo) -> Arc<dyn Model> {
    let (affine, square, rectified) = (affine(info, 1., 1.), square(info), rectified(info));
    from_fn(move |input, layers| {
        let hidden = affine(layers, input.first())?;
        let hidden = rectified(layers, hidden)?;
        let hidden = layers.visit("hidden", hidden)?;
        let weights = candle_nn::ops::softmax(&hidden.tanh()?, 1)?;
        let mixed = ((&hidden * &weights)? + hidden.gelu()?)?;
        Ok(square(layers, &mixed)?.mean(1)?)
    })
}

/// Rows of a million numbers, f32: 4 megabytes each.
fn numbers(rows: usize) -> Tensor {
    numbers_of(rows, FEATURES)
}

fn numbers_of(rows: usize, width: usize) -> Tensor {
    let values: Vec<f32> = (0..rows * width).map(|i| (i as f32 * 0.37).sin()).collect();
    Tensor::from_vec(values, (rows, width), &Device::Cpu).unwrap()
}

/// As many features as this, of as many columns each.
fn groups(width: usize, features: u32) -> FeatureMask {
    let ids = (0..width as u32).map(|column| column / (width as u32).div_ceil(features)).collect();
    FeatureMask::from(Tensor::from_vec(ids, (1, width), &Device::Cpu).unwrap())
}

fn options(info: &MethodInfo, steps: usize, width: usize) -> Options {
    let mut options = Options::default();
    let takes_groups = info.takes("feature_mask") && !info.takes("sliding_window_shapes");
    if takes_groups {
        // All sets of features may be taken.
        let features = if [Cost::PerCoalition, Cost::PerSample].contains(&info.cost) { 2 } else { 10 };
        options.feature_mask = Some(groups(width, features));
    }
    if info.takes("sliding_window_shapes") {
        options.sliding_window_shapes = Some(Sizes::from(width / 10));
        options.strides = Some(Sizes::from(width / 20));
    }
    if info.takes("layer") {
        options.layers = vec!["hidden".to_string()];
    }
    if info.takes("neuron") {
        options.neuron = Some(Neuron::from(2));
    }
    if info.takes("n_steps") {
        options.n_steps = Some(steps);
    }
    if info.takes("n_samples") {
        options.n_samples = Some(steps);
    }
    if info.needs("baseline") {
        options.baseline = Some(Baseline::distribution(&Tensor::zeros((1, width), DType::F32, &Device::Cpu).unwrap()));
    }
    if info.takes("method") {
        options.method = Some("InputXGradient".to_string());
    }
    options
}

fn peak(info: &MethodInfo, model: Arc<dyn Model>, options: &Options, inputs: &Tensor) -> (usize, usize) {
    let method = (info.build)(model, options).unwrap();
    let inputs = Inputs::from(inputs);
    peak_of(|| method.attribute_to(&inputs, &Target::None).unwrap())
}

/// How many steps or samples methods take: `CANDLE_EXPLAIN_STEPS`, or these.
fn steps_or(usual: usize) -> usize {
    std::env::var("CANDLE_EXPLAIN_STEPS").map_or(usual, |steps| steps.parse().unwrap())
}

/// The most that a method may hold beside the inputs: 45 rows of these.
const MOST: usize = 180;
/// The same for a method whose passes take each example beside its baseline, and follow rules: four rows where others
/// take two, in the pass that finds out what a row takes.
const MOST_OF_PAIRS: usize = 320;
/// The same for a tunnel, which keeps rows of noise and four moments beside what its method holds.
const MOST_OF_NOISE: usize = 400;
/// The same for a model that keeps a dozen rows for its backward.
const MOST_COMPOSED: usize = 400;
/// The same to a tolerance, whose estimates have a budget of their own of 256 MiB.
const MOST_TO_A_TOLERANCE: usize = 600;
/// The same by rules: a row and what it is compared with.
const MOST_COMPOSED_BY_RULES: usize = 440;
/// A result: one row.
const RESULT: usize = 4;

#[test]
fn no_method_holds_more_for_more_steps_or_baselines() {
    let _turn = turn();
    let steps = steps_or(50);
    let baselines = numbers(100);
    println!("{:26} {:>6} steps, 100 baselines, candle's operations, kept: megabytes", "", steps);
    for info in METHODS {
        let row = numbers(rows_for(info));
        let mut spread = options(info, steps.div_ceil(100).max(2), FEATURES);
        if info.takes("baseline") {
            spread.baseline = Some(Baseline::distribution(&baselines));
        }
        let (long, kept) = peak(info, squares(info), &options(info, steps, FEATURES), &row);
        let (many, kept_of_many) = peak(info, squares(info), &spread, &row);
        let (rich, kept_of_rich) = peak(info, composed(info), &options(info, steps.div_ceil(10), FEATURES), &row);
        println!("{:26} {long:6} {many:20} {rich:20} {kept:6}", info.name);
        let most = match info.name {
            "NoiseTunnel" => MOST_OF_NOISE,
            _ if info.requires(Requirement::Blocks) && info.takes("baseline") => MOST_OF_PAIRS,
            _ => MOST,
        };
        assert!(long <= most, "{}, {steps} steps: {long} megabytes", info.name);
        assert!(many <= most, "{}, 100 baselines: {many} megabytes", info.name);
        let most = if follows_rules(info) { MOST_COMPOSED_BY_RULES } else { MOST_COMPOSED };
        assert!(rich <= most, "{}, candle's operations: {rich} megabytes", info.name);
        for kept in [kept, kept_of_many, kept_of_rich] {
            assert!(kept <= rows_for(info) * result_of(info), "{} keeps {kept} megabytes", info.name);
        }
    }
}

/// The rows of the table in `docs/measurements.md`, and the numbers in each: 2 megabytes together.
const ROWS: usize = 512;
const WIDTH: usize = 1_000;
/// What running passes may hold together by default: 256 MiB.
const BUDGET: usize = 268;

#[test]
fn a_table_with_many_steps_stays_within_the_budget() {
    let _turn = turn();
    let steps = steps_or(10);
    let table = numbers_of(ROWS, WIDTH);
    println!("| Method | Steps or samples | Peak, MB | Budget, MB |");
    println!("|---|--:|--:|--:|");
    for info in METHODS {
        let mut options = options(info, steps, WIDTH);
        if options.feature_mask.is_some() {
            // They have more coalitions than are drawn.
            options.feature_mask = Some(groups(WIDTH, (2 * steps).ilog2() + 1));
        }
        if info.needs("baseline") {
            options.baseline = Some(Baseline::distribution(&table.narrow(0, 0, steps.min(ROWS)).unwrap()));
        }
        let taken = info.takes("n_steps") || info.takes("n_samples") || info.needs("baseline");
        let (most, _) = peak(info, composed(info), &options, &table);
        let steps = if taken { steps.to_string() } else { String::new() };
        println!("| {} | {steps} | {most} | {BUDGET} |", info.name);
        assert!(most <= BUDGET, "{}: {most} megabytes", info.name);
    }
}

#[test]
fn as_many_exact_values_as_there_can_be_stay_within_the_budget() {
    let _turn = turn();
    let squares = from_fn(|input, _| Ok(input.first().sqr()?.mean(1)?));
    let inputs = Inputs::from(&numbers_of(ROWS, 16));
    let (most, _) = peak_of(|| ShapleyValues::new(squares).attribute(&inputs, Target::None).unwrap());
    println!("ShapleyValues of 16 features, {ROWS} rows: {most} megabytes");
    assert!(most <= BUDGET, "{most} megabytes");
}

/// Samples, and means over baselines, have standard errors as well.
fn result_of(info: &MethodInfo) -> usize {
    if info.cost == Cost::PerSample || info.requires(Requirement::Distribution) { 2 * RESULT } else { RESULT }
}

/// A permutation takes two rows.
fn rows_for(info: &MethodInfo) -> usize {
    if info.requires(Requirement::SeveralRows) { 2 } else { 1 }
}

/// F = mean of steps, each at another point of the path.
fn steep() -> Arc<dyn Model> {
    from_fn(|input, layers| {
        let hidden = layers.visit("hidden", input.first().affine(1., 1.)?)?;
        Ok(candle_nn::ops::sigmoid(&hidden.affine(1e3, -1.3e3)?)?.mean(1)?)
    })
}

#[test]
fn a_tolerance_keeps_its_estimates_in_the_budget() {
    let _turn = turn();
    let row = numbers(1);
    for info in METHODS.iter().filter(|info| info.takes("tolerance")) {
        let options = Options {
            n_steps: None,
            n_samples: None,
            tolerance: Some(1e-9),
            max_steps: info.takes("max_steps").then_some(200),
            max_samples: info.takes("max_samples").then_some(100),
            ..options(info, 1, FEATURES)
        };
        let (most, kept) = peak(info, steep(), &options, &row);
        println!("{:26} {most:6} {kept:6}", info.name);
        assert!(most <= MOST_TO_A_TOLERANCE, "{}: {most} megabytes", info.name);
        assert!(kept <= result_of(info), "{} keeps {kept} megabytes", info.name);
    }
}

#[test]
fn results_and_predictions_hold_no_graph() {
    let _turn = turn();
    let deep = |info| {
        let (affine, square, rectified) = (affine(info, 0.5, 0.5), square(info), rectified(info));
        from_fn(move |input, layers| {
            let active = affine(layers, input.first())?;
            let active = rectified(layers, active)?;
            let mut x = layers.visit("hidden", active)?;
            for _ in 0..20 {
                x = square(layers, &x)?;
            }
            Ok(x.sum(1)?)
        })
    };
    let weights = Var::from_tensor(&Tensor::ones((30, 100_000), DType::F32, &Device::Cpu).unwrap()).unwrap();
    let x = weights.as_tensor();
    for info in METHODS {
        // Noise would make this model's output infinite.
        let stdevs = info.takes("method").then_some(Stdevs::All(0.));
        let options = options(info, 5, 100_000);
        let options = Options { stdevs: stdevs.or(options.stdevs.clone()), ..options };
        let method = (info.build)(deep(info), &options).unwrap();
        let rows = rows_for(info);
        let of = |row: usize| {
            let input = Inputs::from(&x.narrow(0, row - row % rows, rows).unwrap());
            method.attribute_to(&input, &Target::None).unwrap()
        };
        let (_, kept) = peak_of(|| (0..30).map(of).collect::<Vec<_>>());
        assert!(
            kept * RESULT <= 13 * rows * result_of(info),
            "30 results of {}, each of 0.4 megabytes, hold {kept}",
            info.name
        );
    }
}
