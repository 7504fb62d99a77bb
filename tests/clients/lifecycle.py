#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Drives a Xenith host from outside, with PyPI's XenAPI client and plain HTTP.

    lifecycle.py URL PASSWORD pool                     name the pool, check the default SR, make a network
    lifecycle.py URL PASSWORD guest KIND DISK [PORT]   create a guest (pv, pvh, hvm) from a disk image,
                                                       run it, pause it, reboot it, shut it down, destroy it
    lifecycle.py URL PASSWORD leave DISK FILE          start a PVH guest and leave it running; note the records of
                                                       everything in FILE
    lifecycle.py URL PASSWORD life DISK                give a PVH guest that runs a disk and a card, take them away,
                                                       suspend it and resume it
    lifecycle.py URL PASSWORD back DISK                give a PVH guest a processor, checkpoint it, snapshot it while it
                                                       runs, revert it, and have it crash
    lifecycle.py URL PASSWORD guard DISK               have a PVH guest try other addresses than its own, with
                                                       each locking mode
    lifecycle.py URL PASSWORD balloon DISK             have a PVH guest give memory back and take it, also for
                                                       another VM and with less than it could have at its start
    lifecycle.py URL PASSWORD qcow2 DISK               run a PVH guest on disks of format qcow2: snapshots, a revert, a
                                                       daemon that is started anew, and room that comes back
    lifecycle.py URL PASSWORD provision DISK SEED WORD have a PVH guest read its settings from a disk (SEED) and say WORD
    lifecycle.py URL PASSWORD uefi DISK                start an HVM guest by UEFI, twice
    lifecycle.py URL PASSWORD netinstall               have an HVM guest of a distribution's template install itself over
                                                       the network, and start from its disk
    lifecycle.py URL PASSWORD after FILE               the records and the guest left are whole; remove the guest
"""

import calendar
import http.client
import json
import socket
import ssl
import sys
import time
import urllib.parse
import urllib.request

import XenAPI

import screens

TEMPLATES = {
    "pv": "Linux PV (own boot loader)",
    "pvh": "Linux PVH (own boot loader)",
    "hvm": "Other install media",
    "uefi": "Other install media",
    "distribution": "Debian Trixie 13",
}
POOL = "proving ground"
NETWORK = "between guests"
LEFT = "left running"
GUEST_MIB = {"pv": 128, "pvh": 128, "hvm": 192, "uefi": 256, "distribution": 256}
REBOOT = {"pv": "hard_reboot", "pvh": "clean_reboot"}
# What a power cut must not change, by class.
LASTING = {
    "pool": ["uuid", "name_label", "master", "default_SR", "other_config"],
    "host": ["uuid", "name_label", "hostname", "PIFs", "PBDs"],
    "SR": ["uuid", "name_label", "type", "content_type", "shared", "PBDs", "VDIs"],
    "VDI": ["uuid", "name_label", "SR", "virtual_size", "location", "read_only", "VBDs"],
    "network": ["uuid", "name_label", "bridge", "PIFs", "VIFs"],
    "PIF": ["uuid", "device", "MAC", "network", "management", "ip_configuration_mode"],
    "VM": ["uuid", "name_label", "is_a_template", "memory_static_max", "VCPUs_max", "domain_type",
           "HVM_boot_policy", "PV_bootloader", "platform", "other_config", "VBDs", "VIFs"],
    "VBD": ["uuid", "VM", "VDI", "userdevice", "mode", "type", "bootable"],
    "VIF": ["uuid", "VM", "network", "device", "MAC"],
}


def say(text):
    print(f"client: {text}", flush=True)


class Host:
    def __init__(self, url, password):
        self.url = url
        self.session = XenAPI.Session(url, ignore_ssl=True)
        self.session.xenapi.login_with_password("root", password, "1.0", "xenith-tests")
        self.api = self.session.xenapi
        address = urllib.parse.urlsplit(url)
        self.address = (address.hostname, address.port)
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    def pool(self):
        (pool,) = self.api.pool.get_all()
        return pool

    def default_sr(self):
        sr = self.api.pool.get_default_SR(self.pool())
        assert sr != "OpaqueRef:NULL", "the pool has no default SR"
        return sr

    def management_network(self):
        for pif in self.api.PIF.get_all_records().values():
            if pif["management"]:
                return pif["network"]
        raise AssertionError("no PIF is the management interface")

    def upload(self, vdi, path):
        """PUTs a raw image into a VDI."""
        query = urllib.parse.urlencode(
            {"session_id": self.session._session, "vdi": vdi, "format": "raw"}
        )
        connection = http.client.HTTPSConnection(*self.address, context=self.context, timeout=600)
        with open(path, "rb") as image:
            connection.request("PUT", f"/import_raw_vdi?{query}", body=image)
            answer = connection.getresponse()
            assert answer.status == 200, f"uploading {path}: {answer.status} {answer.reason}"

    def dial(self):
        """Connects, past TLS."""
        return self.context.wrap_socket(socket.create_connection(self.address, timeout=600))

    def console_target(self, vm, protocol):
        """What to ask for to get at a console of a guest."""
        for console in self.api.VM.get_consoles(vm):
            if self.api.console.get_protocol(console) == protocol:
                location = urllib.parse.urlsplit(self.api.console.get_location(console))
                return f"{location.path}?{location.query}&session_id={self.session._session}"
        raise AssertionError(f"the guest has no console of {protocol}")

    def tunnel(self, vm, protocol):
        """Connects to a console of a guest; returns a binary stream."""
        target = self.console_target(vm, protocol)
        tls = self.dial()
        tls.sendall(f"CONNECT {target} HTTP/1.0\r\n\r\n".encode())
        stream = tls.makefile("rwb", buffering=0)
        status = stream.readline()
        assert b" 200 " in status, f"the console answered {status!r}"
        while stream.readline().strip():
            pass
        return stream

    def console(self, vm):
        """Connects to the guest's text console; returns a binary stream."""
        return self.tunnel(vm, "vt100")

    def begin(self, message, *args):
        """Calls a message as a task."""
        call = self.api.Async
        for part in message.split("."):
            call = getattr(call, part)
        return call(*args)

    def call_and_wait(self, message, *args, seconds=300):
        """Calls a message as a task and waits by event.from until it has succeeded."""
        task = self.begin(message, *args)
        token, end = "", time.monotonic() + seconds
        while time.monotonic() < end:
            batch = self.api.event_from(["task"], token, 30.0)
            token = batch["token"]
            status = self.api.task.get_status(task)
            if status != "pending":
                assert status == "success", self.api.task.get_error_info(task)
                return
        raise AssertionError(f"{message} is still pending after {seconds} s")

    def begin_moving(self, message, *args, seconds=300):
        """Calls a message as a task and waits until it has moved some of a guest's memory."""
        task = self.begin(message, *args)
        token, end = "", time.monotonic() + seconds
        while float(self.api.task.get_progress(task)) < 0.1:
            assert self.api.task.get_status(task) == "pending", self.api.task.get_error_info(task)
            assert time.monotonic() < end, f"{message} does not move"
            token = self.api.event_from(["task"], token, 10.0)["token"]
        return task

    def is_cancelled(self, task, seconds=120):
        """Waits until a task has ended, because it was cancelled."""
        token, end = "", time.monotonic() + seconds
        while self.api.task.get_status(task) == "pending":
            assert time.monotonic() < end, "it is not cancelled"
            token = self.api.event_from(["task"], token, 10.0)["token"]
        assert self.api.task.get_status(task) == "cancelled", self.api.task.get_error_info(task)

    def lasting(self):
        """All that a power cut must not change: fields by class and reference."""
        return {
            name: {
                ref: {field: record[field] for field in fields}
                for ref, record in getattr(self.api, name).get_all_records().items()
            }
            for name, fields in LASTING.items()
        }


