# SPDX-License-Identifier: MIT OR Apache-2.0
"""Holds libxenstore's held changes against a xenstored of a few lines: what is sent when, and what
becomes of a refusal, without and with a thread that reads. Argument: the folder with the libraries."""

import ctypes
import os
import socket
import struct
import sys
import tempfile
import threading

HEADER = struct.Struct("<IIII")  # type, request, transaction, length (xs_wire.h)
READ, TRANSACTION_START, TRANSACTION_END, WRITE, ERROR = 2, 6, 7, 11, 16
ENOENT, ENOSPC = 2, 28

received = []


def serve(connection):
    stream, transactions = connection.makefile("rb"), 0
    while len(header := stream.read(HEADER.size)) == HEADER.size:
        kind, request, transaction, length = HEADER.unpack(header)
        body = stream.read(length)
        received.append((kind, transaction, body))
        answer = b"OK\0"
        if kind == TRANSACTION_START:
            transactions += 1
            answer = b"%d\0" % transactions
        elif kind == READ:
            answer = b"value"
        elif body.startswith(b"/refused"):
            kind, answer = ERROR, b"ENOSPC\0"
        elif body.startswith(b"/missing"):
            kind, answer = ERROR, b"ENOENT\0"
        connection.sendall(HEADER.pack(kind, request, transaction, len(answer)) + answer)


def accept(listener):
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


def library(folder):
    for name in ("libxentoolcore.so.1", "libxenstore.so.4"):
        loaded = ctypes.CDLL(f"{folder}/{name}", mode=ctypes.RTLD_GLOBAL, use_errno=True)
    loaded.xs_open.restype = loaded.xs_read.restype = ctypes.c_void_p
    for name in ("xs_write", "xs_mkdir", "xs_rm", "xs_watch", "xs_transaction_end"):
        getattr(loaded, name).restype = ctypes.c_bool
    return loaded


def check(xs, reading_thread):
    handle = ctypes.c_void_p(xs.xs_open(0))
    assert handle
    if reading_thread:
        assert xs.xs_watch(handle, b"/w", b"token")
    length = ctypes.c_uint()

    def begin():
        transaction = xs.xs_transaction_start(handle)
        received.clear()
        return transaction

    def write(transaction, path, value=b"x"):
        return xs.xs_write(handle, transaction, path, value, len(value))

    def end(transaction, abort=False):
        return xs.xs_transaction_end(handle, transaction, abort)

    # All of it arrives, in order, and little of it before it must.
    transaction, value = begin(), b"v" * 300
    for number in range(200):
        assert write(transaction, b"/a/%d" % number, value)
    assert xs.xs_mkdir(handle, transaction, b"/d")
    assert len(received) in range(1, 201)  # No more than a buffer of them is held.
    assert end(transaction)
    expected = [b"/a/%d\0" % number + value for number in range(200)] + [b"/d\0", b"T\0"]
    assert [body for _, _, body in received] == expected

    # A refusal ends its own transaction, no other, and the end tells of it.
    transaction = begin()
    assert write(transaction, b"/refused") and write(transaction, b"/fine")
    other = xs.xs_transaction_start(handle)
    assert write(other, b"/x") and end(other)
    assert not end(transaction) and ctypes.get_errno() == ENOSPC
    assert received[-1] == (TRANSACTION_END, transaction, b"F\0")
    transaction = begin()
    assert write(transaction, b"/refused") and end(transaction, abort=True)

    # What is not there is removed, but not written.
    for change, error in ((xs.xs_rm, None), (xs.xs_mkdir, ENOENT)):
        transaction = begin()
        assert change(handle, transaction, b"/missing") and not received
        assert end(transaction) == (error is None)
        assert error is None or ctypes.get_errno() == error

    # What is read in a transaction was written before.
    transaction = begin()
    assert write(transaction, b"/f") and not received
    assert xs.xs_read(handle, transaction, b"/f", ctypes.byref(length))
    assert [kind for kind, _, _ in received] == [WRITE, READ]
    assert end(transaction)

    # Outside of transactions each answer is the caller's.
    assert not write(0, b"/refused") and ctypes.get_errno() == ENOSPC
    # One that never ends is no obstacle.
    transaction = begin()
    assert write(transaction, b"/refused")
    assert xs.xs_read(handle, 0, b"/f", ctypes.byref(length))
    assert write(transaction, b"/g")
    xs.xs_close(handle)


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XENSTORED_PATH"] = f"{folder}/socket"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.environ["XENSTORED_PATH"])
        listener.listen()
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        xs = library(sys.argv[1])
        for reading_thread in (False, True):
            check(xs, reading_thread)


main()
