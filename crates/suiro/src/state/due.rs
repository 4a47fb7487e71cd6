//! When to look at which key, for stores whose keys may be more than memory holds.

use super::beneath::Beneath;
use super::table_store::encode_key;
use super::{Agenda, prefix};
use crate::Key;
use crate::format::Format;
use bytes::Bytes;
use std::collections::{HashSet, VecDeque};
use std::ops::ControlFlow;
use suiro_core::store::Change;
use suiro_core::{Error, Result, Timestamp};

/// Keys by the time at which they are to be looked at.
///
/// Without a store below all of them are on the agenda. With one, it has an entry for each,
/// beside the rows and in order of time, and only those that are due soon are held. An entry
/// may be there for longer than its key has a row, or for an earlier time than its row needs:
/// whoever looks at the key sees that. What must not be is a row without an entry.
pub(crate) struct DueKeys<K: 'static> {
    near: Agenda<K>,
    keys: &'static dyn Format<K>,
    far: Option<Far<K>>,
}

/// What is known of the entries below.
struct Far<K> {
    /// What is due earlier is on the agenda.
    horizon: Timestamp,
    /// So is all the rest: there is no entry behind the horizon.
    is_all: bool,
    /// How far ahead the agenda reaches, in milliseconds.
    span: i64,
    /// What was put and taken since the last commit.
    young: Vec<(Timestamp, K)>,
    popped: Vec<(Timestamp, K)>,
    /// What was put in commits that are not yet below, in order.
    pending: VecDeque<Vec<(Timestamp, K)>>,
}

/// About how many entries are brought up at a time.
const CHUNK: usize = if cfg!(test) { 3 } else { 4096 };

/// The agenda reaches ahead by this part of the usual distance.
const AHEAD: i64 = 16;

impl<K: Key> DueKeys<K> {
    /// Keys that are usually due `distance` milliseconds ahead.
    pub(crate) fn new(keys: &'static dyn Format<K>, distance: i64) -> Self {
        Self { near: Agenda::new(distance), keys, far: None }
    }

    /// Holds only what is due soon from now on.
    pub(crate) fn lean(&mut self, distance: i64) {
        self.far = Some(Far {
            horizon: Timestamp::MIN,
            is_all: false,
            span: distance / AHEAD,
            young: Vec::new(),
            popped: Vec::new(),
            pending: VecDeque::new(),
        });
    }

    pub(crate) fn is_lean(&self) -> bool {
        self.far.is_some()
    }

    /// Has `key` looked at when it is `at`.
    #[inline]
    pub(crate) fn push(&mut self, at: Timestamp, key: K) {
        match &mut self.far {
            None => self.near.push(at, key),
            Some(far) => {
                if at < far.horizon {
                    self.near.push(at, key.clone());
                } else if far.is_all {
                    (far.horizon, far.is_all) = (at, false);
                }
                far.young.push((at, key));
            }
        }
    }

    /// Takes a key that is due at `now`, the earliest first.
    #[inline]
    pub(crate) fn pop(&mut self, now: Timestamp, below: Option<&Beneath>) -> Result<Option<K>> {
        match below {
            None => Ok(self.near.pop(now).map(|(_, key)| key)),
            Some(below) => self.pop_lean(now, below),
        }
    }

