// SPDX-License-Identifier: MIT OR Apache-2.0
//! `other_config:perfmon`, as XenServer has it: which variables of an object are watched, and when one is told of.
//!
//! Whoever may change an object writes it, so it is taken as it comes: what cannot be read is left out, with a
//! reason for the log.

use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::{BytesStart, Event};
use regex::{Regex, RegexBuilder};

/// Bytes of a configuration, at most.
const LONGEST: usize = 64 * 1024;
/// Variables of an object, at most.
const MOST: usize = 64;
/// Elements of a variable, at most.
const MOST_ELEMENTS: usize = 32;
/// Bytes that a compiled pattern takes, at most.
const BIGGEST_PATTERN: usize = 64 * 1024;
/// The variable of an SR that stands for its traffic with the host.
const SR_TRAFFIC: &str = "sr_io_throughput_total_per_host";

/// Whose configuration it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A VM's, Dom0's too.
    Vm,
    /// A host's.
    Host,
    /// That of the SR with this uuid.
    Sr(String),
}

/// How figures become the value of a variable. XenServer's names are those of `consolidation_fn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combine {
    /// `sum`.
    Sum,
    /// `average`.
    Average,
    /// `max`.
    Max,
    /// `get_percent_fs_usage`: the part of Dom0's file system that is in use.
    FsUsage,
    /// `get_percent_log_fs_usage`: the same of a file system for logs alone, which this host has none of.
    LogFsUsage,
    /// `get_percent_mem_usage`: the part of a VM's memory that is in use.
    MemoryUsage,
    /// `get_percent_sr_usage`: the part of an SR that is in use.
    SrUsage,
}

impl Combine {
    fn named(name: &str) -> Option<Combine> {
        Some(match name {
            "sum" => Combine::Sum,
            "average" => Combine::Average,
            "max" => Combine::Max,
            "get_percent_fs_usage" => Combine::FsUsage,
            "get_percent_log_fs_usage" => Combine::LogFsUsage,
            "get_percent_mem_usage" => Combine::MemoryUsage,
            "get_percent_sr_usage" => Combine::SrUsage,
            _ => return None,
        })
    }
}

/// A variable that is watched.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// The data sources that it is made of, by their whole names.
    pub sources: Regex,
    /// How.
    pub combine: Combine,
    /// The value beyond which it is bad.
    pub level: f64,
    /// It is bad below the level, not above.
    pub low: bool,
    /// Seconds for which it is bad before an alarm.
    pub period: i64,
    /// Seconds after an alarm without another one.
    pub inhibit: i64,
    /// `message.priority` of an alarm.
    pub priority: i64,
    /// Its configuration as an alarm repeats it, XML in lines.
    pub text: String,
    /// It is an SR's, about figures of the host; so are its alarms.
    pub of_host: bool,
}

/// Elements of a `<variable>` in order, each with its `value`.
type Elements = Vec<(String, String)>;

/// Reads a configuration: its variables, and what is wrong with those that are left out.
pub fn parse(kind: &Kind, xml: &str) -> (Vec<Variable>, Vec<String>) {
    let (mut variables, mut problems) = (Vec::<Variable>::new(), Vec::new());
    match elements(xml) {
        Err(problem) => problems.push(problem),
        Ok(all) => {
            for elements in all {
                match variable(kind, elements) {
                    Err(problem) => problems.push(problem),
                    Ok(new) if variables.iter().any(|known| known.name == new.name) => {
                        problems.push(format!("variable {}: it is there twice", new.name));
                    }
                    Ok(new) => variables.push(new),
                }
            }
        }
    }
    (variables, problems)
}

fn value(tag: &BytesStart<'_>) -> Result<String, String> {
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|e| e.to_string())?;
        if attribute.key.as_ref() == "value" {
            let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0);
            return Ok(value.map_err(|e| e.to_string())?.into_owned());
        }
    }
    Ok(String::new())
}

