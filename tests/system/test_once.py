"""Exit codes of `once`, `plan` and `release`, and what they did."""

import re
import socket

import pytest

from processes import wait_until

KINDS = ("documented", "naive", "nocheck")


@pytest.mark.parametrize("kind", KINDS)
def test_once_is_0_in_order_changed_or_not(make_rig, kind):
    rig = make_rig(kind, run=False)
    first = rig.pointsman.command("once")
    assert first.returncode == 0 and "scope main: writer pg1 (settled)" in first.stdout, first.stdout + first.stderr
    assert rig.steered()
    sent = len(rig.recorder.commands())
    again = rig.pointsman.command("once")
    assert again.returncode == 0 and "in order" in again.stdout, again.stdout + again.stderr
    assert rig.recorder.commands()[sent:] == []
    rig.cluster.switch("pg3")
    changed = rig.pointsman.command("once")
    assert changed.returncode == 0 and "scope main: writer pg3 (settled), changed" in changed.stdout
    assert rig.steered()


@pytest.mark.parametrize("kind", KINDS)
def test_once_is_3_without_a_known_writer(make_rig, kind):
    rig = make_rig(kind, run=False)
    rig.cluster.switch(None)
    done = rig.pointsman.command("once")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "writer none" in done.stdout
    assert rig.haproxy.usable("pg_primary") == set()
    rig.cluster.switch("pg2")
    assert rig.pointsman.command("once").returncode == 0
    assert rig.steered()


def test_once_is_1_without_haproxy(make_rig):
    rig = make_rig(run=False)
    rig.settings["haproxy"]["socket"] = rig.haproxy.socket
    rig.pointsman.write_settings()
    rig.haproxy.kill9()
    done = rig.pointsman.command("once")
    assert done.returncode == 1 and rig.haproxy.socket in done.stderr, done.stderr
    assert rig.pointsman.command("plan").returncode == 1


def test_once_is_1_where_haproxy_refuses(make_rig):
    rig = make_rig("naive", run=False)
    rig.haproxy.ask("set server pg_primary/pg2 state ready")

    def drop(line):
        if "set server" in line:
            raise ConnectionError

    rig.recorder.before = drop
    done = rig.pointsman.command("once")
    assert done.returncode == 1 and " error " in done.stderr, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_plan_is_2_with_changes_and_0_without(make_rig, kind):
    rig = make_rig(kind, run=False)
    assert rig.pointsman.command("once").returncode == 0
    done = rig.pointsman.command("plan")
    assert (done.returncode, done.stdout) == (0, "nothing to do\n")
    rig.cluster.switch("pg2")
    before, sent = rig.haproxy.state(), len(rig.recorder.commands())
    done = rig.pointsman.command("plan")
    assert done.returncode == 2, done.stdout + done.stderr
    assert rig.haproxy.state() == before and rig.recorder.commands()[sent:] == []
    added = [line for line in done.stdout.splitlines() if re.match(r"\+ ", line)]
    assert len(added) == 4 and all("  # " in line for line in added), done.stdout  # two servers of each backend
    would = [line.split(" set server ")[1].split("  #")[0] for line in done.stdout.splitlines() if "would send:" in line]
    assert rig.pointsman.command("once").returncode == 0
    assert [command.removeprefix("set server ") for command in rig.recorder.commands()[sent:]] == would


def test_release_gives_back_what_is_held_and_all_gives_back_the_rest(make_rig):
    rig = make_rig("naive")
    rig.pointsman.stop()
    rig.haproxy.ask("set server pg_replicas/pg3 state drain")  # the operator's
    done = rig.pointsman.command("release")
    assert done.returncode == 0, done.stdout + done.stderr
    assert rig.reads_and_writes() == ({"pg1"}, {"pg2"})  # what keeps writes off the replicas stays
    assert done.stdout.splitlines()[-1].endswith(": pg_primary/pg2 pg_primary/pg3 pg_replicas/pg1"), done.stdout
    done = rig.pointsman.command("release", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
    wait_until(lambda: rig.reads_and_writes() == ({"pg1", "pg2", "pg3"}, {"pg1", "pg2"}), 5, "all but the operator's are free")
    assert rig.pointsman.command("release", "--all").stdout == "nothing is held\n"
    rig.pointsman.start()
    wait_until(lambda: rig.reads_and_writes() == ({"pg1"}, {"pg2"}), 5, "they are steered again")


def test_release_leaves_servers_of_the_first_kind_to_their_own_checks(make_rig):
    rig = make_rig()
    rig.pointsman.kill9()
    assert rig.pointsman.command("release").returncode == 0
    assert not any(status.startswith(("MAINT", "DRAIN")) for servers in rig.haproxy.statuses().values()
                   for status in servers.values())
    assert rig.steered()


@pytest.mark.parametrize("kind", ["naive", "nocheck"])
@pytest.mark.parametrize("when", ["before the new one is in", "before the old one is out"])
def test_release_finishes_a_switch_that_a_kill_interrupted(make_rig, kind, when):
    rig = make_rig(kind)
    part = "pg_primary/pg2 state ready" if when == "before the new one is in" else "pg_primary/pg1 state maint"

    def kill(line):
        if part in line:
            rig.pointsman.process.kill()
            rig.pointsman.process.wait()
            raise ConnectionError

    # A session on the old one makes it two steps: out, and when the session has ended, in.
    with Session(rig) as session:
        rig.recorder.before = kill
        rig.cluster.switch("pg2")
        wait_until(lambda: not rig.pointsman.running(), 5, "it was killed in the middle")
        rig.pointsman.process = None
        assert rig.haproxy.usable("pg_primary") == (set() if part.startswith("pg_primary/pg2") else {"pg1"})
        rig.recorder.before = lambda line: None
        done = rig.pointsman.command("release")
        assert done.returncode == 0, done.stdout + done.stderr
        assert rig.haproxy.usable("pg_primary") == {"pg2"}, done.stdout + done.stderr
        assert session.ended()
    assert rig.reach() == "pg2"
    rig.pointsman.start()
    rig.wait_steered(5)


class Session:
    """A session through HAProxy to the writer."""

    def __init__(self, rig):
        self.address, self.writer = rig.haproxy.write_address, rig.cluster.leader().name

    def __enter__(self):
        self.connection = socket.create_connection(self.address, timeout=2)
        assert self.connection.recv(100).decode().strip() == self.writer
        return self

    def __exit__(self, *_):
        self.connection.close()

    def ended(self):
        try:
            return self.connection.recv(100) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
