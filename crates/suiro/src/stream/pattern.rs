//! Patterns: what must follow what, and what must not, in the records of a key.

use crate::operators::pattern::{self, Test};
use crate::state::{Holds, Shape, Stage};
use crate::{Data, Found, Key, Match, Stream};
use std::sync::Arc;
use std::time::Duration;
use suiro_core::Error;
use suiro_core::time::millis;

/// So many tests can be told apart.
const TESTS: usize = Holds::BITS as usize;

/// A pattern that is being written down: [`Stream::pattern`] begins it, and
/// [`within`](Pattern::within) says how long a match may take.
///
/// What each step means is written down in rules P1 to P10, in `docs/patterns.md`.
///
/// ```
/// use std::time::Duration;
/// use suiro::{Pattern, Topic, Topology};
///
/// const LOGINS: Topic<String, bool> = Topic::json("logins");
///
/// // Three failures, and then a success.
/// let topology = Topology::new("logins");
/// let guesses: Pattern<String, bool> =
///     topology.stream(&LOGINS).pattern("guesses", |went_well| !went_well).times(3);
/// let guesses = guesses.then(|went_well| *went_well).within(Duration::from_mins(5));
/// let _guesses = guesses.matches();
/// assert!(topology.build()?.describe().contains("pattern guesses within 300000 ms"));
/// # Ok::<(), suiro::Error>(())
/// ```
#[must_use = "a pattern finds nothing until it is told `within` what time"]
pub struct Pattern<K: 'static, V: 'static> {
    stream: Stream<K, V>,
    name: String,
    shape: Shape,
    tests: Vec<Test<V>>,
    /// Whether nothing was said yet of how often the last stage comes.
    is_new: bool,
}

impl<K: 'static, V: 'static> std::fmt::Debug for Pattern<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Pattern");
        debug.field("name", &self.name).field("shape", &self.shape).finish_non_exhaustive()
    }
}

impl<K: Key, V: Data> Stream<K, V> {
    /// Looks in the records of each key for a pattern, that begins with one for which `is` holds
    /// (rules P1 and P2); further steps say what follows, what must not, and within which time.
    /// `name` names the store of partial matches and its changelog, `<app>.<name>.changelog`,
    /// for good.
    ///
    /// Each test is asked once for each record that is not late. A panic in one is one failed
    /// record, for the policy, which stands behind [`matches`](TimedPattern::matches): no match
    /// sees it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const EVENTS: Topic<String, String> = Topic::json("order-events");
    /// const UNPAID: Topic<String, String> = Topic::json("unpaid-orders");
    ///
    /// // Orders that are not paid within half an hour.
    /// let topology = Topology::new("orders");
    /// topology
    ///     .stream(&EVENTS)
    ///     .pattern("unpaid", |event| event == "ordered")
    ///     .not(|event| event == "paid")
    ///     .within(Duration::from_mins(30))
    ///     .matches()
    ///     .map(|unpaid| format!("{} at {}", unpaid.stage(0)[0], unpaid.start))
    ///     .to(&UNPAID);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&EVENTS, "o-1".into(), "ordered".into(), 0)?;
    /// driver.send(&EVENTS, "o-2".into(), "ordered".into(), 1_000)?;
    /// driver.send(&EVENTS, "o-1".into(), "paid".into(), 1_800_000)?;
    /// driver.send(&EVENTS, "o-3".into(), "ordered".into(), 1_801_001)?;
    /// let unpaid = &driver.read(&UNPAID)?[0];
    /// assert_eq!((unpaid.key.as_str(), unpaid.value.as_str()), ("o-2", "ordered at 1000"));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "MATCH_RECOGNIZE")]
    #[doc(alias = "CEP")]
    pub fn pattern(
        self,
        name: &str,
        is: impl Fn(&V) -> bool + Send + Sync + 'static,
    ) -> Pattern<K, V> {
        let (stream, name) = (self, name.to_owned());
        let (shape, tests) = (Shape::default(), Vec::new());
        let pattern = Pattern { stream, name, shape, tests, is_new: false };
        pattern.with_stage(is, false)
    }
}

impl<K: Key, V: Data> Pattern<K, V> {
    fn with_stage(
        mut self,
        is: impl Fn(&V) -> bool + Send + Sync + 'static,
        direct: bool,
    ) -> Self {
        let takes = self.with_test(is);
        let forbids = std::mem::take(&mut self.shape.last_not);
        self.shape.stages.push(Stage { takes, forbids, direct, least: 1, more: false });
        self.is_new = true;
        self
    }

