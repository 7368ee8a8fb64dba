"""HAProxy in master-worker mode with one of the configurations that people have."""

import csv
import io
import os
import signal
import socket
import time

from processes import HarnessError, command_of, kill9_in, processes_in, refuse_leftovers, send, spawn, wait_until

# As in Patroni's repository (haproxy.cfg), split into frontends and backends.
BASE = """global
    maxconn {maxconn}
    stats socket {folder}/run/admin.sock mode 660 level admin
    stats timeout 30s
{extra_global}
defaults
    log global
    mode tcp
    retries 2
    timeout client 30m
    timeout connect 4s
    timeout server 30m
    timeout check 5s

frontend fe_primary
    bind {net}.1:{write_port}
    default_backend pg_primary

frontend fe_replicas
    bind {net}.1:{read_port}
    default_backend pg_replicas
"""
HTTPCHK = """
backend {backend}
    option httpchk OPTIONS /{role}
    http-check expect status 200
    default-server {pace} on-marked-down shutdown-sessions
"""
PACE = {"documented": "inter 3s fall 3 rise 2", "tuned": "inter 500ms fastinter 250ms fall 2 rise 1"}
PACE["hold"] = PACE["documented"]
# New connections wait for a writer; a server that refuses, with retries, is the net below.
HOLD = """    tcp-request inspect-delay 60s
    tcp-request content lua.hold
    timeout connect 1s
    timeout queue 60s
    option redispatch 1
    retries 60
    option abortonclose
    server hold 127.0.0.1:1 backup
"""
HOLD_LUA = os.path.abspath(f"{os.path.dirname(os.path.abspath(__file__))}/../../haproxy/hold.lua")
LOAD_HOLD = f"    setenv POINTSMAN_HOLD 40s\n    lua-load {HOLD_LUA}\n"  # in `global`; the packaged template then holds too
SERVER = {
    **dict.fromkeys(PACE, "    server {name} {address}:5432 maxconn 100 check port 8008\n"),
    "naive": "    server {name} {address}:5432 check port 5432 inter 2s fall 3 rise 2\n",
    "nocheck": "    server {name} {address}:5432\n",
}
FRAGMENTS = {"fragment": "documented", "cron": "nocheck"}  # of which kind the backends are in a file of their own, at first
BACKENDS = {"pg_primary": "primary", "pg_replicas": "replica"}


