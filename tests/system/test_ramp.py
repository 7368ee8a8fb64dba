"""`ramp`: real HAProxy with hold.lua, 500 clients that waited, and a new primary that counts who is on it."""

import csv
import io
import json
import math
import os
import select
import socket
import threading
import time

import pytest

import haproxy
from fake_patroni import listen
from processes import wait_until

NUMBER = 500
START, OVER = 20, 2.0
TOP = 10_000  # what a ramp to no limit rises to, before its end
STEP = 0.05


def make_haproxy(limit):
    """A Haproxy whose servers have this maxconn (none: no limit)."""

    def make(cluster, kind, extra_global=""):
        made = haproxy.Haproxy(cluster, kind, maxconn=2000, extra_global=extra_global)
        with open(f"{made.folder}/haproxy.cfg", encoding="utf-8") as file:
            text = file.read()
        text = text.replace(" maxconn 100 check", f" maxconn {limit} check" if limit else " check")
        with open(f"{made.folder}/haproxy.cfg", "w", encoding="utf-8") as file:
            file.write(text)
        return made

    return make


@pytest.fixture
def ramp_rig(make_rig):
    """ramp_rig(ramp, limit=None, **keys): a rig whose write backend has this ramp. Its `told` has (when, limit) of each `set
    maxconn server` for pg2, and (when, None) of what brought it in."""

    def make(ramp, limit=None, **keys):
        rig = make_rig("hold", run=False, make_haproxy=make_haproxy(limit), **keys)
        if ramp:
            rig.settings["clusters"][0]["backends"][0]["ramp"] = ramp
        rig.pointsman.write_settings()
        rig.told = []

        def note(line):
            for command in line.split("; "):
                if command.startswith("set maxconn server pg_primary/pg2 "):
                    rig.told.append((time.monotonic(), int(command.split()[-1])))
                elif command == "set server pg_primary/pg2 health up":
                    rig.told.append((time.monotonic(), None))

        rig.recorder.before = note
        return rig

    return make


def row(rig, server="pg2"):
    """(sessions, maxconn or infinity) of a server of the write backend, from one reply."""
    for each in csv.DictReader(io.StringIO(rig.haproxy.ask("show stat pg_primary 4 -1").removeprefix("# "))):
        if each["svname"] == server:
            return int(each["scur"]), int(each["slim"]) if each["slim"] else math.inf
    raise AssertionError(f"there is no {server}")


def queued(rig):
    table = csv.DictReader(io.StringIO(rig.haproxy.ask("show stat pg_primary 6 -1").removeprefix("# ")))
    return sum(int(each["qcur"]) for each in table)


class Sampler:
    """Looks at pg2 in HAProxy all the time: (begun, sessions, maxconn)."""

    def __init__(self, rig):
        self.rig, self.samples, self.stopped = rig, [], False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopped:
            self.samples.append((time.monotonic(), *row(self.rig)))
            time.sleep(0.002)

    def stop(self):
        self.stopped = True
        self.thread.join()
        return self.samples


class CountingServer:
    """In PostgreSQL's place: says its name to whoever comes, keeps the connection, and notes when."""

    def __init__(self, member):
        member.postgres.close()
        self.name, self.listener = member.name, listen(member.address, 5432)
        self.listener.listen(1024)
        self.connections, self.times = [], []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.times.append(time.monotonic())
            self.connections.append(connection)
            connection.sendall(self.name.encode())

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            connection.close()


class Clients:
    def __init__(self, address, number):
        self.sockets = [socket.create_connection(address, timeout=10) for _ in range(number)]
        for client in self.sockets:
            client.sendall(b"hello")

    def served_by(self, timeout):
        """{name: how many}; who heard nothing is left out, who was refused is ''."""
        names, poll = {}, select.epoll()
        by_number = {client.fileno(): client for client in self.sockets}
        for number in by_number:
            poll.register(number, select.EPOLLIN)
        end = time.monotonic() + timeout
        while by_number and time.monotonic() < end:
            for number, _ in poll.poll(0.1):
                poll.unregister(number)
                name = by_number.pop(number).recv(100).decode()
                names[name] = names.get(name, 0) + 1
        poll.close()
        return names

    def close(self):
        for client in self.sockets:
            client.close()


