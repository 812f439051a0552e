//! Weights with their names.

use std::sync::PoisonError;

use candle_core::Var;
use candle_nn::VarMap;

use crate::model::Model;

/// The weights that training may change, each with the name that errors use.
///
/// They come from a candle `VarMap` with its names, from pairs of name and weight, or from
/// a `Vec<Var>`. The latter get their names from
/// [`Model::named_parameters`](crate::model::Model::named_parameters), or else their position.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let [lower, upper] = [Linear::new(3, 8, Seed(1))?, Linear::new(8, 2, Seed(2))?];
/// let named = [lower.named_parameters("lower"), upper.named_parameters("upper")].concat();
/// let both = Parameters::from_iter(named);
/// assert_eq!(both.names(), ["lower.weight", "lower.bias", "upper.weight", "upper.bias"]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Parameters(Vec<Parameter>);

#[derive(Clone, Debug)]
struct Parameter {
    name: Option<String>,
    var: Var,
}

impl Parameters {
    /// The parameters that a model lists.
    pub(crate) fn of(model: &dyn Model) -> Self {
        model.named_parameters().into_iter().collect()
    }

    /// The names; `parameter 0` and so on for weights without one.
    pub fn names(&self) -> Vec<String> {
        let name = |(index, parameter): (usize, &Parameter)| {
            parameter.name.clone().unwrap_or_else(|| format!("parameter {index}"))
        };
        self.0.iter().enumerate().map(name).collect()
    }

    /// The weights.
    pub fn vars(&self) -> Vec<Var> {
        self.0.iter().map(|parameter| parameter.var.clone()).collect()
    }

    /// The same without duplicates; weights without a name get the model's name for them.
    pub(crate) fn settled(self, model: &dyn Model) -> Self {
        let known = model.named_parameters();
        let mut settled: Vec<Parameter> = Vec::with_capacity(self.0.len());
        for Parameter { name, var } in self.0 {
            if settled.iter().any(|other| other.var.id() == var.id()) {
                continue;
            }
            let of_model = || known.iter().find(|(_, other)| other.id() == var.id()).map(|(name, _)| name.clone());
            settled.push(Parameter { name: name.or_else(of_model), var });
        }
        Self(settled)
    }
}

impl<S: Into<String>> FromIterator<(S, Var)> for Parameters {
    fn from_iter<I: IntoIterator<Item = (S, Var)>>(named: I) -> Self {
        Self(named.into_iter().map(|(name, var)| Parameter { name: Some(name.into()), var }).collect())
    }
}

impl From<Vec<Var>> for Parameters {
    fn from(vars: Vec<Var>) -> Self {
        Self(vars.into_iter().map(|var| Parameter { name: None, var }).collect())
    }
}

impl From<&VarMap> for Parameters {
    fn from(vars: &VarMap) -> Self {
        let data = vars.data().lock().unwrap_or_else(PoisonError::into_inner);
        let mut named: Vec<(String, Var)> = data.iter().map(|(name, var)| (name.clone(), var.clone())).collect();
        named.sort_by(|(a, _), (b, _)| a.cmp(b));
        named.into_iter().collect()
    }
}
