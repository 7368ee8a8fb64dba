"""The report of a run: a table for each event, and the same as JSON."""

import dataclasses

from events import EVENTS
from figures import middle

SATURATED = 0.85  # of all cores
COLUMNS = (
    ("first good write", "median", 9), ("", "max", 9), ("gap (a)", "median", 9), ("", "max", 9), ("gap (c)", "median", 9),
    ("failed", "(a)", 7), ("failed", "(b)", 7), ("errors", "(c)", 7), ("wrong", "writes", 7), ("wrong", "conns", 7), ("writes", "gone", 7),
)
LEGEND = """
first good write  ms from the moment the new primary was first seen to take a write to the end of the first good write of any client
gap               ms, the longest time without a good write, PostgreSQL's own absence included
(a)               a new connection every {a_ms:g} ms, connect_timeout {a_timeout:g} s, one row, close
(b)               a new connection every {b_ms:g} ms, connect_timeout {b_timeout:g} s ({long_timeout:g} s in {long}), one row, close
(c)               one connection that is kept, a row every {c_ms:g} ms, a new connection after an error, as patient as (b)
failed, errors    clients, or writes and reconnections of (c): the mean of an event
wrong writes      rows committed on a server that was not the writer: of all events together
wrong conns       connections that led to a server that was not the writer, by the client's word or PostgreSQL's logs, whichever saw
                  more; libpq asks every server on purpose, so that of its own only those count that it took for the writer
writes gone       acknowledged, but not in the new primary's table (replication is asynchronous): of all events together
"""


def number(value):
    return "never" if value is None else f"{value:.0f}"


def mean(values):
    value = sum(values) / len(values)
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def row(figures):
    """The cells of one door, of all times of one event."""
    first, gap, gap_c = (middle([getattr(one, name) for one in figures]) for name in ("first_good", "gap", "gap_c"))
    never = sum(one.first_good is None for one in figures)
    wrong = sum(one.wrong_connections if one.wrong_logged is None else max(one.wrong_connections, one.wrong_logged) for one in figures)
    return [number(first[0]), f"{never} never" if never else number(first[1]), number(gap[0]), number(gap[1]), number(gap_c[0]),
            mean([one.failed_a for one in figures]), mean([one.failed_b for one in figures]), mean([one.errors_c for one in figures]),
            str(sum(one.wrong_writes for one in figures)), str(wrong), str(sum(one.gone for one in figures))]


def turns(results, kinds):
    """Who had clients at a time, where not all had."""
    most = max(len(figures) for _, figures in results)
    if most == len(kinds):
        return ""
    return ", one door at a time beside libpq" if most <= 2 else ", the door that holds apart from the others"


def event_table(event, results, kinds):
    """results: [(Truth, {door: Figures}), ...] of one event."""
    away = middle([truth.away * 1000 for truth, _ in results])
    times = min(sum(kind.name in figures for _, figures in results) for kind in kinds)
    lines = ["", f"{event} x {times}{turns(results, kinds)}: {EVENTS[event][1]}; PostgreSQL itself away for {number(away[0])} ms (median), "
                 f"{number(away[1])} ms (max)", ""]
    width = max(len(kind.title) for kind in kinds)
    lines += [upper_head(width), "door".ljust(width) + "".join("  " + name.rjust(size) for _, name, size in COLUMNS)]
    for kind in kinds:
        cells = row([figures[kind.name] for _, figures in results if kind.name in figures])
        lines.append(kind.title.ljust(width) + "".join("  " + cell.rjust(size) for cell, (_, _, size) in zip(cells, COLUMNS)))
    return lines


def upper_head(width):
    """The upper line of the head; a group that is empty belongs to the one before it."""
    line, at = " " * width, 0
    while at < len(COLUMNS):
        to = at + 1
        while to < len(COLUMNS) and COLUMNS[to][0] == "":
            to += 1
        size = sum(size + 2 for _, _, size in COLUMNS[at:to])
        line += COLUMNS[at][0].rjust(size)
        at = to
    return line