    /// The bit of another test.
    fn with_test(&mut self, is: impl Fn(&V) -> bool + Send + Sync + 'static) -> Holds {
        self.tests.push(Arc::new(is));
        if self.tests.len() > TESTS {
            self.refuse("a pattern has 64 stages and forbidden events at most");
            self.tests.pop();
        }
        1 << (self.tests.len() - 1)
    }

    fn refuse(&self, text: &str) {
        let error = Error::invalid(text.to_owned()).with("pattern", &self.name);
        self.stream.draft.refuse(error);
    }

    /// Then a record comes for which `is` holds; others may come before it (rule P3).
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const PRICES: Topic<String, u64> = Topic::json("prices");
    /// const DIPS: Topic<String, Vec<u64>> = Topic::json("dips");
    ///
    /// let topology = Topology::new("dips");
    /// let prices = topology.stream(&PRICES).pattern("dips", |cents| *cents > 100);
    /// let dips = prices.then(|cents| *cents < 50).then(|cents| *cents > 100);
    /// let dips = dips.within(Duration::from_mins(1)).matches();
    /// dips.map(|dip| dip.into_values()).to(&DIPS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for (at, cents) in (0..).zip([120, 80, 40, 90, 130]) {
    ///     driver.send(&PRICES, "tea".into(), cents, at)?;
    /// }
    /// assert_eq!(driver.read(&DIPS)?[0].value, [120, 40, 130]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "followedBy")]
    pub fn then(self, is: impl Fn(&V) -> bool + Send + Sync + 'static) -> Self {
        self.with_stage(is, false)
    }

