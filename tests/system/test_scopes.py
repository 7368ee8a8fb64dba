"""Two clusters in one file, one of them all dead: the other is steered, and the worst decides the exit code."""

import pytest

from fake_patroni import FakeCluster
from haproxy import HTTPCHK, PACE, SERVER, Haproxy
from processes import wait_until


class TwoClusters(Haproxy):
    """With backends for a second cluster as well."""

    other = None

    def backends(self, kind):
        text = super().backends(kind)
        for backend, role in (("other_primary", "primary"), ("other_replicas", "replica")):
            text += HTTPCHK.format(backend=backend, role=role, pace=PACE[kind]) if kind == "documented" else f"\nbackend {backend}\n"
            for member in self.other.members.values():
                text += SERVER[kind].format(name=member.name, address=member.address)
        return text


@pytest.fixture(params=["documented", "naive"])
def two(cluster, make_rig, request):
    """(rig, the other cluster)."""
    with FakeCluster("other", 21, beside=cluster, names=("db1", "db2", "db3")) as other:
        rig = make_rig(request.param, run=False, make_haproxy=type("Both", (TwoClusters,), {"other": other}))
        rig.settings["clusters"].append({
            "scope": "other", "members": [member.api_url for member in other.members.values()], "poll": {"timeout": "500ms"},
            "backends": [{"name": "other_primary", "serves": "primary"},
                         {"name": "other_replicas", "serves": "replica", "fallback": "primary"}]})
        rig.settings["clusters"][0]["poll"] = {"timeout": "500ms"}
        rig.pointsman.write_settings()
        yield rig, other


def test_each_is_steered_by_its_own(two):
    rig, other = two
    rig.pointsman.start()
    rig.wait_steered(5)
    wait_until(lambda: rig.haproxy.usable("other_primary") == {"db1"}, 5, "the other one as well")
    other.switch("db3")
    wait_until(lambda: rig.haproxy.usable("other_primary") == {"db3"}, 5, "the other one's switch")
    assert rig.steered()
    rig.pointsman.stop()
    assert rig.pointsman.command("once").returncode == 0


def test_one_that_is_all_dead_holds_up_nothing(two):
    rig, other = two
    for member in other.members.values():
        member.stop()
    rig.pointsman.start()
    rig.wait_steered(5)
    rig.cluster.switch("pg2")
    rig.wait_steered(3)
    assert rig.pointsman.get("/readyz?scope=main")[0] == 200
    wait_until(lambda: rig.pointsman.get("/readyz?scope=main&writer=1")[0] == 200, 2, "it says so")
    assert rig.pointsman.get("/readyz?scope=other")[0] == 503
    assert rig.pointsman.get("/readyz")[0] == 503
    rig.pointsman.stop()
    done = rig.pointsman.command("once")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "scope main: writer pg2" in done.stdout and "scope other: writer none" in done.stdout
    assert rig.steered()


def test_a_member_of_the_other_cluster_is_refused(two):
    rig, other = two
    rig.settings["clusters"][0]["members"][2] = other.members["db1"].api_url
    rig.settings["clusters"][1]["members"].pop(0)
    rig.pointsman.write_settings()
    done = rig.pointsman.command("check")
    assert done.returncode == 1
    assert f"member {other.members['db1'].api_url} is of scope other, not main" in done.stdout
    rig.pointsman.start()
    wait_until(lambda: rig.haproxy.usable("pg_primary") & {"pg1", "pg2"} == {"pg1"}, 5, "the writer of its own scope is in")
    other.switch("db2")
    wait_until(lambda: rig.haproxy.usable("other_primary") & {"db2", "db3"} == {"db2"}, 5, "and so is the other's")
