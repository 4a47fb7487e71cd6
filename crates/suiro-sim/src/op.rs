//! The operators of random programs.

use crate::sought::Sought;

/// What an operator reads: the output of operator number `op`, or its late records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct From {
    /// The number of the operator.
    pub op: usize,
    /// Whether it is what came late there.
    pub late: bool,
}

/// A windowed fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The size of windows, or the gap of sessions, or the longest.
    pub size: i64,
    /// How far apart windows begin.
    pub advance: i64,
    /// How long they wait for late records.
    pub grace: i64,
    /// Whether they are sessions.
    pub sessions: bool,
    /// Whether the records of sessions have gaps of their own.
    pub own_gaps: bool,
    /// Whether they speak when they close, or at every update.
    pub on_close: bool,
    /// Whether states of parts can be put together: then windows that hop are made of slices.
    pub combining: bool,
}

/// A fold over sliding windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slide {
    /// How far the first and the last time of a window are apart.
    pub span: i64,
    /// How long windows wait for late records.
    pub grace: i64,
    /// Whether they speak when they close, or at every update.
    pub on_close: bool,
}

/// How near two records must be to be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// How far the right record may be before the left one.
    pub before: i64,
    /// How far it may be after it.
    pub after: i64,
    /// How long records are kept beyond that.
    pub grace: i64,
}

/// How a stream is joined with what was valid at the time of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsOf {
    /// Whether what finds nothing is kept.
    pub left: bool,
    /// How long records wait for what the table may still hear.
    pub grace: i64,
}

/// How a stream becomes a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adds {
    /// `fold`.
    Fold,
    /// `count`.
    Count,
    /// `reduce`.
    Reduce,
    /// `to_table`: the last value, or the removal that it stands for.
    Last,
}

/// A fold of so many records at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountWindow {
    /// How many.
    pub records: u64,
    /// Whether it speaks when it is full, or at every record.
    pub on_close: bool,
}

/// A step of one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// The table in which it looks rows up, if it does.
    pub table: Option<usize>,
    /// About how far ahead its timers are set.
    pub ahead: i64,
    /// Whether its second output tells of timers of wall time, and of nothing else.
    pub wall: bool,
}

/// Which sides a joined row needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// An inner join.
    Both,
    /// A left join.
    Left,
    /// An outer join.
    Any,
}

/// How long the rows of a table live, if they go by time.
pub type Ttl = Option<i64>;