    /// When the next key is due, or a moment before that.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let far = self.far.as_ref().filter(|far| !far.is_all).map(|far| far.horizon);
        self.near.next().into_iter().chain(far).min()
    }

    fn pop_lean(&mut self, now: Timestamp, below: &Beneath) -> Result<Option<K>> {
        loop {
            let next = self.near.pop(now);
            let far = self.far.as_mut().expect("who has a store below is lean");
            if let Some((at, key)) = next {
                far.popped.push((at, key.clone()));
                return Ok(Some(key));
            }
            if far.is_all || far.horizon > now || far.horizon == Timestamp::MAX {
                return Ok(None);
            }
            self.look_ahead(now, below)?;
        }
    }

    /// Brings up what is due soon: some of it, if it is much.
    fn look_ahead(&mut self, now: Timestamp, below: &Beneath) -> Result<()> {
        let far = self.far.as_mut().expect("who has a store below is lean");
        let from = far.horizon;
        let mut until = now.plus_millis(far.span).plus_millis(1);
        let (mut found, mut count, mut last) = (HashSet::new(), 0, from);
        let (mut failed, mut is_cut) = (None, false);
        below.keys(&entry(from.max(Timestamp::ZERO)), &entry(until), &mut |bytes| {
            match read_entry(self.keys, bytes) {
                Ok((at, _)) if count >= CHUNK && at > last => {
                    (until, is_cut) = (at, true);
                    return ControlFlow::Break(());
                }
                Ok((at, key)) => {
                    (last, count) = (at, count + 1);
                    found.insert((at, key));
                }
                Err(error) => {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        failed.map_or(Ok(()), Err)?;
        // An entry that is on its way may have arrived meanwhile.
        for (at, key) in far.pending.iter().flatten().chain(&far.young) {
            if *at >= from && *at < until {
                found.insert((*at, key.clone()));
            }
        }
        // Where nothing is due for long, nobody need look again and again.
        let mut next = is_cut.then_some(until);
        if !is_cut {
            let waiting = far.pending.iter().flatten().chain(&far.young);
            next = waiting.map(|(at, _)| *at).filter(|at| *at >= until).min();
            let ends = next.unwrap_or(Timestamp::MAX);
            if let Some(at) = first_below(self.keys, below, until, ends)? {
                next = Some(at);
            }
        }
        for (at, key) in found {
            self.near.push(at, key);
        }
        (far.horizon, far.is_all) = (next.unwrap_or(until), next.is_none());
        Ok(())
    }

    /// What was put since the last commit is committed.
    pub(crate) fn commit(&mut self) {
        if let Some(far) = &mut self.far {
            far.pending.push_back(std::mem::take(&mut far.young));
        }
    }

    /// What changes below with the commit that was made.
    pub(crate) fn beside(&mut self) -> Result<Vec<Change>> {
        let Some(far) = &mut self.far else { return Ok(Vec::new()) };
        let put = far.pending.back().into_iter().flatten();
        let put = put.map(|(at, key)| (at, key, Some(Bytes::new())));
        let popped = far.popped.iter().map(|(at, key)| (at, key, None));
        let changes = put.chain(popped).map(|(at, key, value)| {
            Ok(Change { key: entry_of(self.keys, *at, key)?.into(), value })
        });
        let changes = changes.collect();
        far.popped.clear();
        changes
    }

    /// `last`: the oldest commit that was not yet below is there now.
    pub(crate) fn lowered(&mut self, last: bool) {
        if let Some(far) = &mut self.far
            && last
        {
            far.pending.pop_front();
        }
    }

    /// Forgets what is on the agenda; what is below is looked at anew.
    pub(crate) fn clear(&mut self) {
        self.near.clear();
        if let Some(far) = &mut self.far {
            (far.horizon, far.is_all) = (Timestamp::MIN, false);
            far.young.clear();
            far.popped.clear();
        }
    }
}

/// What the entries of a time begin with.
fn entry(at: Timestamp) -> Vec<u8> {
    let mut bytes = vec![prefix::DUE];
    bytes.extend_from_slice(&at.as_millis().to_be_bytes());
    bytes
}

/// The time of the first entry below from one time on and before another.
fn first_below<K>(
    keys: &dyn Format<K>,
    below: &Beneath,
    from: Timestamp,
    until: Timestamp,
) -> Result<Option<Timestamp>> {
    let mut first = None;
    below.keys(&entry(from), &entry(until), &mut |bytes| {
        first = Some(read_entry(keys, bytes));
        ControlFlow::Break(())
    })?;
    Ok(first.transpose()?.map(|(at, _)| at))
}

/// The entry of a key.
pub(crate) fn entry_of<K>(keys: &dyn Format<K>, at: Timestamp, key: &K) -> Result<Vec<u8>> {
    let mut bytes = entry(at);
    encode_key(keys, key, &mut bytes)?;
    Ok(bytes)
}

fn read_entry<K>(keys: &dyn Format<K>, bytes: &[u8]) -> Result<(Timestamp, K)> {
    let rest = bytes.split_first().and_then(|(_, rest)| rest.split_first_chunk::<8>());
    let (at, key) = rest.ok_or_else(|| Error::corrupt("an entry of a store is cut off"))?;
    Ok((Timestamp::from_millis(i64::from_be_bytes(*at)), keys.decode(key)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topic;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use suiro_core::store::StoreProvider;
    use suiro_store::MemoryStores;

    const TOPIC: Topic<u8, u8> = Topic::json("keys");
    const GAP: i64 = 40;

    #[derive(Clone, Copy, Debug)]
    enum Act {
        /// Puts a key so far ahead.
        Push(i64, u8),
        /// Takes what is due after so much time.
        Pop(i64),
        Commit,
        /// The oldest commit that was on its way arrives.
        Arrive,
        Rollback,
        /// All is lost that is not below; what was committed is replayed there.
        Restart,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            6 => (1..3 * GAP, 0..20_u8).prop_map(|(ahead, key)| Act::Push(ahead, key)),
            3 => (0..GAP).prop_map(Act::Pop),
            2 => Just(Act::Commit),
            2 => Just(Act::Arrive),
            1 => Just(Act::Rollback),
            1 => Just(Act::Restart),
        ]
    }

    #[test]
    fn where_nothing_is_due_for_long_nobody_looks_again() {
        let stores = MemoryStores::default();
        let below = Beneath::new::<u8, ()>(stores.open("due", 0).unwrap(), 0, 0);
        let mut writer = stores.open("due", 0).unwrap();
        let mut due = DueKeys::new(TOPIC.keys, GAP);
        due.lean(GAP);
        let at = Timestamp::from_millis;
        for (number, time) in [(1, 1_000), (2, 1_000_000)] {
            due.push(at(time), number);
            due.commit();
            writer.apply(&due.beside().unwrap(), 0).unwrap();
            due.lowered(true);
        }
        assert_eq!(due.pop(at(0), Some(&below)).unwrap(), None);
        assert_eq!(due.next(), Some(at(1_000)));
        assert_eq!(due.pop(at(1_000), Some(&below)).unwrap(), Some(1));
        assert_eq!(due.pop(at(1_000), Some(&below)).unwrap(), None);
        assert_eq!(due.next(), Some(at(1_000_000)));
        assert_eq!(due.pop(at(1_000_000), Some(&below)).unwrap(), Some(2));
        assert_eq!(due.pop(at(1_000_000), Some(&below)).unwrap(), None);
        assert_eq!(due.next(), None);
        due.push(at(1_000_100), 3);
        assert_eq!(due.next(), Some(at(1_000_100)));
        assert_eq!(due.pop(at(1_000_100), Some(&below)).unwrap(), Some(3));
    }

    proptest! {
        /// What is due comes out, whatever was committed, taken back or lost meanwhile; what
        /// comes out was put once, and is due.
        #[test]
        fn nothing_that_is_due_is_missed(acts in prop::collection::vec(act(), 0..120)) {
            let stores = MemoryStores::default();
            let open = || stores.open("due", 0).map(|store| Beneath::new::<u8, ()>(store, 0, 0));
            let lean = || {
                let mut due = DueKeys::new(TOPIC.keys, GAP);
                due.lean(GAP);
                due
            };
            let (mut due, below, mut writer) = (lean(), open()?, stores.open("due", 0)?);
            let mut on_the_way = VecDeque::new();
            let (mut now, mut ever) = (0, BTreeSet::new());
            let mut open_now = BTreeSet::new();
            let mut committed = (now, open_now.clone());
            for act in acts.into_iter().chain([Act::Pop(9 * GAP)]) {
                match act {
                    Act::Push(ahead, key) => {
                        due.push(Timestamp::from_millis(now + ahead), key);
                        open_now.insert((now + ahead, key));
                        ever.insert((now + ahead, key));
                    }
                    Act::Pop(after) => {
                        now += after;
                        let at = Timestamp::from_millis(now);
                        let mut got = BTreeSet::new();
                        while let Some(key) = due.pop(at, Some(&below))? {
                            prop_assert!(ever.iter().any(|(at, of)| *of == key && *at <= now));
                            got.insert(key);
                        }
                        for (at, key) in open_now.extract_if(.., |(at, _)| *at <= now) {
                            prop_assert!(got.contains(&key), "{key} at {at} was missed");
                        }
                    }
                    Act::Commit => {
                        due.commit();
                        on_the_way.push_back(due.beside()?);
                        committed = (now, open_now.clone());
                    }
                    Act::Arrive => {
                        if let Some(changes) = on_the_way.pop_front() {
                            writer.apply(&changes, 0)?;
                            due.lowered(true);
                        }
                    }
                    Act::Rollback => {
                        due.clear();
                        (now, open_now) = committed.clone();
                    }
                    Act::Restart => {
                        due = lean();
                        on_the_way.clear();
                        (now, open_now) = committed.clone();
                        let entry = |(at, key): &(i64, u8)| {
                            let key = entry_of(TOPIC.keys, Timestamp::from_millis(*at), key)?;
                            Ok(Change { key: key.into(), value: Some(Bytes::new()) })
                        };
                        let entries: Result<Vec<_>> = open_now.iter().map(entry).collect();
                        writer.apply(&entries?, 0)?;
                    }
                }
                if let Some((first, _)) = open_now.first() {
                    let next = due.next().map(Timestamp::as_millis);
                    prop_assert!(next.is_some_and(|next| next <= *first));
                }
            }
        }
    }
}