/// The elements of all variables.
fn elements(xml: &str) -> Result<Vec<Elements>, String> {
    if xml.len() > LONGEST {
        return Err(format!("it has more than {LONGEST} bytes"));
    }
    let mut reader = Reader::from_str(xml);
    let (mut all, mut current, mut depth) = (Vec::new(), None::<Elements>, 0_usize);
    loop {
        match reader.read_event().map_err(|e| e.to_string())? {
            Event::Start(tag) => {
                depth += 1;
                match &mut current {
                    Some(elements) => add(elements, &tag)?,
                    None if tag.name().as_ref() == "variable" => current = Some(Vec::new()),
                    None => {}
                }
            }
            Event::Empty(tag) => match &mut current {
                Some(elements) => add(elements, &tag)?,
                None if tag.name().as_ref() == "variable" => all.push(Vec::new()),
                None => {}
            },
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                if tag.name().as_ref() == "variable" {
                    all.extend(current.take());
                }
            }
            Event::Eof if depth > 0 => return Err("it ends within an element".into()),
            Event::Eof => return Ok(all),
            _ => {}
        }
        if all.len() > MOST {
            return Err(format!("it has more than {MOST} variables"));
        }
    }
}

fn add(elements: &mut Elements, tag: &BytesStart<'_>) -> Result<(), String> {
    if elements.len() == MOST_ELEMENTS {
        return Err(format!("a variable has more than {MOST_ELEMENTS} elements"));
    }
    elements.push((tag.name().as_ref().to_owned(), value(tag)?));
    Ok(())
}

fn variable(kind: &Kind, mut elements: Elements) -> Result<Variable, String> {
    let place = elements.iter().position(|(tag, _)| tag == "name");
    let place = place.ok_or("a variable has no name")?;
    let mut name = elements[place].1.clone();
    let mut of_host = false;
    let mut defaults = kind.clone();
    if let Kind::Sr(uuid) = kind
        && name == SR_TRAFFIC
    {
        if elements.iter().any(|(tag, _)| tag == "rrd_regex") {
            return Err(format!("variable {name}: it takes no rrd_regex"));
        }
        let short = uuid.get(..8).unwrap_or(uuid);
        name = format!("sr_io_throughput_total_{short}");
        elements[place].1.clone_from(&name);
        (of_host, defaults) = (true, Kind::Host);
    }
    let given = |tag: &str| {
        let found = elements.iter().find(|(given, _)| given == tag);
        found.map(|(_, value)| value.clone())
    };
    let wrong = |what: &str| format!("variable {name}: {what}");
    let number = |tag: &str, default: i64, least: i64| match given(tag) {
        None => Ok(default),
        Some(text) => match text.trim().parse::<i64>() {
            Ok(number) if number >= least => Ok(number),
            _ => Err(wrong(&format!("{tag} {text:?} is no number from {least}"))),
        },
    };
    let pattern = given("rrd_regex").or_else(|| default_sources(&defaults, &name));
    let pattern = pattern.ok_or_else(|| wrong("there is no default rrd_regex"))?;
    let sources =
        RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(BIGGEST_PATTERN).build();
    let combine = match given("consolidation_fn") {
        None => default_combine(&defaults, &name),
        Some(text) => Combine::named(&text)
            .ok_or_else(|| wrong(&format!("consolidation_fn {text:?} is not known")))?,
    };
    let level = match given("alarm_trigger_level") {
        None => default_level(&defaults, &name),
        Some(text) => text.trim().parse().ok(),
    };
    let level = level.filter(|level: &f64| level.is_finite());
    let variable = Variable {
        sources: sources.map_err(|_| wrong(&format!("rrd_regex {pattern:?} is not understood")))?,
        combine,
        level: level.ok_or_else(|| wrong("alarm_trigger_level is missing or no number"))?,
        low: match given("alarm_trigger_sense") {
            None => matches!(name.as_str(), "memory_free_kib" | "memory_internal_free"),
            Some(sense) => sense != "high",
        },
        period: number("alarm_trigger_period", 60, 0)?,
        inhibit: number("alarm_auto_inhibit_period", 3600, 0)?,
        priority: number("alarm_priority", 3, 1)?,
        text: text(kind, &elements, of_host),
        of_host,
        name,
    };
    Ok(variable)
}

