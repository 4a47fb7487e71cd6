//! Joins sessions of views and clicks with a table of ads, and prints how the ads do.
//!
//! `cargo run --release --example ad_engagements [TOUCHES [SEED]]`

mod program;
mod traffic;

use program::{ENGAGEMENTS, Engagement};
use std::collections::BTreeMap;
use std::error::Error;
use suiro::{App, Log, Reader};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let touches = args.next().map_or(Ok(20_000), |text| text.parse())?;
    let seed = args.next().map_or(Ok(1), |text| text.parse())?;

    let dir = tempfile::tempdir()?;
    let log = Log::open(dir.path())?;
    traffic::write(&log, seed, touches)?;
    let counted = App::new(program::ad_engagements()?, log.clone()).run_to_end()?;

    let mut engagements = BTreeMap::new();
    for record in Reader::open(&log, &ENGAGEMENTS)?.read_to_end()? {
        engagements.extend(record.value.map(|value| (record.key, value)));
    }
    println!("{:10} {:>11} {:>15} {:>8}", "ad", "conversions", "views per click", "cost");
    for Engagement { title, conversions, views, cost_cents } in engagements.into_values() {
        let (each, cost) = (views as f64 / conversions as f64, cost_cents as f64 / 100.0);
        println!("{title:10} {conversions:11} {each:15.2} {cost:8.2}");
    }
    println!("{touches} views and clicks, of which {} came too late", counted.late);
    Ok(())
}
