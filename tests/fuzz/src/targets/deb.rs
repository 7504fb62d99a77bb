// SPDX-License-Identifier: MIT OR Apache-2.0
//! No bytes make the unpacker of packages panic or write outside the folder it was given.

use std::fs;

use isobuild::debian::unpack::unpack;

pub(crate) fn run(data: &[u8]) {
    let place = tempfile::tempdir().expect("a temporary folder");
    let (deb, inside) = (place.path().join("some.deb"), place.path().join("inside"));
    fs::write(&deb, data).expect("writing the package");
    fs::create_dir(&inside).expect("making the folder");
    let _ = unpack(&deb, &inside);
    let names = fs::read_dir(place.path()).expect("listing the temporary folder");
    assert_eq!(names.count(), 2, "something was written beside the folder");
}