    /// The very next record of the key is one for which `is` holds (rule P3). With
    /// [`times`](Pattern::times) that is said of each of them.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const LOGINS: Topic<String, bool> = Topic::json("logins");
    /// const ATTACKS: Topic<String, usize> = Topic::json("attacks");
    ///
    /// // Three failures in a row.
    /// let topology = Topology::new("logins");
    /// let logins = topology.stream(&LOGINS).pattern("attacks", |went_well| !went_well);
    /// let attacks = logins.next(|went_well| !went_well).times(2);
    /// let attacks = attacks.within(Duration::from_mins(1)).matches();
    /// attacks.map(|attack| attack.values().len()).to(&ATTACKS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for (at, went_well) in (0..).zip([false, false, true, false, false, false]) {
    ///     driver.send(&LOGINS, "ann".into(), went_well, at)?;
    /// }
    /// let attacks = driver.read(&ATTACKS)?;
    /// assert_eq!((attacks.len(), attacks[0].at.as_millis()), (1, 5));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn next(self, is: impl Fn(&V) -> bool + Send + Sync + 'static) -> Self {
        self.with_stage(is, true)
    }

    /// No record comes for which `is` holds, between what was said before and what is said
    /// behind it; as the last step, until the time is over (rules P5 and P7).
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const CARTS: Topic<String, String> = Topic::json("carts");
    /// const BOUGHT: Topic<String, u64> = Topic::json("bought-without-a-coupon");
    ///
    /// let topology = Topology::new("carts");
    /// let carts = topology.stream(&CARTS).pattern("plain", |step| step == "filled");
    /// let plain = carts.not(|step| step == "coupon").then(|step| step == "bought");
    /// let plain = plain.within(Duration::from_hours(1)).matches();
    /// plain.map(|_| 1).to(&BOUGHT);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for step in ["filled", "coupon", "bought", "filled", "bought"] {
    ///     driver.send(&CARTS, "ann".into(), step.into(), 0)?;
    /// }
    /// assert_eq!(driver.read(&BOUGHT)?.len(), 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "notFollowedBy")]
    #[doc(alias = "notNext")]
    pub fn not(mut self, is: impl Fn(&V) -> bool + Send + Sync + 'static) -> Self {
        self.shape.last_not |= self.with_test(is);
        self.is_new = false;
        self
    }

    /// The stage before takes `count` records, not one (rule P4).
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const LOGINS: Topic<String, bool> = Topic::json("logins");
    /// const ATTACKS: Topic<String, usize> = Topic::json("attacks");
    ///
    /// // Three failures in ten seconds, whatever is between them.
    /// let topology = Topology::new("logins");
    /// let logins = topology.stream(&LOGINS).pattern("attacks", |went_well| !went_well);
    /// let attacks = logins.times(3).within(Duration::from_secs(10)).matches();
    /// attacks.map(|attack| attack.values().len()).to(&ATTACKS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for second in [0, 8, 11, 12] {
    ///     driver.send(&LOGINS, "ann".into(), false, second * 1_000)?;
    /// }
    /// let attacks = driver.read(&ATTACKS)?;
    /// assert_eq!((attacks.len(), attacks[0].at.as_millis()), (1, 12_000));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn times(self, count: u32) -> Self {
        self.repeated(count, false)
    }

    /// The stage before takes `count` records or more, until the one behind it takes its first
    /// (rule P4). As the last stage it needs a [`not`](Pattern::not) behind it: then it takes all
    /// until the time is over.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const STEPS: Topic<String, String> = Topic::json("steps");
    /// const PATHS: Topic<String, Vec<String>> = Topic::json("paths");
    ///
    /// let topology = Topology::new("paths");
    /// let steps = topology.stream(&STEPS).pattern("paths", |step| step == "search");
    /// let paths = steps.at_least(1).then(|step| step == "buy");
    /// let paths = paths.within(Duration::from_hours(1)).matches();
    /// paths.map(|path| path.into_values()).to(&PATHS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for step in ["search", "look", "search", "buy"] {
    ///     driver.send(&STEPS, "ann".into(), step.into(), 0)?;
    /// }
    /// assert_eq!(driver.read(&PATHS)?[0].value, ["search", "search", "buy"]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "oneOrMore")]
    #[doc(alias = "timesOrMore")]
    pub fn at_least(self, count: u32) -> Self {
        self.repeated(count, true)
    }

    fn repeated(mut self, least: u32, more: bool) -> Self {
        if !self.is_new {
            self.refuse("`times` and `at_least` stand directly behind a stage, and once");
        }
        if least == 0 {
            self.refuse("a stage needs one event at least; `not` says that none may come");
        }
        self.is_new = false;
        if let Some(stage) = self.shape.stages.last_mut() {
            (stage.least, stage.more) = (least.max(1), more);
        }
        self
    }

    /// The events of a match are no further apart in event time than `time`, that included (rule
    /// P6); whole milliseconds count. A partial match is let go of when stream time has come to
    /// its start + `time` + 1 ms (rule P7), so that the state of a key is what came in that time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const STEPS: Topic<String, u64> = Topic::json("steps");
    /// const PAIRS: Topic<String, u64> = Topic::json("pairs");
    ///
    /// let topology = Topology::new("pairs");
    /// let steps = topology.stream(&STEPS).pattern("pairs", |step| *step == 1);
    /// let pairs = steps.then(|step| *step == 2).within(Duration::from_millis(10)).matches();
    /// pairs.map(|pair| pair.values().iter().sum()).to(&PAIRS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for (step, at) in [(1, 100), (2, 110), (1, 200), (2, 211)] {
    ///     driver.send(&STEPS, "k".into(), step, at)?;
    /// }
    /// assert_eq!(driver.read(&PAIRS)?.len(), 1);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn within(mut self, time: Duration) -> TimedPattern<K, V> {
        self.shape.within = millis(time);
        let ends_open = self.shape.stages.last().is_some_and(|stage| stage.more);
        if ends_open && !self.shape.waits() {
            self.refuse(
                "`at_least` at the end of a pattern would be over at once; say `times`, or \
                 `not` behind it to wait for the time",
            );
        }
        TimedPattern(self)
    }
}

/// A pattern with its time: [`Pattern::within`] gives it.
///
/// ```
/// use std::time::Duration;
/// use suiro::{TimedPattern, Topic, Topology};
///
/// const LOGINS: Topic<String, bool> = Topic::json("logins");
///
/// let topology = Topology::new("logins");
/// let logins = topology.stream(&LOGINS).pattern("pairs", |went_well| !went_well).times(2);
/// let pairs: TimedPattern<String, bool> = logins.within(Duration::from_secs(1));
/// let _pairs = pairs.matches();
/// # Ok::<(), suiro::Error>(())
/// ```
#[must_use = "a pattern finds nothing until it is asked for `matches` or `with_time_outs`"]
pub struct TimedPattern<K: 'static, V: 'static>(Pattern<K, V>);

