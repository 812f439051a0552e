//! LRP's rules as multipliers m: the relevance of a tensor is m · x, and each block's rule turns the multipliers of its
//! output into those of its inputs.

use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Tensor};

use crate::engine::host::{host, product};
use crate::engine::lrp_rules::{LrpRule, LrpRules, STABILIZER};
use crate::error::{Result, bail};
use crate::nn::{Block, Call, Operation, Reweighting, Rule, ordinary};

/// Below this an input counts as 0.
const NO_INPUT: f64 = 1e-12;

/// LRP's rules in a pass over some rows.
pub(crate) struct Relevance {
    rules: LrpRules,
    ledger: Mutex<Ledger>,
}

/// What went through the blocks of a pass.
struct Ledger {
    blocks: usize,
    /// How much relevance of each row they absorbed; unknown if the batch was not the first axis of one of them.
    absorbed: Option<Vec<f64>>,
}

impl Relevance {
    pub(crate) fn new(rules: &LrpRules, rows: usize) -> Self {
        let ledger = Ledger { blocks: 0, absorbed: Some(vec![0.; rows]) };
        Self { rules: rules.clone(), ledger: Mutex::new(ledger) }
    }

    /// How many blocks followed the rules.
    pub(crate) fn blocks(&self) -> usize {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).blocks
    }

    /// The relevance of each row that blocks absorbed, if it is known.
    pub(crate) fn absorbed(&self) -> Option<Vec<f64>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).absorbed.clone()
    }

    fn multipliers(&self, call: &Call, gradient: &Tensor) -> Result<Vec<Tensor>> {
        let Call { block, inputs, output, at } = call;
        let block = &**block;
        if let Some(rule) = at.layer.as_ref().and_then(|layer| self.rules.of_layers.get(layer)) {
            return self.by(*rule, call, gradient);
        }
        let stable = || in_proportion(gradient, output, output, self.rules.epsilon());
        match block.operation() {
            Operation::Affine => self.by(self.rules.default, call, gradient),
            Operation::Elementwise | Operation::Relu => self.by(LrpRule::Identity, call, gradient),
            Operation::Max(_) => ordinary(block, inputs, &stable()?),
            Operation::Product => {
                let whole = ordinary(block, inputs, &stable()?)?;
                whole.iter().map(|multiplier| Ok((multiplier * 0.5)?)).collect()
            }
            Operation::Reshape | Operation::Softmax { .. } => ordinary(block, inputs, gradient),
            Operation::Normalization(held) => {
                let multiplier = super::gradient::gradient_at(&inputs[0], |x| Ok((held(x)? * stable()?)?))?;
                Ok(vec![multiplier])
            }
            Operation::Other => bail!(
                Layer,
                "{} computes what LRP has no rule for: give it a name and a rule, .rule(name, LrpRule::Epsilon(1e-9)), \
                 which takes it for linear at its input, or let its Block::operation say what it is",
                at.place
            ),
        }
    }

    fn by(&self, rule: LrpRule, call: &Call, gradient: &Tensor) -> Result<Vec<Tensor>> {
        let Call { block, inputs, output, .. } = call;
        match rule {
            LrpRule::Epsilon(epsilon) => ordinary(&**block, inputs, &in_proportion(gradient, output, output, epsilon)?),
            LrpRule::Gamma(gamma) => {
                self.reweighted(rule, call, gradient, &|weight| weight + (weight.relu()? * gamma)?)
            }
            LrpRule::Alpha1Beta0 => self.reweighted(rule, call, gradient, &|weight| weight.relu()),
            LrpRule::ZPlus => positive_contributions(call, gradient),
            LrpRule::Identity => in_place(call, gradient),
        }
    }

    /// The epsilon rule for a block with other weights.
    fn reweighted(
        &self,
        rule: LrpRule,
        call: &Call,
        gradient: &Tensor,
        change: &dyn Fn(&Tensor) -> candle_core::Result<Tensor>,
    ) -> Result<Vec<Tensor>> {
        let other = of_weights(rule, call, &Reweighting::new(change, !self.rules.set_bias_to_zero))?;
        let output = other.compute(&call.inputs.iter().collect::<Vec<_>>())?.detach();
        ordinary(&*other, &call.inputs, &in_proportion(gradient, &call.output, &output, STABILIZER)?)
    }

    fn note(&self, call: &Call, gradient: &Tensor, multipliers: &[Tensor]) -> Result<()> {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.blocks += 1;
        let Some(absorbed) = &mut ledger.absorbed else { return Ok(()) };
        let mut add = |multiplier: &Tensor, value: &Tensor, sign: f64| -> Result<bool> {
            if value.dims().first() != Some(&absorbed.len()) {
                return Ok(false);
            }
            let (multipliers, values) = (host(multiplier)?, host(value)?);
            let width = (values.len() / absorbed.len()).max(1);
            let rows = absorbed.iter_mut().zip(multipliers.chunks(width).zip(values.chunks(width)));
            for (absorbed, (multipliers, values)) in rows {
                *absorbed += sign * multipliers.iter().zip(values).map(|(m, x)| product(*m, *x)).sum::<f64>();
            }
            Ok(true)
        };
        let mut known = add(gradient, &call.output, 1.)?;
        for (multiplier, input) in multipliers.iter().zip(&call.inputs).filter(|(_, x)| x.dtype().is_float()) {
            known &= add(multiplier, input, -1.)?;
        }
        if !known {
            ledger.absorbed = None;
        }
        Ok(())
    }
}

