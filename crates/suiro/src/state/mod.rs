//! State: typed rows with before-images, so that a commit can be taken back.

mod agenda;
mod beneath;
mod call_store;
mod cells;
mod counted;
mod deeds;
mod due;
mod expiry;
mod form;
mod generations;
mod global_rows;
mod hops;
mod join_rows;
mod join_store;
mod kept;
mod kept_headers;
mod numbers;
mod paired;
mod partial_store;
mod partials;
mod pending;
mod places;
mod referrer_list;
mod referrer_rows;
mod referrers;
mod session_reach;
mod session_store;
mod shares;
mod skipped;
mod slice_list;
mod slice_log;
mod slice_rows;
mod slice_store;
mod slices;
mod sliding_rows;
mod sliding_store;
mod slot;
mod slots;
mod stream_time;
mod table_store;
mod timed_store;
mod timers;
mod track;
mod version_rows;
mod version_store;
mod versions;
mod wait_store;
mod window_store;

pub(crate) use agenda::Agenda;
pub(crate) use call_store::{Answer, CallStore, Due};
pub(crate) use cells::Cells;
pub(crate) use counted::Counted;
pub(crate) use expiry::{Expired, Expiry};
pub(crate) use form::migration;
pub(crate) use global_rows::GlobalRows;
pub(crate) use hops::Hops;
pub(crate) use join_store::{JoinStore, Lone};
pub(crate) use kept::{Either, LEFT, RIGHT};
pub(crate) use paired::Paired;
pub(crate) use partial_store::PartialStore;
pub(crate) use partials::{Ended, Holds, Partials, Shape, Stage, Step as Seen};
pub(crate) use pending::Pending;
pub(crate) use places::{Place, Places};
pub(crate) use referrer_list::KeyBytes;
pub(crate) use referrers::{Referrer, ReferrerStore};
pub(crate) use session_reach::{Furthest, OneGap, Reach};
pub(crate) use session_store::{Session, SessionList, SessionStore};
pub(crate) use slice_store::{Closed, SliceStore};
pub(crate) use slices::Merge;
pub(crate) use sliding_rows::SlidingView;
pub(crate) use sliding_store::SlidingStore;
pub(crate) use slot::Slot;
pub(crate) use slots::WARM;
pub(crate) use stream_time::StreamTime;
pub(crate) use table_store::{TableStore, encode_key, keep_headers};
pub(crate) use timers::{Clock, Fired, Timer, TimerStore};
pub(crate) use track::{Folds, Pane, Sliding};
pub(crate) use version_store::VersionStore;
pub(crate) use wait_store::WaitStore;
pub(crate) use window_store::{Held, WindowStore, may_have_rows};

/// What the keys of a changelog and of a store below begin with: what kind of row it is.
pub(crate) mod prefix {
    /// Stream time.
    pub(crate) const TIME: u8 = 0;
    /// A row.
    pub(crate) const ROW: u8 = 1;
    /// When to look at a key; in stores below only.
    pub(crate) const DUE: u8 = 2;
}