class Scene:
    """Nobody is the writer, and NUMBER clients wait."""

    def __init__(self, rig):
        self.rig = rig
        rig.pointsman.start()
        rig.wait_steered(writer="pg1")
        rig.cluster.switch(None)
        wait_until(lambda: not rig.haproxy.usable("pg_primary") - {"hold"}, 5, "nobody takes writes")
        self.server = CountingServer(rig.cluster.members["pg2"])
        self.clients = Clients(rig.haproxy.write_address, NUMBER)
        wait_until(lambda: rig.metric('pointsman_held_connections{scope="main",backend="pg_primary"}') == NUMBER, 10, "all of them wait")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.clients.close()
        self.server.close()


def law(since, limit):
    """What a ramp allows so long after the server went in."""
    if since >= OVER:
        return math.inf
    return START * ((limit or TOP) / START) ** (math.floor(since / STEP) / (OVER / STEP))


def remembered(rig):
    folder = f"{rig.pointsman.folder}/state"
    (name,) = [name for name in os.listdir(folder) if name.endswith(".json")]
    with open(f"{folder}/{name}", encoding="utf-8") as file:
        return json.load(file)["ramps"]


def was_put_back(rig, limit):
    return row(rig)[1] == (limit or math.inf) and queued(rig) == 0 and remembered(rig) == []


