//! The example `ad_engagements`, with every step in the open, and how what it says is held against
//! its model: record by record, in the order of turns that it writes down itself.

#[path = "../ad_engagements/model.rs"]
#[allow(dead_code, reason = "the order of turns is written down, and not the model's to find")]
mod model;
#[path = "../ad_engagements/open.rs"]
mod open;
#[path = "../../examples/ad_engagements/program.rs"]
#[allow(dead_code, reason = "the program that is run is the one in the open")]
mod program;

pub use open::in_the_open;
pub use program::{ADS, Ad, AdId, CLICKS, Click, UserId, VIEWS, View};

use crate::compared::{Compared, Present, read};
use model::{Engagements, Session, Touched, Visits};
use open::{CHANGES, LATE, MEETINGS, Meeting, PAID, TOUCHES, UPDATES, VISITS};
use program::{ENGAGEMENTS, Engagement, Touch, Visit};
use std::collections::BTreeMap;
use suiro::{Broker, InWindow, Offset, Producer, Reader, Received, Result, Topic};

/// Makes the topics of the program.
pub fn create(broker: &dyn Broker, partitions: u32) -> Result<()> {
    fn make<K, V>(broker: &dyn Broker, topic: &Topic<K, V>, partitions: u32) -> Result<()> {
        Producer::open(broker, topic)?.create(partitions)
    }
    make(broker, &VIEWS, partitions)?;
    make(broker, &CLICKS, partitions)?;
    make(broker, &ADS, partitions)?;
    make(broker, &TOUCHES, partitions)?;
    make(broker, &UPDATES, partitions)?;
    make(broker, &LATE, partitions)?;
    make(broker, &VISITS, partitions)?;
    make(broker, &MEETINGS, partitions)?;
    make(broker, &PAID, partitions)?;
    make(broker, &CHANGES, partitions)?;
    make(broker, &ENGAGEMENTS, partitions)
}

/// All results of the program, read and held against the model.
pub struct Trial {
    views: Reader<UserId, View>,
    clicks: Reader<UserId, Click>,
    ads: Reader<AdId, Ad>,
    touches: Reader<UserId, Touch>,
    updates: Reader<UserId, InWindow<Option<Visit>>>,
    late: Reader<UserId, Touch>,
    visits: Reader<UserId, InWindow<Visit>>,
    meetings: Reader<AdId, Meeting>,
    paid: Reader<AdId, u64>,
    changes: Reader<AdId, Option<Engagement>>,
    engagements: Reader<AdId, Engagement>,
    users: Vec<OfUsers>,
    of_ads: Vec<OfAds>,
    /// Conversions that were made of visits and have not met ads yet, with their times: so many
    /// of each. Fewer than none are those whose visits are not known yet.
    under_way: BTreeMap<(AdId, u64, i64), i64>,
}

/// What a partition says of its users.
struct OfUsers {
    model: Visits,
    views: Compared<Touched>,
    clicks: Compared<Touched>,
    updates: Compared<Session<Option<Visit>>>,
    late: Compared<Touched>,
    visits: Compared<Session<Visit>>,
}

/// A change of the engagements of an ad, and when it is.
type Change = (AdId, Option<Engagement>, i64);

/// What a partition says of its ads.
struct OfAds {
    model: Engagements,
    present: Present,
    ads: Compared<(AdId, Option<Ad>, i64)>,
    paid: Compared<(AdId, u64, i64)>,
    changes: Compared<Change>,
    /// The last change of each ad in a commit, in the order of the first ones.
    shown: Compared<Change>,
    /// The changes of a commit, and the offset that is next if it goes on.
    commit: (Vec<Change>, Offset),
}

impl OfUsers {
    fn new(partition: usize) -> Self {
        Self {
            model: Visits::default(),
            views: Compared::new("views", partition),
            clicks: Compared::new("clicks", partition),
            updates: Compared::new("updates of visits", partition),
            late: Compared::new("late touches", partition),
            visits: Compared::new("visits", partition),
        }
    }

