"""Fixtures: hold.lua in every HAProxy there is: the installed one, or that of HAPROXY (a program, or a root of another Debian), and
those in build/roots. HOLD_VERSIONS=1 makes the roots that are not there yet."""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(1, f"{HERE}/../cluster")

import pytest  # noqa: E402

from measured import measured, pytest_terminal_summary  # noqa: E402, F401
from rig import Rig  # noqa: E402
from rigs import pytest_runtest_makereport  # noqa: E402, F401

ROOTS = os.path.abspath(f"{HERE}/../../build/roots")


def versions():
    if "HAPROXY" in os.environ:
        return {os.path.basename(os.environ["HAPROXY"]): os.environ["HAPROXY"]}
    found = {"installed": "/usr/sbin/haproxy"}
    for name in ("trixie", "sid"):
        if os.environ.get("HOLD_VERSIONS") == "1":
            found[name] = subprocess.check_output([f"{HERE}/../roots.sh", name, "haproxy"], text=True).strip()
        elif os.access(f"{ROOTS}/{name}/usr/sbin/haproxy", os.X_OK):
            found[name] = f"{ROOTS}/{name}"
    return found


def pytest_generate_tests(metafunc):
    if "version" in metafunc.fixturenames:
        there = versions()
        metafunc.parametrize("version", there.values(), ids=there.keys(), scope="session")


@pytest.fixture
def make_rig(version, request):
    """make_rig(sections=..., longest="40s"): see rig.Rig. When the test ends, Lua must not have complained, but for `expected`."""
    rigs = []

    def make(*arguments, expected=(), **keys):
        rigs.append((Rig(version, *arguments, **keys), expected))
        return rigs[-1][0]

    yield make
    complaints = []
    for rig, expected in rigs:
        complaints += [line for line in rig.lua_lines() if not any(part in line for part in expected)]
        if getattr(request.node, "failed", False):
            print(f"--- HAProxy's output, its end\n{rig.output()[-3000:]}\n--- its log\n" + "\n".join(rig.log_lines[-20:]))
        rig.close()
    assert not complaints, complaints[:5]


@pytest.fixture(scope="module")
def shared_rig(version):
    """One for tests that only ask. No other rig beside it: HAProxy would share the door with it (SO_REUSEPORT)."""
    rig = Rig(version)
    yield rig
    rig.close()
