"""One HAProxy and one pointsman over fake members, with a recorder on the socket between the two."""

import json
import os
import socket
import time

import haproxy
from fake_patroni import Server
from pointsman import Pointsman
from processes import wait_until


class Recorder:
    """Stands between pointsman and HAProxy's stats socket and notes every line. `before`: function(line), called before a line
    is passed on; it may raise ConnectionError to have the line dropped. `rewrite`: function(part), what comes of a part of a reply."""

    def __init__(self, path, target):
        self.path, self.target = path, target
        self.lines = []
        self.last = 0.0  # when the last line came, by the monotonic clock
        self.before = lambda line: None
        self.rewrite = lambda part: part
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(64)
        self.server = Server(listener, self.serve)

    def serve(self, connection):
        line = b""
        while not line.endswith(b"\n"):
            part = connection.recv(65536)
            if not part:
                return
            line += part
        text = line.decode().rstrip("\n")
        self.lines.append(text)
        self.last = time.monotonic()
        self.before(text)
        with socket.socket(socket.AF_UNIX) as onward:
            onward.connect(self.target)
            onward.sendall(line)
            while part := onward.recv(65536):
                connection.sendall(self.rewrite(part))

    def commands(self):
        """The single commands that change something, in order."""
        found = []
        for line in list(self.lines):
            found += [command.strip() for command in line.split(";")
                      if command.strip() and not command.strip().startswith(("show ", "set severity-output"))]
        return found

    def close(self):
        self.server.close()
        os.unlink(self.path)


class Rig:
    """kind, method, other keywords: as in haproxy.Haproxy and pointsman.Pointsman. `poll`: the cluster's."""

    def __init__(self, cluster, kind="documented", method="runtime", run=True, poll=None, make_haproxy=haproxy.Haproxy,
                 extra_global="", **keys):
        self.cluster, self.kind, self.run = cluster, kind, run
        self.haproxy = make_haproxy(cluster, kind, extra_global=extra_global)
        self.recorder = Recorder(f"{self.haproxy.folder}/run/recorded.sock", self.haproxy.socket)
        self.pointsman = Pointsman(cluster, self.haproxy, method, **({"socket": self.recorder.path} | keys))
        self.settings = self.pointsman.settings
        if poll:
            self.settings["clusters"][0]["poll"] = poll
            self.pointsman.write_settings()

    def start(self):
        self.haproxy.start()
        wait_until(self.master_answers, 5, "HAProxy's master answers")  # it begins anew once its worker runs
        if self.run:
            self.pointsman.start()
            self.wait_steered()

    def master_answers(self):
        try:
            return "worker" in self.haproxy.ask_master("show proc")
        except OSError:
            return False

    def close(self):
        self.pointsman.stop()
        self.haproxy.stop()
        self.recorder.close()

    def reads_and_writes(self):
        return self.haproxy.usable("pg_primary"), self.haproxy.usable("pg_replicas")

    def steered(self, writer=None):
        writer = writer or self.cluster.leader().name
        return self.reads_and_writes() == ({writer}, set(self.cluster.members) - {writer})

    def wait_steered(self, timeout=10, writer=None):
        wait_until(lambda: self.steered(writer), timeout, "HAProxy writes to the leader alone and reads from the two others",
                   every=0.005)

    def log(self):
        return self.pointsman.log()

    def log_lines(self, *parts, after=0):
        """The lines of the log, from `after` on, that have all the parts in them."""
        return [line for line in self.log().splitlines()[after:] if all(part in line for part in parts)]

    def status_json(self):
        status, body = self.pointsman.get("/status.json")
        assert status == 200, body
        return json.loads(body)

    def member_status(self, name):
        url = self.cluster.members[name].api_url
        return next(member for cluster in self.status_json()["clusters"] for member in cluster["members"]
                    if member["url"] == url)

    def server_status(self, backend, server):
        return next(each for cluster in self.status_json()["clusters"] for each in cluster["servers"]
                    if (each["backend"], each["server"]) == (backend, server))

    def metrics(self):
        """{"name{labels}": value} of /metrics."""
        status, body = self.pointsman.get("/metrics")
        assert status == 200, body
        lines = (line.rsplit(" ", 1) for line in body.splitlines() if line and not line.startswith("#"))
        return {series: float(value) for series, value in lines}

    def metric(self, series):
        return self.metrics().get(series, 0.0)

    def reach(self, address=None):
        """The name that a connection through HAProxy arrives at; None when it is refused."""
        try:
            with socket.create_connection(address or self.haproxy.write_address, timeout=2) as connection:
                return connection.recv(100).decode().strip() or None
        except OSError:
            return None
