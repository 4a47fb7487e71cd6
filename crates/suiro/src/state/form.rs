//! The form of a store: what its rows are, for the check at the start.

use crate::format::{Format, read_state, schema, write_state};
use crate::state::counted::{self, Counted};
use crate::state::paired::{self, Paired};
use crate::state::partial_store::{self, turn_partials};
use crate::state::pending::{self, Pending};
use crate::state::prefix;
use crate::state::session_store::turn_sessions;
use crate::state::slice_rows::{self, turn_slice};
use crate::state::sliding_rows::turn_row;
use crate::state::timers::{self, Timer};
use crate::state::version_rows;
use crate::{Data, Key};
use std::sync::Arc;
use suiro_engine::{Form, Migration};

/// The form of a store of that kind.
pub(crate) fn form<K: Key, A: Data>(kind: String, keys: &dyn Format<K>) -> Form {
    let keys = format!("{} {}", keys.name(), schema::<K>());
    Form { kind, keys, values: schema::<A>() }
}

/// A migration of values in stores of any kind.
pub(crate) fn migration<Old: Data, New: Data>(
    turn: impl Fn(Old) -> New + Send + Sync + 'static,
) -> Migration {
    let rows = move |kind: &str, key: &[u8], value: &[u8]| {
        if key.first() != Some(&prefix::ROW) {
            return Ok(value.to_vec());
        }
        let mut out = Vec::with_capacity(value.len());
        match kind.split(' ').next() {
            Some("sessions") => turn_sessions(value, &turn, &mut out)?,
            Some("sliding") => turn_row(value, &turn, &mut out)?,
            Some(partial_store::KIND) => turn_partials(value, &turn, &mut out)?,
            Some(slice_rows::KIND) => turn_slice(value, &turn, &mut out)?,
            Some("windows") => {
                write_state(&read_state::<Option<Old>>(value)?.map(&turn), &mut out)?;
            }
            // A removal is a version without a value.
            Some(version_rows::KIND) if value.is_empty() => {}
            Some(counted::KIND) => {
                let Counted { rows, value } = read_state::<Counted<Old>>(value)?;
                write_state(&Counted { rows, value: turn(value) }, &mut out)?;
            }
            Some(paired::KIND) => match read_state::<Paired<Old>>(value)? {
                Paired::Pair(version, at, row) => {
                    write_state(&Paired::Pair(version, at, turn(row)), &mut out)?;
                }
                Paired::Alone(version) => {
                    write_state(&Paired::<New>::Alone(version), &mut out)?;
                }
            },
            Some(pending::KIND) => {
                let all = read_state::<Vec<Pending<Old>>>(value)?.into_iter();
                write_state(
                    &all.map(|update| update.turned(&turn)).collect::<Vec<_>>(),
                    &mut out,
                )?;
            }
            Some(timers::KIND) => {
                let all = read_state::<Vec<Timer<Old>>>(value)?.into_iter();
                write_state(
                    &all.map(|timer| timer.turned(&turn)).collect::<Vec<_>>(),
                    &mut out,
                )?;
            }
            _ => write_state(&turn(read_state(value)?), &mut out)?,
        }
        Ok(out)
    };
    Migration { from: schema::<Old>(), to: schema::<New>(), turn: Arc::new(rows) }
}
