// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pages of `docs/` that want a client, run as they are written against a simulated host. The others
//! are run by xe's tests.

use std::path::Path;

use anyhow::{Context, Result};

use crate::lab::Lab;
use crate::runner::{Case, Figures};

/// The only one.
pub fn cases() -> Vec<Case> {
    vec![Case {
        name: "tutorial-python",
        about: "docs/from-python.md as it is written, against a simulated host; no virtual machine",
        run: python,
    }]
}

fn python(lab: &Lab, folder: &Path, _: &Figures) -> Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    lab.with_client()
        .bind_ro(docs, "/docs")
        .bind_ro(&lab.programs, "/programs")
        .log(folder.join("client.log"))
        .run(
            "python3",
            ["/client/tutorial.py", "/programs/usr/sbin/xenith-toolstack", "/docs/from-python.md"],
        )
        .context("running docs/from-python.md")
}