/// The variable as XenServer repeats it in an alarm.
fn text(kind: &Kind, elements: &Elements, of_host: bool) -> String {
    let mut text = String::from("<variable>\n");
    for (tag, value) in elements {
        text.push_str(&format!("\t<{tag} value=\"{}\"/>\n", escape(value.as_str())));
    }
    if let (Kind::Sr(uuid), true) = (kind, of_host) {
        text.push_str(&format!("\t<configured_on class=\"SR\" uuid=\"{uuid}\"/>\n"));
    }
    text.push_str("</variable>\n");
    text
}

fn default_sources(kind: &Kind, name: &str) -> Option<String> {
    let pattern = match (kind, name) {
        (Kind::Vm | Kind::Host, "cpu_usage") => "cpu[0-9]+",
        (Kind::Vm, "network_usage") => "vif_[0-9]+_[rt]x",
        (Kind::Vm, "disk_usage") => "vbd_(xvd|hd)[a-z]+_(read|write)",
        (Kind::Vm, "fs_usage" | "log_fs_usage" | "mem_usage") => ".*",
        (Kind::Vm, "memory_internal_free") | (Kind::Host, "memory_free_kib") => name,
        (Kind::Host, "network_usage") => "pif_eth[0-9]+_[rt]x",
        (Kind::Host, _) => {
            let source = name.strip_prefix("sr_")?;
            let sr = source.strip_prefix("io_throughput_total_")?;
            let fits = sr.len() == 8 && sr.chars().all(|digit| digit.is_ascii_hexdigit());
            return fits.then(|| source.to_owned());
        }
        (Kind::Sr(_), "physical_utilisation") => "physical_utilisation|size",
        _ => return None,
    };
    Some(pattern.to_owned())
}

fn default_combine(kind: &Kind, name: &str) -> Combine {
    match (kind, name) {
        (Kind::Vm | Kind::Host, "cpu_usage") => Combine::Average,
        (Kind::Vm, "fs_usage") => Combine::FsUsage,
        (Kind::Vm, "log_fs_usage") => Combine::LogFsUsage,
        (Kind::Vm, "mem_usage") => Combine::MemoryUsage,
        (Kind::Sr(_), "physical_utilisation") => Combine::SrUsage,
        _ => Combine::Sum,
    }
}

