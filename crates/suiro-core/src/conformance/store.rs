//! The suite that every [`Store`] passes, written from its contract alone.

use crate::store::{Change, Store, StoreProvider};
use crate::{Offset, Seed};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

/// A provider of stores under test: a place where nothing is stored yet.
pub struct Subject {
    /// Opens the place. It is called again after the former provider and its stores were
    /// dropped, which is a clean restart.
    pub open: Box<dyn FnMut() -> Box<dyn StoreProvider>>,
}

impl Subject {
    /// The subject that `open` opens.
    pub fn new(open: impl FnMut() -> Box<dyn StoreProvider> + 'static) -> Self {
        Self { open: Box::new(open) }
    }

    fn store(&mut self) -> Box<dyn Store> {
        open(&*(self.open)(), "rows", 0)
    }
}

/// One check of the suite.
pub type Check = fn(Subject);

/// All checks, with their names.
pub const CHECKS: &[(&str, Check)] = &[
    ("new_store_is_empty", new_store_is_empty),
    ("reads_see_what_was_applied", reads_see_what_was_applied),
    ("changes_apply_in_order", changes_apply_in_order),
    ("range_is_ordered_by_bytes", range_is_ordered_by_bytes),
    ("range_keeps_its_bounds", range_keeps_its_bounds),
    ("range_stops_at_a_break", range_stops_at_a_break),
    ("position_goes_with_changes", position_goes_with_changes),
    ("replay_does_no_harm", replay_does_no_harm),
    ("snapshot_stays_as_it_was", snapshot_stays_as_it_was),
    ("stores_are_apart", stores_are_apart),
    ("forgotten_store_is_new", forgotten_store_is_new),
    ("reopened_store_is_as_it_once_was", reopened_store_is_as_it_once_was),
    ("store_agrees_with_a_model", store_agrees_with_a_model),
];

/// Runs every check against a fresh subject.
///
/// ```
/// use suiro_core::conformance::store::{Subject, run};
/// use suiro_core::store::StoreProvider;
///
/// fn conforms<P: StoreProvider + Clone + 'static>(fresh: fn() -> P) {
///     run(&mut || {
///         let stores = fresh();
///         Subject::new(move || Box::new(stores.clone()))
///     });
/// }
/// ```
pub fn run(make: &mut dyn FnMut() -> Subject) {
    for (_, check) in CHECKS {
        check(make());
    }
}

/// A store that was never written has no rows and no position.
pub fn new_store_is_empty(mut subject: Subject) {
    let store = subject.store();
    assert_eq!(store.position(), None, "new_store_is_empty: position");
    assert_eq!(get(&*store, "a"), None, "new_store_is_empty: row");
    assert_eq!(all(&*store), [], "new_store_is_empty: rows");
}

/// A read sees all changes that were applied before it; an empty value is a value.
pub fn reads_see_what_was_applied(mut subject: Subject) {
    let mut store = subject.store();
    apply(&mut *store, &[put("a", "1"), put("b", ""), put("c", "3")], 3);
    assert_eq!(get(&*store, "a"), Some(Bytes::from("1")), "reads_see_what_was_applied: put");
    assert_eq!(get(&*store, "b"), Some(Bytes::new()), "reads_see_what_was_applied: empty");
    apply(&mut *store, &[put("a", "2"), remove("c"), remove("absent")], 6);
    assert_eq!(
        all(&*store),
        rows(&[("a", "2"), ("b", "")]),
        "reads_see_what_was_applied: overwritten and removed"
    );
    assert_eq!(get(&*store, "c"), None, "reads_see_what_was_applied: removed");
}

/// Of several changes to one key the last one stays.
pub fn changes_apply_in_order(mut subject: Subject) {
    let mut store = subject.store();
    let changes = [put("a", "1"), remove("a"), put("a", "2"), put("b", "1"), remove("b")];
    apply(&mut *store, &changes, 5);
    assert_eq!(all(&*store), rows(&[("a", "2")]), "changes_apply_in_order");
}

