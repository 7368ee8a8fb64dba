"""The clients of one scenario: a probe of each member, a writer and a reader through HAProxy, and what they noted."""

import json
import os
import subprocess
import time
import uuid

from processes import spawn, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


class Notes:
    """A file of JSON lines that another process appends to."""

    def __init__(self, path):
        self.path = path
        self.records = []
        self.offset = 0

    def read(self):
        """All records so far."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                data = file.read()
        except FileNotFoundError:
            return self.records
        whole = data[:data.rfind(b"\n") + 1]
        self.offset += len(whole)
        self.records += [json.loads(line) for line in whole.splitlines()]
        return self.records


class Traffic:
    """A context manager: on entry the probe has seen every member, and writer and reader each had a good answer. `patience`: the seconds
    that they wait for a connection to stand."""

    def __init__(self, cluster, haproxy, write_every=0.02, read_every=0.05, await_good=True, patience=2):
        self.cluster, self.haproxy = cluster, haproxy
        self.run = uuid.uuid4().hex[:8]
        self.folder = f"{cluster.folder}/traffic-{self.run}"
        os.mkdir(self.folder)
        self.write_every, self.read_every, self.await_good, self.patience = write_every, read_every, await_good, patience
        self.probe_notes = Notes(f"{self.folder}/probe")
        self.write_notes = Notes(f"{self.folder}/writer")
        self.read_notes = Notes(f"{self.folder}/reader")
        self.processes = []
        self.began = self.ended = None

    def __enter__(self):
        try:
            self.begin()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def begin(self):
        self.began = time.monotonic()
        addresses = [member.address for member in self.cluster.members.values()]
        self.spawn("probe.py", "--out", self.probe_notes.path, *addresses)
        wait_until(lambda: {record["server"] for record in self.probe_notes.read()} == set(addresses), 10,
                   "the probe saw every member")
        self.client("writer", self.haproxy.write_address, self.write_every, self.write_notes)
        if self.read_every:
            self.client("reader", self.haproxy.read_address, self.read_every, self.read_notes)
        if self.await_good:
            self.wait_write(10)
            if self.read_every:
                wait_until(lambda: any(record.get("ok") for record in self.read_notes.read()), 10, "a good read")

    def client(self, kind, address, every, notes):
        self.spawn("client.py", "--kind", kind, "--host", address[0], "--port", str(address[1]), "--every", str(every), "--run",
                   self.run, "--patience", str(self.patience), "--out", notes.path)

    def spawn(self, script, *arguments):
        self.processes.append(spawn(["/usr/bin/python3", f"{HERE}/{script}", *arguments], self.folder, f"{self.folder}/log",
                                    stdin=subprocess.PIPE))

    def stop(self):
        """Ends the clients, the probe last, so that it has seen all of what they met."""
        for process in reversed(self.processes):
            process.stdin.close()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []
        self.ended = self.ended or time.monotonic()
        self.wall_minus_monotonic = time.time() - time.monotonic()

    def writes(self):
        return [record for record in self.write_notes.read() if "n" in record]

    def reads(self):
        return [record for record in self.read_notes.read() if "n" in record]

    def wait_write(self, timeout, server=None, after=None):
        """The first good write, of those that started after `after` (default: now), on `server` if given."""
        after = time.monotonic() if after is None else after

        def good():
            return next((record for record in self.writes() if record["ok"] and record["start"] >= after and
                         (server is None or record["server"] == server)), None)

        return wait_until(good, timeout, f"a good write{' on ' + server if server else ''}")

    def wait_read(self, timeout, server, after=None):
        """The first good read on `server` that started after `after` (default: now)."""
        after = time.monotonic() if after is None else after
        return wait_until(lambda: next((record for record in self.reads() if record["ok"] and record["start"] >= after and
                                        record["server"] == server), None), timeout, f"a read on {server}")

    def wait_calm(self, seconds=1.0, timeout=30):
        """Until for `seconds` every write that ended was good, and there were some."""
        def calm():
            now = time.monotonic()
            last = [record for record in self.writes() if record["end"] >= now - seconds]
            return len(last) >= 0.3 * seconds / self.write_every and all(record["ok"] for record in last)

        since = time.monotonic()
        wait_until(lambda: time.monotonic() - since >= seconds and calm(), timeout, "the writes are all good again", every=0.05)
