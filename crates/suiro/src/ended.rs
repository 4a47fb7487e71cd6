//! The end of an app, as a future for any runtime.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// Becomes ready when the app has ended, for whatever reason. It needs no runtime of its own.
///
/// ```
/// use suiro::{App, Log, Topic, Topology};
///
/// const IN: Topic<u64, String> = Topic::json("in");
/// const OUT: Topic<u64, String> = Topic::json("out");
///
/// let topology = Topology::new("copy");
/// topology.stream(&IN).to(&OUT);
/// let running = App::new(topology.build()?, Log::in_memory()).partitions(1).start()?;
/// let ended = running.ended();
/// // In a service: `tokio::select! { _ = ended => .., request = server => .. }`.
/// drop(ended);
/// running.shutdown()?;
/// # Ok::<(), suiro::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Ended(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    ended: bool,
    wakers: Vec<Waker>,
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ended").finish_non_exhaustive()
    }
}

impl Ended {
    pub(crate) fn set(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended = true;
        state.wakers.drain(..).for_each(Waker::wake);
    }
}

impl Future for Ended {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ended {
            return Poll::Ready(());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
