//! An executor that works when the driver says so.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use suiro_core::Clock;
use suiro_engine::{Executor, Work};

/// Runs work in the thread of the driver, by its clock.
#[derive(Clone)]
pub(crate) struct Polled {
    under_way: Arc<Mutex<Vec<Work>>>,
    clock: Arc<dyn Clock>,
}

impl Polled {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { under_way: Arc::default(), clock }
    }

    /// Goes on with all work; gives whether some of it ended.
    pub(crate) fn go_on(&self) -> bool {
        let take = || std::mem::take(&mut *self.lock());
        let (mut cx, mut has_ended) = (Context::from_waker(Waker::noop()), false);
        let mut under_way = take();
        under_way.retain_mut(|work| {
            let ends = work.as_mut().poll(&mut cx).is_ready();
            has_ended |= ends;
            !ends
        });
        // What was started meanwhile comes behind.
        under_way.extend(take());
        *self.lock() = under_way;
        has_ended
    }

    /// The process is gone, and its work with it.
    pub(crate) fn forget(&self) {
        drop(std::mem::take(&mut *self.lock()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Work>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Executor for Polled {
    fn spawn(&self, work: Work) {
        self.lock().push(work);
    }

    fn sleep(&self, time: Duration) -> Work {
        let clock = Arc::clone(&self.clock);
        let until = clock.elapsed() + time;
        Box::pin(poll_fn(move |_| match clock.elapsed() >= until {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }))
    }
}
