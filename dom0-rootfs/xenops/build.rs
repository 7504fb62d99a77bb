// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compiles the C shim against libxl's headers and links libxl; only with the feature `libxl`.
//!
//! `XEN_SYSROOT` is the folder that holds `usr/include` and `usr/lib` of the Xen tools; without
//! it they are looked for where the compiler looks by itself.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "libxl")]
    link_libxl();
}

#[cfg(feature = "libxl")]
fn link_libxl() {
    println!("cargo:rerun-if-env-changed=XEN_SYSROOT");
    println!("cargo:rerun-if-changed=src/libxl/shim.c");
    println!("cargo:rerun-if-changed=src/libxl/shim.h");
    let mut shim = cc::Build::new();
    shim.file("src/libxl/shim.c").extra_warnings(true).warnings_into_errors(true).std("gnu11");
    shim.define("_GNU_SOURCE", None);
    if let Ok(sysroot) = std::env::var("XEN_SYSROOT") {
        // As system headers: warnings are errors here, but only in our own lines.
        shim.flag("-isystem").flag(format!("{sysroot}/usr/include"));
        for folder in ["usr/lib", "usr/lib/x86_64-linux-gnu"] {
            println!("cargo:rustc-link-search=native={sysroot}/{folder}");
            // libxenlight names libraries that we do not; the linker has to see them.
            println!("cargo:rustc-link-arg-bins=-Wl,-rpath-link,{sysroot}/{folder}");
        }
    }
    shim.compile("xenith_shim");
    println!("cargo:rustc-link-lib=dylib=xenlight");
    println!("cargo:rustc-link-lib=dylib=xenctrl");
    println!("cargo:rustc-link-lib=dylib=xentoollog");
}
