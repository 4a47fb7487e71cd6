//! Records one at a time, so that the one that a step cannot take is known and its letter can
//! be written.

use crate::exchange::{Mark, encode};
use crate::graph::NodeKind;
use crate::input::{Input, InputKind};
use crate::letters::{Origin, Shown, write};
use crate::operator::Failure;
use crate::plan::Links;
use crate::rows::BoxRows;
use crate::task::{Task, Turning};
use bytes::Bytes;
use std::sync::Arc;
use suiro_core::Offset;
use suiro_core::batch::batches;
use suiro_core::broker::Generation;

/// What a task knows while it takes records one at a time.
#[derive(Default)]
pub(crate) struct Alone {
    /// Whether it does.
    pub(crate) on: bool,
    /// The newest records that all tasks have read, as of the start of the step.
    pub(crate) newest: Arc<str>,
    /// The offset of the record at hand in its source.
    offset: Option<Offset>,
    /// The row at hand as it crossed an exchange.
    crossed: Option<Shown>,
}

impl Task {
    /// Remembers the one row of a turn of input `index`.
    pub(crate) fn remember(
        &mut self,
        index: usize,
        rows: BoxRows,
        offset: Option<Offset>,
    ) -> Result<BoxRows, Failure> {
        (self.alone.offset, self.alone.crossed) = (offset, None);
        let InputKind::Exchange(exchange) = self.inputs[index].kind else { return Ok(rows) };
        let mut queue = rows.into_queue();
        let (codec, mut bytes) = (&*self.plan.graph.exchanges[exchange].codec, Vec::new());
        let stop = |cause| Failure::stop("exchange", cause);
        let lane = (0, Generation(0));
        encode(codec, lane, Mark::UNKNOWN, Some(&*queue), &mut bytes).map_err(stop)?;
        for batch in batches(Bytes::from(bytes)) {
            let records = batch.and_then(|batch| batch.records()).map_err(stop)?;
            // The mark comes before the row.
            for record in records.iter().skip(1) {
                let record = record.map_err(stop)?;
                self.alone.crossed = Some(Shown {
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    at: record.at,
                    headers: record.headers.to_headers().map_err(stop)?,
                });
            }
        }
        Ok(queue.take(1))
    }

    /// Hands one row to an operator. If its step fails and the policy says so, a letter is
    /// written and the work goes on.
    pub(crate) fn push_alone(
        &mut self,
        links: &[Links],
        (node, port): (usize, usize),
        row: BoxRows,
        turn: Turning,
    ) -> Result<(), Failure> {
        let direct = turn.input.filter(|_| !links[node].held).map(|(input, _)| input);
        let whole = direct.is_some_and(|input| match self.inputs[input].kind {
            InputKind::Topic => true,
            InputKind::Exchange(_) => self.alone.crossed.is_some(),
            InputKind::Generator => false,
        });
        let shown = self.plan.graph.shows.get(&(node, port)).filter(|_| !whole);
        let shown = shown.map(|show| show(&*row)).unwrap_or_default();
        match self.call(links, node, turn, |operator, cx| operator.process(port, row, cx)) {
            Err(Failure { step, cause, letter: Some(topic), .. }) => {
                let origin = self.origin(direct, shown);
                let name = Arc::clone(self.plan.name());
                write(&mut self.outbox, topic, &name, (&step, &cause), &origin)
                    .map_err(|cause| Failure::stop(&step, cause))?;
                tracing::warn!(step, cause = %cause.report(), "record put aside");
                self.counters.skipped += 1;
                self.counters.letters += 1;
                Ok(())
            }
            other => other,
        }
    }

    /// What is known of the row that failed.
    fn origin(&mut self, direct: Option<usize>, shown: Shown) -> Origin {
        let newest = Arc::clone(&self.alone.newest);
        let Some(index) = direct else {
            let what = "as the step saw it; made of earlier records".to_owned();
            return Origin::Row { shown, what, newest };
        };
        let input = &mut self.inputs[index];
        let kept = input.chunks.front_mut().and_then(|chunk| chunk.kept.as_mut());
        if let Some((kept, offset)) = kept.zip(self.alone.offset)
            && let Some(record) = kept.find(offset)
        {
            return Origin::Record(input.origin.clone(), record);
        }
        match self.alone.crossed.clone() {
            Some(shown) => {
                let what = format!("as it crossed `{}`", input.origin.topic);
                Origin::Row { shown, what, newest }
            }
            None => {
                let what = format!("as the step saw it; from `{}`", input.origin.topic);
                Origin::Row { shown, what, newest }
            }
        }
    }

    /// Writes the letters of records that sources refused, once the position has passed them.
    pub(crate) fn put_aside(&mut self) -> Result<(), Failure> {
        for input in &mut self.inputs {
            while let Some(refused) = input.refused.front()
                && refused.offset < input.position
            {
                let Some(refused) = input.refused.pop_front() else { break };
                self.counters.skipped += 1;
                let Some(letter) = refused.letter else { continue };
                let origin = Origin::Record(input.origin.clone(), letter.record);
                let (name, why) = (self.plan.name(), (&*letter.step, &letter.cause));
                write(&mut self.outbox, letter.topic, name, why, &origin)
                    .map_err(|cause| Failure::stop(&letter.step, cause))?;
                self.counters.letters += 1;
            }
        }
        Ok(())
    }

    /// Whether the position has passed records that were refused and are not counted yet.
    pub(crate) fn passed_refused(&self) -> bool {
        let passed = |input: &Input| {
            input.refused.front().is_some_and(|refused| refused.offset < input.position)
        };
        self.inputs.iter().any(passed)
    }

    /// Whether encoded records are kept until their rows are taken.
    pub(crate) fn keeps_records(&self, node: usize) -> bool {
        !self.plan.graph.letters.is_empty()
            && matches!(self.plan.graph.nodes[node].kind, NodeKind::Source(_))
    }
}
