"""What the clients met, held against who was the writer at each moment, by the probe and by PostgreSQL's own record."""

import dataclasses
import re

SLACK = 0.005  # seconds: clocks of the log and of the probe


@dataclasses.dataclass
class Span:
    """A server was in one state from `since` to `until` at least; `not_before`: it may have begun that early."""
    server: str
    state: str
    timeline: int
    not_before: float
    since: float
    until: float


def spans(probe_records):
    """Per server in order of time. Between two spans of a server its state is not known."""
    by_server = {}
    for record in probe_records:
        before = by_server.setdefault(record["server"], [])
        if before:
            before[-1].until = record["before_until"]
        if record["state"] != "end":
            since = record["asked"] if record["state"] == "down" else record["answered"]
            before.append(Span(record["server"], record["state"], record["timeline"], record["before_until"], since,
                               float("inf")))
    return [span for list_ in by_server.values() for span in list_]


def writer_at(all_spans, moment):
    """The span of the server that became writable last, even if it is down by then: nobody followed it yet."""
    begun = [span for span in all_spans if span.state == "writable" and span.since <= moment]
    return max(begun, key=lambda span: span.since, default=None)


def is_wrong(all_spans, server, begin, end):
    """Did a connection that began at `begin` and lasted to `end` reach a server that was not the writer, beyond doubt?"""
    for span in all_spans:
        if span.server == server and span.state == "replica" and span.since + SLACK <= begin and end <= span.until - SLACK:
            return True
    writer = writer_at(all_spans, begin - SLACK)
    if writer is None or writer.server == server:
        return False
    return not any(span.server == server and span.state == "writable" and span.since > writer.since and span.not_before <= end
                   for span in all_spans)


def logged_by_user(log, offset):
    """{user: [(monotonic time, refused), ...]} of the connections in a PostgreSQL log whose prefix is %n|%p|%u|."""
    found = {}
    for match in re.finditer(r"^(\d+\.\d+)\|\d+\|([^|]+)\|(LOG:  connection authorized|FATAL:  the database system is)", log, re.M):
        found.setdefault(match[2], []).append((float(match[1]) - offset, match[3].startswith("FATAL")))
    return found


def logged_connections(log, user, offset):
    """(monotonic time, refused) of each connection of `user`."""
    return logged_by_user(log, offset).get(user, [])


@dataclasses.dataclass
class Verdict:
    attempts: int = 0
    good: int = 0
    failed: int = 0
    hanging: int = 0
    longest_gap: float = 0.0               # between the ends of two good writes that follow each other
    wrong_commits: list = dataclasses.field(default_factory=list)
    wrong_connections: list = dataclasses.field(default_factory=list)
    wrong_logged: list = dataclasses.field(default_factory=list)
    grace: list = dataclasses.field(default_factory=list)         # wrong connections within a window counted apart
    grace_logged: list = dataclasses.field(default_factory=list)
    missing: list = dataclasses.field(default_factory=list)       # acknowledged, but not in the surviving table
    disagreeing: list = dataclasses.field(default_factory=list)   # the table has another server or timeline than the client
    shared_timelines: list = dataclasses.field(default_factory=list)
    reads: int = 0
    failed_reads: int = 0
    reads_by_server: dict = dataclasses.field(default_factory=dict)

    def problems(self, lost_allowed=False):
        """What breaks the promise of one writer, as sentences; none is good."""
        found = []
        for what, list_ in (("committed writes on a server that was not the writer", self.wrong_commits),
                            ("connections to a server that was not the writer", self.wrong_connections),
                            ("connections in PostgreSQL's log of a server that was not the writer", self.wrong_logged),
                            ("rows whose server or timeline is not what the client noted", self.disagreeing),
                            ("timelines with more than one server", self.shared_timelines),
                            ("acknowledged writes that are gone", [] if lost_allowed else self.missing)):
            if list_:
                found.append(f"{len(list_)} {what}, first {list_[0]}")
        if self.hanging:
            found.append(f"{self.hanging} attempts that never ended")
        return found

    def text(self):
        gap = f"{self.longest_gap * 1000:.0f} ms"
        return (f"{self.good} good of {self.attempts} writes, {self.failed} failed, longest gap {gap}; not on the "
                f"writer: {len(self.wrong_commits)} commits, {len(self.wrong_connections)} connections, "
                f"{len(self.wrong_logged)} logged ({len(self.grace)} and {len(self.grace_logged)} counted apart); "
                f"{len(self.missing)} lost by PostgreSQL; {self.failed_reads} of {self.reads} reads failed")


