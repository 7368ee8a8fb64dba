#!/usr/bin/python3
"""Runs a program of another Debian: in_root.py ROOT PROGRAM ARGUMENTS...

The program sees this machine with ROOT's /usr in the place of its own, in a mount namespace of its own. So all other paths are the
same inside and outside, the process keeps its id, and it can execute itself again, as HAProxy's master does.
"""

import ctypes
import os
import sys

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000

libc = ctypes.CDLL(None, use_errno=True)


def checked(result, what):
    if result != 0:
        sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")


def bind(source, target):
    checked(libc.mount(source.encode(), target.encode(), None, MS_BIND | MS_REC, None), f"mount {source} on {target}")


def main():
    root, program = sys.argv[1:3]
    checked(libc.unshare(CLONE_NEWNS), "unshare")
    checked(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mount / private")
    bind(f"{root}/etc/ld.so.cache", "/etc/ld.so.cache")
    bind(f"{root}/usr", "/usr")
    os.execv(program, sys.argv[2:])


main()
