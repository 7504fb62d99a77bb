// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fuzz targets: each hands any bytes to a reader of what comes from outside, and panics where the
//! reader does or where what it gives is not what it promises.
//!
//! `targets.toml` says of each what it reads and where its seeds are; `cargo xtask fuzz` runs them by
//! the program `fuzz`, and the tests here run every seed through its target.

mod daemon;
mod targets;

/// What libFuzzer calls with each input.
pub type Run = fn(&[u8]);

/// Name of the target that always ends with a finding: it panics at a word that only who follows the
/// comparisons finds. A run of it that finds nothing says that the others look for nothing either.
pub const ALARM: &str = "alarm";

/// The targets by name, in the order of the names.
pub const TARGETS: &[(&str, Run)] = &[
    ("answers", targets::answers::run),
    ("answers-xml", targets::answers_xml::run),
    ("boot-line", targets::boot_line::run),
    ("call", targets::call::run),
    ("certificate", targets::certificate::run),
    ("compression", targets::compression::run),
    ("connection", targets::connection::run),
    ("control", targets::control::run),
    ("deb", targets::deb::run),
    ("destination", targets::destination::run),
    ("figures-file", targets::figures_file::run),
    ("framed", targets::framed::run),
    ("guest-report", targets::guest_report::run),
    ("inventory", targets::inventory::run),
    ("jsonrpc", targets::jsonrpc::run),
    ("kernel-words", targets::kernel_words::run),
    ("lease", targets::lease::run),
    ("partition-table", targets::partition_table::run),
    ("perfmon", targets::perfmon::run),
    ("qcow2", targets::qcow2::run),
    ("reserved", targets::reserved::run),
    ("ssh-line", targets::ssh_line::run),
    ("sums", targets::sums::run),
    ("suspend-image", targets::suspend_image::run),
    ("txt-record", targets::txt_record::run),
    ("vhd", targets::vhd::run),
    ("xmlrpc", targets::xmlrpc::run),
    ("xva", targets::xva::run),
];

/// The target of this name, [`ALARM`] included.
pub fn target(name: &str) -> Option<Run> {
    let alarm = (name == ALARM).then_some(targets::alarm::run as Run);
    alarm.or_else(|| TARGETS.iter().find(|target| target.0 == name).map(|target| target.1))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::panic::catch_unwind;
    use std::path::{Path, PathBuf};

    use super::*;

    /// The files of `targets.toml` by target.
    fn seeds() -> BTreeMap<String, Vec<PathBuf>> {
        let list: toml::Table = toml::from_str(include_str!("../targets.toml")).unwrap();
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let files = |entry: &toml::Value| {
            let places = entry["seeds"].as_array().unwrap();
            places
                .iter()
                .flat_map(|place| files(&repository.join(place.as_str().unwrap())))
                .collect()
        };
        list.iter().map(|(name, entry)| (name.clone(), files(entry))).collect()
    }

    fn files(place: &Path) -> Vec<PathBuf> {
        if place.is_file() {
            return vec![place.to_owned()];
        }
        let entries = fs::read_dir(place).unwrap_or_else(|e| panic!("{}: {e}", place.display()));
        entries.flat_map(|entry| files(&entry.unwrap().path())).collect()
    }

    #[test]
    fn every_target_is_in_the_list_and_the_other_way_round() {
        let listed: Vec<String> = seeds().into_keys().collect();
        let there: Vec<&str> = TARGETS.iter().map(|target| target.0).collect();
        assert_eq!(listed, there);
        assert!(target("vhd").is_some() && target(ALARM).is_some() && target("none").is_none());
    }

    #[test]
    fn every_seed_is_stood() {
        for (name, files) in seeds() {
            let run = target(&name).unwrap();
            assert!(!files.is_empty(), "{name} has no seeds");
            for file in files {
                let bytes = fs::read(&file).unwrap();
                assert!(catch_unwind(|| run(&bytes)).is_ok(), "{name}: {}", file.display());
            }
        }
    }

    #[test]
    fn the_alarm_goes_off() {
        let run = target(ALARM).unwrap();
        run(b"xen.");
        assert!(catch_unwind(|| run(b"xen!")).is_err());
    }
}
