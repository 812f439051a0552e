//! Attributions of several classes in one call.

use super::{Attribute, Attributions, Target};
use crate::error::{Result, bail};
use crate::model::Inputs;

/// The attributions of each of these classes. Each example is repeated for each class, and rows that are equal for
/// several classes are evaluated once.
pub(super) fn attribute_classes(
    method: &dyn Attribute,
    inputs: &Inputs,
    classes: &[usize],
) -> Result<Vec<Attributions>> {
    let batch = inputs.batch_size()?;
    match classes {
        [] => bail!(Input, "there are no classes: give at least one, for example 0..2 for both of two"),
        [class] => Ok(vec![method.attribute_to(inputs, &Target::Class(*class))?]),
        _ => {
            let all =
                method.attribute_to(&inputs.repeated(classes.len())?, &Target::PerExample(classes.repeat(batch)))?;
            (0..classes.len()).map(|class| all.every(classes.len(), class)).collect()
        }
    }
}
