"""`observe: true`: everything is judged, logged and counted; nothing is sent, and nothing is written."""

import pytest

from processes import wait_until


SETUPS = [("naive", "runtime"), ("nocheck", "runtime"), ("documented", "runtime"), ("fragment", "file")]


@pytest.mark.parametrize("setup", SETUPS, ids="-".join)
def test_nothing_is_sent(make_rig, setup):
    rig = make_rig(*setup, run=False, observe=True)
    if setup[0] in ("documented", "fragment"):  # its own checks have found the writer
        wait_until(lambda: rig.steered(), 15, "HAProxy has found the primary")
    before, worker = rig.haproxy.state(), rig.haproxy.pid()
    with open(rig.haproxy.folder + "/haproxy.cfg") as file:
        configuration = file.read()
    fragment = read(rig.haproxy.fragment)
    rig.pointsman.start()
    rig.cluster.switch("pg2")
    wait_until(lambda: rig.log_lines("pg_primary/pg2: in"), 5, "it is judged and logged")
    wait_until(lambda: rig.metric('pointsman_writer{scope="main",member="pg2"}') == 1, 5, "it is counted")
    assert rig.metric("pointsman_observe") == 1
    assert rig.status_json()["observe"] is True
    done = rig.pointsman.command("plan")
    assert done.returncode == 2, done.stdout + done.stderr
    rig.pointsman.stop()
    assert rig.pointsman.command("once").returncode == 0
    assert rig.pointsman.command("release", "--all").returncode == 0
    assert rig.recorder.commands() == []
    assert rig.haproxy.pid() == worker and read(rig.haproxy.fragment) == fragment
    assert read(rig.haproxy.folder + "/haproxy.cfg") == configuration
    if setup[0] in ("naive", "nocheck"):  # the others' own checks have seen the switch meanwhile, or are about to
        assert rig.haproxy.state() == before


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return None
