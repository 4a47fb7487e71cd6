//! The world outside: what a program asks of it is done at any time, or not before the process dies.

use crate::world::World;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;
use suiro::{Executor, Work};

/// Runs the calls of one process, each when the dice say so.
#[derive(Clone)]
pub(crate) struct SimExecutor {
    under_way: Arc<Mutex<Vec<Work>>>,
    world: World,
}

impl SimExecutor {
    pub(crate) fn new(world: &World) -> Self {
        Self { under_way: Arc::default(), world: world.clone() }
    }

    /// Goes on with some of the calls.
    pub(crate) fn go_on(&self) {
        let mut under_way = std::mem::take(&mut *self.lock());
        let mut cx = Context::from_waker(Waker::noop());
        under_way.retain_mut(|work| {
            let waits = !self.world.state().seed.one_in(3);
            let ends = !waits && work.as_mut().poll(&mut cx).is_ready();
            self.world.state().counts.answered += u64::from(ends);
            !ends
        });
        self.lock().extend(under_way);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Work>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Executor for SimExecutor {
    fn spawn(&self, work: Work) {
        self.lock().push(work);
    }

    fn sleep(&self, _time: Duration) -> Work {
        Box::pin(std::future::pending())
    }
}