def costs_lines(run):
    """What the measuring itself did to what was measured."""
    cpu = max(cost["cpu_seconds"] / cost["seconds"] for cost in run.costs)
    late = [max(cost["late_ms"][i] for cost in run.costs) for i in range(3)]
    calm, own = (middle([cost[name] for cost in run.costs]) for name in ("busy_calm", "own_calm"))
    lines = [
        f"the clients themselves: one process, at most {cpu * 100:.0f} % of one core; an attempt began {late[0]:.2f} ms (median), "
        f"{late[1]:.1f} ms (99 %), {late[2]:.1f} ms (max) after it was due, in the worst event",
        f"attempts not begun because too many were in flight: {sum(cost['not_started'] for cost in run.costs)}",
        f"the probes looked every 10 ms; in calm the machine was busy to {calm[0] * 100:.0f} % (median; max {calm[1] * 100:.0f} %), "
        f"of which servers, doors, probes and clients of this run {own[0] * 100:.0f} % (max {own[1] * 100:.0f} %)"]
    if saturated := sum(cost["busy_calm"] > SATURATED for cost in run.costs):
        lines.append(f"NOTE: before {saturated} of {len(run.costs)} events the machine was nearly saturated, so that their times are upper "
                     "bounds; try larger numbers for --every, or fewer doors")
    new = []
    for kind in run.kinds:
        median, _ = middle([figures[kind.name].calm_ms for results in run.results.values() for _, figures in results
                            if kind.name in figures])
        new.append(f"{kind.name} {'?' if median is None else f'{median:.1f}'}")
    return [*lines, f"a write over a new connection took in calm, ms (median): {', '.join(new)}"]


def text(run):
    """The whole report of a Run (failover.py)."""
    lines = [*(f"{name + ':':<14}{value}" for name, value in run.facts.items())]
    for title, reason in run.left_out:
        lines.append(f"{'left out:':<14}{title}: {reason}")
    for event, results in run.results.items():
        if results:
            lines += event_table(event, results, run.kinds)
    legend = LEGEND.format(
        long=", ".join(run.long), long_timeout=run.long_timeout,
        **{f"{letter}_ms": kind.every * 1000 for letter, kind in run.kinds_of_client.items()},
        **{f"{letter}_timeout": kind.timeout for letter, kind in run.kinds_of_client.items()})
    lines += legend.rstrip().splitlines()
    lines += ["", *costs_lines(run)]
    for event, results in run.results.items():
        for truth_number, (_, figures) in enumerate(results, 1):
            for kind in run.kinds:
                if kind.name in figures and figures[kind.name].not_calm:
                    lines.append(f"not good again by the end of {event} {truth_number}: {kind.title}: client "
                                 f"{', '.join(figures[kind.name].not_calm)}")
    return "\n".join(lines)


def as_json(run):
    return {
        "facts": run.facts,
        "clients": {letter: dataclasses.asdict(kind) for letter, kind in run.kinds_of_client.items()},
        "doors": {kind.name: kind.title for kind in run.kinds},
        "left_out": dict(run.left_out),
        "costs": run.costs,
        "events": [{"event": event, **dataclasses.asdict(truth), "away_ms": truth.away * 1000,
                    "doors": {name: dataclasses.asdict(one) for name, one in figures.items()}}
                   for event, results in run.results.items() for truth, figures in results],
    }


def problems(run):
    """What no door of pointsman may do, as sentences; none is good."""
    found = []
    for event, results in run.results.items():
        for truth_number, (_, figures) in enumerate(results, 1):
            for kind in run.kinds:
                one = figures.get(kind.name)
                if one and kind.is_pointsman and (one.wrong or one.disagreeing):
                    found.append(f"{event} {truth_number}, {kind.title}: {one.wrong_writes} writes and {one.wrong_connections} connections "
                                 f"on a server that was not the writer, {one.wrong_logged} in PostgreSQL's logs, "
                                 f"{one.disagreeing} rows that are not what the client was told")
    return found
