"""Fixtures: one cluster for a whole file of tests, and a rig of HAProxy and pointsman for each test."""

import os
import sys

sys.dont_write_bytecode = True

import pytest  # noqa: E402

from cluster import Cluster  # noqa: E402
from haproxy import Haproxy  # noqa: E402
from pointsman import Pointsman, binary  # noqa: E402
from processes import wait_until  # noqa: E402
from rigs import keep_rig, pytest_runtest_makereport  # noqa: E402, F401
from measured import measured, pytest_terminal_summary  # noqa: E402, F401


@pytest.fixture(scope="module")
def cluster():
    """A short ttl, so that a crash is over sooner; everything else as Patroni has it."""
    with Cluster(ttl=20, loop_wait=5, retry_timeout=5) as started:
        yield started


class Rig:
    def __init__(self, cluster, kind, method, run):
        self.cluster, self.kind, self.method = cluster, kind, method
        self.haproxy = Haproxy(cluster, kind)
        self.pointsman = Pointsman(cluster, self.haproxy, method)
        self.haproxy.start()
        if run:
            self.pointsman.start()
            self.wait_steered()

    def steered(self):
        leader = self.cluster.leader()
        return (leader is not None and self.haproxy.usable("pg_primary") == {leader.name} and
                self.haproxy.usable("pg_replicas") == {member.name for member in self.cluster.members.values()} - {leader.name})

    def wait_steered(self, timeout=20):
        wait_until(self.steered, timeout, "HAProxy writes to the leader alone and reads from the two others")

    def close(self):
        self.pointsman.stop()
        self.haproxy.stop()


@pytest.fixture
def healthy(cluster):
    """The cluster, before the test and after it."""
    cluster.wait_healthy()
    yield cluster
    cluster.revive()


@pytest.fixture
def make_rig(healthy, keep_rig):
    """make_rig(kind, method, run=True): HAProxy, and pointsman steering it."""
    assert os.access(binary(), os.X_OK), f"there is no {binary()}: build it, or name it in POINTSMAN"
    return lambda kind, method, run=True: keep_rig(Rig(healthy, kind, method, run))
