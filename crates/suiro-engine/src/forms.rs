//! The forms of stores: how their rows are laid out, kept beside their changelogs, so that a
//! program that would misread them is refused.
//!
//! They are in the internal topic `<app>.forms`, by the name of the store. The form of a store
//! goes there in the first commit, and after a migration in the one that rewrites the rows.

use crate::graph::MakeState;
use crate::scope::Scope;
use crate::stores::{Changes, Restored, State};
use bytes::Bytes;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use suiro_core::batch::{BatchWriter, Compression, batches};
use suiro_core::broker::{Fetch, Seek};
use suiro_core::{Error, Headers, Offset, Result, Timestamp, TopicPartition};

/// How the rows of a store are laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// What kind of store it is, with what the layout depends on, such as the size of windows.
    pub kind: String,
    /// The format and the type of the keys.
    pub keys: String,
    /// The type of the values.
    pub values: String,
}

/// Version of the layout of a form.
const VERSION: u8 = 1;

/// More of a type than this is left out where a person reads it.
const SHOWN: usize = 160;

impl Form {
    /// A number that two forms share only if they are equal, as far as 64 bits go.
    pub fn fingerprint(&self) -> u64 {
        let step =
            |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        self.encode().iter().fold(0xcbf2_9ce4_8422_2325, step)
    }

    fn encode(&self) -> Vec<u8> {
        let text = [&*self.kind, &self.keys, &self.values].join("\n");
        [&[VERSION], text.as_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        match bytes.split_first() {
            Some((&VERSION, text)) => {
                let mut lines = str::from_utf8(text).unwrap_or_default().splitn(3, '\n');
                let mut line = || lines.next().unwrap_or_default().to_owned();
                Ok(Self { kind: line(), keys: line(), values: line() })
            }
            version => Err(Error::invalid("form was written by another version of suiro")
                .with("version", version.map_or(0, |(version, _)| *version))
                .with("known", VERSION)),
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, keys, values } = self;
        let cut = |text: &str| text.chars().take(SHOWN).collect::<String>();
        let (keys, values) = (cut(keys), cut(values));
        write!(f, "{kind}; keys {keys}; values {values}; form {:016x}", self.fingerprint())
    }
}

/// Turns the value of a changelog record of one layout into another: kind of store, key, value.
pub type Turn = Arc<dyn Fn(&str, &[u8], &[u8]) -> Result<Vec<u8>> + Send + Sync>;

/// What takes a store whose values were of another type.
#[derive(Clone)]
pub struct Migration {
    /// The type of the values as they were written.
    pub from: String,
    /// Their type in this program.
    pub to: String,
    /// Turns a value.
    pub turn: Turn,
}

/// What the start has found out.
#[derive(Default)]
pub(crate) struct Forms {
    /// Those that the next commit writes; none where a changelog is not kept any more.
    due: Vec<(Arc<str>, Option<Form>)>,
    /// Stores of source tables whose changelogs are not what they held last: they have no form
    /// there, because the topic itself was the changelog when they were written last.
    renewed: BTreeSet<usize>,
    /// Stores whose rows are to be rewritten, by number.
    migrated: BTreeMap<usize, (String, Turn)>,
    /// The ends of changelogs that are to be rewritten, and where they end when they are: by
    /// store and partition.
    ends: BTreeMap<(usize, u32), Offset>,
    rewritten: BTreeMap<(usize, u32), Offset>,
    /// What is written by an older form ends here: no snapshot that ends before it will do.
    bounds: BTreeMap<(usize, u32), Offset>,
    /// All rows were written again from here on, in their form of today.
    begins: BTreeMap<(usize, u32), Offset>,
}

impl Forms {
    /// Whether a commit must write all rows of a store anew before its changelog is what it holds.
    pub(crate) fn are_changing(&self) -> bool {
        !self.renewed.is_empty() || !self.migrated.is_empty()
    }

    /// Whether the changelog of a store is not what it held last.
    pub(crate) fn renews(&self, store: usize) -> bool {
        self.renewed.contains(&store)
    }
}

/// The header of a form that says where the rows of the older one end, by partition: behind the
/// commit that wrote all of them again.
const SINCE: &str = "since";

/// The header that says where that commit begins, by partition.
const FROM: &str = "from";

impl Scope {
    fn forms_at(&self) -> TopicPartition {
        TopicPartition { topic: self.plan.forms(), partition: 0 }
    }

