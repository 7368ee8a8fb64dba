"""All clients of all doors, and the probes, during one event."""

import os
import subprocess
import time
import uuid

from doors import CLIENTS, role
from processes import HarnessError, processes_in, spawn, wait_until
from traffic import HERE as CLUSTER_TESTS
from traffic import Notes

CALM = 1.0             # seconds without a failure
PROBE_EVERY = 0.01     # seconds


def clients_binary():
    return os.path.abspath(os.environ.get("POINTSMAN_BENCH_CLIENTS", f"{CLUSTER_TESTS}/../../build/release/tests/bench_clients"))


class Busy:
    """How busy the machine is from its making on: as a whole, and with the processes of this run alone."""

    def __init__(self, folder):
        self.folder = folder
        self.begin = self.now()

    def now(self):
        with open("/proc/stat") as file:
            fields = [int(field) for field in file.readline().split()[1:9]]
        return sum(fields), fields[3] + fields[4], ticks_of(self.folder)

    def shares(self):
        """(whole machine, this run alone), each of all cores together. Processes that ended count with their parents."""
        total, idle, own = (now - begin for now, begin in zip(self.now(), self.begin))
        return (1 - idle / total, max(0, own) / total) if total else (0.0, 0.0)


def ticks_of(folder):
    """Ticks of the cpu that the processes in `folder` and their children that have ended used."""
    ticks = 0
    for pid in processes_in(folder):
        try:
            with open(f"/proc/{pid}/stat") as file:
                ticks += sum(int(field) for field in file.read().rsplit(")", 1)[1].split()[11:15])
        except OSError:
            pass
    return ticks


class Crowd:
    """A context manager. `kinds_of_client`: {letter: ClientKind}."""

    def __init__(self, cluster, doors, kinds_of_client):
        self.cluster, self.doors, self.kinds_of_client = cluster, doors, kinds_of_client
        self.run = uuid.uuid4().hex[:8]
        self.folder = f"{cluster.folder}/crowd-{self.run}"
        os.mkdir(self.folder)
        self.notes = Notes(f"{self.folder}/clients")
        self.probe_notes = {member.name: Notes(f"{self.folder}/probe-{member.name}") for member in cluster.members.values()}
        self.log_offsets = {member.name: os.path.getsize(f"{member.folder}/postgresql.log") for member in cluster.members.values()}
        self.last = {}    # client: (since when every attempt that ended was good, the last good end, how many were good since)
        self.noted = 0
        self.processes = []

    def __enter__(self):
        try:
            self.begin()
        except BaseException as trouble:
            self.__exit__(type(trouble))
            raise
        return self

    def __exit__(self, trouble, *_):
        if trouble:  # nobody will ask what the attempts in flight come to
            for process in self.processes:
                process.kill()
        self.stop()

    def begin(self):
        for member in self.cluster.members.values():
            inside = self.cluster.namespaces.inside(member) if self.cluster.namespaces else []
            self.spawn([*inside, "/usr/bin/python3", f"{CLUSTER_TESTS}/probe.py", "--every", str(PROBE_EVERY), "--out",
                        self.probe_notes[member.name].path, member.address])
        wait_until(lambda: all(notes.read() for notes in self.probe_notes.values()), 10, "the probes saw every member")
        table = "".join(f"{line}\n" for line in self.table()) + "\n"
        self.spawn([clients_binary(), self.run, self.notes.path])
        self.processes[-1].stdin.write(table.encode())
        self.processes[-1].stdin.flush()

    def table(self):
        for door in self.doors:
            hosts, port = door.target()
            for letter, kind in self.kinds_of_client.items():
                yield (f"{role(door.kind, letter)} {'kept' if kind.kept else 'new'} {kind.every * 1000:g} {kind.timeout * 1000:g} "
                       f"{port} {' '.join(hosts)}")

    def spawn(self, words):
        self.processes.append(spawn(words, self.folder, f"{self.folder}/log", stdin=subprocess.PIPE))

    def stop(self):
        """Ends the clients, the probes last, so that they have seen all of what the clients met."""
        longest = max(kind.timeout for kind in self.kinds_of_client.values()) * 3
        for process in reversed(self.processes):
            if not process.stdin.closed:
                process.stdin.close()
            try:
                process.wait(longest)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []
        self.wall_minus_monotonic = time.time() - time.monotonic()

    def records(self):
        return [record for record in self.notes.read() if "n" in record]

    def costs(self):
        """What the clients' own process used; known after the stop."""
        found = [record for record in self.notes.read() if "cpu_seconds" in record]
        if not found:
            raise HarnessError(f"the clients ended without a word on their costs; see {self.folder}/log")
        return found[0]

    def look(self):
        records = self.notes.read()
        for record in records[self.noted:]:
            if "n" not in record:
                continue
            since, _, good = self.last.get(record["client"], (None, None, 0))
            if not record["ok"]:
                self.last[record["client"]] = (None, None, 0)
            else:
                self.last[record["client"]] = (record["start"] if since is None else since, record["end"], good + 1)
        self.noted = len(records)

    def restless(self, after=0.0):
        """The clients that were not good for CALM seconds on end, later than `after`."""
        self.look()
        now = time.monotonic()
        found = []
        for door in self.doors:
            for letter in CLIENTS:
                name = role(door.kind, letter)
                since, last, good = self.last.get(name, (None, None, 0))
                due = max(0.5, 5 * self.kinds_of_client[letter].every)
                if since is None or last - max(since, after) < CALM - 0.2 or now - last > due or good < 5:
                    found.append(name)
        return found

    def wait_calm(self, timeout, after=0.0):
        """Returns the clients that were still not good after `timeout` seconds."""
        end = time.monotonic() + timeout
        while restless := self.restless(after):
            if time.monotonic() > end:
                break
            if self.processes[-1].poll() is not None:
                raise HarnessError(f"the clients ended by themselves: {self.processes[-1].returncode}; see {self.folder}/log")
            time.sleep(0.1)
        return restless

    def probed(self):
        return [record for notes in self.probe_notes.values() for record in notes.read()]

    def new_logs(self):
        """{address: PostgreSQL's log since the beginning}"""
        found = {}
        for member in self.cluster.members.values():
            with open(f"{member.folder}/postgresql.log", errors="replace") as file:
                file.seek(self.log_offsets[member.name])
                found[member.address] = file.read()
        return found

    def rows(self):
        """{client: {n: (server, timeline)}}: the rows that are there now."""
        found = {}
        query = "SELECT run, n, server, timeline FROM writes WHERE run LIKE %s"
        for run, n, server, timeline in self.cluster.leader().sql(query, (f"{self.run}-%",), database="app"):
            found.setdefault(run.split("-", 1)[1], {})[n] = (server, timeline)
        return found
