//! The program from its command line to its report.

use crate::options::{HELP, Options};
use crate::outputs::Outputs;
use crate::report::{self, Cost};
use crate::{export, load, progress, shared, topology};
use std::ffi::OsString;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;
use suiro::{App, Error, Log, Result};

/// Runs the program with these arguments, its name first, and gives its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    match run(args) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("flights: {}", error.report());
            1
        }
    }
}

fn run(args: impl IntoIterator<Item = OsString>) -> Result<()> {
    let Some(options) = Options::parse(args)? else {
        return print(&format!("{HELP}{}", shared::HELP));
    };
    let temporary = tempfile::tempdir().map_err(|error| {
        Error::unavailable("cannot make a temporary directory; give --dir").caused_by(error)
    })?;
    if let Some(out) = &options.out {
        export::prepare(out)?;
    }
    let dir = options.dir.as_deref().unwrap_or(temporary.path());
    let place = options.shared.open(Log::options(), dir)?;
    let broker = &*place.broker;

    let started = Instant::now();
    let loaded = load::fill(broker, &options)?;
    let loading = started.elapsed();

    let started = Instant::now();
    let app = App::new(
        topology::plan(&options.shared.app, options.on_error)?,
        Arc::clone(&place.broker),
    )
    .threads(options.threads)
    .commit_interval(options.commit_interval);
    let app = match options.exchange {
        Some(exchange) => app.exchange(exchange),
        None => app,
    };
    let app = options.shared.apply(app, dir)?;
    let running = app.start_to_end()?;
    let metrics = progress::wait(running)?;
    let running = started.elapsed();

    let outputs = Outputs::read(broker, options.out.as_deref())?;
    let skipped = loaded.as_ref().map_or(0, |loaded| loaded.skipped);
    let cost = Cost { loading, running, metrics, skipped, resumed: loaded.is_none() };
    let text = report::write(&outputs, &cost)
        .map_err(|error| Error::invalid("cannot write the report").caused_by(error))?;
    print(&text)?;
    place.close()
}

/// Prints `text`; a reader that has gone is an error, not a panic.
fn print(text: &str) -> Result<()> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Error::unavailable("cannot print").caused_by(error))
}
