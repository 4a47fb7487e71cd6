//! What the joins of two inputs say in a partition, from the rules alone, given the order in which
//! records had their turns.

use std::collections::BTreeMap;

/// How near two records of the streams must be, in milliseconds: a right one may be so much
/// earlier than a left one, and so much later; and how long a closed one waits for late ones.
pub const BEFORE: i64 = 30_000;
pub const AFTER: i64 = 60_000;
pub const GRACE: i64 = 60_000;

/// A record: its key, its number (none where it removes a row), its time.
pub type Came = (String, Option<u64>, i64);

/// The numbers of the records of both sides.
pub type Pair = (Option<u64>, Option<u64>);

/// A result: its key, the pair (none where a row ends), its time.
pub type Said = (String, Option<Pair>, i64);

/// What a join says of a record of its first or second input, in its turn.
pub type Rule = Box<dyn FnMut(usize, &Came) -> Vec<Said>>;

/// The pair of a number of one side, and what is there of the other.
fn pair(side: usize, own: Option<u64>, other: Option<u64>) -> Pair {
    if side == 0 { (own, other) } else { (other, own) }
}

/// A record of a stream that waits for partners.
struct Waiting {
    side: usize,
    key: String,
    number: Option<u64>,
    at: i64,
    paired: bool,
}

impl Waiting {
    /// The stream time at which it is closed (J5).
    fn closing(&self) -> i64 {
        self.at + [AFTER, BEFORE][self.side] + 1 + GRACE
    }

    fn is_near(&self, other: &Self) -> bool {
        let (left, right) = if self.side == 0 { (self, other) } else { (other, self) };
        let apart = left.side != right.side && left.key == right.key;
        apart && (left.at - BEFORE..=left.at + AFTER).contains(&right.at)
    }

    fn alone(&self) -> Said {
        (self.key.clone(), Some(pair(self.side, self.number, None)), self.at)
    }
}

/// An outer join of streams within a time (J1 to J5). Those that wait are in order of arrival.
pub fn streams() -> Rule {
    let (mut time, mut waiting) = (i64::MIN, Vec::<Waiting>::new());
    Box::new(move |side, (key, number, at)| {
        time = time.max(*at);
        let (mut closed, open): (Vec<_>, Vec<_>) =
            waiting.drain(..).partition(|it| it.closing() <= time);
        waiting = open;
        closed.retain(|it| !it.paired);
        closed.sort_by_key(|it| (it.closing(), it.side, it.key.clone()));
        let mut said: Vec<_> = closed.iter().map(Waiting::alone).collect();

        let (key, number, at) = (key.clone(), *number, *at);
        let mut this = Waiting { side, key, number, at, paired: false };
        let mut partners: Vec<_> = waiting.iter_mut().filter(|it| it.is_near(&this)).collect();
        partners.sort_by_key(|it| it.at);
        for partner in partners {
            (this.paired, partner.paired) = (true, true);
            let pair = pair(side, number, partner.number);
            said.push((this.key.clone(), Some(pair), at.max(partner.at)));
        }
        if this.closing() > time {
            waiting.push(this);
        } else if !this.paired {
            said.push(this.alone());
        }
        said
    })
}

/// A left join of a stream, the second input, with a table, the first one (K1 and K3).
pub fn stream_and_table() -> Rule {
    let mut rows = BTreeMap::new();
    Box::new(move |input, (key, number, at)| {
        if input == 0 {
            rows.insert(key.clone(), *number);
            return Vec::new();
        }
        let row = rows.get(key).copied().flatten();
        vec![(key.clone(), Some((*number, row)), *at)]
    })
}

/// An outer join of tables (Q1 to Q3).
pub fn tables() -> Rule {
    let mut rows: [BTreeMap<String, (u64, i64)>; 2] = Default::default();
    Box::new(move |side, (key, number, at)| {
        match number {
            Some(number) => rows[side].insert(key.clone(), (*number, *at)),
            None => rows[side].remove(key),
        };
        let other = rows[1 - side].get(key);
        let joined = pair(side, *number, other.map(|(number, _)| *number));
        let is_there = joined != (None, None);
        let at = other.map_or(*at, |(_, other)| *at.max(other));
        vec![(key.clone(), is_there.then_some(joined), at)]
    })
}
