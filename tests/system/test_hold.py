"""POST /hold and POST /nudge, and what a client feels of a hold: real HAProxy with hold.lua, members that say what they are told."""

import http.client
import signal
import socket
import time

import pytest

from processes import wait_until


def know_the_names(rig):
    """Patroni 3.0.2 tells its name in /cluster alone, which is asked for a moment after the first answers."""
    wait_until(lambda: [rig.member_status(name)["name"] for name in rig.cluster.members] == list(rig.cluster.members), 5, "the names are known")
    return rig


@pytest.fixture
def rig(make_rig):
    return know_the_names(make_rig("hold"))


HELD = 'pointsman_held_connections{scope="main",backend="pg_primary"}'


def post(rig, path, headers=None):
    connection = http.client.HTTPConnection(*rig.pointsman.http_address, timeout=5)
    try:
        connection.request("POST", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode().strip()
    finally:
        connection.close()


def connect(rig):
    """A client that speaks first, as PostgreSQL's do."""
    client = socket.create_connection(rig.haproxy.write_address, timeout=10)
    client.sendall(b"hello")
    return client


def served_by(client, timeout=10):
    client.settimeout(timeout)
    try:
        return client.recv(100).decode().strip()
    except TimeoutError:
        return None


def test_a_stop_that_is_announced_holds_new_connections_and_comes_to_nothing_after_pre_hold(rig):
    assert served_by(connect(rig)) == "pg1"
    begin = time.monotonic()
    assert post(rig, "/hold?member=pg1") == (200, "held")
    client = connect(rig)
    assert served_by(client, 0.4) is None
    wait_until(lambda: rig.metric(HELD) == 1, 1, "it is counted")
    assert rig.status_json()["clusters"][0]["hold"] == "stop"
    assert "1 new connections wait (stop" in rig.pointsman.command("status").stdout
    assert served_by(client) == "pg1"
    assert 0.9 < time.monotonic() - begin < 2
    wait_until(lambda: rig.status_json()["clusters"][0]["hold"] == "none", 1, "it is over")
    assert rig.metric('pointsman_holds_total{reason="stop"}') == 1


def test_who_waits_when_the_writer_changes_is_served_by_the_new_one_at_once(rig):
    assert post(rig, "/hold?member=pg1")[0] == 200
    clients = [connect(rig) for _ in range(20)]
    rig.cluster.switch("pg2")
    wait_until(lambda: rig.haproxy.usable("pg_primary") == {"pg2"}, 2, "pg2 is in")
    begin = time.monotonic()
    assert {served_by(client) for client in clients} == {"pg2"}
    assert time.monotonic() - begin < 0.5


def test_a_stop_that_silences_the_api_is_waited_for_until_another_is_the_writer(rig):
    """As a graceful stop goes: the hook, then an API that takes connections and says nothing, for longer than pre_hold."""
    assert post(rig, "/hold?member=pg1")[0] == 200
    rig.cluster.members["pg1"].tricks["/primary"] = lambda connection, member: connection.recv(1)
    client = connect(rig)
    assert served_by(client, 2.5) is None
    rig.cluster.switch("pg2")
    assert served_by(client) == "pg2"


def test_a_new_configuration_does_not_end_a_hold(rig):
    assert post(rig, "/hold?member=pg1")[0] == 200
    rig.cluster.members["pg1"].tricks["/primary"] = lambda connection, member: connection.recv(1)
    rig.pointsman.process.send_signal(signal.SIGHUP)
    wait_until(lambda: rig.log_lines("configuration reloaded"), 5, "it is taken")
    client = connect(rig)
    assert served_by(client, 2) is None
    rig.cluster.switch("pg2")
    assert served_by(client) == "pg2"


def test_who_was_let_through_just_before_has_a_moment_to_end_before_the_hook_is_answered(rig):
    begin = time.monotonic()
    assert post(rig, "/hold?member=pg1") == (200, "held")
    assert 0.2 <= time.monotonic() - begin < 0.9
    begin = time.monotonic()
    assert post(rig, "/hold?member=pg2") == (200, "pg2 is not the writer: nothing to hold")
    assert time.monotonic() - begin < 0.2


def test_a_browser_is_sent_away(rig):
    assert post(rig, "/hold?member=pg1", {"Origin": "http://evil.example"})[0] == 403


def test_a_stop_of_another_member_holds_nobody(rig):
    assert post(rig, "/hold?member=pg2") == (200, "pg2 is not the writer: nothing to hold")
    assert served_by(connect(rig), 0.5) == "pg1"


def test_what_cannot_be_asked_is_refused_with_the_reason(rig):
    assert post(rig, "/hold")[0] == 400
    assert post(rig, "/hold?member=pg9") == (404, "there is no member pg9")
    assert post(rig, "/hold?member=pg1&scope=other")[0] == 404
    assert post(rig, "/nudge?scope=other") == (404, "there is no scope other")
    assert rig.pointsman.get("/hold?member=pg1")[0] == 405


def test_a_nudge_asks_every_member_at_once(rig):
    wait_until(lambda: rig.metric("pointsman_rounds_total") > 20, 5, "it runs")
    before = {name: len(member.asked) for name, member in rig.cluster.members.items()}
    assert post(rig, "/nudge")[0] == 200
    wait_until(lambda: all(len(member.asked) >= before[name] + 10 for name, member in rig.cluster.members.items()), 0.9,
               "each is asked many times in the second after it")


def test_more_than_fifty_a_second_are_too_many(rig):
    answers = [post(rig, "/nudge")[0] for _ in range(80)]
    assert set(answers) <= {200, 429}
    assert answers[0] == 200


def test_a_token_is_asked_for_where_there_is_one(make_rig):
    rig = make_rig("hold", run=False)
    token = f"{rig.pointsman.folder}/token"
    with open(token, "w", encoding="utf-8") as file:
        file.write("s3cret\n")
    rig.settings["http"]["token_file"] = token
    rig.pointsman.write_settings()
    rig.pointsman.start()
    rig.wait_steered()
    know_the_names(rig)
    assert post(rig, "/hold?member=pg1")[0] == 401
    assert post(rig, "/hold?member=pg1", {"Authorization": "Bearer s3cre"})[0] == 401
    assert post(rig, "/hold?member=pg1", {"Authorization": "Bearer s3cret"}) == (200, "held")
    assert "s3cret" not in rig.log()
    with open(token, "w", encoding="utf-8") as file:
        file.write("an0ther\r\n")
    rig.pointsman.process.send_signal(signal.SIGHUP)
    wait_until(lambda: rig.log_lines("configuration reloaded"), 5, "it is taken")
    assert post(rig, "/nudge", {"Authorization": "Bearer s3cret"})[0] == 401
    assert post(rig, "/nudge", {"Authorization": "Bearer an0ther"})[0] == 200


def test_without_hold_lua_the_hook_is_told_so(make_rig):
    rig = know_the_names(make_rig())
    assert post(rig, "/hold?member=pg1") == (503, "not held: HAProxy has no hold.lua")