def judge(traffic, windows=()):
    """The verdict on a stopped Traffic. `windows`: (from, to), monotonic, in which wrong connections are counted apart."""
    verdict = Verdict()
    states = spans(traffic.probe_notes.read())
    writes = sorted(traffic.writes(), key=lambda record: record["end"])
    verdict.attempts = len(writes)
    verdict.good = sum(record["ok"] for record in writes)
    verdict.failed = verdict.attempts - verdict.good
    verdict.hanging = sum(record.get("hanging", 0) for record in traffic.write_notes.read() + traffic.read_notes.read())
    ends = [record["end"] for record in writes if record["ok"]]
    verdict.longest_gap = max((b - a for a, b in zip(ends, ends[1:])), default=0.0)

    def apart(begin, end):
        return any(begin <= to and end >= from_ for from_, to in windows)

    for record in writes:
        if record.get("server") and (record["recovery"] or is_wrong(states, record["server"], record["start"], record["end"])):
            # A connection that began in a window counts apart; one that only lasted into it does not.
            (verdict.grace if apart(record["start"], record["start"]) else verdict.wrong_connections).append(record)
            if record["ok"]:
                verdict.wrong_commits.append(record)
    for member in traffic.cluster.members.values():
        for moment, refused in logged_connections(member.log(), "writer", traffic.wall_minus_monotonic):
            if traffic.began <= moment <= traffic.ended and is_wrong(states, member.address, moment, moment):
                what = {"server": member.address, "at": moment, "refused": refused}
                (verdict.grace_logged if apart(moment, moment) else verdict.wrong_logged).append(what)
    judge_table(traffic, verdict, writes)
    for record in traffic.reads():
        verdict.reads += 1
        verdict.failed_reads += not record["ok"]
        if record["ok"]:
            verdict.reads_by_server[record["server"]] = verdict.reads_by_server.get(record["server"], 0) + 1
    return verdict


def judge_table(traffic, verdict, writes):
    """PostgreSQL's own record: the table that survived, on the leader of now."""
    leader = traffic.cluster.leader()
    table = {n: (server, timeline) for n, server, timeline in
             leader.sql("SELECT n, server, timeline FROM writes WHERE run = %s", (traffic.run,), database="app")}
    for record in writes:
        if record["ok"] and record["n"] not in table:
            verdict.missing.append(record)
        elif record["ok"] and table[record["n"]] != (record["server"], record["timeline"]):
            verdict.disagreeing.append(record)
    by_timeline = {}
    for server, timeline in table.values():
        by_timeline.setdefault(timeline, set()).add(server)
    verdict.shared_timelines = [(timeline, servers) for timeline, servers in by_timeline.items() if len(servers) > 1]


@dataclasses.dataclass
class Change:
    """One change of writer as the client saw it, in seconds (monotonic)."""
    old: str
    new: str
    old_stopped: float
    new_writable: float
    first_good: float

    @property
    def delay(self):
        """From the first moment the new writer was seen writable to the end of the first good write on it."""
        return self.first_good - self.new_writable


def changes(traffic):
    """The changes of writer during a Traffic, in order. Those without a good write afterwards have first_good None."""
    writable = [span for span in spans(traffic.probe_notes.read()) if span.state == "writable"]
    writable.sort(key=lambda span: span.since)
    good = [record for record in traffic.writes() if record["ok"]]
    found = []
    for old, new in zip(writable, writable[1:]):
        if old.server != new.server:
            ends = [record["end"] for record in good if record["server"] == new.server]
            first = min((end for end in ends if end >= new.not_before), default=None)
            found.append(Change(old.server, new.server, old.until, new.since, first))
    return found
