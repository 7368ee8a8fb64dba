"""Where programs come from: this machine, or another Debian's root, as tests/roots.sh makes them."""

import glob
import os
import subprocess

from processes import HarnessError

TESTS = os.path.abspath(f"{os.path.dirname(os.path.abspath(__file__))}/..")
PATRONI = ("patroni", "python3-etcd", "postgresql-17", "curl")  # what a member needs of Debian 13; etcd is the machine's own


class Root:
    """path: a folder made by tests/roots.sh; empty: this machine itself."""

    def __init__(self, path=""):
        self.path = os.path.abspath(path) if path else ""
        if not os.path.isdir(f"{self.path}/usr"):
            raise HarnessError(f"{path} is no root of a Debian: there is no usr in it")
        found = glob.glob(f"{self.path}/usr/lib/postgresql/*/bin")
        self.postgresql_bin = max(found, key=lambda folder: int(folder.split("/")[-2]), default="/usr/bin").removeprefix(self.path)

    def inside(self):
        """The words that make the command after them a program of this root. They need root; ids and other folders stay as they are."""
        return ["/usr/bin/python3", f"{TESTS}/in_root.py", self.path] if self.path else []


def make_root(version, *packages):
    """The Root of that version of Debian with these packages. It is made once, in minutes; without debootstrap it cannot be."""
    done = subprocess.run([f"{TESTS}/roots.sh", version, *packages], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HarnessError(f"there is no root of {version} with {' '.join(packages)}:\n{done.stderr[-2000:]}")
    return Root(done.stdout.strip())
