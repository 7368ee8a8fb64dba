"""What is done to the cluster: each takes it and its leader, and returns when it is done, not when the cluster has recovered."""

from processes import HarnessError


def switchover(cluster, leader):
    """Asked for without waiting: Patroni answers only when it is over."""
    other = next(member for member in cluster.members.values() if member is not leader)
    return cluster.switchover(to=other)


def stop(_, leader):
    leader.patroni.terminate()


def restart(_, leader):
    status, body = leader.ask("/restart", "POST", {}, timeout=60)
    if status != 200:
        raise HarnessError(f"restart of {leader.name}: {status} {body}")


def kill(_, leader):
    leader.kill9()


def crash(_, leader):
    leader.kill9_postmaster()


def partition(cluster, leader):
    cluster.cut(leader)


EVENTS = {
    "switchover": (switchover, "a planned switchover by Patroni's API"),
    "stop": (stop, "SIGTERM to the primary's Patroni"),
    "restart": (restart, "the primary's PostgreSQL is restarted by Patroni's API"),
    "kill": (kill, "SIGKILL to the primary's Patroni and PostgreSQL"),
    "crash": (crash, "SIGKILL to the primary's postmaster alone"),
    "partition": (partition, "the primary is cut off from the others, etcd, HAProxy and clients"),
}
# Over when `ttl` or `loop_wait` is: the patient clients wait for 60 s.
LONG = ("kill", "crash", "partition")


def parse_events(text):
    """[(name, times), ...] of "switchover:10,kill:5"; a ValueError says what is wrong."""
    found = []
    for part in text.split(","):
        name, _, times = part.strip().partition(":")
        if name not in EVENTS:
            raise ValueError(f"there is no event {name!r}; there are {', '.join(EVENTS)}")
        if times and not (times.isdigit() and 1 <= int(times) <= 1000):
            raise ValueError(f"{part!r}: how often is a number from 1 to 1000")
        found.append((name, int(times or 1)))
    return found
