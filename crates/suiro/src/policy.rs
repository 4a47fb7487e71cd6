//! What becomes of records that a step cannot take.

use crate::draft::Draft;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What becomes of a record that cannot be decoded, or whose step fails or panics.
///
/// One policy is set per topology with [`Topology::on_error`](crate::Topology::on_error), and
/// any step may have its own. The default is `Stop`. Null values and null keys where a topic
/// has none, and negative times, are skipped and counted unless a policy was set (rules T1, N1
/// and N2).
///
/// ```
/// use suiro::{Policy, TestDriver, Topic, Topology};
///
/// const TEXTS: Topic<u64, String> = Topic::json("texts");
/// const NUMBERS: Topic<u64, i64> = Topic::json("numbers");
///
/// let topology = Topology::new("strict");
/// topology.on_error(Policy::Skip);
/// let numbers = topology.stream(&TEXTS).try_map(|text| text.parse::<i64>());
/// numbers.on_error(Policy::Stop).to(&NUMBERS);
///
/// let mut driver = TestDriver::new(topology.build()?)?;
/// driver.send(&Topic::<u64, u8>::json("texts"), 1, 7, 0)?;
/// assert_eq!(driver.metrics().skipped, 1);
/// assert!(driver.send(&TEXTS, 1, "many".into(), 1).is_err());
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Commits everything before the record, then ends the app with an error that names it.
    Stop,
    /// Drops the record at the failing step and counts it. Earlier steps keep their effect,
    /// the row of the failing step is as it was before.
    Skip,
    /// As `Skip`, and a letter goes to the topic of this name, in the same commit, so that there
    /// is exactly one: the record's own bytes, with its topic, partition, offset, the step and
    /// the cause in headers. [`DeadLetters`](crate::DeadLetters) lists letters and sends their
    /// records again. A topic that does not exist is created, with one partition.
    ///
    /// ```
    /// use suiro::{DeadLetters, Policy, TestDriver, Topic, Topology};
    ///
    /// const TEXTS: Topic<u64, String> = Topic::json("texts");
    /// const NUMBERS: Topic<u64, i64> = Topic::json("numbers");
    ///
    /// let topology = Topology::new("parse");
    /// topology.on_error(Policy::DeadLetter("texts-dead"));
    /// topology.stream(&TEXTS).try_map(|text| text.parse::<i64>()).to(&NUMBERS);
    ///
    /// let mut driver = TestDriver::new(topology.build()?)?;
    /// driver.send(&TEXTS, 1, "many".into(), 0)?;
    /// driver.send(&TEXTS, 2, "7".into(), 1)?;
    /// assert_eq!(driver.read(&NUMBERS)?[0].value, 7);
    /// let letters = DeadLetters::open(driver.log(), "texts-dead")?.list()?;
    /// assert_eq!((&*letters[0].step, letters[0].value.as_deref()), ("try_map", Some(&b"\"many\""[..])));
    /// # Ok::<(), suiro::Error>(())
    /// ```
    DeadLetter(&'static str),
}

/// What a policy comes to: letters go to the topic of that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Stop,
    Skip,
    Letter(usize),
}

impl Rule {
    pub(crate) fn letter(self) -> Option<usize> {
        match self {
            Self::Letter(topic) => Some(topic),
            Self::Stop | Self::Skip => None,
        }
    }
}

/// A policy that may be set while the topology is written, and is read when it runs.
#[derive(Clone, Debug)]
pub(crate) struct PolicyCell {
    own: Arc<AtomicU32>,
    shared: Arc<AtomicU32>,
}

const UNSET: u32 = 0;
const STOP: u32 = 1;
const SKIP: u32 = 2;
/// And more: the number of the topic that takes letters.
const LETTER: u32 = 3;

fn code(draft: &Draft, policy: &Policy) -> u32 {
    match policy {
        Policy::Stop => STOP,
        Policy::Skip => SKIP,
        Policy::DeadLetter(topic) => LETTER + draft.sketch().graph.letter_topic(topic) as u32,
    }
}

impl PolicyCell {
    pub(crate) fn new(shared: &Arc<AtomicU32>) -> Self {
        Self { own: Arc::new(AtomicU32::new(UNSET)), shared: Arc::clone(shared) }
    }

    pub(crate) fn set(&self, draft: &Draft, policy: &Policy) {
        self.own.store(code(draft, policy), Ordering::Relaxed);
    }

    pub(crate) fn set_shared(shared: &AtomicU32, draft: &Draft, policy: &Policy) {
        shared.store(code(draft, policy), Ordering::Relaxed);
    }

    /// The policy that was set for this step or for the topology.
    pub(crate) fn get(&self) -> Option<Rule> {
        let own = self.own.load(Ordering::Relaxed);
        let code = if own == UNSET { self.shared.load(Ordering::Relaxed) } else { own };
        match code {
            UNSET => None,
            STOP => Some(Rule::Stop),
            SKIP => Some(Rule::Skip),
            letter => Some(Rule::Letter((letter - LETTER) as usize)),
        }
    }
}
