//! What the stores of a task hold, row by row, for tests that drive the engine by hand.

use crate::operators::count_fold;
use crate::state::{
    Clock, Counted, Either, Furthest, Held, JoinStore, Paired, PartialStore, Reach,
    SessionStore, SliceStore, SlidingView, TableStore, TimerStore, VersionStore, WaitStore,
    WindowStore,
};
use crate::{Data, InWindow, Key, Match, Record, Timestamp};
use suiro_core::Result;
use suiro_engine::Stores;

/// The rows of the table in `slot` with their times, as of the last commit; `None` if the store
/// is of other types or of another kind.
pub fn rows<K: Key, A: Data>(
    stores: &Stores,
    slot: usize,
) -> Option<Result<Vec<(K, A, Timestamp)>>> {
    if let Some(store) = stores.find::<TableStore<K, A>>(slot) {
        return Some(store.all_committed());
    }
    if let Some(store) = stores.find::<VersionStore<K, A>>(slot) {
        let newest = store.all_committed().filter_map(|(key, mut versions)| {
            let (at, row) = versions.pop()?;
            Some((key.clone(), row?, at))
        });
        return Some(Ok(newest.collect()));
    }
    if let Some(groups) = stores.find::<TableStore<K, Counted<A>>>(slot) {
        return Some(groups.all_committed().map(|groups| {
            groups.into_iter().map(|(key, group, at)| (key, group.value, at)).collect()
        }));
    }
    let all = stores.find::<TableStore<K, Paired<A>>>(slot)?.all_committed();
    let pairs = all.map(|pairs| {
        let rows = pairs.into_iter();
        rows.filter_map(|(key, pair, at)| Some((key, pair.into_row()?, at))).collect()
    });
    Some(pairs)
}

/// Count windows of keys that are not full, each with its number of records and its time.
pub type Filling<K, A> = Vec<(K, u64, InWindow<A>, Timestamp)>;

/// The count windows in `slot`, as of the last commit; `None` if the store is of other types or
/// of another kind.
pub fn filling<K: Key, A: Data>(stores: &Stores, slot: usize) -> Option<Result<Filling<K, A>>> {
    let store = stores.find::<TableStore<K, count_fold::Filling<A>>>(slot)?;
    let all = store.all_committed().map(|all| {
        let windows = all.into_iter().map(|(key, filling, at)| {
            let (count, window) = filling.into_window();
            (key, count, window, at)
        });
        windows.collect()
    });
    Some(all)
}

/// Windows of keys, each with its time.
pub type Windows<K, A> = Vec<(K, InWindow<Option<A>>, Timestamp)>;

/// The windows or sessions in `slot` with their times, as of the last commit. A window that a
/// bounded run has closed before its time has no value. `None` if the store is of other types or
/// of another kind.
pub fn windows<K: Key, A: Data>(stores: &Stores, slot: usize) -> Option<Result<Windows<K, A>>> {
    if let Some(store) = stores.find::<SessionStore<K, A>>(slot) {
        return Some(sessions(store));
    }
    if let Some(store) = stores.find::<SessionStore<K, A, Furthest>>(slot) {
        return Some(sessions(store));
    }
    if let Some((view, sliding)) = stores.view::<SlidingView<K, A>>(slot) {
        let all = view.all(sliding).map(|all| {
            let windows = all.into_iter().map(|(key, pane)| {
                let (start, end, value) = (pane.start, view.end(pane.start), pane.value);
                (key, InWindow { start, end, value }, pane.at)
            });
            windows.collect()
        });
        return Some(all);
    }
    if let Some(slices) = stores.find::<SliceStore<K, A>>(slot) {
        let all = slices.all_windows().map(|all| {
            let windows = all.into_iter().flat_map(|(key, open)| {
                open.into_iter().map(move |(start, part)| {
                    // A window that is closed has no time of its own any more.
                    let (value, at) = part.map_or((None, start), |it| (Some(it.value), it.at));
                    (key.clone(), InWindow { start, end: slices.hops.end(start), value }, at)
                })
            });
            windows.collect()
        });
        return Some(all);
    }
    let store = stores.find::<WindowStore<K, A>>(slot)?;
    let all = store.all_committed().map(|all| {
        let windows = all.into_iter().map(|(start, key, held, at)| {
            let end = store.hops.end(start);
            let value = match held {
                Held::Open(value, _) => Some(value),
                Held::Closed => None,
            };
            (key, InWindow { start, end, value }, at)
        });
        windows.collect()
    });
    Some(all)
}

