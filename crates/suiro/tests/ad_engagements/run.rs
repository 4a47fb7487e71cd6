//! Runs the same ops through the program and through the model, and compares all that they say.

use super::model::{AdChange, Engagements, Session, Touched, Visits};
use super::open::{CHANGES, LATE, PAID, UPDATES, VISITS, in_the_open};
use super::ops::Op;
use super::program::{
    ADS, CLICKS, Click, ENGAGEMENTS, Touch, UserId, VIEWS, View, ad_engagements,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use suiro::{ExchangeKind, InWindow, Plan, Result, TestDriver, TestOptions, Topic, Topology};
use suiro_core::partition::partition_of;

/// The program of the example, with every step in the open.
fn open_plan() -> Result<Plan> {
    let topology = Topology::new("in-the-open");
    in_the_open(&topology);
    topology.build()
}

/// How a plan is run. `live` lets it run after each record, else it runs when an op says so.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    pub partitions: u32,
    pub exchange: ExchangeKind,
    pub batch_rows: usize,
    pub live: bool,
}

/// All of them.
pub fn every_mode() -> Vec<Mode> {
    let mut modes = Vec::new();
    for partitions in [1, 3] {
        for exchange in [ExchangeKind::Memory, ExchangeKind::Topic] {
            for batch_rows in [1, 2, 7, 8192] {
                for live in [true, false] {
                    modes.push(Mode { partitions, exchange, batch_rows, live });
                }
            }
        }
    }
    modes
}

/// Any of them.
pub fn any_mode() -> impl Strategy<Value = Mode> {
    prop::sample::select(every_mode())
}

/// Does `ops` to a plan.
fn drive(plan: Plan, ops: &[Op], mode: Mode) -> Result<TestDriver> {
    let Mode { partitions, exchange, batch_rows, live } = mode;
    let options = TestOptions {
        partitions,
        exchange,
        batch_rows,
        run_at_send: live,
        ..TestOptions::default()
    };
    let mut driver = TestDriver::with_options(plan, options)?;
    for op in ops {
        match op.clone() {
            Op::Touch(user, Touch::Viewed(ad), at) => {
                driver.send(&VIEWS, user, View { ad }, at)?;
            }
            Op::Touch(user, Touch::Clicked(ad), at) => {
                driver.send(&CLICKS, user, Click { ad }, at)?;
            }
            Op::Ad(id, Some(ad), at) => driver.send(&ADS, id, ad, at)?,
            Op::Ad(id, None, at) => driver.remove(&ADS, id, at)?,
            Op::Run => driver.run()?,
            Op::Crash => driver.crash()?,
            Op::Finish => driver.finish()?,
        }
    }
    driver.run()?;
    Ok(driver)
}

/// What the model says of `ops`.
pub struct Expected {
    /// For each partition.
    pub visits: Vec<Visits>,
    /// For all partitions together.
    pub engagements: Engagements,
    /// Whether the rules give the order in which conversions meet each other and the ads.
    /// Conversions of several partitions that wait at the same time meet in any order; so do
    /// conversions and ads if they come up together where both inputs were caught up (rule T3).
    ordered: bool,
    /// The program has only started, and waits for every lane before it takes a turn.
    fresh: bool,
}

/// Records that wait for the model to take them.
#[derive(Default)]
struct Waiting {
    views: Vec<Touched>,
    clicks: Vec<Touched>,
    ads: Vec<AdChange>,
}

/// What the model says of `ops`, in so many partitions.
pub fn expect(ops: &[Op], partitions: u32, live: bool) -> Expected {
    let visits = vec![Visits::default(); partitions as usize];
    let mut expected =
        Expected { visits, engagements: Engagements::default(), ordered: true, fresh: true };
    let mut waiting = Waiting::default();
    for op in ops {
        match op.clone() {
            Op::Touch(user, touch @ Touch::Viewed(_), at) => {
                waiting.views.push((user, touch, at))
            }
            Op::Touch(user, touch, at) => waiting.clicks.push((user, touch, at)),
            Op::Ad(id, ad, at) => waiting.ads.push((id, ad, at)),
            Op::Run => expected.take(&mut waiting, false),
            Op::Crash => expected.fresh = true,
            Op::Finish => {
                expected.fresh = true;
                expected.take(&mut waiting, true);
                expected.fresh = true;
            }
        }
        if live {
            expected.take(&mut waiting, false);
        }
    }
    expected.take(&mut waiting, false);
    expected
}

