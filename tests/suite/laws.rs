//! Laws that every method obeys, run over the whole registry, and identities between methods.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::plain::{Plain, rows, tensor};
use crate::subjects::rectifies;
use candle_explain::attr::METHODS;
use candle_explain::engine::{Cost, Family, MethodInfo, Options, Requirement};
use candle_explain::prelude::*;

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn assert_same(a: &Tensor, b: &Tensor, tolerance: f64) {
    assert_eq!(a.dims(), b.dims());
    for (index, (a, b)) in numbers(a).iter().zip(numbers(b)).enumerate() {
        assert!((a - b).abs() <= tolerance, "element {index}: {a} and {b}");
    }
}

/// Settings that suit every method: at "tanh1", neuron 2, for those that have them.
pub fn options(info: &MethodInfo) -> Options {
    let mut options = Options::default();
    if info.takes("layer") {
        options.layers = vec!["tanh1".to_string()];
    }
    if info.takes("neuron") {
        options.neuron = Some(Neuron::from(2));
    }
    if info.needs("baseline") {
        options.baseline = Some(Baseline::distribution(&tensor(&rows(22, 1))));
    }
    if info.takes("method") {
        options.method = Some("InputXGradient".to_string());
    }
    if info.takes("sliding_window_shapes") {
        options.sliding_window_shapes = Some(Sizes::from(3));
    }
    options
}

/// Whether a method takes something from the other rows of a batch, so that it needs at least two and what a row gets
/// depends on them.
pub fn mixes_rows(info: &MethodInfo) -> bool {
    info.requires(Requirement::SeveralRows)
}

/// Whether a method's baseline is one of the inputs; where features of a layer are left out, it is one of the layer.
pub fn takes_baseline_of_inputs(info: &MethodInfo) -> bool {
    info.takes("baseline") && (info.family != Family::Layer || info.requires(Requirement::Gradients))
}

/// A network that suits a method.
pub fn network(info: &MethodInfo, seed: u64) -> Sequential {
    if rectifies(info) { Plain::rectified(seed).sequential() } else { Plain::new(seed).sequential() }
}

fn attribute(info: &MethodInfo, options: &Options, inputs: &Tensor) -> Attributions {
    let method = (info.build)(Arc::new(network(info, 21)), options).unwrap();
    method.attribute_to(&Inputs::from(inputs), &info.target(1)).unwrap()
}

#[test]
fn a_batch_gives_what_its_rows_give_alone() {
    let inputs = tensor(&rows(1, 5));
    for info in METHODS.iter().filter(|info| !mixes_rows(info)) {
        let together = attribute(info, &options(info), &inputs);
        for row in 0..5 {
            let alone = attribute(info, &options(info), &inputs.narrow(0, row, 1).unwrap());
            assert_same(alone.tensor(), &together.tensor().narrow(0, row, 1).unwrap(), 1e-12);
        }
    }
}

#[test]
fn the_size_of_a_pass_changes_no_number() {
    let inputs = tensor(&rows(2, 5));
    for info in METHODS.iter().filter(|info| info.cost == Cost::PerStep) {
        let whole = attribute(info, &options(info), &inputs);
        for rows in [1, 2, 3, 7, 50, 1000] {
            let cut = Options { internal_batch_size: Some(rows), ..options(info) };
            assert_same(attribute(info, &cut, &inputs).tensor(), whole.tensor(), 1e-12);
        }
    }
}

#[test]
fn the_same_call_gives_the_same_bits() {
    let inputs = tensor(&rows(3, 70));
    for info in METHODS {
        let first = numbers(attribute(info, &options(info), &inputs).tensor());
        for _ in 0..3 {
            assert_eq!(numbers(attribute(info, &options(info), &inputs).tensor()), first, "{}", info.name);
        }
    }
}