class Haproxy:
    """kind: documented, tuned, hold, naive, nocheck; fragment, cron: frontends in the main file, backends in conf.d/pg_backends.cfg.

    Several of one kind differ in `name` and `port`, the first of two.
    """

    def __init__(self, cluster, kind, maxconn=100, extra_global="", name=None, port=5000):
        self.cluster, self.kind = cluster, kind
        self.folder = f"{cluster.folder}/haproxy-{name or kind}"
        self.socket = f"{self.folder}/run/admin.sock"
        self.master_socket = f"{self.folder}/run/master.sock"
        self.fragment = f"{self.folder}/conf.d/pg_backends.cfg"
        self.write_address = (f"{cluster.net}.1", port)
        self.read_address = (f"{cluster.net}.1", port + 1)
        self.master = None
        self.worker_starts = []  # (from, until the worker first answered), monotonic; not those that pointsman asked for
        self.write_configuration(maxconn, extra_global)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def write_configuration(self, maxconn, extra_global):
        for folder in (os.path.dirname(self.fragment), os.path.dirname(self.socket)):
            os.makedirs(folder, exist_ok=True)
        if self.kind == "hold":
            extra_global += LOAD_HOLD
        main = BASE.format(folder=self.folder, net=self.cluster.net, maxconn=maxconn, extra_global=extra_global,
                           write_port=self.write_address[1], read_port=self.read_address[1])
        if self.kind in FRAGMENTS:
            with open(self.fragment, "w") as file:
                file.write(self.backends(FRAGMENTS[self.kind]))
        else:
            main += self.backends(self.kind)
        with open(f"{self.folder}/haproxy.cfg", "w") as file:
            file.write(main)

    def backends(self, kind):
        text = ""
        for backend, role in BACKENDS.items():
            text += HTTPCHK.format(backend=backend, role=role, pace=PACE[kind]) if kind in PACE else f"\nbackend {backend}\n"
            for member in self.cluster.members.values():
                text += SERVER[kind].format(name=member.name, address=member.address)
            text += HOLD if kind == "hold" and role == "primary" else ""
        return text

    def words(self):
        words = ["/usr/sbin/haproxy", "-W", "-S", self.master_socket, "-f", f"{self.folder}/haproxy.cfg"]
        return words + (["-f", f"{self.folder}/conf.d"] if self.kind in FRAGMENTS else [])

    def start(self):
        """Starts and waits for the worker's first answer."""
        refuse_leftovers([self.write_address, self.read_address])
        begin = time.monotonic()
        self.master = spawn(self.words(), self.folder, f"{self.folder}/haproxy.log")
        self.await_worker(begin, 0)

    def stop(self):
        if self.master is not None:
            kill9_in(self.folder)
            self.master.wait()
            self.master = None

    def kill9(self):
        """SIGKILL to master and workers."""
        self.stop()

    def reload(self):
        """SIGUSR2 behind pointsman's back; waits for the new worker's first answer."""
        begin, old = time.monotonic(), self.pid()
        send([self.master.pid], signal.SIGUSR2)
        self.await_worker(begin, old)

    def await_worker(self, begin, old):
        def there():
            if self.master.poll() is not None:
                raise HarnessError(f"HAProxy ended with {self.master.returncode}:\n{self.log()[-2000:]}")
            pid = self.pid()
            return pid if pid and pid != old else None

        wait_until(there, 10, "the HAProxy worker answers", every=0.002)
        self.worker_starts.append((begin, time.monotonic()))

    def ask(self, command, path=None, timeout=2.0):
        """The reply to one command on the stats socket."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(path or self.socket)
            connection.sendall(command.encode() + b"\n")
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts).decode()

    def ask_master(self, command):
        return self.ask(command + "; quit", self.master_socket)

    def pid(self):
        """The id of the worker that serves; None when none answers."""
        try:
            info = dict(line.split(": ", 1) for line in self.ask("show info", timeout=0.5).splitlines() if ": " in line)
        except OSError:
            return None
        return int(info["Pid"]) if info.get("Stopping") == "0" else None

    def statuses(self):
        """{backend: {server: status}} as `show stat` has it: "UP", "DOWN 1/2", "MAINT", "no check"."""
        table = {}
        for row in csv.DictReader(io.StringIO(self.ask("show stat").removeprefix("# "))):
            if row["type"] == "2":
                table.setdefault(row["pxname"], {})[row["svname"]] = row["status"]
        return table

    def usable(self, backend):
        """The names of the servers of `backend` that get new connections: a `backup` only where nobody else is up."""
        up, backups = set(), set()
        for row in csv.DictReader(io.StringIO(self.ask("show stat").removeprefix("# "))):
            if row["type"] == "2" and row["pxname"] == backend and (row["status"].startswith("UP") or row["status"] == "no check"):
                (backups if row["bck"] == "1" else up).add(row["svname"])
        return up or backups

    def state(self):
        """`show servers state` without the columns that move by themselves, for a comparison of before and after."""
        moving = ("srv_time_since_last_change", "srv_check_health", "srv_check_state", "srv_check_status", "srv_check_result")
        lines = self.ask("show servers state").splitlines()
        header = lines[1].removeprefix("# ").split()
        return [tuple(value for name, value in zip(header, line.split()) if name not in moving) for line in lines[2:] if line]

    def workers(self):
        """The ids of all worker processes, old ones included."""
        return [pid for pid in processes_in(self.folder)
                if pid != self.master.pid and command_of(pid).startswith("/usr/sbin/haproxy")]

    def log(self):
        with open(f"{self.folder}/haproxy.log", errors="replace") as file:
            return file.read()
