"""SIGHUP, SIGTERM, and what systemd is told."""

import os
import signal
import socket
import time

import pytest

from processes import spawn, wait_until


@pytest.fixture
def notified(make_rig):
    """A rig whose `run` has a NOTIFY_SOCKET that the test reads: rig.told() is all that came so far."""
    rig = make_rig(run=False)
    path = f"{rig.pointsman.folder}/systemd"
    told = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.setblocking(False)

        def read():
            try:
                while True:
                    told.extend(notify.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return told

        rig.told = read
        rig.pointsman.process = spawn(rig.pointsman.words("run"), rig.pointsman.folder, f"{rig.pointsman.folder}/log",
                                      env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "2000000"})
        wait_until(lambda: "READY=1" in read(), 5, "it is ready")
        rig.wait_steered()
        yield rig


def hang_up(rig):
    rig.pointsman.process.send_signal(signal.SIGHUP)


def test_systemd_is_told_of_start_watchdog_reload_and_end(notified):
    assert "STATUS=main: writer pg1 (settled)" in wait_until(
        lambda: [line for line in notified.told() if line.startswith("STATUS=") and "pg1" in line], 3, "a status line")
    seen = notified.told().count("WATCHDOG=1")
    wait_until(lambda: notified.told().count("WATCHDOG=1") >= seen + 2, 2, "the watchdog is fed within its 2 s")

    known = len(notified.told())
    hang_up(notified)
    wait_until(lambda: "READY=1" in notified.told()[known:], 5, "ready again")
    words = notified.told()[known:]
    reloading = words.index("RELOADING=1")
    assert words[reloading + 1].startswith("MONOTONIC_USEC=")
    assert abs(int(words[reloading + 1].split("=")[1]) / 1e6 - time.monotonic()) < 5
    assert reloading < words.index("READY=1")

    known = len(notified.told())
    assert notified.pointsman.stop() == 0
    assert notified.told()[known:].count("STOPPING=1") == 1


def test_a_member_that_hangs_does_not_keep_the_watchdog_waiting(notified):
    for member in notified.cluster.members.values():
        member.tricks["/primary"] = lambda connection, member: connection.recv(1)
    known = len(notified.told())
    wait_until(lambda: notified.told()[known:].count("WATCHDOG=1") >= 3, 4, "the watchdog is told again and again")


def test_a_good_new_configuration_is_taken(make_rig):
    rig = make_rig()
    sent = len(rig.recorder.commands())
    rig.settings["http"]["listen"] = f"{rig.cluster.net}.1:8011"
    rig.settings["haproxy"]["observe"] = True
    rig.pointsman.write_settings()
    old, rig.pointsman.http_address = rig.pointsman.http_address, (f"{rig.cluster.net}.1", 8011)
    hang_up(rig)
    wait_until(lambda: rig.pointsman.get("/healthz")[0] == 200, 5, "it listens at the new address")
    wait_until(lambda: rig.status_json()["observe"], 2, "its first round is published")
    rig.pointsman.http_address = old
    wait_until(lambda: rig.pointsman.get("/healthz")[0] is None, 5, "and no longer at the old one")
    rig.pointsman.http_address = (f"{rig.cluster.net}.1", 8011)
    assert rig.log_lines("configuration reloaded")
    assert rig.recorder.commands()[sent:] == []  # nothing was disturbed on the way
    assert rig.steered()


def test_a_bad_new_configuration_is_refused_and_the_old_one_stays(make_rig):
    rig = make_rig()
    process = rig.pointsman.process
    rig.settings["clusters"][0]["bakends"] = []
    rig.pointsman.write_settings()
    hang_up(rig)
    wait_until(lambda: rig.log_lines("the new configuration is refused; the old one stays in force"), 5, "it is refused")
    assert rig.log_lines(f"{rig.pointsman.file}:", "unknown key 'bakends'")
    rig.cluster.switch("pg2")
    rig.wait_steered(5)
    assert process.poll() is None

    # So is one whose port is taken.
    del rig.settings["clusters"][0]["bakends"]
    rig.settings["http"]["listen"] = "{}:{}".format(*rig.haproxy.write_address)
    rig.pointsman.write_settings()
    hang_up(rig)
    wait_until(lambda: rig.log_lines("in use", "the old configuration stays in force"), 5, "it is refused")
    assert rig.pointsman.get("/healthz")[0] == 200
    rig.cluster.switch("pg3")
    rig.wait_steered(5)


def test_a_reload_in_a_writerless_moment_forgets_nothing(make_rig):
    rig = make_rig(poll={"calm": "100ms"})
    rig.cluster.switch(None)
    wait_until(lambda: rig.haproxy.usable("pg_primary") == set(), 5, "the old writer is out")
    hang_up(rig)
    wait_until(lambda: rig.log_lines("configuration reloaded"), 5, "it is reloaded")
    end = time.monotonic() + 1
    while time.monotonic() < end:
        assert rig.haproxy.usable("pg_primary") == set()
    rig.cluster.switch("pg3")
    rig.wait_steered(3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("work", ["calm", "members hang", "HAProxy hangs", "a switch"])
def test_it_ends_quickly_with_0(make_rig, work, number):
    rig = make_rig()
    if work == "members hang":
        for member in rig.cluster.members.values():
            member.tricks["/primary"] = lambda connection, member: connection.recv(1)
        wait_until(lambda: all("/primary" in member.asked[-1:] for member in rig.cluster.members.values()), 5, "they are asked")
    elif work == "HAProxy hangs":
        os.kill(rig.haproxy.pid(), signal.SIGSTOP)
    elif work == "a switch":
        rig.recorder.before = lambda line: "pg_primary/pg2 health up" in line and rig.pointsman.process.send_signal(number)
        rig.cluster.switch("pg2")
        wait_until(lambda: not rig.pointsman.running(), 5, "the signal came in the middle of the switch")
    begin = time.monotonic()
    if rig.pointsman.running():
        rig.pointsman.process.send_signal(number)
    assert rig.pointsman.process.wait(5) == 0
    assert time.monotonic() - begin < 1.5
    assert rig.log_lines("stopped")
    if work == "a switch":
        assert rig.haproxy.usable("pg_primary") == {"pg2"}  # the round was finished
