"""The ways for a client to reach the writer that are compared, all at once on the same cluster."""

import dataclasses
import os

from haproxy import HOLD_LUA, Haproxy
from pointsman import Pointsman
from processes import spawn

HERE = os.path.dirname(os.path.abspath(__file__))
MAXCONN = 4000  # HAProxy's own limit, above what waits in an outage; 100 for each server stays as documented
CONFIGURATION_REFUSED = 78


@dataclasses.dataclass(frozen=True)
class Kind:
    name: str
    title: str
    haproxy: str = ""   # a kind of haproxy.py; empty: libpq itself finds the writer
    steering: str = ""  # "cron", or pointsman's method; empty: HAProxy is left to its checks
    watch: bool = False

    @property
    def is_pointsman(self):
        return self.steering in ("runtime", "file")


KINDS = (
    Kind("documented", "HAProxy as Patroni documents it", "documented"),
    Kind("tuned", "HAProxy, httpchk tuned", "tuned"),
    Kind("libpq", "libpq, all hosts, read-write"),
    Kind("cron", "cron script, curl and jq, reload", "cron", "cron"),
    Kind("runtime", "pointsman, runtime", "documented", "runtime"),
    Kind("hold", "pointsman, runtime, watch and hold", "hold", "runtime", watch=True),
    Kind("file", "pointsman, file", "fragment", "file"),
)
CLIENTS = "abc"


@dataclasses.dataclass(frozen=True)
class ClientKind:
    kept: bool
    every: float    # seconds
    timeout: float  # seconds for a connection to stand


def role(kind, letter):
    """The client's name, and its role in PostgreSQL."""
    return f"{kind.name}_{letter}"


class Door:
    """A context manager: HAProxy, and what steers it. Made before the cluster starts: one that watches is told of stops by the members'
    hook too, where Patroni has it."""

    def __init__(self, kind, cluster):
        self.kind, self.cluster = kind, cluster
        self.haproxy = self.pointsman = self.script = None
        number = KINDS.index(kind)
        if kind.haproxy:
            self.haproxy = Haproxy(cluster, kind.haproxy, maxconn=MAXCONN, name=f"door-{kind.name}", port=5000 + 10 * number)
        if kind.is_pointsman:
            keys = {"watch": {"etcd": [f"http://{cluster.etcd_address}:2379"]}} if kind.watch else {}
            self.pointsman = Pointsman(cluster, self.haproxy, kind.steering, name=f"door-{kind.name}", port=8010 + number,
                                       cluster_keys=keys)
        if kind.watch:
            cluster.before_stop = self.pointsman.hook()

    def missing(self):
        """Why this door cannot be opened with this build; empty when it can."""
        if self.kind.haproxy == "hold" and not os.path.exists(HOLD_LUA):
            return f"there is no {HOLD_LUA}"
        if self.kind.watch:
            done = self.pointsman.command("check")
            if done.returncode == CONFIGURATION_REFUSED:
                return f"this pointsman refuses the configuration: {(done.stderr or done.stdout).strip().splitlines()[0]}"
        return ""

    def __enter__(self):
        if self.haproxy:
            self.haproxy.start()
        if self.pointsman:
            self.pointsman.start()
        if self.kind.steering == "cron":
            urls = [member.api_url for member in self.cluster.members.values()]
            words = [f"{HERE}/keep_backends.sh", self.haproxy.fragment, str(self.haproxy.master.pid), *urls]
            self.script = spawn(words, self.haproxy.folder, f"{self.haproxy.folder}/script.log")
        return self

    def __exit__(self, *_):
        if self.script:
            self.script.kill()
            self.script.wait()
        if self.pointsman:
            self.pointsman.stop()
        if self.haproxy:
            self.haproxy.stop()

    def target(self):
        """(hosts, port) for its clients."""
        if self.haproxy:
            return [self.haproxy.write_address[0]], self.haproxy.write_address[1]
        return [member.address for member in self.cluster.members.values()], 5432
