"""A network namespace for each member, joined by a bridge, so that one of them can be cut off from everything else.

The addresses are of 198.18.0.0/15, which is set aside for benchmarks (RFC 2544). What was made is written down in the run's folder,
so that the keeper takes it back however the run ends.
"""

import os
import subprocess

from processes import NETWORK_FILE, HarnessError


def ip(*words, program="ip"):
    done = subprocess.run([f"/usr/sbin/{program}", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HarnessError(f"{program} {' '.join(words)}: {done.stderr.strip()}")


class Namespaces:
    """Ours is on the bridge and has `.1` and `.10`; each member is alone in its namespace."""

    def __init__(self, net):
        """net: as of a cluster on loopback; its last octet keeps runs apart."""
        self.number = net.split(".")[-1]
        self.net = f"198.18.{self.number}"
        self.bridge = f"pmb{self.number}"

    def set_up(self, folder, members):
        if os.path.exists(f"/sys/class/net/{self.bridge}"):
            raise HarnessError(f"the bridge {self.bridge} is there already. Left over from an earlier run? `ip link del {self.bridge}` "
                               "removes it. Or move this one: POINTSMAN_NET=127.0.7")
        with open(f"{folder}/{NETWORK_FILE}", "w") as made:
            made.write(f"link {self.bridge}\n")
            # The kernel takes a namespace's own links away with it, but later, behind its name's back.
            made.writelines(f"link {self.port(member)}\nnetns {self.namespace(member)}\n" for member in members)
        ip("link", "add", self.bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0")
        for last in (1, 10):
            ip("addr", "add", f"{self.net}.{last}/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")
        for member in members:
            self.add(member)

    def add(self, member):
        namespace, port = self.namespace(member), self.port(member)
        ip("netns", "add", namespace)
        ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        ip("link", "set", port, "master", self.bridge)
        ip("link", "set", port, "up")
        ip("-n", namespace, "addr", "add", f"{member.address}/24", "dev", "eth0")
        ip("-n", namespace, "link", "set", "lo", "up")
        ip("-n", namespace, "link", "set", "eth0", "up")

    def namespace(self, member):
        return f"{self.bridge}-{member.name}"

    def port(self, member):
        return f"{self.bridge}{member.name}"

    def inside(self, member):
        """The words that make the command after them run in the member's namespace."""
        return ["/usr/bin/nsenter", f"--net=/run/netns/{self.namespace(member)}"]

    def cut(self, member):
        """Nothing goes in or out any more, and nobody is told: the link stays up, as behind a switch that failed."""
        self.set_port(member, "disabled")

    def join(self, member):
        self.set_port(member, "forwarding")

    def set_port(self, member, state):
        # `ip link set ... type bridge_slave state` says yes and does nothing (iproute2 6.1, Linux 6.18).
        ip("link", "set", "dev", self.port(member), "state", state, program="bridge")
        with open(f"/sys/class/net/{self.port(member)}/brport/state") as file:
            if (file.read().strip() == "0") != (state == "disabled"):
                raise HarnessError(f"the port {self.port(member)} is not {state}")
