//! The program as plain loops over plain lists, written from rules T2, W3 to W6, K1, K3 and Q1
//! to Q3, and from nothing else.

use super::program::{Ad, AdId, Conversion, Conversions, Engagement, Touch, UserId, Visit};
use std::collections::{BTreeMap, VecDeque};

const GAP: i64 = 30 * 60_000;
const GRACE: i64 = 5 * 60_000;

/// A session, with its first and last time.
#[derive(Clone, Debug, PartialEq)]
pub struct Session<A> {
    pub user: UserId,
    pub start: i64,
    pub end: i64,
    pub value: A,
}

/// The visits of the users of one partition.
#[derive(Clone, Debug, Default)]
pub struct Visits {
    stream_time: i64,
    open: Vec<Session<Visit>>,
    /// Sessions that have closed, in order (rule W5).
    pub closed: Vec<Session<Visit>>,
    finished: bool,
    /// What `on_update` says of them, until the input first ends (rule W6). Whether an end
    /// closes sessions that only speak of updates is no matter of the rules.
    pub updates: Vec<Session<Option<Visit>>>,
    /// What came too late (rule W4).
    pub late: Vec<(UserId, Touch, i64)>,
}

/// A record of a user.
pub type Touched = (UserId, Touch, i64);

fn is_closed(end: i64, stream_time: i64) -> bool {
    stream_time >= end + GAP + 1 + GRACE
}

impl Visits {
    /// Takes the records of both topics in the order of their turns: the smallest time first,
    /// views before clicks (rule T2).
    pub fn take(&mut self, views: Vec<Touched>, clicks: Vec<Touched>) {
        for touched in in_turn(views.into(), clicks.into(), |(_, _, at)| *at, |(_, _, at)| *at)
        {
            let (Turn::First((user, touch, at)) | Turn::Second((user, touch, at))) = touched;
            self.touch(user, touch, at);
        }
    }

    /// Takes a record whose turn it is.
    pub fn touch(&mut self, user: UserId, touch: Touch, at: i64) {
        self.stream_time = self.stream_time.max(at);
        let now = self.stream_time;
        let joins = |session: &Session<Visit>| {
            let within = session.start - GAP <= at && at <= session.end + GAP;
            session.user == user && within && !is_closed(session.end, now)
        };
        let mut joined: Vec<_> = self.open.iter().filter(|it| joins(it)).cloned().collect();
        joined.sort_by_key(|session| session.start);
        let start = joined.iter().map(|session| session.start).fold(at, i64::min);
        let end = joined.iter().map(|session| session.end).fold(at, i64::max);
        if is_closed(end, now) {
            self.late.push((user, touch, at));
        } else {
            self.open.retain(|session| !joined.contains(session));
            let replaced = joined.iter().filter(|it| (it.start, it.end) != (start, end));
            let gone =
                replaced.map(|it| Session { user, start: it.start, end: it.end, value: None });
            let mut updates: Vec<_> = gone.collect();
            let mut touches: Vec<_> =
                joined.into_iter().flat_map(|it| it.value.touches).collect();
            touches.push(touch);
            let value = Visit { touches };
            updates.push(Session { user, start, end, value: Some(value.clone()) });
            if !self.finished {
                self.updates.extend(updates);
            }
            self.open.push(Session { user, start, end, value });
        }
        self.close(|session| is_closed(session.end, now));
    }

    /// Closes all sessions, as the end of the input does. Stream time stays.
    pub fn finish(&mut self) {
        self.finished = true;
        self.close(|_| true);
    }

    fn close(&mut self, closes: impl Fn(&Session<Visit>) -> bool) {
        let (mut closed, open): (Vec<_>, Vec<_>) =
            self.open.drain(..).partition(|it| closes(it));
        closed.sort_by_key(|it| (it.end, it.start, it.user.0.to_string()));
        self.open = open;
        self.closed.extend(closed);
    }
}

/// The conversions and ads of one task that has all of them.
#[derive(Clone, Debug, Default)]
pub struct Engagements {
    ads: BTreeMap<AdId, (Ad, i64)>,
    sums: BTreeMap<AdId, (Conversions, i64)>,
    /// What a conversion costs when it is looked up, for each ad (rules K1 and K3).
    pub paid: BTreeMap<AdId, Vec<(u64, i64)>>,
    /// Every change of the joined rows, for each ad (rules Q1 to Q3).
    pub changes: BTreeMap<AdId, Vec<(Option<Engagement>, i64)>>,
}

/// A change of an ad: its new row, or that it is gone.
pub type AdChange = (AdId, Option<Ad>, i64);

impl Engagements {
    /// Takes ads and conversions in the order of their turns: ads are declared first.
    pub fn take(&mut self, ads: Vec<AdChange>, conversions: Vec<(Conversion, i64)>) {
        for turn in in_turn(ads.into(), conversions.into(), |(_, _, at)| *at, |(_, at)| *at) {
            match turn {
                Turn::First((id, ad, at)) => self.ad(id, ad, at),
                Turn::Second((conversion, at)) => self.conversion(conversion, at),
            }
        }
    }

    /// Takes a change of an ad whose turn it is.
    pub fn ad(&mut self, id: AdId, ad: Option<Ad>, at: i64) {
        let had = match &ad {
            Some(ad) => self.ads.insert(id, (ad.clone(), at)),
            None => self.ads.remove(&id),
        };
        let Some((sum, sum_at)) = self.sums.get(&id) else { return };
        if ad.is_some() || had.is_some() {
            let row = ad.map(|ad| Engagement::new(sum, &ad));
            self.changes.entry(id).or_default().push((row, at.max(*sum_at)));
        }
    }

    /// Takes a conversion whose turn it is.
    pub fn conversion(&mut self, conversion: Conversion, at: i64) {
        let id = conversion.ad;
        let (sum, sum_at) = self.sums.entry(id).or_insert((Conversions::default(), at));
        sum.count += 1;
        sum.views += conversion.views;
        *sum_at = at.max(*sum_at);
        if let Some((ad, ad_at)) = self.ads.get(&id) {
            self.paid.entry(id).or_default().push((ad.cents * conversion.views, at));
            let row = Some(Engagement::new(sum, ad));
            self.changes.entry(id).or_default().push((row, (*sum_at).max(*ad_at)));
        }
    }

    /// The joined rows that are there now.
    pub fn rows(&self) -> BTreeMap<AdId, Engagement> {
        let joined = self.sums.iter().filter_map(|(id, (sum, _))| {
            let (ad, _) = self.ads.get(id)?;
            Some((*id, Engagement::new(sum, ad)))
        });
        joined.collect()
    }
}

/// A record of one of two inputs.
enum Turn<A, B> {
    First(A),
    Second(B),
}

/// Two inputs in the order of their turns: the head with the smaller time goes first, and the
/// first input at equal times (rule T2).
fn in_turn<A, B>(
    mut first: VecDeque<A>,
    mut second: VecDeque<B>,
    time_of_first: impl Fn(&A) -> i64,
    time_of_second: impl Fn(&B) -> i64,
) -> Vec<Turn<A, B>> {
    let mut turns = Vec::new();
    loop {
        let heads = (first.front().map(&time_of_first), second.front().map(&time_of_second));
        let is_first = match heads {
            (None, None) => return turns,
            (Some(left), Some(right)) => left <= right,
            (left, None) => left.is_some(),
            (None, Some(_)) => false,
        };
        match is_first {
            true => turns.extend(first.pop_front().map(Turn::First)),
            false => turns.extend(second.pop_front().map(Turn::Second)),
        }
    }
}
