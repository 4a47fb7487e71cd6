//! Topics of an app's own that somebody else has made, and not as the app needs them.
#![allow(clippy::unwrap_used)]

use std::time::Duration;
use suiro::{App, Broker, ErrorKind, Log, Plan, Producer, Topic, Topology};
use suiro_core::broker::{Cleanup, Event, TopicSpec};

const WORDS: Topic<u64, String> = Topic::json("words");

fn plan() -> Plan {
    let topology = Topology::new("app");
    let words = topology.stream(&WORDS).key_by(|word| word.clone());
    let _counts = words.repartition("by-word").count("counts");
    topology.build().unwrap()
}

/// A log with words in three partitions, and a topic that the app has not made.
fn log_with(name: &str, partitions: u32, cleanup: Cleanup) -> Log {
    let log = Log::in_memory();
    let mut words = Producer::open(&log, &WORDS).unwrap();
    words.create(3).unwrap();
    words.send(1, "tea".into(), 0).unwrap();
    words.flush().unwrap();
    let mut session = log.session("somebody").unwrap();
    session.create(vec![TopicSpec { name: name.into(), partitions, cleanup }]);
    let mut events = Vec::new();
    while events.is_empty() {
        session.wait(Duration::from_secs(1));
        session.poll(&mut events);
    }
    assert!(matches!(events[..], [Event::Created(_, Ok(()))]), "{events:?}");
    log
}

#[test]
fn one_that_is_not_as_needed_is_refused_by_name() {
    let short = Cleanup::Delete { after: Some(Duration::from_hours(1)), bytes: None };
    let (changelog, between, forms) =
        ("app.counts.changelog", "app.by-word.repartition", "app.forms");
    for (name, partitions, cleanup, says) in [
        (changelog, 2, Cleanup::Compact, "partitions=`2` needed=`3`"),
        (changelog, 3, Cleanup::Keep, "needed=`cleanup.policy=compact`"),
        (changelog, 3, short, "has=`cleanup.policy=delete,retention.ms=3600000,"),
        (between, 1, Cleanup::Keep, "partitions=`1` needed=`3`"),
        (between, 3, Cleanup::Compact, "has=`cleanup.policy=compact`"),
        (between, 3, short, "needed=`cleanup.policy=delete,retention.ms=-1,"),
        (forms, 3, Cleanup::Compact, "partitions=`3` needed=`1`"),
        (forms, 1, short, "needed=`cleanup.policy=compact`"),
    ] {
        let error = App::new(plan(), log_with(name, partitions, cleanup)).run_to_end();
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.report();
        assert!(text.contains(&format!("topic=`{name}`")), "{text}");
        assert!(text.contains(says), "{says}: {text}");
        assert!(text.contains("reset the app"), "{text}");
    }
    for (name, cleanup) in [(changelog, Cleanup::Compact), (between, Cleanup::Keep)] {
        let ran = App::new(plan(), log_with(name, 3, cleanup)).run_to_end().unwrap();
        assert_eq!(ran.records_in, 1);
    }
}

/// What becomes of the rows of other topics is for their owners to say.
#[test]
fn topics_of_others_are_not_judged() {
    let short = Cleanup::Delete { after: Some(Duration::from_hours(1)), bytes: Some(1) };
    for cleanup in [short, Cleanup::Compact] {
        let log = Log::in_memory();
        let mut session = log.session("somebody").unwrap();
        let spec = |name: &str| TopicSpec { name: name.into(), partitions: 2, cleanup };
        session.create(vec![spec("words"), spec("app.words"), spec("app.counts")]);
        App::new(plan(), log).run_to_end().unwrap();
    }
}
