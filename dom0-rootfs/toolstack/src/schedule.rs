// SPDX-License-Identifier: MIT OR Apache-2.0
//! When a schedule of snapshots is due.

use std::collections::BTreeMap;

use xapi_model::{DateTime, Value};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

/// A time that passed longer ago, in seconds, is let go: the host was off.
const LATE: i64 = 15 * MINUTE;

/// Days by their number in a week that begins as the first of 1970 did.
const DAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// Times at which snapshots are taken, in seconds since the beginning of a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    period: i64,
    times: Vec<i64>,
}

impl Schedule {
    /// Reads `VMSS.frequency` and `VMSS.schedule`. The error is the key that is wrong, and its value.
    pub fn read(
        frequency: &str,
        schedule: &BTreeMap<String, Value>,
    ) -> Result<Schedule, (String, String)> {
        let text = |key: &str| schedule.get(key).map(Value::text);
        let wrong = |key: &str| (format!("schedule:{key}"), text(key).unwrap_or_default());
        if let Some(key) =
            schedule.keys().find(|key| !["min", "hour", "days"].contains(&key.as_str()))
        {
            return Err(wrong(key));
        }
        let minute: i64 =
            text("min").unwrap_or_else(|| "0".into()).parse().map_err(|_| wrong("min"))?;
        if ![0, 15, 30, 45].contains(&minute) {
            return Err(wrong("min"));
        }
        let minute = minute * MINUTE;
        if frequency == "hourly" {
            return Ok(Schedule { period: HOUR, times: vec![minute] });
        }
        let hour: i64 =
            text("hour").unwrap_or_else(|| "0".into()).parse().map_err(|_| wrong("hour"))?;
        if !(0..24).contains(&hour) {
            return Err(wrong("hour"));
        }
        let time = hour * HOUR + minute;
        if frequency == "daily" {
            return Ok(Schedule { period: DAY, times: vec![time] });
        }
        let mut times = Vec::new();
        for name in text("days").unwrap_or_default().split(',') {
            let named = |day: &str| day.eq_ignore_ascii_case(name.trim());
            let day = DAYS.iter().position(|day| named(day)).ok_or_else(|| wrong("days"))?;
            times.push(i64::try_from(day).unwrap_or_default() * DAY + time);
        }
        Ok(Schedule { period: WEEK, times })
    }

    /// Whether it is to be followed now, when it was last followed at `last`.
    pub fn is_due(&self, last: DateTime, now: DateTime) -> bool {
        let began = now.0 - now.0.rem_euclid(self.period);
        // The last time of the period before may have been a moment ago.
        let times = self.times.iter().flat_map(|time| [began + time, began + time - self.period]);
        times.into_iter().any(|time| time <= now.0 && now.0 - time < LATE && last.0 < time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(frequency: &str, schedule: &[(&str, &str)]) -> Result<Schedule, (String, String)> {
        let map = schedule.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value)));
        Schedule::read(frequency, &map.collect())
    }

    fn at(text: &str) -> DateTime {
        DateTime::parse(text).unwrap()
    }

    #[test]
    fn schedules_are_followed_once_when_their_time_comes() {
        let daily = read("daily", &[("hour", "2"), ("min", "30")]).unwrap();
        let yesterday = at("20231231T02:30:05Z");
        assert!(!daily.is_due(yesterday, at("20240101T02:29:59Z")));
        assert!(daily.is_due(yesterday, at("20240101T02:30:00Z")));
        assert!(!daily.is_due(at("20240101T02:30:00Z"), at("20240101T02:30:30Z")), "done");
        assert!(!daily.is_due(yesterday, at("20240101T03:00:00Z")), "too late");
        let hourly = read("hourly", &[("min", "45")]).unwrap();
        assert!(hourly.is_due(at("20240101T02:45:10Z"), at("20240101T03:45:10Z")));
        // The first of 2024 was a Monday.
        let weekly = read("weekly", &[("days", "monday, Sunday")]).unwrap();
        assert!(weekly.is_due(DateTime::EPOCH, at("20240101T00:00:01Z")));
        assert!(!weekly.is_due(DateTime::EPOCH, at("20240102T00:00:01Z")));
        assert!(weekly.is_due(DateTime::EPOCH, at("20240107T00:10:00Z")));
    }

    #[test]
    fn a_period_that_ends_is_not_forgotten() {
        let daily = read("daily", &[("hour", "23"), ("min", "45")]).unwrap();
        assert!(daily.is_due(DateTime::EPOCH, at("20240101T23:59:00Z")));
        assert!(!daily.is_due(DateTime::EPOCH, at("20240102T00:01:00Z")), "16 minutes late");
    }

    #[test]
    fn what_is_no_time_is_named() {
        let wrong =
            |frequency: &str, schedule: &[(&str, &str)]| read(frequency, schedule).unwrap_err();
        assert_eq!(wrong("daily", &[("min", "7")]), ("schedule:min".into(), "7".into()));
        assert_eq!(wrong("daily", &[("hour", "24")]), ("schedule:hour".into(), "24".into()));
        assert_eq!(wrong("daily", &[("when", "now")]), ("schedule:when".into(), "now".into()));
        assert_eq!(wrong("weekly", &[]), ("schedule:days".into(), String::new()));
        assert_eq!(wrong("weekly", &[("days", "Noday")]).1, "Noday");
        assert!(read("hourly", &[]).is_ok());
    }
}
