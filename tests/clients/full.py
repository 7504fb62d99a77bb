#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Fills a thin SR of a Xenith host from inside a guest: who is told what, and what is lost.

    full.py URL PASSWORD DISK DEVICE   DEVICE: an empty disk of the host of 256 MiB, which a thin SR is made on
"""

import os
import sys

import XenAPI

from archives import Mover
from lifecycle import ask, create, plugged, read_until, remove, say, start

MIB = 1 << 20
# More than the SR has room for.
PROMISED = 400


def make_sr(host, device):
    (this,) = host.api.host.get_all()
    return host.api.SR.create(this, {"device": device}, "0", "small", "", "lvmthin", "user", False, {})


def make_vdi(host, sr, name, mib):
    return host.api.VDI.create({
        "name_label": name, "name_description": "", "SR": sr, "virtual_size": str(mib * MIB),
        "type": "user", "sharable": False, "read_only": False, "other_config": {},
        "xenstore_data": {}, "sm_config": {}, "tags": []})


def put(host, vdi, mib):
    """Writes noise all over a VDI; returns the status and the words of the answer."""
    connection = host.connection()
    connection.request("PUT", host.handler("/import_raw_vdi", {"vdi": vdi}), body=os.urandom(mib * MIB))
    answer = connection.getresponse()
    words = answer.read().decode(errors="replace")
    connection.close()
    return answer.status, words


def is_refused(call, *args):
    try:
        call(*args)
    except XenAPI.Failure as failure:
        assert failure.details[0] == "SR_FULL", failure.details
    else:
        raise AssertionError("there was room")


def is_full(host, sr):
    host.api.SR.update(sr)
    size, used = (int(get(sr)) for get in (host.api.SR.get_physical_size, host.api.SR.get_physical_utilisation))
    assert 0.97 * size < used <= size, (size, used)


def main():
    url, password, disk, device = sys.argv[1:]
    host = Mover(url, password)
    sr = make_sr(host, device)
    given_up, late = make_vdi(host, sr, "given up", 32), make_vdi(host, sr, "late", 16)
    status, words = put(host, given_up, 32)
    assert status == 200, words
    vm, first = create(host, "pvh", "full", disk)
    data = make_vdi(host, sr, "promised", PROMISED)
    plugged(host, vm, data)
    console = start(host, vm)
    read_until(console, "guest: ready")
    ask(console, "remember full", "guest: remembers full")
    ask(console, f"fill xvdb 0 {PROMISED} A", "guest: FAILED to fill xvdb")
    ask(console, "recall", "guest: recalls full, boots 1")
    is_full(host, sr)
    say("a guest is told that its SR is full, and goes on")

    before = sorted(host.api.VDI.get_all())
    is_refused(make_vdi, host, sr, "one more", 8)
    is_refused(host.api.VDI.snapshot, data, {})
    is_refused(host.api.VM.snapshot, vm, "not to be")
    status, words = put(host, late, 16)
    assert status == 500 and words.startswith("SR_FULL"), (status, words)
    assert sorted(host.api.VDI.get_all()) == before
    assert host.api.VM.get_power_state(vm) == "Running"
    ask(console, "recall", "guest: recalls full, boots 1")
    say("what needs room is refused, and leaves nothing")

    host.api.VDI.destroy(given_up)
    ask(console, f"fill xvdb {PROMISED - 8} 8 B", "guest: filled xvdb with B")
    ask(console, f"look xvdb {PROMISED - 8}", f"guest: xvdb has B at {PROMISED - 8}")
    ask(console, "look xvdb 3", "guest: xvdb has A at 3")
    host.api.VDI.destroy(make_vdi(host, sr, "one more", 8))
    say("with room again it writes on, and has what it had written")

    host.call_and_wait("VM.hard_shutdown", vm)
    remove(host, vm, first)
    for vdi in (late, data):
        host.api.VDI.destroy(vdi)
    for pbd in host.api.SR.get_PBDs(sr):
        host.api.PBD.unplug(pbd)
    host.api.SR.destroy(sr)
    host.session.xenapi.session.logout()


if __name__ == "__main__":
    main()
