#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Copies a guest of a Xenith host in every way: archives, images, clones, copies, between two SRs.

    archives.py URL PASSWORD DISK DEVICE   DEVICE: an empty disk of the host, which a second SR is made on
"""

import hashlib
import http.client
import os
import sys
import tarfile
import time
import urllib.parse

from lifecycle import Host, ask, create, make_vdi, plugged, read_until, remove, say, start

PIECE = 1 << 20
FOLDER = "/case"


class Mover(Host):
    """A host with what goes in and out of it as a stream."""

    def handler(self, path, query):
        query = urllib.parse.urlencode({"session_id": self.session._session, **query})
        return f"{path}?{query}"

    def connection(self):
        return http.client.HTTPSConnection(*self.address, context=self.context, timeout=600)

    def get(self, path, query):
        """What a handler answers, in pieces."""
        connection = self.connection()
        connection.request("GET", self.handler(path, query))
        answer = connection.getresponse()
        assert answer.status == 200, f"{path}: {answer.status} {answer.reason}"
        while piece := answer.read(PIECE):
            yield piece
        connection.close()

    def digest(self, vdi):
        sha = hashlib.sha256()
        for piece in self.get("/export_raw_vdi", {"vdi": vdi}):
            sha.update(piece)
        return sha.hexdigest()

    def task(self, name):
        return self.api.task.create(name, "")

    def ended(self, task, seconds=600):
        """Waits for a task; returns how far it was seen to be on its way."""
        token, end, seen = "", time.monotonic() + seconds, set()
        while True:
            batch = self.api.event_from([f"task/{task}"], token, 30.0)
            token = batch["token"]
            for event in batch["events"]:
                seen.add(float(event["snapshot"]["progress"]) if "snapshot" in event else 1.0)
            status = self.api.task.get_status(task)
            if status != "pending":
                assert status == "success", self.api.task.get_error_info(task)
                return seen
            assert time.monotonic() < end, f"{task} is still pending"

    def export(self, query, file):
        task = self.task("export")
        with open(file, "wb") as out:
            for piece in self.get("/export", {"task_id": task, **query}):
                out.write(piece)
        self.ended(task)
        self.api.task.destroy(task)
        say(f"{query} is an archive of {os.path.getsize(file) >> 10} KiB")

    def import_(self, file, sr):
        """Returns the VM that came of an archive."""
        task = self.task("import")
        connection = self.connection()
        with open(file, "rb") as archive:
            connection.request("PUT", self.handler("/import", {"task_id": task, "sr_id": sr}), body=archive)
            answer = connection.getresponse()
            assert answer.status == 200, f"{answer.status} {answer.reason}"
        self.ended(task)
        result = self.api.task.get_result(task)
        self.api.task.destroy(task)
        (vm,) = [ref for ref in self.api.VM.get_all() if ref in result]
        return vm

    def disks(self, vm):
        """VDIs of a VM's disks by their place."""
        vbds = [self.api.VBD.get_record(vbd) for vbd in self.api.VM.get_VBDs(vm)]
        return [vbd["VDI"] for vbd in sorted(vbds, key=lambda vbd: vbd["userdevice"])
                if vbd["type"] == "Disk"]

    def destroy(self, vm):
        first, *others = self.disks(vm)
        remove(self, vm, first)
        for vdi in others:
            self.api.VDI.destroy(vdi)


def second_sr(host, device):
    (this,) = host.api.host.get_all()
    return host.api.SR.create(this, {"device": device}, "0", "second", "", "ext", "user", False, {})


def run(host, vm, boots):
    """Runs a guest with what the first one wrote; it was started so often."""
    console = start(host, vm)
    read_until(console, f"boots {boots}")
    read_until(console, "guest: ready")
    ask(console, "look xvdb 3", "guest: xvdb has A at 3")
    ask(console, "look xvdb 12", "guest: xvdb has B at 12")
    host.call_and_wait("VM.clean_shutdown", vm)


def make(host, disk):
    vm, _ = create(host, "pvh", "archived", disk)
    data = make_vdi(host, "archived data", 16 << 20)
    plugged(host, vm, data)
    console = start(host, vm)
    read_until(console, "boots 1")
    read_until(console, "guest: ready")
    ask(console, "fill xvdb 0 8 A", "guest: filled xvdb")
    ask(console, "fill xvdb 12 2 B", "guest: filled xvdb")
    snapshot = host.api.VM.snapshot(vm, "while it runs")
    host.call_and_wait("VM.clean_shutdown", vm)
    return vm, snapshot


def contents(file):
    """Names and digests of an archive's members."""
    with tarfile.open(file) as tar:
        return {member.name: hashlib.sha256(tar.extractfile(member).read()).hexdigest() for member in tar}


