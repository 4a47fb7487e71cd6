//! The suite that every [`Broker`] passes, written from its contract
//! alone.
//!
//! | room | what it checks |
//! |---|---|
//! | [`topics`] | describing and creating |
//! | [`commits`] | a commit happens whole, in order, or not at all |
//! | [`fetches`] | reading what was committed, seeking, trimming |
//! | [`positions`] | how far a group has read |
//! | [`fencing`] | who may no longer commit |
//! | [`groups`] | sharing tasks |
//! | [`removal`] | taking away what a program has left |
//! | [`restarts`] | what a clean restart keeps |
//! | [`waits`] | what blocks, and for how long |
//! | [`concurrency`] | several threads at once |

pub mod commits;
pub mod concurrency;
pub mod fencing;
pub mod fetches;
pub mod groups;
pub mod positions;
pub mod removal;
pub mod restarts;
pub mod topics;
pub mod waits;

mod party;
mod rows;
mod world;

#[cfg(test)]
mod flaws;
#[cfg(test)]
mod reference;

use crate::broker::Broker;
use std::sync::Arc;
use std::time::Duration;

/// A log under test.
pub struct Subject {
    /// Opens the log. It is called again after the former broker and all its sessions were
    /// dropped, which is a clean restart, and must then open the same log.
    pub open: Box<dyn FnMut() -> Arc<dyn Broker>>,
    /// All names of topics, groups and sessions begin with this, so that a log may be used
    /// for more than one check.
    pub prefix: String,
    /// Whether each record's offset is its predecessor's plus one. A log that writes control
    /// batches between the commits leaves gaps.
    pub gapless: bool,
    /// How long an answer may take before the check fails.
    pub patience: Duration,
}

impl Subject {
    /// The log that `open` opens: without a prefix, gapless, with ten seconds of patience.
    pub fn new(open: impl FnMut() -> Arc<dyn Broker> + 'static) -> Self {
        let patience = Duration::from_secs(10);
        Self { open: Box::new(open), prefix: String::new(), gapless: true, patience }
    }
}

/// One check of the suite.
pub type Check = fn(Subject);

/// All checks, with their names.
pub const CHECKS: &[(&str, Check)] = &[
    ("topics_are_described", topics::topics_are_described),
    ("create_is_idempotent", topics::create_is_idempotent),
    ("create_refuses_another_count", topics::create_refuses_another_count),
    ("unknown_topic_is_invalid", topics::unknown_topic_is_invalid),
    ("commit_is_atomic", commits::commit_is_atomic),
    ("open_commit_is_invisible", commits::open_commit_is_invisible),
    ("aborted_commit_leaves_no_trace", commits::aborted_commit_leaves_no_trace),
    ("dropped_session_leaves_no_trace", commits::dropped_session_leaves_no_trace),
    ("refused_commit_leaves_no_trace", commits::refused_commit_leaves_no_trace),
    ("offsets_answer_appends", commits::offsets_answer_appends),
    ("log_assigns_offsets", commits::log_assigns_offsets),
    ("commits_resolve_in_order", commits::commits_resolve_in_order),
    ("commit_may_hold_no_records", commits::commit_may_hold_no_records),
    ("sessions_share_a_partition", commits::sessions_share_a_partition),
    ("records_come_back_unchanged", fetches::records_come_back_unchanged),
    ("fetch_returns_whole_batches", fetches::fetch_returns_whole_batches),
    ("fetch_is_bounded", fetches::fetch_is_bounded),
    ("fetch_at_the_end_is_empty", fetches::fetch_at_the_end_is_empty),
    ("seek_finds_offsets", fetches::seek_finds_offsets),
    ("trim_deletes_only_what_is_older", fetches::trim_deletes_only_what_is_older),
    ("positions_belong_to_a_group", positions::positions_belong_to_a_group),
    ("positions_carry_notes", positions::positions_carry_notes),
    ("older_generation_is_fenced", fencing::older_generation_is_fenced),
    ("former_member_is_fenced", fencing::former_member_is_fenced),
    ("older_session_is_fenced", fencing::older_session_is_fenced),
    ("lone_member_runs_every_task", groups::lone_member_runs_every_task),
    ("members_share_tasks", groups::members_share_tasks),
    ("members_may_outnumber_tasks", groups::members_may_outnumber_tasks),
    ("leaving_hands_over", groups::leaving_hands_over),
    ("groups_are_apart", groups::groups_are_apart),
    ("members_are_counted", removal::members_are_counted),
    ("what_lives_is_not_removed", removal::what_lives_is_not_removed),
    ("what_is_removed_begins_anew", removal::what_is_removed_begins_anew),
    ("restart_keeps_what_was_committed", restarts::restart_keeps_what_was_committed),
    ("restart_forgets_open_commits", restarts::restart_forgets_open_commits),
    ("restart_keeps_generations", restarts::restart_keeps_generations),
    ("poll_never_blocks", waits::poll_never_blocks),
    ("wait_ends_in_time", waits::wait_ends_in_time),
    ("wait_ends_at_a_wake", waits::wait_ends_at_a_wake),
    ("wait_ends_at_a_commit", waits::wait_ends_at_a_commit),
    ("wake_comes_from_another_thread", concurrency::wake_comes_from_another_thread),
    ("commits_of_threads_stay_whole", concurrency::commits_of_threads_stay_whole),
];

/// Runs every check against a fresh subject, and panics with the name of one that fails.
///
/// ```
/// use std::sync::Arc;
/// use suiro_core::broker::Broker;
/// use suiro_core::conformance::broker::{Subject, run};
///
/// fn conforms<B: Broker + 'static>(fresh_place: fn() -> String, open: fn(&str) -> B) {
///     run(&mut || {
///         let place = fresh_place();
///         Subject::new(move || Arc::new(open(&place)))
///     });
/// }
/// ```
pub fn run(make: &mut dyn FnMut() -> Subject) {
    for (_, check) in CHECKS {
        check(make());
    }
}