    /// Compares the stores of the program with those that were written, and refuses those that
    /// would be misread.
    pub(crate) fn check_forms(&mut self) -> Result<()> {
        self.forms = Forms::default();
        let plan = self.plan.clone();
        let mut written = None;
        for (number, spec) in plan.graph.stores.iter().enumerate() {
            let Some(form) = (spec.make)().form() else { continue };
            if written.is_none() {
                written = Some(self.read_forms()?);
            }
            let was = written.as_ref().and_then(|written| written.get(&*spec.name));
            if self.layout.source_is_changelog(&plan, number) {
                // The changelog that it had does not follow it from now on.
                if was.is_some() {
                    self.forms.due.push((Arc::clone(&spec.name), None));
                }
                continue;
            }
            if was.is_none() && self.layout.compacted_source(&plan, number).is_some() {
                self.forms.renewed.insert(number);
            }
            let was = was.map(|Written { form, since, from }| {
                let of = |(partition, offset): &(u32, Offset)| ((number, *partition), *offset);
                self.forms.bounds.extend(since.iter().map(of));
                self.forms.begins.extend(from.iter().map(of));
                form
            });
            if was == Some(&form) {
                continue;
            }
            if let Some(was) = was
                && self.has_rows(number)?
            {
                let migration = plan.graph.migrations.get(&spec.name);
                let fits = |migration: &&Migration| {
                    let Form { kind, keys, values } = was;
                    let same = (kind, keys) == (&form.kind, &form.keys);
                    same && *values == migration.from && form.values == migration.to
                };
                let Some(migration) = migration.filter(fits) else {
                    return Err(refused(&spec.name, was, &form));
                };
                tracing::info!(store = %spec.name, from = %was, to = %form, "store is migrated");
                let turn = Arc::clone(&migration.turn);
                self.forms.migrated.insert(number, (form.kind.clone(), turn));
                self.dirty = true;
            }
            self.forms.due.push((Arc::clone(&spec.name), Some(form)));
        }
        Ok(())
    }

    /// Whether the changelog of a store has ever been written.
    fn has_rows(&mut self, store: usize) -> Result<bool> {
        let topic = self.plan.changelog(store);
        let mut has_rows = false;
        for number in 0..self.layout.of_store(&self.plan, store) {
            let partition = TopicPartition { topic: Arc::clone(&topic), partition: number };
            let end = self.link.offset(&partition, Seek::Settled)?;
            self.forms.ends.insert((store, number), end);
            has_rows |= end > 0;
        }
        Ok(has_rows)
    }

    fn read_forms(&mut self) -> Result<BTreeMap<String, Written>> {
        let (partition, mut all) = (self.forms_at(), BTreeMap::new());
        if self.link.describe(&[Arc::clone(&partition.topic)])?.is_empty() {
            return Ok(all);
        }
        let (mut next, end): (Offset, _) = (0, self.link.offset(&partition, Seek::Settled)?);
        while next < end {
            let max_bytes = self.settings.fetch_bytes;
            let fetch = Fetch { partition: partition.clone(), offset: next, max_bytes };
            let ticket = self.link.session.fetch(fetch);
            let fetched = self.link.fetched(ticket)?;
            for batch in batches(fetched.batches) {
                for record in batch?.records()?.iter() {
                    let record = record?;
                    let Some(key) = record.key else { continue };
                    let name = String::from_utf8_lossy(key).into_owned();
                    let Some(value) = record.value else {
                        all.remove(&name);
                        continue;
                    };
                    let headers = record.headers.to_headers()?;
                    let [since, from] = [SINCE, FROM].map(|name| {
                        headers.get(name).map(|text| read_offsets(text)).unwrap_or_default()
                    });
                    all.insert(name, Written { form: Form::decode(value)?, since, from });
                }
            }
            if fetched.next <= next {
                break;
            }
            next = fetched.next;
        }
        Ok(all)
    }

    /// Whether the commit at hand writes forms.
    pub(crate) fn has_forms_due(&self) -> bool {
        !self.forms.due.is_empty()
    }

    /// What the commit at hand must write of the forms.
    pub(crate) fn forms_due(&self) -> Result<Option<(TopicPartition, Vec<u8>)>> {
        if self.forms.due.is_empty() {
            return Ok(None);
        }
        let mut writer = BatchWriter::new(Compression::None);
        for (name, form) in &self.forms.due {
            let of = |(store, _): &(usize, u32)| self.plan.graph.stores[*store].name == *name;
            let rewritten = self.forms.rewritten.iter().filter(|(at, _)| of(at));
            let (mut since, mut from) = (Vec::new(), Vec::new());
            for (at, end) in rewritten {
                let begin = self.forms.ends.get(at).copied().unwrap_or(0);
                since.push(format!("{}:{end}", at.1));
                from.push(format!("{}:{begin}", at.1));
            }
            let headers = match since.is_empty() {
                true => Headers::NONE,
                false => {
                    let headers = [(SINCE, since.join(",")), (FROM, from.join(","))];
                    headers.into_iter().collect()
                }
            };
            let form = form.as_ref().map(Form::encode);
            writer.push(Timestamp::ZERO, Some(name.as_bytes()), form.as_deref(), &headers);
        }
        let mut out = Vec::new();
        writer.finish_into(&mut out)?;
        Ok(Some((self.forms_at(), out)))
    }

