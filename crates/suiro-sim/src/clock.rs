//! The simulated clock: time passes when the world says so.

use crate::world::World;
use std::time::Duration;
use suiro::{Clock, Timestamp};

/// The clock of a world.
pub(crate) struct SimClock(pub(crate) World);

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.0.state().time_of_day()
    }

    fn elapsed(&self) -> Duration {
        self.0.state().elapsed
    }
}
