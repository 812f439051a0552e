//! What pictures and remarks of a layer's attributions say: they are of its neurons, and a part of the output may go past it.

use candle_explain::prelude::*;

use crate::plain::{rows, tensor};

/// The Titanic network, whose first layer is as wide as its input, and passengers.
fn titanic() -> (Sequential, Dataset) {
    let (_, test) = Titanic::offline().unwrap().split(Split::Tutorial).unwrap();
    (Titanic::pretrained().unwrap(), test)
}

type Drawn = (&'static str, Result<String>);

/// Every picture that takes values.
fn drawn(result: &Attributions, data: impl Into<Inputs>, feature: &str) -> [Drawn; 4] {
    let data = data.into();
    let row = || (data.clone(), 3);
    [
        ("waterfall", result.waterfall(row()).map(|picture| picture.text())),
        ("force", result.force(row()).map(|picture| picture.text())),
        ("beeswarm", result.beeswarm(data.clone()).map(|picture| picture.text())),
        ("dependence", result.dependence(data.clone(), feature).map(|picture| picture.text())),
    ]
}

fn assert_refused(result: &Attributions, data: impl Into<Inputs>) {
    let expected = "the attributions are of layer \"sigmoid1\", and what came are the inputs, whose names and values are \
                    not its neurons': give the layer's activations (LayerActivation), or no values: waterfall(0), force(0)";
    for (picture, drawn) in drawn(result, data, "age") {
        assert_eq!(drawn.unwrap_err().to_string(), expected, "{picture}");
    }
}

#[test]
fn neurons_do_not_take_the_names_and_values_of_inputs() {
    let (net, test) = titanic();
    let method = LayerConductance::new(&net, "sigmoid1");
    let result = method.attribute(&test, 1).unwrap();
    assert_eq!(result.tensor().dims(), test.features().first().dims());
    assert_refused(&result, &test);
    assert_refused(&result, test.features().first());
    // The same names with other units.
    let years = Inputs::from(&(test.features().first() * 2.).unwrap()).with_names(test.feature_names().iter().cloned());
    assert_refused(&result, years);
    // Attributed without names, and for each of two classes.
    let unnamed = method.attribute(test.features().first(), 1).unwrap();
    assert_refused(&unnamed, &test);
    assert_refused(&unnamed, test.features().first());
    for of_class in method.attribute_classes(&test, 0..2).unwrap() {
        assert_refused(&of_class, &test);
        assert_refused(&of_class, test.features().first());
    }
    let error = result.mean().unwrap().bars(test.feature_names()).unwrap_err().to_string();
    let expected = "\"mean attribution by LayerConductance\" is of the neurons of layer \"sigmoid1\", and the labels are the \
                    names of the 12 inputs: give the neurons' own names, or numbers";
    assert_eq!(error, expected);
    let activation = LayerActivation::new(&net, "sigmoid1").attribute(&test).unwrap();
    assert!(activation.beeswarm(&test).unwrap_err().to_string().contains("what came are the inputs"));
    let noisy = NoiseTunnel::new(method.n_steps(5)).n_samples(2).attribute(&test, 1).unwrap();
    assert!(noisy.beeswarm(&test).unwrap_err().to_string().contains("what came are the inputs"));
    // Of another layer the shape differs.
    let narrow = LayerConductance::new(&net, "sigmoid2").attribute(&test, 1).unwrap();
    let error = narrow.beeswarm(&test).unwrap_err().to_string();
    assert!(error.contains("are of layer \"sigmoid2\": give the layer's activations (LayerActivation)"), "{error}");
}

#[test]
fn neurons_have_their_activations_and_names_of_their_own() {
    let (net, test) = titanic();
    let result = LayerConductance::new(&net, "sigmoid1").tolerance(1e-3).attribute(&test, 1).unwrap();
    let activations = LayerActivation::new(&net, "sigmoid1").attribute(&test).unwrap().tensor().clone();
    for (picture, text) in drawn(&result, &activations, "[11]") {
        let text = text.unwrap();
        assert!(text.contains("[11]") && !text.contains("age"), "{picture}: {text}");
    }
    let named = Inputs::from(&activations).with_names((0..12).map(|neuron| format!("neuron {neuron}")));
    for (picture, text) in drawn(&result, named, "neuron 11") {
        assert!(text.unwrap().contains("neuron 11"), "{picture}");
    }
    assert!(result.waterfall(3).unwrap().text().contains("[11]") && result.force(3).is_ok());
    assert!(result.mean().unwrap().bars((0..12).map(|neuron| neuron.to_string())).is_ok());
    // Attributions to the inputs take their names, those for a neuron too.
    let of_neuron = NeuronGradient::new(&net, "sigmoid1", 3).attribute(&test).unwrap();
    assert!(of_neuron.beeswarm(&test).unwrap().text().contains("age"));
    assert!(of_neuron.mean().unwrap().bars(test.feature_names()).is_ok());
}

#[test]
fn fixed_steps_past_a_layer_name_both_causes() {
    let beside = from_fn(|input, layers| {
        let x = input.first();
        let hidden = layers.visit("hidden", x.tanh()?)?;
        Ok((hidden.sum(1)? + x.sum(1)?)?)
    });
    let x = tensor(&rows(23, 2));
    let goes_past = "take more steps, or tolerance(1e-3); if that changes nothing, a part of the output goes past the \
                     layer: attribute to one that all of it goes through";
    for result in [
        LayerConductance::new(&beside, "hidden").attribute(&x, Target::None).unwrap(),
        LayerIntegratedGradients::new(&beside, "hidden").attribute(&x, Target::None).unwrap(),
    ] {
        assert!(result.convergence_delta().unwrap().max_abs() > 0.1);
        let of_all = result.remarks().join("\n");
        assert!(of_all.contains(&format!("for 2 of 2 examples; {goes_past}")), "{of_all}");
        let of_one = result.remarks_of(1).join("\n");
        assert!(of_one.contains(&format!(": {goes_past}")), "{of_one}");
    }
    // Nothing goes past the inputs.
    let jump = from_fn(|input, _| Ok((input.first() * 40.)?.tanh()?.sum(1)?));
    let path = IntegratedGradients::new(&jump).baseline(-0.9);
    for result in
        [path.n_steps(3), path.tolerance(1e-12).max_steps(300)].map(|method| method.attribute(&x, Target::None))
    {
        let result = result.unwrap();
        let remarks = [result.remarks(), result.remarks_of(0)].concat().join("\n");
        assert!(remarks.contains("more steps") && !remarks.contains("layer"), "{remarks}");
    }
}
