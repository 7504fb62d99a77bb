#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs what a page of docs/ has in Python, in its order and as it is written, against a simulated host.

    tutorial.py PAGE URL PASSWORD

What the page asks for before it begins is made here.
"""

import os
import re
import sys
import tempfile

# An image for a disk; what is in it is the reader's.
IMAGE = ("web.raw", 16 << 20)


def blocks(text):
    """The Python blocks of a page, each with the line that it begins in."""
    for found in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, found.start(1)) + 1, found[1]


def main(page, url, password):
    with open(page, encoding="utf-8") as file:
        parts = list(blocks(file.read()))
    if len(parts) < 3:
        sys.exit(f"{page} has {len(parts)} blocks of Python: that cannot be all")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with open(IMAGE[0], "wb") as image:
            image.truncate(IMAGE[1])
        os.environ.update(XEN_URL=url, XEN_PASSWORD=password)
        names = {"__name__": "__main__"}
        for line, part in parts:
            # Errors name lines of the page.
            exec(compile("\n" * (line - 1) + part, page, "exec"), names)
    print(f"{len(parts)} blocks of {page} ran")


main(*sys.argv[1:])
