//! Records that say where they go: to which stream, partition or topic.

use suiro::{
    DeadLetters, ExchangeKind, Header, Headers, Log, NoKey, Policy, Producer, Reader, Record,
    Result, TestDriver, TestOptions, Topic, Topology,
};

const ORDERS: Topic<String, u64> = Topic::json("orders");
const OUT: Topic<String, u64> = Topic::json("out");

fn values(driver: &mut TestDriver, topic: &Topic<String, u64>) -> Result<Vec<u64>> {
    Ok(driver.read(topic)?.into_iter().map(|record| record.value).collect())
}

#[test]
fn a_branch_takes_what_is_its_own_in_order() -> Result<()> {
    let parts = ["part-0", "part-1", "part-2"].map(|name| OUT.named(name));
    let topology = Topology::new("branches");
    let branches: [_; 3] = topology.stream(&ORDERS).branch(|value| (*value % 5) as usize);
    for (branch, part) in branches.into_iter().zip(&parts) {
        branch.to(part);
    }
    let mut driver = TestDriver::new(topology.build()?)?;
    for value in 0..15 {
        driver.send(&ORDERS, "ann".into(), value, 0)?;
    }
    for (number, part) in (0..).zip(&parts) {
        assert_eq!(values(&mut driver, part)?, [number, number + 5, number + 10]);
    }
    Ok(())
}

#[test]
fn whole_records_show_time_key_and_headers_to_any_step() -> Result<()> {
    let topology = Topology::new("records");
    let orders = topology.stream(&ORDERS).with_headers(|order| {
        let header =
            |header: &Header| (header.key.clone(), header.value.clone().unwrap_or_default());
        let size = ("size".to_owned(), order.value.to_string().into());
        order.headers.iter().map(header).chain([size]).collect()
    });
    let keyed = orders.records().key_by(|order| format!("{}-{}", order.key, order.at));
    keyed.map(|order| order.value + order.headers.iter().count() as u64).to(&OUT);
    let mut driver = TestDriver::new(topology.build()?)?;
    let headers: Headers = [("from", "shop")].into_iter().collect();
    let order = Record { headers, ..Record::new("ann".to_owned(), 250, 7) };
    driver.send_record(&ORDERS, order)?;
    let out = driver.read(&OUT)?;
    assert_eq!((out[0].key.as_str(), out[0].value, out[0].at.as_millis()), ("ann-7", 252, 7));
    let keys: Vec<_> = out[0].headers.iter().map(|header| header.key.as_str()).collect();
    assert_eq!(keys, ["from", "size"]);
    Ok(())
}

#[test]
fn a_partition_that_is_not_there_is_for_the_policy() -> Result<()> {
    let plan = |policy: Option<Policy>| {
        let topology = Topology::new("partitions");
        if let Some(policy) = policy {
            topology.on_error(policy);
        }
        topology.stream(&ORDERS).to_partition(&OUT, |order, _| order.value as u32);
        topology.build()
    };
    let options = TestOptions { partitions: 3, ..TestOptions::default() };
    let mut driver = TestDriver::with_options(plan(Some(Policy::Skip))?, options.clone())?;
    for value in [2, 3, 0, 7, 1] {
        driver.send(&ORDERS, "ann".into(), value, 0)?;
    }
    let out = driver.read_changes(&OUT)?.into_iter();
    let out: Vec<_> = out.map(|order| (order.partition, order.value)).collect();
    assert_eq!(out, [(0, Some(0)), (1, Some(1)), (2, Some(2))]);
    assert_eq!((driver.metrics().skipped, driver.metrics().records_out), (2, 3));

    let letters = Policy::DeadLetter("letters");
    let mut driver = TestDriver::with_options(plan(Some(letters))?, options.clone())?;
    driver.send(&ORDERS, "ann".into(), 3, 0)?;
    let letters = DeadLetters::open(driver.log(), "letters")?.list()?;
    assert_eq!(letters.len(), 1);
    assert!(letters[0].step.contains("by partition"), "{:?}", letters[0].step);

    let mut driver = TestDriver::with_options(plan(None)?, options)?;
    let stopped = driver.send(&ORDERS, "ann".into(), 3, 0).expect_err("nothing says to go on");
    assert!(stopped.report().contains("partition that its topic has not"), "{stopped}");
    Ok(())
}

fn spread() -> Result<suiro::Plan> {
    let topology = Topology::new("spread");
    topology.on_error(Policy::Skip);
    let orders = topology.stream(&ORDERS);
    orders.clone().to(&OUT.named("of-ann"));
    orders.to_topic_of(|order| {
        assert!(order.value != 13, "no luck");
        OUT.named(format!("of-{}", order.key))
    });
    topology.build()
}

