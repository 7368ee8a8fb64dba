"""New connections wait while there is no usable server."""

import time

import pytest

from processes import wait_until
from rig import BOTH, DOOR_TO_PG, NET, PG, SERVERS, Client

RELEASE = 0.1  # a machine that is busy with other things; 10 to 20 ms when it is not


@pytest.mark.parametrize("out, back", [("state maint", "state ready"), ("state drain", "state ready"), ("health down", "health up"),
                                       ("weight 0", "weight 1")])
def test_clients_wait_while_every_server_is_out_and_go_on_within_milliseconds_of_one_coming_in(make_rig, measured, out, back):
    rig = make_rig()
    for server in SERVERS:
        rig.set(server, "state ready")
        rig.set(server, out)
    clients = [Client(), Client(b"hello")]
    rig.wait_waiting(2)
    assert clients[0].hears(0.3) is None and clients[1].hears(0.05) is None
    released = rig.set("n2", back)
    assert clients[0].hears() == b"n2"
    assert clients[1].hears() in (b"n2", b"n2hello")
    took = time.monotonic() - released
    measured(f"went on after {took * 1000:.1f} ms")
    assert took <= RELEASE
    assert rig.waiting() == 0


def test_a_backup_server_does_not_count_as_usable(make_rig):
    rig = make_rig(PG + BOTH + "    server last {}:{} backup\n".format(*SERVERS["n1"]))
    client = Client()
    rig.wait_waiting(1)
    assert client.hears(0.3) is None
    rig.set("n2", "state ready")
    assert client.hears() == b"n2"
    assert rig.server_sessions("last") == 0


def test_nobody_waits_while_a_server_is_usable(make_rig):
    rig = make_rig()
    rig.set("n1", "state ready")
    assert [Client().hears() for _ in range(20)] == [b"n1"] * 20
    assert (rig.shown()["held_total"], rig.shown()["longest_ms"]) == (0, 0)


def test_a_client_that_comes_right_after_the_last_server_went_is_held(make_rig):
    rig = make_rig()
    for _ in range(20):
        rig.set("n1", "state ready")
        assert Client().hears() == b"n1"
        rig.set("n1", "state maint")
        time.sleep(0.002)  # a look that found a server is good for 1 ms
        client = Client()
        assert client.hears(0.02) is None
        rig.set("n1", "state ready")
        assert client.hears() == b"n1"


def test_servers_in_the_order_of_the_file_under_balance_first(make_rig):
    rig = make_rig(PG + "    balance first\n" + BOTH)
    clients = [Client() for _ in range(5)]
    rig.wait_waiting(5)
    rig.ask("set server pg/n2 state ready; set server pg/n1 state ready")
    assert {client.hears() for client in clients} <= {b"n1", b"n2"}
    assert Client().hears() == b"n1"


@pytest.mark.parametrize("say", [b"", b"hello"])
def test_at_the_longest_hold_the_client_goes_on_and_without_a_net_is_closed_unanswered(make_rig, measured, say):
    rig = make_rig(longest="700ms")
    clients = [Client(say) for _ in range(3)]
    for client in clients:
        assert client.hears() == b""
        assert 0.69 <= client.age() <= 0.9
    measured(f"closed after {clients[0].age() * 1000:.0f} ms of 700")
    shown = rig.shown()
    assert (shown["waiting"], shown["held_total"], shown["expired_total"]) == (0, 3, 3)
    assert 690 <= shown["longest_ms"] <= 900


def test_the_longest_hold_counts_from_each_ones_own_arrival(make_rig):
    rig = make_rig(longest="1s")
    first = Client()
    rig.wait_waiting(1)
    assert first.hears(0.5) is None
    second = Client()
    assert first.hears() == b""
    assert 0.99 <= first.age() <= 1.3
    assert second.hears() == b""
    assert 0.99 <= second.age() <= 1.3


def test_the_net_below_catches_who_reached_the_longest_hold(make_rig, measured):
    net = "    timeout connect 200ms\n    option redispatch 1\n    retries 30\n" + BOTH + "    server hold 127.0.0.1:1 backup\n"
    rig = make_rig(PG + net, longest="300ms")
    client = Client(b"hello")
    wait_until(lambda: rig.shown() and rig.shown()["expired_total"] == 1, 3, "the client has reached the longest hold")
    assert client.hears(0.5) is None
    released = rig.set("n2", "state ready")
    assert client.hears() in (b"n2", b"n2hello")
    took = time.monotonic() - released
    measured(f"served {took * 1000:.0f} ms after a server came in")
    assert took <= 0.4


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("say", [b"", b"hello"])
def test_a_client_that_leaves_is_let_go_and_no_server_hears_of_it(make_rig, how, say):
    rig = make_rig()
    stays = Client(say)
    leaving = [Client(say) for _ in range(10)]
    rig.wait_waiting(11)
    for client in leaving:
        getattr(client, how)()
    rig.wait_waiting(1, timeout=1.0)
    rig.set("n1", "state ready")
    assert stays.hears() in (b"n1", b"n1" + say)
    assert rig.server_sessions("n1") == 1
    wait_until(lambda: rig.info()["CurrConns"] == "1", 2, "their connections are closed")


