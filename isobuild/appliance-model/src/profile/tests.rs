// SPDX-License-Identifier: MIT OR Apache-2.0

use super::schema::TABLES;
use super::*;

/// Profiles by file name, loaded as `main.toml`.
fn load(files: &[(&str, &str)]) -> Result<Profile, ProfileError> {
    load_as("main.toml", files)
}

/// The same, loaded as `main`; the known ones are in `known/`.
fn load_as(main: &str, files: &[(&str, &str)]) -> Result<Profile, ProfileError> {
    let read = |path: &Path| {
        let found = files.iter().find(|(name, _)| Path::new(name) == path);
        found.map(|(_, text)| (*text).to_owned()).ok_or(io::ErrorKind::NotFound.into())
    };
    Profile::load(Path::new(main), Path::new("known"), &read)
}

fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or(error.to_string(), |cause| format!("{error}: {}", chain(cause)))
}

#[test]
fn the_schema_has_exactly_the_keys_of_the_types() {
    let table = toml::Table::try_from(RawProfile::default()).unwrap();
    for (name, keys) in TABLES {
        let mut types: Vec<&str> = table[*name].as_table().unwrap().keys().map(|k| &**k).collect();
        let mut schema = keys.to_vec();
        types.sort_unstable();
        schema.sort_unstable();
        assert_eq!(types, schema, "{name}");
    }
}

#[test]
fn lists_add_and_take_out_and_values_replace() {
    let base = "[dom0]\npackages = ['aa', 'bb']\n[image]\nlevel = 3";
    let main = "inherit = 'base.toml'\n[dom0]\npackages = ['-aa', 'cc', 'bb']\n[image]\nlevel = 9";
    let profile = load(&[("base.toml", base), ("main.toml", main)]).unwrap();
    assert_eq!(profile.dom0.packages, ["bb", "cc"]);
    assert_eq!(profile.image.level, 9);
    assert_eq!(profile.files, [Path::new("main.toml"), Path::new("base.toml")]);
    assert_eq!(profile.set_name(), "dom0-main");
}

#[test]
fn a_bare_name_is_looked_for_beside_the_file_and_then_among_the_known_ones() {
    let base = ("known/base.toml", "description = 'known'");
    let main = ("my/main.toml", "inherit = 'base.toml'");
    let profile = load_as("my/main.toml", &[base, main]).unwrap();
    assert_eq!((&*profile.description, profile.own), ("known", true));
    assert_eq!(profile.files[1], Path::new("known/base.toml"));
    let beside = ("my/base.toml", "description = 'beside'");
    let profile = load_as("my/main.toml", &[base, main, beside]).unwrap();
    assert_eq!(profile.description, "beside");
    assert!(!load_as("known/base.toml", &[base]).unwrap().own);
    // Only a bare name, and what is nowhere is named where it was first looked for.
    let path = ("my/main.toml", "inherit = './base.toml'");
    let error = chain(&load_as("my/main.toml", &[base, path]).unwrap_err());
    assert!(error.contains("my/./base.toml, which my/main.toml inherits"), "{error}");
    let error = chain(&load_as("my/main.toml", &[main]).unwrap_err());
    assert!(error.contains("my/base.toml, which my/main.toml inherits"), "{error}");
}

#[test]
fn a_profile_that_the_lock_lacks_says_how_to_lock_it() {
    let lock = "version = 1\nrevision = 0\ntimestamp = '20261123T101500Z'\n[[set]]\n\
                name = 'dom0-base'\npackages = []\nrequest = {}";
    let lock = Lock::parse(lock).unwrap();
    let files = [("known/base.toml", ""), ("my/main.toml", "dom0.packages = ['vim']")];
    assert_eq!(load_as("known/base.toml", &files).unwrap().set_in(&lock).unwrap(), "dom0-base");
    let error = load_as("my/main.toml", &files).unwrap().set_in(&lock).unwrap_err().to_string();
    assert!(error.ends_with("run: cargo xtask lock --profile my/main.toml"), "{error}");
    let files = [("known/base.toml", "dom0.packages = ['vim']")];
    let error = load_as("known/base.toml", &files).unwrap().set_in(&lock).unwrap_err().to_string();
    assert!(error.ends_with("(new: vim); run: cargo xtask lock"), "{error}");
}

#[test]
fn bad_profiles_say_what_is_wrong() {
    let cases = [
        ("[dom0]\npakages = ['aa']", "unknown key dom0.pakages; did you mean dom0.packages?"),
        ("[dom1]\npackages = ['aa']", "unknown key dom1; did you mean dom0?"),
        ("inherits = 'base.toml'", "did you mean inherit?"),
        ("[xen]\ntrim = ['a']", "did you mean dom0.trim?"),
        ("[xen]\nzzzzzz = 1", "unknown key xen.zzzzzz"),
        ("dom0 = 3", "reading the profile"),
        ("[dom0]\npackages = 'aa'", "reading the profile"),
        ("[dom0]\npackages = ['A b']", "not a Debian package name"),
        ("[dom0]\npackages = ['-aa']", "takes \"aa\" out of dom0.packages"),
        ("[dom0]\ntrim = ['../etc']", "not a path below"),
        ("[image]\ncompression = 'zst'", "must be zstd"),
        ("[image]\nblock-kib = 3", "power of two"),
        ("[image]\nformat = 'ext4'", "unknown variant"),
        ("[xen]\noptions = ['a b']", "\"a b\" is not one word of a boot command line"),
        ("[dom0]\noptions = ['\\']", "is not one word of a boot command line"),
        ("[output]\nvolume = 'a b'", "A-Z"),
        ("[output]\ndefault-entry = 'boot'", "must be install"),
        ("inherit = 'none.toml'", "none.toml, which main.toml inherits"),
        ("inherit = 'main.toml'", "inherits from itself"),
        ("inherit = 3", "must be a file name"),
        ("[dom0", "reading the profile main.toml"),
    ];
    for (text, expected) in cases {
        let error = chain(&load(&[("main.toml", text)]).unwrap_err());
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn no_text_makes_it_panic() {
    let words = ["[dom0]", "inherit", "=", "'a'", "[", "]", "\n", "packages", "-", "1", "{", "}"];
    let mut state = 7_u64;
    for _ in 0..2000 {
        let mut text = String::new();
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
            text.push_str(words[(state >> 33) as usize % words.len()]);
        }
        let _ = load(&[("main.toml", &text)]);
    }
}
