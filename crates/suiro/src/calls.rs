//! How calls are made: how many at a time, for how long, and how often.

use crate::step::caught;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use suiro_core::{Error, Result};
use suiro_engine::ExecutorHandle;

/// How [`Stream::call`](crate::Stream::call) makes its calls. A number is that many at a time, each
/// tried once, without a time limit.
///
/// ```
/// use std::time::Duration;
/// use suiro::Calls;
///
/// let calls = Calls::at_most(16).timeout(Duration::from_secs(5)).retries(3);
/// assert_eq!(calls.to_string(), "16 at a time, in order of each key, 5s each, 3 retries");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it does nothing until a stream makes calls so"]
pub struct Calls {
    pub(crate) limit: usize,
    pub(crate) in_order: bool,
    timeout: Option<Duration>,
    retries: u32,
    pause: Duration,
}

/// The first pause before a call is made again, and the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

impl Calls {
    /// At most `limit` calls are under way at a time, for each partition of the stream.
    ///
    /// ```
    /// use suiro::Calls;
    ///
    /// assert_eq!(Calls::at_most(4), 4.into());
    /// ```
    pub fn at_most(limit: usize) -> Self {
        Self { limit, in_order: true, timeout: None, retries: 0, pause: PAUSE }
    }

    /// A call that has not ended after `limit` is dropped, and counts as failed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::Calls;
    ///
    /// let calls = Calls::at_most(4).timeout(Duration::from_millis(200));
    /// assert!(calls.to_string().contains("200ms each"));
    /// ```
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// A call that failed is made again, up to `retries` times: after 100 ms, or what
    /// [`pause`](Calls::pause) says, and after twice as long each further time, half a minute at
    /// the most. What fails then meets the policy of the step.
    ///
    /// ```
    /// use suiro::Calls;
    ///
    /// assert!(Calls::at_most(4).retries(2).to_string().contains("2 retries"));
    /// ```
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// How long to wait before a call that failed is made again for the first time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use suiro::Calls;
    ///
    /// let patient = Calls::at_most(4).retries(5).pause(Duration::from_secs(1));
    /// assert_ne!(patient, Calls::at_most(4).retries(5));
    /// ```
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Calls for one key run beside each other, too, and results come as the calls end. Without it
    /// the next call for a key is made when the one before has ended.
    ///
    /// ```
    /// use suiro::Calls;
    ///
    /// assert!(Calls::at_most(4).unordered().to_string().contains("in any order"));
    /// ```
    pub fn unordered(mut self) -> Self {
        self.in_order = false;
        self
    }

    pub(crate) fn check(&self, name: &str) -> Result<()> {
        if self.limit > 0 {
            return Ok(());
        }
        let text = "no call may be made at a time; allow one at least";
        Err(Error::invalid(text).with("call", name))
    }

    /// How long to wait before a call is made again that was tried `tries` times before.
    fn pause_after(&self, tries: u32) -> Duration {
        self.pause.saturating_mul(1_u32.checked_shl(tries).unwrap_or(u32::MAX)).min(LONGEST)
    }
}

impl From<usize> for Calls {
    fn from(limit: usize) -> Self {
        Self::at_most(limit)
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.in_order { "in order of each key" } else { "in any order" };
        write!(f, "{} at a time, {order}", self.limit)?;
        if let Some(timeout) = self.timeout {
            write!(f, ", {timeout:?} each")?;
        }
        match self.retries {
            0 => Ok(()),
            retries => write!(f, ", {retries} retries"),
        }
    }
}

/// A call under way, with all its retries.
pub(crate) type Calling<W> = Pin<Box<dyn Future<Output = Result<W, Arc<Error>>> + Send>>;

/// Makes the call for a value.
pub(crate) type Asking<V, W> = Arc<dyn Fn(V, ExecutorHandle) -> Calling<W> + Send + Sync>;

/// Has `ask` called for a value as `how` says.
pub(crate) fn asking<V, W, E, F>(
    how: Calls,
    ask: impl Fn(V) -> F + Send + Sync + 'static,
) -> Asking<V, W>
where
    V: Clone + Send + 'static,
    W: Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
    F: Future<Output = Result<W, E>> + Send + 'static,
{
    let ask = Arc::new(ask);
    Arc::new(move |value, executor| {
        let ask = Arc::clone(&ask);
        Box::pin(async move {
            let mut tries = 0;
            loop {
                let value = value.clone();
                let failed = match once(how.timeout, &executor, || ask(value)).await {
                    Ok(result) => return Ok(result),
                    Err(failed) => failed,
                };
                if tries == how.retries {
                    return Err(Arc::new(failed));
                }
                tracing::debug!(tries, cause = %failed.report(), "a call failed; made again");
                executor.sleep(how.pause_after(tries)).await;
                tries += 1;
            }
        })
    })
}

/// One call. A panic is an error, and so is a call that takes too long.
async fn once<W, E, F>(
    timeout: Option<Duration>,
    executor: &ExecutorHandle,
    ask: impl FnOnce() -> F,
) -> Result<W>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
    F: Future<Output = Result<W, E>>,
{
    let mut call = pin!(caught(|| Ok(ask()))?);
    let mut late = timeout.map(|timeout| executor.sleep(timeout));
    poll_fn(|cx| {
        match caught(|| Ok(call.as_mut().poll(cx))) {
            Ok(Poll::Ready(Ok(result))) => return Poll::Ready(Ok(result)),
            Ok(Poll::Ready(Err(error))) => {
                return Poll::Ready(Err(
                    Error::invalid("the call gave an error").caused_by(error)
                ));
            }
            Err(panicked) => return Poll::Ready(Err(panicked)),
            Ok(Poll::Pending) => {}
        }
        let is_late = late.as_mut().is_some_and(|late| late.as_mut().poll(cx).is_ready());
        match is_late {
            true => Poll::Ready(Err(Error::invalid("the call took too long"))),
            false => Poll::Pending,
        }
    })
    .await
}
