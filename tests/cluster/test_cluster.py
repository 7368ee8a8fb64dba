"""pointsman on a real cluster, in both methods and on HAProxy's configurations as people have them.

In every scenario a client opens a new connection every 20 ms, and afterwards nothing was committed on, and nothing was led
to, a server that was not the writer: by the client's notes, by the table that survived and by PostgreSQL's own logs.
"""

import json
import os
import signal
import subprocess
import threading

import pytest

from haproxy import Haproxy
from processes import spawn, wait_until
from traffic import Traffic
from verdict import changes, judge, spans

HERE = os.path.dirname(os.path.abspath(__file__))
SETUPS = [("documented", "runtime"), ("naive", "runtime"), ("nocheck", "runtime"), ("fragment", "file")]
SLOW_SETUPS = [("documented", "runtime"), ("naive", "runtime"), ("fragment", "file")]  # where a failover has to be waited for
NAMES = "-".join
GRACE = 0.1  # seconds after a foreign worker's first answer that are counted apart

setups = pytest.mark.parametrize("setup", SETUPS, ids=NAMES)
slow_setups = pytest.mark.parametrize("setup", SLOW_SETUPS, ids=NAMES)


def windows(haproxy, since):
    """The starts of HAProxy by somebody else since then, each with its 100 ms."""
    return [(begin, answered + GRACE) for begin, answered in haproxy.worker_starts if begin >= since]


def wait_old_stopped(traffic, address, timeout=20):
    """Until the probe no longer finds `address` writable."""
    def stopped():
        states = [span for span in spans(traffic.probe_notes.read()) if span.server == address]
        return states[-1].state != "writable"

    wait_until(stopped, timeout, f"{address} takes no more writes", every=0.005)


@setups
def test_switchover(make_rig, cluster, setup, measured):
    rig = make_rig(*setup)
    old = cluster.leader()
    with Traffic(cluster, rig.haproxy) as traffic:
        new = cluster.switchover()
        traffic.wait_write(10, new.address, after=0)
        traffic.wait_calm()
        # The old primary comes back as a replica that serves reads.
        traffic.wait_read(40, old.address)
        rig.wait_steered()
    verdict = judge(traffic)
    change, = changes(traffic)
    measured(f"first good write {change.delay * 1000:.0f} ms after the new primary was writable; {verdict.text()}")
    assert verdict.problems() == []
    assert change.delay < 2.0


@slow_setups
def test_crash_return_and_switchover_back(make_rig, cluster, setup, measured):
    rig = make_rig(*setup)
    old = cluster.leader()
    with Traffic(cluster, rig.haproxy) as traffic:
        old.kill9()
        killed = len(traffic.writes())
        new = wait_until(cluster.leader, 60, "another member is primary")
        traffic.wait_write(10, new.address, after=0)
        traffic.wait_calm()
        old.start()
        traffic.wait_read(60, old.address)
        cluster.wait_healthy()
        rig.wait_steered()
        cluster.switchover(old)
        traffic.wait_write(10, old.address)
        traffic.wait_calm()
        traffic.wait_read(60, new.address)
    verdict = judge(traffic)
    failover, back = changes(traffic)
    measured(f"failover {failover.delay * 1000:.0f} ms, back {back.delay * 1000:.0f} ms after writable; {verdict.text()}")
    # Replication is asynchronous: what the dead primary had acknowledged in its last moments may be gone with it.
    assert verdict.problems(lost_allowed=True) == []
    assert all(record["server"] == old.address and record["n"] <= killed + 5 for record in verdict.missing)
    assert failover.delay < 2.0 and back.delay < 2.0


def misrouted(verdict):
    """In the windows that are counted apart, by the clients' notes and by PostgreSQL's logs."""
    return max(len(verdict.grace), len(verdict.grace_logged))


