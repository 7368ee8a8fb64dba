"""`hold` and `show hold` on the stats socket, and how HAProxy starts and reloads with them."""

import os
import subprocess
import time

import pytest

from processes import wait_until
from rig import BOTH, LUA, PG, Client, words_for

HEADER = "# backend waiting left_ms held_total expired_total longest_ms\n"
UP = BOTH.replace(" disabled", "")


def test_a_commanded_hold_holds_though_a_server_is_up_and_leaves_sessions_alone(make_rig, measured):
    rig = make_rig(PG + UP)
    session = Client()
    assert session.hears() in (b"n1", b"n2")
    assert rig.ask("hold pg 10000") == "held pg 10000\n\n"
    client = Client()
    rig.wait_waiting(1)
    session.socket.sendall(b"still here")
    assert session.hears() == b"still here"
    assert client.hears(0.2) is None
    assert rig.ask("hold pg 0") == "held pg 0\n\n"
    ended = time.monotonic()
    assert client.hears() in (b"n1", b"n2")
    took = time.monotonic() - ended
    measured(f"went on {took * 1000:.1f} ms after `hold pg 0`")
    assert took <= 0.1
    assert Client().hears() in (b"n1", b"n2")


def test_a_commanded_hold_expires_by_itself(make_rig, measured):
    rig = make_rig(PG + UP)
    rig.ask("hold pg 500")
    begun = time.monotonic()
    assert Client().hears() in (b"n1", b"n2")
    took = time.monotonic() - begun
    measured(f"over after {took * 1000:.0f} ms of 500")
    assert 0.49 <= took <= 0.65
    assert rig.shown()["left_ms"] == 0


def test_a_later_command_replaces_the_hold(make_rig):
    rig = make_rig(PG + UP)
    rig.ask("hold pg 60000")
    client = Client()
    rig.wait_waiting(1)
    rig.ask("hold pg 200")
    assert client.hears() in (b"n1", b"n2")
    assert client.age() < 1
    rig.ask("hold pg 100; hold pg 800")
    client = Client()
    assert client.hears(0.3) is None
    assert client.hears() in (b"n1", b"n2")


def test_a_commanded_hold_does_not_hold_longer_than_the_longest(make_rig):
    rig = make_rig(PG + UP, longest="300ms")
    rig.ask("hold pg 60000")
    client = Client()
    assert client.hears() in (b"n1", b"n2")
    assert 0.29 <= client.age() <= 0.5
    assert rig.shown()["expired_total"] == 1


def test_show_hold_counts(make_rig):
    rig = make_rig(longest="2s")
    assert rig.ask("show hold") == HEADER + "\n"
    rig.ask("hold pg 1000")
    shown = rig.shown()
    assert 900 <= shown.pop("left_ms") <= 1000
    assert shown == {"waiting": 0, "held_total": 0, "expired_total": 0, "longest_ms": 0}
    clients = [Client() for _ in range(7)]
    rig.wait_waiting(7)
    assert rig.shown()["held_total"] == 7
    for client in clients[:3]:
        client.close()
    rig.wait_waiting(4, timeout=1.0)
    assert [client.hears() for client in clients[3:]] == [b""] * 4
    shown = rig.shown()
    assert 1990 <= shown.pop("longest_ms") <= 2200
    assert shown == {"waiting": 0, "left_ms": 0, "held_total": 7, "expired_total": 4}
    assert rig.ask("show hold").endswith("\n\n")


@pytest.mark.parametrize("longest", ["40", "40h", "0s", "-1s", "s", "61m", "1.5s", "99999999999s"])
def test_a_wrong_longest_hold_stops_haproxys_start_and_says_why(version, tmp_path, longest):
    for way in (f"setenv POINTSMAN_HOLD {longest}\n    lua-load {LUA}", f"lua-load {LUA} {longest}"):
        if "setenv" not in way and version == "/usr/sbin/haproxy" and haproxy_version(version) < (2, 8):
            continue  # drops the word
        (tmp_path / "haproxy.cfg").write_text(f"global\n    {way}\n")
        run = subprocess.run(words_for(version) + ["-c", "-f", str(tmp_path / "haproxy.cfg")], capture_output=True, text=True)
        assert run.returncode == 1
        assert f"the longest hold is a number from 1ms to 60m, like 500ms, 40s or 2m; this is not: {longest}" in run.stdout + run.stderr


def haproxy_version(version):
    text = subprocess.run(words_for(version) + ["-v"], capture_output=True, text=True).stdout
    return tuple(int(number) for number in text.split()[2].split(".")[:2])


def test_who_is_held_across_a_reload_stays_with_the_old_worker_until_a_hold_there_ends(make_rig, measured):
    """A commanded hold of the old worker is a lease that ends there too, and its servers stay as it last saw them."""
    rig = make_rig(PG + UP)
    rig.ask("hold pg 1500")
    client = Client()
    rig.wait_waiting(1)
    old = rig.reload()
    assert rig.waiting() == 0
    assert Client().hears() in (b"n1", b"n2")
    assert client.hears(0.1) is None
    assert rig.ask_old(old, "hold pg 0").startswith("held pg 0\n")
    ended = time.monotonic()
    assert client.hears() in (b"n1", b"n2")
    measured(f"released in the old worker {(time.monotonic() - ended) * 1000:.0f} ms after the command")


def test_who_is_held_in_an_old_worker_for_want_of_a_server_waits_to_the_end(make_rig):
    """HAProxy checks nothing there any more, and refuses `set server`."""
    rig = make_rig(longest="1500ms")
    client = Client()
    rig.wait_waiting(1)
    old = rig.reload()
    rig.set("n1", "state ready")
    assert "Proxy is disabled" in rig.ask_old(old, "set server pg/n1 state ready")
    assert Client().hears() == b"n1"
    assert client.hears() == b""
    assert client.age() >= 1.49
    wait_until(lambda: not os.path.exists(f"/proc/{old}"), 5, "the old worker has ended")
