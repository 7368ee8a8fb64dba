"""5,000 held clients: what they cost, and how soon they are served."""

import select
import socket
import time

import pytest

from processes import HarnessError, wait_until
from rig import BOTH, DOOR, PG

NUMBER = 5000
HANDED_OVER = 0.5  # seconds from the reply of the release to the last one's first byte from PostgreSQL's place
CPU = 0.25  # cores, while they are held
TRIES = 5  # the best counts, and the first good one is enough: other programs use this machine too


class Crowd:
    def __init__(self):
        self.poll = select.epoll()
        self.sockets = {}
        for number in range(NUMBER):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(DOOR)
            self.sockets[client.fileno()] = client
            self.poll.register(client, select.EPOLLIN)
            if number % 100 == 99:
                time.sleep(0.005)  # the listen queue is 4,096 long; who finds it full comes back after a second

    def served(self, timeout):
        """How many have heard from a server, how many from nobody, and when the last one did."""
        good = bad = 0
        end = time.monotonic() + timeout
        while good + bad < NUMBER and time.monotonic() < end:
            for number, _ in self.poll.poll(0.1):
                try:
                    data = self.sockets[number].recv(10)
                except OSError:
                    data = b""
                self.poll.unregister(number)
                good, bad = good + (data == b"n1"), bad + (data != b"n1")
        return good, bad, time.monotonic()

    def close(self):
        self.poll.close()
        for client in self.sockets.values():
            client.close()


def idle_share():
    """The share of all processor time that nobody used within half a second."""

    def read():
        with open("/proc/stat") as file:
            numbers = [int(word) for word in file.readline().split()[1:9]]
        return sum(numbers), numbers[3] + numbers[4]

    total, idle = read()
    time.sleep(0.5)
    total_then, idle_then = read()
    return (idle_then - idle) / max(total_then - total, 1)


def await_calm():
    """What is measured here needs a processor; it is measured anyway when others leave none for half a minute."""
    try:
        wait_until(lambda: idle_share() > 0.5, 30, "the machine is calm")
    except HarnessError:
        pass


def held_cpu(rig):
    begun, before = time.monotonic(), rig.cpu()
    time.sleep(1.5)
    return (rig.cpu() - before) / (time.monotonic() - begun)


@pytest.mark.parametrize("by", ["server", "command"])
def test_five_thousand_are_handed_over_in_half_a_second_and_cost_a_quarter_of_a_core(make_rig, measured, by):
    rig = make_rig(PG + BOTH)
    cpu, took = [], []
    for _ in range(TRIES):
        await_calm()
        if by == "server":
            rig.set("n1", "state maint")
        else:
            rig.set("n1", "state ready")
            rig.ask("hold pg 60000")
        crowd = Crowd()
        wait_until(lambda: rig.waiting() >= NUMBER, 30, "all of them wait")
        cpu.append(held_cpu(rig))
        if by == "server":
            rig.set("n1", "state ready")
        else:
            rig.ask("hold pg 0")
        released = time.monotonic()
        good, bad, last = crowd.served(10)
        crowd.close()
        assert (good, bad) == (NUMBER, 0)
        took.append(last - released)
        wait_until(lambda: rig.info()["CurrConns"] == "0" and rig.waiting() == 0, 10, "all of them have left")
        if cpu[-1] <= CPU and took[-1] <= HANDED_OVER:
            break
    measured(f"cpu {min(cpu):.3f} core, handed over in {min(took) * 1000:.0f} ms (of {[round(t * 1000) for t in took]})")
    assert min(cpu) <= CPU
    assert min(took) <= HANDED_OVER
