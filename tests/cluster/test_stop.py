"""Graceful stops on Debian 13's Patroni, whose `before_stop` hook has pointsman hold new connections before PostgreSQL refuses them."""

import pytest

from cluster import Cluster
from haproxy import Haproxy
from pointsman import Pointsman
from processes import wait_until
from root import PATRONI, make_root
from traffic import Traffic
from verdict import changes, judge


@pytest.fixture(scope="module")
def stage():
    """The cluster, HAProxy with hold.lua, and pointsman, which nobody tells of a stop but the hook: it watches nothing."""
    cluster = Cluster(patroni=make_root("trixie", *PATRONI))
    haproxy = Haproxy(cluster, "hold", maxconn=1000)
    pointsman = Pointsman(cluster, haproxy)
    cluster.before_stop = pointsman.hook()
    with cluster, haproxy, pointsman:
        yield cluster, haproxy, pointsman


def test_a_graceful_stop_of_the_primary_refuses_nobody(stage, measured):
    cluster, haproxy, pointsman = stage
    old = cluster.leader()
    wait_until(lambda: haproxy.usable("pg_primary") == {old.name}, 15, "HAProxy writes to the primary alone")
    with Traffic(cluster, haproxy, patience=30) as traffic:
        old.stop()
        new = wait_until(cluster.leader, 40, "another member is primary")
        traffic.wait_write(10, new.address)
        traffic.wait_calm()
    verdict = judge(traffic)
    change, = changes(traffic)
    measured(f"first good write {change.delay * 1000:.0f} ms after the new primary was writable; {verdict.text()}")
    assert verdict.problems() == []
    assert verdict.failed == 0, [record for record in traffic.writes() if not record["ok"]][:3]
    assert verdict.failed_reads <= 5  # who reads from the replica that is promoted is cut off when it leaves the readers