#[test]
fn a_result_carries_the_output_of_each_example_once() {
    let inputs = tensor(&rows(31, 5));
    for info in METHODS {
        let expected = numbers(&network(info, 21).predict(&inputs).unwrap());
        let mut cases = vec![options(info)];
        if takes_baseline_of_inputs(info) {
            let baseline = Some(Baseline::distribution(&tensor(&rows(32, 7))));
            cases.push(Options { baseline, ..options(info) });
        }
        for options in &cases {
            let result = attribute(info, options, &inputs);
            let Some(output) = result.output() else { continue };
            assert_eq!(output.dims(), [5, 2], "{}", info.name);
            for (got, expected) in numbers(output).iter().zip(&expected) {
                assert!((got - expected).abs() < 1e-12, "{}: {got} and {expected}", info.name);
            }
            assert_eq!(result.targets(), vec![vec![1]; 5], "{}", info.name);
        }
    }
}

#[test]
fn shapes_are_those_of_what_is_attributed() {
    let inputs = tensor(&rows(4, 3));
    for info in METHODS {
        let expected: &[usize] = match info.family {
            // It adds the channels up.
            Family::Layer if info.name == "LayerGradCam" => &[3, 1],
            Family::Layer => &[3, 5],
            _ => &[3, 4],
        };
        assert_eq!(attribute(info, &options(info), &inputs).tensor().dims(), expected, "{}", info.name);
    }
}

#[test]
fn a_delta_is_there_exactly_where_it_is_promised() {
    let inputs = tensor(&rows(5, 3));
    for info in METHODS {
        let result = attribute(info, &options(info), &inputs);
        assert_eq!(result.convergence_delta().is_ok(), info.has_delta, "{}", info.name);
        assert_eq!(result.method(), info.name);
    }
}

#[test]
fn a_tolerance_is_kept() {
    let inputs = tensor(&rows(6, 4));
    for info in METHODS.iter().filter(|info| info.cost == Cost::PerStep) {
        let exact = Options { tolerance: Some(1e-11), ..options(info) };
        let exact = attribute(info, &exact, &inputs);
        assert!(exact.settled().unwrap().iter().all(|settled| *settled), "{}", info.name);
        for tolerance in [1e-2, 1e-5, 1e-8] {
            let result = attribute(info, &Options { tolerance: Some(tolerance), ..options(info) }, &inputs);
            assert!(result.settled().unwrap().iter().all(|settled| *settled), "{}", info.name);
            assert_same(result.tensor(), exact.tensor(), 2. * tolerance);
            if info.has_delta {
                let scale = 10.;
                assert!(result.convergence_delta().unwrap().max_abs() <= tolerance * scale, "{}", info.name);
            }
        }
    }
}

#[test]
fn a_jump_is_not_stepped_over_where_no_sum_tells_of_it() {
    let steep = from_fn(|input, layers| {
        let x = input.first();
        let hidden = layers.visit("hidden", Activation::Sigmoid.forward(&x.affine(300., -97.)?)?)?;
        layers.visit("out", hidden.affine(2., 0.)?.sum(1)?)
    });
    let x = tensor(&[vec![1.], vec![0.9]]);
    let neuron = NeuronConductance::new(&steep, "hidden", 0);
    let influence = InternalInfluence::new(&steep, "hidden");
    let local = IntegratedGradients::new(&steep).multiply_by_inputs(false);
    let many =
        |ig: &IntegratedGradients| ig.n_steps(20_000).quadrature(Quadrature::RiemannMiddle).attribute(&x, Target::None);
    let expected = many(&IntegratedGradients::new(&steep)).unwrap();
    assert_same(neuron.tolerance(1e-4).attribute(&x, Target::None).unwrap().tensor(), expected.tensor(), 2e-4);
    let expected = many(&local).unwrap();
    assert_same(local.tolerance(1e-4).attribute(&x, Target::None).unwrap().tensor(), expected.tensor(), 4e-4);
    let influence = influence.tolerance(1e-4).attribute(&x, Target::None).unwrap();
    assert_same(influence.tensor(), &tensor(&[vec![2.], vec![2.]]), 1e-9);
}

