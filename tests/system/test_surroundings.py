"""Bad surroundings: what, where and the remedy are said, and the exit code tells which kind of trouble it is."""

import os
import shutil
import subprocess

import pytest

import pointsman
from processes import spawn, wait_until


def run_once(*words):
    return subprocess.run([pointsman.binary(), *words], capture_output=True, text=True, timeout=10, check=False)


@pytest.mark.parametrize("words", [[], ["steer"], ["run", "--fast"], ["run", "--config"], ["status", "--all"]], ids=" ".join)
def test_wrong_usage_is_64(words):
    done = run_once(*words)
    assert done.returncode == 64
    assert done.stderr.strip()


def test_help_and_version_are_no_errors():
    for words in (["--help"], ["--version"], ["run", "--help"]):
        done = run_once(*words)
        assert done.returncode == 0 and done.stdout.strip()


CONFIGURATION = """clusters:
  - scope: main
    members: [http://127.0.0.1:8008]
    poll: {{timeout: {timeout}}}
    {backends}:
      - {{name: pg_primary, serves: primary}}
haproxy: {{method: {method}, {socket}: {folder}/a.sock}}
state: {folder}
"""
GOOD = {"timeout": "1s", "backends": "backends", "method": "runtime", "socket": "socket"}
WRONG = {
    "an unknown key": ({"backends": "bakends"}, "5:5", "unknown key 'bakends'", "did you mean 'backends'?"),
    "a duration below zero": ({"timeout": "-1s"}, "4:21", "'timeout' is '-1s'", "write a duration such as"),
    "a duration without a unit": ({"timeout": "1"}, "4:21", "'timeout' is '1'", "write a duration such as"),
    "an unknown method": ({"method": "magic"}, "7:19", "magic", "runtime"),
    "no socket": ({"socket": "master_socket"}, "7:10", "without 'socket'", "give the stats socket"),
}


@pytest.mark.parametrize("command", ["run", "once", "plan", "status", "check", "release"])
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_configuration_is_78_with_line_and_column(tmp_path, case, command):
    change, place, what, remedy = WRONG[case]
    path = tmp_path / "pointsman.yml"
    path.write_text(CONFIGURATION.format(folder=tmp_path, **(GOOD | change)))
    done = run_once(command, "--config", str(path))
    assert done.returncode == 78
    assert any(line.startswith(f"{path}:{place}: ") and what in line and remedy in line for line in done.stderr.splitlines()), \
        done.stderr


def test_a_configuration_that_is_not_there_is_78(tmp_path):
    done = run_once("check", "--config", str(tmp_path / "none.yml"))
    assert done.returncode == 78 and "none.yml" in done.stderr


def says(rig, *parts, exit_code=1):
    """`check` says all the parts in one line, and so does `run`, which waits for better times."""
    checked = rig.pointsman.command("check")
    assert checked.returncode == exit_code, checked.stdout + checked.stderr
    lines = [line for line in (checked.stdout + checked.stderr).splitlines() if all(part in line for part in parts)]
    assert lines, checked.stdout + checked.stderr
    rig.pointsman.start()
    wait_until(lambda: rig.log_lines(*parts), 3, f"the log says {parts}")
    assert len([line for line in rig.log_lines(*parts) if " error " in line]) <= 2  # as found at the start, as met in a round
    assert rig.pointsman.stop() == 0


def test_a_wrong_socket_path(make_rig):
    rig = make_rig(run=False)
    rig.settings["haproxy"]["socket"] = f"{rig.haproxy.folder}/run/adnim.sock"
    rig.pointsman.write_settings()
    says(rig, f"{rig.haproxy.folder}/run/adnim.sock", "no such file", "is HAProxy running?", "`stats socket`")
    for command in ("once", "plan", "status", "release"):
        done = rig.pointsman.command(command)
        assert done.returncode == 1, command
        assert "adnim.sock" in done.stderr and "no such file" in done.stderr, (command, done.stderr)


def test_a_socket_that_haproxy_left_behind(make_rig):
    rig = make_rig(run=False)
    rig.settings["haproxy"]["socket"] = rig.haproxy.socket
    rig.pointsman.write_settings()
    rig.haproxy.kill9()
    says(rig, rig.haproxy.socket, "connection refused", "HAProxy is not running")


def test_a_socket_without_admin_level(make_rig, cluster):
    path = f"{cluster.folder}/operator.sock"
    rig = make_rig(run=False, extra_global=f"    stats socket {path} mode 660 level operator")
    rig.settings["haproxy"]["socket"] = path
    rig.pointsman.write_settings()
    says(rig, path, "no admin level", "level admin")
    cluster.switch("pg2")
    done = rig.pointsman.command("once")
    assert done.returncode == 1
    assert "ermission denied" in done.stderr, done.stderr


