//! What a program asks of the world outside: work that takes its time and does not hold up a task.
//!
//! An operator that asks keeps what it has asked for as state, hands the work to an executor, and
//! hears of it in a later round. A commit does not wait for it: what is under way then is committed
//! as such, and is asked again after a crash.

use crate::plan::{Plan, SubTopology};
use crate::scope::Scope;
use crate::stores::Stores;
use crate::task::{Task, Tried, Turning};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use suiro_core::broker::Wake;
use suiro_core::{Error, Result};

/// Work under way.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs work outside of the engine: a runtime, or a test.
///
/// ```
/// use std::sync::{Arc, Mutex, PoisonError};
/// use std::time::Duration;
/// use suiro_engine::{Executor, ExecutorHandle, Work};
///
/// /// Runs work where it is handed over, if it does not wait for anything.
/// struct Now;
///
/// impl Executor for Now {
///     fn spawn(&self, mut work: Work) {
///         let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
///         assert!(work.as_mut().poll(&mut cx).is_ready());
///     }
///
///     fn sleep(&self, _time: Duration) -> Work {
///         Box::pin(std::future::pending())
///     }
/// }
///
/// let done = Arc::new(Mutex::new(false));
/// let told = Arc::clone(&done);
/// ExecutorHandle::new(Now).spawn(Box::pin(async move {
///     *told.lock().unwrap_or_else(PoisonError::into_inner) = true;
/// }));
/// assert!(*done.lock().unwrap_or_else(PoisonError::into_inner));
/// ```
pub trait Executor: Send + Sync {
    /// Has `work` run to its end, at any time, on any thread. It does not wait for it. Work that is
    /// dropped before its end is asked for again at the next start only.
    fn spawn(&self, work: Work);

    /// Something that ends after `time`.
    fn sleep(&self, time: Duration) -> Work;
}

/// A shared executor.
#[derive(Clone)]
pub struct ExecutorHandle(Arc<dyn Executor>);

impl ExecutorHandle {
    /// Shares `executor`.
    pub fn new(executor: impl Executor + 'static) -> Self {
        Self(Arc::new(executor))
    }

    /// See [`Executor::spawn`].
    pub fn spawn(&self, work: Work) {
        self.0.spawn(work);
    }

    /// See [`Executor::sleep`].
    pub fn sleep(&self, time: Duration) -> Work {
        self.0.sleep(time)
    }
}

impl fmt::Debug for ExecutorHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecutorHandle").finish_non_exhaustive()
    }
}

/// What operators ask with.
#[derive(Clone)]
pub struct Outside {
    /// Runs what is asked for.
    pub executor: ExecutorHandle,
    /// Ends the wait of the scope when there is an answer.
    pub waker: Arc<dyn Wake>,
}

impl Task {
    /// Lets operators hear what has come from outside.
    pub(crate) fn hear(&mut self) -> Tried<()> {
        let said = self.said;
        for number in 0..self.askers.len() {
            let node = self.askers[number];
            let (links, turn) = (Arc::clone(&self.plan.links), Turning { input: None });
            self.call(&links, node, turn, |operator, cx| operator.hear(cx))
                .map_err(|failure| self.failed_at_end(failure))?;
        }
        self.spoke |= self.said != said;
        Ok(())
    }

    /// Whether operators wait for so many answers that they had better get no more rows.
    pub(crate) fn is_full(&self) -> bool {
        self.asks(|asks| asks.is_full)
    }

    /// Whether results of what was taken are still to come from outside.
    pub(crate) fn is_owed(&self) -> bool {
        self.asks(|asks| asks.is_owed)
    }

    fn asks(&self, which: impl Fn(Asks) -> bool) -> bool {
        let mut all = self.askers.iter().filter_map(|node| self.operator(*node));
        all.any(|operator| which(operator.asks(&self.stores)))
    }
}

/// How it stands with what an operator has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// There are answers to come.
    pub is_owed: bool,
    /// There are so many that the task had better take no more rows.
    pub is_full: bool,
}

impl Plan {
    /// The nodes of a sub-topology that ask for work outside.
    pub(crate) fn askers(&self, sub: &SubTopology) -> Vec<usize> {
        let all = self.graph.askers.iter().filter(|node| sub.nodes.contains(node));
        all.copied().collect()
    }
}

impl Scope {
    /// Whether a task waits for an answer from outside.
    pub fn is_owed(&self) -> bool {
        self.tasks.iter().flatten().any(|task| task.is_owed())
    }

    /// Gives the operators what they ask with. A program that asks needs it.
    pub(crate) fn reach_outside(&self, stores: &mut Stores) -> Result<()> {
        if self.plan.graph.askers.is_empty() {
            return Ok(());
        }
        let Some(executor) = self.settings.executor.clone() else {
            let text = "the program makes calls, and nothing runs them; start it inside of a tokio \
                        runtime with the feature `tokio`, or give the app an executor";
            return Err(Error::invalid(text).with("app", self.plan.name()));
        };
        stores.reach(Outside { executor, waker: self.waker() });
        Ok(())
    }
}