    /// A touch has its turn. Gives the visits that it closes.
    fn touch(&mut self, touched: Touched) -> Vec<Session<Visit>> {
        let (user, touch, at) = touched;
        match touch {
            Touch::Viewed(_) => self.views.come(touched),
            Touch::Clicked(_) => self.clicks.come(touched),
        }
        self.model.touch(user, touch, at);
        self.model.updates.drain(..).for_each(|update| self.updates.expect(update));
        self.model.late.drain(..).for_each(|late| self.late.expect(late));
        let closed: Vec<_> = self.model.closed.drain(..).collect();
        closed.iter().for_each(|visit| self.visits.expect(visit.clone()));
        closed
    }

    fn rest(&self) -> Option<String> {
        let Self { views, clicks, updates, late, visits, .. } = self;
        let touches = views.rest().or_else(|| clicks.rest()).or_else(|| late.rest());
        touches.or_else(|| updates.rest()).or_else(|| visits.rest())
    }
}

impl OfAds {
    fn new(partition: usize) -> Self {
        Self {
            model: Engagements::default(),
            present: Present::default(),
            ads: Compared::new("ads", partition),
            paid: Compared::new("costs", partition),
            changes: Compared::new("changes of engagements", partition),
            shown: Compared::new("engagements", partition),
            commit: (Vec::new(), 0),
        }
    }

    /// An ad or a conversion has its turn.
    fn meet(&mut self, id: AdId, meeting: Meeting, at: i64) {
        match meeting {
            Meeting::Ad(ad) => {
                self.ads.come((id, ad.clone(), at));
                self.model.ad(id, ad, at);
            }
            Meeting::Conversion(conversion) => self.model.conversion(conversion, at),
        }
        for (id, paid) in std::mem::take(&mut self.model.paid) {
            paid.into_iter().for_each(|(cents, at)| self.paid.expect((id, cents, at)));
        }
        for (id, changes) in std::mem::take(&mut self.model.changes) {
            changes.into_iter().for_each(|(row, at)| self.changes.expect((id, row, at)));
        }
    }

    /// A change has come. Where an offset is left out a commit has ended: its end has it.
    fn change(&mut self, change: Change, offset: Offset) {
        if self.commit.1 != offset {
            self.end_commit();
        }
        self.commit.0.push(change.clone());
        self.commit.1 = offset + 1;
        self.changes.come(change);
    }

    /// All changes of a commit have come, as a commit is read whole or not at all.
    fn end_commit(&mut self) {
        let mut last: Vec<Change> = Vec::new();
        for change in self.commit.0.drain(..) {
            match last.iter_mut().find(|(id, ..)| *id == change.0) {
                Some(before) => *before = change,
                None => last.push(change),
            }
        }
        last.into_iter().for_each(|change| self.shown.expect(change));
    }

    fn rest(&self) -> Option<String> {
        let others = self.ads.rest().or_else(|| self.paid.rest());
        let others = others.or_else(|| self.changes.rest());
        others.or_else(|| self.shown.rest())
    }
}

/// A session as the model has it.
fn session<A>(record: Received<UserId, InWindow<A>>) -> Session<A> {
    let InWindow { start, end, value } = record.value.unwrap();
    assert_eq!(record.at, end, "the time of a session is its end");
    let (start, end) = (start.as_millis(), end.as_millis());
    Session { user: record.key, start, end, value }
}

impl Trial {
    pub fn open(broker: &dyn Broker, partitions: usize) -> Result<Self> {
        Ok(Self {
            views: Reader::open(broker, &VIEWS)?,
            clicks: Reader::open(broker, &CLICKS)?,
            ads: Reader::open(broker, &ADS)?,
            touches: Reader::open(broker, &TOUCHES)?,
            updates: Reader::open(broker, &UPDATES)?,
            late: Reader::open(broker, &LATE)?,
            visits: Reader::open(broker, &VISITS)?,
            meetings: Reader::open(broker, &MEETINGS)?,
            paid: Reader::open(broker, &PAID)?,
            changes: Reader::open(broker, &CHANGES)?,
            engagements: Reader::open(broker, &ENGAGEMENTS)?,
            users: (0..partitions).map(OfUsers::new).collect(),
            of_ads: (0..partitions).map(OfAds::new).collect(),
            under_way: BTreeMap::new(),
        })
    }

    /// Looks at what has come; at all that is there, if that is asked for.
    pub fn look(&mut self, all: bool) {
        self.look_at_users(all);
        self.look_at_ads(all);
    }

