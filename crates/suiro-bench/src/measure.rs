//! Time, CPU and memory of the whole process during some work.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// What some work cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub wall: Duration,
    /// CPU time of all threads.
    pub cpu: Duration,
    pub peak_rss_mb: f64,
}

impl Cost {
    /// Adds what further work of the same subject cost.
    pub fn add(&mut self, more: Self) {
        self.wall += more.wall;
        self.cpu += more.cpu;
        self.peak_rss_mb = self.peak_rss_mb.max(more.peak_rss_mb);
    }
}

/// Does `work`, and says what it cost.
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    // The peak is then that of the work; where the system refuses, it is that of the process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let (wall, cpu) = (Instant::now(), cpu_time());
    let done = work();
    let cost = Cost {
        cpu: cpu_time().saturating_sub(cpu),
        wall: wall.elapsed(),
        peak_rss_mb: memory_mb("self", "VmHWM").unwrap_or(0.0),
    };
    (done, cost)
}

/// The CPU time of this process so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A line of `/proc/<process>/status` that is given in kilobytes, in megabytes.
pub fn memory_mb(process: &str, field: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes / 1024.0)
}
