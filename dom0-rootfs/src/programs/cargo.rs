// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the programs are compiled and linked.

use std::fs;
use std::path::PathBuf;

use isobuild::recipe::{BoxError, Build};
use isobuild::rust::{Cargo, TARGET};

use super::Program;

/// Libraries below the sysroot of `xen-tools`.
const LIB: &str = "/sysroot/usr/lib/x86_64-linux-gnu";

/// How a program is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Against nothing in Dom0, not even its C library.
    Static,
    /// Against Dom0's C library and the libraries of `xen-tools`.
    XenTools,
}

impl Link {
    /// Name of its target folder: other flags in one folder would compile everything again.
    const fn folder(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::XenTools => "xen-tools",
        }
    }
}

/// Compiles `programs`, which are all linked in the same way, and returns the folder that they are in.
pub(super) fn compile(
    cargo: &Cargo,
    build: &Build<'_>,
    link: Link,
    programs: &[&Program],
) -> Result<PathBuf, BoxError> {
    let mut sandbox = cargo
        .sandbox(build, link.folder())?
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags(cargo, link)?.join("\x1f"))
        .env("CFLAGS", c_flags(cargo, link));
    if link == Link::XenTools {
        let sysroot = build.dep("xen-tools")?.join("sysroot");
        sandbox = sandbox.bind_ro(sysroot, "/sysroot").env("XEN_SYSROOT", "/sysroot");
    }
    sandbox.run("cargo", arguments(programs))?;

    let folder = cargo.target(link.folder()).join(TARGET).join("appliance");
    if link == Link::Static {
        for program in programs {
            let path = folder.join(program.name);
            if needs_interpreter(&fs::read(&path)?) {
                return Err(format!("{} is not linked statically", program.name).into());
            }
        }
    }
    Ok(folder)
}

fn rust_flags(cargo: &Cargo, link: Link) -> Result<Vec<String>, BoxError> {
    let mut flags = cargo.rust_flags()?;
    flags.push("-Clink-arg=-Wl,--build-id=none".to_owned());
    match link {
        Link::Static => flags.push("-Ctarget-feature=+crt-static".to_owned()),
        Link::XenTools => {
            flags.push(format!("-Lnative={LIB}"));
            flags.push(format!("-Clink-arg=-Wl,-rpath-link={LIB}"));
        }
    }
    Ok(flags)
}

fn c_flags(cargo: &Cargo, link: Link) -> String {
    let mut flags = cargo.c_flags();
    flags.extend(["-O2", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2"].map(str::to_owned));
    if link == Link::XenTools {
        // As the system's own: warnings about Xen's headers are not ours to heed.
        flags.push("-isystem/sysroot/usr/include".to_owned());
    }
    flags.join(" ")
}

fn arguments(programs: &[&Program]) -> Vec<String> {
    let mut args: Vec<String> =
        ["build", "--offline", "--locked", "--profile=appliance", "--target", TARGET]
            .map(str::to_owned)
            .to_vec();
    for program in programs {
        args.push(format!("--package={}", program.package));
        args.push(format!("--bin={}", program.name));
        args.extend(program.features.iter().map(|f| format!("--features={}/{f}", program.package)));
    }
    args
}

/// Whether a 64-bit ELF program asks for a dynamic linker.
fn needs_interpreter(program: &[u8]) -> bool {
    const INTERPRETER: u32 = 3;
    let number = |at: usize, len: usize| -> Option<usize> {
        let bytes = program.get(at..at + len)?;
        Some(bytes.iter().rev().fold(0, |n, byte| n << 8 | usize::from(*byte)))
    };
    let (Some(table), Some(size), Some(count)) = (number(32, 8), number(54, 2), number(56, 2))
    else {
        return true;
    };
    (0..count).any(|i| number(table + i * size, 4) == Some(INTERPRETER as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_program_needs_an_interpreter_and_half_a_file_is_refused() {
        let mut program = fs::read("/proc/self/exe").unwrap();
        assert!(needs_interpreter(&program));
        assert!(needs_interpreter(&program[..20]));
        // The same program without a table of segments.
        program[56..58].fill(0);
        assert!(!needs_interpreter(&program));
    }

    #[test]
    fn every_program_is_named_with_its_package_and_features() {
        let program = Program {
            package: "xenops",
            features: &["libxl"],
            name: "xenops-worker",
            folder: "usr/libexec/xenith",
            link: Link::XenTools,
        };
        let args = arguments(&[&program]);
        assert!(
            args.ends_with(
                &["--package=xenops", "--bin=xenops-worker", "--features=xenops/libxl"]
                    .map(str::to_owned)
            )
        );
    }
}
