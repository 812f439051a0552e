//! Compares the gradient of every parameter with differences of the loss.

use candle_core::Var;

use super::probe::{Loss, Probe, Slope};
use super::weights::{Kept, describe, shift, signs, size};
use super::{Effort, Parameters};
use crate::error::{Result, bail};
use crate::seed::Seed;

/// How far the weights are first moved, relative to their size: away from kinks, ties and layers that
/// begin at 0.
const AWAY: f64 = 0.02;

/// An error that names the parameters whose gradient disagrees with differences of the loss: from
/// w − d to w + d the loss must change by ⟨gradient, 2d⟩. Afterwards the weights are as before.
///
/// Nothing is reported for a random loss, or if rounding hides the answer.
pub(crate) fn check_differences(parameters: &Parameters, effort: Effort, loss: &Loss) -> Result<()> {
    let vars = parameters.vars();
    let _back = Kept::new(&vars)?;
    for (index, var) in vars.iter().enumerate() {
        shift(var, &signs(var, Seed(2).child(index))?, AWAY * size(var)?)?;
    }
    let Some(probe) = Probe::new(&vars, loss)? else { return Ok(()) };
    let mut doubted = Vec::new();
    for group in groups(vars.len(), effort.groups) {
        let found = doubts(&probe, &vars, &group)?;
        if found.is_empty() || group.len() == 1 {
            doubted.extend(found);
            continue;
        }
        let before = doubted.len();
        for index in group.clone() {
            doubted.extend(doubts(&probe, &vars, &(index..index + 1))?);
        }
        if !doubted[before..].iter().any(Doubt::is_sure) {
            doubted.extend(found);
        }
    }
    let Some(Doubt { group, slope: Slope { measured, claimed, .. }, .. }) =
        doubted.iter().find(|doubt| doubt.is_sure())
    else {
        return Ok(());
    };
    // A loss that is random only now and then may not have been noticed before.
    if !probe.is_same_again()? {
        return Ok(());
    }
    let names = parameters.names();
    let mut listed: Vec<usize> = doubted.iter().flat_map(|doubt| doubt.group.clone()).collect();
    listed.sort_unstable();
    listed.dedup();
    let listed: Vec<String> = listed.into_iter().map(|index| describe(&names[index], &vars[index])).collect();
    bail!(
        Gradient,
        "the gradient is wrong at {}: along one direction of \"{}\" the loss has the slope {measured:.3e}, and by \
         the gradient it would be {claimed:.3e}. An operation above has no backward or a wrong one \
         (candle_nn's layer_norm, rms_norm and softmax_last_dim, candle's pooling, max of ties and upsampling; use \
         candle_explain::nn). If the gradient differs on purpose, train with gradient_check(Check::Off)",
        listed.join(", "),
        names[group.clone()].join("\", \"")
    )
}

/// Parameters whose gradient disagrees with the loss.
struct Doubt {
    group: std::ops::Range<usize>,
    /// Along how many directions they disagree.
    directions: usize,
    slope: Slope,
}

impl Doubt {
    /// Whether they disagree along more than one direction: along one it may be chance.
    fn is_sure(&self) -> bool {
        self.directions > 1
    }
}

fn doubts(probe: &Probe, vars: &[Var], group: &std::ops::Range<usize>) -> Result<Vec<Doubt>> {
    let found = probe.disagreements(&vars[group.clone()], Seed(3).child(group.start))?;
    let doubt = |slope: &Slope| Doubt { group: group.clone(), directions: found.len(), slope: *slope };
    Ok(found.last().map(doubt).into_iter().collect())
}

/// The parameters in at most `most` groups of neighbours.
fn groups(parameters: usize, most: usize) -> Vec<std::ops::Range<usize>> {
    let most = most.clamp(1, parameters);
    (0..most).map(|group| group * parameters / most..(group + 1) * parameters / most).collect()
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::*;

    /// The middle one of seven has a gradient that misses a part.
    #[test]
    fn groups_are_taken_apart_where_one_of_them_is_wrong() {
        let values = (0..7).map(|index| Tensor::full(0.3 + 0.1 * f64::from(index), 5, &Device::Cpu).unwrap());
        let vars: Vec<Var> = values.map(|value| Var::from_tensor(&value).unwrap()).collect();
        let loss = |cut: usize| {
            let mut sum = Tensor::zeros((), DType::F64, &Device::Cpu)?;
            for (index, var) in vars.iter().enumerate() {
                let half = (var.as_tensor() * 0.5)?;
                let other = if index == cut { half.detach() } else { half.clone() };
                sum = (sum + (half + other)?.sin()?.sum_all()?)?;
            }
            Ok(sum.sqr()?)
        };
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let parameters: Parameters = names.into_iter().zip(vars.iter().cloned()).collect();
        for groups in [1, 2, 3, 7] {
            let check = |cut: usize| check_differences(&parameters, Effort { rows: 1, groups }, &|| loss(cut));
            check(7).unwrap();
            let error = check(3).unwrap_err().to_string();
            assert!(error.starts_with("the gradient is wrong at \"d\" [5]: along"), "{groups}: {error}");
        }
    }

    #[test]
    fn groups_hold_every_parameter_once() {
        for (parameters, most) in [(1, 1), (7, 3), (7, 100), (200, 4), (5, 0)] {
            let groups = groups(parameters, most);
            assert!(groups.len() <= most.max(1) && groups.iter().all(|group| !group.is_empty()));
            assert_eq!(groups.into_iter().flatten().collect::<Vec<_>>(), (0..parameters).collect::<Vec<_>>());
        }
    }
}
