// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is changed in Xen's source before the tools are compiled: the files in `patches/`, in order. The
//! hypervisor is compiled as it is.

/// Each by name, as `patch` reads it.
pub(crate) const PATCHES: &[(&str, &str)] = &[
    (
        "0001-libs-store-hold-changes-of-transactions.patch",
        include_str!("../patches/0001-libs-store-hold-changes-of-transactions.patch"),
    ),
    (
        "0002-console-daemon-look-once-at-what-fired-together.patch",
        include_str!("../patches/0002-console-daemon-look-once-at-what-fired-together.patch"),
    ),
    (
        "0003-libxl-change-the-medium-to-a-block-device.patch",
        include_str!("../patches/0003-libxl-change-the-medium-to-a-block-device.patch"),
    ),
    (
        "0004-libs-guest-map-memory-in-batches-for-core-dumps.patch",
        include_str!("../patches/0004-libs-guest-map-memory-in-batches-for-core-dumps.patch"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_patch_in_the_folder_is_applied_and_says_why_and_under_which_terms() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/patches");
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, PATCHES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        for (name, text) in PATCHES {
            let (why, _) = text.split_once("\n--- a/").expect(name);
            assert!(why.lines().count() > 3, "{name}");
            assert!(why.contains("\nLicense: "), "{name}");
        }
    }
}
