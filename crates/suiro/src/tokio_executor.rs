//! Calls on a tokio runtime.

use std::time::Duration;
use suiro_engine::{Executor, Work};
use tokio::runtime::Handle;

/// Runs calls on a tokio runtime; see [`App::executor`](crate::App::executor). An app that is started
/// inside of a runtime needs to be told nothing.
///
/// ```
/// use suiro::{App, Log, Producer, Reader, TokioExecutor, Topic, Topology};
///
/// const NAMES: Topic<u64, String> = Topic::json("names");
/// const GREETINGS: Topic<u64, String> = Topic::json("greetings");
///
/// let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
/// let topology = Topology::new("greet");
/// let greet = |name: String| async move {
///     tokio::time::sleep(std::time::Duration::from_millis(1)).await;
///     Ok::<_, std::io::Error>(format!("hello {name}"))
/// };
/// topology.stream(&NAMES).call("greetings", 8, greet).to(&GREETINGS);
///
/// let log = Log::in_memory();
/// let mut names = Producer::open(&log, &NAMES)?;
/// names.create(1)?;
/// names.send(1, "ann".into(), 0)?;
/// names.flush()?;
/// let executor = TokioExecutor::new(runtime.handle().clone());
/// App::new(topology.build()?, log.clone()).executor(executor).run_to_end()?;
/// let greetings = Reader::open(&log, &GREETINGS)?.read_to_end()?;
/// assert_eq!(greetings[0].value.as_deref(), Some("hello ann"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokioExecutor(Handle);

impl TokioExecutor {
    /// The runtime must have its time driver enabled if calls have time limits or retries, and must
    /// run as long as the app.
    ///
    /// ```
    /// use suiro::TokioExecutor;
    ///
    /// let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
    /// let _executor = TokioExecutor::new(runtime.handle().clone());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(runtime: Handle) -> Self {
        Self(runtime)
    }

    /// That of the runtime in which this is called, if there is one.
    pub(crate) fn here() -> Option<Self> {
        Handle::try_current().ok().map(Self)
    }
}

impl Executor for TokioExecutor {
    fn spawn(&self, work: Work) {
        drop(self.0.spawn(work));
    }

    fn sleep(&self, time: Duration) -> Work {
        // It is asked for where it is waited for, inside of the runtime.
        Box::pin(async move { tokio::time::sleep(time).await })
    }
}