#[test]
fn a_tolerance_out_of_reach_is_said_to_be() {
    let step = |x: &Tensor| Activation::Sigmoid.forward(&x.affine(1e5, -3.3e4)?)?.sum(1);
    let x = Tensor::new(&[[1f64]], &Device::Cpu).unwrap();
    let method = IntegratedGradients::new(step).tolerance(1e-9);
    let result = method.max_steps(45).attribute(&x, Target::None).unwrap();
    assert_eq!(result.settled().unwrap(), [false]);
    assert!(result.remarks().iter().any(|remark| remark.contains("did NOT settle")), "{:?}", result.remarks());
    let result = method.attribute(&x, Target::None).unwrap();
    assert_eq!(result.settled().unwrap(), [true], "{:?}", result.remarks());
    assert!(result.convergence_delta().unwrap().max_abs() <= 1e-9);
}

#[test]
fn what_goes_past_a_layer_stops_the_refinement_and_is_said() {
    let beside = from_fn(|input, layers| {
        let x = input.first();
        let hidden = layers.visit("hidden", x.tanh()?)?;
        Ok((hidden.sum(1)? + x.sum(1)?)?)
    });
    let x = tensor(&rows(23, 2));
    let result = LayerIntegratedGradients::new(&beside, "hidden").tolerance(1e-6).attribute(&x, Target::None).unwrap();
    assert_eq!(result.settled().unwrap(), [false, false]);
    assert!(result.steps().iter().all(|steps| *steps <= 945), "{:?}", result.steps());
    assert!(result.remarks().iter().any(|remark| remark.contains("goes past this layer")), "{:?}", result.remarks());
    assert_same(result.tensor(), &x.tanh().unwrap(), 1e-12);
}

#[test]
fn a_wrong_backward_shows_in_the_delta() {
    let cut = |x: &Tensor| x.sqr()?.sum(1)? + x.detach().sqr()?.sum(1)?;
    let x = tensor(&rows(24, 2));
    let unchecked = IntegratedGradients::new(cut).gradient_check(Check::Off);
    let result = unchecked.attribute(&x, Target::None).unwrap();
    assert!(result.remarks().iter().any(|remark| remark.contains("beyond 0.01 for 2 of 2")), "{:?}", result.remarks());
    let result = unchecked.tolerance(1e-3).attribute(&x, Target::None).unwrap();
    assert!(result.remarks().iter().any(|remark| remark.contains("backward is wrong")), "{:?}", result.remarks());
}

#[test]
fn nothing_flows_from_an_input_to_itself() {
    let inputs = tensor(&rows(7, 3));
    for info in METHODS.iter().filter(|info| info.cost == Cost::PerStep && info.name != "InternalInfluence") {
        let baseline = Options { baseline: Some(Baseline::from(&inputs)), ..options(info) };
        let result = attribute(info, &baseline, &inputs);
        assert!(numbers(result.tensor()).iter().all(|value| *value == 0.), "{}", info.name);
    }
}

#[test]
fn a_distribution_is_the_mean_over_its_rows() {
    let (inputs, baselines) = (tensor(&rows(8, 3)), tensor(&rows(9, 2)));
    for info in METHODS.iter().filter(|info| info.cost == Cost::PerStep) {
        let with =
            |baseline: Baseline| attribute(info, &Options { baseline: Some(baseline), ..options(info) }, &inputs);
        let mean = with(Baseline::distribution(&baselines));
        let parts = [0, 1].map(|row| with(Baseline::from(baselines.narrow(0, row, 1).unwrap())));
        let expected = ((parts[0].tensor() + parts[1].tensor()).unwrap() * 0.5).unwrap();
        assert_same(mean.tensor(), &expected, 1e-12);
        if info.has_delta {
            let deltas = parts.map(|part| part.convergence_delta().unwrap());
            for (row, delta) in mean.convergence_delta().unwrap().values().iter().enumerate() {
                let farthest =
                    deltas.iter().map(|delta| delta.values()[row]).max_by(|a, b| a.abs().total_cmp(&b.abs()));
                assert!((delta - farthest.unwrap()).abs() < 1e-12, "that of the baseline that is farthest off");
            }
        }
    }
}

