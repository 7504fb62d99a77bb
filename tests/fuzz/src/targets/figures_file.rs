// SPDX-License-Identifier: MIT OR Apache-2.0
//! No bytes with a right checksum make the reader of files panic; what it accepts goes on, and is the
//! same after it was written and read again.

use rrd::{Rrd, SHAPES, checksum};

pub(crate) fn run(data: &[u8]) {
    let mut bytes = data.to_vec();
    bytes.extend_from_slice(&checksum(data).to_le_bytes());
    if let Ok(mut rrd) = Rrd::decode(&SHAPES, &bytes) {
        let again = Rrd::decode(&SHAPES, &rrd.encode()).map(|rrd| rrd.encode());
        assert_eq!(again, Ok(rrd.encode()));
        let now = rrd.updated();
        assert_eq!(rrd.update(now + 5.0, 5.0, |_| Some(1.0)), Ok(()));
        rrd.rewind(now - 100.0);
    }
}
