"""What it must reach, measured on a real cluster."""

import os
import statistics
import subprocess
import sys
import time

import pytest

from processes import wait_until
from traffic import Traffic
from verdict import changes, judge


def test_the_first_write_comes_within_150_ms_of_the_new_primary(make_rig, cluster, measured):
    rig = make_rig("documented", "runtime")
    delays, failed, away = [], [], []
    for _ in range(5):
        with Traffic(cluster, rig.haproxy) as traffic:
            new = cluster.switchover()
            traffic.wait_write(10, new.address, after=0)
            traffic.wait_calm()
        verdict = judge(traffic)
        assert verdict.problems() == []
        change, = changes(traffic)
        delays.append(change.delay * 1000)
        failed.append(verdict.failed)
        away.append((change.new_writable - change.old_stopped) * 1000)
        cluster.wait_healthy()
        rig.wait_steered()
    measured(f"median {statistics.median(delays):.0f} ms of {[round(delay) for delay in delays]}; failed writes {failed}; "
             f"PostgreSQL itself away for {[round(each) for each in away]} ms")
    assert statistics.median(delays) <= 150


@pytest.mark.parametrize("setup", [("documented", "runtime"), ("naive", "runtime"), ("fragment", "file")], ids="-".join)
def test_once_takes_30_ms_on_a_quiet_cluster(make_rig, cluster, setup, measured):
    rig = make_rig(*setup, run=False)
    for _ in range(2):
        assert rig.pointsman.command("once").returncode == 0
    rig.wait_steered()
    ask = ["curl", "-s", "-o", "/dev/null", f"{cluster.leader().api_url}/primary"]
    for _ in range(3):  # a machine that is busy with something else for a while gets another try
        times, peers = [], []
        for _ in range(20):
            done = rig.pointsman.command("once")
            assert done.returncode == 0, done.stderr
            times.append(done.seconds * 1000)
            begin = time.monotonic()
            subprocess.run(ask, check=False)
            peers.append((time.monotonic() - begin) * 1000)
        median, peer = statistics.median(times), statistics.median(peers)
        measured(f"median {median:.1f} ms, longest {max(times):.1f} ms; one curl beside it {peer:.1f} ms")
        if median <= max(30, 3 * peer):
            return
    pytest.fail(f"`once` took {median:.1f} ms, and one curl {peer:.1f} ms")

BARE_LOOKS = """
import socket, sys, time
begin, used = time.monotonic(), time.process_time()
while time.monotonic() < begin + 10:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(sys.argv[1])
        one.sendall(b"show info; show servers state; show stat -1 4 -1\\n")
        while one.recv(65536):
            pass
    time.sleep(0.05)
print((time.process_time() - used) / (time.monotonic() - begin))
"""


@pytest.mark.parametrize("setup", [("documented", "runtime"), ("fragment", "file")], ids="-".join)
def test_run_in_calm_costs_at_most_half_a_percent_of_a_core(make_rig, cluster, setup, measured):
    rig = make_rig(*setup)
    calm_from = time.monotonic() + 52  # the pace has come down from what is new at a start
    wait_until(lambda: time.monotonic() >= calm_from, 60, "calm", every=0.5)
    shares = []
    for _ in range(3):  # a machine that is busy with something else makes every switch of context dearer
        begin, used = time.monotonic(), rig.pointsman.cpu_seconds()
        wait_until(lambda: time.monotonic() >= begin + 20, 30, "20 s have passed", every=0.5)
        shares.append((rig.pointsman.cpu_seconds() - used) / (time.monotonic() - begin))
        measured(f"{shares[-1] * 100:.2f} % of a core")
        if shares[-1] <= 0.005:
            break
    # A bare loop of looks costs 0.38 % where half a percent was measured; a machine on which it costs more is slower at everything.
    bare = float(subprocess.run([sys.executable, "-c", BARE_LOOKS, rig.haproxy.socket], capture_output=True, text=True, check=True).stdout)
    measured(f"a bare loop of looks at HAProxy: {bare * 100:.2f} % of a core")
    assert min(shares) <= max(0.005, 0.005 / 0.0038 * bare)


def files(*folders):
    """{path: (size, mtime in ns, inode)} of everything in the folders; HAProxy's sockets and the logs are left out."""
    found = {}
    for folder in folders:
        for where, below, names in os.walk(folder):
            if "run" in below:
                below.remove("run")
            for path in [where] + [f"{where}/{name}" for name in names if not name.endswith("log")]:
                status = os.lstat(path)
                found[path] = (status.st_size, status.st_mtime_ns, status.st_ino)
    return found


def everything(rig):
    return rig.haproxy.state(), rig.haproxy.pid(), files(rig.haproxy.folder, rig.pointsman.folder)


@pytest.mark.parametrize("setup", [("naive", "runtime"), ("nocheck", "runtime"), ("fragment", "file")], ids="-".join)
def test_plan_says_what_it_would_do_and_changes_nothing(make_rig, cluster, setup):
    rig = make_rig(*setup, run=False)
    leader = cluster.leader()
    kind, method = setup
    if kind != "fragment":
        wait_until(lambda: len(rig.haproxy.usable("pg_primary")) == 3, 10, "all three are in")
    else:
        wait_until(lambda: rig.haproxy.usable("pg_primary") == {leader.name}, 10, "HAProxy's own checks have found the primary")
    before = everything(rig)
    plan = rig.pointsman.command("plan")
    after = everything(rig)
    assert plan.returncode == 2, plan.stdout + plan.stderr
    assert after == before
    changed = [line for line in plan.stdout.splitlines() if line[:1] in "+-" and not line.startswith(("+++", "---"))]
    assert changed, plan.stdout
    if method == "runtime":
        assert any("pg_primary" in line or "pg_replicas" in line for line in plan.stdout.splitlines())

    # Once it is done, there is nothing left to plan.
    assert rig.pointsman.command("once").returncode == 0
    rig.wait_steered()
    before = everything(rig)
    plan = rig.pointsman.command("plan")
    assert plan.returncode == 0, plan.stdout + plan.stderr
    assert everything(rig) == before


def test_status_shows_every_member_and_server_with_a_reason(make_rig, cluster):
    rig = make_rig("documented", "runtime")
    done = rig.pointsman.command("status")
    assert done.returncode == 0, done.stderr
    for name in cluster.members:
        assert name in done.stdout
    assert cluster.leader().name in str(rig.pointsman.status())
    status, _ = rig.pointsman.get("/readyz")
    assert status == 200
    status, body = rig.pointsman.get("/metrics")
    assert status == 200 and "pointsman_" in body
