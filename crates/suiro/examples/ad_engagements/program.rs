//! Which ads make people click: views and clicks become visits, visits conversions, and
//! conversions, joined with their ads, engagements.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use suiro::{Error, Plan, Sessions, Topic, Topology};

pub const VIEWS: Topic<UserId, View> = Topic::json("views");
pub const CLICKS: Topic<UserId, Click> = Topic::json("clicks");
pub const ADS: Topic<AdId, Ad> = Topic::json("ads");
pub const ENGAGEMENTS: Topic<AdId, Engagement> = Topic::json("ad-engagements");

/// The program, under the name `app`.
pub fn ad_engagements(app: &str) -> Result<Plan, Error> {
    let topology = Topology::new(app);
    let views = topology.stream(&VIEWS).map(|view| Touch::Viewed(view.ad));
    let clicks = topology.stream(&CLICKS).map(|click| Touch::Clicked(click.ad));
    let ads = topology.table(&ADS);

    let conversions = views
        .merge(clicks)
        .window(Sessions::with_gap(Duration::from_mins(30)).grace(Duration::from_mins(5)))
        .fold("visits", Visit::default, |visit, touch| visit.add(touch), Visit::merge)
        .on_close()
        .flat_map(|session| session.value.conversions())
        .key_by(|conversion| conversion.ad)
        .fold("conversions", Conversions::default, |sum, conversion| sum.add(conversion));

    conversions.join(&ads, Engagement::new).to(&ENGAGEMENTS);
    topology.build()
}

/// Who looks at ads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UserId(pub u32);

/// What they look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AdId(pub u32);

/// An ad was shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    pub ad: AdId,
}

/// An ad was clicked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Click {
    pub ad: AdId,
}

/// What an ad says, and what a conversion costs its owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ad {
    pub title: String,
    pub cents: u64,
}

/// Something that a user did with an ad.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Touch {
    Viewed(AdId),
    Clicked(AdId),
}

/// What one user did, one thing after the other, without a long pause.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    pub touches: Vec<Touch>,
}

impl Visit {
    pub fn add(&mut self, touch: Touch) {
        self.touches.push(touch);
    }

    pub fn merge(&mut self, later: Visit) {
        self.touches.extend(later.touches);
    }

    /// A click converts if the ad was viewed in the same visit, since the last conversion.
    pub fn conversions(&self) -> Vec<Conversion> {
        let mut viewed: BTreeMap<AdId, u64> = BTreeMap::new();
        let mut conversions = Vec::new();
        for touch in &self.touches {
            match *touch {
                Touch::Viewed(ad) => *viewed.entry(ad).or_default() += 1,
                Touch::Clicked(ad) => {
                    let views = viewed.remove(&ad);
                    conversions.extend(views.map(|views| Conversion { ad, views }));
                }
            }
        }
        conversions
    }
}

/// A click on an ad, and how many views it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conversion {
    pub ad: AdId,
    pub views: u64,
}

/// All conversions of an ad.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Conversions {
    pub count: u64,
    pub views: u64,
}

impl Conversions {
    pub fn add(&mut self, conversion: Conversion) {
        self.count += 1;
        self.views += conversion.views;
    }
}

/// How an ad does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Engagement {
    pub title: String,
    pub conversions: u64,
    pub views: u64,
    pub cost_cents: u64,
}

impl Engagement {
    pub fn new(sum: &Conversions, ad: &Ad) -> Self {
        Self {
            title: ad.title.clone(),
            conversions: sum.count,
            views: sum.views,
            cost_cents: sum.count * ad.cents,
        }
    }
}
