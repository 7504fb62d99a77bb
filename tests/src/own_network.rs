// SPDX-License-Identifier: MIT OR Apache-2.0
//! A network that is one machine's own, with nothing else in it but its servers: dnsmasq (DHCP, DNS, TFTP,
//! router advertisements), files by HTTP and HTTPS, and a way in for clients. It is made in the network
//! namespace of the machine's sandbox and goes with it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result};
use certificate_pin::Fingerprint;
use isobuild::emulator::{FOLDER, TAP, Uplink};
use rcgen::CertifiedKey;

use crate::https;
use crate::lab::Lab;

/// The servers' address, by IPv4 and by IPv6; both networks are for documentation (RFC 5737, RFC 3849).
pub const SERVER: &str = "192.0.2.1";
/// See [`SERVER`].
pub const SERVER_6: &str = "2001:db8::1";
/// What is served, in the case's folder; TFTP has it as `/srv/xenith`.
pub const SERVED: &str = "served";
/// What dnsmasq reads.
const CONFIGURATION: &str = "dnsmasq.conf";
/// What makes the network.
const SCRIPT: &str = "network.sh";
/// Where a client's connection begins; `target` says where it leads.
const WAY_IN: &str = "way-in.sock";

/// Which addresses the network has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

/// Writes what makes the network into the case's folder: dnsmasq is told `configuration` beside what every
/// network needs. Returns the way there for a machine's setup.
pub fn make(folder: &Path, family: Family, configuration: &str) -> Result<Uplink> {
    let address = match family {
        Family::V4 => format!("{SERVER}/24"),
        Family::V6 => format!("{SERVER_6}/64 nodad"),
    };
    // In the foreground it does not ask for a user that the sandbox does not have.
    let script = format!(
        "#!/bin/sh -e\n\
         ip link set lo up\n\
         ip tuntap add dev {TAP} mode tap\n\
         ip address add {address} dev {TAP}\n\
         ip link set {TAP} up\n\
         mkdir -p /run/dnsmasq\n\
         dnsmasq --no-daemon --log-dhcp --log-queries --conf-file={FOLDER}/{CONFIGURATION} \
         --dhcp-leasefile=/run/dnsmasq/leases --pid-file=/run/dnsmasq/pid >{FOLDER}/dnsmasq.log 2>&1 &\n\
         busybox httpd -f -vv -p 80 -h {FOLDER}/{SERVED} >{FOLDER}/http.log 2>&1 &\n\
         if [ -e {FOLDER}/server.crt ]; then\n\
         \x20 (cd {FOLDER}/{SERVED} && exec openssl s_server -accept 443 -WWW -cert {FOLDER}/server.crt \
         -key {FOLDER}/server.key </dev/null >{FOLDER}/https.log 2>&1) &\n\
         fi\n\
         socat UNIX-LISTEN:{FOLDER}/{WAY_IN},fork SYSTEM:'exec socat - \"$(cat {FOLDER}/target)\"' \
         >{FOLDER}/way-in.log 2>&1 &\n\
         exec \"$@\"\n"
    );
    let path = folder.join(SCRIPT);
    fs::write(&path, script).with_context(|| format!("writing {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("making {} a program", path.display()))?;
    let path = folder.join(CONFIGURATION);
    fs::write(&path, configuration).with_context(|| format!("writing {}", path.display()))?;
    let served = folder.join(SERVED);
    fs::create_dir_all(&served).with_context(|| format!("making {}", served.display()))?;
    Ok(Uplink::Own(format!("{FOLDER}/{SCRIPT}")))
}

/// Lets the network's server have HTTPS too, with [`https::certificate`]; to be called before the machine
/// starts.
pub fn certify(folder: &Path) -> Result<Fingerprint> {
    let CertifiedKey { cert, signing_key } = https::certificate()?;
    fs::write(folder.join("server.crt"), cert.pem()).context("writing a certificate")?;
    fs::write(folder.join("server.key"), signing_key.serialize_pem()).context("writing a key")?;
    Ok(Fingerprint::of(cert.der()))
}

/// What the machine at `address` answers to a call of its API by JSON-RPC.
pub fn call(lab: &Lab, folder: &Path, address: &str, request: &str) -> Result<String> {
    fs::write(folder.join("target"), format!("TCP6:[{address}]:443"))
        .context("naming the machine to the way in")?;
    let socket = format!("{FOLDER}/{WAY_IN}");
    let said = lab
        .sandbox()
        .bind_rw(folder, FOLDER)
        .log(folder.join("client.log"))
        .output(
            "curl",
            [
                "--silent",
                "--show-error",
                "--fail",
                "--insecure",
                "--max-time",
                "120",
                "--unix-socket",
                &socket,
                "--json",
                request,
                &format!("https://[{address}]/jsonrpc"),
            ],
        )
        .with_context(|| format!("calling the API at {address}"))?;
    String::from_utf8(said).context("reading what the API answers")
}
