"""Fixtures: a cluster of fake members, a real HAProxy in front of it, and the finished program."""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))

import pytest  # noqa: E402

from fake_patroni import FakeCluster  # noqa: E402
from pointsman import binary  # noqa: E402
from rig import Rig  # noqa: E402
from rigs import keep_rig, pytest_runtest_makereport  # noqa: E402, F401
from measured import measured, pytest_terminal_summary  # noqa: E402, F401


@pytest.fixture
def cluster():
    assert os.access(binary(), os.X_OK), f"there is no {binary()}: build it, or name it in POINTSMAN"
    with FakeCluster() as started:
        yield started


@pytest.fixture
def make_rig(cluster, keep_rig):
    """make_rig(kind="documented", run=True, ...): see rig.Rig. All of it ends with the test."""
    def make(*arguments, **keys):
        rig = keep_rig(Rig(cluster, *arguments, **keys))
        rig.start()
        return rig

    return make
