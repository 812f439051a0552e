//! Which feature goes with the part of another's attributions that its own value leaves open.

use super::swarm::ranked;

/// How many examples of about the same value are compared with each other.
const GROUP: usize = 25;

/// The position of the feature among `columns` that interacts most with one of these values (`own`), which is not at
/// one of the positions `except`; `None` if there is none.
///
/// The examples are sorted by the feature's own value and parted into groups of about the same size, so that within a
/// group it hardly differs; what it still explains along a straight line is taken away. Then the spread of the
/// attributions that goes with another feature, |correlation| times standard deviation, is added up over the groups.
pub(super) fn strongest(own: &[f64], attributions: &[f64], columns: &[Vec<f64>], except: &[usize]) -> Option<usize> {
    let order = ranked(own);
    let groups: Vec<&[usize]> = parts(&order).collect();
    let strength = |other: &Vec<f64>| -> f64 {
        groups.iter().map(|group| group.len() as f64 * shared(group, own, attributions, other)).sum()
    };
    let others = columns.iter().enumerate().filter(|(index, _)| !except.contains(index));
    let mut best: Option<(usize, f64)> = None;
    for (index, strength) in others.map(|(index, other)| (index, strength(other))) {
        // Of equal ones the first.
        if strength > best.map_or(0., |(_, strongest)| strongest * (1. + 1e-9)) {
            best = Some((index, strength));
        }
    }
    best.map(|(index, _)| index)
}

/// An order in parts of about the same size.
fn parts(order: &[usize]) -> impl Iterator<Item = &[usize]> {
    let count = (order.len() / GROUP).max(1);
    (0..count).map(move |part| &order[part * order.len() / count..(part + 1) * order.len() / count])
}

/// How much of the attributions' spread within a group goes with another feature, beyond the feature's own value.
fn shared(group: &[usize], own: &[f64], attributions: &[f64], other: &[f64]) -> f64 {
    let own = centred(group, own);
    let left_open = |values: &[f64]| {
        let values = centred(group, values);
        let slope = if dot(&own, &own) > 0. { dot(&own, &values) / dot(&own, &own) } else { 0. };
        let rest: Vec<f64> = values.iter().zip(&own).map(|(value, own)| value - slope * own).collect();
        // What is left of a straight line is rounding.
        let rounding = dot(&rest, &rest) <= 1e-18 * dot(&values, &values);
        if rounding { vec![0.; rest.len()] } else { rest }
    };
    let (attributions, other) = (left_open(attributions), left_open(other));
    let size = dot(&other, &other).sqrt();
    if size > 0. { dot(&attributions, &other).abs() / size / (group.len() as f64).sqrt() } else { 0. }
}

/// The numbers of a group less their mean, divided by the largest of all, so that squares neither overflow nor vanish.
fn centred(group: &[usize], values: &[f64]) -> Vec<f64> {
    let largest = values.iter().fold(0., |largest: f64, value| largest.max(value.abs()));
    if largest == 0. {
        return vec![0.; group.len()];
    }
    let scaled: Vec<f64> = group.iter().map(|example| values[*example] / largest).collect();
    let mean = scaled.iter().sum::<f64>() / scaled.len() as f64;
    // A constant is its own mean, up to rounding.
    scaled.iter().map(|value| value - mean).map(|value| if value.abs() < 1e-15 { 0. } else { value }).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feature_of_a_product_is_found() {
        let draw = |step: usize| -> Vec<f64> { (0..200).map(|row| (row * step % 211) as f64 / 105.5 - 1.).collect() };
        let columns = vec![draw(83), draw(31), draw(59), vec![3.; 200]];
        // x0·x2 + a curve of x0 alone.
        let attributions: Vec<f64> =
            (0..200).map(|row| columns[0][row] * columns[2][row] + 5. * columns[0][row].powi(2)).collect();
        assert_eq!(strongest(&columns[0], &attributions, &columns, &[0]), Some(2));
    }

    #[test]
    fn nothing_interacts_with_what_does_not_vary() {
        let columns = vec![vec![1., 2., 3., 4.], vec![5.; 4]];
        let first = |attributions: &[f64], columns: &[Vec<f64>]| strongest(&columns[0], attributions, columns, &[0]);
        assert_eq!(first(&[1., 2., 3., 4.], &columns), None);
        assert_eq!(first(&[0.; 4], &[vec![1., 2., 3., 4.], vec![1., 0., 1., 0.]]), None);
        assert_eq!(first(&[1.], &[vec![1.], vec![2.]]), None);
    }
}
