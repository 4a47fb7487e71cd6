//! The contract with an operator: one step of a program, typed inside, erased outside.

use crate::exchange::Sends;
use crate::outbox::Outbox;
use crate::outside::Asks;
use crate::rows::{BoxRows, RowQueue};
use crate::stores::Stores;
use suiro_core::{Error, Timestamp};

/// One step of a program for one task.
///
/// It takes batches and gives batches; it never waits, never does I/O and never looks at the
/// clock. Its result is that of taking the rows one at a time (rule D2).
pub trait Operator: Send {
    /// Takes rows that arrived at `port`, and emits what follows from them.
    fn process(
        &mut self,
        port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure>;

    /// A row of the time `at` is about to arrive: emits what goes before it by time. Called for an
    /// operator that ages where its own rows are looked at by what follows from their changes:
    /// there the row that comes must not be taken before they have gone.
    fn observe(&mut self, at: Timestamp, cx: &mut Context<'_>) -> Result<(), Failure> {
        let _ = (at, cx);
        Ok(())
    }

    /// The first `count` rows of `rows` are about to arrive at `port`, in small batches: brings
    /// what they will need into the caches. It changes nothing.
    fn foresee(&mut self, port: usize, rows: &dyn RowQueue, count: usize, stores: &Stores) {
        let _ = (port, rows, count, stores);
    }

    /// Stream time may have risen without a record, by the gate of an exchange above or in a
    /// silence: emits what was waiting for it.
    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let _ = cx;
        Ok(())
    }

    /// It is time for what is said by the clock (rule E1): emits what has changed since. Called
    /// at the first step of a task, too, for what was left over.
    fn speak(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let _ = cx;
        Ok(())
    }

    /// Emits what follows from work outside that has ended, and asks for more if there is room.
    /// Called in each round, for nodes that ask.
    fn hear(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let _ = cx;
        Ok(())
    }

    /// The time of day may have come for which it waits, by [`Context::wall`]: does what was put
    /// off until then, and gives whether there was something. Called for nodes that the graph says
    /// wait for times of day.
    fn wake(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        let _ = cx;
        Ok(false)
    }

    /// How it stands with what it has asked for.
    fn asks(&self, stores: &Stores) -> Asks {
        let _ = stores;
        Asks::default()
    }

    /// A commit is near: emits what is to be said once per commit.
    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let _ = cx;
        Ok(())
    }

    /// The commit that [`Operator::flush`] announced is rolled back: forgets what it held.
    fn rollback(&mut self) {}

    /// The input of a bounded run has ended: emits what waits for time that will not come.
    fn end(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let _ = cx;
        Ok(())
    }
}

/// What an operator works with.
pub struct Context<'a> {
    /// What it emits.
    pub out: &'a mut Emitted,
    /// The stores of the task.
    pub stores: &'a mut Stores,
    /// Where sinks write.
    pub outbox: &'a mut Outbox,
    /// Where exchanges send.
    pub sends: &'a mut Sends,
    /// What happened, to be counted.
    pub counters: &'a mut Counters,
    /// How far the lanes of exchanges above this operator let its stream time rise.
    pub gate: Gate,
    /// The time of day as of this round. What is made of it is outside of rule D1.
    pub wall: Timestamp,
    /// Whether a panic in user code must leave the row as it was before this record. Off, until
    /// a panic has happened: then the commit is rolled back and done again with care.
    pub careful: bool,
}

/// The batches that an operator emitted, each with the number of the output.
#[derive(Default)]
pub struct Emitted(pub(crate) Vec<(usize, BoxRows)>);

impl Emitted {
    /// Emits `rows` on output number `output`. Empty batches vanish.
    pub fn emit(&mut self, output: usize, rows: BoxRows) {
        if !rows.is_empty() {
            self.0.push((output, rows));
        }
    }
}

/// How far stream time may rise behind an exchange (rule T6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The smallest time of the lanes that are not caught up, the lane of the rows at hand left
    /// out; [`Timestamp::MAX`] if nothing holds it.
    pub others: Timestamp,
    /// The time of the lane of the rows at hand, if it is not caught up. It rises with them.
    pub own: Option<Timestamp>,
    /// Grows with every run of rows, so that an operator notices a new one.
    pub run: u64,
}

impl Gate {
    /// No exchange above: nothing holds stream time.
    pub const OPEN: Self = Self { others: Timestamp::MAX, own: None, run: 0 };
}

/// What operators counted since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records that came too late for every window, or for a table whose rows go by time.
    pub late: u64,
    /// Records that a policy skipped.
    pub skipped: u64,
    /// Records written to topics.
    pub written: u64,
    /// Dead letters written.
    pub letters: u64,
}

impl Counters {
    /// Adds what `other` counted.
    pub fn add(&mut self, other: &Self) {
        self.late += other.late;
        self.skipped += other.skipped;
        self.written += other.written;
        self.letters += other.letters;
    }
}

/// Why a step could not take a record.
#[derive(Debug)]
pub struct Failure {
    /// The step, as `describe` names it.
    pub step: String,
    /// The error of the user's code, or what it said when it panicked.
    pub cause: Error,
    /// Whether the policy of the step is to skip: then the commit is done again with care,
    /// and the step itself skips the record.
    pub skip: bool,
    /// The number of the topic that takes a letter of the record, if the policy says so: then
    /// the commit is done again with each record alone, and the step leaves its row as it was.
    pub letter: Option<usize>,
}

impl Failure {
    /// A failure of `step` that ends the app.
    pub fn stop(step: impl Into<String>, cause: Error) -> Self {
        Self { step: step.into(), cause, skip: false, letter: None }
    }
}
