//! What LRP refuses, and what it remarks on.

use candle_explain::nn::{Multiply, Operation, block};
use candle_explain::prelude::*;

use crate::lrp::{EXACT, Residual, around, assert_near, mlp, numbers, random, wave};

/// A dense layer that says that it is affine, and not how.
#[derive(Clone)]
struct Closed(Linear);

impl Block for Closed {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        self.0.compute(inputs)
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Affine
    }
}

#[test]
fn a_block_that_does_not_offer_its_weights_follows_epsilon_alone() {
    let (weight, bias, x) = (random(11, &[3, 4]), random(12, &[3]), random(13, &[2, 4]));
    let readout = random(14, &[1, 3]);
    let ours = Linear::from_weights(&weight, Some(&bias)).unwrap();
    let closed = around(Closed(ours.clone()), readout.clone());
    let expected = around(ours.clone(), readout).attribute(&x, Target::None).unwrap();
    assert_near(closed.attribute(&x, Target::None).unwrap().tensor(), &numbers(expected.tensor()), 1e-12);
    let error = closed.default_rule(LrpRule::Gamma(0.25)).attribute(&x, Target::None).unwrap_err().to_string();
    assert!(error.contains("layer \"block\" cannot follow the rule Gamma(0.25)"), "{error}");
    assert!(error.contains("Block::reweighted"), "{error}");
}

#[test]
fn what_has_no_rule_is_an_error_until_it_is_given_one() {
    let (x, ones) = (random(21, &[2, 3]), Tensor::ones((1, 3), DType::F64, &Device::Cpu).unwrap());
    let closure = around(block(|x: &Tensor| x.sin()), ones);
    let error = closure.attribute(&x, Target::None).unwrap_err().to_string();
    assert!(error.contains("layer \"block\" computes what LRP has no rule for"), "{error}");
    assert!(error.contains(".rule(name, LrpRule::Epsilon(1e-9))"), "{error}");
    // The epsilon rule takes it for linear: input times gradient, of the output's share.
    let linear = closure.rule("block", EXACT).attribute(&x, Target::None).unwrap();
    let expected: Vec<f64> = numbers(&x).iter().map(|x| x * x.cos()).collect();
    assert_near(linear.tensor(), &expected, 1e-12);
    let kept = closure.rule("block", LrpRule::Identity).attribute(&x, Target::None).unwrap();
    assert_near(kept.tensor(), &numbers(&x.sin().unwrap()), 1e-12);

    let unnamed = from_fn(|input, layers| {
        let x = layers.apply("tanh", &Activation::Tanh, input.first())?;
        Ok(layers.run(&block(|x: &Tensor| x.sin()), &x)?.sum(1)?)
    });
    let error = LRP::new(unnamed).attribute(&x, Target::None).unwrap_err().to_string();
    assert!(error.contains("block 2 of the pass, which comes after layer \"tanh\", computes"), "{error}");
    let first = from_fn(|input, layers| Ok(layers.run(&block(|x: &Tensor| x.sin()), input.first())?.sum(1)?));
    let error = LRP::new(first).attribute(&x, Target::None).unwrap_err().to_string();
    assert!(error.contains("block 1 of the pass computes"), "{error}");
}

#[test]
fn bad_rules_are_errors_that_say_what_to_do() {
    let (net, x) = (mlp(Activation::Relu), wave(21, &[2, 4]));
    let of = |method: LRP| method.attribute(&x, 1).unwrap_err().to_string();
    let error = of(LRP::new(&net).rule("conv1", LrpRule::Gamma(0.25)));
    assert!(error.contains("a rule was chosen for a layer: no layer named \"conv1\""), "{error}");
    assert!(error.contains("l1, a1, l2, a2, l3"), "{error}");
    for bad in [LrpRule::Epsilon(-1e-9), LrpRule::Epsilon(f64::NAN), LrpRule::Gamma(-1.), LrpRule::Gamma(f64::INFINITY)]
    {
        assert!(of(LRP::new(&net).default_rule(bad)).contains("expected a finite number of at least 0"), "{bad:?}");
        let error = of(LRP::new(&net).rule("l1", bad));
        assert!(error.contains("layer \"l1\": the rule") && error.contains("at least 0"), "{error}");
    }
    let error = of(LRP::new(&net).rule("l3", LrpRule::Identity));
    assert!(error.contains("layer \"l3\" cannot follow the rule Identity: it makes [1, 2] of [[1, 4]]"), "{error}");
    let error = of(LRP::new(&net).rule("a1", LrpRule::ZPlus));
    assert!(error.contains("layer \"a1\" cannot follow the rule ZPlus"), "{error}");

    let residual = Residual { dense: Linear::from_weights(&random(8, &[4, 4]), None).unwrap() };
    let error = LRP::new(&residual).rule("sum.1", EXACT).attribute(&x, Target::None).unwrap_err().to_string();
    assert!(error.contains("layer \"sum.1\", which is not one block: those that are: dense.0, dense.1"), "{error}");

    let error = LRP::new(|x: &Tensor| x.sqr()?.sum(1)).attribute(&x, Target::None).unwrap_err().to_string();
    assert!(error.contains("no block followed a rule"), "{error}");
    let unused = from_fn(|input, layers| {
        layers.run(&Activation::Tanh, input.first())?;
        Ok(input.first().sum(1)?)
    });
    let error = LRP::new(unused).attribute(&x, Target::None).unwrap_err().to_string();
    assert!(error.contains("no block followed a rule"), "{error}");
    let named = from_fn(|input, layers| Ok(layers.visit("twice", (input.first() * 2.)?)?.sum(1)?));
    let error = LayerLRP::new(named, "twice").attribute(&x, Target::None).unwrap_err().to_string();
    assert!(error.contains("no block followed a rule"), "{error}");
    let error = LayerLRP::new(&net, "nowhere").attribute(&x, 1).unwrap_err().to_string();
    assert!(error.contains("no layer named \"nowhere\""), "{error}");

    let ids = Tensor::new(&[[1u32, 2, 3, 4]], &Device::Cpu).unwrap();
    let error = LRP::new(&net).attribute(&ids, 1).unwrap_err().to_string();
    assert!(error.contains("for token ids"), "{error}");
    let two = around(Multiply, Tensor::ones((1, 4), DType::F64, &Device::Cpu).unwrap()).rule("block", LrpRule::ZPlus);
    let error = two.attribute([&x, &x], Target::None).unwrap_err().to_string();
    assert!(error.contains("the rule ZPlus is for one"), "{error}");
}

#[test]
fn what_is_lost_is_said_and_where() {
    let x = wave(21, &[2, 4]);
    let biased = LRP::new(&mlp(Activation::Relu)).attribute(&x, 1).unwrap();
    let remarks = biased.remarks().join("; ");
    assert!(remarks.contains("relevance is not conserved, by up to 0.4569 of an example"), "{remarks}");
    assert!(!remarks.contains("lost outside blocks") && !remarks.contains("steps"), "{remarks}");

    let linear = Linear::from_weights(&random(8, &[4, 4]), None).unwrap();
    let outside = from_fn(move |input, layers| {
        let hidden = layers.apply("hidden", &linear, input.first())?;
        Ok((hidden.exp()? + 1.)?.sum(1)?)
    });
    let remarks = LRP::new(outside).attribute(&x, Target::None).unwrap().remarks().join("; ");
    assert!(remarks.contains("were lost outside blocks") && remarks.contains("layers.apply"), "{remarks}");
}