def read_until(stream, word):
    """Reads lines until one has the word; shows and returns that line."""
    while True:
        line = stream.readline().decode(errors="replace")
        assert line, f"the console ended before the guest said {word!r}"
        line = line.strip()
        if line:
            print(f"  guest| {line}", flush=True)
        if word in line:
            return line
        assert "FAILED" not in line and "Kernel panic" not in line, line


def set_up_pool(host):
    pool = host.pool()
    host.api.pool.set_name_label(pool, POOL)
    (this,) = host.api.host.get_all()
    assert host.api.pool.get_master(pool) == this
    sr = host.api.SR.get_record(host.default_sr())
    assert int(sr["physical_size"]) > 4 << 30, sr
    assert any(host.api.PBD.get_currently_attached(pbd) for pbd in sr["PBDs"]), sr
    say(f"default SR {sr['name_label']} ({sr['type']}), {int(sr['physical_size']) >> 20} MiB")
    network = host.api.network.create({
        "name_label": NETWORK, "name_description": "", "other_config": {}, "MTU": "1500", "tags": [],
    })
    say(f"network {NETWORK} on bridge {host.api.network.get_bridge(network)}")


def from_template(host, kind, name):
    (template,) = host.api.VM.get_by_name_label(TEMPLATES[kind])
    vm = host.api.VM.clone(template, name)
    assert host.api.VM.get_is_a_template(vm)
    host.api.VM.provision(vm)
    return vm


def from_record(host, kind, name):
    (template,) = host.api.VM.get_by_name_label(TEMPLATES[kind])
    record = host.api.VM.get_record(template)
    record.update(name_label=name, is_a_template=False)
    return host.api.VM.create(record)


def limit_memory(host, vm, kind):
    memory = str(GUEST_MIB[kind] << 20)
    host.api.VM.set_memory_limits(vm, memory, memory, memory, memory)


def make_vdi(host, name, size, sm_config=()):
    return host.api.VDI.create({
        "name_label": name, "name_description": "", "SR": host.default_sr(),
        "virtual_size": str(size), "type": "user", "sharable": False, "read_only": False,
        "other_config": {}, "xenstore_data": {}, "sm_config": dict(sm_config), "tags": [],
    })


