//! What the operators of random programs do to values. The number of the operator makes each of
//! its own kind.

use suiro::Seed;

/// A number that depends on everything in `text` and on `salt`.
pub fn digest(text: &str, salt: u64) -> u64 {
    let mut seed = Seed::new(salt);
    for byte in text.bytes() {
        seed = Seed::new(seed.next_u64() ^ u64::from(byte));
    }
    seed.next_u64()
}

/// Whether user code panics at this value.
pub fn panics(value: &str, op: usize) -> bool {
    digest(value, op as u64 ^ 0xdead).is_multiple_of(23)
}

/// The number under which user code that groups by operator `op` panics: not at the values at
/// which its folds do.
pub fn grouping(op: usize) -> usize {
    op + 1000
}

/// The gap of a record of a session; where user code `fails`, some are longer than the longest.
pub fn gap(value: &str, op: usize, longest: i64, fails: bool) -> i64 {
    match fails && panics(value, op + 2000) {
        true => longest + 1,
        false => (digest(value, op as u64 ^ 0x6761_7073) % (longest as u64 + 1)) as i64,
    }
}

/// Whether a value passes a filter.
pub fn keeps(value: &str, op: usize) -> bool {
    !digest(value, op as u64).is_multiple_of(3)
}

/// A changed value.
pub fn maps(value: &str, op: usize) -> String {
    format!("{:06x}", digest(value, op as u64) & 0xff_ffff)
}

/// No, one or two values.
pub fn splits(value: &str, op: usize) -> Vec<String> {
    let count = digest(value, op as u64) % 3;
    (0..count).map(|part| format!("{value}/{part}")).collect()
}

/// One thing that a step of one's own does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Tells the row, and what the table says, if it looks at one.
    Tell,
    /// Tells the number of the turn aside.
    Aside,
    /// Sets the timer of a name for so much later than the turn.
    Set(u64, i64),
    /// Takes the timer of a name back.
    Cancel(u64),
    /// Takes the row away.
    Forget,
}

/// How many names of timers there are.
const NAMES: u64 = 3;

/// What a step of one's own does with a value, or with a timer, of which `fired` is the name. A
/// timer sets only those of larger names, so that they come to an end.
pub fn deeds(text: &str, op: usize, ahead: i64, fired: Option<u64>) -> Vec<Deed> {
    let mut seed = Seed::new(digest(text, op as u64 ^ 0x7072));
    let mut deeds = Vec::new();
    if seed.one_in(3) {
        deeds.push(Deed::Cancel(seed.below(NAMES)));
    }
    if seed.one_in(2) {
        let name = fired.map_or(0, |name| name + 1) + seed.below(NAMES);
        let after = seed.below(ahead as u64 + 4) as i64 - 3;
        if name < NAMES {
            deeds.push(Deed::Set(name, after));
        }
    }
    if !seed.one_in(3) {
        deeds.push(Deed::Tell);
    }
    if seed.one_in(4) {
        deeds.push(Deed::Aside);
    }
    if seed.one_in(6) {
        deeds.push(Deed::Forget);
    }
    deeds
}

/// A new key.
pub fn key(value: &str, op: usize) -> String {
    format!("k{}", digest(value, op as u64) % 5)
}

/// The key that a row names, if it names one.
pub fn foreign(row: &str, op: usize) -> Option<String> {
    let key = digest(row, op as u64 ^ 0x666b) % 6;
    (key < 5).then(|| format!("k{key}"))
}

/// The row of the global table with a key, if there is one.
pub fn global(key: &str) -> Option<String> {
    let digest = digest(key, 0x676c);
    (!digest.is_multiple_of(3)).then(|| format!("g{}", digest % 100))
}

/// Folds a value in; the result depends on the order unless it is `commutative`.
pub fn adds(so_far: &str, value: &str, commutative: bool) -> String {
    let hash = |text: &str| digest(text, 7) & 0xff_ffff;
    if commutative {
        let sum = u64::from_str_radix(so_far, 16).unwrap_or(0) + hash(value);
        return format!("{:06x}", sum & 0xff_ffff);
    }
    if so_far.len() + value.len() <= 24 {
        return format!("{so_far}+{value}");
    }
    format!("#{:06x}", hash(&format!("{so_far}+{value}")))
}

/// Takes a value out of a fold again.
pub fn subtracts(so_far: &str, value: &str, commutative: bool) -> String {
    if commutative {
        let sum = u64::from_str_radix(so_far, 16).unwrap_or(0);
        let value = adds("", value, true);
        let less = u64::from_str_radix(&value, 16).unwrap_or(0);
        return format!("{:06x}", sum.wrapping_sub(less) & 0xff_ffff);
    }
    adds(so_far, &format!("({value})"), false)
}

/// Combines a row with a value, as `reduce` does.
pub fn reduces(so_far: &str, value: &str, commutative: bool) -> String {
    if commutative { so_far.max(value).to_owned() } else { adds(so_far, value, false) }
}

/// Merges two sessions.
pub fn merges(earlier: &str, later: &str, commutative: bool) -> String {
    if commutative {
        let number = |text: &str| u64::from_str_radix(text, 16).unwrap_or(0);
        return format!("{:06x}", (number(earlier) + number(later)) & 0xff_ffff);
    }
    adds(earlier, &format!("({later})"), false)
}

/// The value of a pair.
pub fn joins(left: &str, right: Option<&str>) -> String {
    let pair = format!("{left}-{}", right.unwrap_or("none"));
    if pair.len() <= 40 {
        return pair;
    }
    format!("j{:06x}", digest(&pair, 9) & 0xff_ffff)
}

/// The value of a window.
pub fn windowed(value: Option<&str>, start: i64, end: i64) -> String {
    format!("{}@{start}..{end}", value.unwrap_or("gone"))
}

/// Whether the test of a part of a pattern holds.
pub fn fits(value: &str, op: usize, place: usize) -> bool {
    digest(value, op as u64 ^ (place as u64) << 32).is_multiple_of(3)
}

/// The value of what a pattern has found.
pub fn found<'a, S>(
    is_match: bool,
    stages: impl Iterator<Item = S>,
    start: i64,
    end: i64,
) -> String
where
    S: Iterator<Item = &'a str>,
{
    let what = if is_match { "all" } else { "part" };
    let text = format!("{what} {}", staged(stages));
    if text.len() <= 40 {
        return format!("{text}@{start}..{end}");
    }
    format!("{what} {:06x}@{start}..{end}", digest(&text, 11) & 0xff_ffff)
}

/// What is known of a partial match.
pub fn partial<'a, S>(stage: usize, stages: impl Iterator<Item = S>) -> String
where
    S: Iterator<Item = &'a str>,
{
    format!("{stage}: {}", staged(stages))
}

fn staged<'a, S: Iterator<Item = &'a str>>(stages: impl Iterator<Item = S>) -> String {
    let stages = stages.map(|stage| stage.collect::<Vec<_>>().join("+"));
    stages.collect::<Vec<_>>().join("|")
}

/// The value of a change.
pub fn changed(value: Option<&str>) -> String {
    value.unwrap_or("gone").to_owned()
}
