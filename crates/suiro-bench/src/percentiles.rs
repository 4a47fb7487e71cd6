//! Percentiles of durations.

use std::time::Duration;

/// Durations that were measured, in no order.
#[derive(Default)]
pub struct Durations(Vec<u64>);

impl Durations {
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub fn add(&mut self, duration: Duration) {
        self.0.push(duration.as_nanos() as u64);
    }

    /// In milliseconds, the smallest duration that a share of all does not exceed.
    pub fn percentile_ms(&mut self, share: f64) -> f64 {
        self.0.sort_unstable();
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        let nanos = self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default();
        nanos as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::Durations;
    use std::time::Duration;

    #[test]
    fn percentiles_are_ranks() {
        let mut durations = Durations::default();
        (1..=1_000).rev().for_each(|ms| durations.add(Duration::from_millis(ms)));
        for (share, expected) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1_000.0)] {
            assert_eq!(durations.percentile_ms(share), expected);
        }
        assert_eq!(Durations::default().percentile_ms(0.5), 0.0);
    }
}
