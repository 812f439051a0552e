//! Dots that lie next to each other instead of on each other.

/// How far apart two visits of dots are in their order, as a share of all: the golden ratio spreads any first few evenly.
const SPREAD: f64 = 0.618_033_988_749_894_9;

/// Where dots at these places along a line go across it, in dots away from it (…, −1, 0, 1, …), so that none overlaps
/// another; `None` for a dot that finds no room within `most` dots on either side. Dots nearer than `diameter` overlap.
///
/// Which dots find no room does not depend on what they show: dots are set in the order of `ranks`, spread evenly.
pub(super) fn levels(places: &[f64], ranks: &[usize], diameter: f64, most: i32) -> Vec<Option<i32>> {
    let mut taken: Vec<Vec<f64>> = vec![Vec::new(); 2 * most as usize + 1];
    let mut levels = vec![None; places.len()];
    for &dot in &spread(ranks) {
        let place = places[dot];
        let free = outwards(most).find(|level| {
            let line = &taken[(level + most) as usize];
            let next = line.partition_point(|other| *other < place);
            let apart = |other: Option<&f64>| other.is_none_or(|other| (other - place).abs() >= diameter);
            apart(line.get(next)) && apart(next.checked_sub(1).and_then(|before| line.get(before)))
        });
        if let Some(level) = free {
            let line = &mut taken[(level + most) as usize];
            line.insert(line.partition_point(|other| *other < place), place);
            levels[dot] = Some(level);
        }
    }
    levels
}

/// The levels from the middle outwards: 0, 1, −1, 2, −2, ...
fn outwards(most: i32) -> impl Iterator<Item = i32> {
    std::iter::once(0).chain((1..=most).flat_map(|level| [level, -level]))
}

/// The same positions in an order in which every beginning is spread evenly over the whole.
fn spread(ranks: &[usize]) -> Vec<usize> {
    let mut order: Vec<(f64, usize)> =
        ranks.iter().enumerate().map(|(rank, dot)| ((rank as f64 * SPREAD).fract(), *dot)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    order.into_iter().map(|(_, dot)| dot).collect()
}

/// The positions of numbers, from the lowest.
pub(super) fn ranked(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_dot_overlaps_another() {
        let places: Vec<f64> = (0..300).map(|dot| f64::from(dot * dot % 97) * 0.7).collect();
        let levels = levels(&places, &ranked(&places), 5., 40);
        assert!(levels.iter().all(Option::is_some));
        for one in 0..places.len() {
            for other in 0..one {
                let same = levels[one] == levels[other];
                assert!(!same || (places[one] - places[other]).abs() >= 5., "{one} and {other}");
            }
        }
    }

    #[test]
    fn what_finds_no_room_is_spread_over_the_ranks() {
        let places = vec![7.; 100];
        let ranks: Vec<usize> = (0..100).collect();
        let levels = levels(&places, &ranks, 1., 4);
        let drawn: Vec<usize> = (0..100).filter(|dot| levels[*dot].is_some()).collect();
        assert_eq!(drawn.len(), 9);
        assert!(drawn.iter().filter(|dot| **dot < 50).count().abs_diff(4) <= 1, "{drawn:?}");
    }
}
