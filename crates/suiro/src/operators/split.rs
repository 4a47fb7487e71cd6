//! One stream into two, by a test on the value.

use crate::Stream;
use crate::row::{emit, typed};
use crate::show;
use crate::step::Step;
use crate::topology::{maker, step_node};
use std::sync::Arc;
use suiro_core::Result;
use suiro_engine::{BoxRows, Context, Edge, Failure, Operator};

type Test<V> = Arc<dyn Fn(&V) -> bool + Send + Sync>;

pub(crate) fn add<K: Send + 'static, V: Send + 'static>(
    stream: Stream<K, V>,
    test: impl Fn(&V) -> bool + Send + Sync + 'static,
) -> (Stream<K, V>, Stream<K, V>) {
    let test: Test<V> = Arc::new(test);
    let step = stream.draft.step("split");
    let make = {
        let step = step.clone();
        maker(move |_| Split::<K, V> {
            test: Arc::clone(&test),
            step: step.clone(),
            keys: std::marker::PhantomData,
        })
    };
    let mut node = step_node("split", vec![stream.from], make);
    node.outputs.push(None);
    let node = stream.draft.add(node);
    stream.draft.show((node, 0), show::key::<K, V>(stream.keys));
    let half = |output| {
        let next = Stream::new(&stream.draft, Edge { node, output }, stream.keys);
        next.with_moved(stream.moved).with_step(step.clone())
    };
    (half(0), half(1))
}

struct Split<K, V> {
    test: Test<V>,
    step: Step,
    keys: std::marker::PhantomData<fn() -> K>,
}

impl<K: Send + 'static, V: Send + 'static> Operator for Split<K, V> {
    fn process(
        &mut self,
        _port: usize,
        rows: BoxRows,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let mut rows = typed::<K, V>(rows).into_iter();
        let (mut passed, mut others) = (Vec::new(), Vec::new());
        self.step.stateless(cx.counters, || {
            for row in &mut rows {
                if (self.test)(&row.value) { passed.push(row) } else { others.push(row) }
            }
            Ok(())
        })?;
        emit(cx, 0, passed);
        emit(cx, 1, others);
        Ok(())
    }
}