    /// A commit writes `batches` to the changelog of a store.
    pub(crate) fn rewrites(
        &mut self,
        store: usize,
        partition: u32,
        bytes: &Bytes,
    ) -> Result<()> {
        if self.forms.migrated.contains_key(&store) {
            let mut end = self.forms.ends.get(&(store, partition)).copied().unwrap_or(0);
            for batch in batches(bytes.clone()) {
                end += batch?.header().count as Offset;
            }
            self.forms.rewritten.insert((store, partition), end);
        }
        Ok(())
    }

    /// Where the last rows of an older form end in a changelog.
    pub(crate) fn form_since(&self, store: usize, partition: u32) -> Offset {
        self.forms.bounds.get(&(store, partition)).copied().unwrap_or(0)
    }

    /// Where the rows in a changelog begin that are all of the form of today: before them may be
    /// rows that cannot be read any more, and nothing that is still true.
    pub(crate) fn form_begins(&self, store: usize, partition: u32) -> Offset {
        self.forms.begins.get(&(store, partition)).copied().unwrap_or(0)
    }

    pub(crate) fn forms_written(&mut self) {
        self.forms = Forms::default();
    }

    /// Makes the store of that number, which takes rows of an older form if that is what there
    /// is.
    pub(crate) fn maker(&self, store: usize) -> MakeState {
        let make = Arc::clone(&self.plan.graph.stores[store].make);
        let Some((kind, turn)) = self.forms.migrated.get(&store).cloned() else { return make };
        Arc::new(move || {
            Box::new(Migrating {
                state: make(),
                kind: kind.clone(),
                turn: Arc::clone(&turn),
                is_old: true,
                rows: BTreeMap::new(),
            })
        })
    }
}

/// A form, where the rows of an older one end, and where those of this one begin, by partition.
struct Written {
    form: Form,
    since: Vec<(u32, Offset)>,
    from: Vec<(u32, Offset)>,
}

fn read_offsets(text: &[u8]) -> Vec<(u32, Offset)> {
    let parts = str::from_utf8(text).unwrap_or_default().split(',');
    let part = |part: &str| {
        let (partition, end) = part.split_once(':')?;
        Some((partition.parse().ok()?, end.parse().ok()?))
    };
    parts.filter_map(part).collect()
}

fn refused(store: &str, written: &Form, now: &Form) -> Error {
    let text = "store was written in another form; give it a new name and it begins anew, or, if \
                only its values have another type, turn them with `Topology::migrate`";
    Error::invalid(text).with("store", store).with("written", written).with("program", now)
}

/// A store whose changelog is of an older form: it turns each row, and writes all of them again
/// with the first commit. In this run it is held whole; a store below it is at an older place of
/// the changelog afterwards, and takes the new rows at the next start.
struct Migrating {
    state: Box<dyn State>,
    kind: String,
    turn: Turn,
    /// What is restored now is of the older form.
    is_old: bool,
    rows: BTreeMap<Vec<u8>, Row>,
}

/// A row in its new form.
type Row = (Option<Vec<u8>>, Timestamp, Headers);

impl State for Migrating {
    fn save(&mut self, changes: &mut Changes) -> Result<()> {
        for (key, (value, at, headers)) in &self.rows {
            changes.put(*at, key, value.as_deref(), headers)?;
        }
        self.state.save(changes)
    }

    fn committed(&mut self) {
        self.rows.clear();
        self.state.committed();
    }

    fn rollback(&mut self) {
        self.state.rollback();
    }

    fn restore(&mut self, change: Restored<'_>) -> Result<()> {
        if !self.is_old {
            return self.state.restore(change);
        }
        let turn = |value| (self.turn)(&self.kind, change.key, value);
        let value = change.value.map(turn).transpose()?;
        self.state.restore(Restored { value: value.as_deref(), ..change.clone() })?;
        let row = (value, change.at, change.headers.clone());
        self.rows.insert(change.key.to_vec(), row);
        Ok(())
    }

    fn restored(&mut self) -> Result<()> {
        self.is_old = false;
        // A removal needs no second one.
        self.rows.retain(|_, (value, ..)| value.is_some());
        self.state.restored()
    }

    fn rows(&self) -> usize {
        self.state.rows()
    }

    fn stream_time(&self) -> Option<Timestamp> {
        self.state.stream_time()
    }

    fn form(&self) -> Option<Form> {
        self.state.form()
    }

    fn as_any(&self) -> &dyn Any {
        self.state.as_any()
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self.state.as_any_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_it_was_written() -> Result<()> {
        let form = Form {
            kind: "table".into(),
            keys: "text text".into(),
            values: "#0; #0={a:u64}".into(),
        };
        assert_eq!(Form::decode(&form.encode())?, form);
        let other = Form { values: "u64".into(), ..form.clone() };
        assert_ne!(form.fingerprint(), other.fingerprint());
        assert!(Form::decode(&Bytes::from_static(b"\x02table")).is_err());
        Ok(())
    }
}
