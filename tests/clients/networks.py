#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Changes networks of a Xenith host while a guest uses them.

    networks.py URL PASSWORD build TAG DISK MAC...  make a bond of these cards, a VLAN on it, and a guest in there
    networks.py URL PASSWORD answered WHAT          the guest is answered by its gateway
    networks.py URL PASSWORD mode MODE              change how the bond's cards share the work
    networks.py URL PASSWORD unbond                 take the bond apart; the VLAN is its first card's
    networks.py URL PASSWORD trial                  change the management network, badly and well
"""

import sys
import time

import XenAPI

from lifecycle import Host, add_disk, ask, from_template, limit_memory, remove, say, start

NAME = "in a VLAN"
# Where nothing is; see RFC 5737.
NOWHERE = ["203.0.113.7", "255.255.255.0", "203.0.113.1", "203.0.113.1"]
# What the machine's DHCP server gives.
LEASE = ["10.0.2.15", "255.255.255.0", "10.0.2.2", "10.0.2.3"]


def make_network(host, name):
    return host.api.network.create(
        {"name_label": name, "name_description": "", "other_config": {}, "MTU": "1500", "tags": []})


def build(host, tag, disk, *macs):
    by_mac = {pif["MAC"].lower(): ref for ref, pif in host.api.PIF.get_all_records().items()
              if pif["physical"]}
    cards = [by_mac[mac] for mac in macs]
    bond = host.api.Bond.create(make_network(host, "bonded"), cards, "", "lacp",
                                {"hashing_algorithm": "src_mac"})
    vlan = host.api.VLAN.create(host.api.Bond.get_master(bond), str(tag), make_network(host, NAME))
    assert int(host.api.VLAN.get_tag(vlan)) == tag
    vm = from_template(host, "pvh", NAME)
    limit_memory(host, vm, "pvh")
    add_disk(host, vm, "0", f"{NAME} disk", disk)
    (network,) = host.api.network.get_by_name_label(NAME)
    host.api.VIF.create({
        "VM": vm, "network": network, "device": "0", "MAC": "", "MTU": "1500", "other_config": {},
        "qos_algorithm_type": "", "qos_algorithm_params": {}})
    console = start(host, vm)
    # It looks for its gateway before, which may take until the switch's LACP is done.
    while "guest: ready" not in (line := console.readline().decode(errors="replace")):
        assert line, "the console ended before the guest was ready"
    answered(host, "over an LACP bond")


def the_vm(host):
    (vm,) = host.api.VM.get_by_name_label(NAME)
    return vm


def answered(host, what):
    console = host.console(the_vm(host))
    end = time.monotonic() + 300
    while "is answered" not in ask(console, "ping as 10.0.2.50", "answered as 10.0.2.50"):
        assert time.monotonic() < end, f"the guest is not answered {what}"
    say(f"the guest is answered {what}")


def mode(host, name):
    (bond,) = host.api.Bond.get_all()
    host.api.Bond.set_mode(bond, name)
    assert host.api.Bond.get_mode(bond) == name


def unbond(host):
    (bond,) = host.api.Bond.get_all()
    primary = host.api.Bond.get_primary_slave(bond)
    host.api.Bond.destroy(bond)
    (vlan,) = host.api.VLAN.get_all()
    assert host.api.VLAN.get_tagged_PIF(vlan) == primary
    answered(host, "over one card")
    vm = the_vm(host)
    (vbd,) = host.api.VM.get_VBDs(vm)
    vdi = host.api.VBD.get_VDI(vbd)
    host.api.VM.hard_shutdown(vm)
    remove(host, vm, vdi)
    host.api.VLAN.destroy(vlan)


def trial(host):
    (pif,) = [ref for ref, pif in host.api.PIF.get_all_records().items() if pif["management"]]
    before = host.api.PIF.get_record(pif)
    assert before["ip_configuration_mode"] == "DHCP" and before["IP"] == LEASE[0], before
    try:
        host.api.PIF.reconfigure_ip(pif, "Static", *NOWHERE)
    except XenAPI.Failure as failure:
        assert failure.details[0] == "PIF_CONFIGURATION_ERROR", failure.details
        say(f"a bad address: {failure.details[2]}")
    else:
        raise AssertionError("nobody reaches the host, and it stays so")
    # What DHCP gives is there again soon.
    token, end = "", time.monotonic() + 120
    fields = ("ip_configuration_mode", "IP", "gateway", "netmask", "DNS", "currently_attached")
    while (after := host.api.PIF.get_record(pif)) and any(after[it] != before[it] for it in fields):
        assert time.monotonic() < end, (before, after)
        token = host.api.event_from(["pif"], token, 10.0)["token"]
    names = {message["name"] for message in host.api.message.get_all_records().values()}
    assert "MANAGEMENT_NETWORK_TAKEN_BACK" in names, names
    host.api.PIF.reconfigure_ip(pif, "Static", *LEASE)
    after = host.api.PIF.get_record(pif)
    assert (after["ip_configuration_mode"], after["IP"]) == ("Static", LEASE[0]), after
    say("a good address stays")


def main():
    url, password, action, *rest = sys.argv[1:]
    host = Host(url, password)
    if action == "build":
        build(host, int(rest[0]), *rest[1:])
    elif action == "answered":
        answered(host, *rest)
    elif action == "mode":
        mode(host, *rest)
    elif action == "unbond":
        unbond(host)
    elif action == "trial":
        trial(host)
    else:
        sys.exit(__doc__)
    host.session.xenapi.session.logout()


if __name__ == "__main__":
    main()
