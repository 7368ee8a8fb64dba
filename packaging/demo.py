#!/usr/bin/python3
"""The demonstration that demo.sh starts."""

import argparse
import os
import signal
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, f"{TOP}/tests/cluster")

from cluster import Cluster  # noqa: E402
from haproxy import LOAD_HOLD, Haproxy  # noqa: E402
from pointsman import Pointsman, binary  # noqa: E402
from processes import HarnessError, wait_until  # noqa: E402
from traffic import Traffic  # noqa: E402
from verdict import changes, judge  # noqa: E402

PLAY = """
Left running. Now you can:

  {binary} status --config {file}
  {binary} plan --config {file}
  psql -h {host} -p 5000 -U writer app -c 'SELECT inet_server_addr()'        writes; 5001 reads
  patronictl -c {folder}/pg1/patroni.yml list
  patronictl -c {folder}/pg1/patroni.yml switchover --force
  curl http://{host}:8010/metrics
  tail -f {pointsman}/log

{folder} holds configurations and logs. End it with:

  {top}/tests/cluster/processes.py clean {folder}
"""


def say(text):
    print(text, flush=True)


def show_status(pointsman):
    done = pointsman.command("status")
    say("\n$ pointsman status")
    say("\n".join("    " + line for line in (done.stdout or done.stderr).rstrip().splitlines()))


def timeline(traffic, begin, names):
    """The switchover as the client saw it, in milliseconds from the request to Patroni."""
    change = next((change for change in changes(traffic) if change.old_stopped > begin), None)
    if change is None:
        raise HarnessError("no change of writer was seen")

    def at(moment):
        return f"{(moment - begin) * 1000:8.0f} ms"

    say("\nSwitchover, milliseconds from the request to Patroni:")
    say(f"  {at(begin)}  switchover from {names[change.old]} to {names[change.new]} asked for")
    say(f"  {at(change.old_stopped)}  the old primary {names[change.old]} takes its last write")
    say(f"  {at(change.new_writable)}  the new primary {names[change.new]} is writable")
    if change.first_good is None:
        say("  no good write through HAProxy on the new primary")
    else:
        # The probe looks every 10 ms, so that a client may be a few milliseconds ahead of it.
        say(f"  {at(change.first_good)}  first good write through HAProxy: {max(0.0, change.delay) * 1000:.0f} ms after that")
    verdict = judge(traffic)
    say(f"\n  writes: {verdict.attempts} tried, {verdict.good} good, {verdict.failed} failed (each a new connection)" +
        ("" if verdict.failed else ": nobody was refused"))
    say(f"  longest time without a good write: {verdict.longest_gap * 1000:.0f} ms, of which PostgreSQL itself was away "
        f"{(change.new_writable - change.old_stopped) * 1000:.0f} ms")
    say(f"  reads: {verdict.reads} tried, {verdict.failed_reads} failed")
    say(f"  writes committed on a server that was not the writer: {len(verdict.wrong_commits)}")
    say(f"  connections to a server that was not the writer: {len(verdict.wrong_connections)}, by PostgreSQL's own logs "
        f"{len(verdict.wrong_logged)}")
    say(f"  acknowledged writes that are gone: {len(verdict.missing)}")
    return verdict


def demonstrate(options):
    say("starting etcd and three Patroni members with PostgreSQL ...")
    begin = time.monotonic()
    with Cluster() as cluster:
        names = {member.address: name for name, member in cluster.members.items()}
        say(f"  up after {time.monotonic() - begin:.1f} s in {cluster.folder}: " +
            ", ".join(f"{name} {address}" for address, name in names.items()))
        if options.method == "file":
            haproxy = Haproxy(cluster, "fragment", maxconn=1000, extra_global=LOAD_HOLD)
        else:
            haproxy = Haproxy(cluster, "hold", maxconn=1000)
        haproxy.start()
        say(f"  HAProxy on {cluster.net}.1:5000 (writes) and :5001 (reads), checking as Patroni's documentation says; hold.lua lets new "
            "connections wait while there is no writer")
        pointsman = Pointsman(cluster, haproxy, options.method,
                              cluster_keys={"watch": {"etcd": [f"http://{cluster.etcd_address}:2379"]}})
        pointsman.start()
        say(f"  pointsman, method: {options.method}; it watches etcd for announced switchovers")
        show_status(pointsman)

        leader = cluster.leader()
        wait_until(lambda: haproxy.usable("pg_primary") == {leader.name}, 15, "HAProxy writes to the primary alone")
        say("\na client writes every 20 ms, each time over a new connection; another one reads every 50 ms ...")
        with Traffic(cluster, haproxy, patience=30) as traffic:
            begin = time.monotonic()
            new = cluster.switchover()
            traffic.wait_write(30, new.address, after=begin)
            traffic.wait_calm(1.0)
        verdict = timeline(traffic, begin, names)
        cluster.wait_healthy()
        show_status(pointsman)
        if options.keep:
            cluster.leave_running()
            say(PLAY.format(binary=binary(), file=pointsman.file, host=f"{cluster.net}.1", folder=cluster.folder,
                            pointsman=pointsman.folder, top=TOP))
        else:
            pointsman.stop()
            say("\ncleaning up")
        problems = verdict.problems()
        for problem in problems:
            say(f"WRONG: {problem}")
        return 1 if problems else 0


def main():
    parser = argparse.ArgumentParser(prog="demo.sh", description=__doc__)
    parser.add_argument("--method", choices=("runtime", "file"), default="runtime")
    parser.add_argument("--keep", action="store_true", help="leave everything running, and say how to play with it")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not os.access(binary(), os.X_OK):
        sys.exit(f"demo: there is no {binary()}: build it, or name it in POINTSMAN")
    try:
        sys.exit(demonstrate(options))
    except HarnessError as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit("\nended")


if __name__ == "__main__":
    main()