def archives(host, vm, snapshot, sr):
    digests = [host.digest(vdi) for vdi in host.disks(vm)]
    plain, packed = f"{FOLDER}/plain.xva", f"{FOLDER}/packed.xva"
    host.export({"ref": vm}, plain)
    host.export({"ref": vm, "use_compression": "zstd"}, packed)
    assert os.path.getsize(packed) < os.path.getsize(plain)
    members = contents(plain)
    assert "ova.xml" in members and len(members) > 10, list(members)[:20]
    for file in (plain, packed):
        copy = host.import_(file, sr)
        assert all(host.api.VDI.get_SR(vdi) == sr for vdi in host.disks(copy))
        assert [host.digest(vdi) for vdi in host.disks(copy)] == digests
        if file == plain:
            again = f"{FOLDER}/again.xva"
            host.export({"ref": copy}, again)
            theirs = sorted(digest for name, digest in contents(again).items() if name.startswith("Ref:"))
            assert theirs == sorted(d for name, d in members.items() if name.startswith("Ref:"))
            run(host, copy, 2)
        host.destroy(copy)
    say("archives came back byte for byte, and start")
    host.export({"ref": snapshot}, packed)
    copy = host.import_(packed, sr)
    # An archive of a snapshot is one of a template. It was running then: what it had written counts.
    assert host.api.VM.get_is_a_template(copy) and not host.api.VM.get_is_a_snapshot(copy)
    host.api.VM.set_is_a_template(copy, False)
    run(host, copy, 2)
    host.destroy(copy)

    def there():
        return sorted(host.api.VM.get_all()), sorted(host.api.VDI.get_all())

    before = there()
    connection = host.connection()
    connection.putrequest("PUT", host.handler("/import", {"sr_id": sr}))
    connection.putheader("Content-Length", str(os.path.getsize(plain)))
    connection.endheaders()
    with open(plain, "rb") as archive:
        connection.send(archive.read(os.path.getsize(plain) // 2))
    connection.close()
    token, end = "", time.monotonic() + 300
    while there() != before:
        assert time.monotonic() < end, "half an import is left"
        token = host.api.event_from(["vdi", "vm"], token, 10.0)["token"]
    say("an import whose connection broke left nothing")


def images(host, vm, sr):
    """A disk goes out and comes back as VHD."""
    vdi = host.disks(vm)[0]
    file = f"{FOLDER}/disk.vhd"
    with open(file, "wb") as out:
        for piece in host.get("/export_raw_vdi", {"vdi": vdi, "format": "vhd"}):
            out.write(piece)
    record = host.api.VDI.get_record(vdi)
    record.update(SR=sr, name_label="from a VHD", sm_config={})
    copy = host.api.VDI.create(record)
    connection = host.connection()
    with open(file, "rb") as image:
        connection.request("PUT", host.handler("/import_raw_vdi", {"vdi": copy, "format": "vhd"}), body=image)
        answer = connection.getresponse()
        assert answer.status == 200, f"{answer.status} {answer.reason}"
    assert host.digest(copy) == host.digest(vdi)
    host.api.VDI.destroy(copy)
    say(f"a disk came back as a VHD of {os.path.getsize(file) >> 10} KiB")


def copies(host, vm, sr):
    digests = [host.digest(vdi) for vdi in host.disks(vm)]
    task = getattr(host.api.Async.VM, "copy")(vm, "copied", sr)
    seen = host.ended(task)
    assert any(0 < far < 1 for far in seen), seen
    (copy,) = host.api.VM.get_by_name_label("copied")
    assert all(host.api.VDI.get_SR(vdi) == sr for vdi in host.disks(copy))
    assert [host.digest(vdi) for vdi in host.disks(copy)] == digests
    for source in (vm, copy):
        clone = host.api.VM.clone(source, "cloned")
        assert [host.api.VDI.get_SR(vdi) for vdi in host.disks(clone)] == \
            [host.api.VDI.get_SR(vdi) for vdi in host.disks(source)]
        run(host, clone, 2)
        # What the clone wrote is its own.
        assert [host.digest(vdi) for vdi in host.disks(source)] == digests
        host.destroy(clone)
    say("copies and clones are what they should be, on both SRs")
    return copy


def moved(host, vm, sr):
    """One of a VM's disks goes to another SR."""
    disk = host.disks(vm)[1]
    digest = host.digest(disk)
    new = host.api.VDI.pool_migrate(disk, sr, {})
    assert host.disks(vm)[1] == new and host.api.VDI.get_SR(new) == sr
    assert disk == new or disk not in host.api.VDI.get_all()
    assert host.digest(new) == digest
    run(host, vm, 2)
    say("a disk moved to the other SR")


def together(host, first, second):
    """A vApp starts its VMs in their order, and ends them."""
    appliance = host.api.VM_appliance.create({"name_label": "both", "name_description": ""})
    for order, vm in enumerate((first, second)):
        host.api.VM.set_appliance(vm, appliance)
        host.api.VM.set_order(vm, str(order))
        host.api.VM.set_start_delay(vm, "2")
    host.call_and_wait("VM_appliance.start", appliance, False)
    times = []
    for vm in (first, second):
        assert host.api.VM.get_power_state(vm) == "Running"
        times.append(host.api.VM_metrics.get_start_time(host.api.VM.get_metrics(vm)))
        # It listens to Xen by then.
        console = host.console(vm)
        ask(console, "recall", "guest: recalls")
    assert str(times[0]) < str(times[1]), times
    host.call_and_wait("VM_appliance.clean_shutdown", appliance)
    assert {host.api.VM.get_power_state(vm) for vm in (first, second)} == {"Halted"}
    host.api.VM_appliance.destroy(appliance)
    say("a vApp was started in its order, and ended")


def main():
    url, password, disk, device = sys.argv[1:]
    host = Mover(url, password)
    sr = second_sr(host, device)
    vm, snapshot = make(host, disk)
    archives(host, vm, snapshot, sr)
    images(host, vm, sr)
    copy = copies(host, vm, sr)
    moved(host, vm, sr)
    together(host, vm, copy)
    for one in (copy, snapshot, vm):
        host.destroy(one)
    host.session.xenapi.session.logout()


if __name__ == "__main__":
    main()
