//! One line on the terminal that says how far the run has come.

use crate::calendar;
use crate::report::Grouped;
use std::future::Future;
use std::io::{IsTerminal, Write, stderr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::{Thread, current, park_timeout};
use std::time::Duration;
use suiro::{AppState, Metrics, Result, Running};

const REFRESH: Duration = Duration::from_millis(100);
const WIDTH: u64 = 30;

/// Waits for the end of `running`, and gives what it has counted. On a terminal a line shows
/// how far it is.
pub fn wait(running: Running) -> Result<Metrics> {
    let waker = Waker::from(Arc::new(Unpark(current())));
    let (mut ended, mut context) = (pin!(running.ended()), Context::from_waker(&waker));
    let shown = stderr().is_terminal();
    while ended.as_mut().poll(&mut context).is_pending() {
        if shown {
            draw(&line(&running));
        }
        park_timeout(REFRESH);
    }
    if shown {
        draw("");
    }
    let metrics = running.metrics();
    running.wait().map(|()| metrics)
}

/// Wakes the thread that draws, at the end.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn line(running: &Running) -> String {
    let metrics = running.metrics();
    match running.state() {
        AppState::Restoring(restoring) if restoring.of > 0 => {
            let (records, of) = (restoring.records, restoring.of);
            let (done, all) = (Grouped(records), Grouped(of));
            let megabytes = restoring.bytes / 1_000_000;
            let seconds = restoring.left().unwrap_or_default().as_secs();
            let bar = bar(records, of);
            format!(
                "{bar} restoring: {done} of {all} records, {megabytes} MB, {seconds} s to go"
            )
        }
        _ => working(&metrics),
    }
}

fn working(metrics: &Metrics) -> String {
    let read = metrics.records_in;
    let newest = metrics.tasks.iter().filter_map(|task| task.stream_time).max();
    let day = newest.map_or(String::new(), |at| calendar::show_date(at) + " ");
    format!("{} {day}{} records", bar(read, read + metrics.lag()), Grouped(read))
}

fn bar(part: u64, whole: u64) -> String {
    let full = (part * WIDTH).checked_div(whole).unwrap_or(0).min(WIDTH) as usize;
    format!("[{}{}]", "=".repeat(full), " ".repeat(WIDTH as usize - full))
}

/// Replaces the line. A terminal that takes no text is no reason to stop.
fn draw(line: &str) {
    let _ = write!(stderr(), "\r\x1b[K{line}").and_then(|()| stderr().flush());
}
