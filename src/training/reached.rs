//! Whether a gradient reaches every parameter.

use super::Parameters;
use super::probe::Loss;
use super::weights::{Kept, describe, number, shift, signs, size};
use crate::error::{Result, bail};
use crate::finite;
use crate::seed::Seed;

/// An error that names the parameters which no gradient reaches, or whose gradient is not finite.
pub(crate) fn check_reached(parameters: &Parameters, loss: &Loss) -> Result<()> {
    let (names, vars) = (parameters.names(), parameters.vars());
    if let Some((name, var)) = names.iter().zip(&vars).find(|(_, var)| !var.dtype().is_float()) {
        bail!(Input, "{} is {:?}: expected parameters of floating-point numbers", describe(name, var), var.dtype())
    }
    let value = loss()?;
    if !number(&value)?.is_finite() {
        return Ok(());
    }
    let gradients = value.backward()?;
    let missing: Vec<usize> = (0..vars.len()).filter(|&index| gradients.get(&vars[index]).is_none()).collect();
    if missing.len() == vars.len() {
        bail!(
            Gradient,
            "no gradient reaches any of the {} parameters: are they this model's own, and does its forward \
             track them (Linear::forward does, Linear::forward_frozen does not)?",
            vars.len()
        )
    }
    if !missing.is_empty() {
        let mut needed = Vec::new();
        for &index in &missing {
            let _back = Kept::new(&vars[index..=index])?;
            shift(&vars[index], &signs(&vars[index], Seed(1))?, size(&vars[index])? / 2.)?;
            needed.push(number(&loss()?)? != number(&value)?);
        }
        let of = |wanted: bool| {
            let of_kind = missing.iter().zip(&needed).filter(|(_, needed)| **needed == wanted);
            of_kind.map(|(&index, _)| describe(&names[index], &vars[index])).collect::<Vec<_>>()
        };
        let cut = of(true);
        if cut.is_empty() {
            bail!(
                Gradient,
                "no gradient reaches {}, and the loss does not depend on it: is it used in the model's forward? \
                 Training would leave it as it is; leave it out of the parameters if that is meant",
                of(false).join(", ")
            )
        }
        bail!(
            Gradient,
            "no gradient reaches {}, although the loss depends on it: an operation between them has no backward \
             (candle_nn's layer_norm, rms_norm and softmax_last_dim have none; use candle_explain::nn), or the weights \
             are kept out of the graph (detach, forward_frozen). Training would leave it as it is; leave it out of the \
             parameters if that is meant",
            cut.join(", ")
        )
    }
    for (name, var) in names.iter().zip(&vars) {
        if let Some(gradient) = gradients.get(var) {
            finite::check(gradient)
                .map_err(|e| e.at(format!("the gradient of {} at the first step", describe(name, var))))?;
        }
    }
    Ok(())
}
