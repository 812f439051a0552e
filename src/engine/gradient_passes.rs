//! The passes that give gradients: at the inputs, at layers, through a neuron.

use std::sync::Arc;

use candle_core::{DType, Tensor, Var};

use super::forward::take;
use super::gradient::{Sample, gradients, measured};
use super::{Expansion, Neuron, Question};
use crate::error::{Error, ErrorKind, Result, error};
use crate::model::{Place, Tap};
use crate::nn::Rule;

impl Question<'_> {
    /// The gradient with respect to the inputs at these points, `[points, ...]` for each input.
    pub(crate) fn input_gradients(&self, points: Vec<Tensor>, at: &Expansion) -> Result<Sample> {
        self.input_gradients_under(None, points, at)
    }

    /// The same by a backward that follows a rule.
    pub(crate) fn input_gradients_under(
        &self,
        rule: Option<Arc<dyn Rule>>,
        points: Vec<Tensor>,
        at: &Expansion,
    ) -> Result<Sample> {
        let at = &at.folded(self.inputs(), &points)?;
        let vars = input_vars(&at.fold_all(&points)?)?;
        let tracked = vars.iter().map(|(_, var)| var.as_tensor().clone()).collect();
        let (scalars, layers) = self.scalars_under(rule, &at.with_tensors(self.inputs(), tracked)?, [], at)?;
        self.gradients((&scalars, layers.kept()), &vars, points, at)
    }

    /// The gradient with respect to layers whose activations are replaced, while the inputs stay the same.
    pub(crate) fn replaced_layer_gradients(
        &self,
        places: &[Place],
        activations: Vec<Tensor>,
        at: &Expansion,
    ) -> Result<Sample> {
        let at = &self.folded_at_layers(&activations, at)?;
        let vars = places
            .iter()
            .zip(&activations)
            .map(|(place, activation)| Ok((place.to_string(), Var::from_tensor(&at.fold(activation)?)?)))
            .collect::<Result<Vec<_>>>()?;
        let taps =
            places.iter().zip(&vars).map(|(place, (_, var))| (place.clone(), Tap::Replace(var.as_tensor().clone())));
        let (scalars, layers) = self.scalars(&at.expand_inputs(self.inputs())?, taps, at)?;
        match self.gradients((&scalars, layers.kept()), &vars, activations.clone(), at) {
            Err(error) if error.kind() == ErrorKind::Gradient && places.len() > 1 => {
                for (place, activation) in places.iter().zip(activations) {
                    self.replaced_layer_gradients(std::slice::from_ref(place), vec![activation], at)?;
                }
                Err(one_above_another(places))
            }
            result => result,
        }
    }

    /// The activations of layers and the gradients with respect to them, at these points of the inputs.
    pub(crate) fn layer_gradients(&self, places: &[Place], points: Vec<Tensor>, at: &Expansion) -> Result<Sample> {
        let at = &at.folded(self.inputs(), &points)?;
        let how = || if places.len() == 1 { Tap::Cut } else { Tap::AddZero };
        let taps = places.iter().map(|place| (place.clone(), how()));
        let (scalars, mut layers) = self.scalars(&at.with_tensors(self.inputs(), at.fold_all(&points)?)?, taps, at)?;
        let mut activations = Vec::new();
        let mut vars = Vec::new();
        for place in places {
            let caught = take(&mut layers, place, at)?;
            activations.push(at.unfold(&caught.activation.detach())?);
            vars.extend(caught.var.map(|var| (place.to_string(), var)));
        }
        self.gradients((&scalars, layers.kept()), &vars, activations, at)
    }

    /// (dF/dy)(dy/dx) for one neuron y of a layer, or the sum of it over several, at these points of the inputs.
    pub(crate) fn gradients_through_neuron(
        &self,
        place: &Place,
        neuron: &Neuron,
        captum: bool,
        points: Vec<Tensor>,
        at: &Expansion,
    ) -> Result<Sample> {
        let at = &at.folded(self.inputs(), &points)?;
        let inputs = input_vars(&at.fold_all(&points)?)?;
        let tracked = inputs.iter().map(|(_, var)| var.as_tensor().clone()).collect();
        let taps = [(place.clone(), Tap::Cut)];
        let (scalars, mut layers) = self.scalars(&at.with_tensors(self.inputs(), tracked)?, taps, at)?;
        let caught = take(&mut layers, place, at)?;
        let upper: Vec<_> = caught.var.map(|var| (place.to_string(), var)).into_iter().collect();
        let activation = at.unfold(&caught.activation)?;
        let above = self.gradients((&scalars, layers.kept()), &upper, vec![activation.clone()], at)?;
        let weigh = if captum { Neuron::weighted_by_captum } else { Neuron::weighted };
        let weighted = weigh(neuron, &activation, &above.gradients[0], place.layer(), at)?;
        let below = self.gradients((&weighted, 0), &inputs, points, at)?;
        Ok(Sample { scalars: above.scalars, footprint: above.footprint.beside(below.footprint), ..below })
    }

    /// The gradients, or zeros where this question only measures.
    fn gradients(
        &self,
        held: (&Tensor, usize),
        wanted: &[(String, Var)],
        activations: Vec<Tensor>,
        at: &Expansion,
    ) -> Result<Sample> {
        let of_pass = if self.measures() { measured } else { gradients };
        let sample = of_pass(held, wanted, activations, at)?;
        let rounded_to = if self.rounds() { DType::BF16 } else { sample.rounded_to };
        Ok(Sample { rounded_to, ..sample })
    }

    /// These rows, of which equal ones are evaluated once: equal in their inputs and in the layers' activations.
    pub(super) fn folded_at_layers(&self, activations: &[Tensor], at: &Expansion) -> Result<Expansion> {
        if self.inputs().origins().is_empty() {
            return Ok(at.clone());
        }
        let inputs = self.inputs().tensors().iter().map(|input| at.expand(input));
        let contents = inputs.chain(activations.iter().map(|activation| Ok(activation.clone())));
        at.folded(self.inputs(), &contents.collect::<Result<Vec<_>>>()?)
    }
}

/// The error for layers of which one gets nothing past another.
pub(super) fn one_above_another(places: &[Place]) -> Error {
    error!(
        Gradient,
        "of {} one is above another, and all that comes from the lower goes through the upper, which is put in its \
         place: attribute to one of them at a time, or to layers side by side",
        joined(places)
    )
}

/// The names of places in a sentence.
pub(super) fn joined(places: &[Place]) -> String {
    places.iter().map(Place::to_string).collect::<Vec<_>>().join(" and ")
}

pub(super) fn input_vars(points: &[Tensor]) -> Result<Vec<(String, Var)>> {
    let named = points.iter().enumerate();
    named.map(|(index, point)| Ok((format!("input {index}"), Var::from_tensor(point)?))).collect()
}
