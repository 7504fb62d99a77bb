// SPDX-License-Identifier: MIT OR Apache-2.0
//! What objects say of Dom0's services.

use anyhow::Result;
use xapi_model::{DateTime, Ref, Value};

use super::{Dom0, NtpMode};
use crate::store::Transaction;

/// EFI variable that says whether the firmware checks what it starts (UEFI specification, section 3.3).
const SECURE_BOOT: &str =
    "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// How the services are set up, by their files and by systemd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services {
    zone: String,
    ntp_mode: NtpMode,
    ntp_servers: Vec<String>,
    ssh: bool,
    ssh_auto: bool,
    console_timeout: i64,
    iscsi_name: String,
    secure_boot: bool,
}

impl Dom0 {
    /// Looks at all services.
    pub fn services(&self) -> Result<Services> {
        let (ntp_mode, ntp_servers) = self.ntp()?;
        Ok(Services {
            zone: self.zone(),
            ntp_mode,
            ntp_servers,
            ssh: self.ssh()?,
            ssh_auto: self.ssh_auto(),
            console_timeout: self.console_timeout(),
            iscsi_name: self.iscsi_name(),
            secure_boot: self.secure_boot(),
        })
    }

    /// The last byte of the variable is its value; the four before are its attributes.
    fn secure_boot(&self) -> bool {
        let bytes = std::fs::read(self.path(SECURE_BOOT)).unwrap_or_default();
        bytes.len() == 5 && bytes[4] == 1
    }
}

/// Puts them into the host's object.
pub fn record(t: &mut Transaction<'_>, host: &Ref, services: &Services) {
    t.set(host, "timezone", services.zone.as_str());
    t.set(host, "ntp_mode", Value::Enum(services.ntp_mode.name()));
    // Those that are not in use now are remembered.
    if services.ntp_mode == NtpMode::Custom {
        t.set(host, "ntp_custom_servers", Value::strings(services.ntp_servers.iter().cloned()));
    }
    t.set(host, "ssh_enabled", services.ssh);
    if !services.ssh {
        t.set(host, "ssh_expiry", DateTime::EPOCH);
    }
    t.set(host, "ssh_auto_mode", services.ssh_auto);
    t.set(host, "console_idle_timeout", services.console_timeout);
    t.set(host, "iscsi_iqn", services.iscsi_name.as_str());
    t.set(host, "secure_boot", services.secure_boot);
}
