//! What can go wrong between a client and its brokers.

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A connection breaks before the broker has a request.
    RequestLost,
    /// A connection breaks after the broker has done what it was asked for.
    AnswerLost,
    /// Something takes a fraction of a second.
    Delay,
    /// Something takes longer than anybody waits for it.
    Stall,
    /// What was sent on a connection that the client has given up comes all the same.
    Ghost,
    /// Another broker leads a partition.
    LeaderMoves,
    /// Nobody leads a partition for a while.
    NoLeader,
    /// A broker tells of leaders as they were before.
    OldMetadata,
    /// Records are written, and the broker says that it is not sure.
    ProduceUnsure,
    /// Records are not written, and may be sent again.
    ProduceRefused,
    /// Another broker coordinates a group.
    GroupMoves,
    /// Another broker coordinates transactions.
    TransactionsMove,
    /// A coordinator has moved while it ended a transaction.
    MovesWhileEnding,
    /// A coordinator could not make sure that a transaction has ended, though it has.
    EndUnsure,
    /// A partition hears late how a transaction ended.
    SlowMarker,
    /// A broker forgets who waits for what.
    FetchSessionLost,
    /// A broker keeps no more of those who wait for something.
    FetchSessionRefused,
    /// A quota is used up: who waits is answered, and told nothing.
    Throttled,
    /// A broker is away for a while.
    BrokerAway,
    /// A process is killed.
    Kill,
    /// A process is killed in the midst of what it sends.
    KillWhileSending,
    /// A process stands still, longer than its session and its transactions last.
    Silence,
    /// A process is started again elsewhere while it lives.
    Double,
    /// A process ends in good order.
    Farewell,
    /// A process that lives is taken for dead by another.
    FalseAlarm,
}

/// All faults.
pub const FAULTS: &[Fault] = &[
    Fault::RequestLost,
    Fault::AnswerLost,
    Fault::Delay,
    Fault::Stall,
    Fault::Ghost,
    Fault::LeaderMoves,
    Fault::NoLeader,
    Fault::OldMetadata,
    Fault::ProduceUnsure,
    Fault::ProduceRefused,
    Fault::GroupMoves,
    Fault::TransactionsMove,
    Fault::MovesWhileEnding,
    Fault::EndUnsure,
    Fault::SlowMarker,
    Fault::FetchSessionLost,
    Fault::FetchSessionRefused,
    Fault::Throttled,
    Fault::BrokerAway,
    Fault::Kill,
    Fault::KillWhileSending,
    Fault::Silence,
    Fault::Double,
    Fault::Farewell,
    Fault::FalseAlarm,
];
