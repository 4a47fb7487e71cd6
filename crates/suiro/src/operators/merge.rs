//! Two streams into one: rows pass in the order of their turns.

use crate::Stream;
use crate::draft::{maker, step_node};
use suiro_core::{Error, Result};
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator};

pub(crate) fn add<K: Send + 'static, V: Send + 'static>(
    left: Stream<K, V>,
    right: Stream<K, V>,
) -> Stream<K, V> {
    if !left.draft.is_same(&right.draft) {
        return left;
    }
    if left.keys.name() != right.keys.name() {
        let text = "streams whose keys have different formats cannot be merged";
        let error = Error::invalid(text).with("format", left.keys.name());
        left.draft.refuse(error.with("other_format", right.keys.name()));
    }
    let node = step_node("merge", vec![left.from, right.from], maker(|_| Merge));
    let from = Edge { node: left.draft.add(node), output: 0 };
    Stream::new(&left.draft, from, left.keys).with_moved(left.moved || right.moved)
}

struct Merge;

impl Operator for Merge {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        cx.out.emit(0, rows);
        Ok(())
    }
}
