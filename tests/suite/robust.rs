//! Attacks: FGSM and PGD.

use candle_explain::ErrorKind;
use candle_explain::prelude::*;

use crate::plain::{Plain, assert_close, gradient, rows, tensor};

const EPSILON: f64 = 0.1;

fn softmax(logits: &[f64]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
    logits.iter().map(|logit| logit.exp() / sum).collect()
}

/// The textbook's network, its output as probabilities.
#[derive(Clone)]
struct Probabilities(Sequential);

impl Model for Probabilities {
    fn forward(&self, inputs: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        let exp = self.0.forward(inputs, layers)?.exp()?;
        Ok(exp.broadcast_div(&exp.sum_keepdim(1)?)?)
    }
}

fn net(plain: &Plain) -> Probabilities {
    Probabilities(plain.sequential())
}

fn loss(plain: &Plain, x: &[f64], target: usize) -> f64 {
    -softmax(&plain.output(x))[target].ln()
}

fn step(plain: &Plain, x: &[f64], target: usize, size: f64) -> Vec<f64> {
    let slopes = gradient(|x| loss(plain, x, target), x);
    x.iter().zip(slopes).map(|(x, slope)| if slope.abs() > 1e-6 { x + size * slope.signum() } else { *x }).collect()
}

fn length(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

fn listed(inputs: &Inputs) -> Vec<Vec<f64>> {
    inputs.first().to_vec2().unwrap()
}

#[test]
fn fgsm_is_one_step_along_the_sign() {
    let (plain, x) = (Plain::new(3), rows(5, 4));
    let attack = FGSM::new(&net(&plain));
    for (targeted, size) in [(false, EPSILON), (true, -EPSILON)] {
        let got = attack.targeted(targeted).perturb(tensor(&x), EPSILON, [0, 1, 0, 1]).unwrap();
        let expected: Vec<_> = x.iter().enumerate().map(|(row, x)| step(&plain, x, row % 2, size)).collect();
        assert_close(got.first(), &expected, 1e-12);
    }
}

#[test]
fn pgd_is_steps_that_are_projected() {
    let (plain, x) = (Plain::new(3), rows(5, 3));
    let (radius, size, steps) = (0.15, 0.1, 5);
    for norm in [Norm::Linf, Norm::L2] {
        let projected = |x: &[f64], moved: Vec<f64>| -> Vec<f64> {
            let share = (radius / length(&moved, x)).min(1.);
            let change = |(moved, x): (f64, &f64)| match norm {
                Norm::Linf => x + (moved - x).clamp(-radius, radius),
                Norm::L2 => x + (moved - x) * share,
            };
            moved.into_iter().zip(x).map(change).collect()
        };
        let walk = |x: &Vec<f64>| (0..steps).fold(x.clone(), |at, _| projected(x, step(&plain, &at, 1, size)));
        let expected: Vec<_> = x.iter().map(walk).collect();
        let got = PGD::new(&net(&plain)).norm(norm).perturb(tensor(&x), radius, size, steps, 1).unwrap();
        assert_close(got.first(), &expected, 1e-9);
    }
}

#[test]
fn one_step_in_a_larger_ball_is_fgsm() {
    let (net, x) = (net(&Plain::new(8)), tensor(&rows(2, 3)));
    let once = FGSM::new(&net).perturb(&x, EPSILON, 1).unwrap();
    assert_eq!(listed(&once), listed(&PGD::new(&net).perturb(&x, 1., EPSILON, 1, 1).unwrap()));
}

#[test]
fn a_loss_of_ones_own_is_the_default_where_it_says_the_same() {
    let (net, x) = (net(&Plain::new(8)), tensor(&rows(2, 3)));
    let log =
        |output: &Tensor, targets: &Tensor| Ok(output.gather(&targets.unsqueeze(1)?, 1)?.squeeze(1)?.log()?.neg()?);
    let attack = PGD::new(&net);
    for target in [Target::Class(1), Target::PerExample(vec![1, 0, 1]), Target::Predicted] {
        let one = attack.perturb(&x, 0.2, 0.1, 3, &target).unwrap();
        assert_eq!(listed(&one), listed(&attack.loss(log).perturb(&x, 0.2, 0.1, 3, &target).unwrap()));
    }
}

#[test]
fn the_perturbed_input_stays_in_the_ball_and_the_bounds_and_the_loss_grows() {
    let (plain, x) = (Plain::new(6), rows(9, 6));
    let net = net(&plain);
    let inside: Vec<Vec<f64>> = x.iter().map(|row| row.iter().map(|x| x.clamp(-1., 1.)).collect()).collect();
    let losses = |rows: &[Vec<f64>]| rows.iter().map(|x| loss(&plain, x, 0)).collect::<Vec<_>>();
    for norm in [Norm::Linf, Norm::L2] {
        for attack in [PGD::new(&net), PGD::new(&net).random_start(Seed(4))] {
            let attack = attack.norm(norm).bounds(-1., 1.);
            let got = listed(&attack.perturb(tensor(&inside), 0.3, 0.05, 20, 0).unwrap());
            for (got, x) in got.iter().zip(&inside) {
                let largest = got.iter().zip(x).fold(0f64, |largest, (a, b)| largest.max((a - b).abs()));
                let distance = if norm == Norm::L2 { length(got, x) } else { largest };
                assert!(distance <= 0.3 + 1e-12 && distance > 0., "{norm:?}: {distance}");
                assert!(got.iter().all(|value| (-1. ..=1.).contains(value)), "{got:?}");
            }
            for (after, before) in losses(&got).iter().zip(losses(&inside)) {
                assert!(*after > before, "{after} after {before}");
            }
            let towards = listed(&attack.targeted(true).perturb(tensor(&inside), 0.3, 0.05, 20, 0).unwrap());
            for (after, before) in losses(&towards).iter().zip(losses(&inside)) {
                assert!(*after < before, "{after} after {before}");
            }
        }
    }
}

#[test]
fn the_start_is_the_same_for_the_same_seed_and_for_an_example_alone() {
    let (net, x) = (net(&Plain::new(6)), rows(9, 3));
    for norm in [Norm::Linf, Norm::L2] {
        let attack = |seed| PGD::new(&net).norm(norm).random_start(Seed(seed));
        let run = |seed, x: &[Vec<f64>]| listed(&attack(seed).perturb(tensor(x), 0.3, 0.01, 2, 0).unwrap());
        assert_eq!(run(1, &x), run(1, &x));
        assert_ne!(run(1, &x), run(2, &x));
        assert_eq!(run(1, &x)[2..], run(1, &x[2..]));
    }
}

#[test]
fn several_inputs_move_together_where_their_masks_let_them() {
    let model = from_fn(|inputs: &Inputs, _: &mut Layers| {
        let (a, b) = (inputs.get(0)?, inputs.get(1)?);
        Ok(((a * inputs.arg(0)?)?.sum(1)? + b.sqr()?.sum(1)?)?)
    });
    let new = |rows: &[[f64; 2]]| Tensor::from_vec(rows.concat(), (rows.len(), 2), &Device::Cpu).unwrap();
    let inputs = Inputs::new([new(&[[1., 2.], [3., 4.]]), new(&[[0., 1.], [2., -3.]])]);
    let inputs = inputs.with_args([new(&[[1., 1.], [1., 1.]])]);
    let masks = [new(&[[1., 0.], [0., 1.]]), new(&[[1., 1.], [0., 1.]])];
    // The loss is minus the logarithm: away from the target is down.
    for got in [
        FGSM::new(model.clone()).mask(masks.clone()).perturb(&inputs, 0.5, Target::None).unwrap(),
        PGD::new(model).mask(masks).perturb(&inputs, 0.5, 0.5, 1, Target::None).unwrap(),
    ] {
        assert_close(got.get(0).unwrap(), &[vec![0.5, 2.], vec![3., 3.5]], 0.);
        assert_close(got.get(1).unwrap(), &[vec![0., 0.5], vec![2., -2.5]], 0.);
        assert_eq!(got.args().len(), 1);
    }
}

#[test]
fn the_size_of_a_pass_changes_nothing() {
    let (net, x) = (net(&Plain::new(6)), tensor(&rows(9, 7)));
    let attack = PGD::new(&net).random_start(Seed(3));
    let run = |attack: PGD| listed(&attack.perturb(&x, 0.3, 0.1, 4, 0).unwrap());
    let whole = run(attack.clone());
    assert_eq!(whole, run(attack.internal_batch_size(2)));
    assert_eq!(whole, run(attack.workers(4).memory_budget(1)));
}

#[test]
fn what_does_not_fit_is_an_error() {
    #[track_caller]
    fn error(result: Result<Inputs>, kind: ErrorKind, part: &str) {
        let error = result.expect_err("an error");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(part), "\"{error}\" does not say \"{part}\"");
    }
    let (net, x) = (net(&Plain::new(6)), tensor(&rows(9, 2)));
    let (fgsm, pgd) = (FGSM::new(&net), PGD::new(&net));
    for size in [0., -1., f64::NAN, f64::INFINITY] {
        error(fgsm.perturb(&x, size, 0), ErrorKind::Input, "epsilon is");
        error(pgd.perturb(&x, size, 0.1, 1, 0), ErrorKind::Input, "radius is");
        error(pgd.perturb(&x, 0.1, size, 1, 0), ErrorKind::Input, "step_size is");
    }
    error(pgd.perturb(&x, 0.1, 0.1, 0, 0), ErrorKind::Input, "step_num is 0");
    error(fgsm.bounds(1., 0.).perturb(&x, 0.1, 0), ErrorKind::Input, "the bounds are 1 and 0");
    error(fgsm.bounds(f64::NAN, 0.).perturb(&x, 0.1, 0), ErrorKind::Input, "the bounds are NaN and 0");
    let ones = Tensor::ones((1, 4), DType::F64, &Device::Cpu).unwrap();
    error(fgsm.mask(&ones).perturb(&x, 0.1, 0), ErrorKind::Input, "mask 0 has the shape [1, 4]");
    error(fgsm.mask(&x).perturb(&x, 0.1, 0), ErrorKind::Input, "mask 0 has other values");
    error(fgsm.mask([&x, &x]).perturb(&x, 0.1, 0), ErrorKind::Input, "2 masks for 1 inputs");
    error(fgsm.internal_batch_size(0).perturb(&x, 0.1, 0), ErrorKind::Input, "internal_batch_size is 0");
    error(fgsm.perturb(&x, 0.1, 2), ErrorKind::Input, "target class 2");
    error(fgsm.perturb(&x, 0.1, [0, 1, 0]), ErrorKind::Input, "3 targets for 2 examples");
    let ids = Tensor::new(&[[1u32, 2]], &Device::Cpu).unwrap();
    error(fgsm.perturb(&ids, 0.1, 0), ErrorKind::Gradient, "input 0 is U32");
    let negative = |x: &Tensor| x.sqr()?.sum(1)?.neg();
    error(FGSM::new(negative).perturb(&x, 0.1, Target::None), ErrorKind::Input, "minus its logarithm");
    let one = |output: &Tensor, _: &Tensor| Ok(output.sum_all()?);
    error(fgsm.loss(one).perturb(&x, 0.1, 0), ErrorKind::Input, "the loss has the shape []");
    let cut = |x: &Tensor| x.detach().exp()?.sum(1);
    error(FGSM::new(cut).perturb(&x, 0.1, Target::None), ErrorKind::Gradient, "no gradient reaches input 0");
}