#[test]
fn an_option_that_a_method_does_not_have_is_an_error() {
    for info in METHODS {
        let unknown = if info.takes("abs") {
            Options { n_steps: Some(3), ..options(info) }
        } else {
            Options { abs: Some(true), ..options(info) }
        };
        let error = (info.build)(Arc::new(Plain::new(1).sequential()), &unknown).err().unwrap();
        // An option that is not the tunnel's is its method's.
        let name = if info.takes("method") { "InputXGradient" } else { info.name };
        assert!(error.to_string().starts_with(&format!("{name} has no option")), "{error}");
    }
}

#[test]
fn a_linear_model_is_attributed_exactly_by_all_of_integrated_gradients_and_input_x_gradient() {
    let net = Sequential::from_layers(
        3,
        [("linear", Layer::Linear(Linear::from_weights(&tensor(&[vec![2., -3., 0.5]]), None).unwrap()))],
    )
    .unwrap();
    let x = tensor(&[vec![1., 2., 4.], vec![-1., 0., 2.]]);
    let expected = tensor(&[vec![2., -6., 2.], vec![-2., 0., 1.]]);
    assert_same(
        IntegratedGradients::new(&net).n_steps(1).attribute(&x, Target::None).unwrap().tensor(),
        &expected,
        1e-14,
    );
    assert_same(InputXGradient::new(&net).attribute(&x, Target::None).unwrap().tensor(), &expected, 1e-14);
    let at_input = LayerIntegratedGradients::new(&net, "linear").attribute_to_layer_input(true);
    assert_same(at_input.attribute(&x, Target::None).unwrap().tensor(), &expected, 1e-14);
}

#[test]
fn one_left_step_is_the_gradient_at_the_baseline_times_the_distance() {
    let (net, x, b) = (Plain::new(31).sequential(), tensor(&rows(10, 3)), tensor(&rows(11, 3)));
    let one = IntegratedGradients::new(&net).baseline(&b).n_steps(1).quadrature(Quadrature::RiemannLeft);
    let gradient = Saliency::new(&net).abs(false).attribute(&b, 1).unwrap();
    let expected = ((&x - &b).unwrap() * gradient.tensor()).unwrap();
    assert_same(one.attribute(&x, 1).unwrap().tensor(), &expected, 1e-12);
}

#[test]
fn at_the_input_of_the_first_layer_layer_methods_are_input_methods() {
    let (net, x, b) = (Plain::new(32).sequential(), tensor(&rows(12, 3)), tensor(&rows(13, 3)));
    let ig = IntegratedGradients::new(&net).baseline(&b).attribute(&x, 1).unwrap();
    let lig = LayerIntegratedGradients::new(&net, "linear1").attribute_to_layer_input(true).baseline(&b);
    assert_same(lig.attribute(&x, 1).unwrap().tensor(), ig.tensor(), 1e-12);
    let influence = InternalInfluence::new(&net, "linear1").attribute_to_layer_input(true).baseline(&b);
    let influence = influence.attribute(&x, 1).unwrap();
    assert_same(&((&x - &b).unwrap() * influence.tensor()).unwrap(), ig.tensor(), 1e-12);
    let product = LayerGradientXActivation::new(&net, "linear1").attribute_to_layer_input(true).attribute(&x, 1);
    assert_same(product.unwrap().tensor(), InputXGradient::new(&net).attribute(&x, 1).unwrap().tensor(), 1e-12);
    let conductance = LayerConductance::new(&net, "linear1").attribute_to_layer_input(true).baseline(&b);
    let exact = IntegratedGradients::new(&net).baseline(&b).tolerance(1e-12).attribute(&x, 1).unwrap();
    assert_same(conductance.tolerance(1e-12).attribute(&x, 1).unwrap().tensor(), exact.tensor(), 1e-11);
}