/// A range visits rows in the order of their keys' bytes, whatever the order of writing.
pub fn range_is_ordered_by_bytes(mut subject: Subject) {
    let mut store = subject.store();
    let keys: [&[u8]; 7] = [b"b", b"\xff", b"a\0", b"\0", b"a", b"ab", b"\x7f\x80"];
    let changes = keys.map(|key| Change {
        key: Bytes::from_static(key),
        value: Some(Bytes::from_static(key)),
    });
    apply(&mut *store, &changes, 7);
    let mut sorted = keys.to_vec();
    sorted.sort();
    let visited: Vec<_> = all(&*store).into_iter().map(|(key, _)| key).collect();
    assert_eq!(visited, sorted, "range_is_ordered_by_bytes");
}

/// Every kind of bound means what it means for a `BTreeMap`; a range whose end lies before
/// its beginning is empty.
pub fn range_keeps_its_bounds(mut subject: Subject) {
    let mut store = subject.store();
    let mut model = BTreeMap::new();
    for key in ["b", "d", "f"] {
        apply(&mut *store, &[put(key, key)], 1);
        model.insert(Bytes::from(key), Bytes::from(key));
    }
    let mut bounds: Vec<Bound<&[u8]>> = vec![Bound::Unbounded];
    for key in ["a", "b", "c", "d", "e", "f", "g"] {
        bounds.push(Bound::Included(key.as_bytes()));
        bounds.push(Bound::Excluded(key.as_bytes()));
    }
    for from in &bounds {
        for to in &bounds {
            assert_eq!(
                range(&*store, *from, *to),
                expected(&model, *from, *to),
                "range_keeps_its_bounds: from {from:?} to {to:?}"
            );
        }
    }
}

