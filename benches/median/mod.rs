//! The median of several times.

pub fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    0.5 * (times[(times.len() - 1) / 2] + times[times.len() / 2])
}
