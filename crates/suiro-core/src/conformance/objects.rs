//! The suite that every [`Objects`] passes, written from its contract alone.

use crate::objects::Objects;
use bytes::Bytes;

/// One check of the suite.
pub type Check = fn(&dyn Objects);

/// All checks, with their names.
pub const CHECKS: &[(&str, Check)] = &[
    ("what_is_put_is_got", what_is_put_is_got),
    ("create_happens_once", create_happens_once),
    ("list_is_ordered_and_stays_under", list_is_ordered_and_stays_under),
    ("delete_is_repeatable", delete_is_repeatable),
    ("large_objects_are_whole", large_objects_are_whole),
];

/// Runs every check against a fresh, empty object store.
///
/// ```
/// use suiro_core::conformance::objects::run;
/// use suiro_core::objects::Objects;
///
/// fn conforms<O: Objects + 'static>(fresh: fn() -> O) {
///     run(&mut || Box::new(fresh()));
/// }
/// ```
pub fn run(make: &mut dyn FnMut() -> Box<dyn Objects>) {
    for (_, check) in CHECKS {
        check(&*make());
    }
}

fn get(objects: &dyn Objects, name: &str) -> Option<Bytes> {
    objects.get(name).expect("an object can be read")
}

fn put(objects: &dyn Objects, name: &str, text: &'static str) {
    objects.put(name, text.into()).expect("an object can be put");
}

fn names(objects: &dyn Objects, under: &str) -> Vec<String> {
    let listed = objects.list(under).expect("objects can be listed");
    listed.into_iter().map(|info| info.name).collect()
}

/// An object is as it was put last, and another name is another object.
fn what_is_put_is_got(objects: &dyn Objects) {
    assert_eq!(get(objects, "a/b.c"), None);
    put(objects, "a/b.c", "one");
    put(objects, "a/b.d", "");
    assert_eq!(get(objects, "a/b.c").as_deref(), Some(&b"one"[..]));
    assert_eq!(get(objects, "a/b.d").as_deref(), Some(&b""[..]));
    put(objects, "a/b.c", "two");
    assert_eq!(get(objects, "a/b.c").as_deref(), Some(&b"two"[..]));
    assert_eq!(get(objects, "a/b"), None);
}

/// The second who creates an object is told so, and changes nothing.
fn create_happens_once(objects: &dyn Objects) {
    let create = |text: &'static str| objects.create("m/1", text.into());
    assert!(create("first").expect("an object can be created"));
    assert!(!create("second").expect("to be the second is no error"));
    assert_eq!(get(objects, "m/1").as_deref(), Some(&b"first"[..]));
    objects.delete("m/1").expect("an object can be deleted");
    assert!(create("third").expect("the name is free again"));
}

/// A listing has what is under a name, in order, with sizes; not what only begins alike.
fn list_is_ordered_and_stays_under(objects: &dyn Objects) {
    assert_eq!(names(objects, "a"), [""; 0]);
    for name in ["a/c/2", "a/b", "ab/x", "a/c/10", "z"] {
        put(objects, name, "four");
    }
    assert_eq!(names(objects, "a"), ["a/b", "a/c/10", "a/c/2"]);
    assert_eq!(names(objects, "a/c"), ["a/c/10", "a/c/2"]);
    let listed = objects.list("a/c").expect("objects can be listed");
    assert!(listed.iter().all(|info| info.bytes == 4 && info.written.is_valid()));
}

/// What is deleted is gone, once and for all.
fn delete_is_repeatable(objects: &dyn Objects) {
    put(objects, "a/b", "one");
    put(objects, "a/c", "two");
    for _ in 0..2 {
        objects.delete("a/b").expect("an object can be deleted, also twice");
    }
    assert_eq!(get(objects, "a/b"), None);
    assert_eq!(names(objects, "a"), ["a/c"]);
}

/// Size does not matter.
fn large_objects_are_whole(objects: &dyn Objects) {
    let bytes: Bytes = (0..9_000_000_u32).map(|number| number as u8).collect();
    objects.put("large", bytes.clone()).expect("an object can be put");
    assert!(get(objects, "large") == Some(bytes));
}
