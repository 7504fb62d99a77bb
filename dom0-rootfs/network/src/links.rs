// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's network links, changed without a program (rtnetlink(7)).

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// How long the kernel may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Gives the link with this index (`/sys/class/net/…/ifindex`) an MTU in bytes, if one is said, and sets it
/// up. In the network namespace of the calling thread.
///
/// # Errors
/// The kernel's.
pub fn raise(index: u32, mtu: Option<u32>) -> std::io::Result<()> {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    link.attributes.extend(mtu.map(LinkAttribute::Mtu));
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK;
    let payload = NetlinkPayload::from(RouteNetlinkMessage::SetLink(link));
    let mut message = NetlinkMessage::new(header, payload);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);

    let socket = open()?;
    rustix::net::send(&socket, &bytes, SendFlags::empty())?;
    let mut buffer = vec![0; 16 << 10];
    let (length, _) = rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty())?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&buffer[..length]);
    match answer.map_err(std::io::Error::other)?.payload {
        NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
        NetlinkPayload::Error(_) => Ok(()),
        other => Err(std::io::Error::other(format!("the kernel answers {other:?}"))),
    }
}

/// Multicast group of link changes (`RTMGRP_LINK`).
const CHANGES: u32 = 1;

/// Waits, for as long as `within`, until a link belongs to another one, as a port of a switch does; whether it does.
/// In the network namespace of the calling thread, whose `/sys` has to be of it too.
///
/// # Errors
/// The kernel's.
pub fn joined(link: &str, within: Duration) -> std::io::Result<bool> {
    let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, CHANGES))?;
    let master = format!("/sys/class/net/{link}/master");
    let deadline = Instant::now() + within;
    let mut buffer = vec![0; 16 << 10];
    // What changes say is not read: each is a reason to look again.
    while std::fs::symlink_metadata(&master).is_err() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        set_socket_timeout(&socket, Timeout::Recv, Some(left))?;
        match rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty()) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

fn open() -> std::io::Result<OwnedFd> {
    let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
    // NETLINK_ROUTE is the protocol without a number.
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_are_nobodys_are_waited_for() {
        assert!(!joined("lo", Duration::from_millis(50)).unwrap());
        assert!(!joined("vif9999.0", Duration::ZERO).unwrap());
    }

    #[test]
    fn the_kernels_answer_is_told() {
        let error = raise(i32::MAX as u32, None).unwrap_err();
        // Who may not change links is told that first.
        let expected = [std::io::ErrorKind::NotFound, std::io::ErrorKind::PermissionDenied];
        let no_device = error.raw_os_error() == Some(19);
        assert!(no_device || expected.contains(&error.kind()), "{error:?}");
    }
}
