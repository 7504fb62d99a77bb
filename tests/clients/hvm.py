#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Drives an HVM guest of a Xenith host: what its firmware says, its CD drive, its devices, its agent, its rate.

    hvm.py URL PASSWORD DISK LIBRARY IMAGE WORD   LIBRARY: a folder of the host with an IMAGE that begins with WORD
"""

import socket
import sys
import time

import XenAPI

from lifecycle import Host, ask, create, hotplug, read_until, remove, say, start, suspend

MAKER = "Proving Ground"
# KiB of what is sent, and KiB/s of the limit: far below what a guest sends on a busy machine.
SENT, LIMIT = 128, 4


def library(host, location):
    """An SR over a folder of the host."""
    (this,) = host.api.host.get_all()
    sr = host.api.SR.create(this, {"location": location, "legacy_mode": "true"}, "0", "library", "", "iso",
                            "iso", False, {})
    host.api.SR.scan(sr)
    return sr


def drive(host, vm):
    (cd,) = [vbd for vbd in host.api.VM.get_VBDs(vm) if host.api.VBD.get_type(vbd) == "CD"]
    return cd


def cds(host, vm, console, image, word):
    cd = drive(host, vm)
    for _ in range(2):
        assert host.api.VBD.get_empty(cd) and "insert" in host.api.VBD.get_allowed_operations(cd)
        host.api.VBD.insert(cd, image)
        assert host.api.VBD.get_VDI(cd) == image
        ask(console, f"cd {word}", f"guest: the CD says {word}")
        try:
            host.api.VBD.insert(cd, image)
        except XenAPI.Failure as failure:
            assert failure.details[0] == "VBD_NOT_EMPTY", failure.details
        else:
            raise AssertionError("a second CD went into the drive")
        host.api.VBD.eject(cd)
        ask(console, "no cd", "guest: no CD")
    say("a CD was put in and taken out, twice")


def agent(host, vm, console):
    said = {
        "attr/PVAddons/Installed": "1", "attr/PVAddons/MajorVersion": "8",
        "attr/PVAddons/MinorVersion": "4", "attr/PVAddons/MicroVersion": "0",
        "data/os_name": "Busybox of the proving ground", "data/os_uname": "6.12",
        "attr/vif/0/ipv4/0": "10.0.2.50", "data/updated": "1",
    }
    for path, value in said.items():
        ask(console, f"tell {path} {value}", f"guest: told {path}")
    token, end = "", time.monotonic() + 120
    while True:
        metrics = host.api.VM.get_guest_metrics(vm)
        if metrics != "OpaqueRef:NULL":
            record = host.api.VM_guest_metrics.get_record(metrics)
            if record["networks"].get("0/ipv4/0") and record["os_version"].get("name"):
                break
        assert time.monotonic() < end, "nothing is known of what the guest says"
        token = host.api.event_from(["vm", "vm_guest_metrics"], token, 10.0)["token"]
    assert record["os_version"]["name"] == said["data/os_name"], record
    assert record["networks"]["0/ipv4/0"] == record["networks"]["0/ip"] == "10.0.2.50", record
    assert record["PV_drivers_version"]["major"] == "8", record
    say("its agent was heard")


def rate(host, vm, console):
    """How many KiB/s a guest sends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(120)
        console.write(f"send {server.getsockname()[1]} {SENT}\n".encode())
        connection, _ = server.accept()
        connection.settimeout(120)
        began, count = time.monotonic(), 0
        while piece := connection.recv(65536):
            count += len(piece)
        seconds = time.monotonic() - began
        connection.close()
    read_until(console, f"guest: sent {SENT} KiB")
    assert count == SENT * 1024, count
    return SENT / seconds


def limited(host, vm, console):
    free = rate(host, vm, console)
    (vif,) = host.api.VM.get_VIFs(vm)
    host.api.VIF.set_qos_algorithm_type(vif, "ratelimit")
    host.api.VIF.set_qos_algorithm_params(vif, {"kbps": str(LIMIT)})
    host.api.VIF.unplug(vif)
    ask(console, "no card eth0", "guest: card eth0 is gone")
    host.api.VIF.plug(vif)
    ask(console, "card eth0", "guest: card eth0")
    ask(console, f"address {host.api.VIF.get_MAC(vif)}", "guest: has")
    slow = rate(host, vm, console)
    # The first half second's worth is not held back.
    assert slow < 1.5 * LIMIT < free, f"{free:.0f} KiB/s, {slow:.0f} with a limit of {LIMIT}"
    say(f"it sends {free:.0f} KiB/s, and {slow:.0f} with a limit of {LIMIT}")


def main():
    url, password, disk, location, name, word = sys.argv[1:]
    host = Host(url, password)
    sr = library(host, location)
    (image,) = [vdi for vdi in host.api.SR.get_VDIs(sr) if host.api.VDI.get_name_label(vdi) == name]
    vm, vdi = create(host, "hvm", "hvm", disk)
    host.api.VM.set_bios_strings(vm, {"system-manufacturer": MAKER})
    if not any(host.api.VBD.get_type(vbd) == "CD" for vbd in host.api.VM.get_VBDs(vm)):
        host.api.VBD.create({
            "VM": vm, "VDI": "OpaqueRef:NULL", "userdevice": "3", "bootable": False, "mode": "RO",
            "type": "CD", "empty": True, "other_config": {}, "qos_algorithm_type": "",
            "qos_algorithm_params": {}})
    console = start(host, vm)
    read_until(console, f"guest: made by {MAKER}")
    read_until(console, "guest: ready")
    say("its firmware says who made the machine")
    cds(host, vm, console, image, word)
    agent(host, vm, console)
    hotplug(host, vm, console)
    limited(host, vm, console)
    before = rate(host, vm, console)
    console = suspend(host, vm, console)
    after = rate(host, vm, console)
    say(f"it sends {after:.0f} KiB/s, and {before:.0f} before it was suspended")
    # Limited as before.
    assert after < 1.5 * LIMIT, f"{after:.0f} KiB/s with a limit of {LIMIT}"
    host.call_and_wait("VM.clean_shutdown", vm)
    for pbd in host.api.SR.get_PBDs(sr):
        host.api.PBD.unplug(pbd)
    host.api.SR.forget(sr)
    remove(host, vm, vdi)
    host.session.xenapi.session.logout()


if __name__ == "__main__":
    main()
