// SPDX-License-Identifier: MIT OR Apache-2.0
//! Roles of role-based access control.

/// Roles, weakest first: each may do everything that the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// `read-only`: looks at everything, changes nothing.
    ReadOnly,
    /// `vm-operator`: also starts and stops VMs.
    VmOperator,
    /// `vm-admin`: also makes, changes and destroys VMs.
    VmAdmin,
    /// `vm-power-admin`: also snapshots, memory limits, scans of storage.
    VmPowerAdmin,
    /// `pool-operator`: also hosts, storage and networks of the pool.
    PoolOperator,
    /// `pool-admin`: everything; root has it.
    PoolAdmin,
}

impl Role {
    /// Every role, weakest first.
    pub const ALL: [Role; 6] = [
        Role::ReadOnly,
        Role::VmOperator,
        Role::VmAdmin,
        Role::VmPowerAdmin,
        Role::PoolOperator,
        Role::PoolAdmin,
    ];

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Role::ReadOnly => "read-only",
            Role::VmOperator => "vm-operator",
            Role::VmAdmin => "vm-admin",
            Role::VmPowerAdmin => "vm-power-admin",
            Role::PoolOperator => "pool-operator",
            Role::PoolAdmin => "pool-admin",
        }
    }

    /// Whom it is for, as its object says.
    pub fn doc(self) -> &'static str {
        match self {
            Role::ReadOnly => "Looks and changes nothing",
            Role::VmOperator => "Starts and stops VMs",
            Role::VmAdmin => "Makes and destroys VMs",
            Role::VmPowerAdmin => "Also snapshots, memory limits and the host that a VM runs on",
            Role::PoolOperator => "Manages hosts, storage and networks of the pool, but no roles",
            Role::PoolAdmin => "May do everything, the roles of others included",
        }
    }

    /// Whether a holder of this role may call a message that needs `needed`.
    pub fn may(self, needed: Role) -> bool {
        self >= needed
    }
}
