// SPDX-License-Identifier: MIT OR Apache-2.0
//! `install-copy`: the installer's copy of the root image beside writing the same bytes with direct I/O, and
//! its verification beside reading them so, on the disk that the user's cache is on.

use anyhow::{Context as _, Result};
use dom0_rootfs::Rootfs;
use serde::Deserialize;

use super::place::Place;
use super::{Bench, Context, Figure};
use crate::build::artifact;
use crate::program::Cargo;

/// See the module.
pub const BENCH: Bench = Bench {
    name: "install-copy",
    about: "the installer's copy of the root image beside writing it with direct I/O",
    expensive: false,
    run,
};

/// As the bench of the installer prints it.
#[derive(Debug, Deserialize)]
struct Told {
    name: String,
    value: f64,
    unit: String,
}

fn run(context: &Context, figures: &mut Vec<Figure>) -> Result<()> {
    let name = Rootfs::recipe_name(&context.profile.name);
    let report = context.pipeline.build(&context.profile, &[&name])?;
    let image = artifact(&report, &name)?.join("root.img");
    let place = Place::new(&context.pipeline.store)?;
    // The programs of the other side are run, not linked.
    let call = Cargo::new("bench").sources(&context.options.sources);
    let call = call.args(["--package", "installer-core", "--bench", "copy", "--locked", "--"]);
    let said = call.args([image, place.path().join("disk")]).output()?;
    figures.extend(read(&said)?);
    Ok(())
}

fn read(said: &[u8]) -> Result<Vec<Figure>> {
    let told: Vec<Told> = serde_json::from_slice(said).with_context(|| {
        format!("reading what the copy's bench printed: {}", String::from_utf8_lossy(said))
    })?;
    Ok(told.into_iter().map(|f| Figure::new(BENCH.name, f.name, f.value, &f.unit)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_copy_misses_its_limit() {
        let text = r#"[{"name": "copy / direct write", "value": 1.21, "unit": "x"},
                       {"name": "copy, wall", "value": 5, "unit": "s"}]"#;
        let figures = read(text.as_bytes()).unwrap();
        assert_eq!((figures[0].limit, figures[0].missed), (Some(1.2), true));
        assert_eq!(figures[1].limit, None);
        assert!(read(b"nothing").unwrap_err().to_string().contains("printed: nothing"));
    }
}
