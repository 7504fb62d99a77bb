// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a variable comes to, and whether that is an alarm. Nothing here asks for figures or the time.

use super::config::{Combine, Variable};

/// Seconds of a row of figures, of which each has one value.
pub const ROW: i64 = 60;

/// Figures of a moment, by the names of their sources; NaN is one that is not known.
pub type Figures = [(String, f64)];

/// What a variable comes to; NaN if nothing of what it is made of is known.
pub fn value(variable: &Variable, figures: &Figures) -> f64 {
    let known = figures.iter().filter(|(_, figure)| !figure.is_nan());
    let named = |name: &str| {
        let found = known.clone().find(|(source, _)| source == name);
        found.map_or(f64::NAN, |(_, figure)| *figure)
    };
    let of = known.clone().filter(|(source, _)| variable.sources.is_match(source));
    let of: Vec<f64> = of.map(|(_, figure)| *figure).collect();
    match variable.combine {
        Combine::Sum | Combine::Average | Combine::Max if of.is_empty() => f64::NAN,
        Combine::Sum => of.iter().sum(),
        Combine::Average => of.iter().sum::<f64>() / of.len() as f64,
        Combine::Max => of.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Combine::FsUsage => named(FS_USAGE),
        Combine::LogFsUsage => f64::NAN,
        // One is in bytes, the other in KiB.
        Combine::MemoryUsage => 1.0 - named("memory_internal_free") * 1024.0 / named("memory"),
        Combine::SrUsage => named(SR_USED) / named(SR_SIZE),
    }
}

/// The part of Dom0's file system that is in use.
pub const FS_USAGE: &str = "fs_usage";
/// Bytes of an SR that are in use.
pub const SR_USED: &str = "physical_utilisation";
/// Bytes of an SR.
pub const SR_SIZE: &str = "size";

/// What is known of a variable from one row to the next.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct State {
    /// When the last row ended that was looked at, in seconds since the epoch.
    seen: Option<i64>,
    /// Seconds for which the variable has been bad.
    bad: i64,
    /// When there was an alarm, in seconds since the epoch.
    alarm: Option<i64>,
}

impl State {
    /// Takes the value of the row that ended at a time, in seconds since the epoch; whether that is an alarm. A row
    /// that was looked at is none again.
    pub fn take(&mut self, variable: &Variable, value: f64, ended: i64) -> bool {
        if self.seen.replace(ended) == Some(ended) {
            return false;
        }
        let bad = match variable.low {
            true => value < variable.level,
            false => value > variable.level,
        };
        if !bad {
            self.bad = 0;
            return false;
        }
        self.bad = self.bad.saturating_add(ROW);
        if self.bad < variable.period {
            return false;
        }
        self.bad = 0;
        // A clock that went back inhibits nothing.
        let since = self.alarm.map(|alarm| ended.saturating_sub(alarm)).filter(|since| *since >= 0);
        if since.is_some_and(|since| since < variable.inhibit) {
            return false;
        }
        self.alarm = Some(ended);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::{Kind, parse};
    use super::*;

    fn variable(kind: &Kind, name: &str, more: &str) -> Variable {
        let xml = format!(
            "<variable><name value=\"{name}\"/><alarm_trigger_level value=\"0.5\"/>{more}</variable>"
        );
        parse(kind, &xml).0.pop().unwrap()
    }

    fn figures(all: &[(&str, f64)]) -> Vec<(String, f64)> {
        all.iter().map(|(name, figure)| ((*name).to_owned(), *figure)).collect()
    }

    #[test]
    fn figures_become_values() {
        let all = figures(&[
            ("cpu0", 0.2),
            ("cpu1", 0.6),
            ("cpu2", f64::NAN),
            ("vif_0_rx", 10.0),
            ("vif_1_tx", 5.0),
            ("memory", 2048.0),
            ("memory_internal_free", 0.5),
        ]);
        let vm = |name: &str, more: &str| value(&variable(&Kind::Vm, name, more), &all);
        assert_eq!(vm("cpu_usage", ""), 0.4);
        assert_eq!(vm("network_usage", ""), 15.0);
        assert_eq!(vm("any", "<rrd_regex value=\"cpu.\"/><consolidation_fn value=\"max\"/>"), 0.6);
        assert_eq!(vm("mem_usage", ""), 0.75);
        assert!(vm("disk_usage", "").is_nan() && vm("fs_usage", "").is_nan());
        assert!(vm("log_fs_usage", "").is_nan());
        let sr = variable(&Kind::Sr("0a1b2c3d".into()), "physical_utilisation", "");
        assert_eq!(value(&sr, &figures(&[(SR_SIZE, 200.0), (SR_USED, 150.0)])), 0.75);
        assert!(value(&sr, &figures(&[])).is_nan());
    }

    /// Minutes at which there is an alarm.
    fn alarms(variable: &Variable, values: &[f64]) -> Vec<usize> {
        let mut state = State::default();
        let rows = values.iter().enumerate();
        let rows = rows.filter(|(at, value)| state.take(variable, **value, 60 * *at as i64));
        rows.map(|(at, _)| at).collect()
    }

    #[test]
    fn it_has_to_be_bad_for_the_whole_period() {
        let inhibit = "<alarm_auto_inhibit_period value=\"0\"/>";
        let one = variable(&Kind::Vm, "cpu_usage", inhibit);
        assert_eq!(alarms(&one, &[0.5, 0.6, f64::NAN, 0.9, 0.9]), [1, 3, 4]);
        let period = format!("{inhibit}<alarm_trigger_period value=\"150\"/>");
        let three = variable(&Kind::Vm, "cpu_usage", &period);
        let values = [0.6, 0.6, 0.4, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6];
        assert_eq!(alarms(&three, &values), [5, 8], "and counts anew after that");
        let low = format!("{inhibit}<alarm_trigger_sense value=\"low\"/>");
        let low = variable(&Kind::Vm, "cpu_usage", &low);
        assert_eq!(alarms(&low, &[0.5, 0.4, 0.6]), [1]);
    }

    #[test]
    fn alarms_inhibit_others_for_a_while() {
        let two = "<alarm_auto_inhibit_period value=\"120\"/>";
        let two = variable(&Kind::Vm, "cpu_usage", two);
        assert_eq!(alarms(&two, &[1.0; 6]), [0, 2, 4]);
        assert_eq!(alarms(&two, &[1.0, 0.0, 1.0, 0.0, 1.0]), [0, 2, 4]);
        let hour = variable(&Kind::Vm, "cpu_usage", "");
        assert_eq!(alarms(&hour, &[1.0; 130]), [0, 60, 120]);
        let mut state = State::default();
        assert!(state.take(&hour, 1.0, 7200) && !state.take(&hour, 1.0, 7200));
        assert!(state.take(&hour, 1.0, 60), "the clock went back");
    }
}
