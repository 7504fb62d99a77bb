// SPDX-License-Identifier: MIT OR Apache-2.0
//! The recipe `xen-tools`: Xen's libraries and programs for Dom0, from the hypervisor's source.
//!
//! Artifact:
//! - `sysroot/`: everything, with headers, `.so` links and `.pc` files, to link our programs with;
//! - `dom0/`: what of it goes into the root image.
//!
//! Places: libraries in `/usr/lib/x86_64-linux-gnu` (sonames as Debian's), `xl`, `xenstored`,
//! `xenconsoled` in `/usr/sbin`, `xenstore-*` in `/usr/bin`, `libxl-save-helper`, `xen-init-dom0`
//! and `xenconsole` in `/usr/libexec/xen/bin`, `hvmloader` in `/usr/libexec/xen/boot`, scripts in
//! `/etc/xen/scripts`. No units, no sysv scripts: the root image has its own.

use std::fs;

use isobuild::inputs::Inputs;
use isobuild::recipe::{BoxError, Build, Recipe};

use crate::compile::{SOURCE, SourceTree, jobs};
use crate::install;
use crate::patches::PATCHES;
use crate::source;

/// See the files.
const HELD_CHANGES: &str = include_str!("../checks/held_changes.py");
const NOOP: &str = include_str!("../noop/xenith-noop.c");

/// Folders below `tools/`, in the order that they need each other.
const FOLDERS: &[&str] =
    &["libs", "xs-clients", "xenstored", "console", "xl", "helpers", "firmware"];

/// Programs of `tools/misc` that a host's administrator has a use for.
const MISC: &[&str] = &["xenhypfs", "xenpm", "xen-cpuid", "xen-diag", "xen-hptool"];

/// What `configure` is told. The device model and the firmware are Debian's, by full path.
const CONFIGURE: &[&str] = &[
    "--prefix=/usr",
    "--libdir=/usr/lib/x86_64-linux-gnu",
    "--libexecdir=/usr/libexec",
    "--sysconfdir=/etc",
    "--localstatedir=/var",
    "--with-rundir=/run",
    "--with-system-qemu=/usr/libexec/xen-qemu-system-i386",
    "--with-system-seabios=/usr/share/seabios/bios-256k.bin",
    "--with-system-ovmf=/usr/share/ovmf/OVMF.fd",
    "--with-xenstored=xenstored",
    // xenstored tells systemd when it is ready.
    "--enable-systemd",
    "--disable-xen",
    "--disable-stubdom",
    "--disable-docs",
    "--disable-golang",
    "--disable-libfsimage",
    "--disable-monitors",
    "--disable-ocamltools",
    "--disable-pvshim",
    "--disable-pygrub",
    "--disable-rombios",
    "--disable-xsmpolicy",
];

/// Answers for `configure` that make it independent of what else the tools tree holds: Python's
/// headers and curses are only needed for parts that are not built, LZO would be one more library
/// in Dom0 for kernels that nobody packs that way any more.
const CONFIGURE_ANSWERS: &[(&str, &str)] = &[
    ("ac_cv_header_Python_h", "yes"),
    ("ac_cv_func_PyArg_ParseTuple", "yes"),
    ("ac_cv_header_curses_h", "yes"),
    ("ac_cv_lib_curses_clear", "yes"),
    ("ac_cv_header_ncurses_h", "no"),
    ("ac_cv_header_lzo_lzo1x_h", "no"),
];

/// Compiler flags on top of Xen's own; the firmware's makefiles ignore them on purpose.
const CFLAGS: &str = "-g0 -ffile-prefix-map=/build/xen=xen -fstack-protector-strong \
    -fstack-clash-protection -fcf-protection -D_FORTIFY_SOURCE=2";
const LDFLAGS: &str = "-Wl,-z,relro -Wl,-z,now -Wl,--as-needed -Wl,--build-id=none";

