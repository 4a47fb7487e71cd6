//! How often everything happened.

use crate::fault::{BELOW, CALLS, Call, EFFECTS, FAULTS, Fault, FileKind, Verb};
use std::collections::BTreeMap;
use std::fmt;

/// What happened in one run, or in many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that went in.
    pub records: u64,
    /// Commits of the program.
    pub commits: u64,
    /// Times that the process died.
    pub crashes: u64,
    /// Exchanges of the program.
    pub exchanges: u64,
    /// Times that a program went back to its last commit.
    pub rollbacks: u64,
    /// Commits whose outcome was not known.
    pub unknown: u64,
    /// Programs that went on while another one did their work, and were told.
    pub fenced: u64,
    /// Commits that were in the air when the process died, and had happened.
    pub survived: u64,
    /// Commits that were in the air when the process died, and had not.
    pub vanished: u64,
    /// Records that came too late.
    pub late: u64,
    /// Records that a policy skipped.
    pub skipped: u64,
    /// Times that a policy stopped the program.
    pub stopped: u64,
    /// Times that a disk that was full had room again.
    pub recovered_from_full: u64,
    /// Times that damage was refused by name.
    pub refused: u64,
    /// Times that compaction and retention ran.
    pub maintained: u64,
    /// Times that stores were held against the model.
    pub audits: u64,
    /// Dead letters that were held against the model.
    pub letters: u64,
    /// Rows that were dropped from memory while they were below.
    pub evictions: u64,
    /// Reads from stores below.
    pub looks: u64,
    /// Writes to stores below that were made while the program worked.
    pub lowered: u64,
    /// Writes to stores below by which changelogs were replayed into them.
    pub replays: u64,
    /// Stores below that a crash put back.
    pub lagging: u64,
    /// Stores below that were behind by more than tombstones are kept.
    pub outdated: u64,
    /// Snapshots that were taken.
    pub snapshots: u64,
    /// Rows that were loaded from snapshots.
    pub loaded: u64,
    /// Objects of snapshots that a loss of power took or tore.
    pub torn: u64,
    /// Silences in which stream times rose.
    pub silences: u64,
    /// Times that the tasks were shared anew by several processes, and held against the model.
    pub rebalanced: u64,
    /// Tasks that went on where they were when the others were shared anew.
    pub stayed: u64,
    /// Commits that were in flight while the work went on.
    pub overlapped: u64,
    /// Those of them that did not happen.
    pub taken_back: u64,
    /// Tasks that came to a process that had a copy of them.
    pub prepared: u64,
    /// Calls to the world outside that ended.
    pub answered: u64,
    /// Commits that a process of a group made in vain, since the others had gone on.
    pub taken_over: u64,
    /// Faults that struck.
    pub faults: BTreeMap<Fault, u64>,
    /// Calls of the broker.
    pub calls: BTreeMap<Call, u64>,
    /// Calls at which the process died.
    pub crashes_at_calls: BTreeMap<Call, u64>,
    /// Effects on the disk.
    pub effects: BTreeMap<(Verb, FileKind), u64>,
    /// Effects at which the process died.
    pub crashes_at_effects: BTreeMap<(Verb, FileKind), u64>,
}

impl Counts {
    pub(crate) fn struck(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// Adds what another run counted.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.commits += other.commits;
        self.crashes += other.crashes;
        self.exchanges += other.exchanges;
        self.rollbacks += other.rollbacks;
        self.unknown += other.unknown;
        self.fenced += other.fenced;
        self.survived += other.survived;
        self.vanished += other.vanished;
        self.late += other.late;
        self.skipped += other.skipped;
        self.stopped += other.stopped;
        self.recovered_from_full += other.recovered_from_full;
        self.refused += other.refused;
        self.maintained += other.maintained;
        self.audits += other.audits;
        self.letters += other.letters;
        self.evictions += other.evictions;
        self.looks += other.looks;
        self.lowered += other.lowered;
        self.replays += other.replays;
        self.lagging += other.lagging;
        self.outdated += other.outdated;
        self.snapshots += other.snapshots;
        self.loaded += other.loaded;
        self.torn += other.torn;
        self.silences += other.silences;
        self.rebalanced += other.rebalanced;
        self.stayed += other.stayed;
        self.prepared += other.prepared;
        self.overlapped += other.overlapped;
        self.taken_back += other.taken_back;
        self.answered += other.answered;
        self.taken_over += other.taken_over;
        add(&mut self.faults, &other.faults);
        add(&mut self.calls, &other.calls);
        add(&mut self.crashes_at_calls, &other.crashes_at_calls);
        add(&mut self.effects, &other.effects);
        add(&mut self.crashes_at_effects, &other.crashes_at_effects);
    }

