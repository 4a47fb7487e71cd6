//! What the stores of a task hold, row by row, for tests that drive the engine by hand.

use crate::state::{Held, SessionStore, TableStore, WindowStore};
use crate::{Data, InWindow, Key, Timestamp};
use suiro_engine::Stores;

/// The rows of the table in `slot` with their times, as of the last commit; `None` if the store
/// is of other types or of another kind.
pub fn rows<K: Key, A: Data>(stores: &Stores, slot: usize) -> Option<Vec<(K, A, Timestamp)>> {
    let table = stores.find::<TableStore<K, A>>(slot)?;
    let rows = table.cells.all_committed();
    Some(rows.map(|(key, row, at)| (key.clone(), row.clone(), at)).collect())
}

/// Windows of keys, each with its time.
pub type Windows<K, A> = Vec<(K, InWindow<Option<A>>, Timestamp)>;

/// The windows or sessions in `slot` with their times, as of the last commit. A window that a
/// bounded run has closed before its time has no value. `None` if the store is of other types or
/// of another kind.
pub fn windows<K: Key, A: Data>(stores: &Stores, slot: usize) -> Option<Windows<K, A>> {
    let mut all = Vec::new();
    if let Some(sessions) = stores.find::<SessionStore<K, A>>(slot) {
        for (key, open, _) in sessions.cells.all_committed() {
            all.extend(open.iter().map(|session| {
                let (start, end) = (session.start, session.end);
                (key.clone(), InWindow { start, end, value: Some(session.value.clone()) }, end)
            }));
        }
        return Some(all);
    }
    let windows = stores.find::<WindowStore<K, A>>(slot)?;
    for (start, pane) in &windows.panes {
        let (start, end) = (*start, start.plus_millis(windows.size));
        all.extend(pane.all_committed().map(|(key, held, at)| {
            let value = match held {
                Held::Open(value, _) => Some(value.clone()),
                Held::Closed => None,
            };
            (key.clone(), InWindow { start, end, value }, at)
        }));
    }
    Some(all)
}
