//! Hours of a week in a time zone: what the clock on the wall shows there, by the rules of the IANA
//! time zone database that is built in.
//!
//! The hour that the clock skips in spring is in no span; the hour that it shows twice in autumn is
//! in a span both times. A span over midnight belongs to the day on which it begins.

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::documents::{Day, Hours};

/// Minutes of a day, and `24:00`.
pub(crate) const DAY_MINUTES: u16 = 1_440;

const HOUR_MINUTES: u16 = 60;

/// Whether any of these holds at a time, in milliseconds since the Unix epoch. One that names no
/// zone of the database, or no minute of a day, never does.
pub fn any_holds(hours: &[Hours], now_ms: u64) -> bool {
    hours.iter().any(|one| Span::new(one).is_ok_and(|span| span.holds(now_ms)))
}

/// One span of hours, ready to be asked often.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// Days on which it begins, Monday first; one bit each.
    days: u8,
    from: u16,
    to: u16,
    zone: TimeZone,
}

impl Span {
    /// Looks up the zone.
    ///
    /// # Errors
    /// What does not hold.
    pub(crate) fn new(hours: &Hours) -> Result<Self, String> {
        let Hours { days, from, to, zone } = hours;
        if *from >= DAY_MINUTES || *to > DAY_MINUTES {
            return Err("hours beyond 24:00".to_owned());
        }
        let days = match days.as_slice() {
            [] => !0,
            days => days.iter().fold(0, |bits, day| bits | bit(*day)),
        };
        let zone = self::zone(zone).ok_or_else(|| format!("there is no time zone `{zone}`"))?;
        Ok(Self { days, from: *from, to: *to, zone })
    }

    /// Whether it holds at a time, in milliseconds since the Unix epoch.
    pub(crate) fn holds(&self, now_ms: u64) -> bool {
        let now = i64::try_from(now_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let local = self.zone.to_datetime(now.unwrap_or(Timestamp::MAX));
        let minute = u16::from(local.hour().unsigned_abs())
            .saturating_mul(HOUR_MINUTES)
            .saturating_add(u16::from(local.minute().unsigned_abs()));
        let today = local.weekday();
        let begins_on = |day: jiff::civil::Weekday| {
            self.days & 1_u8.wrapping_shl(day.to_monday_zero_offset().unsigned_abs().into()) != 0
        };
        if self.from < self.to {
            (self.from..self.to).contains(&minute) && begins_on(today)
        } else {
            (minute >= self.from && begins_on(today))
                || (minute < self.to && begins_on(today.previous()))
        }
    }
}

fn bit(day: Day) -> u8 {
    match day {
        Day::Mon => 1,
        Day::Tue => 1 << 1,
        Day::Wed => 1 << 2,
        Day::Thu => 1 << 3,
        Day::Fri => 1 << 4,
        Day::Sat => 1 << 5,
        Day::Sun => 1 << 6,
    }
}

/// The zone of exactly that name.
fn zone(name: &str) -> Option<TimeZone> {
    let zone = TimeZoneDatabase::bundled().get(name).ok()?;
    (!zone.is_unknown() && zone.iana_name() == Some(name)).then_some(zone)
}

/// Whether the database has a zone of exactly that name.
pub(crate) fn is_zone(name: &str) -> bool {
    zone(name).is_some()
}

/// Names of all zones.
pub(crate) fn zones() -> Vec<String> {
    TimeZoneDatabase::bundled().available().map(|name| name.as_str().to_owned()).collect()
}

/// `HH:MM` as minutes since midnight, up to `24:00`.
pub(crate) fn parse_clock(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |digits: &str| {
        let are_two = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|_| are_two)
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let clock = hours.checked_mul(HOUR_MINUTES)?.checked_add(minutes)?;
    (minutes < HOUR_MINUTES && clock <= DAY_MINUTES).then_some(clock)
}

/// Minutes since midnight as `HH:MM`.
pub(crate) fn clock_text(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / HOUR_MINUTES, minutes % HOUR_MINUTES)
}

/// `HH:MM` in JSON, as in documents.
pub(crate) mod clock {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(minutes: &u16, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::clock_text(*minutes))
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<u16, D::Error> {
        let text = std::borrow::Cow::<'d, str>::deserialize(from)?;
        super::parse_clock(&text).ok_or_else(|| D::Error::custom("not a time as HH:MM"))
    }
}

#[cfg(test)]
mod tests;