#[test]
fn a_neurons_conductance_adds_up_to_its_layers() {
    let (net, x, b) = (Plain::new(33).sequential(), tensor(&rows(14, 3)), tensor(&rows(15, 3)));
    let layer = LayerConductance::new(&net, "tanh1").baseline(&b).tolerance(1e-12).attribute(&x, 1).unwrap();
    for neuron in 0..5 {
        let method = NeuronConductance::new(&net, "tanh1", neuron).baseline(&b).tolerance(1e-12);
        let sum = method.attribute(&x, 1).unwrap().tensor().sum(1).unwrap();
        assert_same(&sum, &layer.tensor().narrow(1, neuron, 1).unwrap().squeeze(1).unwrap(), 1e-10);
    }
}

#[test]
fn conductances_of_all_layers_have_the_same_sum() {
    let (net, x) = (Plain::new(34).sequential(), tensor(&rows(16, 3)));
    let of = |layer: &str| {
        let result = LayerConductance::new(&net, layer).tolerance(1e-12).attribute(&x, 1).unwrap();
        result.tensor().sum(1).unwrap()
    };
    for layer in ["tanh1", "linear2", "tanh2"] {
        assert_same(&of("linear1"), &of(layer), 1e-11);
    }
}

#[test]
fn captums_trapezoid_is_the_corrected_one_times_n_minus_1_over_n() {
    let (net, x) = (Plain::new(35).sequential(), tensor(&rows(17, 3)));
    for n in [2, 7, 50] {
        let method = IntegratedGradients::new(&net).n_steps(n);
        let right = method.quadrature(Quadrature::Trapezoid).attribute(&x, 1).unwrap();
        let captums = method.quadrature(Quadrature::CaptumTrapezoid).attribute(&x, 1).unwrap();
        let expected = (right.tensor() * ((n - 1) as f64 / n as f64)).unwrap();
        assert_same(captums.tensor(), &expected, 1e-13);
    }
}

#[test]
fn several_inputs_move_together_and_extra_arguments_stay() {
    let model = from_fn(|input, _| Ok(((input.get(0)? * input.get(1)?)? * input.arg(0)?)?.sum(1)?));
    let (a, b) = (tensor(&[vec![1., 2.], vec![3., 4.]]), tensor(&[vec![5., 6.], vec![7., 8.]]));
    let factor = tensor(&[vec![1., 10.], vec![100., 1000.]]);
    let inputs = Inputs::new([a.clone(), b.clone()]).with_args([factor.clone()]);
    for rows in [1, 3, 100] {
        let method = IntegratedGradients::new(&model).internal_batch_size(rows);
        let result = method.attribute(&inputs, Target::None).unwrap();
        let half = (((&a * &b).unwrap() * &factor).unwrap() * 0.5).unwrap();
        assert_same(result.value(0).unwrap(), &half, 1e-10);
        assert_same(result.value(1).unwrap(), &half, 1e-10);
        assert!(result.convergence_delta().unwrap().max_abs() < 1e-9);
    }
}

#[test]
fn several_layers_at_once_move_together() {
    let model = from_fn(|input, layers| {
        let left = layers.visit("left", input.get(0)?.affine(2., 0.)?)?;
        let right = layers.visit("right", input.get(0)?.affine(0., 3.)?.add(input.get(0)?)?)?;
        Ok((left * right)?.sum(1)?)
    });
    let x = tensor(&[vec![1., 2.]]);
    let result = LayerIntegratedGradients::new(&model, ["left", "right"]).attribute(&x, Target::None).unwrap();
    // left runs from 0 to 2x and right from 3 to 3 + x: the integrals of the product's two parts.
    assert_same(result.value(0).unwrap(), &tensor(&[vec![2. * 3.5, 4. * 4.]]), 1e-12);
    assert_same(result.value(1).unwrap(), &tensor(&[vec![1., 2. * 2.]]), 1e-12);
    assert!(result.convergence_delta().unwrap().max_abs() < 1e-12);
    let one_pass = LayerGradientXActivation::new(&model, ["left", "right"]).attribute(&x, Target::None).unwrap();
    for (index, layer) in ["left", "right"].iter().enumerate() {
        let alone = LayerGradientXActivation::new(&model, *layer).attribute(&x, Target::None).unwrap();
        assert_same(one_pass.value(index).unwrap(), alone.tensor(), 1e-12);
    }
}

