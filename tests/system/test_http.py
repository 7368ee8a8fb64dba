"""/metrics, /healthz, /readyz and /status.json: what they say in calm, in a writerless moment, and when the loop is stuck."""

import ctypes
import json
import os
import socket
import time

import pytest

from fake_patroni import Server
from processes import wait_until

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17


def test_in_calm_all_is_well(make_rig, cluster):
    rig = make_rig()
    wait_until(lambda: rig.pointsman.get("/readyz?writer=1")[0] == 200, 2, "the round that put it right is published")
    wait_until(lambda: all(rig.member_status(name)["name"] == name for name in cluster.members), 2, "the names are known")
    assert rig.pointsman.get("/healthz") == (200, "the loop is running\n")
    for path in ("/readyz", "/readyz?scope=main", "/readyz?writer=1", "/readyz?scope=main&writer=1"):
        assert rig.pointsman.get(path)[0] == 200, path
    assert rig.pointsman.get("/readyz?scope=mian")[0] == 404
    assert rig.pointsman.get("/elsewhere")[0] == 404

    status = rig.status_json()
    main, = status["clusters"]
    assert (main["scope"], main["writer"], main["writer_state"], main["claims"]) == ("main", "pg1", "settled", 1)
    assert main["routes_right"] is True and main["writer_in"] is True and main["alarms"] == []
    assert [(member["name"], member["role"]) for member in main["members"]] == \
        [("pg1", "primary"), ("pg2", "replica"), ("pg3", "replica")]
    servers = {(each["backend"], each["server"]): (each["usable"], each["wanted"]["place"], each["wanted"]["reason"])
               for each in main["servers"]}
    assert servers == {
        ("pg_primary", "pg1"): (True, "in", "claims_writer"), ("pg_primary", "pg2"): (False, "out", "other_is_writer"),
        ("pg_primary", "pg3"): (False, "out", "other_is_writer"), ("pg_replicas", "pg1"): (False, "out", "not_replica"),
        ("pg_replicas", "pg2"): (True, "in", "reads"), ("pg_replicas", "pg3"): (True, "in", "reads")}
    assert status["haproxy"]["pid"] == rig.haproxy.pid() and status["haproxy"]["error"] == ""
    assert json.loads(rig.pointsman.command("status", "--json").stdout)["source"] == status["source"] == "from the daemon"

    metrics = rig.metrics()
    for member in cluster.members:
        assert 0 <= metrics[f'pointsman_member_observation_age_seconds{{scope="main",member="{member}"}}'] < 2
        assert metrics[f'pointsman_writer{{scope="main",member="{member}"}}'] == (member == "pg1")
    assert metrics['pointsman_writers_claimed{scope="main"}'] == 1
    assert metrics['pointsman_servers{scope="main",backend="pg_primary",in="true",reason="claims_writer"}'] == 1
    assert metrics['pointsman_servers{scope="main",backend="pg_primary",in="false",reason="other_is_writer"}'] == 2
    assert metrics['pointsman_commands_sent_total{command="health down"}'] >= 3
    assert metrics["pointsman_round_duration_seconds_count"] == metrics["pointsman_rounds_total"] > 0
    assert metrics["pointsman_haproxy_reachable"] == 1 and metrics["pointsman_observe"] == 0


def test_a_calm_system_gets_no_commands(make_rig):
    rig = make_rig()
    wait_until(lambda: all(health.startswith("UP") or health.startswith("DOWN") for backend in rig.haproxy.statuses().values()
                           for health in backend.values()), 1, "checks have run")

    def commands_within(rounds):
        sent, first = len(rig.recorder.commands()), rig.metric("pointsman_rounds_total")
        wait_until(lambda: rig.metric("pointsman_rounds_total") > first + rounds, 10, "many rounds")
        return rig.recorder.commands()[sent:]

    wait_until(lambda: commands_within(10) == [], 5, "the start is over")
    assert commands_within(40) == []


@pytest.mark.parametrize("kind", ["documented", "naive"])
def test_a_writerless_moment_is_ready_but_not_for_writes(make_rig, kind):
    rig = make_rig(kind)
    rig.cluster.switch(None)
    wait_until(lambda: rig.haproxy.usable("pg_primary") == set(), 5, "the old writer is out")
    wait_until(lambda: rig.pointsman.get("/readyz?writer=1")[0] == 503, 2, "it is not ready for writes")
    end = time.monotonic() + 1
    while time.monotonic() < end:
        assert rig.pointsman.get("/readyz")[0] == 200
        assert rig.pointsman.get("/readyz?scope=main")[0] == 200
        assert rig.pointsman.get("/readyz?scope=main&writer=1")[0] == 503
        assert rig.pointsman.get("/healthz")[0] == 200
    main, = rig.status_json()["clusters"]
    assert main["writer"] is None and main["writer_in"] is False and main["routes_right"] is True
    assert rig.metric('pointsman_writers_claimed{scope="main"}') == 0
    rig.cluster.switch("pg3")
    wait_until(lambda: rig.pointsman.get("/readyz?writer=1")[0] == 200, 3, "it is ready for writes again")
    assert rig.metric("pointsman_writer_changes_total") in (0, 1)


def test_a_haproxy_that_hangs_is_not_ready(make_rig):
    """The loop is not stuck by it: each exchange has its deadline, so /healthz stays well."""
    rig = make_rig(run=False)
    path = f"{rig.pointsman.folder}/silent.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    silent = Server(listener, lambda connection: [None for _ in iter(lambda: connection.recv(4096), b"")])
    rig.settings["haproxy"]["socket"] = path
    rig.pointsman.write_settings()
    try:
        rig.pointsman.start()
        wait_until(lambda: rig.pointsman.get("/readyz")[0] == 503, 5, "it is not ready")
        begin = time.monotonic()

        def well_but_not_ready_for_a_while():
            assert rig.pointsman.get("/healthz")[0] == 200
            assert rig.pointsman.get("/readyz")[0] == 503
            return time.monotonic() >= begin + 1.5

        wait_until(well_but_not_ready_for_a_while, 5, "1.5 s have passed", every=0.05)
        assert path in rig.status_json()["haproxy"]["error"]
        assert rig.metric("pointsman_haproxy_reachable") == 0
        assert len(rig.log_lines("no whole answer within")) <= 3  # once for each look of the start, once for all rounds
    finally:
        silent.close()


def test_a_loop_that_is_stuck_is_not_healthy(make_rig):
    """One thread of the process, the loop's, is stopped; the others go on."""
    rig = make_rig()
    libc = ctypes.CDLL(None, use_errno=True)
    pid = rig.pointsman.process.pid
    if libc.ptrace(PTRACE_SEIZE, pid, None, None) != 0:
        pytest.skip(f"may not trace: {os.strerror(ctypes.get_errno())}")
    libc.ptrace(PTRACE_INTERRUPT, pid, None, None)
    begin = time.monotonic()
    wait_until(lambda: rig.pointsman.get("/healthz")[0] == 503, 10, "it is no longer healthy", every=0.1)
    assert 4 < time.monotonic() - begin < 7
    assert "the loop is stuck" in rig.pointsman.get("/healthz")[1]
    assert rig.pointsman.get("/readyz")[0] == rig.pointsman.get("/readyz?scope=main&writer=1")[0] == 503
    assert rig.metric("pointsman_last_round_age_seconds") > 4
    os.waitpid(pid, 0x40000000)  # __WALL: the stop is to be seen before it can be let go
    libc.ptrace(PTRACE_DETACH, pid, None, None)
    wait_until(lambda: rig.pointsman.get("/healthz")[0] == 200, 3, "it is healthy again")
    assert rig.steered()
