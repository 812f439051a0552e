//! A tolerance: how many points a path takes, and what the estimates of its errors are worth on functions made to mislead.

use std::sync::{Arc, Mutex};

use crate::plain::{numbers, tensor};
use candle_explain::prelude::*;

const WIDTH: usize = 6;
const EXAMPLES: usize = 300;

/// What is added to a smooth derivative of F.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    /// 1 / cosh².
    Peak,
    /// |x|.
    Kink,
    /// The sign of x.
    Jump,
    /// sin x.
    Oscillation,
}

impl Trouble {
    const ALL: [Self; 4] = [Self::Peak, Self::Kink, Self::Jump, Self::Oscillation];

    /// Its integral over y, where y = (x − centre) / width, times the width.
    fn integral(self, y: &Tensor, width: &Tensor) -> Result<Tensor> {
        let over_y = match self {
            Self::Peak => y.tanh()?,
            Self::Kink => ((y.abs()? * y)? * 0.5)?,
            Self::Jump => y.abs()?,
            Self::Oscillation => y.cos()?.neg()?,
        };
        Ok((over_y * width)?)
    }

    /// Between which powers of 10 its width is drawn.
    fn widths(self) -> (f64, f64) {
        match self {
            Self::Peak => (-3., -0.3),
            Self::Kink | Self::Jump => (0., 0.),
            Self::Oscillation => (-2., 0.5),
        }
    }
}

/// F = Σ Aᵢ(xᵢ), of a smooth part and of trouble in one input; where it cancels, of its opposite in the next input too.
fn model(trouble: Trouble) -> Arc<dyn Model> {
    from_fn(move |input, layers| {
        let x = input.first();
        let parameter = |index: usize| Ok::<_, Error>(input.arg(0)?.narrow(2, index, 1)?.squeeze(2)?);
        let frequency = parameter(1)?;
        let smooth = ((x * &frequency)? + parameter(2)?)?.sin()?;
        let smooth = (parameter(0)? * smooth)?;
        let width = parameter(5)?;
        let y = ((x - parameter(4)?)? / &width)?;
        let rough = (parameter(3)? * trouble.integral(&y, &width)?)?;
        layers.visit("columns", (smooth + rough)?)
    })
}

/// Examples from 0 to 1 in every input, each of another function.
fn examples(trouble: Trouble, cancels: bool) -> Inputs {
    let mut draw = numbers(91).map(|number| (number + 1.5) / 3.);
    let mut of = |low: f64, high: f64| low + (high - low) * draw.next().unwrap();
    let mut parameters = Vec::new();
    for _ in 0..EXAMPLES {
        let mut columns: Vec<[f64; 6]> =
            (0..WIDTH).map(|_| [of(-1., 1.), of(0.1, 4.), of(0., 6.), 0., 0., 1.]).collect();
        let (low, high) = trouble.widths();
        let sign = if of(0., 1.) < 0.5 { -1. } else { 1. };
        let own = [sign * 10f64.powf(of(-1., 0.5)), of(0., 1.), 10f64.powf(of(low, high))];
        columns[0][3..].copy_from_slice(&own);
        if cancels {
            columns[1][3..].copy_from_slice(&own);
            columns[1][3] *= -1.;
        }
        parameters.extend(columns.concat());
    }
    let parameters = Tensor::from_vec(parameters, (EXAMPLES, WIDTH, 6), &Device::Cpu).unwrap();
    Inputs::from(&Tensor::ones((EXAMPLES, WIDTH), DType::F64, &Device::Cpu).unwrap()).with_args([parameters])
}

/// The exact attributions of each example.
fn exact(trouble: Trouble, inputs: &Inputs) -> Vec<Vec<f64>> {
    let at = |x: &Tensor| {
        let inputs = Inputs::from(x).with_args(inputs.args().to_vec());
        model(trouble).predict(&inputs).unwrap()
    };
    (at(inputs.first()) - at(&inputs.first().zeros_like().unwrap())).unwrap().to_vec2().unwrap()
}

struct Found {
    steps: f64,
    /// Of all examples, the share whose error is at most so many times its estimate.
    within: [f64; 3],
    /// The share whose error is beyond the tolerance although they settled.
    wrong: f64,
}

fn find(trouble: Trouble, cancels: bool, tolerance: f64) -> Found {
    let inputs = examples(trouble, cancels);
    let summed = from_fn(move |input, layers| Ok(model(trouble).forward(input, layers)?.sum(1)?));
    let method = IntegratedGradients::new(&summed).gradient_check(Check::Off).tolerance(tolerance).max_steps(20_000);
    let result = method.attribute_to(&inputs, &Target::None).unwrap();
    let found = result.tensor().to_vec2::<f64>().unwrap();
    let (estimates, settled) = (result.error_estimates().unwrap(), result.settled().unwrap());
    assert!(settled.iter().all(|settled| *settled), "{trouble:?}, {tolerance}: {:?}", result.remarks());
    let mut within = [0; 3];
    let mut wrong = 0;
    for ((found, exact), estimate) in found.iter().zip(exact(trouble, &inputs)).zip(estimates) {
        let apart = found.iter().zip(&exact).map(|(one, other)| (one - other).abs()).fold(0., f64::max);
        let delta = (found.iter().sum::<f64>() - exact.iter().sum::<f64>()).abs();
        let error = apart.max(delta);
        for (count, factor) in within.iter_mut().zip([1., 3., 10.]) {
            *count += usize::from(error <= factor * estimate + 1e-13);
        }
        wrong += usize::from(error > tolerance * exact.iter().sum::<f64>().abs().max(1.));
    }
    let share = |count: usize| count as f64 / EXAMPLES as f64;
    Found {
        steps: result.steps().iter().sum::<usize>() as f64 / EXAMPLES as f64,
        within: within.map(share),
        wrong: share(wrong),
    }
}

