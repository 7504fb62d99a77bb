// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may be put into a command line or a file.

use std::net::Ipv4Addr;

use crate::backend::IpMode;
use crate::error::NetworkError;

/// Refuses what Linux would not take as an interface name, and what a file name must not be.
pub(crate) fn check_interface(name: &str) -> Result<(), NetworkError> {
    let good = (1..=15).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if good {
        Ok(())
    } else {
        Err(NetworkError::Invalid { what: "interface name", value: name.to_owned() })
    }
}

/// Refuses addresses that are none.
pub(crate) fn check_mode(mode: &IpMode) -> Result<(), NetworkError> {
    let IpMode::Static { address, gateway, dns } = mode else {
        return Ok(());
    };
    let split = address.split_once('/');
    let good = split.is_some_and(|(address, prefix)| {
        address.parse::<Ipv4Addr>().is_ok()
            && prefix.bytes().all(|b| b.is_ascii_digit())
            && prefix.parse::<u8>().is_ok_and(|bits| (1..=32).contains(&bits))
    });
    if !good {
        let what = "IPv4 address with prefix length";
        return Err(NetworkError::Invalid { what, value: address.clone() });
    }
    for address in gateway.iter().chain(dns) {
        if address.parse::<Ipv4Addr>().is_err() {
            return Err(NetworkError::Invalid { what: "IPv4 address", value: address.clone() });
        }
    }
    Ok(())
}

/// A value as `ovs-vsctl` reads it in a column: always in quotes.
pub(crate) fn quoted(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names() {
        for good in ["eth0", "xenbr0", "vif12.0", "enp3s0f1", "bond-1"] {
            check_interface(good).unwrap();
        }
        for bad in ["", "..", "-eth0", "a/b", "averyverylongname", "eth 0", "eth0\n[Network]"] {
            assert!(check_interface(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses() {
        let with = |address: &str, gateway: Option<&str>| IpMode::Static {
            address: address.to_owned(),
            gateway: gateway.map(str::to_owned),
            dns: vec![],
        };
        check_mode(&with("192.0.2.10/24", Some("192.0.2.1"))).unwrap();
        for bad in ["192.0.2.10", "192.0.2.10/33", "192.0.2.10/0", "192.0.2/24", "192.0.2.10/+4"] {
            assert!(check_mode(&with(bad, None)).is_err(), "{bad}");
        }
        let error = check_mode(&with("192.0.2.10/24", Some("gw\nDNS=x"))).unwrap_err();
        assert_eq!(error.to_string(), r#""gw\nDNS=x" is no IPv4 address"#);
    }

    #[test]
    fn values_cannot_leave_their_quotes() {
        assert_eq!(quoted(r#"a",b=c\"#), r#""a\",b=c\\""#);
    }
}
