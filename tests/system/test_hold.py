"""POST /hold and POST /nudge, and what a client feels of a hold: real HAProxy with hold.lua, members that say what they are told."""

import http.client
import signal
import threading
import time

import pytest

from clients import HELD, connect, served_by
from processes import wait_until


def know_the_names(rig):
    """Patroni 3.0.2 tells its name in /cluster alone, which is asked for a moment after the first answers."""
    wait_until(lambda: [rig.member_status(name)["name"] for name in rig.cluster.members] == list(rig.cluster.members), 5, "the names are known")
    return rig


@pytest.fixture
def rig(make_rig):
    return know_the_names(make_rig("hold"))


def post(rig, path, headers=None):
    connection = http.client.HTTPConnection(*rig.pointsman.http_address, timeout=5)
    try:
        connection.request("POST", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode().strip()
    finally:
        connection.close()


def silence(connection, member):
    """Takes the connection and says nothing."""
    connection.recv(1)


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
    rig.cluster.members["pg1"].tricks["/primary"] = silence
    client = connect(rig)
    assert served_by(client, 2.5) is None
    rig.cluster.switch("pg2")
    assert served_by(client) == "pg2"


@pytest.fixture
def new_rig(make_rig):
    """Its members are of a Patroni that tells who streams."""
    rig = make_rig("hold", run=False)
    for name, member in rig.cluster.members.items():
        member.patroni = {"version": "4.1.5", "name": name}
        member.also = {} if name == "pg1" else {"replication_state": "streaming"}
    rig.pointsman.start()
    rig.wait_steered()
    wait_until(lambda: len(rig.cluster.members["pg1"].asked) > 5, 10, "it is calm")
    return rig


def test_a_stop_that_only_the_replicas_tell_of_is_waited_for_until_another_is_the_writer(new_rig, measured):
    """As a graceful stop goes that nobody announced. pointsman learns of it when it asks the next time."""
    rig, known = new_rig, len(new_rig.recorder.commands())
    unanswered = []

    def fall_silent(connection, member):
        unanswered.append(time.monotonic())
        silence(connection, member)

    rig.cluster.members["pg1"].tricks["/primary"] = fall_silent
    rig.cluster.members["pg2"].also = rig.cluster.members["pg3"].also = {}
    wait_until(lambda: "hold pg_primary 1000" in rig.recorder.commands()[known:], 3, "new connections wait", every=0.001)
    took = time.monotonic() - unanswered[0]
    measured(f"{1000 * took:.0f} ms after the first request that was not answered")
    assert took < 0.5
    wait_until(lambda: rig.status_json()["clusters"][0]["hold"] == "unreplicated", 3, "it is in force")
    client = connect(rig)
    assert served_by(client, 2.5) is None
    assert {command for command in rig.recorder.commands()[known:] if "pg_primary" in command} == {"hold pg_primary 1000"}
    rig.cluster.switch("pg2")
    assert served_by(client) == "pg2"
    assert rig.metric('pointsman_holds_total{reason="unreplicated"}') == 1


def test_an_api_that_says_nothing_while_replicas_stream_holds_nobody(new_rig):
    rig = new_rig
    rig.cluster.members["pg1"].tricks["/primary"] = silence
    begin = time.monotonic()
    while time.monotonic() - begin < 3:
        assert served_by(connect(rig)) == "pg1"
    assert rig.metric('pointsman_holds_total{reason="unreplicated"}') == 0
    assert rig.status_json()["clusters"][0]["members"][0]["silent_for"] > 1


def test_a_new_configuration_does_not_end_a_hold(rig):
    assert post(rig, "/hold?member=pg1")[0] == 200
    rig.cluster.members["pg1"].tricks["/primary"] = silence
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


def test_a_member_whose_name_nobody_has_told_yet_is_asked_for_again_later(make_rig):
    """As right after the start, for as long as /cluster does not answer."""
    rig = make_rig("hold", run=False)
    for member in rig.cluster.members.values():
        member.tricks["/cluster"] = lambda connection, member: connection.close()
    rig.pointsman.start()
    wait_until(lambda: rig.metric("pointsman_rounds_total") > 5, 5, "it runs")
    connection = http.client.HTTPConnection(*rig.pointsman.http_address, timeout=5)
    connection.request("POST", "/hold?member=pg1")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Retry-After")) == (503, "1")
    assert answer.read() == b"the members' names are not known yet\n"
    connection.close()
    assert post(rig, "/hold?member=pg1&scope=other") == (404, "there is no member pg1")
    for member in rig.cluster.members.values():
        del member.tricks["/cluster"]
    know_the_names(rig)
    assert post(rig, "/hold?member=pg1") == (200, "held")
    assert post(rig, "/hold?member=pg9") == (404, "there is no member pg9")


def test_hooks_that_wait_keep_nobody_else_waiting(rig):
    """HAProxy does not hear of the hold, so that every hook waits to the end; one too many is told so at once."""
    def drop(line):
        if "hold pg_primary" in line:
            raise ConnectionError

    rig.recorder.before = drop
    took, answers = [], []

    def hook():
        begin = time.monotonic()
        answers.append(post(rig, "/hold?member=pg1"))
        took.append(time.monotonic() - begin)

    hooks = [threading.Thread(target=hook) for _ in range(10)]
    for thread in hooks:
        thread.start()
    wait_until(lambda: len(answers) == 6, 0.5, "the hooks beyond the fourth are answered")
    begin = time.monotonic()
    assert [rig.pointsman.get(path)[0] for path in ("/healthz", "/metrics")] == [200, 200]
    assert time.monotonic() - begin < 0.4
    assert max(took) < 0.5 and len(answers) == 6
    for thread in hooks:
        thread.join()
    assert all(status == 503 for status, _ in answers)
    assert sum(line == "not held within 1000 ms" for _, line in answers) == 4
    rig.recorder.before = lambda line: None
    wait_until(lambda: rig.status_json()["clusters"][0]["hold"] == "none", 5, "it is over")
    assert served_by(connect(rig)) == "pg1"


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
