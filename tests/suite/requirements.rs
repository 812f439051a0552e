//! What the registry says that methods require: each works without what it does not name, and none without what it does.

use std::sync::Arc;

use candle_explain::attr::METHODS;
use candle_explain::engine::{MethodInfo, Options, Requirement};
use candle_explain::prelude::*;

use crate::laws::{network, options};
use crate::plain::{Plain, rows, tensor};

/// A tunnel requires what its method does.
fn methods() -> impl Iterator<Item = &'static MethodInfo> {
    METHODS.iter().filter(|info| !info.takes("method"))
}

fn attribute(info: &MethodInfo, model: Arc<dyn Model>, options: &Options, rows_of: usize) -> Result<Attributions> {
    let inputs = Inputs::from(tensor(&rows(91, rows_of)));
    (info.build)(model, options)?.attribute_to(&inputs, &info.target(1))
}

#[track_caller]
fn assert_required(requirement: Requirement, without: impl Fn(&MethodInfo) -> Result<Attributions>) {
    let mut required = 0;
    for info in methods() {
        match without(info) {
            Ok(_) => assert!(!info.requires(requirement), "{} does without {requirement:?}", info.name),
            Err(error) => assert!(info.requires(requirement), "{} does not name {requirement:?}: {error}", info.name),
        }
        required += usize::from(info.requires(requirement));
    }
    assert!(required > 0, "{requirement:?}");
}

#[test]
fn gradients() {
    assert_required(Requirement::Gradients, |info| {
        let net = network(info, 92);
        let cut =
            from_fn(move |input, layers| Ok(net.forward(&Inputs::from(input.first().detach()), layers)?.detach()));
        attribute(info, cut, &options(info), 3)
    });
}

#[test]
fn relus() {
    assert_required(Requirement::Relus, |info| {
        attribute(info, Arc::new(Plain::new(93).sequential()), &options(info), 3)
    });
}

#[test]
fn several_rows() {
    assert_required(Requirement::SeveralRows, |info| attribute(info, Arc::new(network(info, 94)), &options(info), 1));
}

#[test]
fn a_distribution() {
    assert_required(Requirement::Distribution, |info| {
        let baseline = info.takes("baseline").then_some(Baseline::Value(0.1));
        attribute(info, Arc::new(network(info, 95)), &Options { baseline, ..options(info) }, 3)
    });
}

#[test]
fn blocks() {
    for info in methods().filter(|info| !info.requires(Requirement::Relus)) {
        let in_no_block = from_fn(|input, layers| {
            let hidden = layers.visit("tanh1", input.first().tanh()?)?;
            Ok(hidden.exp()?)
        });
        match attribute(info, in_no_block, &options(info), 3) {
            Ok(_) => assert!(!info.requires(Requirement::Blocks), "{}", info.name),
            Err(error) => {
                assert!(info.requires(Requirement::Blocks), "{}: {error}", info.name);
                assert!(error.to_string().contains("no block followed"), "{}: {error}", info.name);
            }
        }
    }
}
