"""A real etcd of its own, and the program that prints what a watch on it tells."""

import base64
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import http.client

from processes import HarnessError, refuse_leftovers, spawn, wait_until

NET = os.environ.get("POINTSMAN_NET", "127.0.0")
ADDRESS = f"{NET}.20"
LEADER, FAILOVER = "/service/main/leader", "/service/main/failover"
SWITCHOVER = '{"leader":"pg1","member":"pg2"}'


class Etcd:
    def __init__(self, folder):
        self.folder = f"{folder}/etcd"
        os.mkdir(self.folder)
        self.process = None
        self.scheme, self.context, self.token = "http", None, None

    def start(self, *options, port=2379, tls=None):
        """On `port`, so that a test can hide it from a watch; `tls`: a folder with ca.pem, server.pem, server.key and the
        client's own; a client's certificate is then asked for."""
        if self.process is None:
            refuse_leftovers([(ADDRESS, 2379), (ADDRESS, 2380), (ADDRESS, 2389)])
        self.port = port
        words = list(options)
        if tls:
            self.scheme = "https"
            self.context = ssl.create_default_context(cafile=f"{tls}/ca.pem")
            self.context.check_hostname = False
            self.context.load_cert_chain(f"{tls}/client.pem", f"{tls}/client.key", "secret")
            words += ["--client-cert-auth", "--trusted-ca-file", f"{tls}/ca.pem", "--cert-file", f"{tls}/server.pem",
                      "--key-file", f"{tls}/server.key"]
        client, peer = f"{self.scheme}://{ADDRESS}:{port}", f"http://{ADDRESS}:2380"
        self.process = spawn(["/usr/bin/etcd", "--name", "etcd", "--data-dir", f"{self.folder}/data", "--listen-client-urls",
                              client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
                              "--initial-advertise-peer-urls", peer, "--initial-cluster", f"etcd={peer}", "--log-level", "warn",
                              "--unsafe-no-fsync", *words], self.folder, f"{self.folder}/etcd.log")
        wait_until(self.answers, 20, "etcd answers")

    def stop(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait(20)

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def answers(self):
        try:
            return self.ask("/v3/auth/authenticate", {"name": "x", "password": "x"})[0] is not None
        except (OSError, http.client.HTTPException):
            return False

    def ask(self, path, body):
        if self.scheme == "https":
            connection = http.client.HTTPSConnection(ADDRESS, self.port, timeout=3, context=self.context)
        else:
            connection = http.client.HTTPConnection(ADDRESS, self.port, timeout=3)
        try:
            headers = {"Authorization": self.token} if self.token else {}
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def need(self, path, body):
        status, answer = self.ask(path, body)
        if status != 200:
            raise HarnessError(f"{path}: {status} {answer}")
        return answer

    def log_in(self, name, password):
        self.token = None
        self.token = self.need("/v3/auth/authenticate", {"name": name, "password": password})["token"]

    def put(self, key, value):
        """The revision that it made."""
        return self.need("/v3/kv/put", {"key": coded(key), "value": coded(value)})["header"]["revision"]

    def delete(self, key):
        return self.need("/v3/kv/deleterange", {"key": coded(key)})["header"]["revision"]

    def compact(self, revision):
        self.need("/v3/kv/compaction", {"revision": revision, "physical": True})

    def enable_auth(self):
        """root, and a user `reader` who may read /service/ and nothing else."""
        self.need("/v3/auth/user/add", {"name": "root", "password": "root"})
        self.need("/v3/auth/user/grant", {"user": "root", "role": "root"})
        self.need("/v3/auth/role/add", {"name": "watcher"})
        self.need("/v3/auth/role/grant", {"name": "watcher", "perm": {"permType": "READ", "key": coded("/service/"),
                                                                       "range_end": coded("/service0")}})
        self.need("/v3/auth/user/add", {"name": "reader", "password": "read it"})
        self.need("/v3/auth/user/grant", {"user": "reader", "role": "watcher"})
        self.need("/v3/auth/enable", {})


class Printer:
    """The program, its lines as (CLOCK_MONOTONIC, text), and its log."""

    def __init__(self, folder, watch, check=10_000, answer=5_000):
        self.log_path = f"{folder}/watch.log"
        with open(f"{folder}/pointsman.yml", "w") as file:
            file.write("clusters:\n- scope: main\n  members: [http://127.0.0.1:1]\n  backends: [{name: w, serves: primary}]\n"
                       f"  watch: {watch}\nhaproxy: {{socket: /s}}\n")
        program = os.environ["PRINT_WATCH"]
        self.process = spawn([program, f"{folder}/pointsman.yml", str(check), str(answer)], folder, self.log_path,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lines = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            at, text = line.decode().rstrip("\n").split(" ", 1)
            self.lines.append((float(at), text))

    def told(self):
        return [text for _, text in self.lines if not text.startswith("state ")]

    def at(self, text):
        """When it was told, the last time."""
        return wait_until(lambda: next((at for at, line in reversed(self.lines) if line == text), None), 20, f"told: {text}",
                          every=0.001)

    def wait_told(self, *texts, timeout=20):
        wait_until(lambda: self.told() == list(texts) or None, timeout, f"{list(texts)} is told: {self.told()}")

    def state(self):
        states = [text for _, text in self.lines if text.startswith("state ")]
        if not states:
            return {}
        return dict(re.match(r"state connected=(?P<connected>\S+) reconnects=(?P<reconnects>\d+) endpoint=(?P<endpoint>\S+) "
                             r"trouble=(?P<trouble>.*)", states[-1]).groupdict())

    def wait_connected(self, reconnects=0, timeout=20):
        wait_until(lambda: self.state().get("connected") == "true" and int(self.state()["reconnects"]) >= reconnects, timeout,
                   f"connected, with {reconnects} reconnects: {self.lines[-3:]}")

    def wait_trouble(self, part, timeout=20):
        wait_until(lambda: any(f"trouble={part}" in text for _, text in self.lines), timeout, f"trouble: {part}: {self.lines[-3:]}")

    def cpu_seconds(self):
        """Of the watch's thread alone."""
        total = 0
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            if int(task) != self.process.pid:
                with open(f"/proc/{self.process.pid}/task/{task}/schedstat") as file:
                    total += int(file.read().split()[0])
        return total / 1e9

    def log(self):
        with open(self.log_path) as file:
            return file.read()

    def end(self):
        self.process.stdin.close()
        return self.process.wait(5)


def coded(text):
    return base64.b64encode(text.encode()).decode()


def url(scheme="http", port=2379):
    return f"{scheme}://{ADDRESS}:{port}"


def now():
    return time.monotonic()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex((ADDRESS, port)) == 0