#[test]
fn nested_layers_in_one_pass_have_the_gradients_they_have_alone() {
    let (net, x) = (Plain::new(36).sequential(), tensor(&rows(18, 3)));
    let layers = ["linear1", "tanh1", "linear2", "tanh2"];
    let together = LayerGradientXActivation::new(&net, layers).attribute(&x, 1).unwrap();
    for (index, layer) in layers.iter().enumerate() {
        let alone = LayerGradientXActivation::new(&net, *layer).attribute(&x, 1).unwrap();
        assert_same(together.value(index).unwrap(), alone.tensor(), 1e-12);
    }
}

#[test]
fn targets_per_example_and_of_several_axes() {
    let (net, x) = (Plain::new(37).sequential(), tensor(&rows(19, 3)));
    let saliency = Saliency::new(&net).abs(false);
    let mixed = saliency.attribute(&x, vec![1, 0, 1]).unwrap();
    for (row, class) in [1, 0, 1].into_iter().enumerate() {
        let one = saliency.attribute(&x, class).unwrap();
        assert_same(&mixed.tensor().narrow(0, row, 1).unwrap(), &one.tensor().narrow(0, row, 1).unwrap(), 1e-14);
    }
    let predicted = saliency.attribute(&x, Target::Predicted).unwrap();
    let classes = net.predict(&x).unwrap().argmax(1).unwrap().to_vec1::<u32>().unwrap();
    let expected: Vec<Vec<usize>> = classes.iter().map(|class| vec![*class as usize]).collect();
    assert_eq!(predicted.targets(), expected);

    let grid = |x: &Tensor| x.sqr()?.reshape((x.dims()[0], 2, 2));
    let result = Saliency::new(grid).attribute(&x, Target::Index(vec![1, 0])).unwrap();
    let expected = rows(19, 3).iter().map(|row| vec![0., 0., 2. * row[2].abs(), 0.]).collect::<Vec<_>>();
    assert_same(result.tensor(), &tensor(&expected), 1e-14);
    let each = Target::PerExampleIndex(vec![vec![0, 0], vec![0, 1], vec![1, 1]]);
    let result = Saliency::new(grid).attribute(&x, each).unwrap();
    let inputs = rows(19, 3);
    let expected = [0, 1, 3].iter().enumerate().map(|(row, &position)| {
        (0..4).map(|index| if index == position { 2. * inputs[row][index].abs() } else { 0. }).collect()
    });
    assert_same(result.tensor(), &tensor(&expected.collect::<Vec<Vec<f64>>>()), 1e-14);
}

/// A model that notes the largest batch it was given, and keeps `width` numbers of each row.
fn watched(width: usize) -> (Arc<dyn Model>, Arc<AtomicUsize>) {
    let largest = Arc::new(AtomicUsize::new(0));
    let seen = largest.clone();
    let model = from_fn(move |input: &Inputs, layers: &mut Layers| {
        let x = input.first();
        seen.fetch_max(x.dims()[0], Ordering::Relaxed);
        let wide = layers.visit("wide", x.narrow(1, 0, 1)?.repeat((1, width))?.tanh()?)?;
        Ok((wide.mean(1)? + x.sum(1)?)?)
    });
    (model, largest)
}