impl Rule for Relevance {
    fn pull_back(&self, call: &Call, gradient: &Tensor) -> Result<Option<Vec<Tensor>>> {
        let multipliers = self.multipliers(call, gradient)?;
        self.note(call, gradient, &multipliers)?;
        Ok(Some(multipliers))
    }
}

/// m · y / (z + ε sign z): the relevance of each output y, as a share of z.
fn in_proportion(gradient: &Tensor, output: &Tensor, of: &Tensor, epsilon: f64) -> Result<Tensor> {
    let sign = ((of.ge(0.)?.to_dtype(of.dtype())? * 2.)? - 1.)?;
    let stable = (of + (sign * epsilon)?)?;
    let nothing = stable.eq(0.)?;
    let share = (output / nothing.where_cond(&stable.ones_like()?, &stable)?)?;
    Ok((gradient * nothing.where_cond(&share.ones_like()?, &share)?)?)
}

/// The block of an affine call with other weights.
fn of_weights(rule: LrpRule, call: &Call, by: &Reweighting) -> Result<Box<dyn Block>> {
    if let (Operation::Affine, Some(block)) = (call.block.operation(), call.block.reweighted(by)?) {
        return Ok(block);
    }
    bail!(
        Layer,
        "{} cannot follow the rule {rule:?}, which changes weights: it is no affine block that offers them \
         (Block::reweighted); choose LrpRule::Epsilon or LrpRule::Identity for it",
        call.at.place
    )
}

/// The z⁺ rule: what x⁺ gives by W⁺, and x⁻ by W⁻.
fn positive_contributions(call: &Call, gradient: &Tensor) -> Result<Vec<Tensor>> {
    let [input] = call.inputs.as_slice() else {
        bail!(Layer, "{} has {} inputs: the rule ZPlus is for one", call.at.place, call.inputs.len())
    };
    let parts = [(input.relu()?, of_weights(LrpRule::ZPlus, call, &Reweighting::new(&|w| w.relu(), false))?), {
        let negative = |tensor: &Tensor| tensor.neg()?.relu()?.neg();
        (negative(input)?, of_weights(LrpRule::ZPlus, call, &Reweighting::new(&negative, false))?)
    }];
    let [above, below] = &parts;
    let output = (above.1.compute(&[&above.0])? + below.1.compute(&[&below.0])?)?.detach();
    let share = in_proportion(gradient, &call.output, &output, STABILIZER)?;
    let of = |(input, block): &(Tensor, Box<dyn Block>)| -> Result<Tensor> {
        Ok(ordinary(&**block, std::slice::from_ref(input), &share)?.swap_remove(0))
    };
    Ok(vec![input.ge(0.)?.where_cond(&of(above)?, &of(below)?)?])
}

/// Every number's relevance stays in its place.
fn in_place(call: &Call, gradient: &Tensor) -> Result<Vec<Tensor>> {
    let Call { block, inputs, output, at } = call;
    let input = match inputs.as_slice() {
        [input] if input.dims() == output.dims() => input,
        _ => bail!(
            Layer,
            "{} cannot follow the rule Identity: it makes {:?} of {:?}, and relevance stays in its place only if both \
             are the same",
            at.place,
            output.dims(),
            inputs.iter().map(Tensor::dims).collect::<Vec<_>>()
        ),
    };
    let none = input.abs()?.lt(NO_INPUT)?;
    let ratio = (output / none.where_cond(&input.ones_like()?, input)?)?;
    let multiplier = (gradient * ratio)?;
    if none.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()? == 0. {
        return Ok(vec![multiplier]);
    }
    // f(x) / x has the limit f'(0) if f(0) = 0.
    let limit = match block.operation() {
        Operation::Elementwise | Operation::Relu => ordinary(&**block, inputs, gradient)?.swap_remove(0),
        _ => input.zeros_like()?,
    };
    Ok(vec![none.where_cond(&limit, &multiplier)?])
}
