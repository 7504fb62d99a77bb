// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting until a network link exists, told by the kernel.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

use crate::error::XenopsError;

/// Multicast group of link changes (`RTMGRP_LINK`).
const LINKS: u32 = 1;

/// Listens to link changes. What they say is not read: each is a reason to look again.
#[derive(Debug)]
pub(crate) struct Links {
    socket: OwnedFd,
}

impl Links {
    pub(crate) fn listen() -> Result<Links, XenopsError> {
        let open = || {
            let socket = rustix::net::socket_with(
                AddressFamily::NETLINK,
                SocketType::RAW,
                SocketFlags::CLOEXEC,
                None, // NETLINK_ROUTE
            )?;
            rustix::net::bind(&socket, &SocketAddrNetlink::new(0, LINKS))?;
            Ok(Links { socket })
        };
        open().map_err(|error: Errno| XenopsError::failed("listening to network links", error))
    }

    /// Waits until all `wanted` links are there.
    pub(crate) fn wait<'a>(
        &self,
        wanted: impl Iterator<Item = &'a String> + Clone,
        within: Duration,
    ) -> Result<(), XenopsError> {
        let deadline = Instant::now() + within;
        let mut buffer = vec![0u8; 16 << 10];
        loop {
            let missing: Vec<_> = wanted.clone().filter(|link| !exists(link)).collect();
            let Some(first) = missing.first() else { return Ok(()) };
            let doing = || format!("waiting for the link {first}");
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let detail = format!("it did not appear within {} s", within.as_secs_f32());
                return Err(XenopsError::failed(doing(), detail));
            }
            set_socket_timeout(&self.socket, Timeout::Recv, Some(left))
                .map_err(|error| XenopsError::failed(doing(), error))?;
            match rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::empty()) {
                // ENOBUFS: changes were missed, so look again.
                Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => {}
                Err(error) => return Err(XenopsError::failed(doing(), error)),
            }
        }
    }
}

fn exists(link: &str) -> bool {
    Path::new("/sys/class/net").join(link).symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_exist_and_links_that_do_not() {
        let links = Links::listen().unwrap();
        links.wait(["lo".to_owned()].iter(), Duration::from_secs(5)).unwrap();
        let missing = ["lo".to_owned(), "vif9999.0".to_owned()];
        let error = links.wait(missing.iter(), Duration::from_millis(50)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "waiting for the link vif9999.0: it did not appear within 0.05 s"
        );
    }
}
