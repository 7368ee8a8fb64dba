"""Fixtures: a cluster of fake members, a real HAProxy in front of it, and the finished program."""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))

import pytest  # noqa: E402

from fake_patroni import FakeCluster  # noqa: E402
from pointsman import binary  # noqa: E402
from rig import Rig  # noqa: E402
from measured import measured, pytest_terminal_summary  # noqa: E402, F401

@pytest.fixture
def cluster():
    assert os.access(binary(), os.X_OK), f"there is no {binary()}: build it, or name it in POINTSMAN"
    with FakeCluster() as started:
        yield started


@pytest.fixture
def make_rig(cluster, request):
    """make_rig(kind="documented", run=True, ...): see rig.Rig. All of it ends with the test."""
    rigs = []

    def make(*arguments, **keys):
        rigs.append(Rig(cluster, *arguments, **keys))
        rigs[-1].start()
        return rigs[-1]

    yield make
    for rig in rigs:
        report = getattr(request.node, "report", None)
        if report is not None and report.failed:
            print(f"--- {rig.pointsman.file}'s log, its end\n{rig.log()[-6000:]}")
            print(f"--- HAProxy's log, its end\n{rig.haproxy.log()[-2000:]}")
        rig.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.report = outcome.get_result()
