// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cargo in the sandbox.

use std::fs;
use std::path::{Path, PathBuf};

use isobuild::digest::Hasher;
use isobuild::recipe::{BoxError, Build};
use isobuild::store::Store;

use super::Program;
use super::host::{self, Crates};

/// What everything is compiled for.
pub(super) const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Raised when folders kept by an older generation of this code must not be used.
const KEPT: &str = "1";

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

/// The folder that is kept between builds.
#[derive(Debug)]
pub(super) struct Kept {
    /// Its name, which is also what to claim.
    pub(super) name: String,
    /// The folder.
    pub(super) path: PathBuf,
}

/// The folder for this compiler and these tools. Cargo does not notice when a C compiler, a header
/// or a library changes, so each combination has its own.
pub(super) fn kept(store: &Store, version: &str, build: &Build<'_>) -> Result<Kept, BoxError> {
    let mut hasher = Hasher::default();
    hasher.field(KEPT.as_bytes());
    hasher.field(version.as_bytes());
    for dependency in ["tools", "xen-tools"] {
        // Ends in the key.
        let artifact = build.dep(dependency)?.file_name().unwrap_or_default();
        hasher.field(artifact.as_encoded_bytes());
    }
    let name = format!("programs-{}", &hasher.finish().to_string()[..16]);
    let path = store.kept(&name)?;
    Ok(Kept { name, path })
}

/// One call of cargo.
pub(super) struct Compilation<'a> {
    /// What `rustc -vV` says.
    pub(super) version: &'a str,
    /// The toolchain's folder on the host.
    pub(super) toolchain: &'a Path,
    /// Fetched crates.
    pub(super) crates: &'a Crates,
    /// Holds `sources`, and cargo's target folders.
    pub(super) kept: &'a Path,
    /// How all programs of this call are linked.
    pub(super) link: Link,
}

impl Compilation<'_> {
    /// Compiles `programs` and returns the folder that they are in.
    pub(super) fn run(
        &self,
        build: &Build<'_>,
        programs: &[&Program],
    ) -> Result<PathBuf, BoxError> {
        let target = self.kept.join(self.link.folder());
        fs::create_dir_all(&target)?;
        // Cargo's own files beside the registry, which is read-only.
        let home = build.scratch().join("cargo-home");
        fs::create_dir_all(&home)?;
        fs::write(home.join("config.toml"), &self.crates.config)?;

        let mut sandbox = build
            .sandbox()
            .bind_ro(self.toolchain, "/toolchain")
            .bind_ro(self.kept.join("sources"), "/xenith")
            .bind_rw(&target, "/target")
            .bind_rw(home, "/cargo")
            .bind_ro(&self.crates.registry, "/cargo/registry")
            .cwd("/xenith")
            .env("PATH", "/toolchain/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("CARGO_HOME", "/cargo")
            .env("CARGO_TARGET_DIR", "/target")
            .env("CARGO_TERM_COLOR", "never")
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_ENCODED_RUSTFLAGS", self.rust_flags()?.join("\x1f"))
            .env("CFLAGS", self.c_flags());
        if self.link == Link::XenTools {
            let sysroot = build.dep("xen-tools")?.join("sysroot");
            sandbox = sandbox.bind_ro(sysroot, "/sysroot").env("XEN_SYSROOT", "/sysroot");
        }
        sandbox.run("cargo", arguments(programs))?;

        let folder = target.join(TARGET).join("appliance");
        if self.link == Link::Static {
            for program in programs {
                let path = folder.join(program.name);
                if needs_interpreter(&fs::read(&path)?) {
                    return Err(format!("{} is not linked statically", program.name).into());
                }
            }
        }
        Ok(folder)
    }

    /// Folders whose place must not show in a program, with what shows instead.
    fn places(&self) -> Vec<(String, String)> {
        let registries = self.crates.unpacked.iter();
        registries
            .map(|name| (format!("/cargo/registry/src/{name}"), "crates".to_owned()))
            .chain([
                ("/xenith".to_owned(), "xenith".to_owned()),
                ("/target".to_owned(), "target".to_owned()),
            ])
            .collect()
    }

    fn rust_flags(&self) -> Result<Vec<String>, BoxError> {
        let mut flags: Vec<String> =
            self.places().iter().map(|(a, b)| format!("--remap-path-prefix={a}={b}")).collect();
        // Where the standard library's source is installed the compiler names it in messages.
        let commit = host::commit(self.version)?;
        flags.push(format!("--remap-path-prefix=/toolchain/lib/rustlib/src/rust=/rustc/{commit}"));
        flags.push("-Clink-arg=-Wl,--build-id=none".to_owned());
        match self.link {
            Link::Static => flags.push("-Ctarget-feature=+crt-static".to_owned()),
            Link::XenTools => {
                flags.push(format!("-Lnative={LIB}"));
                flags.push(format!("-Clink-arg=-Wl,-rpath-link={LIB}"));
            }
        }
        Ok(flags)
    }

    fn c_flags(&self) -> String {
        let mut flags: Vec<String> =
            self.places().iter().map(|(a, b)| format!("-ffile-prefix-map={a}={b}")).collect();
        flags.extend(["-O2", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2"].map(str::to_owned));
        if self.link == Link::XenTools {
            // As the system's own: warnings about Xen's headers are not ours to heed.
            flags.push("-isystem/sysroot/usr/include".to_owned());
        }
        flags.join(" ")
    }
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