def add_disk(host, vm, device, name, image, mode="RW", sm_config=()):
    """Gives a VM a disk with the contents of a raw image; returns its VDI."""
    with open(image, "rb") as file:
        size = file.seek(0, 2)
    vdi = make_vdi(host, name, size, sm_config)
    host.upload(vdi, image)
    host.api.VBD.create({
        "VM": vm, "VDI": vdi, "userdevice": device, "bootable": device == "0", "mode": mode,
        "type": "Disk", "empty": False, "other_config": {}, "qos_algorithm_type": "",
        "qos_algorithm_params": {}, "unpluggable": True,
    })
    return vdi


def add_card(host, vm):
    """Gives a VM a card on the management network."""
    host.api.VIF.create({
        "VM": vm, "network": host.management_network(), "device": "0", "MAC": "", "MTU": "1500",
        "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {},
        "locking_mode": "network_default", "ipv4_allowed": [], "ipv6_allowed": [],
    })


def create(host, kind, name, disk, make=from_template):
    """A guest with an uploaded disk and a card on the management network."""
    vm = make(host, kind, name)
    assert not host.api.VM.get_is_a_template(vm)
    limit_memory(host, vm, kind)
    vdi = add_disk(host, vm, "0", f"{name} disk", disk)
    add_card(host, vm)
    return vm, vdi


def remove(host, vm, vdi):
    host.api.VM.destroy(vm)
    host.api.VDI.destroy(vdi)
    for ref, get in ((vm, host.api.VM.get_uuid), (vdi, host.api.VDI.get_uuid)):
        try:
            get(ref)
        except XenAPI.Failure as failure:
            assert failure.details[0] == "HANDLE_INVALID", failure.details
        else:
            raise AssertionError(f"{ref} is still there")


