//! A method before it is asked anything: what its numbers will mean, and what it takes.

use super::Table;
use super::shown_as::shown_as;
use crate::attr::each_method;
use crate::engine::{Cost, Family, MethodInfo, Requirement};

macro_rules! shown_by_their_row {
    ($($method:ident,)+) => {
        shown_as! { $(crate::attr::$method => |_| table(&crate::attr::$method::INFO);)+ }
    };
}

each_method!(shown_by_their_row);

fn table(method: &MethodInfo) -> Table {
    let requires: Vec<&str> = method.requires.iter().map(|requirement| required(*requirement)).collect();
    let table = Table::new(method.name, &["", ""])
        .row(|row| row.text("meaning").text(method.summary))
        .row(|row| row.text("attributes to").text(attributed(method.family)))
        .row(|row| row.text("passes for one example").text(cost(method.cost)))
        .row(|row| row.text("settings").text(method.option_names().collect::<Vec<_>>().join(", ")))
        .row(|row| row.text("paper").text(method.paper));
    let table = match requires.as_slice() {
        [] => table,
        _ => table.row(|row| row.text("requires").text(requires.join("; "))),
    };
    table.remark(match method.has_target {
        true => "Ask it with .attribute(&inputs, target)",
        false => "Ask it with .attribute(&inputs, Target::None)",
    })
}

fn attributed(family: Family) -> &'static str {
    match family {
        Family::Primary => "inputs",
        Family::Layer => "the activations of layers",
        Family::Neuron => "inputs, for one neuron of a layer",
    }
}

fn cost(cost: Cost) -> &'static str {
    match cost {
        Cost::Forward => "forward",
        Cost::ForwardBackward => "one forward and one backward",
        Cost::PerStep => "a forward and a backward for each step",
        Cost::PerFeature => "a forward for each feature",
        Cost::PerCoalition => "a forward for each set of features",
        Cost::PerSample => "one or more for each sample",
    }
}

fn required(requirement: Requirement) -> &'static str {
    match requirement {
        Requirement::Gradients => "gradients",
        Requirement::Blocks => "what is not linear is run as blocks",
        Requirement::Relus => "ReLUs that are run as blocks",
        Requirement::Distribution => "several baselines",
        Requirement::SeveralRows => "several rows",
    }
}
