//! Medians, and how sure we are of their ratio.

/// How often the samples are drawn again.
const DRAWS: usize = 2_000;

/// A ratio with the interval that holds it with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Ratio {
    /// A ratio that was counted, not sampled.
    pub(crate) fn exact(value: f64) -> Ratio {
        Ratio { value, low: value, high: value }
    }
}

/// The middle value; the mean of the middle two when their number is even; 0 without values.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which this share of the values lies, interpolated.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let position = share * last as f64;
    let below = position.floor() as usize;
    let above = position.ceil() as usize;
    sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64)
}

/// Ratio of the medians of two series that were measured in turns.
///
/// The interval comes from a paired bootstrap: runs are drawn again with replacement, both values
/// of a run together, so that what slowed both does not widen the interval.
pub(crate) fn ratio(ours: &[f64], peer: &[f64]) -> Ratio {
    compared(ours, peer, |ours, peer| ours / peer)
}

/// How much more the median of the first is, with the interval as [`ratio`] has it.
pub(crate) fn difference(ours: &[f64], peer: &[f64]) -> Ratio {
    compared(ours, peer, |ours, peer| ours - peer)
}

fn compared(ours: &[f64], peer: &[f64], compare: impl Fn(f64, f64) -> f64) -> Ratio {
    let runs = ours.len().min(peer.len());
    let value = compare(median(ours), median(peer));
    if runs < 2 {
        return Ratio::exact(value);
    }
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut drawn = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        let picks: Vec<usize> = (0..runs).map(|_| dice.below(runs)).collect();
        let again = |series: &[f64]| -> Vec<f64> { picks.iter().map(|run| series[*run]).collect() };
        drawn.push(compare(median(&again(ours)), median(&again(peer))));
    }
    Ratio { value, low: quantile(&drawn, 0.025), high: quantile(&drawn, 0.975) }
}

/// xorshift64*: the same samples always give the same interval.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_even_and_no_values() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn the_interval_holds_the_ratio_and_is_narrow_for_steady_series() {
        let ours: Vec<f64> = (0..100).map(|run| 2.0 + f64::from(run % 5) * 0.01).collect();
        let peer: Vec<f64> = (0..100).map(|run| 10.0 + f64::from(run % 7) * 0.01).collect();
        let ratio = ratio(&ours, &peer);
        assert!(ratio.low <= ratio.value && ratio.value <= ratio.high, "{ratio:?}");
        assert!((ratio.value - 0.2).abs() < 0.01 && ratio.high - ratio.low < 0.01, "{ratio:?}");
    }

    #[test]
    fn what_is_more_is_told_with_its_interval() {
        let peer: Vec<f64> = (0..100).map(|run| 3.0 + f64::from(run % 7) * 0.1).collect();
        let ours: Vec<f64> = peer.iter().map(|figure| figure + 0.25).collect();
        let more = difference(&ours, &peer);
        assert!((more.value - 0.25).abs() < 1e-9 && more.high - more.low < 1e-9, "{more:?}");
    }

    #[test]
    fn noise_widens_the_interval() {
        let peer = vec![10.0; 50];
        let steady = vec![2.0; 50];
        let noisy: Vec<f64> = (0..50).map(|run| if run % 2 == 0 { 1.0 } else { 3.0 }).collect();
        let width = |ours: &[f64]| {
            let ratio = ratio(ours, &peer);
            ratio.high - ratio.low
        };
        assert!(width(&steady) < width(&noisy));
    }
}
