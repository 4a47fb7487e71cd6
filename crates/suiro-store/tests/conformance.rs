//! The memory stores pass the suite of all stores, and keep their rows while they live.

use suiro_core::conformance::store::{Subject, run};
use suiro_core::store::{Change, StoreProvider};
use suiro_store::MemoryStores;

#[test]
fn memory_stores_conform() {
    run(&mut || {
        let stores = MemoryStores::default();
        Subject::new(move || Box::new(stores.clone()))
    });
}

#[test]
fn a_provider_keeps_the_rows_of_closed_stores() {
    let stores = MemoryStores::default();
    let change = Change { key: "a".into(), value: Some("1".into()) };
    stores.open("rows", 3).unwrap().apply(&[change], 8).unwrap();

    let again = stores.clone().open("rows", 3).unwrap();
    assert_eq!(again.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(again.position(), Some(8));
    assert_eq!(MemoryStores::default().open("rows", 3).unwrap().position(), None);
}

#[cfg(feature = "disk")]
#[test]
fn disk_stores_conform() {
    run(&mut || {
        let place = tempfile::tempdir().unwrap();
        Subject::new(move || {
            Box::new(suiro_store::DiskStores::open_in(place.path(), 8 << 20).unwrap())
        })
    });
}

#[cfg(feature = "disk")]
#[test]
fn a_directory_in_use_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let _held = suiro_store::DiskStores::open_in(place.path(), 8 << 20).unwrap();
    let error = suiro_store::DiskStores::open_in(place.path(), 8 << 20).unwrap_err();
    assert_eq!(error.kind(), suiro_core::ErrorKind::Unavailable, "{}", error.report());
}