def misrouted_by_haproxy_alone(cluster, kind, disturb):
    """How many connections HAProxy misleads after the same disturbance, pointsman absent: the worse of two."""
    leader = cluster.wait_healthy()
    worst = 0
    with Haproxy(cluster, kind) as haproxy:
        for _ in range(2):
            if kind in ("documented", "fragment"):
                wait_until(lambda: haproxy.usable("pg_primary") == {leader.name}, 15, "HAProxy has found the primary")
            with Traffic(cluster, haproxy) as traffic:
                disturb(haproxy)
                end = haproxy.worker_starts[-1][1] + GRACE
                wait_until(lambda: traffic.writes()[-1]["start"] > end, 10, "the window has passed")
            worst = max(worst, misrouted(judge(traffic, windows(haproxy, traffic.began))))
    return worst


def kill_and_start(haproxy):
    haproxy.kill9()
    haproxy.start()


def disturbed(make_rig, cluster, setup, measured, disturb):
    kind, _ = setup
    alone = misrouted_by_haproxy_alone(cluster, kind, disturb)
    rig = make_rig(*setup)
    with Traffic(cluster, rig.haproxy) as traffic:
        disturb(rig.haproxy)
        rig.wait_steered()
        traffic.wait_calm()
    verdict = judge(traffic, windows(rig.haproxy, traffic.began))
    measured(f"{verdict.text()}; HAProxy alone misleads {alone} in the same time")
    assert verdict.problems() == []
    assert misrouted(verdict) <= max(alone, 1)


@setups
def test_haproxy_killed_and_started_again(make_rig, cluster, setup, measured):
    disturbed(make_rig, cluster, setup, measured, kill_and_start)


@setups
def test_haproxy_reloaded_by_somebody_else(make_rig, cluster, setup, measured):
    disturbed(make_rig, cluster, setup, measured, Haproxy.reload)


@slow_setups
def test_pointsman_killed_and_started_again_in_the_middle_of_a_switchover(make_rig, cluster, setup, measured):
    rig = make_rig(*setup)
    old = cluster.leader()
    with Traffic(cluster, rig.haproxy) as traffic:
        switchover = threading.Thread(target=cluster.switchover)
        switchover.start()
        wait_old_stopped(traffic, old.address)
        rig.pointsman.kill9()
        rig.pointsman.start()
        switchover.join()
        traffic.wait_write(10, cluster.leader().address)
        traffic.wait_calm()
        cluster.wait_healthy()
        rig.wait_steered()
    verdict = judge(traffic)
    change, = changes(traffic)
    measured(f"first good write {change.delay * 1000:.0f} ms after writable; {verdict.text()}")
    assert verdict.problems() == []


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("setup", [("documented", "runtime"), ("fragment", "file")], ids=NAMES)
def test_haproxy_alone_finds_the_next_primary_when_pointsman_is_gone(make_rig, cluster, setup, end, measured):
    rig = make_rig(*setup)
    with Traffic(cluster, rig.haproxy) as traffic:
        rig.pointsman.process.send_signal(end)
        new = cluster.switchover()
        traffic.wait_write(20, new.address, after=0)
        traffic.wait_calm(timeout=20)
    if end == signal.SIGSTOP:
        rig.pointsman.process.send_signal(signal.SIGKILL)
    verdict = judge(traffic)
    change, = changes(traffic)
    measured(f"first good write {change.delay * 1000:.0f} ms after writable, by HAProxy's own checks; {verdict.text()}")
    assert not verdict.wrong_commits and not verdict.missing and not verdict.disagreeing


@slow_setups
def test_release_gives_haproxy_back(make_rig, cluster, setup):
    """After a stop and `release`, what HAProxy does next is its own doing: nothing that pointsman set is left."""
    rig = make_rig(*setup)
    kind, _ = setup
    assert rig.pointsman.stop() == 0
    done = rig.pointsman.command("release")
    assert done.returncode == 0, done.stderr
    if kind == "naive":
        # Its own check cannot know roles: what is set stays, and the writer alone is in.
        assert rig.haproxy.usable("pg_primary") == {cluster.leader().name}
    else:
        new = cluster.switchover()
        wait_until(lambda: rig.haproxy.usable("pg_primary") == {new.name}, 20, "HAProxy follows by itself")
        cluster.wait_healthy()


