#!/usr/bin/python3
"""Measures, side by side on a real cluster, what clients feel when the primary changes, by the way they reach it."""

import argparse
import contextlib
import dataclasses
import datetime
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [f"{TOP}/tests/cluster", f"{TOP}/tests/bench"]

import report  # noqa: E402
import timeline  # noqa: E402
from cluster import Cluster  # noqa: E402
from crowd import Busy, Crowd, clients_binary  # noqa: E402
from doors import CLIENTS, KINDS, ClientKind, Door, role  # noqa: E402
from events import EVENTS, LONG, parse_events  # noqa: E402
from figures import figures_of, truth_of  # noqa: E402
from pointsman import binary  # noqa: E402
from processes import HarnessError, wait_until  # noqa: E402
from root import PATRONI, Root, make_root  # noqa: E402

LONG_TIMEOUT = 60.0
HEAL = 240.0   # seconds for the cluster to be whole again
SETTLE = 30.0  # seconds for every client to be good again, after the new primary is writable
DEFAULT_EVENTS = "switchover:10,stop:5,kill:5,crash:5,partition:5"
# Where milliseconds are told apart, a door must not pay for another one's crowd: 25 clients that wait in one and go on together
# start 25 backends of PostgreSQL, and on two cores every new connection takes 150 ms then, by whatever door.
APART = ("switchover", "crash")
QUICK = {"events": "switchover:1,kill:1", "apart": (), "ttl": 20, "loop_wait": 5, "retry_timeout": 5}


def say(text):
    print(text, file=sys.stderr, flush=True)


def first_line(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return ((done.stdout or done.stderr).strip().splitlines() or ["?"])[0]


def facts(options, namespaces):
    root = options.patroni
    versions = [first_line("/usr/sbin/haproxy", "-v"), first_line(*root.inside(), "/usr/bin/patroni", "--version"),
                first_line(*root.inside(), f"{root.postgresql_bin}/postgres", "--version"), first_line("/usr/bin/etcd", "--version"),
                first_line(binary(), "--version")]
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cores, kernel {os.uname().release}",
        "versions": "; ".join(re.sub(r" - https?://.*", "", version) for version in versions),
        "Patroni": f"ttl {options.ttl}, loop_wait {options.loop_wait}, retry_timeout {options.retry_timeout} (seconds)",
        "network": "a namespace for each member, joined by a bridge" if namespaces else "loopback",
    }


class Run:
    """Everything that one run measured."""

    def __init__(self, options):
        self.options = options
        self.events = parse_events(options.events)
        self.namespaces = any(name == "partition" for name, _ in self.events)
        self.facts = facts(options, self.namespaces)
        every = options.every
        self.kinds_of_client = {"a": ClientKind(False, every[0], 2.0), "b": ClientKind(False, every[1], 30.0),
                                "c": ClientKind(True, every[2], 30.0)}
        self.long, self.long_timeout = LONG, LONG_TIMEOUT
        self.kinds, self.left_out = [], []
        self.results = {name: [] for name, _ in self.events}
        self.costs = []
        self.picture = None

    def clients_for(self, event):
        if event not in LONG:
            return self.kinds_of_client
        return {letter: dataclasses.replace(kind, timeout=LONG_TIMEOUT) if kind.timeout > 2 else kind
                for letter, kind in self.kinds_of_client.items()}


def wait_truth(crowd, begun, timeout):
    return wait_until(lambda: truth_of(crowd.probed(), begun), timeout, "a primary takes writes again", every=0.05)


def measure(run, cluster, doors, event):
    """One event, from calm to calm."""
    leader = cluster.wait_healthy(120)
    with Crowd(cluster, doors, run.clients_for(event)) as crowd:
        restless = crowd.wait_calm(60)
        if restless:
            raise HarnessError(f"before the event, after 60 s, not good: {', '.join(restless)}")
        busy = Busy(cluster.folder)
        time.sleep(1.0)  # a stretch of calm to measure
        busy_calm, own_calm = busy.shares()
        begun = time.monotonic()
        EVENTS[event][0](cluster, leader)
        wait_truth(crowd, begun, 60 + 3 * run.options.ttl)
        settled_from = time.monotonic()
        not_calm = crowd.wait_calm(SETTLE, after=settled_from)
        ended = time.monotonic()
    truth = truth_of(crowd.probed(), begun, cut=event == "partition")
    wait_until(cluster.leader, 60, "there is a leader")
    found = figures_of(crowd, truth, ended)
    for door in doors:
        names = {role(door.kind, letter): letter for letter in CLIENTS}
        found[door.kind.name].not_calm = [names[name] for name in not_calm if name in names]
    run.costs.append({"event": event, "busy_calm": busy_calm, "own_calm": own_calm, **crowd.costs()})
    run.results[event].append((truth, found))
    if len(doors) == len(run.kinds) and (run.picture is None or run.picture[0] != event and event == run.options.svg_event):
        run.picture = (event, crowd.records(), truth)


def brief(found):
    return ", ".join(f"{name} {'never' if one.first_good is None else f'{one.first_good:.0f}'}" for name, one in found.items())


def groups_of(doors, event, apart):
    """Who has clients at a time: all doors, or each with libpq beside it, as what all are held against."""
    libpq = [door for door in doors if not door.kind.haproxy]
    others = [door for door in doors if door.kind.haproxy]
    if event not in apart or len(others) < 2:
        return [doors]
    return [[*libpq, door] for door in others]


