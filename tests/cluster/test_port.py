"""A primary that is cut off, frozen or killed, under a Patroni that tells nobody (3.0.2): its clients wait once its port was asked."""

import time

import pytest

from cluster import Cluster
from haproxy import Haproxy
from pointsman import Pointsman
from processes import wait_until
from traffic import Traffic

PATIENCE = 60  # seconds that a client waits for its connection to stand
MISSED = 2.0   # seconds after which nobody is let through to it any more: it is asked each second


@pytest.fixture(scope="module")
def stage():
    with Cluster(ttl=20, loop_wait=5, retry_timeout=5, namespaces=True) as cluster:
        haproxy = Haproxy(cluster, "hold", maxconn=1000)
        with haproxy, Pointsman(cluster, haproxy) as pointsman:
            yield cluster, haproxy, pointsman


@pytest.fixture
def healthy(stage):
    cluster, haproxy, pointsman = stage
    leader = cluster.revive(240)  # whoever was cut off does not notice for two minutes that its stream is dead
    wait_until(lambda: haproxy.usable("pg_primary") == {leader.name}, 20, "HAProxy writes to the primary alone")
    return cluster, haproxy, pointsman


def holds(pointsman):
    status, body = pointsman.get("/metrics")
    assert status == 200
    found = [line for line in body.splitlines() if line.startswith('pointsman_holds_total{reason="not_accepting"}')]
    return float(found[0].split()[-1]) if found else 0


def test_a_frozen_patroni_with_a_postgresql_that_serves_holds_nobody(healthy):
    cluster, haproxy, pointsman = healthy
    old, before = cluster.leader(), holds(pointsman)
    with Traffic(cluster, haproxy, write_every=0.1, read_every=0) as traffic:
        begin = time.monotonic()
        old.freeze(patroni_only=True)
        wait_until(lambda: time.monotonic() > begin + 8, 10, "it has been silent for a while")
        assert old.ask(timeout=0.5)[0] is None
        assert holds(pointsman) == before
        old.thaw()
    during = [record for record in traffic.writes() if record["start"] > begin]
    assert len(during) > 50 and all(record["ok"] and record["server"] == old.address for record in during)


@pytest.mark.parametrize("event", ["killed", "frozen", "cut_off"])
def test_clients_of_a_dead_primary_wait_and_are_served_by_the_next(healthy, event, measured):
    cluster, haproxy, pointsman = healthy
    old, before = cluster.leader(), holds(pointsman)
    with Traffic(cluster, haproxy, write_every=0.2, read_every=0, patience=PATIENCE) as traffic:
        begin = time.monotonic()
        {"cut_off": lambda: cluster.cut(old), "frozen": old.freeze, "killed": old.kill9}[event]()
        wait_until(lambda: holds(pointsman) == before + 1, 5, "new connections wait", every=0.02)
        held = time.monotonic() - begin
        new = wait_until(lambda: next((member for member in cluster.members.values() if member is not old and
                                       member.ask(timeout=1)[0] == 200), None), 60, "another member is primary")
        traffic.wait_write(20, new.address)
        traffic.wait_calm()
    during = [record for record in traffic.writes() if begin - 0.5 <= record["start"]]
    failed = [record for record in during if not record["ok"]]
    measured(f"held after {1000 * held:.0f} ms; {len(failed)} of {len(during)} failed")
    assert held < MISSED
    assert not [record for record in failed if record["start"] > begin + MISSED], failed[:3]
    waited = [record for record in during if record["ok"] and record["end"] - record["start"] > 5]
    assert len(waited) > 20 and all(record["server"] == new.address for record in waited)