def test_a_held_session_that_an_operator_ends_is_not_counted_for_longer_than_a_second(make_rig):
    rig = make_rig()
    clients = [Client() for _ in range(3)]
    rig.wait_waiting(3)
    sessions = [line.split(":")[0] for line in rig.ask("show sess").splitlines() if "fe=door" in line]
    rig.ask("; ".join(f"shutdown session {session}" for session in sessions))
    assert [client.hears() for client in clients] == [b""] * 3
    rig.wait_waiting(0, timeout=1.2)


def test_who_sends_more_than_haproxy_keeps_goes_on(make_rig):
    rig = make_rig()
    client = Client()
    rig.wait_waiting(1)
    client.socket.settimeout(0.3)
    try:
        client.socket.sendall(b"x" * 200000)
    except OSError:
        pass
    rig.wait_waiting(0)
    assert client.hears() == b""


def test_an_inspect_delay_shorter_than_the_hold_ends_it_in_order_and_is_said_once(make_rig, measured):
    sections = PG.replace("inspect-delay 60s", "inspect-delay 400ms") + BOTH
    rig = make_rig(sections, longest="5s", expected=("ends the hold after",))
    for number in range(4):
        clients = [Client(b"hello" * (number % 2)) for _ in range(10)]
        for client in clients:
            assert client.hears() == b""
            assert 0.35 <= client.age() <= 0.7
    measured(f"closed after {clients[0].age() * 1000:.0f} ms of 400")
    assert rig.shown()["expired_total"] == 40
    wait_until(lambda: sum("ends the hold after" in line for line in rig.log_lines) == 1, 1, "it is logged once")


def test_without_an_inspect_delay_nobody_is_held_and_it_is_said_once(make_rig):
    rig = make_rig(PG.replace("    tcp-request inspect-delay 60s\n", "") + BOTH, expected=("ends the hold after",))
    assert [Client().hears() for _ in range(5)] == [b""] * 5
    rig.set("n1", "state ready")
    assert Client().hears() == b"n1"
    wait_until(lambda: sum("ends the hold after" in line for line in rig.log_lines) == 1, 1, "it is logged once")


def test_a_listen_section_holds_too(make_rig):
    sections = PG.replace("    default_backend pg\n", "").replace("\nbackend pg\n", "").replace("frontend door", "listen pg")
    rig = make_rig(sections + BOTH)
    client = Client()
    rig.wait_waiting(1)
    rig.set("n1", "state ready")
    assert client.hears() == b"n1"


def test_in_a_frontend_the_action_passes_everybody_on(make_rig):
    rule = "    tcp-request inspect-delay 60s\n    tcp-request content lua.hold\n"
    rig = make_rig(DOOR_TO_PG + rule + "backend pg\n" + BOTH)
    client = Client()
    assert client.hears() == b"" and client.age() < 1
    rig.set("n1", "state ready")
    assert Client().hears() == b"n1"
    assert rig.ask("show hold").splitlines()[1:] in ([], [""])


def test_a_backend_without_servers_holds_to_the_end(make_rig):
    make_rig(PG, longest="300ms")
    client = Client()
    assert client.hears() == b"" and client.age() >= 0.29


def test_a_server_added_at_runtime_releases(make_rig):
    rig = make_rig(PG + "    balance roundrobin\n")
    client = Client()
    rig.wait_waiting(1)
    reply = rig.ask("add server pg/new {}:{}".format(*SERVERS["n1"]))
    assert "New server registered" in reply, reply
    rig.ask("enable server pg/new")
    assert client.hears() == b"n1"


def test_two_backends_do_not_touch_each_other(make_rig):
    other = PG.replace("frontend door", "frontend other").replace(":7000", ":7001").replace("backend pg", "backend other")
    rig = make_rig(PG + BOTH + other.replace("default_backend pg", "default_backend other") + BOTH)
    here, there = Client(), Client(address=(f"{NET}.9", 7001))
    rig.wait_waiting(1)
    rig.wait_waiting(1, backend="other")
    rig.set("n1", "state ready")
    assert here.hears() == b"n1"
    assert there.hears(0.2) is None
    rig.set("n2", "state ready", backend="other")
    assert there.hears() == b"n2"