#[test]
fn topics_are_found_or_made_when_they_are_named() -> Result<()> {
    for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
        for (batch_rows, run_at_send) in [(1, true), (8192, true), (8192, false)] {
            let log = Log::in_memory();
            Producer::open(&log, &OUT.named("of-bob"))?.create(5)?;
            let options = TestOptions {
                exchange,
                batch_rows,
                run_at_send,
                partitions: 2,
                ..TestOptions::default()
            };
            let mut driver = TestDriver::on_log(spread()?, options, log.clone())?;
            let mut number = 0;
            for key in ["ann", "bob", "cid", "bob", "ann", "cid"] {
                number += 1;
                driver.send(&ORDERS, key.into(), number, number as i64)?;
                driver.send(&ORDERS, key.into(), 13, number as i64)?;
                if number == 3 {
                    driver.run()?;
                    driver.crash()?;
                }
            }
            driver.run()?;
            assert_eq!(values(&mut driver, &OUT.named("of-bob"))?, [2, 4]);
            assert_eq!(values(&mut driver, &OUT.named("of-cid"))?, [3, 6]);
            // What goes there by its name comes behind what goes there anyway, record by record.
            let all = driver.read(&OUT.named("of-ann"))?.into_iter();
            let of_ann = all.filter(|order| order.key == "ann" && order.value != 13);
            assert_eq!(of_ann.map(|order| order.value).collect::<Vec<_>>(), [1, 1, 5, 5]);
            let partitions = |name| -> Result<usize> {
                Ok(Reader::open(&log, &OUT.named(name))?.positions().count())
            };
            assert_eq!((partitions("of-bob")?, partitions("of-cid")?), (5, 2));
        }
    }
    Ok(())
}

#[test]
fn a_name_that_no_topic_can_have_ends_the_app() -> Result<()> {
    let topology = Topology::new("names");
    topology.stream(&ORDERS).to_topic_of(|_| OUT.named(""));
    let mut driver = TestDriver::new(topology.build()?)?;
    let refused = driver.send(&ORDERS, "ann".into(), 1, 0).expect_err("it is no name");
    assert!(refused.report().contains("topic needs a name"), "{}", refused.report());
    Ok(())
}

const EVENTS: Topic<NoKey, u64> = Topic::unkeyed("events");
const COUNTS: Topic<u64, u64> = Topic::json("counts");

#[test]
fn a_repartition_has_as_many_partitions_as_it_was_told() -> Result<()> {
    for (partitions, exchange) in
        [(1, ExchangeKind::Memory), (5, ExchangeKind::Memory), (5, ExchangeKind::Topic)]
    {
        let topology = Topology::new("spread");
        let events = topology.stream(&EVENTS).key_by(|value| value % 20);
        events.repartition_into("spread", partitions).count("counts").to(&COUNTS);
        let options = TestOptions { exchange, partitions: 3, ..TestOptions::default() };
        let mut driver = TestDriver::with_options(topology.build()?, options)?;
        for value in 0..60 {
            driver.send(&EVENTS, NoKey, value, 0)?;
        }
        driver.crash()?;
        for value in 0..20 {
            driver.send(&EVENTS, NoKey, value, 0)?;
        }
        let last = driver.read_last(&COUNTS)?;
        assert_eq!(last, (0..20).map(|key| (key, 4)).collect());
        let topics = Reader::open(driver.log(), &COUNTS)?;
        assert_eq!(topics.positions().count(), partitions as usize);
    }
    Ok(())
}

#[test]
fn what_meets_behind_it_has_as_many() -> Result<()> {
    let topology = Topology::new("meeting");
    let rows = topology.table(&ORDERS);
    let events = topology.stream(&EVENTS).key_by(u64::to_string);
    let events = events.repartition_into("spread", 4);
    events.join(&rows, |event, row| event + row).to(&OUT);
    let options = TestOptions { partitions: 3, ..TestOptions::default() };
    let refused = TestDriver::with_options(topology.build()?, options).map(|_| ());
    let refused = refused.expect_err("three are not four").report();
    assert!(refused.contains("need equal numbers of partitions"), "{refused}");
    let topology = Topology::new("none");
    let none = topology.stream(&ORDERS).repartition_into("spread", 0);
    none.to(&OUT);
    assert!(topology.build().is_err());
    Ok(())
}
