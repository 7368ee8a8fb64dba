"""The harness itself, with HAProxy alone: does it see what goes wrong, and does nothing outlive it?"""

import os
import signal
import subprocess
import sys

import pytest

from haproxy import Haproxy
from processes import HarnessError, processes_in, refuse_leftovers, wait_until
from traffic import Traffic
from verdict import Span, changes, is_wrong, judge, logged_connections, writer_at

HERE = os.path.dirname(os.path.abspath(__file__))


def test_haproxy_alone_takes_seconds_to_follow_a_switchover(cluster, measured):
    old = cluster.wait_healthy()
    with Haproxy(cluster, "documented") as haproxy:
        wait_until(lambda: haproxy.usable("pg_primary") == {old.name}, 15, "HAProxy has found the primary")
        with Traffic(cluster, haproxy) as traffic:
            new = cluster.switchover()
            traffic.wait_write(30, new.address)
            traffic.wait_calm()
    verdict = judge(traffic)
    change, = changes(traffic)
    measured(f"first good write {change.delay * 1000:.0f} ms after the new primary was writable; {verdict.text()}")
    assert (change.old, change.new) == (old.address, new.address)
    assert change.delay > 1.0
    # The old primary comes back as a replica while HAProxy still writes to it.
    assert verdict.wrong_connections or verdict.wrong_logged
    assert not verdict.missing and not verdict.wrong_commits and not verdict.disagreeing
    cluster.wait_healthy()


def test_a_reload_of_haproxy_alone_is_seen_to_misroute(cluster, measured):
    leader = cluster.wait_healthy()
    with Haproxy(cluster, "documented") as haproxy:
        wait_until(lambda: haproxy.usable("pg_primary") == {leader.name}, 15, "HAProxy has found the primary")
        with Traffic(cluster, haproxy) as traffic:
            first = haproxy.pid()
            haproxy.reload()
            assert haproxy.pid() != first
            traffic.wait_calm()
        begin, answered = haproxy.worker_starts[-1]
    verdict = judge(traffic)
    measured(verdict.text())
    assert verdict.wrong_connections and verdict.wrong_logged
    # All of them are counted apart where the window is wide enough, and none where there is no window.
    apart = judge(traffic, [(begin, answered + 10)])
    assert not apart.wrong_connections and not apart.wrong_logged
    assert len(apart.grace) == len(verdict.wrong_connections) and len(apart.grace_logged) == len(verdict.wrong_logged)


def test_writes_to_a_replica_are_seen_without_any_check(cluster):
    cluster.wait_healthy()
    with Haproxy(cluster, "nocheck") as haproxy:
        with Traffic(cluster, haproxy) as traffic:
            wait_until(lambda: len(traffic.writes()) >= 30, 10, "30 writes were tried")
    verdict = judge(traffic)
    # Round robin over three servers: two thirds go wrong.
    assert len(verdict.wrong_connections) >= verdict.attempts // 3
    assert verdict.problems()


def test_a_second_cluster_on_the_same_addresses_is_refused_with_who_is_there(cluster):
    address = cluster.members["pg1"].address
    with pytest.raises(HarnessError, match=f"{address}:5432 is in use by process .*{cluster.folder}"):
        refuse_leftovers([(address, 5432)])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_a_harness_that_is_killed(number):
    script = f"""
import sys
sys.path.insert(0, {HERE!r})
from cluster import Cluster
with Cluster(net="127.0.9") as cluster:
    print(cluster.folder, flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-B", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL) as harness:
        folder = harness.stdout.readline().strip()
        assert len(processes_in(folder)) > 10
        harness.send_signal(number)
        harness.wait(30)
    wait_until(lambda: not processes_in(folder) and not os.path.exists(folder), 20, "processes and folder are gone")


def span(server, state, since, until, timeline=None, not_before=None):
    return Span(server, state, timeline, since if not_before is None else not_before, since, until)


SWITCH = [span("a", "writable", 0, 10, 1), span("b", "replica", 0, 11), span("b", "writable", 11.02, 99, 2, not_before=11),
          span("a", "down", 10.01, 12), span("a", "replica", 12.01, 99)]


@pytest.mark.parametrize("server, begin, end, wrong", [
    ("a", 5, 5.1, False),          # the writer
    ("b", 5, 5.1, True),           # a replica
    ("a", 10.5, 10.5, False),      # the old one is away and nobody follows yet
    ("a", 11.5, 11.5, True),       # somebody follows
    ("a", 13, 13.1, True),         # a replica by now
    ("b", 13, 13.1, False),        # the new one
    ("b", 10.99, 11.3, False),     # became the writer meanwhile
    ("b", 11.01, 11.015, False),   # between its last answer as a replica and its first as a writer: not known
])
def test_a_connection_is_wrong_where_another_server_is_the_writer(server, begin, end, wrong):
    assert is_wrong(SWITCH, server, begin, end) is wrong


def test_the_writer_is_the_one_that_became_writable_last():
    assert writer_at(SWITCH, -1) is None
    assert writer_at(SWITCH, 10.5).server == "a"
    assert writer_at(SWITCH, 12).server == "b"


def test_connections_are_read_from_the_log_by_user():
    log = ("100.250|7|[unknown]|LOG:  connection received: host=127.0.0.1 port=1\n"
           "100.251|7|writer|LOG:  connection authorized: user=writer database=app\n"
           "100.300|8|reader|LOG:  connection authorized: user=reader database=app\n"
           "101.500|9|writer|FATAL:  the database system is shutting down\n"
           "101.600|9|writer|FATAL:  terminating connection due to administrator command\n")
    assert logged_connections(log, "writer", 100.0) == [(pytest.approx(0.251), False), (pytest.approx(1.5), True)]
