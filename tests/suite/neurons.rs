//! Neurons that are part of a layer: what is said of the part is said of the sum of its places.

use candle_explain::prelude::*;

use crate::subjects::{Subject, subjects};

fn cnn() -> Subject {
    subjects(DType::F64).into_iter().find(|subject| subject.name == "CNN").unwrap()
}

fn numbers(result: &Attributions) -> Vec<f64> {
    result.values()[0].flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn the_part_is_the_sum_of_its_places() {
    let cnn = cnn();
    let methods: [&dyn Fn(Neuron) -> Result<Attributions>; 2] =
        [&|neuron| NeuronGradient::new(cnn.model.clone(), cnn.layer, neuron).attribute(&cnn.inputs), &|neuron| {
            NeuronIntegratedGradients::new(cnn.model.clone(), cnn.layer, neuron).attribute(&cnn.inputs)
        }];
    for attribute in methods {
        let part = numbers(&attribute(Neuron::from([0..2, 1..3, 2..4])).unwrap());
        let mut sum = vec![0.; part.len()];
        for place in [[0, 1, 2], [0, 1, 3], [0, 2, 2], [0, 2, 3], [1, 1, 2], [1, 1, 3], [1, 2, 2], [1, 2, 3]] {
            let one = numbers(&attribute(Neuron::from(place)).unwrap());
            sum.iter_mut().zip(one).for_each(|(sum, value)| *sum += value);
        }
        for (part, sum) in part.iter().zip(sum) {
            assert!((part - sum).abs() < 1e-12, "{part} instead of {sum}");
        }
        let one = numbers(&attribute(Neuron::from([1..2, 2..3, 3..4])).unwrap());
        assert_eq!(one, numbers(&attribute(Neuron::from([1, 2, 3])).unwrap()));
    }
}

#[test]
fn a_part_that_is_not_there_is_an_error() {
    let cnn = cnn();
    let wrong = |neuron: Neuron| {
        let result = NeuronGradient::new(cnn.model.clone(), cnn.layer, neuron).attribute(&cnn.inputs);
        result.err().expect("an error").to_string()
    };
    let beyond = wrong(Neuron::from([0..2, 1..3, 2..5]));
    assert!(beyond.contains("neuron [0..2, 1..3, 2..5] is out of range") && beyond.contains("[3, 4, 4]"), "{beyond}");
    let empty = wrong(Neuron::from([0..2, 1..1, 2..3]));
    assert!(empty.contains("has an empty range"), "{empty}");
    assert!(wrong(Neuron::from(1..2)).contains("has 3 positions"));
}
