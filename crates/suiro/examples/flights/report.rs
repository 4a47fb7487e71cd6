//! The report: what a reader wants to know of the outputs, and what the run has cost.

use crate::calendar::{show, show_span};
use crate::domain::AirlineTotals;
use crate::outputs::Outputs;
use std::cmp::Reverse;
use std::fmt::{self, Display, Formatter, Write};
use std::time::Duration;
use suiro::Metrics;

/// What the run has cost.
pub struct Cost {
    pub loading: Duration,
    pub running: Duration,
    pub metrics: Metrics,
    /// Rows of files that were skipped.
    pub skipped: u64,
    /// Whether the inputs were in the log before.
    pub resumed: bool,
}

/// The whole report.
pub fn write(outputs: &Outputs, cost: &Cost) -> Result<String, fmt::Error> {
    let mut text = String::new();
    busiest_hours(&mut text, outputs)?;
    airlines_by_delay(&mut text, outputs)?;
    longest_rotations(&mut text, outputs)?;
    summary(&mut text, outputs, cost)?;
    Ok(text)
}

fn busiest_hours(text: &mut String, outputs: &Outputs) -> fmt::Result {
    writeln!(text, "Busiest hours            flights  cancelled  delayed  worst delay")?;
    for ((_, _, origin), hour) in outputs.busiest.iter() {
        let worst = hour.worst_delay.map_or("-".into(), |delay| format!("{delay} min"));
        writeln!(
            text,
            "  {origin}  {} UTC  {:>9}  {:>9}  {:>7}  {worst:>11}",
            show(hour.start),
            hour.flights,
            hour.cancelled,
            hour.delayed,
        )?;
    }
    writeln!(text)
}

fn airlines_by_delay(text: &mut String, outputs: &Outputs) -> fmt::Result {
    let mut airlines: Vec<&AirlineTotals> = outputs.airlines.values().collect();
    airlines.sort_by_key(|row| Reverse(row.delayed * 1_000_000 / row.flights.max(1)));
    writeln!(text, "Airlines by delay              delayed  flights  cancelled       miles")?;
    for row in airlines {
        let share = row.delayed as f64 * 100.0 / row.flights.max(1) as f64;
        writeln!(
            text,
            "  {:<27}  {share:>5.1} %  {:>7}  {:>9}  {:>10}",
            row.airline,
            Grouped(row.flights),
            Grouped(row.cancelled),
            Grouped(row.miles),
        )?;
    }
    writeln!(text)
}

fn longest_rotations(text: &mut String, outputs: &Outputs) -> fmt::Result {
    writeln!(text, "Longest aircraft rotations       time  legs   miles  airports  airline")?;
    for (_, row) in outputs.longest.iter() {
        writeln!(
            text,
            "  {:<6}  from {}  {}  {:>4}  {:>6}  {:>8}  {}",
            row.tailnum,
            show(row.start),
            show_span(row.start, row.end),
            row.legs,
            Grouped(row.miles),
            row.airports.len(),
            row.airline.as_deref().unwrap_or("unknown"),
        )?;
    }
    writeln!(text)
}

fn summary(text: &mut String, outputs: &Outputs, cost: &Cost) -> fmt::Result {
    let Cost { loading, running, metrics, skipped, resumed } = cost;
    let seconds = running.as_secs_f64();
    let speed = metrics.records_in as f64 / seconds.max(0.001);
    writeln!(
        text,
        "{} hours, {} rotations, {} stormy departures, {} late flights",
        Grouped(outputs.hours),
        Grouped(outputs.rotations),
        Grouped(outputs.storms),
        Grouped(outputs.late),
    )?;
    if *resumed {
        writeln!(text, "the log was loaded before; this run goes on where the last one ended")?;
    } else {
        writeln!(text, "loaded in {:.2} s", loading.as_secs_f64())?;
    }
    writeln!(
        text,
        "{} records read, {} late, {} skipped, {} written in {seconds:.2} s: \
         {} records per second",
        Grouped(metrics.records_in),
        Grouped(metrics.late),
        Grouped(metrics.skipped + skipped),
        Grouped(metrics.records_out),
        Grouped(speed as u64),
    )
}

/// A number with its thousands apart.
pub struct Grouped(pub u64);

impl Display for Grouped {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}