/// A visit that breaks is the last one.
pub fn range_stops_at_a_break(mut subject: Subject) {
    let mut store = subject.store();
    apply(&mut *store, &[put("a", "1"), put("b", "2"), put("c", "3")], 3);
    let mut visited = Vec::new();
    store
        .range(Bound::Unbounded, Bound::Unbounded, &mut |key, _| {
            visited.push(Bytes::copy_from_slice(key));
            if key == b"b" { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("range_stops_at_a_break: a range is read");
    assert_eq!(visited, ["a", "b"], "range_stops_at_a_break");
}

/// The position moves with each apply, also with one that changes nothing.
pub fn position_goes_with_changes(mut subject: Subject) {
    let mut store = subject.store();
    apply(&mut *store, &[put("a", "1")], 10);
    assert_eq!(store.position(), Some(10), "position_goes_with_changes: with a change");
    apply(&mut *store, &[], 12);
    assert_eq!(store.position(), Some(12), "position_goes_with_changes: without a change");
    assert_eq!(all(&*store), rows(&[("a", "1")]), "position_goes_with_changes: rows");
}

/// Applying the tail of the changelog once more leads to the same rows.
pub fn replay_does_no_harm(mut subject: Subject) {
    let mut store = subject.store();
    let tail = [put("a", "1"), put("b", "1"), remove("a"), put("b", "2")];
    for _ in 0..2 {
        apply(&mut *store, &tail, 4);
        assert_eq!(all(&*store), rows(&[("b", "2")]), "replay_does_no_harm: rows");
        assert_eq!(store.position(), Some(4), "replay_does_no_harm: position");
    }
}

/// A snapshot keeps its rows and its position, whatever happens to the store, and the store
/// keeps its own.
pub fn snapshot_stays_as_it_was(mut subject: Subject) {
    let check = "snapshot_stays_as_it_was";
    let mut store = subject.store();
    let empty = store.snapshot().expect("an empty store gives a snapshot");
    apply(&mut *store, &[put("a", "1"), put("b", "1")], 2);
    let mut first = store.snapshot().expect("a store gives a snapshot");
    apply(&mut *store, &[put("a", "2"), remove("b"), put("c", "2")], 5);
    let second = first.snapshot().expect("a snapshot gives a snapshot");

    assert_eq!((all(&*empty), empty.position()), (Vec::new(), None), "{check}: empty");
    for snapshot in [&first, &second] {
        assert_eq!(all(&**snapshot), rows(&[("a", "1"), ("b", "1")]), "{check}: rows");
        assert_eq!(get(&**snapshot, "b"), Some(Bytes::from("1")), "{check}: row");
        assert_eq!(snapshot.position(), Some(2), "{check}: position");
    }
    // A snapshot may refuse changes, but they never reach the store.
    let _refused = first.apply(&[put("a", "9")], 9);
    assert_eq!(all(&*store), rows(&[("a", "2"), ("c", "2")]), "{check}: rows of the store");
    assert_eq!(store.position(), Some(5), "{check}: position of the store");

    drop((store, first));
    assert_eq!(all(&*second), rows(&[("a", "1"), ("b", "1")]), "{check}: outlives the store");
}

/// Stores of another name or another partition share nothing.
pub fn stores_are_apart(mut subject: Subject) {
    let provider = (subject.open)();
    let places = [("rows", 0), ("rows", 1), ("row", 0), ("rows.0", 1), ("rows/0", 1)];
    let mut stores = places.map(|(name, partition)| open(&*provider, name, partition));
    for (store, position) in stores.iter_mut().zip(1..) {
        apply(&mut **store, &[put("a", &position.to_string())], position);
    }
    for (store, position) in stores.iter().zip(1..) {
        let value = Some(Bytes::from(position.to_string()));
        let place = format!("stores_are_apart: store {position} of {places:?}");
        assert_eq!((get(&**store, "a"), store.position()), (value, Some(position)), "{place}");
    }
}

/// A store that was forgotten is opened as a new one, now and after a restart; others stay.
pub fn forgotten_store_is_new(mut subject: Subject) {
    let check = "forgotten_store_is_new";
    let provider = (subject.open)();
    for name in ["rows", "others"] {
        let mut store = open(&*provider, name, 0);
        let many: Vec<Change> = (0..10_000).map(|row| put(&row.to_string(), name)).collect();
        apply(&mut *store, &many, 1);
        apply(&mut *store, &[put("last", name)], 2);
    }
    provider.forget("rows", 0).expect("a store is forgotten");
    provider.forget("unknown", 0).expect("a store that never was is forgotten");
    let new = |store: &dyn Store| store.position().is_none() && all(store).is_empty();
    assert!(new(&*open(&*provider, "rows", 0)), "{check}: at once");
    let others = open(&*provider, "others", 0);
    assert_eq!(all(&*others).len(), 10_001, "{check}: others");
    drop((others, provider));
    assert!(new(&*subject.store()), "{check}: after a restart");
}

/// After a restart the store is at some position that it once had, with the rows it had
/// there; replaying the rest of the changelog brings it to the end.
pub fn reopened_store_is_as_it_once_was(mut subject: Subject) {
    let check = "reopened_store_is_as_it_once_was";
    let mut seed = Seed::new(7);
    let mut changelog: Vec<Change> = Vec::new();
    let mut model = BTreeMap::new();
    let mut history = BTreeMap::from([(None, BTreeMap::new())]);
    for round in 0..5 {
        let mut store = subject.store();
        let position = store.position();
        let Some(then) = history.get(&position) else {
            panic!("{check}: round {round}: the store never was at position {position:?}");
        };
        assert_eq!(all(&*store), pairs(then), "{check}: round {round}: rows at {position:?}");

        let replayed = position.map_or(0, |position| position as usize);
        apply(&mut *store, &changelog[replayed..], changelog.len() as Offset);
        assert_eq!(all(&*store), pairs(&model), "{check}: round {round}: replayed");
        history.insert(store.position(), model.clone());
        for _ in 0..4 {
            let changes = random_changes(&mut seed);
            changelog.extend_from_slice(&changes);
            apply(&mut *store, &changes, changelog.len() as Offset);
            follow(&mut model, &changes);
            history.insert(store.position(), model.clone());
        }
    }
}

/// Random changes, reads, ranges, snapshots and restarts give what a `BTreeMap` gives.
pub fn store_agrees_with_a_model(mut subject: Subject) {
    for number in 0..16 {
        let mut seed = Seed::new(number);
        let provider = (subject.open)();
        let mut store = open(&*provider, "model", number as u32);
        let mut model = BTreeMap::new();
        let mut snapshots = Vec::new();
        for step in 1..200 {
            let at = format!("store_agrees_with_a_model: seed {number}, step {step}");
            let changes = random_changes(&mut seed);
            apply(&mut *store, &changes, step);
            follow(&mut model, &changes);
            let (one, other) = (random_key(&mut seed), random_key(&mut seed));
            assert_eq!(
                store.get(&one).expect("a row is read"),
                model.get(&one).cloned(),
                "{at}: row {one:?}"
            );
            let (from, to) = (random_bound(&mut seed, &one), random_bound(&mut seed, &other));
            assert_eq!(
                range(&*store, from, to),
                expected(&model, from, to),
                "{at}: from {from:?} to {to:?}"
            );
            assert_eq!(store.position(), Some(step), "{at}: position");
            if seed.one_in(20) {
                let snapshot = store.snapshot().expect("a store gives a snapshot");
                snapshots.push((step, snapshot, model.clone()));
            }
        }
        for (step, snapshot, model) in snapshots {
            let at = format!("store_agrees_with_a_model: seed {number}, snapshot {step}");
            assert_eq!(all(&*snapshot), pairs(&model), "{at}: rows");
            assert_eq!(snapshot.position(), Some(step), "{at}: position");
        }
    }
}

type Row = (Bytes, Bytes);

fn open(provider: &dyn StoreProvider, name: &str, partition: u32) -> Box<dyn Store> {
    provider.open(name, partition).expect("a store opens")
}

fn put(key: &str, value: &str) -> Change {
    Change {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
    }
}

fn remove(key: &str) -> Change {
    Change { key: Bytes::copy_from_slice(key.as_bytes()), value: None }
}

fn rows(pairs: &[(&'static str, &'static str)]) -> Vec<Row> {
    pairs.iter().map(|(key, value)| (Bytes::from(*key), Bytes::from(*value))).collect()
}

fn pairs(model: &BTreeMap<Bytes, Bytes>) -> Vec<Row> {
    model.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn apply(store: &mut dyn Store, changes: &[Change], position: Offset) {
    store.apply(changes, position).expect("changes are applied");
}

fn get(store: &dyn Store, key: &str) -> Option<Bytes> {
    store.get(key.as_bytes()).expect("a row is read")
}

fn all(store: &dyn Store) -> Vec<Row> {
    range(store, Bound::Unbounded, Bound::Unbounded)
}

fn range(store: &dyn Store, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Vec<Row> {
    let mut rows = Vec::new();
    store
        .range(from, to, &mut |key, value| {
            rows.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            ControlFlow::Continue(())
        })
        .expect("a range is read");
    rows
}

/// The rows of `model` in a range, by looking at each.
fn expected(model: &BTreeMap<Bytes, Bytes>, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Vec<Row> {
    let inside = |key: &[u8]| {
        (match from {
            Bound::Included(from) => key >= from,
            Bound::Excluded(from) => key > from,
            Bound::Unbounded => true,
        }) && (match to {
            Bound::Included(to) => key <= to,
            Bound::Excluded(to) => key < to,
            Bound::Unbounded => true,
        })
    };
    pairs(model).into_iter().filter(|(key, _)| inside(key)).collect()
}

fn follow(model: &mut BTreeMap<Bytes, Bytes>, changes: &[Change]) {
    for Change { key, value } in changes {
        match value {
            Some(value) => model.insert(key.clone(), value.clone()),
            None => model.remove(key),
        };
    }
}

fn random_changes(seed: &mut Seed) -> Vec<Change> {
    (0..seed.below(6))
        .map(|_| Change {
            key: random_key(seed),
            value: (!seed.one_in(3)).then(|| Bytes::from(seed.below(1000).to_string())),
        })
        .collect()
}

/// One to three bytes out of few, so that keys meet again and are prefixes of each other.
fn random_key(seed: &mut Seed) -> Bytes {
    let bytes = [0, b'a', b'b', 0xff];
    (0..=seed.below(3)).map(|_| bytes[seed.below(4) as usize]).collect()
}

fn random_bound<'a>(seed: &mut Seed, key: &'a [u8]) -> Bound<&'a [u8]> {
    match seed.below(5) {
        0 => Bound::Unbounded,
        1 | 2 => Bound::Included(key),
        _ => Bound::Excluded(key),
    }
}