def spread(times):
    """Milliseconds from the first to the one in the middle, and to the last."""
    return [round((times[number] - times[0]) * 1000) for number in (len(times) // 2, -1)]


@pytest.mark.parametrize("limit", [None, 600], ids=["no-limit", "limit"])
def test_who_waited_is_let_in_by_steps_and_the_limit_is_what_it_was(ramp_rig, measured, limit):
    rig = ramp_rig({"start": START, "over": "2s"}, limit)
    with Scene(rig) as scene:
        sampler = Sampler(rig)
        rig.cluster.switch("pg2")
        assert scene.clients.served_by(10) == {"pg2": NUMBER}
        wait_until(lambda: was_put_back(rig, limit), 5, "the limit is what it was")
        samples = sampler.stop()
        times = scene.server.times
        measured(f"middle and last of {NUMBER} after {spread(times)} ms, {len(rig.told)} commands, {len(samples)} samples")
        assert len(times) == NUMBER
        # Never more than HAProxy was told to let in, and it was never told more than the ramp's law.
        assert all(sessions <= most for _, sessions, most in samples)
        for number, when in enumerate(times, 1):
            later = next((most for begun, _, most in samples if begun >= when), math.inf)
            assert number <= later, f"{number} connections at {when - times[0]:.3f} s"
        assert [told for _, told in rig.told[:2]] == [START, None]  # before it goes in
        brought_in = rig.told[1][0]
        steps = [told for told in rig.told[2:] if told[1] is not None]
        limits = [told for _, told in steps]
        assert len(limits) > 15
        assert limits[-1] == (limit or 0)
        assert sorted(limits[:-1]) == limits[:-1]
        for when, told in steps[:-1]:
            assert told <= law(when - brought_in, limit)
        assert spread(times)[0] > 500


def test_without_a_ramp_all_come_at_once(ramp_rig, measured):
    rig = ramp_rig(None)
    with Scene(rig) as scene:
        rig.cluster.switch("pg2")
        assert scene.clients.served_by(10) == {"pg2": NUMBER}
        times = scene.server.times
        measured(f"middle and last of {NUMBER} after {spread(times)} ms")
        assert spread(times)[0] < 300
        assert rig.told == [(rig.told[0][0], None)] + [told for told in rig.told[1:] if told[1] is None]


def await_middle(rig, limit=None):
    wait_until(lambda: START < row(rig)[1] < (limit or TOP), 5, "a ramp is under way", every=0.002)


@pytest.mark.parametrize("limit", [None, 600], ids=["no-limit", "limit"])
@pytest.mark.parametrize("by", ["start", "once", "release"])
def test_what_a_killed_one_left_low_is_put_back(ramp_rig, by, limit):
    rig = ramp_rig({"start": START, "over": "2s"}, limit)
    with Scene(rig) as scene:
        rig.cluster.switch("pg2")
        await_middle(rig, limit)
        rig.pointsman.kill9()
        assert len(remembered(rig)) == 1
        time.sleep(0.1)
        assert row(rig)[1] < (limit or TOP) and queued(rig) > 0
        if by == "start":
            rig.pointsman.start()
        else:
            done = rig.pointsman.command(by)
            assert done.returncode == 0, done.stdout + done.stderr
            assert was_put_back(rig, limit), (row(rig), queued(rig), remembered(rig))
        wait_until(lambda: was_put_back(rig, limit), 5, "the limit is what it was")
        assert scene.clients.served_by(10) == {"pg2": NUMBER}


def test_what_an_operator_sets_in_the_middle_stays(ramp_rig):
    rig = ramp_rig({"start": START, "over": "2s"})
    with Scene(rig):
        rig.cluster.switch("pg2")
        await_middle(rig)
        rig.haproxy.ask("set maxconn server pg_primary/pg2 700")
        last = len(rig.told)
        wait_until(lambda: remembered(rig) == [], 5, "the ramp is forgotten")
        time.sleep(OVER + 0.5)  # longer than it would have taken
        assert row(rig)[1] == 700
        assert len(rig.told) <= last + 1  # one may have been on its way


def test_once_sees_its_ramp_to_the_end(ramp_rig):
    rig = ramp_rig({"start": START, "over": "500ms"}, 600)
    assert rig.pointsman.command("once").returncode == 0
    rig.cluster.switch("pg2")
    plan = rig.pointsman.command("plan").stdout
    assert "would send: set maxconn server pg_primary/pg2 20  # ramp\nwould send: set server pg_primary/pg2 health up" in plan
    done = rig.pointsman.command("once")
    assert (done.returncode, done.stdout) == (0, "scope main: writer pg2 (settled), changed\n")
    assert done.seconds > 0.5
    assert rig.told[0][1] == START
    assert was_put_back(rig, 600)


def test_a_reload_in_the_middle_leaves_nothing_to_put_back(ramp_rig):
    rig = ramp_rig({"start": START, "over": "2s"})
    rig.pointsman.start()
    rig.wait_steered(writer="pg1")
    rig.cluster.switch("pg2")
    await_middle(rig)
    rig.haproxy.reload()
    last = len(rig.told)
    wait_until(lambda: remembered(rig) == [], 5, "the ramp is forgotten")
    rig.wait_steered(writer="pg2")
    assert row(rig)[1] == math.inf
    time.sleep(0.2)  # four rounds
    assert [limit for _, limit in rig.told[last + 1:] if limit is not None] == []


def test_who_waits_in_the_queue_for_too_long_is_turned_away_by_haproxy(ramp_rig):
    """`timeout queue` has to be longer than the ramp."""
    rig = ramp_rig({"start": 1, "over": "1min"})
    with open(f"{rig.haproxy.folder}/haproxy.cfg", encoding="utf-8") as file:
        text = file.read()
    with open(f"{rig.haproxy.folder}/haproxy.cfg", "w", encoding="utf-8") as file:
        file.write(text.replace("timeout queue 60s", "timeout queue 1s"))
    rig.haproxy.reload()
    with Scene(rig) as scene:
        rig.cluster.switch("pg2")
        begun = time.monotonic()
        names = scene.clients.served_by(10)
        assert 1 < time.monotonic() - begun < 4
        assert names["pg2"] < 10
        assert names[""] == NUMBER - names["pg2"]
