"""What each door's clients met in one event, held against who was the writer at each moment. Pure: values in, values out."""

import dataclasses
import statistics

from doors import CLIENTS, role
from verdict import is_wrong, logged_by_user, spans


@dataclasses.dataclass
class Truth:
    """Seen by the probes, beside the servers, past every door. Seconds, monotonic."""
    begun: float         # the event
    old: str             # address
    old_stopped: float   # the old primary was last seen to take a write, or was cut off from its clients
    new: str
    new_not_before: float
    new_writable: float  # the new primary was first seen to take a write

    @property
    def away(self):
        return max(0.0, self.new_writable - self.old_stopped)


def truth_of(probed, begun, cut=False):
    """The change of writer after `begun`; the new one may be the old one, restarted. None while there is none.

    cut: no client could reach the old primary from `begun` on, though its own probe sees it take writes until it gives up.
    """
    writable = sorted((span for span in spans(probed) if span.state == "writable"), key=lambda span: span.since)
    old = [span for span in writable if span.since <= begun]
    new = next((span for span in writable if span.since > begun), None)
    if not old or new is None:
        return None
    return Truth(begun, old[-1].server, min(begun, old[-1].until) if cut else old[-1].until, new.server, new.not_before, new.since)


@dataclasses.dataclass
class Figures:
    """One door in one event. Times in milliseconds; None: never."""
    first_good: float | None = None     # the first good write of any client after the new primary was writable
    gap: float | None = None            # the longest time between two good writes of the client that connects anew (a)
    failed_a: int = 0
    failed_b: int = 0
    errors_c: int = 0
    attempts_a: int = 0
    attempts_b: int = 0
    attempts_c: int = 0
    hanging: int = 0                    # attempts that had not ended when the clients were told to
    slowest_b: float | None = None      # the longest that a good attempt of the patient client took
    gap_c: float | None = None
    wrong_writes: int = 0               # committed on a server that was not the writer
    wrong_connections: int = 0          # by the client: led to such a server
    wrong_logged: int | None = 0        # by PostgreSQL's own logs; None for libpq, which asks every server on purpose
    gone: int = 0                       # acknowledged writes that are not in the table of the new primary
    disagreeing: int = 0                # rows whose server or timeline is not what the client was told
    calm_ms: float | None = None        # median of (a) before the event: connect, write, close
    not_calm: list = dataclasses.field(default_factory=list)  # clients whose writes were not good again by the end

    @property
    def wrong(self):
        return self.wrong_writes + self.wrong_connections + (self.wrong_logged or 0)


def longest_gap(ends, begin, end):
    """The longest stretch without a good write in [begin, end], in milliseconds."""
    inside = [begin, *sorted(moment for moment in ends if begin <= moment <= end), end]
    return max(b - a for a, b in zip(inside, inside[1:])) * 1000


def figure(kind, records, truth, all_spans, logged, rows, ended):
    """records: of this door alone. logged: {address: {user: [(moment, refused), ...]}}. rows: {client: {n: (server, timeline)}}."""
    figures = Figures()
    by_letter = {letter: [record for record in records if record["client"] == role(kind, letter)] for letter in CLIENTS}
    after = {letter: [record for record in list_ if record["end"] >= truth.begun] for letter, list_ in by_letter.items()}
    for letter, list_ in after.items():
        setattr(figures, f"attempts_{letter}", len(list_))
    figures.failed_a, figures.failed_b, figures.errors_c = (sum(not record["ok"] for record in after[letter]) for letter in CLIENTS)
    figures.hanging = sum(bool(record.get("hanging")) for record in records)
    figures.slowest_b = max(((record["end"] - record["start"]) * 1000 for record in after["b"] if record["ok"]), default=None)
    good = [record for record in records if record["ok"]]
    first = min((record["end"] for record in good if record["server"] == truth.new and record["end"] >= truth.new_not_before and
                 record["end"] >= truth.begun), default=None)
    # The probe looks every 10 ms, so that a client may be a little ahead of it.
    figures.first_good = None if first is None else max(0.0, first - truth.new_writable) * 1000
    for letter, name in (("a", "gap"), ("c", "gap_c")):
        setattr(figures, name, longest_gap([record["end"] for record in by_letter[letter] if record["ok"]], truth.begun - 0.5, ended))
    calm = [(record["end"] - record["start"]) * 1000 for record in by_letter["a"] if record["ok"] and record["end"] < truth.begun]
    figures.calm_ms = statistics.median(calm) if calm else None

    for record in records:
        if record.get("server") and (record["recovery"] or is_wrong(all_spans, record["server"], record["start"], record["end"])):
            figures.wrong_connections += 1
            figures.wrong_writes += record["ok"]
        if record["ok"]:
            row = rows.get(record["client"], {}).get(record["n"])
            figures.gone += row is None
            figures.disagreeing += row is not None and row != (record["server"], record["timeline"])
    if kind.haproxy:
        figures.wrong_logged = sum(is_wrong(all_spans, address, moment, moment) for address, users in logged.items()
                                   for letter in CLIENTS for moment, _ in users.get(role(kind, letter), []))
    else:
        figures.wrong_logged = None
    return figures


def figures_of(crowd, truth, ended):
    """{door name: Figures} of a stopped Crowd; `ended`: when the clients were told to end."""
    all_spans = spans(crowd.probed())
    logged = {address: logged_by_user(log, crowd.wall_minus_monotonic) for address, log in crowd.new_logs().items()}
    rows, records = crowd.rows(), crowd.records()
    found = {}
    for door in crowd.doors:
        names = {role(door.kind, letter) for letter in CLIENTS}
        own = [record for record in records if record["client"] in names]
        found[door.kind.name] = figure(door.kind, own, truth, all_spans, logged, rows, ended)
    return found


def middle(values):
    """(median, max) of those that are there; (None, None) without any."""
    there = [value for value in values if value is not None]
    return (statistics.median(there), max(there)) if there else (None, None)
