"""Patroni members that are not there: each answers /primary, /cluster, /config and HAProxy's checks as Patroni 3.0.2 does, says
what it is told to say, and misbehaves where it is told to. Beside each is a PostgreSQL that only says its member's name."""

import email.utils
import json
import os
import socket
import ssl
import threading
import time

from processes import new_folder, refuse_leftovers

SYSTEM = "7710852581878446106"
REASONS = {200: "OK", 500: "Internal Server Error", 503: "Service Unavailable"}


def head(code=200, content_type="application/json"):
    """The header of an answer, as Python's http.server writes it for Patroni: HTTP/1.0, no length."""
    return (f"HTTP/1.0 {code} {REASONS.get(code, 'Whatever')}\r\nServer: BaseHTTP/0.6 Python/3.11.2\r\n"
            f"Date: {email.utils.formatdate(usegmt=True)}\r\nContent-Type: {content_type}\r\n\r\n").encode()


class Server:
    """A listener that gives each connection a thread of its own; `close` also ends the connections."""

    def __init__(self, listener, serve):
        self.listener, self.serve = listener, serve
        self.connections = set()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.add(connection)
            threading.Thread(target=self.run, args=(connection,), daemon=True).start()

    def run(self, connection):
        try:
            self.serve(connection)
        except OSError:  # the other side has gone; also ssl.SSLError
            pass
        finally:
            connection.close()
            self.connections.discard(connection)

    def close(self):
        if self.listener.fileno() < 0:
            return
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def read_on(connection, _):
    """Takes what comes, and says nothing."""
    while connection.recv(4096):
        pass


def listen(address, port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(64)
    return listener


class FakeMember:
    """`tricks`: {path: function(connection, member)} that answers GET requests for the path in its place."""

    def __init__(self, cluster, name, address):
        self.cluster, self.name, self.address = cluster, name, address
        self.role, self.state, self.timeline, self.code = "replica", "running", 1, None
        self.also = {}           # into the body of /primary
        self.patroni = {}        # into its `patroni`
        self.tricks = {}
        self.asked = []          # paths of the GET requests so far
        self.started_up = []     # start-up packets that came to PostgreSQL
        self.postgres_trick = None  # function(connection, member): what PostgreSQL does instead of saying the name
        self.api = self.postgres = None

    @property
    def api_url(self):
        return f"{'https' if self.cluster.tls else 'http'}://{self.address}:8008"

    def start(self):
        self.api = Server(listen(self.address, 8008), self.serve_api)
        self.postgres = Server(listen(self.address, 5432), self.serve_postgres)

    def stop(self):
        """API and PostgreSQL refuse."""
        for server in (self.api, self.postgres):
            if server:
                server.close()
        self.api = self.postgres = None

    def serve_postgres(self, connection):
        if self.postgres_trick:
            return self.postgres_trick(connection, self)
        connection.sendall(self.name.encode() + b"\n")
        while part := connection.recv(4096):
            if part[4:8] == b"\0\3\0\0":
                self.started_up.append(part)

    def serve_api(self, connection):
        connection.settimeout(20)
        if self.cluster.tls:
            connection = shake_hands(self.cluster.tls, connection)
        request = b""
        while b"\r\n\r\n" not in request:
            part = connection.recv(4096)
            if not part:
                return
            request += part
        method, path = request.split(b" ", 2)[:2]
        path = path.decode()
        if method == b"GET":
            self.asked.append(path)
            if path in self.tricks:
                self.tricks[path](connection, self)
                return end(connection)
        code, body = self.answer(path)
        connection.sendall(head(code) + (json.dumps(body).encode() if method == b"GET" else b""))
        end(connection)

    def answer(self, path):
        """(code, body) of a path."""
        with self.cluster.lock:
            if path == "/cluster":
                return 200, {"members": [member.listed() for member in self.cluster.members.values()]}
            if path == "/config":
                return 200, {"ttl": self.cluster.ttl, "loop_wait": 10, "retry_timeout": 10, "maximum_lag_on_failover": 1048576,
                             "postgresql": {"use_pg_rewind": True}}
            primary = self.role in ("primary", "master")
            right = self.state == "running" and (path == "/read-only" or primary == (path == "/primary"))
            code = self.code if self.code and path == "/primary" else 200 if right else 503
            return code, self.body()

    def body(self):
        body = {"state": self.state, "postmaster_start_time": "2026-11-22 04:48:35.612239+00:00", "role": self.role,
                "server_version": 150018}
        if self.role in ("primary", "master"):
            body["xlog"] = {"location": 67787728}
            body["replication"] = [
                {"usename": "replicator", "application_name": other.name, "client_addr": other.address, "state": "streaming",
                 "sync_state": "async", "sync_priority": 0} for other in self.cluster.members.values() if other is not self]
        else:
            body["xlog"] = {"received_location": 67787728, "replayed_location": 67787728, "replayed_timestamp": None,
                            "paused": False}
        return body | {"timeline": self.timeline, "dcs_last_seen": int(time.time()), "database_system_identifier": SYSTEM,
                       "patroni": {"version": "3.0.2", "scope": self.cluster.scope} | self.patroni} | self.also

    def listed(self):
        role = "leader" if self.role in ("primary", "master") else "replica"
        return {"name": self.name, "role": role, "state": self.state, "api_url": f"{self.api_url}/patroni",
                "host": self.address, "port": 5432, "timeline": self.timeline, "lag": 0}


def shake_hands(tls, connection):
    """The connection under TLS. Where it is refused, what the other side sends still is read, so that it gets the alert and no
    reset."""
    kept = connection.dup()
    try:
        return tls.wrap_socket(connection, server_side=True)
    except ssl.SSLError:
        kept.settimeout(2)
        kept.shutdown(socket.SHUT_WR)
        while kept.recv(4096):
            pass
        raise
    finally:
        kept.close()


def end(connection):
    """Closes so that what was sent arrives."""
    connection.shutdown(socket.SHUT_WR)
    connection.close()


class FakeCluster:
    """Three members, pg1 the primary. A context manager; several may share a folder and a net by `beside` and `first`."""

    def __init__(self, scope="main", first=11, beside=None, names=("pg1", "pg2", "pg3")):
        self.scope, self.ttl, self.tls = scope, 30, None
        self.net = os.environ.get("POINTSMAN_NET", "127.0.4")
        self.lock = threading.RLock()
        addresses = [f"{self.net}.{first + index}" for index in range(len(names))]
        refuse_leftovers([(address, port) for address in addresses for port in (5432, 8008)])
        self.folder, self.keeper = (beside.folder, None) if beside else new_folder()
        self.members = {name: FakeMember(self, name, address) for name, address in zip(names, addresses)}
        next(iter(self.members.values())).role = "master"

    def __enter__(self):
        for member in self.members.values():
            member.start()
        return self

    def __exit__(self, *_):
        for member in self.members.values():
            member.stop()
        if self.keeper:
            self.keeper.stdin.close()
            self.keeper.wait()

    def leader(self):
        return next((member for member in self.members.values() if member.role == "master"), None)

    def switch(self, name):
        """`name` (None: nobody) is the primary from this moment on."""
        with self.lock:
            timeline = max(member.timeline for member in self.members.values()) + (name is not None)
            for member in self.members.values():
                member.role = "master" if member.name == name else "replica"
                member.timeline = timeline


def use_tls(cluster, certificate, key, client_ca=None):
    """The members speak https from now on; with `client_ca` they ask for a client's certificate (`verify_client: required`)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    cluster.tls = context
