//! How often everything happened between clients and brokers.

use super::fault::{FAULTS, Fault};
use kafka_protocol::messages::ApiKey;
use std::collections::BTreeMap;
use std::fmt;

/// What happened in one run, or in many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Faults that struck.
    pub faults: BTreeMap<Fault, u64>,
    /// Requests that brokers took, by their key.
    pub requests: BTreeMap<i16, u64>,
    /// Errors that brokers answered, by the key of the request and the code.
    pub errors: BTreeMap<(i16, i16), u64>,
    /// What else happened.
    pub happened: BTreeMap<&'static str, u64>,
}

/// Requests that every client makes sooner or later.
const REQUESTS: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::AddPartitionsToTxn,
    ApiKey::AddOffsetsToTxn,
    ApiKey::EndTxn,
    ApiKey::TxnOffsetCommit,
    ApiKey::DescribeConfigs,
];

/// Refusals that a client must know how to take.
const ERRORS: &[(ApiKey, i16)] = &[
    (ApiKey::Produce, 6),
    (ApiKey::Produce, 45),
    (ApiKey::Produce, 47),
    (ApiKey::Fetch, 6),
    (ApiKey::Fetch, 70),
    (ApiKey::Fetch, 74),
    (ApiKey::JoinGroup, 16),
    (ApiKey::JoinGroup, 25),
    (ApiKey::JoinGroup, 79),
    (ApiKey::SyncGroup, 22),
    (ApiKey::SyncGroup, 25),
    (ApiKey::SyncGroup, 27),
    (ApiKey::Heartbeat, 16),
    (ApiKey::Heartbeat, 22),
    (ApiKey::Heartbeat, 25),
    (ApiKey::Heartbeat, 27),
    (ApiKey::InitProducerId, 14),
    (ApiKey::InitProducerId, 51),
    (ApiKey::InitProducerId, 90),
    (ApiKey::AddPartitionsToTxn, 51),
    (ApiKey::EndTxn, 16),
    (ApiKey::EndTxn, 51),
    (ApiKey::EndTxn, 90),
    (ApiKey::OffsetCommit, 22),
    (ApiKey::OffsetCommit, 25),
    (ApiKey::TxnOffsetCommit, 22),
    (ApiKey::TxnOffsetCommit, 25),
    (ApiKey::OffsetFetch, 88),
];

/// What must happen in a run of many seeds.
const HAPPENS: &[&str] = &[
    "committed",
    "aborted",
    "fenced",
    "unknown",
    "unknown, and had happened",
    "unknown, and had not",
    "batch that is there already",
    "rebalance",
    "member that was silent too long",
    "transaction that took too long",
    "task that stayed in a rebalance",
    "commit without positions",
    "fetch held against the cluster",
    "aborted batch in what was fetched",
    "end that was waited for",
    "batch without a transaction",
    "records without their commit",
    "record that came again",
    "partition without news in a fetch session",
    "partition that a fetch session is to forget",
];

impl Counts {
    /// Adds what another run counted.
    pub fn add(&mut self, other: &Self) {
        add(&mut self.faults, &other.faults);
        add(&mut self.requests, &other.requests);
        add(&mut self.errors, &other.errors);
        add(&mut self.happened, &other.happened);
    }

    /// What should have happened in a run of many seeds, and did not.
    pub fn missing(&self) -> Vec<String> {
        let faults = FAULTS.iter().filter(|fault| !self.faults.contains_key(fault));
        let faults = faults.map(|fault| format!("fault {fault:?}"));
        let requests =
            REQUESTS.iter().filter(|key| !self.requests.contains_key(&(**key as i16)));
        let requests = requests.map(|key| format!("request {key:?}"));
        let has =
            |(key, code): &&(ApiKey, i16)| self.errors.contains_key(&(*key as i16, *code));
        let errors = ERRORS.iter().filter(|error| !has(error));
        let errors = errors.map(|(key, code)| format!("error {code} of {key:?}"));
        let happens = HAPPENS.iter().filter(|what| !self.happened.contains_key(*what));
        let happens = happens.map(|what| (*what).to_owned());
        faults.chain(requests).chain(errors).chain(happens).collect()
    }
}

fn add<K: Ord + Copy>(to: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, count) in from {
        *to.entry(*key).or_default() += count;
    }
}

/// The name of a request.
pub(crate) fn name(key: i16) -> String {
    ApiKey::try_from(key).map_or_else(|_| key.to_string(), |key| format!("{key:?}"))
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faults:")?;
        for (fault, count) in &self.faults {
            write!(f, " {fault:?} {count}")?;
        }
        write!(f, "\nrequests:")?;
        for (key, count) in &self.requests {
            write!(f, " {} {count}", name(*key))?;
        }
        write!(f, "\nerrors:")?;
        for ((key, code), count) in &self.errors {
            write!(f, " {}-{code} {count}", name(*key))?;
        }
        for (what, count) in &self.happened {
            write!(f, "\n{what}: {count}")?;
        }
        writeln!(f)
    }
}
