// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command's own part of the command line: `key=value`, `--switch`.

use crate::failure::Failure;
use crate::parse;

/// Parameters that every command takes.
pub(crate) const STANDARD: &[&str] = &[
    "server",
    "password",
    "port",
    "username",
    "minimal",
    "force",
    "multiple",
    "all",
    "progress",
    "trace",
    "message-priority",
];

/// Parameters in the order they were given; the first of a name counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Params(pub(crate) Vec<(String, String)>);

impl Params {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn require(&self, name: &str) -> Result<&str, Failure> {
        self.get(name).ok_or_else(|| Failure::Missing(name.to_owned()))
    }

    /// A truth value; false when it is not given.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Failure> {
        self.get(name).map_or(Ok(false), |text| parse::boolean(name, text))
    }

    /// Entries of a map parameter: `name:key=value`, or the old `name-key=value`.
    pub(crate) fn map(&self, name: &str) -> Vec<(&str, &str)> {
        let entry = |(key, value)| {
            let key: &String = key;
            let rest = key.strip_prefix(name)?;
            let inner = rest.strip_prefix(':').or_else(|| rest.strip_prefix('-'))?;
            (!inner.is_empty()).then_some((inner, value))
        };
        self.0.iter().filter_map(|(key, value)| entry((key, value.as_str()))).collect()
    }

    /// Those that are neither standard nor among `known`.
    pub(crate) fn others(&self, known: &[&str]) -> Vec<(&str, &str)> {
        let all = self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        all.filter(|(key, _)| {
            let stem = key.split(':').next().unwrap_or(key);
            !STANDARD.contains(key) && !known.contains(&stem)
        })
        .collect()
    }
}

/// Takes the command's name and its parameters apart.
pub(crate) fn parse(args: &[String]) -> Result<(String, Params), Failure> {
    let Some((name, rest)) = args.split_first() else {
        return Err(Failure::Usage);
    };
    if name.contains('=') {
        return Err(Failure::Syntax("command name is missing".to_owned()));
    }
    let mut params = Vec::new();
    for arg in rest {
        if let Some(switch) = arg.strip_prefix("--") {
            params.push(match switch.split_once('=') {
                Some((key, value)) => (key.to_owned(), value.to_owned()),
                None => (switch.to_owned(), "true".to_owned()),
            });
        } else if arg.starts_with('-') && !arg.contains('=') {
            return Err(Failure::Syntax(format!("Unknown switch: {arg}")));
        } else {
            let (key, value) = arg.split_once('=').unwrap_or((arg, ""));
            params.push((key.to_owned(), value.to_owned()));
        }
    }
    Ok((name.clone(), Params(params)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn keys_values_and_switches() {
        let line = "vm-start vm=web --force other-config:a=b=c other-config-d=e name-label=";
        let (name, params) = parse(&words(line)).unwrap();
        assert_eq!(name, "vm-start");
        assert_eq!(params.get("vm"), Some("web"));
        assert!(params.flag("force").unwrap() && !params.flag("minimal").unwrap());
        assert_eq!(params.map("other-config"), [("a", "b=c"), ("d", "e")]);
        assert_eq!(params.get("name-label"), Some(""));
        assert_eq!(
            params.others(&["vm", "other-config"]),
            [("other-config-d", "e"), ("name-label", "")]
        );
    }

    #[test]
    fn what_makes_no_sense() {
        assert!(matches!(parse(&[]), Err(Failure::Usage)));
        assert!(matches!(parse(&words("uuid=1")), Err(Failure::Syntax(_))));
        assert!(matches!(parse(&words("vm-list -x")), Err(Failure::Syntax(_))));
        assert!(matches!(Params::default().require("uuid"), Err(Failure::Missing(_))));
    }
}
