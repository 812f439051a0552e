//! Captum's own rules for softmax and the largest of a window, for parity. Its rule for softmax does not add up.

use candle_core::Tensor;

use super::gradient::gradient_at;
use super::pair::{Ends, in_upper_rows};
use super::rescale::{divided, ratio};
use crate::error::Result;

/// Softmax: the rescale rule element by element, minus the mean over the whole batch.
pub(super) fn softmax(input: &Ends, output: &Ends, gradient: &Tensor, plain: &Tensor) -> Result<Tensor> {
    let scaled = ratio(input, output, gradient, plain)?;
    in_upper_rows(&scaled.broadcast_sub(&scaled.mean_all()?)?)
}

/// The largest of a window: the amounts by which the larger of both outputs exceeds each of them go to the places of
/// the two largest, divided by the distance of the inputs there.
pub(super) fn largest(
    windows: &dyn Fn(&Tensor) -> Result<Tensor>,
    input: &Ends,
    output: &Ends,
    gradient: &Tensor,
    plain: &Tensor,
) -> Result<Tensor> {
    let above = output.x.maximum(&output.b)?;
    let to_places = |at: &Tensor, amount: Tensor| {
        gradient_at(at, |x| {
            let numbers = windows(x)?;
            let axis = numbers.rank() - 1;
            let first = numbers.detach().contiguous()?.argmax_keepdim(axis)?;
            Ok((numbers.contiguous()?.gather(&first, axis)?.squeeze(axis)? * amount)?)
        })
    };
    let gained = to_places(&input.x, (gradient * (&above - &output.b)?)?)?;
    let lost = to_places(&input.b, (gradient * (&output.x - &above)?)?)?;
    in_upper_rows(&divided(&(gained + lost)?, input, plain)?)
}