fn default_level(kind: &Kind, name: &str) -> Option<f64> {
    match (kind, name) {
        (Kind::Vm, "fs_usage" | "log_fs_usage") => Some(0.9),
        (Kind::Vm, "mem_usage") => Some(0.95),
        (Kind::Sr(_), "physical_utilisation") => Some(0.8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(kind: &Kind, elements: &str) -> Variable {
        let (mut all, problems) =
            parse(kind, &format!("<config><variable>{elements}</variable></config>"));
        assert!(problems.is_empty(), "{problems:?}");
        all.pop().unwrap()
    }

    #[test]
    fn defaults_are_those_of_xenserver() {
        let cpu = one(&Kind::Vm, r#"<name value="cpu_usage"/><alarm_trigger_level value="0.5"/>"#);
        assert_eq!((cpu.period, cpu.inhibit, cpu.priority), (60, 3600, 3));
        assert_eq!((cpu.combine, cpu.low, cpu.level), (Combine::Average, false, 0.5));
        assert!(cpu.sources.is_match("cpu12") && !cpu.sources.is_match("cpu_usage"));
        assert!(!cpu.sources.is_match("xcpu1"), "whole names");
        let disk = one(&Kind::Vm, r#"<name value="disk_usage"/><alarm_trigger_level value="1"/>"#);
        assert!(disk.sources.is_match("vbd_xvda_read") && disk.combine == Combine::Sum);
        assert!(!disk.sources.is_match("vbd_xvda_iops_read"));
        let free =
            one(&Kind::Host, r#"<name value="memory_free_kib"/><alarm_trigger_level value="9"/>"#);
        assert!(free.low && free.sources.is_match("memory_free_kib"));
        let memory = one(&Kind::Vm, r#"<name value="mem_usage"/>"#);
        assert_eq!((memory.level, memory.combine), (0.95, Combine::MemoryUsage));
        assert_eq!(one(&Kind::Vm, r#"<name value="fs_usage"/>"#).level, 0.9);
        let sr = Kind::Sr("0a1b2c3d-0000-0000-0000-000000000000".into());
        let full = one(&sr, r#"<name value="physical_utilisation"/>"#);
        assert_eq!((full.level, full.combine, full.of_host), (0.8, Combine::SrUsage, false));
        let traffic = format!(r#"<name value="{SR_TRAFFIC}"/><alarm_trigger_level value="2"/>"#);
        let traffic = one(&sr, &traffic);
        assert!(traffic.of_host && traffic.sources.is_match("io_throughput_total_0a1b2c3d"));
        assert_eq!(traffic.name, "sr_io_throughput_total_0a1b2c3d");
        assert!(traffic.text.contains("<configured_on class=\"SR\" uuid=\"0a1b2c3d-"));
    }

    #[test]
    fn what_is_given_counts_and_is_repeated() {
        let one = one(
            &Kind::Vm,
            r#"<name value="a &lt; b"/><rrd_regex value="vbd_.*|cpu0"></rrd_regex>
            <alarm_trigger_level value="-1.5"/><alarm_trigger_sense value="low"/>
            <alarm_trigger_period value="120"/><alarm_auto_inhibit_period value="0"/>
            <alarm_priority value="1"/><consolidation_fn value="max"/>"#,
        );
        assert_eq!((one.period, one.inhibit, one.priority), (120, 0, 1));
        assert_eq!((one.combine, one.low, one.level), (Combine::Max, true, -1.5));
        assert!(one.sources.is_match("cpu0") && !one.sources.is_match("cpu00"));
        assert!(one.text.starts_with(
            "<variable>\n\t<name value=\"a &lt; b\"/>\n\t<rrd_regex value=\"vbd_.*|cpu0\"/>\n"
        ));
    }

    #[test]
    fn what_cannot_be_read_is_left_out_with_a_reason() {
        let many = "<variable/>".repeat(MOST + 1);
        let long = " ".repeat(LONGEST + 1);
        let wide = format!("<variable>{}", "<a/>".repeat(MOST_ELEMENTS + 1));
        let level = r#"<alarm_trigger_level value="1"/>"#;
        let cpu = format!(r#"<variable><name value="cpu_usage"/>{level}"#);
        let bad = [
            "<config>".to_owned(),
            "<config><variable></config>".to_owned(),
            "<config></variable></config>".to_owned(),
            "<variable><name value=\"&undefined;\"/></variable>".to_owned(),
            "<variable><name value=\"x/></variable>".to_owned(),
            "<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><variable><name value=\"&e;\"/></variable>".to_owned(),
            "<variable/>".to_owned(),
            many,
            long,
            wide,
            r#"<variable><name value="cpu_usage"/></variable>"#.to_owned(),
            format!(r#"<variable><name value="speed"/>{level}</variable>"#),
            format!(r#"{cpu}<rrd_regex value="("/></variable>"#),
            format!(r#"{cpu}<rrd_regex value="(\w{{1000}}){{1000}}"/></variable>"#),
            format!(r#"{cpu}<consolidation_fn value="eval"/></variable>"#),
            format!(r#"{cpu}<alarm_trigger_period value="-1"/></variable>"#),
            format!(r#"{cpu}<alarm_auto_inhibit_period value="1h"/></variable>"#),
            format!(r#"{cpu}<alarm_priority value="99999999999999999999"/></variable>"#),
            r#"<variable><name value="cpu_usage"/><alarm_trigger_level value="NaN"/></variable>"#
                .to_owned(),
        ];
        for xml in &bad {
            let (variables, problems) = parse(&Kind::Vm, xml);
            assert!(variables.is_empty() && !problems.is_empty(), "{xml}: {variables:?}");
        }
        for nothing in ["", "no XML at all", "<config/>", "<other/>"] {
            let (variables, problems) = parse(&Kind::Vm, nothing);
            assert!(variables.is_empty() && problems.is_empty(), "{nothing}");
        }
        let (variables, problems) = parse(
            &Kind::Vm,
            &format!("<config><variable/>{cpu}</variable>{cpu}</variable></config>"),
        );
        assert_eq!((variables.len(), problems.len()), (1, 2), "{problems:?}");
    }
}