/// One operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A topic as a stream.
    Stream(&'static str),
    /// A topic as a table.
    Table(&'static str, Ttl),
    /// A topic as a table that knows what was valid that long ago.
    Versioned(&'static str, i64),
    /// Keeps some values.
    Filter(From),
    /// Keeps the first record of each key within a time.
    Distinct(From, i64),
    /// Stores and timers; what it sends to its second output is what came `late`.
    Process(From, Process),
    /// Looks for a pattern in the records of each key.
    Pattern(From, Sought),
    /// Changes values.
    Map(From),
    /// Makes no, one or two values of one.
    FlatMap(From),
    /// Gives new keys: what keeps state behind it is behind an exchange.
    KeyBy(From),
    /// Moves records to where their keys belong.
    Repartition(From),
    /// Two streams as one.
    Merge(From, From),
    /// Two streams joined within a time.
    Within(From, From, Reach, Needs),
    /// A table of folded values.
    Fold(From, Adds, Ttl),
    /// Windows or sessions of folded values.
    Window(From, Windows),
    /// Sliding windows of folded values.
    Sliding(From, Slide),
    /// Windows of so many records.
    CountWindow(From, CountWindow),
    /// A stream looks a table up; `left` keeps what finds nothing.
    Join {
        /// The stream.
        stream: From,
        /// The table.
        table: usize,
        /// Whether what finds nothing is kept.
        left: bool,
    },
    /// A stream looks up what was valid in a versioned table.
    AsOf(From, usize, AsOf),
    /// A stream looks a global table up by the keys that its values name, if they name one;
    /// `true` keeps what finds nothing.
    Global(From, bool),
    /// Asks the world outside for another value: the results come when they come.
    Call(From),
    /// Keeps some rows.
    TableFilter(usize),
    /// Changes rows.
    TableMap(usize),
    /// Joins rows of equal keys.
    TableJoin(usize, usize, Needs),
    /// Rows of a table in groups, behind an exchange; `counts` tells how many there are.
    Group {
        /// The table.
        table: usize,
        /// Whether rows are counted, or else folded.
        counts: bool,
    },
    /// The rows of a table with those of another whose keys they name, behind exchanges.
    ForeignKey {
        /// The table whose rows name keys.
        left: usize,
        /// The table whose keys they name.
        right: usize,
        /// An inner join or a left one.
        needs: Needs,
    },
    /// Every change of a table as a stream.
    Changes(usize),
    /// Writes a stream to a topic.
    To(From, &'static str),
    /// Writes the changelog of a table to a topic.
    TableTo(usize, &'static str),
    /// Writes the changes of a table to a topic, every so often.
    TableEvery(usize, &'static str),
}

impl Op {
    /// The topic that it reads.
    pub fn topic(&self) -> Option<&'static str> {
        match self {
            Self::Stream(topic) | Self::Table(topic, _) | Self::Versioned(topic, _) => {
                Some(topic)
            }
            _ => None,
        }
    }

    /// All that it reads or looks at.
    pub fn inputs(&self) -> Vec<From> {
        let table = |op: usize| From { op, late: false };
        match *self {
            Self::Stream(_) | Self::Table(..) | Self::Versioned(..) => Vec::new(),
            Self::Filter(of)
            | Self::Distinct(of, _)
            | Self::Pattern(of, _)
            | Self::Map(of)
            | Self::FlatMap(of)
            | Self::KeyBy(of)
            | Self::Call(of)
            | Self::Global(of, _)
            | Self::Repartition(of)
            | Self::Fold(of, ..)
            | Self::Window(of, _)
            | Self::Sliding(of, _)
            | Self::CountWindow(of, _)
            | Self::To(of, _) => vec![of],
            Self::Merge(left, right) | Self::Within(left, right, ..) => vec![left, right],
            Self::Join { stream, table: of, .. } | Self::AsOf(stream, of, _) => {
                vec![stream, table(of)]
            }
            Self::Process(of, how) => [of].into_iter().chain(how.table.map(table)).collect(),
            Self::TableFilter(of)
            | Self::TableMap(of)
            | Self::Group { table: of, .. }
            | Self::Changes(of)
            | Self::TableTo(of, _)
            | Self::TableEvery(of, _) => vec![table(of)],
            Self::TableJoin(left, right, _) | Self::ForeignKey { left, right, .. } => {
                vec![table(left), table(right)]
            }
        }
    }

    /// Whether all that it reads but the first is only looked at.
    pub fn looks(&self) -> bool {
        matches!(self, Self::Join { .. } | Self::AsOf(..) | Self::Process(..))
    }

    /// The same operator behind operators with other numbers.
    pub(crate) fn renumbered(self, number: impl Fn(usize) -> usize) -> Self {
        let number = &number;
        let from = |of: From| From { op: number(of.op), ..of };
        match self {
            Self::Stream(_) | Self::Table(..) | Self::Versioned(..) => self,
            Self::Filter(of) => Self::Filter(from(of)),
            Self::Distinct(of, within) => Self::Distinct(from(of), within),
            Self::Process(of, how) => {
                Self::Process(from(of), Process { table: how.table.map(number), ..how })
            }
            Self::Pattern(of, sought) => Self::Pattern(from(of), sought),
            Self::Map(of) => Self::Map(from(of)),
            Self::FlatMap(of) => Self::FlatMap(from(of)),
            Self::KeyBy(of) => Self::KeyBy(from(of)),
            Self::Call(of) => Self::Call(from(of)),
            Self::Global(of, left) => Self::Global(from(of), left),
            Self::Repartition(of) => Self::Repartition(from(of)),
            Self::Merge(left, right) => Self::Merge(from(left), from(right)),
            Self::Within(left, right, reach, needs) => {
                Self::Within(from(left), from(right), reach, needs)
            }
            Self::Fold(of, adds, ttl) => Self::Fold(from(of), adds, ttl),
            Self::Window(of, windows) => Self::Window(from(of), windows),
            Self::Sliding(of, slide) => Self::Sliding(from(of), slide),
            Self::CountWindow(of, windows) => Self::CountWindow(from(of), windows),
            Self::Join { stream, table, left } => {
                Self::Join { stream: from(stream), table: number(table), left }
            }
            Self::AsOf(stream, table, how) => Self::AsOf(from(stream), number(table), how),
            Self::TableFilter(of) => Self::TableFilter(number(of)),
            Self::TableMap(of) => Self::TableMap(number(of)),
            Self::TableJoin(left, right, needs) => {
                Self::TableJoin(number(left), number(right), needs)
            }
            Self::Group { table, counts } => Self::Group { table: number(table), counts },
            Self::ForeignKey { left, right, needs } => {
                Self::ForeignKey { left: number(left), right: number(right), needs }
            }
            Self::Changes(of) => Self::Changes(number(of)),
            Self::To(of, topic) => Self::To(from(of), topic),
            Self::TableTo(of, topic) => Self::TableTo(number(of), topic),
            Self::TableEvery(of, topic) => Self::TableEvery(number(of), topic),
        }
    }
}
