"""The port that HAProxy routes to is asked while the writer's API says nothing: dead or not, and what clients feel of it."""

import itertools
import time

import pytest

from clients import HELD, connect, served_by
from fake_patroni import read_on
from processes import wait_until

HOLD = "hold pg_primary 1000"


@pytest.fixture
def rig(make_rig):
    rig = make_rig("hold")
    wait_until(lambda: len(rig.cluster.members["pg1"].asked) > 5, 10, "it is calm")
    return rig


def fatal(sqlstate, message):
    fields = b"".join(letter + text.encode() + b"\0" for letter, text in
                      ((b"S", "FATAL"), (b"V", "FATAL"), (b"C", sqlstate), (b"M", message))) + b"\0"
    return b"E" + (len(fields) + 4).to_bytes(4, "big") + fields


def say(message):
    def trick(connection, _):
        connection.recv(4096)
        connection.sendall(message)
    return trick


def fall_silent(member):
    """Its API takes connections and says nothing; when the first of them came is the first item of the list returned."""
    unanswered = []

    def trick(connection, _):
        unanswered.append(time.monotonic())
        connection.recv(1)

    member.tricks["/primary"] = trick
    return unanswered


def wait_held(rig, unanswered):
    """Seconds from the first request that was not answered to the hold, which is in force on return."""
    known = len(rig.recorder.commands())
    wait_until(lambda: HOLD in rig.recorder.commands()[known:], 3, "new connections are to wait", every=0.001)
    took = time.monotonic() - unanswered[0]
    wait_until(lambda: hold_of(rig) == "not_accepting", 3, "new connections wait")
    return took


def evidence_of(rig):
    return rig.server_status("pg_primary", "pg1")["wanted"]["evidence"]


def hold_of(rig):
    return rig.status_json()["clusters"][0]["hold"]


def test_a_frozen_postgresql_with_a_silent_api_is_waited_for_until_another_is_the_writer(rig, measured):
    writer, known = rig.cluster.members["pg1"], len(rig.recorder.commands())
    writer.postgres_trick = read_on
    took = wait_held(rig, fall_silent(writer))
    measured(f"{1000 * took:.0f} ms after the first request that was not answered")
    assert 0.6 < took < 1
    client = connect(rig)
    assert served_by(client, 2.5) is None
    assert hold_of(rig) == "not_accepting"
    assert f"{writer.address}:5432 connected, and no answer within" in evidence_of(rig)
    assert "1 new connections wait (not_accepting" in rig.pointsman.command("status").stdout
    assert {command for command in rig.recorder.commands()[known:] if "pg_primary" in command} == {HOLD}
    rig.cluster.switch("pg2")
    assert served_by(client) == "pg2"
    assert rig.metric('pointsman_holds_total{reason="not_accepting"}') == 1


def test_a_dead_member_is_waited_for_as_soon_as_it_is_missed(rig, measured):
    writer = rig.cluster.members["pg1"]
    began = time.monotonic()
    writer.stop()
    took = wait_held(rig, [began])
    measured(f"{1000 * took:.0f} ms after its death")
    assert took < 1.4  # it is asked each second
    client = connect(rig)
    assert served_by(client, 1) is None
    rig.cluster.switch("pg2")
    assert served_by(client) == "pg2"


@pytest.mark.parametrize("message", ["the database system is starting up", "the database system is shutting down"])
def test_one_that_does_not_accept_yet_is_waited_for_until_it_does(rig, message):
    writer = rig.cluster.members["pg1"]
    writer.postgres_trick = say(fatal("57P03", message))
    assert wait_held(rig, fall_silent(writer)) < 0.5
    client = connect(rig)
    assert served_by(client, 1) is None
    assert message in evidence_of(rig)
    writer.postgres_trick = None
    begin = time.monotonic()
    assert served_by(client) == "pg1"
    assert time.monotonic() - begin < 0.8
    wait_until(lambda: hold_of(rig) == "none", 1, "it is over")


def test_the_hold_goes_when_the_api_answers(rig):
    writer = rig.cluster.members["pg1"]
    writer.postgres_trick = read_on
    wait_held(rig, fall_silent(writer))
    client = connect(rig)
    wait_until(lambda: rig.metric(HELD) == 1, 5, "the client waits")
    del writer.tricks["/primary"]
    writer.postgres_trick = None
    assert served_by(client) == "pg1"


def test_one_that_is_killed_while_clients_wait_has_them_wait_again_when_it_is_back(rig, measured):
    writer = rig.cluster.members["pg1"]
    writer.postgres_trick = read_on
    wait_held(rig, fall_silent(writer))
    rig.pointsman.kill9()
    begin, known = time.monotonic(), len(rig.recorder.commands())
    rig.pointsman.start()
    wait_until(lambda: HOLD in rig.recorder.commands()[known:], 3, "new connections wait", every=0.001)
    took = time.monotonic() - begin
    measured(f"{1000 * took:.0f} ms after its start")
    assert took < 1.2
    assert rig.haproxy.usable("pg_primary") == {"pg1"}


@pytest.mark.parametrize("answer", [fatal("28000", "no pg_hba.conf entry"), fatal("53300", "sorry, too many clients already"), b"R", b"N"])
def test_a_frozen_api_with_a_postgresql_that_accepts_holds_nobody(rig, answer):
    writer = rig.cluster.members["pg1"]
    writer.postgres_trick = say(answer)
    unanswered = fall_silent(writer)
    wait_until(lambda: unanswered, 3, "it is asked")
    while time.monotonic() - unanswered[0] < 2.5:
        assert served_by(connect(rig), 5)
    assert hold_of(rig) == "none"
    assert HOLD not in rig.recorder.commands()


def test_a_port_that_drips_for_ever_accepts_and_is_let_go_of(rig):
    writer, dripped = rig.cluster.members["pg1"], []

    def drip(connection, _):
        try:
            for _ in itertools.count():
                connection.sendall(b"E\x7f\xff\xff\xff" + b"x" * 10_000)
                time.sleep(0.01)
        except OSError:
            dripped.append(time.monotonic())
            raise

    writer.postgres_trick = drip
    unanswered = fall_silent(writer)
    wait_until(lambda: len(dripped) > 2, 3, "its connections are closed")
    assert time.monotonic() - unanswered[0] < 2
    assert hold_of(rig) == "none"


def test_the_port_is_asked_with_a_bound_and_only_while_the_api_is_silent(rig):
    writer = rig.cluster.members["pg1"]
    time.sleep(1.2)  # a calm turn of the poller
    assert not writer.started_up
    unanswered = fall_silent(writer)
    wait_until(lambda: unanswered and time.monotonic() - unanswered[0] > 3, 6, "it has been silent for a while")
    assert 8 <= len(writer.started_up) <= 13
    del writer.tricks["/primary"]
    wait_until(lambda: rig.member_status("pg1")["silent_for"] is None, 5, "its API answers")
    asked = len(writer.started_up)
    time.sleep(0.6)
    assert len(writer.started_up) == asked
    assert not any(rig.cluster.members[name].started_up for name in ("pg2", "pg3"))


def test_without_hold_lua_the_port_is_told_of_and_nothing_is_sent(make_rig):
    rig = make_rig()
    writer = rig.cluster.members["pg1"]
    known = len(rig.recorder.commands())
    writer.postgres_trick = read_on
    fall_silent(writer)
    wait_until(lambda: "no answer within" in evidence_of(rig), 4, "it is told of")
    assert hold_of(rig) == "none"
    assert not any("pg_primary" in command for command in rig.recorder.commands()[known:])
