#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Drives a Xenith host whose NFS server is lost and comes back.

    nfs.py URL PASSWORD build PORT WORD DISK   an SR and a library (which has an image that begins with WORD) on
                                               10.0.2.2:PORT, a guest whose disks are there, and one whose first is not
    nfs.py URL PASSWORD lost PORT              the server has just been lost: what was asked of it is told so, and
                                               everything else goes on
    nfs.py URL PASSWORD back WORD              it is back: the guest has gone on, and ends
    nfs.py URL PASSWORD again PORT             it is lost again: SRs are let go of
    nfs.py URL PASSWORD end                    it is back: nothing was lost, and everything is removed
"""

import sys
import time

import XenAPI

from lifecycle import Host, ask, create, make_vdi, read_until, restart_daemon, say, start

SERVER = "10.0.2.2"
SHARED, LIBRARY = "shared", "library"
ON_SERVER, BESIDE, IDLE = "on the server", "beside it", "not started"
# More calls than the daemon has threads for work that blocks.
MANY = 300
# Seconds: longer than the daemon waits for a server, and than a mount may take.
LONG = 200


class Client(Host):
    """A host whose disks are made in a chosen SR."""

    sr = None

    def default_sr(self):
        return self.sr or super().default_sr()

    def one(self, kind, name):
        (found,) = getattr(self.api, kind).get_by_name_label(name)
        return found

    def begin(self, message, *args):
        call = self.api.Async
        for part in message.split("."):
            call = getattr(call, part)
        return call(*args)

    def end_of(self, task, seconds=LONG):
        """How a task ends, and what of."""
        token, end = "", time.monotonic() + seconds
        while True:
            token = self.api.event_from([f"task/{task}"], token, 10.0)["token"]
            status = self.api.task.get_status(task)
            if status != "pending":
                return status, self.api.task.get_error_info(task)
            assert time.monotonic() < end, f"{self.api.task.get_name_label(task)} has no end"

    def told(self, tasks):
        """All that was asked of the lost server ends with an error that says so."""
        for what, task in tasks.items():
            began = time.monotonic()
            status, error = self.end_of(task)
            assert status == "failure", (what, status)
            assert error[0] == "SR_BACKEND_FAILURE" and error[-1].endswith("does not answer"), (what, error)
            say(f"{what}: {error[-1]} ({time.monotonic() - began:.0f} s)")

    def goes_on(self, what):
        """The API answers on everything that it knows."""
        began = time.monotonic()
        for kind in ("VM", "SR", "VDI", "PBD", "VBD", "host"):
            records = getattr(self.api, kind).get_all_records()
            assert records, kind
        say(f"{what}: all records in {time.monotonic() - began:.1f} s")

    def pbd(self, sr):
        (pbd,) = self.api.SR.get_PBDs(sr)
        return pbd

    def refused(self, code, call, *args):
        try:
            call(*args)
        except XenAPI.Failure as failure:
            assert failure.details[0] == code, failure.details
        else:
            raise AssertionError(f"not refused with {code}")


def server_srs(host, port):
    (this,) = host.api.host.get_all()
    options = {"options": f"port={port}"}
    shared = {"server": SERVER, "serverpath": "/vms", **options}
    library = {"location": f"{SERVER}:/iso", **options}
    return (
        (this, shared, "0", SHARED, "", "nfs", "user", True, {}),
        (this, library, "0", LIBRARY, "", "iso", "iso", True, {}),
    )


def plug_in(host, vm, vdi, device, mode="RW"):
    return host.api.VBD.create({
        "VM": vm, "VDI": vdi, "userdevice": device, "bootable": False, "mode": mode, "type": "Disk",
        "empty": False, "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {},
        "unpluggable": True,
    })


def build(host, port, word, disk):
    shared, library = [host.api.SR.create(*args) for args in server_srs(host, port)]
    (image,) = host.api.SR.get_VDIs(library)
    assert host.api.VDI.get_read_only(image)
    say(f"the library has {host.api.VDI.get_name_label(image)}")

    beside, _ = create(host, "pvh", BESIDE, disk)
    host.sr = shared
    served, _ = create(host, "pvh", ON_SERVER, disk)
    for vm, name in ((served, "served data"), (beside, "data beside")):
        plug_in(host, vm, make_vdi(host, name, 16 << 20), "1")
        plug_in(host, vm, image, "2", "RO")
    idle = host.api.VM.clone(host.one("VM", "Linux PVH (own boot loader)"), IDLE)
    host.api.VM.provision(idle)
    plug_in(host, idle, make_vdi(host, "idle data", 8 << 20), "0")
    for vm in (served, beside):
        console = start(host, vm)
        read_until(console, "guest: ready")
        ask(console, "fill xvdb 0 4 A", "guest: filled xvdb with A")
        ask(console, "look xvdb 2", "guest: xvdb has A at 2")
        ask(console, "look xvdc 0", f"guest: xvdc has {word[0]} at 0")
    say("guests run from an NFS server and beside it")


def lost(host, password, port):
    shared, library = host.one("SR", SHARED), host.one("SR", LIBRARY)
    served, beside, idle = [host.one("VM", name) for name in (ON_SERVER, BESIDE, IDLE)]
    local = host.default_sr()
    # Under way all the while.
    host.console(served).write(b"fill xvdb 4 8 B\n")
    host.goes_on("the server is lost")
    idle_vdi = host.one("VDI", "idle data")
    tasks = {
        "SR.scan": host.begin("SR.scan", shared),
        "SR.scan of the library": host.begin("SR.scan", library),
        "SR.update": host.begin("SR.update", shared),
        "VDI.snapshot": host.begin("VDI.snapshot", idle_vdi, {}),
        "VDI.destroy": host.begin("VDI.destroy", idle_vdi),
        "VDI.resize": host.begin("VDI.resize", idle_vdi, str(16 << 20)),
        "VDI.copy": host.begin("VDI.copy", idle_vdi, local),
        "VM.start": host.begin("VM.start", idle, False, False),
        "SR.create": host.begin("SR.create", *server_srs(host, port)[0]),
    }
    host.goes_on("while it is asked")
    host.told(tasks)
    # As by a client that looks at every SR again and again.
    many = [host.begin("SR.scan", shared) for _ in range(MANY)]
    host.goes_on(f"while it is asked {MANY} times")
    assert {host.end_of(task)[0] for task in many} == {"failure"}
    for sr in (shared, library):
        host.refused("VDI_IN_USE", host.api.PBD.unplug, host.pbd(sr))

    # A guest that does not wait for the server ends, with its disks there.
    console = host.console(beside)
    ask(console, "recall", "guest: recalls")
    host.call_and_wait("VM.clean_shutdown", beside, seconds=LONG)
    status, error = host.end_of(host.begin("VM.start", beside, False, False))
    assert status == "failure" and error[0] == "SR_BACKEND_FAILURE", error
    for vbd in host.api.VM.get_VBDs(beside):
        if host.api.VBD.get_userdevice(vbd) != "0":
            host.api.VBD.destroy(vbd)
    say("a guest beside the lost server has ended")

    restart_daemon(host, password)
    host = Client(host.url, password)
    assert all(host.api.PBD.get_currently_attached(host.pbd(sr)) for sr in (shared, library))
    assert host.api.VM.get_power_state(served) == "Running"
    host.refused("VDI_IN_USE", host.api.PBD.unplug, host.pbd(shared))
    host.goes_on("after a new start of the toolstack")
    console = start(host, beside)
    read_until(console, "boots 2")
    read_until(console, "guest: ready")
    host.call_and_wait("VM.clean_shutdown", beside, seconds=LONG)
    vdi = make_vdi(host, "made meanwhile", 8 << 20)
    host.api.VDI.resize(vdi, str(16 << 20))
    for made in (host.api.VDI.clone(vdi), vdi):
        host.api.VDI.destroy(made)
    host.api.SR.scan(local)
    say("all of this host's own goes on without the server")
    return host


def answering(host, sr):
    """Waits until the server answers the host: the kernel asks again after pauses that grow."""
    end = time.monotonic() + 600
    while True:
        status, error = host.end_of(host.begin("SR.scan", sr))
        if status == "success":
            return
        assert error[0] == "SR_BACKEND_FAILURE" and time.monotonic() < end, error
        time.sleep(2)


def back(host, word):
    served = host.one("VM", ON_SERVER)
    console = host.console(served)
    read_until(console, "guest: filled xvdb with B")
    say("the guest has written what it could not")
    for at, byte in ((2, "A"), (5, "B"), (11, "B")):
        ask(console, f"look xvdb {at}", f"guest: xvdb has {byte} at {at}")
    ask(console, "fill xvdb 12 2 C", "guest: filled xvdb with C")
    for name in (SHARED, LIBRARY):
        answering(host, host.one("SR", name))
    ask(console, "look xvdb 13", "guest: xvdb has C at 13")
    ask(console, "look xvdc 0", f"guest: xvdc has {word[0]} at 0")
    host.call_and_wait("VM.clean_shutdown", served, seconds=LONG)
    say("it goes on, and ends")


def again(host, port):
    shared, library = host.one("SR", SHARED), host.one("SR", LIBRARY)
    for sr in (shared, library):
        host.call_and_wait("PBD.unplug", host.pbd(sr), seconds=LONG)
        assert not host.api.PBD.get_currently_attached(host.pbd(sr))
    host.api.SR.forget(library)
    host.told({
        "PBD.plug": host.begin("PBD.plug", host.pbd(shared)),
        "SR.probe": host.begin("SR.probe", *[server_srs(host, port)[0][n] for n in (0, 1)], "nfs", {}),
    })
    host.goes_on("after all")
    say("SRs were let go of without their server")


def end(host):
    shared = host.one("SR", SHARED)
    host.call_and_wait("PBD.plug", host.pbd(shared), seconds=LONG)
    vdis = host.api.SR.get_VDIs(shared)
    names = sorted(host.api.VDI.get_name_label(vdi) for vdi in vdis)
    assert names == ["data beside", "idle data", f"{ON_SERVER} disk", "served data"], names
    for name in (ON_SERVER, BESIDE, IDLE):
        host.api.VM.destroy(host.one("VM", name))
    for vdi in (*vdis, host.one("VDI", f"{BESIDE} disk")):
        host.api.VDI.destroy(vdi)
    host.call_and_wait("PBD.unplug", host.pbd(shared), seconds=LONG)
    host.call_and_wait("SR.destroy", shared, seconds=LONG)
    say("all of it is removed")


def main():
    url, password, action, *rest = sys.argv[1:]
    host = Client(url, password)
    if action == "build":
        build(host, *rest)
    elif action == "lost":
        host = lost(host, password, *rest)
    elif action == "back":
        back(host, *rest)
    elif action == "again":
        again(host, *rest)
    elif action == "end":
        end(host)
    else:
        sys.exit(__doc__)
    host.session.xenapi.session.logout()
    say(f"{action} done")


if __name__ == "__main__":
    main()
