// SPDX-License-Identifier: MIT OR Apache-2.0
//! Folders as the image has them, in small.

use super::*;

pub(crate) fn regional() -> Regional {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Regional {
        keymaps: owned(&["de", "de-latin1", "fr", "us"]),
        zones: owned(&[
            "America/Argentina/Ushuaia",
            "America/Lima",
            "Europe/Berlin",
            "Europe/Paris",
            "UTC",
        ]),
    }
}

#[test]
fn keymaps_and_zones_are_those_that_are_there() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(Regional::look(root.path()).unwrap(), Regional::default());
    for (name, content) in [
        ("keymaps/i386/qwerty/us.kmap.gz", "x"),
        ("keymaps/i386/qwertz/de.kmap.gz", "x"),
        ("keymaps/i386/qwertz/de-latin1.kmap.gz", "x"),
        ("keymaps/i386/azerty/fr.map.gz", "x"),
        ("keymaps/i386/include/ctrl.inc.gz", "x"),
        ("zoneinfo/Europe/Berlin", "TZif2"),
        ("zoneinfo/Europe/Paris", "TZif2"),
        ("zoneinfo/America/Argentina/Ushuaia", "TZif2"),
        ("zoneinfo/America/Lima", "TZif2"),
        ("zoneinfo/UTC", "TZif2"),
        ("zoneinfo/right/UTC", "TZif2"),
        ("zoneinfo/posixrules", "TZif2"),
        ("zoneinfo/zone.tab", "# text"),
        ("zoneinfo/leapseconds", ""),
    ] {
        let path = root.path().join("usr/share").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    assert_eq!(Regional::look(root.path()).unwrap(), regional());
}

#[test]
fn regions_and_cities_make_the_zones() {
    let regional = regional();
    assert_eq!(regional.regions(), ["America", "Europe", "UTC"]);
    assert_eq!(regional.cities("America"), ["Argentina/Ushuaia", "Lima"]);
    assert_eq!(regional.cities("UTC"), [""; 0]);
    assert_eq!(regional.cities("Eur"), [""; 0]);
}

#[test]
fn what_is_not_there_is_refused_with_the_nearest_name() {
    let answers = |keymap: &str, zone: &str| RegionalAnswer {
        keymap: Some(keymap.parse().unwrap()),
        zone: Some(zone.parse().unwrap()),
    };
    assert_eq!(regional().check(&RegionalAnswer::default()), Ok(()));
    assert_eq!(regional().check(&answers("de", "Europe/Berlin")), Ok(()));
    let error = regional().check(&answers("de-latin", "Europa/Berlin")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "keymap: this image has no keymap \"de-latin\"\n  hint: did you mean \"de-latin1\"?\n\
         time.zone: this image has no time zone \"Europa/Berlin\"\n  hint: did you mean \
         \"Europe/Berlin\"?"
    );
    let error = regional().check(&answers("us", "Mars/Olympus_Mons")).unwrap_err();
    assert!(error.to_string().ends_with("hint: the installer's screens list all 5"), "{error}");
}
