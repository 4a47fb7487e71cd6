//! Bounded runs: where the sources ended at the first start, kept in the notes of positions, as
//! is how long a task that does not end has been silent.

use crate::input::InputKind;
use crate::scope::Scope;
use suiro_core::broker::Seek;
use suiro_core::{Offset, Result};

/// What is kept beside a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Note {
    /// The end of the source.
    pub(crate) end: Option<Offset>,
    /// Whether the task has spoken of its end.
    pub(crate) ended: bool,
    /// For how many milliseconds nothing has come to the task.
    pub(crate) silent: Option<u64>,
}

impl Note {
    pub(crate) fn parse(text: &str) -> Self {
        let mut note = Self::default();
        for part in text.split(';') {
            match part.split_once('=') {
                Some(("end", offset)) => note.end = offset.parse().ok(),
                Some(("silent", lasted)) => note.silent = lasted.parse().ok(),
                _ if part == "ended" => note.ended = true,
                _ => {}
            }
        }
        note
    }

    pub(crate) fn text(self) -> String {
        let end = self.end.map(|end| format!("end={end}"));
        let ended = self.ended.then(|| "ended".to_owned());
        let silent = self.silent.map(|lasted| format!("silent={lasted}"));
        silent.into_iter().chain(end).chain(ended).collect::<Vec<_>>().join(";")
    }
}

impl Scope {
    /// Takes the ends of all sources of the tasks that were opened, unless they were taken before
    /// and nothing has come since.
    pub(crate) fn take_ends(&mut self) -> Result<()> {
        if !self.settings.bounded {
            return Ok(());
        }
        for arrival in &mut self.arrivals {
            for input in &mut arrival.task.inputs {
                if input.kind != InputKind::Topic {
                    continue;
                }
                let end = self.link.offset(&input.origin, Seek::Latest)?;
                let position = self.committed.get(&input.origin);
                let taken = position.and_then(|position| Note::parse(&position.note).end);
                let was_ended =
                    position.is_some_and(|position| Note::parse(&position.note).ended);
                // A run that has not come to its end goes on to the end it once took.
                let stop_at = match taken {
                    Some(taken) if !was_ended => taken,
                    _ => end,
                };
                input.stop_at = Some(stop_at);
                self.dirty |= taken != Some(stop_at);
            }
        }
        Ok(())
    }

    /// Finds the tasks that have ended before, by the notes: all their own inputs are noted as
    /// ended, no source has grown since, and neither has one of a task that sends to them.
    pub(crate) fn mark_ends(&mut self) {
        if !self.settings.bounded {
            return;
        }
        let mut grown = vec![false; self.plan.subs.len()];
        for level in 0..self.levels() {
            for task in self.tasks.iter_mut().flatten() {
                let sub = task.id.subtopology as usize;
                if self.plan.subs[sub].level != level {
                    continue;
                }
                task.ended = task.inputs.iter().all(|input| {
                    let position = self.committed.get(&input.origin);
                    let note = position.map_or(Note::default(), |p| Note::parse(&p.note));
                    let fed = match input.kind {
                        InputKind::Exchange(exchange) => !grown[self.layout.sender(exchange)],
                        InputKind::Topic | InputKind::Generator => note.end == input.stop_at,
                    };
                    note.ended && fed
                });
                grown[sub] |= !task.ended;
            }
        }
    }
}