#[test]
fn where_the_sum_tells_of_trouble_the_estimate_bounds_the_error() {
    for trouble in Trouble::ALL {
        for tolerance in [1e-2, 1e-3, 1e-5] {
            let found = find(trouble, false, tolerance);
            println!(
                "{trouble:?} {tolerance:e}: {} steps, within {:?}, wrong {}",
                found.steps, found.within, found.wrong
            );
            assert_eq!(found.wrong, 0., "{trouble:?} to {tolerance}");
            assert_eq!(found.within, [1.; 3], "{trouble:?} to {tolerance}");
        }
    }
}

#[test]
fn trouble_that_cancels_in_the_sum_is_mostly_found() {
    // Of the examples whose error is at most three times the estimate. A peak may be narrower than any gap.
    for (trouble, share) in Trouble::ALL.into_iter().zip([0.55, 0.75, 0.93, 0.95]) {
        for tolerance in [1e-2, 1e-3, 1e-5] {
            let found = find(trouble, true, tolerance);
            assert!(found.within[1] >= share, "{trouble:?} to {tolerance}: {:?}", found.within);
            assert!(found.wrong <= 1. - share, "{trouble:?} to {tolerance}: {} wrong", found.wrong);
            println!(
                "{trouble:?} {tolerance:e}: {} steps, within {:?}, wrong {}",
                found.steps, found.within, found.wrong
            );
        }
    }
}

/// Notes the rows of each pass.
struct Noted {
    model: Arc<dyn Model>,
    passes: Mutex<Vec<usize>>,
}

impl Model for Noted {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        self.passes.lock().unwrap().push(input.batch_size()?);
        self.model.forward(input, layers)
    }
}

fn noted(model: Arc<dyn Model>) -> Arc<Noted> {
    Arc::new(Noted { model, passes: Mutex::default() })
}

/// F = Σ sin(k x), the larger k the more points it takes.
fn waves() -> Arc<dyn Model> {
    from_fn(|input, layers| {
        let hidden = layers.visit("hidden", input.first().affine(1., 0.)?)?;
        Ok(hidden.sin()?.sum(1)?)
    })
}

#[test]
fn points_of_one_rule_are_those_of_the_next() {
    for (end, tolerance, steps) in [(1., 1e-3, 7), (1., 1e-8, 15), (3., 1e-6, 15), (6., 1e-9, 31)] {
        let model = noted(waves());
        let method = IntegratedGradients::new(model.clone()).gradient_check(Check::Off).tolerance(tolerance);
        let result = method.attribute(tensor(&[vec![end]]), Target::None).unwrap();
        assert_eq!(result.steps(), [steps], "{end} to {tolerance}");
        // The input, the baseline.
        assert_eq!(model.passes.lock().unwrap().iter().sum::<usize>(), 2 + steps, "{end} to {tolerance}");
        assert!((result.tensor().to_vec2::<f64>().unwrap()[0][0] - f64::sin(end)).abs() <= tolerance);
    }
}

#[test]
fn f_at_the_start_of_a_layers_line_comes_with_its_first_points() {
    let model = noted(waves());
    let method = LayerIntegratedGradients::new(model.clone(), "hidden").gradient_check(Check::Off).tolerance(1e-2);
    let result = method.attribute(tensor(&[vec![1.]]), Target::None).unwrap();
    assert_eq!(result.steps(), [8]);
    assert_eq!(model.passes.lock().unwrap().last(), Some(&8));
}

#[test]
fn what_has_settled_leaves_the_batch_and_the_others_fill_the_passes() {
    // Every fourth takes many points.
    let ends: Vec<Vec<f64>> = (0..40).map(|row| vec![if row % 4 == 0 { 60. } else { 0.5 }]).collect();
    let model = noted(waves());
    let method = IntegratedGradients::new(model.clone()).gradient_check(Check::Off).tolerance(1e-4);
    let alone: Vec<usize> = ends
        .iter()
        .map(|end| method.attribute(tensor(std::slice::from_ref(end)), Target::None).unwrap().steps()[0])
        .collect();
    model.passes.lock().unwrap().clear();
    let rows = 16;
    let result = method.internal_batch_size(rows).attribute(tensor(&ends), Target::None).unwrap();
    assert_eq!(result.steps(), alone);
    assert!(alone.iter().enumerate().all(|(row, steps)| (*steps == 7) == (row % 4 != 0)), "{alone:?}");
    let passes = model.passes.lock().unwrap().clone();
    let total: usize = alone.iter().sum();
    // The inputs, 16 at a time; their baselines, which are equal and one row of each pass.
    assert_eq!(passes.iter().sum::<usize>(), 40 + 3 + total, "{passes:?}");
    // A round's points are shared evenly by an even number of passes.
    assert!(passes.iter().filter(|rows| **rows >= 12).sum::<usize>() * 10 >= total * 9, "{passes:?}");
}
