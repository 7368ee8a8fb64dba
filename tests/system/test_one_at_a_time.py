"""A second `run`, `once` beside `run`, and two `once` at a time."""

import signal
import time

import pytest

from pointsman import Pointsman
from processes import wait_until


def test_a_second_run_is_refused_with_a_clear_word(make_rig):
    rig = make_rig()
    second = Pointsman(rig.cluster, rig.haproxy, name="second", port=8011, socket=rig.recorder.path)
    begin = time.monotonic()
    done = second.command("run")
    assert done.returncode == 1
    assert time.monotonic() - begin < 2
    line, = [line for line in done.stderr.splitlines() if " error " in line]
    assert f"another pointsman (pid {rig.pointsman.process.pid}) steers this HAProxy already" in line
    assert rig.recorder.path in line
    rig.cluster.switch("pg2")
    rig.wait_steered(5)

    # A killed one leaves no lock behind.
    rig.pointsman.kill9()
    second.start()
    assert second.stop() == 0


def test_once_beside_run_has_nothing_to_do(make_rig):
    rig = make_rig()
    run = rig.pointsman.process
    run.send_signal(signal.SIGSTOP)  # every line to HAProxy is another's from now on
    try:
        wait_until(lambda: quiet(rig), 2, "it is stopped")
        before = len(rig.recorder.lines)
        done = rig.pointsman.command("once")
        assert done.returncode == 0
        assert f"`pointsman run` (pid {run.pid}) steers this HAProxy: nothing to do" in done.stdout
        assert len(rig.recorder.lines) == before
        released = rig.pointsman.command("release")
        assert released.returncode == 1 and f"pid {run.pid}" in released.stderr
        assert len(rig.recorder.lines) == before
    finally:
        run.send_signal(signal.SIGCONT)
    assert rig.pointsman.command("plan").returncode == 0
    assert rig.pointsman.command("status").returncode == 0


def quiet(rig):
    return time.monotonic() > rig.recorder.last + 0.2


@pytest.fixture
def slow(make_rig):
    """A member that hangs, and a `once` that waits for it for 10 s."""
    rig = make_rig(run=False, poll={"timeout": "10s"})
    rig.cluster.members["pg3"].tricks["/primary"] = lambda connection, member: connection.recv(1)
    first = rig.pointsman.launch("once")
    wait_until(lambda: "/primary" in rig.cluster.members["pg3"].asked, 5, "the first one waits for its answer")
    yield rig, first
    if first.poll() is None:
        first.kill()
        first.wait()


def test_a_once_that_overlaps_another_gives_up_after_5_s(slow):
    rig, first = slow
    done = rig.pointsman.command("once")
    assert first.poll() is None
    assert done.returncode == 4, done.stdout + done.stderr
    assert 4.5 < done.seconds < 6.5
    assert f"another `pointsman once` (pid {first.pid}) has been at work for 5 s" in done.stderr
    first.kill()
    first.wait()
    rig.cluster.members["pg3"].tricks.clear()
    done = rig.pointsman.command("once")
    assert done.returncode == 0 and done.seconds < 1, done.stdout + done.stderr


def test_a_once_that_overlaps_a_short_one_waits_for_it(slow):
    rig, first = slow
    second = rig.pointsman.launch("once")
    rig.cluster.members["pg3"].tricks.clear()
    rig.cluster.members["pg3"].api.close()  # ends the connection that hangs, and refuses from now on
    assert first.wait(5) == 0 and second.wait(5) == 0
    assert rig.haproxy.usable("pg_primary") == {"pg1"}