impl Expected {
    /// Takes what waits, and ends the input if `finish` says so.
    fn take(&mut self, waiting: &mut Waiting, finish: bool) {
        let Waiting { views, clicks, ads } = std::mem::take(waiting);
        let count = self.visits.len() as u32;
        let home = |key: u32| partition_of(key.to_string().as_bytes(), count);
        let of = |touched: &[Touched], partition| -> Vec<Touched> {
            touched.iter().filter(|it| home(it.0.0) == partition).copied().collect()
        };
        let (mut conversions, mut senders) = (Vec::new(), 0);
        for (partition, visits) in (0..).zip(&mut self.visits) {
            let before = visits.closed.len();
            visits.take(of(&views, partition), of(&clicks, partition));
            if finish {
                visits.finish();
            }
            let had = conversions.len();
            for visit in &visits.closed[before..] {
                let made = visit.value.conversions().into_iter();
                conversions.extend(made.map(|conversion| (conversion, visit.end)));
            }
            senders += usize::from(conversions.len() > had);
        }
        let met = !ads.is_empty() && !conversions.is_empty();
        self.ordered &= senders < 2 && (self.fresh || !met);
        self.fresh = false;
        for partition in 0..count {
            let ads = ads.iter().filter(|it| home(it.0.0) == partition);
            let made = conversions.iter().filter(|it| home(it.0.ad.0) == partition);
            self.engagements.take(ads.cloned().collect(), made.cloned().collect());
        }
    }
}

/// Holds the program and its open twin against the model.
pub fn hold(ops: &[Op], mode: Mode) {
    let expected = expect(ops, mode.partitions, mode.live);
    compare(ops, mode, &expected).expect("the program takes all that the ops send");
    let last = drive(ad_engagements("ad-engagements").expect("the example builds"), ops, mode)
        .and_then(|mut driver| driver.read_last(&ENGAGEMENTS));
    let last = last.expect("the program takes all that the ops send");
    assert_eq!(last, expected.engagements.rows(), "rows of the example, {mode:?}");
}

fn compare(ops: &[Op], mode: Mode, expected: &Expected) -> Result<()> {
    let mut driver = drive(open_plan()?, ops, mode)?;
    let count = mode.partitions as usize;
    let visits = sessions(&mut driver, &VISITS, count)?;
    let updates = sessions(&mut driver, &UPDATES, count)?;
    let mut late = vec![Vec::new(); count];
    for record in driver.read_changes(&LATE)? {
        let touch = record.value.expect("a touch is never removed");
        late[record.partition as usize].push((record.key, touch, record.at.as_millis()));
    }
    for (partition, model) in expected.visits.iter().enumerate() {
        let place = format!("partition {partition}, {mode:?}");
        assert_eq!(visits[partition], model.closed, "closed visits, {place}");
        let known = updates[partition].len().min(model.updates.len());
        assert_eq!(updates[partition][..known], model.updates, "updates of visits, {place}");
        assert_eq!(late[partition], model.late, "late touches, {place}");
    }

    let (mut paid, mut changes) = (BTreeMap::new(), BTreeMap::new());
    for record in driver.read_changes(&PAID)? {
        let of_ad: &mut Vec<_> = paid.entry(record.key).or_default();
        of_ad.push((record.value.expect("a cost is never removed"), record.at.as_millis()));
    }
    for record in driver.read_changes(&CHANGES)? {
        let of_ad: &mut Vec<_> = changes.entry(record.key).or_default();
        of_ad.push((record.value.flatten(), record.at.as_millis()));
    }
    let model = &expected.engagements;
    if expected.ordered {
        assert_eq!(paid, model.paid, "looked up costs, {mode:?}");
        assert_eq!(changes, model.changes, "changes of engagements, {mode:?}");
    }
    let last = changes.into_iter().filter_map(|(id, rows)| Some((id, rows.last()?.0.clone()?)));
    assert_eq!(last.collect::<BTreeMap<_, _>>(), model.rows(), "last engagements, {mode:?}");
    Ok(())
}

/// The sessions that were written, for each partition.
fn sessions<A: Clone>(
    driver: &mut TestDriver,
    topic: &Topic<UserId, InWindow<A>>,
    count: usize,
) -> Result<Vec<Vec<Session<A>>>> {
    let mut sessions = vec![Vec::new(); count];
    for record in driver.read_changes(topic)? {
        let InWindow { start, end, value } = record.value.expect("a session is never null");
        assert_eq!(record.at, end, "the time of a session is its end");
        let (start, end) = (start.as_millis(), end.as_millis());
        let session = Session { user: record.key, start, end, value };
        sessions[record.partition as usize].push(session);
    }
    Ok(sessions)
}
