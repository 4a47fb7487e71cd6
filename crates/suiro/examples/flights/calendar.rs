//! Dates and times in UTC, from text and to text.

use suiro::Timestamp;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads `2013-01-31T19:00:00Z`.
pub fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let known = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second);
    let millis =
        day_of(year, month, day) * DAY + hour * HOUR + minute * MINUTE + second * 1_000;
    known.then_some(Timestamp::from_millis(millis))
}

fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let numbers: Option<Vec<i64>> =
        text.split(separator).map(|part| part.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// Days from the epoch to a date. The year begins in March, so that the leap day is its last.
fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

/// Year, month and day of a day counted from the epoch.
fn date_of(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (year + era * 400, (month + 2) % 12 + 1);
    (if month > 2 { year } else { year + 1 }, month, date)
}

/// Writes `Jan 31 19:00`.
pub fn show(at: Timestamp) -> String {
    let at = at.as_millis();
    let (_, month, day) = date_of(at.div_euclid(DAY));
    let (hour, minute) = (at.rem_euclid(DAY) / HOUR, at.rem_euclid(HOUR) / MINUTE);
    format!("{} {day:02} {hour:02}:{minute:02}", MONTHS[month as usize - 1])
}

/// Writes `2013-01-31`.
pub fn show_date(at: Timestamp) -> String {
    let (year, month, day) = date_of(at.as_millis().div_euclid(DAY));
    format!("{year}-{month:02}-{day:02}")
}

/// Writes `4 d 03 h`.
pub fn show_span(from: Timestamp, to: Timestamp) -> String {
    let millis = to.as_millis() - from.as_millis();
    format!("{:2} d {:02} h", millis / DAY, millis % DAY / HOUR)
}
