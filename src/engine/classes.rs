//! Attributions of several classes in one call.

use super::{Attribute, Attributions, Target};
use crate::error::{Error, ErrorKind, Result, bail};
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
            let repeated = inputs.repeated(classes.len())?;
            let all = method.attribute_to(&repeated, &Target::PerExample(classes.repeat(batch)));
            let all = all.map_err(|error| in_terms_of_examples(error, method, inputs, classes))?;
            (0..classes.len()).map(|class| all.every(classes.len(), class)).collect()
        }
    }
}

/// The error of the largest class by itself, if it has one: its rows and shapes are those that came, and not those of
/// examples repeated for each class. A class that is out of range is the largest.
fn in_terms_of_examples(error: Error, method: &dyn Attribute, inputs: &Inputs, classes: &[usize]) -> Error {
    let Some(class) = classes.iter().max().filter(|_| error.kind() != ErrorKind::Cancelled) else { return error };
    method.attribute_to(inputs, &Target::Class(*class)).err().unwrap_or(error)
}