def fetch(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
        return answer.read().decode().strip()


def run_guest(host, kind, disk, port):
    vm, vdi = create(host, kind, f"guest {kind}", disk)
    uuid = host.api.VM.get_uuid(vm)
    host.api.VM.start(vm, True, False)
    assert host.api.VM.get_power_state(vm) == "Paused"
    console = host.console(vm)
    began = time.monotonic()
    host.api.VM.unpause(vm)
    line = read_until(console, "guest: kind")
    assert uuid in line, line
    read_until(console, "guest: disk")
    read_until(console, "guest: network")
    read_until(console, "guest: ready")
    say(f"{kind} guest ready {time.monotonic() - began:.1f} s after unpause")
    if kind == "hvm":
        screens.look(host, vm)
        say("its screen is shown over CONNECT and over a websocket")
    if port:
        answer = fetch(port)
        assert answer == f"guest {uuid} boots 1", answer
        say(f"{kind} guest answered over the network: {answer}")
    host.api.VM.pause(vm)
    assert host.api.VM.get_power_state(vm) == "Paused"
    host.api.VM.unpause(vm)
    if port:
        assert fetch(port) == f"guest {uuid} boots 1"
    if kind in REBOOT:
        host.call_and_wait(f"VM.{REBOOT[kind]}", vm)
        console = host.console(vm)
        read_until(console, "boots 2")
        read_until(console, "guest: ready")
        if port:
            assert fetch(port) == f"guest {uuid} boots 2"
        say(f"{kind} guest is back after {REBOOT[kind]}")
    try:
        host.api.VM.destroy(vm)
    except XenAPI.Failure as failure:
        assert failure.details[0] in ("VM_BAD_POWER_STATE", "OPERATION_NOT_ALLOWED"), failure
    else:
        raise AssertionError("a running VM was destroyed")
    host.call_and_wait("VM.clean_shutdown", vm)
    assert host.api.VM.get_power_state(vm) == "Halted"
    say(f"{kind} guest shut down cleanly")
    remove(host, vm, vdi)


def leave_guest(host, disk, file):
    vm, _ = create(host, "pvh", LEFT, disk, from_record)
    host.api.VM.start(vm, True, False)
    console = host.console(vm)
    host.api.VM.unpause(vm)
    read_until(console, "boots 1")
    read_until(console, "guest: ready")
    with open(file, "w", encoding="utf-8") as notes:
        json.dump(host.lasting(), notes)
    say(f"left {host.api.VM.get_uuid(vm)} running")


def ask(console, line, word):
    """Types a line on the guest's console and waits for its answer."""
    console.write(line.encode() + b"\n")
    return read_until(console, word)


def new_disk(host, vm):
    return plugged(host, vm, make_vdi(host, "plugged", 8 << 20))


def plugged(host, vm, vdi):
    vbd = host.api.VBD.create({
        "VM": vm, "VDI": vdi, "userdevice": "autodetect", "bootable": False, "mode": "RW",
        "type": "Disk", "empty": False, "other_config": {}, "qos_algorithm_type": "",
        "qos_algorithm_params": {}, "unpluggable": True,
    })
    return vdi, vbd


def new_card(host, vm):
    return host.api.VIF.create({
        "VM": vm, "network": host.management_network(), "device": "1", "MAC": "", "MTU": "1500",
        "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {},
    })


def grow(host, console, vdi, size):
    """Makes the guest's disk xvdb bigger while the guest has it."""
    assert "resize_online" in host.api.VDI.get_allowed_operations(vdi)
    host.api.VDI.resize_online(vdi, str(size))
    ask(console, f"grown xvdb {size // 512}", f"guest: disk xvdb has grown to {size // 512} sectors")
    assert int(host.api.VDI.get_virtual_size(vdi)) == size
    say("a disk grew under its guest")


def snapshot_of_one(host, vm, vdi):
    """Snapshots one disk of a guest that runs."""
    snapshot = host.api.VDI.snapshot(vdi, {})
    assert host.api.VDI.get_snapshot_of(snapshot) == vdi
    assert host.api.VM.get_power_state(vm) == "Running"
    host.api.VDI.destroy(snapshot)
    say("one disk was snapshotted under its guest")


def hotplug(host, vm, console):
    vdi, vbd = new_disk(host, vm)
    vif = new_card(host, vm)
    host.api.VBD.plug(vbd)
    ask(console, "disk xvdb", "guest: disk xvdb 16384 sectors")
    host.api.VIF.plug(vif)
    ask(console, "card eth1", f"guest: card eth1 {host.api.VIF.get_MAC(vif)}")
    assert host.api.VBD.get_device(vbd) == "xvdb"
    for device in (host.api.VBD.get_record(vbd), host.api.VIF.get_record(vif)):
        assert device["currently_attached"] and "unplug" in device["allowed_operations"], device
    grow(host, console, vdi, 16 << 20)
    snapshot_of_one(host, vm, vdi)
    host.api.VBD.unplug(vbd)
    ask(console, "no disk xvdb", "guest: disk xvdb is gone")
    host.api.VIF.unplug(vif)
    ask(console, "no card eth1", "guest: card eth1 is gone")
    # A number for which Linux has a name of two letters, and Xen another way to count.
    host.api.VBD.set_userdevice(vbd, "200")
    host.api.VBD.plug(vbd)
    ask(console, "disk xvdgs", "guest: disk xvdgs 32768 sectors")
    host.api.VBD.unplug(vbd)
    ask(console, "no disk xvdgs", "guest: disk xvdgs is gone")
    host.api.VBD.destroy(vbd)
    host.api.VIF.destroy(vif)
    host.api.VDI.destroy(vdi)
    say("a disk and a card came and went")


def go_on(host, vm):
    """Resumes a VM and returns its console."""
    host.call_and_wait("VM.resume", vm, True, False)
    console = host.console(vm)
    host.api.VM.unpause(vm)
    return console


def suspend(host, vm, console):
    ask(console, "remember suspended", "guest: remembers suspended")
    task = host.begin_moving("VM.suspend", vm)
    host.api.task.cancel(task)
    host.is_cancelled(task)
    assert host.api.VM.get_power_state(vm) == "Running"
    ask(console, "recall", "guest: recalls suspended, boots 1")
    say("it runs on after a suspend that was cancelled")
    host.call_and_wait("VM.suspend", vm)
    assert host.api.VM.get_power_state(vm) == "Suspended"
    task = host.begin_moving("VM.resume", vm, True, False)
    host.api.task.cancel(task)
    host.is_cancelled(task)
    assert host.api.VM.get_power_state(vm) == "Suspended"
    say("it is still suspended after a resume that was cancelled")
    image = host.api.VM.get_suspend_VDI(vm)
    say(f"its image has {int(host.api.VDI.get_virtual_size(image)) >> 20} MiB")
    console = go_on(host, vm)
    ask(console, "recall", "guest: recalls suspended, boots 1")
    assert host.api.VM.get_suspend_VDI(vm) == "OpaqueRef:NULL"
    say("it was suspended and went on")
    return console


def fetch_figures(host, path, query=()):
    """GETs one of the host's handlers of figures."""
    query = urllib.parse.urlencode({"session_id": host.session._session, **dict(query)})
    connection = http.client.HTTPSConnection(*host.address, context=host.context, timeout=60)
    connection.request("GET", f"{path}?{query}")
    answer = connection.getresponse()
    body = answer.read().decode()
    assert answer.status == 200, f"{path}: {answer.status} {body}"
    return body


def figures(host, vm):
    """Waits until there are figures of the host and of a VM that runs."""
    (this,) = host.api.host.get_all()
    uuid = host.api.VM.get_uuid(vm)
    wanted = [f"AVERAGE:vm:{uuid}:{name}" for name in
              ("cpu0", "memory", "vbd_xvda_read", "vif_0_rx", "vif_0_tx")]
    wanted += [f"AVERAGE:host:{host.api.host.get_uuid(this)}:{name}" for name in
               ("cpu0", "cpu_avg", "memory_total_kib", "memory_free_kib", "loadavg")]
    end, missing = time.monotonic() + 300, wanted
    while missing:
        assert time.monotonic() < end, f"no figures: {missing}"
        now = time.strptime(str(host.api.host.get_servertime(this)), "%Y%m%dT%H:%M:%SZ")
        start = calendar.timegm(now) - 60
        query = {"start": start, "cf": "AVERAGE", "interval": 5, "host": "true", "json": "true"}
        rows = json.loads(fetch_figures(host, "/rrd_updates", query))
        legend = rows["meta"]["legend"]
        known = {name: [row["values"][at] for row in rows["data"]] for at, name in enumerate(legend)}
        missing = [name for name in wanted
                   if not any(isinstance(value, (int, float)) for value in known.get(name, []))]
        if missing:
            # Figures have no events; they come every five seconds.
            time.sleep(5)
    memory = [value for value in known[wanted[1]] if isinstance(value, (int, float))][-1]
    assert abs(memory / (1 << 20) - GUEST_MIB["pvh"]) < 16, memory
    total = [value for value in known[wanted[7]] if isinstance(value, (int, float))][-1]
    assert total > 1 << 20, total
    assert uuid in fetch_figures(host, "/metrics"), "Prometheus is not told of the VM"
    sources = {source["name_label"] for source in host.api.VM.get_data_sources(vm)}
    assert "cpu0" in sources, sources
    say("there are figures of it and of its host")


def live(host, disk):
    vm, _ = create(host, "pvh", "life", disk)
    host.api.VM.start(vm, True, False)
    console = host.console(vm)
    host.api.VM.unpause(vm)
    read_until(console, "boots 1")
    read_until(console, "guest: ready")
    figures(host, vm)
    hotplug(host, vm, console)
    console = suspend(host, vm, console)
    hotplug(host, vm, console)
    host.api.VM.clean_shutdown(vm)
    console = start(host, vm)
    read_until(console, "guest: ready")
    task = host.begin_moving("VM.suspend", vm)
    host.api.VM.hard_shutdown(vm)
    host.is_cancelled(task)
    assert host.api.VM.get_power_state(vm) == "Halted"
    say("its end did not wait for its memory")
    (vbd,) = host.api.VM.get_VBDs(vm)
    vdi = host.api.VBD.get_VDI(vbd)
    remove(host, vm, vdi)


def crash(host, vm, console):
    """Has the guest crash; its memory is kept, which libxc maps page by page: minutes on a busy machine."""
    host.api.VM.set_actions_after_crash(vm, "coredump_and_destroy")
    ask(console, "crash", "Kernel panic")
    token, end = "", time.monotonic() + 900
    while host.api.VM.get_power_state(vm) != "Halted":
        assert time.monotonic() < end, "it does not end"
        token = host.api.event_from(["vm"], token, 10.0)["token"]
    (dump,) = host.api.VM.get_crash_dumps(vm)
    query = urllib.parse.urlencode(
        {"session_id": host.session._session, "vdi": host.api.crashdump.get_VDI(dump)})
    connection = http.client.HTTPSConnection(*host.address, context=host.context, timeout=600)
    connection.request("GET", f"/export_raw_vdi?{query}")
    answer = connection.getresponse()
    assert answer.status == 200 and answer.read(4) == b"\x7fELF", answer.status
    # The answer has the connection too.
    answer.close()
    connection.close()
    # The host notices that nobody reads on when it sends the next piece.
    end = time.monotonic() + 120
    while True:
        try:
            host.api.crashdump.destroy(dump)
            break
        except XenAPI.Failure as failure:
            assert failure.details[0] == "VDI_IN_USE" and time.monotonic() < end, failure.details
            time.sleep(1)
    say("what it had in memory when it crashed was kept")


def back(host, disk):
    vm, _ = create(host, "pvh", "back", disk)
    host.api.VM.set_VCPUs_max(vm, "2")
    host.api.VM.start(vm, True, False)
    console = host.console(vm)
    host.api.VM.unpause(vm)
    read_until(console, "boots 1")
    read_until(console, "guest: ready")
    host.api.VM.set_VCPUs_number_live(vm, "2")
    ask(console, "cpu cpu1", "guest: has 2 processors")
    ask(console, "remember early", "guest: remembers early")
    domain = host.api.VM.get_domid(vm)
    checkpoint = host.api.VM.checkpoint(vm, "with its memory")
    assert host.api.VM.get_domid(vm) == domain
    ask(console, "recall", "guest: recalls early, boots 1")
    say("it runs on after a checkpoint")
    ask(console, "remember late", "guest: remembers late")
    snapshot = host.api.VM.snapshot(vm, "its disks")
    ask(console, "recall", "guest: recalls late, boots 1")
    say("it runs on after a snapshot")
    host.call_and_wait("VM.revert", checkpoint)
    assert host.api.VM.get_power_state(vm) == "Suspended"
    assert host.api.VM.get_parent(vm) == checkpoint
    console = go_on(host, vm)
    ask(console, "recall", "guest: recalls early, boots 1")
    say("it is what it was at the checkpoint")
    host.call_and_wait("VM.revert", snapshot)
    assert host.api.VM.get_power_state(vm) == "Halted"
    host.api.VM.start(vm, True, False)
    console = host.console(vm)
    host.api.VM.unpause(vm)
    # As after a power cut: what it wrote at its first boot is there.
    read_until(console, "boots 2")
    read_until(console, "guest: ready")
    say("it starts from the snapshot of its disks")
    clone = host.api.VM.clone(checkpoint, "goes on by itself")
    # As what is made of a snapshot is.
    host.api.VM.set_is_a_template(clone, False)
    assert host.api.VM.get_power_state(clone) == "Suspended"
    of_clone = go_on(host, clone)
    ask(of_clone, "recall", "guest: recalls early, boots 1")
    host.api.VM.hard_shutdown(clone)
    say("a clone of the checkpoint went on beside it")
    crash(host, vm, console)
    for one in (clone, checkpoint, snapshot, vm):
        (vbd,) = host.api.VM.get_VBDs(one)
        remove(host, one, host.api.VBD.get_VDI(vbd))


def guard(host, disk):
    own, other, mac = "10.0.2.50", "10.0.2.66", "02:00:00:00:00:66"
    vm, vdi = create(host, "pvh", "guard", disk)
    (vif,) = host.api.VM.get_VIFs(vm)
    host.api.VIF.set_qos_algorithm_type(vif, "ratelimit")
    host.api.VIF.set_qos_algorithm_params(vif, {"kbps": "1000"})
    host.api.VM.start(vm, True, False)
    console = host.console(vm)
    host.api.VM.unpause(vm)
    read_until(console, "guest: ready")

    def answered(address):
        line = ask(console, f"ping as {address}", f"answered as {address}")
        return "is answered" in line

    assert answered(own) and answered(other), "an unlocked interface passes everything"
    host.api.VIF.set_ipv4_allowed(vif, [own])
    host.api.VIF.set_locking_mode(vif, "locked")
    assert answered(own) and not answered(other), "locked to its own address"
    ask(console, f"address {mac}", f"guest: has {mac}")
    assert not answered(own), "with another MAC address"
    ask(console, f"address {host.api.VIF.get_MAC(vif)}", "guest: has")
    assert answered(own), "its own MAC address again"
    host.api.VIF.add_ipv4_allowed(vif, other)
    host.api.VIF.remove_ipv4_allowed(vif, own)
    assert answered(other) and not answered(own), "locked to the other address"
    host.api.VIF.set_locking_mode(vif, "disabled")
    assert not answered(own) and not answered(other), "nothing passes"
    host.api.VIF.set_locking_mode(vif, "unlocked")
    assert answered(own) and answered(other), "unlocked again"
    host.api.VIF.set_locking_mode(vif, "locked")
    host.api.VM.hard_reboot(vm)
    console = host.console(vm)
    # It cannot reach the gateway as what it is not allowed to be, and says so.
    while "guest: ready" not in console.readline().decode(errors="replace"):
        pass
    assert answered(other) and not answered(own), "still locked after a reboot"
    say("it is who it was told to be")
    host.api.VM.hard_shutdown(vm)
    remove(host, vm, vdi)


def balloon(host, disk):
    mib = 1 << 20
    (this,) = host.api.host.get_all()
    vm, vdi = create(host, "pvh", "balloon", disk)

    def limits(target, *values):
        host.api.VM.set_memory_limits(target, *(str(value * mib) for value in values))

    def started():
        host.api.VM.start(vm, True, False)
        console = host.console(vm)
        host.api.VM.unpause(vm)
        read_until(console, "guest: ready")
        return console

    def has(console, expected):
        line = ask(console, "memory", "KiB of memory")
        now = int(line.split()[-4]) >> 10
        assert abs(now - expected) <= 8, f"the guest has {now} MiB, not {expected}"

    # Static minimum and maximum, dynamic minimum and maximum.
    limits(vm, 64, 256, 96, 256)
    console = started()
    has(console, 256)
    host.api.VM.set_memory_target_live(vm, str(128 * mib))
    host.api.VM.wait_memory_target_live(vm)
    has(console, 128)
    host.api.VM.set_memory_dynamic_range(vm, str(96 * mib), str(256 * mib))
    host.api.VM.wait_memory_target_live(vm)
    has(console, 256)
    say("it gave memory back and took it again")

    free = int(host.api.host.compute_free_memory(this)) // mib
    big, big_vdi = create(host, "pv", "big", disk)
    limits(big, *[free - 60] * 4)
    host.api.VM.start(big, True, False)
    target = int(host.api.VM.get_memory_target(vm)) // mib
    assert 96 <= target < 200, target
    has(console, target)
    say(f"it has {target} MiB beside a VM of {free - 60} MiB")
    host.api.VM.hard_shutdown(big)
    token, end = "", time.monotonic() + 300
    while int(host.api.VM.get_memory_target(vm)) != 256 * mib:
        assert time.monotonic() < end, "it did not get its memory back"
        token = host.api.event_from(["vm"], token, 10.0)["token"]
    host.api.VM.wait_memory_target_live(vm)
    has(console, 256)
    remove(host, big, big_vdi)
    say("it has all of its memory again")

    host.api.VM.set_memory_target_live(vm, str(160 * mib))
    host.api.VM.wait_memory_target_live(vm)
    host.call_and_wait("VM.suspend", vm)
    console = go_on(host, vm)
    has(console, 160)
    host.api.VM.clean_shutdown(vm)
    limits(vm, 64, 256, 128, 128)
    console = started()
    has(console, 128)
    say("it was started with less than it could have")
    host.api.VM.hard_shutdown(vm)
    remove(host, vm, vdi)


def used(host):
    """MiB that the default SR's files take."""
    sr = host.default_sr()
    host.api.SR.update(sr)
    return int(host.api.SR.get_physical_utilisation(sr)) >> 20


def wait_for_room(host, limit, what):
    """Waits until no more than some MiB are in use."""
    end = time.monotonic() + 600
    while (now := used(host)) > limit:
        assert time.monotonic() < end, f"{what}: {now} MiB are in use, no more than {limit} should be"
        time.sleep(2)
    say(f"{what}: {now} MiB are in use")


def remove_snapshot(host, snapshot):
    vdis = [host.api.VBD.get_VDI(vbd) for vbd in host.api.VM.get_VBDs(snapshot)]
    host.api.VM.destroy(snapshot)
    for vdi in vdis:
        host.api.VDI.destroy(vdi)


def restart_daemon(host, password):
    """The toolstack is started anew; returns a new session."""
    (this,) = host.api.host.get_all()
    host.api.host.restart_agent(this)
    end = time.monotonic() + 300
    # It goes after a pause, which lets it answer.
    while True:
        assert time.monotonic() < end, "it was not started anew"
        try:
            host.api.host.get_all()
        except (OSError, http.client.HTTPException, XenAPI.Failure):
            break
        time.sleep(1)
    while True:
        time.sleep(5)
        try:
            return Host(host.url, password)
        except (OSError, http.client.HTTPException, XenAPI.Failure) as error:
            assert time.monotonic() < end, error


def qcow2(host, password, disk):
    qcow2 = {"image-format": "qcow2"}
    vm = from_template(host, "pvh", "qcow2")
    limit_memory(host, vm, "pvh")
    root = add_disk(host, vm, "0", "qcow2 disk", disk, sm_config=qcow2)
    add_card(host, vm)
    data = make_vdi(host, "qcow2 data", 256 << 20, qcow2)
    for vdi in (root, data):
        assert host.api.VDI.get_sm_config(vdi)["image-format"] == "qcow2"
    console = start(host, vm)
    read_until(console, "boots 1")
    read_until(console, "guest: ready")
    _, vbd = plugged(host, vm, data)
    host.api.VBD.plug(vbd)
    ask(console, "disk xvdb", "guest: disk xvdb 524288 sectors")
    empty = used(host)
    ask(console, "fill xvdb 0 96 A", "guest: filled xvdb")
    assert used(host) >= empty + 90, (empty, used(host))
    ask(console, "trim xvdb", "guest: trimmed xvdb")
    wait_for_room(host, empty + 8, "after TRIM")

    ask(console, "fill xvdb 0 96 A", "guest: filled xvdb")
    grow(host, console, data, 320 << 20)
    snapshot_of_one(host, vm, data)
    ask(console, "fill xvdb 300 2 A", "guest: filled xvdb")
    full = used(host)
    snapshot = host.api.VM.snapshot(vm, "first")
    taken = used(host)
    assert taken < full + 8, f"a snapshot took {taken - full} MiB"
    ask(console, "fill xvdb 0 64 B", "guest: filled xvdb")
    written = used(host)
    assert written >= taken + 60, (taken, written)
    ask(console, "look xvdb 10", "guest: xvdb has B at 10")
    ask(console, "look xvdb 80", "guest: xvdb has A at 80")
    say(f"{full} MiB before a snapshot, {taken} with it, {written} after 64 were written over")
    remove_snapshot(host, snapshot)
    wait_for_room(host, written - 56, "without the snapshot")
    ask(console, "look xvdb 10", "guest: xvdb has B at 10")
    ask(console, "look xvdb 80", "guest: xvdb has A at 80")

    snapshot = host.api.VM.snapshot(vm, "second")
    ask(console, "fill xvdb 0 32 C", "guest: filled xvdb")
    host = restart_daemon(host, password)
    console = host.console(vm)
    ask(console, "look xvdb 10", "guest: xvdb has C at 10")
    ask(console, "fill xvdb 40 8 C", "guest: filled xvdb")
    say("the guest's disks go on without the toolstack")
    host.call_and_wait("VM.revert", snapshot)
    assert host.api.VM.get_power_state(vm) == "Halted"
    remove_snapshot(host, snapshot)
    console = start(host, vm)
    read_until(console, "boots 2")
    read_until(console, "guest: ready")
    for at, byte in ((10, "B"), (45, "B"), (80, "A")):
        ask(console, f"look xvdb {at}", f"guest: xvdb has {byte} at {at}")
    say("it starts from a snapshot of its disks")
    host.api.VM.clean_shutdown(vm)
    disks = [host.api.VBD.get_VDI(vbd) for vbd in host.api.VM.get_VBDs(vm)]
    host.api.VM.destroy(vm)
    for vdi in disks:
        assert host.api.VDI.get_sm_config(vdi)["image-format"] == "qcow2"
        host.api.VDI.destroy(vdi)
    wait_for_room(host, empty, "at the end")
    return host


def start(host, vm):
    """Starts a VM and returns its console, which has all that the guest says."""
    host.api.VM.start(vm, True, False)
    console = host.console(vm)
    host.api.VM.unpause(vm)
    return console


def provision(host, disk, seed, word):
    vm, vdi = create(host, "pvh", "from an image", disk)
    settings = add_disk(host, vm, "1", "settings", seed, mode="RO")
    console = start(host, vm)
    read_until(console, "guest: is called web-1")
    read_until(console, f"guest: user data says {word}")
    read_until(console, "guest: ready")
    host.call_and_wait("VM.clean_shutdown", vm)
    host.api.VDI.destroy(settings)
    remove(host, vm, vdi)
    say("a disk image took its settings from a second disk")


def uefi(host, disk):
    # Without a card or a screen: the firmware's attempts to start over the one, and each pixel of the other, which
    # QEMU has to paint by itself (Debian's OVMF moves the screen's memory, and QEMU does not follow), take minutes here.
    vm = from_template(host, "uefi", "by UEFI")
    host.api.VM.add_to_platform(vm, "vga", "none")
    limit_memory(host, vm, "uefi")
    vdi = add_disk(host, vm, "0", "by UEFI disk", disk)
    host.api.VM.set_HVM_boot_params(vm, {"order": "cd", "firmware": "uefi"})
    for boot in (1, 2):
        console = start(host, vm)
        read_until(console, "guest: firmware UEFI")
        read_until(console, f"boots {boot}")
        read_until(console, "guest: ready")
        host.call_and_wait("VM.clean_shutdown", vm)
    remove(host, vm, vdi)
    say("a guest was started by UEFI, twice")


def net_install(host):
    vm = from_template(host, "distribution", "over the network")
    limit_memory(host, vm, "distribution")
    add_card(host, vm)
    (vbd,) = host.api.VM.get_VBDs(vm)
    vdi = host.api.VBD.get_VDI(vbd)
    console = start(host, vm)
    # Nothing on its disk, no CD: the firmware comes to the network.
    domain = host.api.VM.get_domid(vm)
    read_until(console, "guest: installed")
    token, end = "", time.monotonic() + 300
    while host.api.VM.get_domid(vm) in (domain, "-1"):
        assert time.monotonic() < end, "it does not restart"
        token = host.api.event_from(["vm"], token, 10.0)["token"]
    console = host.console(vm)
    # The one that installed it counts too: the counter lies behind what was installed.
    read_until(console, "boots 2")
    read_until(console, "guest: ready")
    host.call_and_wait("VM.clean_shutdown", vm)
    remove(host, vm, vdi)
    say("a guest installed itself over the network")


def after_power_cut(host, file):
    with open(file, encoding="utf-8") as notes:
        before, now = json.load(notes), host.lasting()
    for name in LASTING:
        assert now[name] == before[name], f"{name} was {before[name]}, now it is {now[name]}"
    assert host.api.pool.get_name_label(host.pool()) == POOL
    assert len(host.api.network.get_by_name_label(NETWORK)) == 1
    (vm,) = host.api.VM.get_by_name_label(LEFT)
    assert host.api.VM.get_power_state(vm) == "Halted"
    (vbd,) = host.api.VM.get_VBDs(vm)
    vdi = host.api.VBD.get_VDI(vbd)
    host.api.VM.start(vm, True, False)
    console = host.console(vm)
    host.api.VM.unpause(vm)
    # What the guest wrote and synchronised before the power cut is there.
    read_until(console, "boots 2")
    read_until(console, "guest: ready")
    host.api.VM.hard_shutdown(vm)
    assert host.api.VM.get_power_state(vm) == "Halted"
    remove(host, vm, vdi)
    say("every record and the guest survived the power cut")


def main():
    url, password, action, *rest = sys.argv[1:]
    host = Host(url, password)
    if action == "pool":
        set_up_pool(host)
    elif action == "guest":
        run_guest(host, rest[0], rest[1], rest[2] if len(rest) > 2 else None)
    elif action == "leave":
        leave_guest(host, *rest)
    elif action == "life":
        live(host, rest[0])
    elif action == "back":
        back(host, rest[0])
    elif action == "guard":
        guard(host, rest[0])
    elif action == "balloon":
        balloon(host, rest[0])
    elif action == "qcow2":
        host = qcow2(host, password, rest[0])
    elif action == "provision":
        provision(host, *rest)
    elif action == "uefi":
        uefi(host, rest[0])
    elif action == "netinstall":
        net_install(host)
    elif action == "after":
        after_power_cut(host, *rest)
    else:
        sys.exit(__doc__)
    host.session.xenapi.session.logout()
    say(f"{action} done")


if __name__ == "__main__":
    main()
