//! Nexmark: an auction house as a stream of persons, auctions and bids, and queries over it.
//!
//! All events come from one source, made in the process; results go to a sink that adds them up
//! and lets go of them. Each query is a file of `queries/`, and has a plain loop beside it. An
//! event counts whether a query wants it or not. There are 100,000 events in a second of event
//! time.
//!
//! Not here are q10, which writes files, and q12, whose windows go by the time of day.

mod event;
mod figures;
mod generator;
mod queries;
mod sink;

use crate::benches::{Outcome, app};
use crate::digest::Digest;
use crate::measure::{Cost, measure};
use crate::options::{Options, Setup};
use crate::place::Place;
use crate::report::Report;
use event::Event;
use generator::Events;
use sink::Sink;
use std::sync::Arc;
use suiro::{Durability, Stream, Topology};

/// A query, twice.
struct Query {
    /// How the report calls it.
    bench: &'static str,
    /// As a loop over the events.
    plain: fn(&Events, &mut Digest),
    /// As a program.
    suiro: fn(&Topology, Stream<u64, Event>, Sink),
}

/// Runs all queries, or the one that is named: `nexmark-q5`.
pub fn run(options: &Options) -> Outcome<()> {
    let setup = options.setup(10_000_000, 1, Durability::None, 1_000);
    if setup.threads != 1 {
        return Err("the loops of nexmark know one partition; run it with one thread".into());
    }
    let named = |query: &&Query| ["nexmark", query.bench].contains(&options.bench.as_str());
    let mut queries = queries::ALL.iter().filter(named).peekable();
    if queries.peek().is_none() {
        return Err("there is no such query".into());
    }
    let events = Arc::new(Events::new(setup.records));
    for query in queries {
        let mut report = Report::new(query.bench, setup);
        report.subject("loop", None, plain(query, &events))?;
        report.subject("suiro", None, suiro(query, &events, &setup)?)?;
    }
    Ok(())
}

fn plain(query: &Query, events: &Events) -> (Digest, Cost) {
    measure(|| {
        let mut digest = Digest::default();
        (query.plain)(events, &mut digest);
        digest
    })
}

fn suiro(query: &Query, events: &Arc<Events>, setup: &Setup) -> Outcome<(Digest, Cost)> {
    let place = Place::new(setup.durability)?;
    let topology = Topology::new("nexmark");
    let made = Arc::clone(events);
    let stream = topology.generate("events", 1, move |_, number| made.record(number));
    let sink = Sink::default();
    (query.suiro)(&topology, stream, sink.clone());
    let app = app(topology, &place.log, setup)?;
    let (done, cost) = measure(|| app.run_to_end());
    done?;
    Ok((sink.digest(), cost))
}

#[cfg(test)]
mod tests {
    use super::{Digest, Events, Setup, plain, queries, suiro};
    use std::sync::Arc;
    use suiro::Durability;

    /// Each query says what its loop says, and says something, whenever it commits.
    #[test]
    fn queries_agree_with_their_loops() {
        let events = Arc::new(Events::new(6_000));
        let durability = Durability::None;
        let guarantee = suiro::Guarantee::ExactlyOnce;
        let setup =
            Setup { records: 6_000, keys: 1, durability, commit_ms: 1, threads: 1, guarantee };
        for query in queries::ALL {
            let (expected, _) = plain(query, &events);
            let (answer, _) = suiro(query, &events, &setup).expect("the program runs");
            assert_eq!(answer, expected, "{}", query.bench);
            assert_ne!(answer, Digest::default(), "{} says nothing", query.bench);
        }
    }
}