    /// What should have happened in a run of many seeds, and did not.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        let mut need = |count: u64, what: String| {
            if count == 0 {
                missing.push(what);
            }
        };
        for fault in FAULTS {
            need(self.faults.get(&fault).copied().unwrap_or(0), format!("fault {fault:?}"));
        }
        for call in CALLS.into_iter().chain(BELOW) {
            let crashes = self.crashes_at_calls.get(&call).copied().unwrap_or(0);
            need(crashes, format!("crash at call {call:?}"));
        }
        for (verb, kind) in EFFECTS {
            let crashes = self.crashes_at_effects.get(&(*verb, *kind)).copied().unwrap_or(0);
            need(crashes, format!("crash at effect {verb:?} {kind:?}"));
        }
        for (count, what) in [
            (self.rollbacks, "roll-back"),
            (self.unknown, "commit with an unknown outcome"),
            (self.fenced, "fenced program"),
            (self.survived, "commit in the air that had happened"),
            (self.vanished, "commit in the air that had not happened"),
            (self.late, "late record"),
            (self.skipped, "skipped record"),
            (self.stopped, "program stopped by a record"),
            (self.recovered_from_full, "full disk that had room again"),
            (self.refused, "damage that was refused"),
            (self.maintained, "compaction"),
            (self.letters, "dead letter"),
            (self.evictions, "row dropped from memory"),
            (self.looks, "read from a store below"),
            (self.lowered, "write to a store below"),
            (self.replays, "replay into a store below"),
            (self.lagging, "store below that a crash put back"),
            (self.outdated, "store below that was too old"),
            (self.snapshots, "snapshot"),
            (self.loaded, "row loaded from a snapshot"),
            (self.torn, "torn object of a snapshot"),
            (self.silences, "silence"),
            (self.rebalanced, "rebalance"),
            (self.stayed, "task that stayed in a rebalance"),
            (self.overlapped, "commit with work upon it"),
            (self.taken_back, "commit that was taken back with work upon it"),
            (self.prepared, "task that came where a copy of it was"),
            (self.answered, "call to the world outside"),
            (self.taken_over, "fenced commit of an old generation"),
        ] {
            need(count, what.to_owned());
        }
        missing
    }
}

fn add<K: Ord + Copy>(to: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, count) in from {
        *to.entry(*key).or_default() += count;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "records {}, commits {}, crashes {}, exchanges {}, audits {}",
            self.records, self.commits, self.crashes, self.exchanges, self.audits
        )?;
        writeln!(
            f,
            "roll-backs {}, commits unknown {}, in the air: survived {}, vanished {}; fenced {}; \
             with work upon them {}, taken back {}",
            self.rollbacks,
            self.unknown,
            self.survived,
            self.vanished,
            self.fenced,
            self.overlapped,
            self.taken_back
        )?;
        writeln!(
            f,
            "records late {}, skipped {}; programs stopped {}; disks with room again {}; damage \
             refused {}; compactions {}",
            self.late,
            self.skipped,
            self.stopped,
            self.recovered_from_full,
            self.refused,
            self.maintained
        )?;
        writeln!(
            f,
            "letters {}; below: rows dropped {}, reads {}, writes {}, replays {}, put back {}, \
             too old {}",
            self.letters,
            self.evictions,
            self.looks,
            self.lowered,
            self.replays,
            self.lagging,
            self.outdated
        )?;
        writeln!(
            f,
            "snapshots {}, rows loaded {}, objects torn {}; rebalances {}, tasks that \
             stayed {}, were prepared {}, commits of old generations {}; silences {}; calls outside {}",
            self.snapshots,
            self.loaded,
            self.torn,
            self.rebalanced,
            self.stayed,
            self.prepared,
            self.taken_over,
            self.silences,
            self.answered
        )?;
        write!(f, "faults:")?;
        for (fault, count) in &self.faults {
            write!(f, " {fault:?} {count}")?;
        }
        write!(f, "\ncrashes at calls, of so many calls:")?;
        for (call, count) in &self.calls {
            let crashes = self.crashes_at_calls.get(call).copied().unwrap_or(0);
            write!(f, " {call:?} {crashes}/{count}")?;
        }
        write!(f, "\ncrashes at effects on the disk, of so many effects:")?;
        for (effect, count) in &self.effects {
            let crashes = self.crashes_at_effects.get(effect).copied().unwrap_or(0);
            write!(f, " {:?}-{:?} {crashes}/{count}", effect.0, effect.1)?;
        }
        writeln!(f)
    }
}
