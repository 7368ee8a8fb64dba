"""One HAProxy of one version with hold.lua, two servers behind it, and clients."""

import os
import re
import resource
import signal
import socket
import struct
import sys
import threading
import time

from processes import HarnessError, end_everything, kill9_in, let_go, new_folder, spawn, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
LUA = os.path.abspath(f"{HERE}/../../haproxy/hold.lua")
NET = os.environ.get("POINTSMAN_NET", "127.0.8")
DOOR = (f"{NET}.9", 7000)
SERVERS = {"n1": (f"{NET}.9", 7101), "n2": (f"{NET}.9", 7102)}

CONFIGURATION = """global
    maxconn 6000
    nbthread 2
    log {folder}/log.sock local0
    stats socket {folder}/admin.sock mode 600 level admin
    stats socket {folder}/user.sock mode 600 level user
    stats timeout 30s
.if version_atleast(3.1)
    tune.lua.bool-sample-conversion normal
.endif
    setenv POINTSMAN_HOLD {longest}
    lua-load {lua}
defaults
    log global
    mode tcp
    option tcplog
    timeout connect 1s
    timeout client 1m
    timeout server 1m
{sections}
"""
DOOR_TO_PG = """
frontend door
    bind {address}:{port}
    default_backend pg
""".format(address=DOOR[0], port=DOOR[1])
PG = DOOR_TO_PG + """
backend pg
    tcp-request inspect-delay 60s
    tcp-request content lua.hold
"""
BOTH = "".join(f"    server {name} {address}:{port} disabled\n" for name, (address, port) in SERVERS.items())


def words_for(version):
    """How this version of HAProxy is started: a program's path, or the root of another Debian."""
    if os.path.isdir(version):
        return ["/usr/bin/python3", f"{HERE}/../in_root.py", version, "/usr/sbin/haproxy"]
    return [version]


def raise_file_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Client:
    """A connection through HAProxy. `begun`: when it was made."""

    def __init__(self, say=b"", address=DOOR):
        self.begun = time.monotonic()
        self.socket = socket.create_connection(address, timeout=10)
        if say:
            self.socket.sendall(say)

    def hears(self, timeout=10.0):
        """What comes next: b"" when HAProxy closes, None when nothing comes."""
        self.socket.settimeout(timeout)
        try:
            return self.socket.recv(4096)
        except TimeoutError:
            return None
        except ConnectionResetError:
            return b""

    def age(self):
        return time.monotonic() - self.begun

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()


def reach(address=DOOR):
    """What a new connection hears; None when it is refused."""
    try:
        return Client(address=address).hears()
    except OSError:
        return None


class Rig:
    """`longest`: the longest hold. `sections`: what stands after `defaults`."""

    def __init__(self, version, sections=PG + BOTH, longest="40s"):
        raise_file_limit()
        self.version = version
        self.folder, self.keeper = new_folder()
        self.socket = f"{self.folder}/admin.sock"
        self.log_lines = []
        self.log_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.log_socket.bind(f"{self.folder}/log.sock")
        threading.Thread(target=self.read_log, daemon=True).start()
        self.write(sections, longest)
        for name, (address, port) in SERVERS.items():
            spawn([sys.executable, f"{HERE}/server.py", name, address, str(port)], self.folder, f"{self.folder}/servers.log")
        self.master = spawn(self.words(), self.folder, f"{self.folder}/haproxy.log")
        try:
            wait_until(self.answers, 10, "HAProxy and its master answer", every=0.005)
            for address in SERVERS.values():
                wait_until(lambda: reach(address), 5, "the servers answer")
        except (HarnessError, OSError) as error:
            text = self.output()
            self.close()
            raise HarnessError(f"{error}\n{text}") from None

    def write(self, sections, longest):
        with open(f"{self.folder}/haproxy.cfg", "w") as file:
            file.write(CONFIGURATION.format(folder=self.folder, lua=LUA, longest=longest, sections=sections))

    def words(self):
        return words_for(self.version) + ["-W", "-S", f"{self.folder}/master.sock", "-f", f"{self.folder}/haproxy.cfg"]

    def answers(self):
        if self.master.poll() is not None:
            raise HarnessError(f"HAProxy ended with {self.master.returncode}")
        try:
            return self.pid() and "worker" in self.ask_master("show proc")
        except OSError:
            return False

    def read_log(self):
        while True:
            try:
                self.log_lines.append(self.log_socket.recv(65536).decode(errors="replace"))
            except OSError:
                return

    def output(self):
        with open(f"{self.folder}/haproxy.log", errors="replace") as file:
            return file.read()

    def lua_lines(self):
        """What was logged or printed of Lua."""
        return [line for line in self.output().splitlines() + list(self.log_lines)
                if "lua" in line.lower() and "New worker" not in line]

    def ask(self, command, path=None):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(path or self.socket)
            connection.sendall(command.encode() + b"\n")
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts).decode()

    def ask_master(self, command):
        return self.ask(command + "; quit", f"{self.folder}/master.sock")

    def ask_old(self, pid, command):
        """Asks an old worker, as soon as the master, which begins anew at a reload, answers."""

        def reply():
            try:
                return self.ask_master(f"@!{pid} {command}")
            except ConnectionError:
                return None

        return wait_until(reply, 5, "the master answers")

    def info(self):
        return dict(line.split(": ", 1) for line in self.ask("show info").splitlines() if ": " in line)

    def pid(self):
        return int(self.info()["Pid"])

    def minor(self):
        """(3, 0) for HAProxy 3.0.11."""
        return tuple(int(number) for number in re.match(r"(\d+)\.(\d+)", self.info()["Version"]).groups())

    def set(self, server, what, backend="pg"):
        """`set server` with an empty reply. Returns when it was answered."""
        reply = self.ask(f"set server {backend}/{server} {what}")
        assert reply == "\n", reply
        return time.monotonic()

    def shown(self, backend="pg"):
        """The numbers of `show hold` for one backend, by name; None when it has no line."""
        lines = self.ask("show hold").splitlines()
        header = lines[0].removeprefix("# ").split()
        for line in lines[1:]:
            if line.split()[:1] == [backend]:
                return dict(zip(header[1:], map(int, line.split()[1:])))
        return None

    def waiting(self):
        shown = self.shown()
        return shown["waiting"] if shown else 0

    def wait_waiting(self, number, timeout=5.0, backend="pg"):
        wait_until(lambda: (self.shown(backend) or {"waiting": 0})["waiting"] == number, timeout, f"{number} clients wait", every=0.005)

    def server_sessions(self, server, backend="pg"):
        """How many connections this server has been given."""
        lines = self.ask(f"show stat {backend} 4 -1").removeprefix("# ").splitlines()
        names = lines[0].split(",")
        rows = [dict(zip(names, line.split(","))) for line in lines[1:]]
        return next(int(row["stot"]) for row in rows if row["svname"] == server)

    def cpu(self):
        """Seconds of processor time that the worker has used."""
        with open(f"/proc/{self.pid()}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def reload(self):
        """By SIGUSR2; returns when the new worker answers."""
        old = self.pid()
        self.master.send_signal(signal.SIGUSR2)
        wait_until(lambda: self.new_pid(old), 10, "the new worker answers", every=0.005)
        return old

    def new_pid(self, old):
        try:
            info = self.info()
            return info["Pid"] != str(old) and info["Stopping"] == "0"
        except (OSError, KeyError):
            return False

    def close(self):
        kill9_in(self.folder)
        self.master.wait()
        self.log_socket.close()
        let_go(self.keeper)
        end_everything(self.folder)
