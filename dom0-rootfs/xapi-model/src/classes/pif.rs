// SPDX-License-Identifier: MIT OR Apache-2.0
//! `PIF` and `PIF_metrics`.

use super::prelude::*;

static IP_MODE: EnumType =
    EnumType { name: "ip_configuration_mode", values: &["None", "DHCP", "Static"] };

static IPV6_MODE: EnumType =
    EnumType { name: "ipv6_configuration_mode", values: &["None", "DHCP", "Static", "Autoconf"] };

static PRIMARY: EnumType = EnumType { name: "primary_address_type", values: &["IPv4", "IPv6"] };

static IGMP: EnumType =
    EnumType { name: "pif_igmp_status", values: &["unknown", "enabled", "disabled"] };

const SELF: crate::message::Param = param("self", Ref("PIF"), "the interface");

/// A host's network interface.
pub static PIF: Class = class(
    "PIF",
    "A network interface of a host.",
    &[
        UUID,
        ro("device", STRING, "Name of the interface: eth0."),
        ro("network", Ref("network"), "The network it connects to."),
        ro("host", Ref("host"), "Its host."),
        ro("MAC", STRING, "MAC address."),
        ro("MTU", Int, "MTU in bytes."),
        ro("VLAN", Int, "VLAN tag; -1 for none.").or(Literal::Int(-1)),
        ro("metrics", Ref("PIF_metrics"), "Figures of the interface."),
        ro("physical", Bool, "It is a network card."),
        ro("currently_attached", Bool, "Its bridge is up."),
        ro("ip_configuration_mode", Enum(&IP_MODE), "How it gets its IPv4 address."),
        ro("IP", STRING, "IPv4 address."),
        ro("netmask", STRING, "IPv4 netmask."),
        ro("gateway", STRING, "IPv4 gateway."),
        ro("DNS", STRING, "Name servers, separated by commas."),
        ro("bond_slave_of", Ref("Bond"), "The bond it belongs to."),
        mirror("bond_master_of", Set(&Ref("Bond")), "master", "The bond that it is."),
        ro("VLAN_master_of", Ref("VLAN"), "The VLAN that it is."),
        mirror("VLAN_slave_of", Set(&Ref("VLAN")), "tagged_PIF", "VLANs on it."),
        ro("management", Bool, "The host is managed through it."),
        rw("other_config", STRING_MAP, "Free for clients."),
        rw("disallow_unplug", Bool, "It may not be unplugged."),
        mirror("tunnel_access_PIF_of", Set(&Ref("tunnel")), "access_PIF", "The tunnel that it is."),
        mirror(
            "tunnel_transport_PIF_of",
            Set(&Ref("tunnel")),
            "transport_PIF",
            "Tunnels that it carries.",
        ),
        ro("ipv6_configuration_mode", Enum(&IPV6_MODE), "How it gets its IPv6 address."),
        ro("IPv6", STRINGS, "IPv6 addresses, with prefix length."),
        ro("ipv6_gateway", STRING, "IPv6 gateway."),
        rw("primary_address_type", Enum(&PRIMARY), "Family of the host's address."),
        ro("managed", Bool, "The toolstack configures it.").or(Literal::Bool(true)),
        ro("properties", STRING_MAP, "Properties of the device."),
        ro("capabilities", STRINGS, "Capabilities of the device."),
        ro("igmp_snooping_status", Enum(&IGMP), "The bridge snoops IGMP."),
        ro("sriov_physical_PIF_of", Set(&Ref("network_sriov")), "SR-IOV networks on it; none."),
        ro("sriov_logical_PIF_of", Set(&Ref("network_sriov")), "SR-IOV network it is; none."),
        ro("PCI", Ref("PCI"), "Its PCI device."),
    ],
    &[
        message("plug", Role::PoolOperator, "Makes its bridge.")
            .takes(&[SELF])
            .fails(&[&CANNOT_PLUG_BOND_SLAVE, &TRANSPORT_PIF_NOT_CONFIGURED]),
        message("unplug", Role::PoolOperator, "Removes its bridge until the host's next start.")
            .takes(&[SELF])
            .fails(&[
                &PIF_IS_MANAGEMENT_INTERFACE,
                &PIF_DOES_NOT_ALLOW_UNPLUG,
                &PIF_VLAN_STILL_EXISTS,
                &VIF_IN_USE,
            ]),
        message("introduce", Role::PoolOperator, "Makes known a card that was forgotten.")
            .takes(&[
                param("host", Ref("host"), "the host"),
                param("MAC", STRING, "its MAC address"),
                param("device", STRING, "its name, found by the address when empty"),
                optional("managed", Bool, Literal::Bool(true), "the toolstack configures it"),
            ])
            .gives(Ref("PIF"))
            .fails(&[&MAC_DOES_NOT_EXIST, &DUPLICATE_PIF_DEVICE_NAME, &VALUE_NOT_SUPPORTED]),
        message(
            "forget",
            Role::PoolOperator,
            "Forgets a card, until it is scanned for or introduced.",
        )
        .takes(&[SELF])
        .fails(&[
            &PIF_IS_MANAGEMENT_INTERFACE,
            &PIF_IS_NOT_PHYSICAL,
            &PIF_VLAN_STILL_EXISTS,
            &PIF_TUNNEL_STILL_EXISTS,
            &PIF_ALREADY_BONDED,
            &VIF_IN_USE,
        ]),
        message(
            "create_VLAN",
            Role::PoolOperator,
            "Makes an interface for a VLAN; VLAN.create does too.",
        )
        .takes(&[
            param("device", STRING, "name of the interface that its frames leave by"),
            param("network", Ref("network"), "the network, which has no interface yet"),
            param("host", Ref("host"), "the host"),
            param("VLAN", Int, "the tag, 1 to 4094"),
        ])
        .gives(Ref("PIF"))
        .fails(super::vlan::CREATE_ERRORS),
        message("destroy", Role::PoolOperator, "Removes the interface of a VLAN.")
            .takes(&[SELF])
            .fails(&[&PIF_IS_PHYSICAL, &PIF_IS_MANAGEMENT_INTERFACE, &VIF_IN_USE]),
        message("scan", Role::PoolOperator, "Looks for new network cards.").takes(&[param(
            "host",
            Ref("host"),
            "the host",
        )]),
        message(
            "reconfigure_ip",
            Role::PoolOperator,
            "Changes how it gets its IPv4 address. Taken back where the host is managed through it and \
             whoever asks does not reach the host any more.",
        )
            .takes(&[
                param("self", Ref("PIF"), "the interface"),
                param("mode", Enum(&IP_MODE), "how it gets its address"),
                param("IP", STRING, "address, for Static"),
                param("netmask", STRING, "netmask, for Static"),
                param("gateway", STRING, "gateway, for Static; may be empty"),
                param("DNS", STRING, "name servers, separated by commas"),
            ])
            .fails(&[&INVALID_VALUE, &PIF_CONFIGURATION_ERROR]),
        message(
            "reconfigure_ipv6",
            Role::PoolOperator,
            "Changes how it gets IPv6 addresses. Taken back as with reconfigure_ip.",
        )
            .takes(&[
                param("self", Ref("PIF"), "the interface"),
                param("mode", Enum(&IPV6_MODE), "how it gets its address"),
                param("IPv6", STRING, "address with prefix length, for Static"),
                param("gateway", STRING, "gateway, for Static; may be empty"),
                param("DNS", STRING, "name servers, separated by commas"),
            ])
            .fails(&[&INVALID_VALUE, &PIF_CONFIGURATION_ERROR]),
    ],
);

/// Metrics of a host's network interface.
pub static PIF_METRICS: Class = class(
    "PIF_metrics",
    "Figures of a host's network interface.",
    &[
        UUID,
        ro("carrier", Bool, "A cable is plugged in."),
        ro("vendor_id", STRING, "PCI vendor; not read."),
        ro("vendor_name", STRING, "Name of the vendor; not read."),
        ro("device_id", STRING, "PCI device; not read."),
        ro("device_name", STRING, "Name of the driver."),
        ro("speed", Int, "Speed in Mbit/s; 0 if unknown."),
        ro("duplex", Bool, "Full duplex."),
        ro("pci_bus_path", STRING, "PCI address."),
        ro("last_updated", DateTime, "When this was last looked at."),
        rw("other_config", STRING_MAP, "Free for clients."),
    ],
    &[],
);
