//! A step that runs user code: its name, its policy, and what happens when the code fails.

use crate::policy::{PolicyCell, Rule};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use suiro_core::{Error, ErrorKind, Result};
use suiro_engine::{Counters, Failure};

/// The name and the policy of a step.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) label: String,
    pub(crate) policy: PolicyCell,
}

impl Step {
    /// Runs `body` until it comes to its end. Each error or panic is one record, which `body`
    /// must have taken off its input; `body` is called again for the rest.
    pub(crate) fn stateless(
        &self,
        counters: &mut Counters,
        mut body: impl FnMut() -> Result<()>,
    ) -> Result<(), Failure> {
        while let Err(cause) = caught(&mut body) {
            self.skip(counters, cause)?;
        }
        Ok(())
    }

    /// As [`Step::stateless`], for code that changes rows. `body` gets itself, to remember in
    /// careful mode what to put back; `put_back` is called after a failure, and only then.
    pub(crate) fn stateful<S>(
        &self,
        state: &mut S,
        counters: &mut Counters,
        careful: bool,
        mut body: impl FnMut(&mut S) -> Result<()>,
        mut put_back: impl FnMut(&mut S),
    ) -> Result<(), Failure> {
        let mut letter = None;
        while let Err(cause) = caught(|| body(state)) {
            if !careful || !is_of_record(&cause) {
                return Err(self.failure(cause));
            }
            put_back(state);
            match self.policy.get() {
                // The body goes on first: time that the record has moved may close windows.
                Some(Rule::Letter(_)) => {
                    letter.get_or_insert_with(|| self.failure(cause));
                }
                _ => self.skip(counters, cause)?,
            }
        }
        letter.map_or(Ok(()), Err)
    }

    /// What the engine is told: with letters it sees to it that the record stands alone, writes
    /// the letter and goes on.
    fn failure(&self, cause: Error) -> Failure {
        if !is_of_record(&cause) {
            return Failure::stop(&self.label, cause);
        }
        let rule = self.policy.get().unwrap_or(Rule::Stop);
        let (skip, letter) = (rule != Rule::Stop, rule.letter());
        Failure { step: self.label.clone(), cause, skip, letter }
    }

    fn skip(&self, counters: &mut Counters, cause: Error) -> Result<(), Failure> {
        match self.policy.get().unwrap_or(Rule::Stop) {
            Rule::Stop | Rule::Letter(_) => Err(self.failure(cause)),
            Rule::Skip => {
                counters.skipped += 1;
                tracing::warn!(step = %self.label, cause = %cause.report(), "record skipped");
                Ok(())
            }
        }
    }
}

/// Whether an error is the fault of a record or of user code. A store that cannot be read is not
/// one that a policy may pass over.
pub(crate) fn is_of_record(cause: &Error) -> bool {
    cause.kind() == ErrorKind::Invalid
}

/// Runs user code; a panic in it is an error.
pub(crate) fn caught<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        Err(Error::invalid("user code panicked").with("panic", said(&*panic)))
    })
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