@slow_setups
def test_php_clients_keep_working_through_a_switchover(make_rig, cluster, setup, measured):
    rig = make_rig(*setup)
    old = cluster.leader()
    host, port = rig.haproxy.write_address
    with Traffic(cluster, rig.haproxy, write_every=0.1) as traffic:
        arguments = {"pdo_client.php": (host, str(port), "10"), "pg_client.php": (f"{host}:{port}", "10")}
        clients = {name: spawn(["/usr/bin/php", f"{HERE}/php/{name}", *words], traffic.folder, f"{traffic.folder}/php.log",
                               stdout=subprocess.PIPE) for name, words in arguments.items()}
        both = "SELECT count(DISTINCT client) = 2 FROM php_writes"
        wait_until(lambda: old.sql(both, database="app")[0][0], 10, "both clients write")
        new = cluster.switchover()
        results = {name: json.loads(process.communicate(timeout=30)[0]) for name, process in clients.items()}
    assert judge(traffic).problems() == []
    for name, result in results.items():
        measured(f"{name}: {result}")
        assert set(result["servers"]) == {old.address, new.address}, name
        assert result["ended_ok"] and result["ok"] > 100 and result["longest_gap_ms"] < 6000, name
    rows = dict(new.sql("SELECT client, count(*) FROM php_writes GROUP BY client", database="app"))
    assert rows["pdo"] >= results["pdo_client.php"]["ok"] and rows["pg"] >= results["pg_client.php"]["ok"]
    new.sql("TRUNCATE php_writes", database="app")


@slow_setups
def test_once_every_second_follows_a_switchover(make_rig, cluster, setup, measured):
    rig = make_rig(*setup, run=False)
    done = rig.pointsman.command("once")
    assert done.returncode == 0, done.stderr
    rig.wait_steered()
    codes = []
    ended = threading.Event()

    def cron():
        while not ended.is_set():
            codes.append(rig.pointsman.command("once").returncode)
            ended.wait(1.0)

    with Traffic(cluster, rig.haproxy) as traffic:
        turns = threading.Thread(target=cron)
        turns.start()
        try:
            new = cluster.switchover()
            traffic.wait_write(20, new.address, after=0)
            rig.wait_steered()
            traffic.wait_calm()
        finally:
            ended.set()
            turns.join()
    verdict = judge(traffic)
    change, = changes(traffic)
    measured(f"first good write {change.delay * 1000:.0f} ms after writable; codes {sorted(set(codes))}; {verdict.text()}")
    assert set(codes) <= {0, 3}
    assert not verdict.wrong_commits and not verdict.missing and not verdict.disagreeing
    # A turn a second, each of which may come just before the change: two turns, and the time of one.
    assert change.delay < 3.0


@slow_setups
def test_two_once_at_a_time_take_turns(make_rig, cluster, setup):
    rig = make_rig(*setup, run=False)
    for _ in range(5):
        both = [rig.pointsman.launch("once"), rig.pointsman.launch("once")]
        assert [process.wait(20) for process in both] == [0, 0], rig.pointsman.log()[-2000:]
    rig.wait_steered()


def test_once_beside_run_has_nothing_to_do_and_a_second_run_is_refused(make_rig, cluster):
    rig = make_rig("documented", "runtime")
    done = rig.pointsman.command("once")
    assert done.returncode == 0, done.stderr
    assert str(rig.pointsman.process.pid) in done.stdout + done.stderr
    before = rig.haproxy.state()
    second = rig.pointsman.command("run")
    assert second.returncode != 0
    assert str(rig.pointsman.process.pid) in second.stderr
    assert rig.pointsman.running() and rig.haproxy.state() == before
