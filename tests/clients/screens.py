# SPDX-License-Identifier: MIT OR Apache-2.0
"""Screens of guests (VNC), over CONNECT and over a websocket (RFC 6455)."""

import base64
import hashlib
import os

BANNER = b"RFB 003.008\n"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
GOODBYE = b"\x03\xe8"


def over_connect(host, vm):
    """The first line that the screen of a guest says."""
    with host.tunnel(vm, "rfb") as stream:
        said = b""
        while len(said) < len(BANNER):
            more = stream.read(len(BANNER) - len(said))
            assert more, f"the screen ended after {said!r}"
            said += more
        return said


def over_websocket(host, vm):
    """The same, in frames; says goodbye."""
    key = base64.b64encode(os.urandom(16))
    with host.dial() as tls, tls.makefile("rb") as stream:
        lines = [
            f"GET {host.console_target(vm, 'rfb')} HTTP/1.1", f"Host: {host.address[0]}:{host.address[1]}",
            "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: binary", f"Sec-WebSocket-Key: {key.decode()}",
        ]
        tls.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        status = stream.readline()
        assert b" 101 " in status, f"the websocket answered {status!r}"
        headers = {}
        while line := stream.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        proof = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        assert headers["sec-websocket-accept"] == proof, headers
        assert headers["sec-websocket-protocol"] == "binary", headers
        said = b""
        while len(said) < len(BANNER):
            kind, length = stream.read(2)
            assert kind == 0x82 and length < 126, (said, kind, length)
            said += stream.read(length)
        mask = os.urandom(4)
        tls.sendall(b"\x88\x82" + mask + bytes(a ^ b for a, b in zip(GOODBYE, mask)))
        assert stream.read() == b"\x88\x02" + GOODBYE, "the websocket does not say goodbye"
        return said


def look(host, vm):
    """The guest shows its screen both ways."""
    for over in (over_connect, over_websocket):
        said = over(host, vm)
        assert said == BANNER, (over.__name__, said)