/// How `xenith-noop` is compiled: without anything that a C program starts with.
const NOOP_FLAGS: &[&str] = &[
    "-Os",
    "-static",
    "-nostdlib",
    "-ffreestanding",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-fcf-protection=none",
    "-Wl,--build-id=none",
    "-Wl,-z,noseparate-code",
    "-s",
    "noop.c",
    "-o",
    "/out/sysroot/etc/xen/scripts/xenith-noop",
];

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub struct XenTools;

impl Recipe for XenTools {
    fn name(&self) -> String {
        "xen-tools".to_owned()
    }

    fn needs(&self) -> Vec<String> {
        vec!["tools".to_owned()]
    }

    fn declare(&self, inputs: &mut Inputs) -> Result<(), BoxError> {
        inputs.revision(2);
        inputs.locked(&source::tarball()?);
        inputs.values("patches", PATCHES.iter().map(|(_, text)| text));
        inputs.value("check", HELD_CHANGES);
        inputs.value("noop", NOOP);
        inputs.values("configure", CONFIGURE);
        inputs.values("answers", CONFIGURE_ANSWERS.iter().map(|(k, v)| format!("{k}={v}")));
        inputs.values("parts", FOLDERS.iter().chain(MISC));
        inputs.values("installed", install::lists());
        inputs.value("cflags", CFLAGS);
        inputs.value("ldflags", LDFLAGS);
        inputs.values("noop flags", NOOP_FLAGS);
        Ok(())
    }

    fn build(&self, build: &Build<'_>) -> Result<(), BoxError> {
        let mut tree = SourceTree::unpack(build)?
            .patch(PATCHES)?
            .env("EXTRA_CFLAGS_XEN_TOOLS", CFLAGS)
            .env("APPEND_LDFLAGS", LDFLAGS)
            // Exported by tools/Makefile, which is not used here.
            .env("PKG_CONFIG_DIR", format!("{SOURCE}/tools/pkg-config"));
        for (name, answer) in CONFIGURE_ANSWERS {
            tree = tree.env(name, *answer);
        }
        let sysroot = build.out().join("sysroot");

        build.status("configuring");
        tree.run("./configure", CONFIGURE)?;

        build.status("compiling");
        let make = |folder: &str, args: &[&str]| {
            let folder = format!("tools/{folder}");
            let mut all =
                vec!["-C", &folder, "XEN_TARGET_ARCH=x86_64", "debug=n", "CONFIG_LIBNL=n"];
            all.extend(args);
            tree.run("make", &all)
        };
        let jobs = jobs();
        make("include", &[&jobs, "build"])?;
        for folder in FOLDERS {
            make(folder, &[&jobs, "all"])?;
        }
        let misc: Vec<&str> = [jobs.as_str()].into_iter().chain(MISC.iter().copied()).collect();
        make("misc", &misc)?;

        build.status("installing");
        install::prepare(&sysroot)?;
        for folder in ["include"].iter().chain(FOLDERS) {
            make(folder, &["DESTDIR=/out/sysroot", "install"])?;
        }
        for program in MISC {
            let from = tree.host.join("tools/misc").join(program);
            fs::copy(from, sysroot.join("usr/sbin").join(program))?;
        }
        install::scripts(&tree.host, &sysroot)?;
        install::terms(&tree.host, &sysroot)?;
        fs::write(tree.host.join("noop.c"), NOOP)?;
        tree.run("gcc", NOOP_FLAGS)?;
        install::prune(&sysroot)?;

        build.status("checking");
        fs::write(tree.host.join("check.py"), HELD_CHANGES)?;
        tree.run("python3", &["check.py", "/out/sysroot/usr/lib/x86_64-linux-gnu"])?;

        build.status("stripping");
        let mut strip = vec!["--strip-unneeded".to_owned()];
        strip.extend(install::elf_files(&sysroot, "/out/sysroot")?);
        tree.run("strip", &strip.iter().map(String::as_str).collect::<Vec<_>>())?;
        install::runtime(&sysroot, &build.out().join("dom0"))
    }
}
