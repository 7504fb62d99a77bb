// SPDX-License-Identifier: MIT OR Apache-2.0
//! Times on the wire: whole seconds in UTC, `20240101T00:00:00Z`, or by a clock in some zone.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A second in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateTime(
    /// Seconds since 1970-01-01.
    pub i64,
);

/// A second by a clock on a wall, `20240101T01:00:00`: which one it is, the zone tells, and that is not
/// in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalTime(
    /// Seconds since that clock showed 1970-01-01.
    pub i64,
);

impl DateTime {
    /// 1970-01-01, which stands for "never".
    pub const EPOCH: DateTime = DateTime(0);

    /// The current second by the host's clock.
    pub fn now() -> DateTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        DateTime(i64::try_from(since.as_secs()).unwrap_or_default())
    }

    /// Reads `20240101T00:00:00Z`, and what RFC 3339 has beside it: dashes, a fraction, which is dropped, and an
    /// offset from UTC. Without one it is UTC.
    pub fn parse(text: &str) -> Option<DateTime> {
        let (date, time) = text.trim().split_once(['T', 't', ' '])?;
        let date: String = date.chars().filter(|c| *c != '-').collect();
        let (time, ahead) = match time.find(['Z', 'z', '+', '-']) {
            Some(at) => (&time[..at], offset(&time[at..])?),
            None => (time, 0),
        };
        let time = time.split('.').next()?;
        let time: String = time.chars().filter(|c| *c != ':').collect();
        if date.len() != 8 || time.len() != 6 {
            return None;
        }
        let (year, month, day) =
            (number(date.get(0..4)?)?, number(date.get(4..6)?)?, number(date.get(6..8)?)?);
        let (hour, minute, second) =
            (number(time.get(0..2)?)?, number(time.get(2..4)?)?, number(time.get(4..6)?)?);
        if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let days = days_from_civil(year, month, day);
        if day < 1 || civil_from_days(days) != (year, month, day) {
            return None;
        }
        Some(DateTime(days * 86_400 + hour * 3600 + minute * 60 + second - ahead))
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}Z", LocalTime(self.0))
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0.div_euclid(86_400), self.0.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        write!(f, "{year:04}{month:02}{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

fn number(text: &str) -> Option<i64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Seconds ahead of UTC of `Z`, `+02:00`, `+0200` or `+02`.
fn offset(text: &str) -> Option<i64> {
    let sign = match text.get(..1)? {
        "Z" | "z" => return (text.len() == 1).then_some(0),
        "+" => 1,
        _ => -1,
    };
    let (hours, minutes) = (text.get(1..3)?, text.get(3..)?);
    let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
    let minutes = match (minutes.len(), text.len()) {
        (2, _) => number(minutes)?,
        (0, 3) => 0,
        _ => return None,
    };
    let hours = number(hours)?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The reverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::DateTime;

    #[test]
    fn known_seconds_are_written_and_read() {
        for (seconds, text) in [
            (0, "19700101T00:00:00Z"),
            (951_827_696, "20000229T12:34:56Z"),
            (1_704_067_200, "20240101T00:00:00Z"),
            (4_107_542_400, "21000301T00:00:00Z"),
        ] {
            assert_eq!(DateTime(seconds).to_string(), text);
            assert_eq!(DateTime::parse(text), Some(DateTime(seconds)));
        }
        for text in [
            "2024-01-01T00:00:00.25Z",
            "2024-01-01T00:00:00",
            "2024-01-01t00:00:00z",
            "2024-01-01T02:00:00+02:00",
            "20240101T02:00:00.5+02:00",
            "2024-01-01T05:30:00.75+0530",
            "2023-12-31T16:00:00-08",
            "2023-12-31T16:00:00.123456-08:00",
        ] {
            assert_eq!(DateTime::parse(text), Some(DateTime(1_704_067_200)), "{text}");
        }
    }

    #[test]
    fn impossible_times_are_refused() {
        for text in [
            "",
            "T",
            "20230229T00:00:00Z",
            "20241301T00:00:00Z",
            "20240101T24:00:00Z",
            "2024010+T00:00:00Z",
            "20240100T00:00:00Z",
            "1704067200",
            "111T0:0:0",
            "2024-01-01T00:00:00Zulu",
            "2024-01-01T00:00:00+",
            "2024-01-01T00:00:00+2",
            "2024-01-01T00:00:00+02:",
            "2024-01-01T00:00:00+24:00",
            "2024-01-01T00:00:00+02:60",
            "2024-01-01T00:00:00+é2:00",
            "２０２４0101T00:00:00",
        ] {
            assert_eq!(DateTime::parse(text), None, "{text}");
        }
    }
}
