//! What a join of streams sends, written down from its rules (J1 to J5) with no state but the
//! list of all that came.

use std::collections::VecDeque;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Inner,
    Left,
    Outer,
}

/// A record that came: by the left side (0) or by the right one (1).
#[derive(Clone, Debug)]
pub struct Came {
    pub side: usize,
    pub key: String,
    pub at: i64,
}

/// A result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub key: String,
    pub value: String,
    pub at: i64,
}

/// The order in which records that wait are taken: the smallest head, the left one on a tie (T2).
pub fn turns(sides: [Vec<(Came, String)>; 2]) -> Vec<(Came, String)> {
    let [mut left, mut right] = sides.map(VecDeque::from);
    let mut all = Vec::new();
    loop {
        let head = |side: &VecDeque<(Came, String)>| side.front().map(|(came, _)| came.at);
        let next = match (head(&left), head(&right)) {
            (Some(l), Some(r)) if l <= r => left.pop_front(),
            (Some(_), None) => left.pop_front(),
            _ => right.pop_front(),
        };
        match next {
            Some(next) => all.push(next),
            None => return all,
        }
    }
}

/// All that is sent, to the end of a bounded run.
pub fn joined(
    kind: Kind,
    (before, after, grace): (i64, i64, i64),
    came: &[(Came, String)],
) -> Vec<Sent> {
    let speaks = |side| match kind {
        Kind::Inner => false,
        Kind::Left => side == 0,
        Kind::Outer => true,
    };
    let closing = |came: &Came| came.at + [after, before][came.side] + 1 + grace;
    // Stream time at each turn, that record included (T4).
    let time = |turn: usize| came[..=turn].iter().map(|(came, _)| came.at).max().unwrap_or(0);
    let is_pair = |early: usize, late: usize| {
        let (one, two) = (&came[early].0, &came[late].0);
        let (left, right) = if one.side == 0 { (one.at, two.at) } else { (two.at, one.at) };
        one.side != two.side
            && one.key == two.key
            && (left - before..=left + after).contains(&right)
            // The partner was kept, and is not closed at this turn (J5).
            && closing(one) > time(early)
            && closing(one) > time(late)
    };
    let is_alone = |turn: usize| {
        let is_paired = |other: &usize| match *other < turn {
            true => is_pair(*other, turn),
            false => *other > turn && is_pair(turn, *other),
        };
        speaks(came[turn].0.side) && !(0..came.len()).any(|other| is_paired(&other))
    };
    let alone = |turn: usize| {
        let (Came { key, at, side }, name) = &came[turn];
        let value = if *side == 0 { format!("{name}-none") } else { format!("none-{name}") };
        Sent { key: key.clone(), value, at: *at }
    };
    // Those that waited and are closed by a turn, in the order of rule J3.
    let sent_by = |from: i64, until: i64, turn: usize| {
        let mut lone: Vec<usize> = (0..turn)
            .filter(|other| closing(&came[*other].0) > time(*other))
            .filter(|other| (from + 1..=until).contains(&closing(&came[*other].0)))
            .filter(|other| is_alone(*other))
            .collect();
        lone.sort_by_key(|turn| {
            let came = &came[*turn].0;
            (closing(came), came.side, came.key.clone(), *turn)
        });
        lone.into_iter().map(alone).collect::<Vec<_>>()
    };
    let mut sent = Vec::new();
    let mut now = i64::MIN;
    for (turn, (this, name)) in came.iter().enumerate() {
        sent.extend(sent_by(now, time(turn), turn));
        now = time(turn);
        let mut partners: Vec<usize> =
            (0..turn).filter(|other| is_pair(*other, turn)).collect();
        partners.sort_by_key(|other| came[*other].0.at);
        for other in partners {
            let (partner, other_name) = &came[other];
            let value = match this.side {
                0 => format!("{name}-{other_name}"),
                _ => format!("{other_name}-{name}"),
            };
            sent.push(Sent { key: this.key.clone(), value, at: this.at.max(partner.at) });
        }
        if closing(this) <= now && is_alone(turn) {
            sent.push(alone(turn));
        }
    }
    sent.extend(sent_by(now, i64::MAX - 1, came.len()));
    sent
}