fn sessions<K: Key, A: Data, R: Reach>(store: &SessionStore<K, A, R>) -> Result<Windows<K, A>> {
    let all = store.all_committed()?.into_iter().flat_map(|(key, open)| {
        open.into_iter().map(move |session| {
            let (start, end, value) = (session.start, session.end, session.value);
            (key.clone(), InWindow { start, end, value: Some(value) }, end)
        })
    });
    Ok(all.collect())
}

/// A record that a join of two streams keeps.
#[derive(Clone, Debug)]
pub struct Kept<K, V, T> {
    /// Its key.
    pub key: K,
    /// Its value, if it is of the left side.
    pub left: Option<V>,
    /// Its value, if it is of the right side.
    pub right: Option<T>,
    /// Its time.
    pub at: Timestamp,
    /// Whether it was paired; false where the join never sends it alone.
    pub matched: bool,
}

/// The records that the join of two streams in `slot` keeps, as they are now; of one
/// key and side in order of time and arrival. `None` if the store is of other types or of another
/// kind.
pub fn kept<K: Key, V: Data, T: Data>(
    stores: &Stores,
    slot: usize,
) -> Option<Result<Vec<Kept<K, V, T>>>> {
    let store = stores.find::<JoinStore<K, V, T>>(slot)?;
    let mut all = Vec::new();
    let shown = store.all_committed(|key, row| {
        let (left, right) = match row.value.clone() {
            Either::Left(left) => (Some(left), None),
            Either::Right(right) => (None, Some(right)),
        };
        let (key, at, matched) = (key.clone(), row.at, row.matched);
        all.push(Kept { key, left, right, at, matched });
    });
    Some(shown.map(|()| all))
}

/// What was valid for a key, and from when on; none after a removal.
pub type Version<K, A> = (K, Timestamp, Option<A>);

/// The versions of the table in `slot`, as of the last commit, those of a key together and oldest
/// first; `None` if the store is of other types or of another kind.
pub fn versions<K: Key, A: Data>(stores: &Stores, slot: usize) -> Option<Vec<Version<K, A>>> {
    let store = stores.find::<VersionStore<K, A>>(slot)?;
    let all = store.all_committed().flat_map(|(key, versions)| {
        versions.into_iter().map(move |(at, row)| (key.clone(), at, row))
    });
    Some(all.collect())
}

/// The records that wait in `slot`, as of the last commit, in no order; `None` if the store is of
/// other types or of another kind.
pub fn waiting<K: Key, V: Data>(stores: &Stores, slot: usize) -> Option<Vec<Record<K, V>>> {
    let store = stores.find::<WaitStore<K, V>>(slot)?;
    Some(store.all_committed().cloned().collect())
}

/// A timer of a processor.
#[derive(Clone, Debug)]
pub struct Timer<K, T> {
    /// Its key.
    pub key: K,
    /// Its name.
    pub name: T,
    /// When it fires.
    pub at: Timestamp,
    /// Whether it is one of wall time.
    pub is_wall: bool,
}

/// The timers in `slot`, as of the last commit, those of a key together and in the order in which
/// they were set; `None` if the store is of other types or of another kind.
pub fn timers<K: Key, T: Data + PartialEq>(
    stores: &Stores,
    slot: usize,
) -> Option<Vec<Timer<K, T>>> {
    let store = stores.find::<TimerStore<K, T>>(slot)?;
    let all = store.all_committed().flat_map(|(key, timers)| {
        timers.iter().map(move |timer| Timer {
            key: key.clone(),
            name: timer.name.clone(),
            at: Timestamp::from_millis(timer.at),
            is_wall: timer.clock == Clock::Wall,
        })
    });
    Some(all.collect())
}

/// A partial match of a key, with the stage that it fills or waits for.
pub type Partial<K, V> = (K, usize, Match<V>);

/// The partial matches in `slot`, as of the last commit, those of a key together and in order of
/// arrival; `None` if the store is of other types or of another kind.
pub fn partials<K: Key, V: Data>(
    stores: &Stores,
    slot: usize,
) -> Option<Result<Vec<Partial<K, V>>>> {
    let store = stores.find::<PartialStore<K, V>>(slot)?;
    let all = store.all_committed().map(|all| {
        let parts = all.into_iter().flat_map(|(key, row)| {
            let parts = row.parts().map(|(stage, part)| (key.clone(), stage, part));
            parts.collect::<Vec<_>>()
        });
        parts.collect()
    });
    Some(all)
}
