"""Members in network namespaces: what is cut off is cut off, comes back, and leaves nothing behind."""

import os
import subprocess
import sys

from cluster import Cluster
from processes import end_everything, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
CUT_NET = ".".join(os.environ.get("POINTSMAN_NET", "127.0.0").split(".")[:2] + ["209"])


def left_of(net):
    """Links and namespaces of a run on `net`."""
    prefix = f"pmb{net.split('.')[-1]}"
    return [name for folder in ("/sys/class/net", "/run/netns") if os.path.isdir(folder) for name in os.listdir(folder)
            if name.startswith(prefix)]


def test_a_member_that_is_cut_off_goes_on_alone_and_comes_back():
    with Cluster(net=CUT_NET, ttl=20, loop_wait=5, retry_timeout=5, namespaces=True) as cluster:
        first = cluster.leader()
        other = cluster.replicas()[0]
        assert first.ask()[0] == 200
        cluster.cut(first)
        assert first.ask(timeout=0.5)[0] is None
        assert other.ask("/replica", timeout=5)[0] == 200
        inside = cluster.namespaces.inside(first)
        asked = [*inside, "/usr/bin/curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"{first.api_url}/health"]
        assert subprocess.run(asked, capture_output=True, text=True, check=False).stdout == "200"
        cluster.join(first)
        wait_until(lambda: first.ask(timeout=0.5)[0] is not None, 10, "the member answers again")
        cluster.wait_healthy()
        assert left_of(CUT_NET)
    assert not left_of(CUT_NET)


def test_nothing_of_the_network_outlives_a_harness_that_is_killed():
    script = f"""
import os, signal, sys
sys.path.insert(0, {HERE!r})
from cluster import Cluster
cluster = Cluster(net={CUT_NET!r}, namespaces=True)
cluster.namespaces.set_up(cluster.folder, cluster.members.values())
print(cluster.folder, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-B", "-c", script], capture_output=True, text=True, check=False)
    folder = done.stdout.strip()
    assert folder, done.stderr
    try:
        wait_until(lambda: not os.path.exists(folder) and not left_of(CUT_NET), 10, "the keeper took everything back")
    finally:
        end_everything(folder)
