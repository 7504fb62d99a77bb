#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Drives a host with the release of PyPI's XenAPI that PYTHONPATH has.

    daily.py RELEASE simulated|installed URL PASSWORD

Its guest has no system: that of an installed host can be started and stopped, no more.
"""

import importlib.metadata
import os
import sys
import tempfile
import threading

import XenAPI

import screens
from lifecycle import Host, create, remove, say

NAME = "daily guest"


def fails(call, *args, with_details):
    """Calls what must fail, with exactly these details."""
    try:
        answer = call(*args)
    except XenAPI.Failure as failure:
        assert failure.details == with_details, failure.details
        assert with_details[0] in str(failure), str(failure)
    else:
        raise AssertionError(f"{with_details[0]} was expected, {answer!r} came")


def guest(host, kind="pvh"):
    with tempfile.NamedTemporaryFile() as disk:
        disk.write(os.urandom(1 << 20))
        disk.flush()
        return create(host, kind, NAME, disk.name)


def listed(host):
    """Names and power states of all that is no template."""
    records = host.api.VM.get_all_records().values()
    return {r["name_label"]: r["power_state"] for r in records if not r["is_a_template"]}


def start_and_stop(host, vm, installed):
    assert listed(host)[NAME] == "Halted"
    host.api.VM.start(vm, False, False)
    assert listed(host)[NAME] == "Running"
    fails(host.api.VM.start, vm, False, False,
          with_details=["VM_BAD_POWER_STATE", vm, "halted", "running"])
    if not installed:
        host.api.VM.suspend(vm)
        assert listed(host)[NAME] == "Suspended"
        host.api.VM.resume(vm, False, False)
    host.api.VM.hard_shutdown(vm)
    assert listed(host)[NAME] == "Halted"
    say("started, shut down" if installed else "started, suspended, resumed, shut down")


def events(host, url, password, vm):
    """Hears what another client changes."""
    batch = host.api.event_from(["vm"], "", 0.0)
    known = {event["ref"]: event["snapshot"] for event in batch["events"]}
    assert known[vm]["name_label"] == NAME, known[vm]
    assert int(batch["valid_ref_counts"]["vm"]) == len(known), batch["valid_ref_counts"]
    other = Host(url, password)
    change = threading.Timer(0.5, other.api.VM.set_name_description, (vm, "heard"))
    change.start()
    batch = host.api.event_from(["vm"], batch["token"], 30.0)
    change.join()
    (event,) = batch["events"]
    assert (event["class"], event["operation"], event["ref"]) == ("vm", "mod", vm), event
    assert event["snapshot"]["name_description"] == "heard", event
    assert host.api.event_from(["vm"], batch["token"], 0.2)["events"] == []
    say("heard a change of another client")


def tasks(host, vm):
    host.call_and_wait("VM.start", vm, False, False)
    task = host.api.Async.VM.start(vm, False, False)
    while host.api.task.get_status(task) == "pending":
        host.api.event_from([f"task/{task}"], "", 5.0)
    record = host.api.task.get_record(task)
    assert record["status"] == "failure", record
    assert record["error_info"] == ["VM_BAD_POWER_STATE", vm, "halted", "running"], record
    host.api.task.destroy(task)
    host.call_and_wait("VM.hard_shutdown", vm)
    say("tasks succeeded and failed")


def screen(host):
    vm, vdi = guest(host, "hvm")
    host.api.VM.start(vm, False, False)
    screens.look(host, vm)
    host.api.VM.hard_shutdown(vm)
    remove(host, vm, vdi)
    say("saw a screen over CONNECT and over a websocket")


def errors(url, password, host):
    fails(host.api.VM.get_by_uuid, "no uuid", with_details=["UUID_INVALID", "VM", "no uuid"])
    fails(host.api.VM.get_record, "OpaqueRef:no",
          with_details=["HANDLE_INVALID", "VM", "OpaqueRef:no"])
    fails(host.api.VM.fly, with_details=["MESSAGE_METHOD_UNKNOWN", "VM.fly"])
    try:
        Host(url, "not " + password)
    except XenAPI.Failure as failure:
        assert failure.details[0] == "SESSION_AUTHENTICATION_FAILED", failure.details
    else:
        raise AssertionError("a wrong password was taken")
    # A client whose session is gone logs in again by itself.
    gone = host.session._session
    other = Host(url, password)
    other.session.session.logout(gone)
    (pool,) = host.api.pool.get_all()
    assert host.session._session != gone
    config = host.api.pool.get_other_config(pool)
    host.api.pool.add_to_other_config(pool, "client", "1")
    fails(host.api.pool.add_to_other_config, pool, "client", "2",
          with_details=["MAP_DUPLICATE_KEY", "pool", "other_config", pool, "client"])
    host.api.pool.remove_from_other_config(pool, "client")
    assert host.api.pool.get_other_config(pool) == config
    other.session.xenapi.session.logout()
    say("errors came as they are, and a new session where the old one had gone")


def main():
    release, kind, url, password = sys.argv[1:]
    assert importlib.metadata.version("XenAPI") == release, importlib.metadata.version("XenAPI")
    host = Host(url, password)
    vm, vdi = guest(host)
    start_and_stop(host, vm, kind == "installed")
    events(host, url, password, vm)
    tasks(host, vm)
    if kind == "simulated":
        screen(host)
    errors(url, password, host)
    remove(host, vm, vdi)
    assert NAME not in listed(host)
    host.session.xenapi.session.logout()


if __name__ == "__main__":
    main()