impl<K: 'static, V: 'static> std::fmt::Debug for TimedPattern<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TimedPattern").field(&self.0).finish()
    }
}

impl<K: Key, V: Data> TimedPattern<K, V> {
    /// An event of a match may be in others, too: each record of the first stage makes a match
    /// of its own, if it makes one. Without this a match takes all up to its last event, and the
    /// search goes on behind it (rule P9).
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{TestDriver, Topic, Topology};
    ///
    /// const LOGINS: Topic<String, bool> = Topic::json("logins");
    /// const PAIRS: Topic<String, i64> = Topic::json("pairs");
    ///
    /// let topology = Topology::new("logins");
    /// let logins = topology.stream(&LOGINS).pattern("pairs", |went_well| !went_well).times(2);
    /// let pairs = logins.within(Duration::from_secs(1)).overlapping().matches();
    /// pairs.map(|pair| pair.start.as_millis()).to(&PAIRS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// for at in [0, 100, 200] {
    ///     driver.send(&LOGINS, "ann".into(), false, at)?;
    /// }
    /// let pairs: Vec<_> = driver.read(&PAIRS)?.into_iter().map(|pair| pair.value).collect();
    /// assert_eq!(pairs, [0, 100]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "noSkip")]
    #[doc(alias = "AFTER MATCH SKIP TO NEXT ROW")]
    pub fn overlapping(mut self) -> Self {
        self.0.shape.overlapping = true;
        self
    }

    /// The matches. Each is of the largest time of its events, with the headers of the last that
    /// came (rule P10).
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Match, Stream, Topic, Topology};
    ///
    /// const LOGINS: Topic<String, bool> = Topic::json("logins");
    ///
    /// let topology = Topology::new("logins");
    /// let logins = topology.stream(&LOGINS).pattern("pairs", |went_well| !went_well).times(2);
    /// let pairs: Stream<String, Match<bool>> = logins.within(Duration::from_secs(1)).matches();
    /// pairs.to(&Topic::json("pairs"));
    /// # topology.build()?;
    /// # Ok::<(), suiro::Error>(())
    /// ```
    pub fn matches(self) -> Stream<K, Match<V>> {
        self.add(false, |_, found| found)
    }

    /// The matches, and the partial ones whose time is over before they are whole (rule P7), each
    /// once. What was broken or taken by a match is no time-out.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::{Found, TestDriver, Topic, Topology};
    ///
    /// const STEPS: Topic<String, String> = Topic::json("steps");
    /// const ENDS: Topic<String, String> = Topic::json("ends");
    ///
    /// let topology = Topology::new("carts");
    /// let carts = topology.stream(&STEPS).pattern("carts", |step| step == "filled");
    /// let carts = carts.then(|step| step == "paid").within(Duration::from_mins(10));
    /// carts
    ///     .with_time_outs()
    ///     .map(|cart| match cart {
    ///         Found::Match(_) => "sold".to_owned(),
    ///         Found::TimeOut(part) => format!("left after {}", part.values().len()),
    ///     })
    ///     .to(&ENDS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&STEPS, "ann".into(), "filled".into(), 0)?;
    /// driver.send(&STEPS, "bob".into(), "filled".into(), 1_000)?;
    /// driver.send(&STEPS, "bob".into(), "paid".into(), 601_000)?;
    /// let ends = driver.read(&ENDS)?.into_iter();
    /// let ends: Vec<_> = ends.map(|end| (end.key, end.value)).collect();
    /// let end = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    /// assert_eq!(ends, [end("ann", "left after 1"), end("bob", "sold")]);
    /// # Ok::<(), suiro::Error>(())
    /// ```
    #[doc(alias = "PatternTimeoutFunction")]
    pub fn with_time_outs(self) -> Stream<K, Found<V>> {
        self.add(true, |is_match, found| match is_match {
            true => Found::Match(found),
            false => Found::TimeOut(found),
        })
    }

    fn add<R: Clone + Send + 'static>(
        self,
        wants_time_outs: bool,
        give: pattern::Give<V, R>,
    ) -> Stream<K, R> {
        let Pattern { stream, name, shape, tests, .. } = self.0;
        pattern::add(stream, &name, (shape, tests), wants_time_outs, give)
    }
}
