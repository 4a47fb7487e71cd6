//! The program from its command line to the table that it prints.

use super::options::{HELP, Options, parse};
use super::program::{ENGAGEMENTS, Engagement, ad_engagements};
use super::traffic;
use crate::shared;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use suiro::{App, Error, Log, Reader, Result};

/// Runs the program as the command line says, and gives the exit code of the process.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let options = match parse(args) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}{}", shared::HELP);
            return 0;
        }
        Err(error) => {
            eprintln!("ad_engagements: {error}; --help names the options");
            return 2;
        }
    };
    match run(&options) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("ad_engagements: {}", error.report());
            1
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let temporary = tempfile::tempdir().map_err(|error| {
        Error::unavailable("cannot make a temporary directory; give --dir").caused_by(error)
    })?;
    let dir = options.dir.as_deref().unwrap_or(temporary.path());
    let place = options.shared.open(Log::options(), dir)?;
    let broker = &*place.broker;
    traffic::write(broker, options.seed, options.touches, options.partitions)?;
    let app = App::new(ad_engagements(&options.shared.app)?, Arc::clone(&place.broker))
        .threads(options.threads)
        .commit_interval(options.commit_interval);
    let app = match options.exchange {
        Some(exchange) => app.exchange(exchange),
        None => app,
    };
    let app = options.shared.apply(app, dir)?;
    let counted = app.run_to_end()?;

    let mut engagements = BTreeMap::new();
    for record in Reader::open(broker, &ENGAGEMENTS)?.read_to_end()? {
        engagements.extend(record.value.map(|value| (record.key, value)));
    }
    println!("{:10} {:>11} {:>15} {:>8}", "ad", "conversions", "views per click", "cost");
    for Engagement { title, conversions, views, cost_cents } in engagements.into_values() {
        let (each, cost) = (views as f64 / conversions as f64, cost_cents as f64 / 100.0);
        println!("{title:10} {conversions:11} {each:15.2} {cost:8.2}");
    }
    println!("{} views and clicks, of which {} came too late", options.touches, counted.late);
    place.close()
}
