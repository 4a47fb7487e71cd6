//! What the brokers' error codes mean here: the kind of an error, and what to do.

use kafka_protocol::ResponseError;
use kafka_protocol::error::ParseResponseErrorCode;
use suiro_core::{Error, ErrorKind, Result};

pub(crate) const OFFSET_OUT_OF_RANGE: i16 = 1;
pub(crate) const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
pub(crate) const MESSAGE_TOO_LARGE: i16 = 10;
pub(crate) const COORDINATOR_NOT_AVAILABLE: i16 = 15;
pub(crate) const NOT_COORDINATOR: i16 = 16;
pub(crate) const ILLEGAL_GENERATION: i16 = 22;
pub(crate) const UNKNOWN_MEMBER_ID: i16 = 25;
pub(crate) const REBALANCE_IN_PROGRESS: i16 = 27;
pub(crate) const TOPIC_ALREADY_EXISTS: i16 = 36;
pub(crate) const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
pub(crate) const CONCURRENT_TRANSACTIONS: i16 = 51;
pub(crate) const NON_EMPTY_GROUP: i16 = 68;
pub(crate) const GROUP_ID_NOT_FOUND: i16 = 69;
pub(crate) const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;
pub(crate) const INVALID_FETCH_SESSION_EPOCH: i16 = 71;
pub(crate) const MEMBER_ID_REQUIRED: i16 = 79;

/// Who committed meanwhile, or was given the work.
const FENCED: &[i16] = &[
    ILLEGAL_GENERATION,
    UNKNOWN_MEMBER_ID,
    47, // invalid producer epoch
    82, // fenced instance id
    90, // producer fenced
];

/// Errors of a transaction after which it can be done again from its beginning.
const ABORTED: &[i16] = &[
    OUT_OF_ORDER_SEQUENCE_NUMBER,
    48,  // invalid transaction state
    49,  // invalid producer id mapping
    59,  // unknown producer id
    120, // transaction abortable
];

/// Whether the same request may succeed later.
pub(crate) fn is_retriable(code: i16) -> bool {
    // Whose groups are being moved is told by two codes that Kafka does not count among them.
    let more = [COORDINATOR_NOT_AVAILABLE, 88];
    says_not_done(code)
        || more.contains(&code)
        || code.err().is_some_and(|error| error.is_retriable())
}

/// Whether a coordinator that answers so has not begun to do what it was asked for. One that
/// finds that it is none any more may have done it before it looked.
pub(crate) fn says_not_done(code: i16) -> bool {
    code == CONCURRENT_TRANSACTIONS
}

/// Whether somebody else must be asked.
pub(crate) fn moves_coordinator(code: i16) -> bool {
    code == COORDINATOR_NOT_AVAILABLE || code == NOT_COORDINATOR
}

/// The error that a code stands for.
pub(crate) fn error(what: &str, code: i16) -> Error {
    let kind = match code {
        code if FENCED.contains(&code) => ErrorKind::Fenced,
        code if ABORTED.contains(&code) || is_retriable(code) => ErrorKind::Unavailable,
        _ => ErrorKind::Invalid,
    };
    let text = code.err().map_or_else(String::new, |error: ResponseError| error.to_string());
    let error = Error::new(kind, format!("{what}: {}", hint(code).unwrap_or("refused")));
    error.with("code", code).with("broker_says", text)
}

/// The answer, unless a code stands against it.
pub(crate) fn check(what: &str, code: i16) -> Result<()> {
    if code == 0 { Ok(()) } else { Err(error(what, code)) }
}

/// What to do about it, where that is known.
fn hint(code: i16) -> Option<&'static str> {
    Some(match code {
        OFFSET_OUT_OF_RANGE => "records were deleted before they were read",
        UNKNOWN_TOPIC_OR_PARTITION => "topic does not exist; create it first",
        MESSAGE_TOO_LARGE => {
            "a record, with those that go with it, is too large for the topic; raise its \
             max.message.bytes, or make records smaller"
        }
        18 => "a record, with those that go with it, is larger than the topic's segment.bytes",
        17 => "name of the topic is not allowed",
        19 | 20 => "too few replicas are in sync (min.insync.replicas)",
        29 => "no permission on the topic; give the user an acl for it",
        30 => "no permission on the group; give the user an acl for it",
        31 => "no permission on the cluster; give the user an acl for it",
        32 => "a record's time is not allowed by the topic (message.timestamp.*.max.ms)",
        35 => "the broker is too old; 3.9 is the oldest that is supported",
        53 => "no permission on the transactional id; give the user an acl for it",
        58 => "user or password is wrong",
        NON_EMPTY_GROUP => {
            "the group has members, so the app runs: stop all its processes first; one that died \
             is a member until session.timeout.ms is over"
        }
        73 => "the brokers do not let topics be deleted (delete.topic.enable)",
        50 => "transaction.timeout.ms is larger than the brokers allow",
        code if FENCED.contains(&code) => "somebody newer does this work",
        code if is_retriable(code) => "not possible at the moment",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_say_what_to_do() {
        for (code, kind) in [
            (90, ErrorKind::Fenced),
            (22, ErrorKind::Fenced),
            (6, ErrorKind::Unavailable),
            (15, ErrorKind::Unavailable),
            (51, ErrorKind::Unavailable),
            (59, ErrorKind::Unavailable),
            (10, ErrorKind::Invalid),
            (29, ErrorKind::Invalid),
            (2, ErrorKind::Unavailable),
        ] {
            assert_eq!(error("x", code).kind(), kind, "{code}");
        }
        let text = error("cannot write", 10).with("topic", "a").to_string();
        assert!(text.contains("max.message.bytes") && text.contains("topic=`a`"), "{text}");
    }
}