    fn look_at_users(&mut self, all: bool) {
        for record in read(&mut self.views, all) {
            let touch = Touch::Viewed(record.value.unwrap().ad);
            let touched = (record.key, touch, record.at.as_millis());
            self.users[record.partition as usize].views.expect(touched);
        }
        for record in read(&mut self.clicks, all) {
            let touch = Touch::Clicked(record.value.unwrap().ad);
            let touched = (record.key, touch, record.at.as_millis());
            self.users[record.partition as usize].clicks.expect(touched);
        }
        for record in read(&mut self.touches, all) {
            let touched = (record.key, record.value.unwrap(), record.at.as_millis());
            for visit in self.users[record.partition as usize].touch(touched) {
                for conversion in visit.value.conversions() {
                    self.moves((conversion.ad, conversion.views, visit.end), 1);
                }
            }
        }
        for record in read(&mut self.updates, all) {
            self.users[record.partition as usize].updates.come(session(record));
        }
        for record in read(&mut self.late, all) {
            let touched = (record.key, record.value.unwrap(), record.at.as_millis());
            self.users[record.partition as usize].late.come(touched);
        }
        for record in read(&mut self.visits, all) {
            self.users[record.partition as usize].visits.come(session(record));
        }
    }

    fn look_at_ads(&mut self, all: bool) {
        for record in read(&mut self.ads, all) {
            let of_ads = &mut self.of_ads[record.partition as usize];
            let (id, ad, at) = (record.key, record.value, record.at.as_millis());
            if of_ads.present.change(&id.0.to_string(), ad.is_some()) {
                of_ads.ads.expect((id, ad, at));
            }
        }
        for record in read(&mut self.meetings, all) {
            let (meeting, at) = (record.value.unwrap(), record.at.as_millis());
            if let Meeting::Conversion(conversion) = &meeting {
                self.moves((conversion.ad, conversion.views, at), -1);
            }
            self.of_ads[record.partition as usize].meet(record.key, meeting, at);
        }
        for record in read(&mut self.paid, all) {
            let paid = (record.key, record.value.unwrap(), record.at.as_millis());
            self.of_ads[record.partition as usize].paid.come(paid);
        }
        for record in read(&mut self.changes, all) {
            let change = (record.key, record.value.flatten(), record.at.as_millis());
            self.of_ads[record.partition as usize].change(change, record.offset);
        }
        self.of_ads.iter_mut().for_each(OfAds::end_commit);
        for record in read(&mut self.engagements, all) {
            let row = (record.key, record.value, record.at.as_millis());
            self.of_ads[record.partition as usize].shown.come(row);
        }
    }

    /// A conversion goes under way between the partitions, or has come.
    fn moves(&mut self, conversion: (AdId, u64, i64), by: i64) {
        let count = self.under_way.entry(conversion).or_default();
        *count += by;
        if *count == 0 {
            self.under_way.remove(&conversion);
        }
    }

    /// What is still under way.
    pub fn rest(&self) -> Option<String> {
        let users = self.users.iter().find_map(OfUsers::rest);
        let moves = || self.under_way.iter().next();
        users
            .or_else(|| moves().map(|it| format!("a conversion under way: {it:?}")))
            .or_else(|| self.of_ads.iter().find_map(OfAds::rest))
    }

    /// How much was compared.
    pub fn summary(&self) -> String {
        let users = |count: fn(&OfUsers) -> u64| self.users.iter().map(count).sum::<u64>();
        let of_ads = |count: fn(&OfAds) -> u64| self.of_ads.iter().map(count).sum::<u64>();
        let touches = users(|it| it.views.equal + it.clicks.equal);
        let [visits, late] = [users(|it| it.visits.equal), users(|it| it.late.equal)];
        let [changes, paid] = [of_ads(|it| it.changes.equal), of_ads(|it| it.paid.equal)];
        let shown = of_ads(|it| it.shown.equal);
        let counts = [touches, visits, late, changes, paid, shown];
        assert!(counts.iter().all(|count| *count > 0), "ad_engagements: {counts:?}");
        format!(
            "ad_engagements: {touches} touches, {late} of them late, {visits} visits, {paid} \
             costs, {changes} changes of engagements, {shown} of them shown"
        )
    }
}
