"""The operator's own maint and drain are respected, on servers of both kinds and over restarts of pointsman."""

import time

import pytest

from processes import wait_until


def admin(rig, backend, server):
    status = rig.haproxy.statuses()[backend][server]
    return "maint" if status.startswith("MAINT") else "drain" if status.startswith("DRAIN") else "ready"


def stays(rig, backend, server, state, seconds=0.2):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert admin(rig, backend, server) == state


def stop_by_hand(rig):
    assert rig.pointsman.stop() == 0


def kill(rig):
    rig.pointsman.kill9()


def release_too(rig):
    """As systemd does: the unit's ExecStopPost."""
    rig.pointsman.kill9()
    assert rig.pointsman.command("release").returncode == 0


WAYS = [("maint", stop_by_hand), ("drain", kill), ("maint", release_too), ("drain", release_too)]


@pytest.mark.parametrize("state, end", WAYS)
@pytest.mark.parametrize("kind", ["documented", "naive"])
def test_a_reader_that_the_operator_took_out_stays_out(make_rig, kind, state, end):
    rig = make_rig(kind)
    rig.haproxy.ask(f"set server pg_replicas/pg2 state {state}")
    stays(rig, "pg_replicas", "pg2", state)
    assert rig.server_status("pg_replicas", "pg2")["wanted"]["reason"] == "operators_hand"
    for _ in range(2):
        end(rig)
        assert admin(rig, "pg_replicas", "pg2") == state
        rig.pointsman.start()
        stays(rig, "pg_replicas", "pg2", state)
    assert rig.reads_and_writes() == ({"pg1"}, {"pg3"})
    assert rig.server_status("pg_replicas", "pg2")["wanted"]["reason"] == "operators_hand"

    # A switch goes on around it, and the operator's word ends it.
    rig.cluster.switch("pg3")
    wait_until(lambda: rig.reads_and_writes() == ({"pg3"}, {"pg1"}), 5, "the switch is carried out")
    stays(rig, "pg_replicas", "pg2", state)
    rig.haproxy.ask("set server pg_replicas/pg2 state ready")
    rig.wait_steered(5)


@pytest.mark.parametrize("state", ["maint", "drain"])
@pytest.mark.parametrize("kind", ["documented", "naive"])
def test_a_writer_that_the_operator_took_out_stays_out(make_rig, kind, state):
    rig = make_rig(kind)
    rig.haproxy.ask(f"set server pg_primary/pg1 state {state}")
    stays(rig, "pg_primary", "pg1", state)
    assert rig.haproxy.usable("pg_primary") == set()
    rig.pointsman.stop()
    rig.pointsman.start()
    stays(rig, "pg_primary", "pg1", state)
    assert rig.haproxy.usable("pg_primary") == set()
    # Another writer comes and goes; the operator's hand is still on the first.
    rig.cluster.switch("pg2")
    wait_until(lambda: rig.haproxy.usable("pg_primary") == {"pg2"}, 5, "the new writer is in")
    rig.cluster.switch("pg1")
    wait_until(lambda: rig.haproxy.usable("pg_primary") == set(), 5, "the second writer is out")
    stays(rig, "pg_primary", "pg1", state)
    rig.haproxy.ask("set server pg_primary/pg1 state ready")
    rig.wait_steered(5)


@pytest.mark.parametrize("kind", ["documented", "naive"])
def test_once_respects_it_too(make_rig, kind):
    rig = make_rig(kind, run=False)
    rig.haproxy.ask("set server pg_primary/pg1 state maint")
    rig.haproxy.ask("set server pg_replicas/pg3 state drain")
    for _ in range(2):
        assert rig.pointsman.command("once").returncode == 0
        assert (admin(rig, "pg_primary", "pg1"), admin(rig, "pg_replicas", "pg3")) == ("maint", "drain")
        assert rig.reads_and_writes() == (set(), {"pg2"})
    rig.haproxy.ask("set server pg_primary/pg1 state ready")
    rig.haproxy.ask("set server pg_replicas/pg3 state ready")
    assert rig.pointsman.command("once").returncode == 0
    assert rig.steered()


def test_what_pointsman_put_into_maint_itself_is_still_its_own_after_a_restart(make_rig):
    rig = make_rig("naive")
    rig.pointsman.kill9()
    rig.cluster.switch("pg3")
    rig.pointsman.start()
    rig.wait_steered(5)