def perform(run):
    options = run.options
    say("starting etcd and three Patroni members with PostgreSQL ...")
    roles = [role(kind, letter) for kind in KINDS for letter in CLIENTS]
    cluster = Cluster(ttl=options.ttl, loop_wait=options.loop_wait, retry_timeout=options.retry_timeout, namespaces=run.namespaces,
                      roles=roles, parameters={"max_connections": 1200}, patroni=options.patroni)
    made = [Door(kind, cluster) for kind in options.kinds]
    with cluster:
        doors = []
        for door in made:
            if missing := door.missing():
                run.left_out.append((door.kind.title, missing))
                say(f"  left out: {door.kind.title}: {missing}")
            else:
                doors.append(door)
        run.kinds = [door.kind for door in doors]
        if not doors:
            raise HarnessError("no door is left")
        for event, times in run.events:
            groups = groups_of(doors, event, options.apart)
            for turn, group in itertools.product(range(1, times + 1), groups):
                say(f"{event} {turn} of {times} ...")
                begin = time.monotonic()
                with contextlib.ExitStack() as stack:
                    measure(run, cluster, [stack.enter_context(door) for door in group], event)
                    truth, found = run.results[event][-1]
                    say(f"  away {truth.away * 1000:.0f} ms, first good write after, ms: {brief(found)}")
                    cluster.revive(HEAL)
                say(f"  healed; {time.monotonic() - begin:.0f} s")


def write(path, content):
    with open(path, "w") as file:
        file.write(content)


def publish(run):
    print(report.text(run))
    if run.options.json:
        write(run.options.json, json.dumps(report.as_json(run), indent=1) + "\n")
    if run.options.svg and run.picture:
        event, records, truth = run.picture
        write(run.options.svg, timeline.draw(event, run.kinds, records, truth, f"{run.facts['date']}; {run.facts['Patroni']}"))


def milliseconds(text):
    values = [float(part) / 1000 for part in text.split(",")]
    if len(values) != 3 or not all(0.005 <= value <= 1 for value in values):
        raise argparse.ArgumentTypeError("three numbers from 5 to 1000, for the clients a, b and c: 20,20,20")
    return values


def event_names(text):
    names = () if text == "-" else tuple(text.split(","))
    if unknown := set(names) - set(EVENTS):
        raise argparse.ArgumentTypeError(f"there is no event {', '.join(sorted(unknown))}")
    return names


def parse_options():
    parser = argparse.ArgumentParser(prog="failover", description=__doc__)
    parser.add_argument("--events", default=None, help=f"what, and how often: {DEFAULT_EVENTS}")
    parser.add_argument("--doors", default=",".join(kind.name for kind in KINDS), help="which: %(default)s")
    parser.add_argument("--apart", type=event_names, default=None, metavar="EVENTS",
                        help=f"in these only one door has clients at a time, with libpq beside it: {','.join(APART)}; none: -")
    parser.add_argument("--ttl", type=int, default=None, help="Patroni's, in seconds: 30")
    parser.add_argument("--loop-wait", type=int, default=None, help="Patroni's, in seconds: 10")
    parser.add_argument("--retry-timeout", type=int, default=None, help="Patroni's, in seconds: 10")
    parser.add_argument("--every", type=milliseconds, default=[0.1, 0.2, 0.02], metavar="A,B,C",
                        help="ms from one attempt of each client to the next: 100,200,20, which two cores bear")
    parser.add_argument("--json", metavar="FILE", help="everything that was measured")
    parser.add_argument("--svg", metavar="FILE", help="a picture of the first event in which all doors have clients at once")
    parser.add_argument("--svg-event", metavar="EVENT", choices=EVENTS, help="a picture of the first of these instead")
    parser.add_argument("--patroni", metavar="ROOT", default="", help="Patroni and PostgreSQL of another Debian's root "
                        "(tests/roots.sh), or `trixie`: of Debian 13, in a root that is made where there is none")
    parser.add_argument("--quick", action="store_true", help="one switchover and one kill with a small ttl")
    options = parser.parse_args()
    defaults = {"events": DEFAULT_EVENTS, "apart": APART, "ttl": 30, "loop_wait": 10, "retry_timeout": 10,
                **(QUICK if options.quick else {})}
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    try:
        parse_events(options.events)
    except ValueError as error:
        parser.error(str(error))
    wanted = options.doors.split(",")
    unknown = set(wanted) - {kind.name for kind in KINDS}
    if unknown:
        parser.error(f"there is no door {', '.join(sorted(unknown))}; there are {', '.join(kind.name for kind in KINDS)}")
    options.kinds = [kind for kind in KINDS if kind.name in wanted]
    return options


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts its background jobs without it
    for path, name in ((binary(), "POINTSMAN"), (clients_binary(), "POINTSMAN_BENCH_CLIENTS")):
        if not os.access(path, os.X_OK):
            sys.exit(f"failover: there is no {path}: build it, or name it in {name}")
    trouble = ""
    try:
        options.patroni = make_root("trixie", *PATRONI) if options.patroni == "trixie" else Root(options.patroni)
    except HarnessError as error:
        sys.exit(f"failover: {error}")
    run = Run(options)
    try:
        perform(run)
    except HarnessError as error:
        trouble = f"failover: {error}"
    except KeyboardInterrupt:
        trouble = "failover: ended before all was measured"
    if run.costs:
        publish(run)
    for problem in report.problems(run):
        print(f"WRONG: {problem}")
    if trouble:
        sys.exit(trouble)
    sys.exit(1 if report.problems(run) else 0)


if __name__ == "__main__":
    main()