#[test]
fn no_pass_is_larger_than_was_allowed() {
    let inputs = tensor(&rows(20, 40));
    for info in METHODS.iter().filter(|info| info.cost == Cost::PerStep) {
        for tolerance in [None, Some(1e-3)] {
            let mut options = Options { internal_batch_size: Some(7), tolerance, ..options(info) };
            options.layers.iter_mut().for_each(|layer| *layer = "wide".to_string());
            let (model, largest) = watched(6);
            (info.build)(model, &options).unwrap().attribute_to(&Inputs::from(&inputs), &Target::None).unwrap();
            assert_eq!(largest.load(Ordering::Relaxed), 7, "{} {tolerance:?}", info.name);
        }
    }
}

#[test]
fn steps_are_not_expanded_beyond_the_memory_budget() {
    let inputs = tensor(&rows(21, 2));
    // A row keeps more than a megabyte for its backward.
    let (model, largest) = watched(100_000);
    IntegratedGradients::new(&model).n_steps(20).attribute(&inputs, Target::None).unwrap();
    assert_eq!(largest.load(Ordering::Relaxed), 3, "three rows to check the gradient, without a graph");
    let (model, largest) = watched(1);
    IntegratedGradients::new(&model).n_steps(20).attribute(&inputs, Target::None).unwrap();
    assert_eq!(largest.load(Ordering::Relaxed), 40, "all of a small model at once");
}

#[test]
fn a_smaller_memory_budget_makes_smaller_passes() {
    let inputs = tensor(&rows(25, 40));
    let largest_pass = |budget: usize| {
        let (model, largest) = watched(1);
        let method = IntegratedGradients::new(&model).n_steps(20).memory_budget(budget);
        method.attribute(&inputs, Target::None).unwrap();
        largest.load(Ordering::Relaxed)
    };
    assert_eq!(largest_pass(256 << 20), 800, "all points of all rows");
    assert_eq!(largest_pass(1024), 39, "the rows of the batch but the first, once, without a graph");
}

#[test]
fn steps_are_the_points_that_were_evaluated() {
    let x = tensor(&rows(26, 2));
    for info in METHODS.iter().filter(|info| info.cost == Cost::PerStep) {
        let result = attribute(info, &Options { n_steps: Some(9), ..options(info) }, &x);
        let points = if info.name == "LayerConductance" { 10 } else { 9 };
        assert_eq!(result.steps(), [points, points], "{}", info.name);
    }
}

#[test]
fn a_distribution_has_settled_only_where_every_baseline_has() {
    let step = |x: &Tensor| Activation::Sigmoid.forward(&x.affine(1e4, -5e3)?)?.sum(1);
    let x = tensor(&[vec![1.]]);
    let baselines = tensor(&[vec![0.9], vec![0.]]);
    let method = IntegratedGradients::new(step).tolerance(1e-6).max_steps(47);
    let alone = |row: usize| method.baseline(baselines.narrow(0, row, 1).unwrap()).attribute(&x, Target::None).unwrap();
    assert_eq!([alone(0).settled().unwrap()[0], alone(1).settled().unwrap()[0]], [true, false]);
    let both = method.baseline(Baseline::distribution(&baselines)).attribute(&x, Target::None).unwrap();
    assert_eq!(both.settled().unwrap(), [false]);
}

#[test]
fn weights_that_are_tracked_do_not_make_passes_smaller() {
    let linear = Linear::new(4, 2000, Seed(3)).unwrap();
    let largest = Arc::new(AtomicUsize::new(0));
    let seen = largest.clone();
    let model = from_fn(move |input, _| {
        seen.fetch_max(input.first().dims()[0], Ordering::Relaxed);
        Ok(linear.forward(input.first())?.mean(1)?)
    });
    let x = tensor(&rows(27, 2)).to_dtype(DType::F32).unwrap();
    IntegratedGradients::new(&model).n_steps(20).attribute(&x, Target::None).unwrap();
    assert!(largest.load(Ordering::Relaxed) >= 20, "{largest:?}");
}
