#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs a PVH guest of a Xenith host that has very many disks.

    disks.py URL PASSWORD DISK
"""

import sys

from lifecycle import Host, ask, create, make_vdi, read_until, remove, say, start

# Half of what a VM may have, up to the last number; xenstored by itself lets a guest have some eighty.
NUMBERS = [*range(1, 128), 254]


def add(host, vm, number):
    vdi = make_vdi(host, f"number {number}", 4 << 20)
    host.api.VBD.create({
        "VM": vm, "VDI": vdi, "userdevice": str(number), "bootable": False, "mode": "RW",
        "type": "Disk", "empty": False, "other_config": {}, "qos_algorithm_type": "",
        "qos_algorithm_params": {}})
    return vdi


def main():
    url, password, disk = sys.argv[1:]
    host = Host(url, password)
    vm, first = create(host, "pvh", "many", disk)
    vdis = [add(host, vm, number) for number in NUMBERS]
    assert "255" not in host.api.VM.get_allowed_VBD_devices(vm)
    say(f"made {len(vdis)} disks")
    console = start(host, vm)
    read_until(console, "guest: ready")
    ask(console, f"disks {len(NUMBERS) + 1}", f"guest: has {len(NUMBERS) + 1} disks")
    ask(console, "disk xvdiu", "guest: disk xvdiu 8192 sectors")
    say("its guest has them all")
    host.call_and_wait("VM.clean_shutdown", vm, seconds=900)
    remove(host, vm, first)
    for vdi in vdis:
        host.api.VDI.destroy(vdi)
    host.session.xenapi.session.logout()


if __name__ == "__main__":
    main()
