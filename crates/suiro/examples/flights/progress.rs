//! One line on the terminal that says how far the run has come.

use crate::calendar;
use crate::domain::Flight;
use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use suiro::Timestamp;

/// What has been seen so far.
#[derive(Default)]
pub struct Seen {
    flights: AtomicU64,
    newest: AtomicI64,
}

/// Shows what has been seen, until it is dropped. It shows nothing where nobody looks.
pub struct Progress {
    line: Option<(Sender<()>, JoinHandle<()>)>,
}

const REFRESH: Duration = Duration::from_millis(100);
const WIDTH: usize = 30;

impl Seen {
    pub fn add(&self, flight: &Flight) {
        self.flights.fetch_add(1, Ordering::Relaxed);
        self.newest.fetch_max(flight.scheduled.as_millis(), Ordering::Relaxed);
    }

    /// The line. Without the span of the data there is no bar.
    fn line(&self, span: Option<(Timestamp, Timestamp)>) -> String {
        let newest = Timestamp::from_millis(self.newest.load(Ordering::Relaxed));
        let flights = self.flights.load(Ordering::Relaxed);
        let bar = span.map_or(String::new(), |(first, last)| {
            let whole = (last.as_millis() - first.as_millis()).max(1);
            let part = (newest.as_millis() - first.as_millis()).clamp(0, whole);
            let full = (part as usize * WIDTH) / whole as usize;
            format!("[{}{}] ", "=".repeat(full), " ".repeat(WIDTH - full))
        });
        format!("{bar}{} {flights} flights", calendar::show_date(newest))
    }
}

impl Progress {
    pub fn show(seen: &Arc<Seen>, span: Option<(Timestamp, Timestamp)>) -> Self {
        if !stderr().is_terminal() {
            return Self { line: None };
        }
        let (stop, stopped) = channel();
        let seen = Arc::clone(seen);
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(REFRESH) == Err(RecvTimeoutError::Timeout) {
                draw(&seen.line(span));
            }
            draw("");
        });
        Self { line: Some((stop, thread)) }
    }
}

/// Replaces the line. A terminal that takes no text is no reason to stop.
fn draw(line: &str) {
    let _ = write!(stderr(), "\r\x1b[K{line}").and_then(|()| stderr().flush());
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.line.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}
