#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Changes what a Xenith host does beside VMs: its clock, its password, its log, what it keeps for clients.

    services.py URL PASSWORD DISK NAME   NAME: what the host is to be called

What the host itself is to show of that is asked there afterwards.
"""

import sys
import time
import xmlrpc.client

import XenAPI

from archives import Mover
from lifecycle import ask, create, make_vdi, read_until, remove, say, start

ZONE, SERVER, IQN, IDLE = "Europe/Berlin", "10.0.2.2", "iqn.2026-12.example.test:host", 600
# Seconds between the real time and the one that is set for a moment.
AHEAD = 7200
STAMP = "%Y%m%dT%H:%M:%SZ"


def seconds(stamp):
    return time.mktime(time.strptime(str(stamp).rstrip("Z"), "%Y%m%dT%H:%M:%S"))


def clock(host, this):
    host.api.host.set_timezone(this, ZONE)
    # At the same moment, but for how long two calls take.
    apart = seconds(host.api.host.get_server_localtime(this)) - seconds(host.api.host.get_servertime(this))
    assert 3600 - 300 < apart < 7200 + 300, apart
    host.api.host.set_ntp_mode(this, "Disabled")
    for ahead in (AHEAD, 0):
        wanted = time.time() + ahead
        host.api.host.set_servertime(this, xmlrpc.client.DateTime(time.strftime(STAMP, time.gmtime(wanted))))
        now = seconds(host.api.host.get_servertime(this)) - time.mktime(time.gmtime(wanted))
        assert -5 < now < 300, now
    host.api.host.set_ntp_custom_servers(this, [SERVER])
    host.api.host.set_ntp_mode(this, "Custom")
    assert host.api.host.get_ntp_mode(this) == "Custom"
    say("its clock, its time zone and its time server are others")


def dom0(host, this, name):
    host.api.host.set_console_idle_timeout(this, str(IDLE))
    host.api.host.set_iscsi_iqn(this, IQN)
    host.api.host.set_hostname_live(this, name)
    host.api.host.set_logging(this, {"syslog_destination": SERVER})
    host.api.host.syslog_reconfigure(this)
    host.api.host.disable_ssh(this)
    assert not host.api.host.get_ssh_enabled(this)
    host.api.host.send_debug_keys(this, "h")
    assert "'h' pressed" in host.api.host.dmesg_clear(this)
    assert "'h' pressed" not in host.api.host.dmesg(this)
    assert host.api.host.get_host_CPUs(this) and host.api.host.get_PCIs(this)
    say("idle shells, iSCSI name, host name, log, SSH, Xen's log")


def password(host, url, old):
    host.session.xenapi.session.change_password(old, "another horse")
    for word, good in (("another horse", True), (old, False)):
        session = XenAPI.Session(url, ignore_ssl=True)
        try:
            session.login_with_password("root", word, "1.0", "test")
            assert good, "the old password still works"
            session.xenapi.session.logout()
        except XenAPI.Failure as failure:
            assert not good and failure.details[0] == "SESSION_AUTHENTICATION_FAILED", failure.details
    host.session.xenapi.session.change_password("another horse", old)
    say("another password, and the first one again")


def kept(host):
    """What a host keeps for its clients."""
    secret = host.api.secret.create({"value": "hush", "other_config": {}})
    assert host.api.secret.get_value(secret) == "hush"
    host.api.secret.destroy(secret)
    pool = host.pool()
    uuid = host.api.pool.get_uuid(pool)
    message = host.api.message.create("NOTE", "3", "Pool", uuid, "of the test")
    assert host.api.message.get_record(message)["body"] == "of the test"
    host.api.message.destroy(message)
    blob = host.api.pool.create_new_blob(pool, "note", "text/plain", False)
    connection = host.connection()
    connection.request("PUT", host.handler("/blob", {"ref": blob}), body=b"some bytes")
    assert connection.getresponse().status == 200
    connection.close()
    assert b"".join(host.get("/blob", {"ref": blob})) == b"some bytes"
    host.api.blob.destroy(blob)
    audit = b"".join(host.get("/audit_log", {})).decode()
    assert "host.set_timezone" in audit and "session.change_password" in audit, audit[-800:]
    assert "another horse" not in audit and "hush" not in audit
    say("secrets, messages, blobs, the audit log")


def disks(host):
    vdi = make_vdi(host, "forgotten", 8 << 20)
    record = host.api.VDI.get_record(vdi)
    host.api.VDI.forget(vdi)
    known = host.api.VDI.introduce(
        record["uuid"], "remembered", "", record["SR"], "user", False, False, {}, record["location"], {}, {},
        True, record["virtual_size"], record["physical_utilisation"])
    assert host.api.VDI.get_uuid(known) == record["uuid"]
    assert host.api.VDI.get_virtual_size(known) == record["virtual_size"]
    host.api.VDI.destroy(known)
    say("a VDI was forgotten and introduced again")


def buttons(host, disk):
    vm, vdi = create(host, "pvh", "buttons", disk)
    console = start(host, vm)
    read_until(console, "guest: ready")
    host.api.VM.send_sysrq(vm, "h")
    read_until(console, "sysrq: HELP")
    ask(console, "remember pressed", "guest: remembers pressed")
    group = host.api.VM_group.create(
        {"name_label": "together", "name_description": "", "placement": "anti_affinity"})
    host.api.VM.set_groups(vm, [group])
    assert host.api.VM_group.get_VMs(group) == [vm]
    vmss = host.api.VMSS.create({
        "name_label": "hourly", "name_description": "", "enabled": True, "type": "snapshot",
        "retained_snapshots": "1", "frequency": "hourly", "schedule": {"min": "0"}})
    host.api.VM.set_snapshot_schedule(vm, vmss)
    for _ in range(2):
        host.api.VMSS.snapshot_now(vmss)
    (snapshot,) = host.api.VM.get_snapshots(vm)
    assert host.api.VM.get_is_vmss_snapshot(snapshot)
    ask(console, "recall", "guest: recalls pressed, boots 1")
    host.api.VMSS.destroy(vmss)
    host.api.VM_group.destroy(group)
    host.call_and_wait("VM.hard_shutdown", vm)
    for one in (snapshot, vm):
        (vbd,) = [vbd for vbd in host.api.VM.get_VBDs(one) if host.api.VBD.get_type(vbd) == "Disk"]
        remove(host, one, host.api.VBD.get_VDI(vbd))
    say("a key of its guest's, a group and a schedule")


def main():
    url, word, disk, name = sys.argv[1:]
    host = Mover(url, word)
    (this,) = host.api.host.get_all()
    clock(host, this)
    dom0(host, this, name)
    password(host, url, word)
    kept(host)
    disks(host)
    buttons(host, disk)
    host.session.xenapi.session.logout()


if __name__ == "__main__":
    main()
