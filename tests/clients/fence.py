#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Drives a host with Debian's fence_xenapi, as a cluster does.

    fence.py URL PASSWORD
"""

import os
import subprocess
import sys

from lifecycle import Host, from_template, say

NAME = "fenced"
# Exit codes of the fence agents' API.
ON, OFF, FAILED = 0, 2, 1


def fence(url, password, expected, *words, options=""):
    """Runs the agent, with options as words or, as a cluster does, on standard input."""
    # It brings its own XenAPI.
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    if words:
        words = ["--session-url", url, "--username", "root", "--password", password, *words]
    ended = subprocess.run(
        ["/usr/sbin/fence_xenapi", *words], env=environment, input=options, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
    )
    print(f"  fence| {ended.stdout.strip()}", flush=True)
    assert ended.returncode == expected, f"{words} ended with {ended.returncode}"
    return ended.stdout


def main():
    url, password = sys.argv[1:]
    host = Host(url, password)
    vm = from_template(host, "pvh", NAME)
    uuid = host.api.VM.get_uuid(vm)

    def agent(expected, action, *words):
        return fence(url, password, expected, "--action", action, *words)

    def state():
        return host.api.VM.get_power_state(vm)

    listed = agent(0, "list").splitlines()
    assert f"{uuid},{NAME}" in listed, listed
    assert not any("PVH" in line or "Domain-0" in line for line in listed), listed
    agent(OFF, "status", "--plug", NAME)
    agent(0, "on", "--plug", NAME)
    assert state() == "Running"
    agent(ON, "status", "--plug", NAME)
    domain = host.api.VM.get_domid(vm)
    agent(0, "reboot", "--plug", NAME)
    assert state() == "Running" and host.api.VM.get_domid(vm) != domain
    options = f"session_url={url}\nlogin=root\npasswd={password}\nplug={NAME}\naction=off\n"
    fence(url, password, 0, options=options)
    assert state() == "Halted"
    agent(OFF, "status", "--plug", NAME)
    assert "NAME_INVALID" in agent(FAILED, "status", "--plug", "nobody")
    wrong = fence(url, "wrong", FAILED, "--action", "status", "--plug", NAME)
    assert "SESSION_AUTHENTICATION_FAILED" in wrong, wrong
    host.api.VM.destroy(vm)
    say("fenced: off, on, rebooted, and off by standard input")


if __name__ == "__main__":
    main()