def test_a_missing_backend(make_rig):
    rig = make_rig(run=False)
    rig.settings["clusters"][0]["backends"][0]["name"] = "pg_primay"
    rig.pointsman.write_settings()
    says(rig, "HAProxy has no backend pg_primay", "it has: pg_primary, pg_replicas")


def test_no_master_socket_is_a_warning(make_rig):
    rig = make_rig(run=False)
    del rig.settings["haproxy"]["master_socket"]
    rig.pointsman.write_settings()
    done = rig.pointsman.command("check")
    assert done.returncode == 0 and "warning: no `master_socket`" in done.stdout, done.stdout + done.stderr


def test_without_hold_lua_check_notes_what_it_would_bring_and_run_says_nothing(make_rig):
    rig = make_rig()
    done = rig.pointsman.command("check")
    notes = [line for line in done.stdout.splitlines() if line.startswith("note: ")]
    assert done.returncode == 0 and len(notes) == 1, done.stdout + done.stderr
    assert all(part in notes[0] for part in ("no hold.lua", "lua-load", "inspect-delay", "lua.hold"))
    assert not rig.log_lines("hold.lua")


@pytest.mark.parametrize("key, value", [("watch", {"etcd": ["http://127.0.0.1:1"]}), ("hold", "20s"), ("pre_hold", "2s")])
def test_what_does_nothing_without_hold_lua_is_a_warning(make_rig, key, value):
    rig = make_rig(run=False)
    rig.settings["clusters"][0][key] = value
    rig.pointsman.write_settings()
    says(rig, "warn", "no hold.lua", f"`{key}` of main", "lua-load", exit_code=0)


def test_with_hold_lua_nothing_is_said_of_it(make_rig):
    rig = make_rig("hold", run=False)
    done = rig.pointsman.command("check")
    assert done.returncode == 0 and "hold.lua" not in done.stdout, done.stdout + done.stderr


def test_a_haproxy_that_leaks_sessions_which_it_ends_is_warned_of_with_the_line(make_rig):
    rig = make_rig(run=False)
    config = f"{rig.haproxy.folder}/haproxy.cfg"
    with open(config, encoding="utf-8") as file:
        number = next(number for number, line in enumerate(file, 1) if "on-marked-down shutdown-sessions" in line)
    assert "leaks" not in rig.pointsman.command("check").stdout  # 2.6 does not
    rig.recorder.rewrite = lambda part: part.replace(b"Version: 2.6.12", b"Version: 3.0.11")
    says(rig, "warn", f"{config}:{number}: ", "HAProxy 3.0.11", "leaks", "leave it out", exit_code=0)
    os.rename(config, f"{config}.gone")
    try:
        assert "could not be looked up" in rig.pointsman.command("check").stdout
    finally:
        os.rename(f"{config}.gone", config)


@pytest.mark.parametrize("method", ["file", "runtime"])
def test_a_fragment_in_a_folder_that_is_not_writable(make_rig, method):
    rig = make_rig("fragment", method, run=False, write_through=True)
    folder = os.path.dirname(rig.haproxy.fragment)
    # The project may lie where others may not look.
    template = shutil.copy(rig.settings["haproxy"]["template"], rig.pointsman.folder)
    os.chmod(template, 0o644)
    rig.settings["haproxy"]["template"] = template
    rig.pointsman.write_settings()
    for path in (rig.haproxy.socket, rig.haproxy.master_socket, rig.recorder.path):
        os.chmod(path, 0o666)
    os.chmod(f"{rig.pointsman.folder}/state", 0o777)
    nobody = ["/usr/bin/setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
    checked = subprocess.run(nobody + rig.pointsman.words("check"), capture_output=True, text=True, timeout=20, check=False)
    assert checked.returncode == 1, checked.stdout + checked.stderr
    parts = f"cannot write in {folder}", "group write", f"chgrp haproxy {folder} && chmod g+w {folder}"
    assert [line for line in checked.stdout.splitlines() if all(part in line for part in parts)], checked.stdout
    run = spawn(nobody + rig.pointsman.words("run"), rig.pointsman.folder, f"{rig.pointsman.folder}/log")
    try:
        wait_until(lambda: rig.log_lines(*parts), 5, "the log says it")
        rig.cluster.switch("pg2")
        wait_until(lambda: rig.log_lines(" error ", folder, "ermission denied"), 5, "it says what it could not write")
        assert run.poll() is None
    finally:
        run.terminate()
        assert run.wait(5) == 0


def test_a_port_that_is_taken(make_rig):
    rig = make_rig()
    taken = rig.pointsman.http_address
    rig.pointsman.stop()
    rig.settings["http"]["listen"] = f"{rig.haproxy.write_address[0]}:{rig.haproxy.write_address[1]}"
    rig.pointsman.write_settings()
    done = rig.pointsman.command("run")
    assert done.returncode == 1 and "in use" in done.stderr and "http.listen" in done.stderr, (taken, done.stderr)
