//! The program of the example, with every step in the open.

use super::program::{
    ADS, Ad, AdId, CLICKS, Conversion, Conversions, ENGAGEMENTS, Engagement, Touch, UserId,
    VIEWS, Visit,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use suiro::{InWindow, Sessions, Topic, Topology};

pub const TOUCHES: Topic<UserId, Touch> = Topic::json("touches");
pub const VISITS: Topic<UserId, InWindow<Visit>> = Topic::json("visits");
pub const UPDATES: Topic<UserId, InWindow<Option<Visit>>> = Topic::json("updates");
pub const LATE: Topic<UserId, Touch> = Topic::json("late");
pub const MEETINGS: Topic<AdId, Meeting> = Topic::json("meetings");
pub const PAID: Topic<AdId, u64> = Topic::json("paid");
pub const CHANGES: Topic<AdId, Option<Engagement>> = Topic::json("changes");

/// What comes to the join of conversions and ads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Meeting {
    Ad(Option<Ad>),
    Conversion(Conversion),
}

/// Draws it: what is late, what sessions do before they close, each change of a row, and a look-up
/// beside the join. In which order touches, and ads and conversions, had their turns is written
/// down too, since the rules leave it open where inputs are caught up (T3).
pub fn in_the_open(topology: &Topology) {
    let views = topology.stream(&VIEWS).map(|view| Touch::Viewed(view.ad));
    let clicks = topology.stream(&CLICKS).map(|click| Touch::Clicked(click.ad));
    let ads = topology.table(&ADS);
    let touches = views.merge(clicks);
    touches.clone().to(&TOUCHES);
    let sessions = Sessions::with_gap(Duration::from_mins(30)).grace(Duration::from_mins(5));

    touches
        .clone()
        .window(sessions)
        .fold("open-visits", Visit::default, |visit, touch| visit.add(touch), Visit::merge)
        .on_update()
        .to(&UPDATES);

    let visits = touches.window(sessions).fold(
        "visits",
        Visit::default,
        |visit, touch| visit.add(touch),
        Visit::merge,
    );
    visits.late().to(&LATE);
    let visits = visits.on_close();
    visits.clone().to(&VISITS);

    let conversions = visits
        .flat_map(|session| session.value.conversions())
        .key_by(|conversion| conversion.ad)
        .repartition("conversions");
    let of_ads = ads.clone().changes().map(Meeting::Ad);
    of_ads.merge(conversions.clone().map(Meeting::Conversion)).to(&MEETINGS);
    conversions.clone().join(&ads, |conversion, ad| conversion.views * ad.cents).to(&PAID);
    let engagements = conversions
        .fold("conversions", Conversions::default, |sum, conversion| sum.add(conversion))
        .join(&ads, Engagement::new);
    engagements.clone().to(&ENGAGEMENTS);
    engagements.changes().to(&CHANGES);
}
