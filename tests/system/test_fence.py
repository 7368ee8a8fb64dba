"""Established sessions on an old primary, many of them: ended, and how soon."""

import datetime
import os
import resource
import selectors
import socket
import time

import haproxy
from processes import spawn, wait_until

SESSIONS = 2000
SERVER = os.path.abspath(f"{os.path.dirname(os.path.abspath(__file__))}/../hold/server.py")


class Crowd:
    """`count` clients that are connected through HAProxy, have been answered, and wait."""

    def __init__(self, address, count):
        self.selector = selectors.DefaultSelector()
        self.clients = []
        for _ in range(count):
            client = socket.create_connection(address, timeout=10)
            assert client.recv(100), "refused"
            client.setblocking(False)
            self.selector.register(client, selectors.EVENT_READ)
            self.clients.append(client)
        self.open = count

    def await_end(self, timeout):
        """Until all have seen the end of their connection; says when that was, in Unix seconds."""
        until = time.monotonic() + timeout
        while self.open and time.monotonic() < until:
            for key, _ in self.selector.select(0.1):
                try:
                    ended = not key.fileobj.recv(100)
                except OSError:
                    ended = True
                if ended:
                    self.selector.unregister(key.fileobj)
                    self.open -= 1
        assert self.open == 0, f"{self.open} of {len(self.clients)} are still there"
        return time.time()

    def close(self):
        for client in self.clients:
            client.close()


def decided_at(rig):
    """When the log says that the old primary is out, as Unix seconds."""
    line = wait_until(lambda: rig.log_lines("pg_primary/pg1: out"), 5, "pg1 is out")[0]
    return datetime.datetime.fromisoformat(line.split()[0].replace("Z", "+00:00")).timestamp()


def test_two_thousand_sessions_are_gone_half_a_second_after_the_decision(make_rig, measured):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 20_000)), hard))
    rig = make_rig("naive", run=False, make_haproxy=lambda cluster, kind, extra_global: haproxy.Haproxy(cluster, kind, maxconn=5000,
                                                                                                       extra_global=extra_global))
    rig.settings["haproxy"]["socket"] = rig.haproxy.socket
    rig.pointsman.write_settings()
    rig.pointsman.start()
    rig.wait_steered()
    # One process in PostgreSQL's place that costs little: thousands of connections go at once.
    old = rig.cluster.members["pg1"]
    old.postgres.close()
    server = spawn(["/usr/bin/python3", "-B", SERVER, "pg1", old.address, "5432"], rig.cluster.folder, f"{rig.cluster.folder}/server.log")
    wait_until(lambda: rig.reach() == "pg1", 5, "it answers")
    crowd = Crowd(rig.haproxy.write_address, SESSIONS)
    try:
        rig.cluster.switch("pg2")
        ended = crowd.await_end(10)
        took = ended - decided_at(rig)
        measured(f"{SESSIONS} sessions gone {took * 1000:.0f} ms after the decision")
        assert took <= 0.5
        wait_until(rig.steered, 2, "the new writer is in")
        wait_until(lambda: rig.metric("pointsman_sessions_ended_total") >= SESSIONS, 2, "they are counted")
    finally:
        crowd.close()
        server.kill()
        server.wait()
