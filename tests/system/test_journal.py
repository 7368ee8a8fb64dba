"""The journal: what is in it and when, `replay`, `why` and `why --at`; and that a journal that cannot be written stops nothing."""

import datetime
import glob
import json
import os
import resource
import time

import pytest

from processes import wait_until


def journal(rig, folder=None):
    """The path of the journal's newer file; None before there is one."""
    return next(iter(glob.glob(f"{folder or rig.pointsman.folder + '/state'}/*.journal")), None)


def lines(rig):
    with open(journal(rig)) as file:
        return file.read().splitlines()


def entries(rig, kind):
    return [entry for entry in map(json.loads, lines(rig)) if entry["kind"] == kind]


def switch(rig, name):
    """`name` becomes the primary; returns when that is steered and written down."""
    rig.cluster.switch(name)
    rig.wait_steered(5)
    wait_until(lambda: entries(rig, "outcome")[-1].get("usable", {}).get("pg_primary") == [name], 2, "the outcome is written")


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")


def test_a_switch_is_in_the_file_before_its_first_command_with_its_evidence_and_then_its_outcome(make_rig):
    rig = make_rig()
    found = []

    def of_pg2():
        return [entry for entry in entries(rig, "decision")
                if entry["decided"]["clusters"][0].get("writer") == rig.cluster.members["pg2"].api_url]

    def note(line):  # the command is on its way, and goes on when this is over
        if "pg_primary/pg2 health up" in line and not found:
            found.extend(wait_until(of_pg2, 0.3, "its decision is in the file"))

    rig.recorder.before = note
    switch(rig, "pg2")
    assert len(found) == 1
    decision = found[0]
    member = next(member for member in decision["evidence"]["seen"]["clusters"][0]["members"]
                  if member["url"] == rig.cluster.members["pg2"].api_url)
    assert (member["answer"]["says"]["code"], member["answer"]["says"]["role"]) == (200, "primary")
    assert decision["evidence"]["memory"]["clusters"][0]["holder"] == rig.cluster.members["pg1"].api_url
    assert {"backend": "pg_primary", "server": "pg2", "command": "health up", "reason": "claims_writer"} in \
        decision["decided"]["plan"]["in"]
    outcome = next(entry for entry in entries(rig, "outcome") if entry["of"] == decision["evidence"]["now"])
    assert outcome["confirmed"] and outcome["sent"]["health up"] >= 1
    assert outcome["pid"] == rig.pointsman.process.pid == decision["pid"]
    assert 0 <= age(outcome) < 10 and age(outcome) <= age(decision)


def age(entry):
    then = datetime.datetime.fromisoformat(entry["time"].replace("Z", "+00:00"))
    return (datetime.datetime.now(datetime.timezone.utc) - then).total_seconds()


def test_a_calm_system_writes_nothing(make_rig):
    rig = make_rig()
    time.sleep(2.5)  # HAProxy's own checks have come to rest
    before = lines(rig)
    time.sleep(3)
    assert lines(rig) == before


def test_a_replay_agrees_and_tells_changed_lines_apart(make_rig, tmp_path):
    rig = make_rig()
    switch(rig, "pg2")
    switch(rig, "pg3")
    done = rig.pointsman.command("replay", journal(rig))
    count = len(entries(rig, "decision"))
    assert (done.returncode, done.stdout) == (0, f"{count} decisions, 0 of them decided differently now\n")

    copy = tmp_path / "journal"
    all_lines = lines(rig)
    place = max(number for number, line in enumerate(all_lines) if '"kind":"decision"' in line and '"code":200' in line)
    changed = list(all_lines)
    changed[place] = changed[place].replace('"code":200', '"code":503')
    copy.write_text("\n".join(changed) + "\n")
    done = rig.pointsman.command("replay", str(copy))
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"{count} decisions, 1 of them decided differently now" in done.stdout
    assert f"{copy}:{place + 1}: " in done.stdout and "pg_primary/pg3: in (claims_writer), now " in done.stdout

    copy.write_text("\n".join(all_lines)[:-20])
    done = rig.pointsman.command("replay", str(copy))
    assert done.returncode == 1
    assert f"cannot read {copy}:{len(all_lines)}: " in done.stdout and "; 1 lines cannot be read" in done.stdout

    done = rig.pointsman.command("replay", str(tmp_path / "none"))
    assert done.returncode == 1 and "no such file" in done.stderr


def test_a_crash_in_the_middle_of_a_line_costs_that_line_only(make_rig):
    rig = make_rig()
    switch(rig, "pg2")
    rig.pointsman.kill9()
    os.truncate(journal(rig), os.path.getsize(journal(rig)) - 30)
    before = len(lines(rig))
    rig.pointsman.start()
    rig.wait_steered(5)
    wait_until(lambda: len(lines(rig)) > before, 3, "it is written on")
    done = rig.pointsman.command("replay", journal(rig))
    assert done.returncode == 1
    assert "0 of them decided differently now; 1 lines cannot be read" in done.stdout, done.stdout


def test_why_says_the_reason_from_the_daemon_or_by_its_own_look(make_rig):
    rig = make_rig()
    switch(rig, "pg2")
    done = rig.pointsman.command("why", "pg_primary/pg1")
    assert done.returncode == 0, done.stderr
    assert "from the daemon" in done.stdout
    assert "pg_primary/pg1 (" in done.stdout and "wanted      out, other_is_writer" in done.stdout
    assert "because     HTTP 503, role replica" in done.stdout
    assert "cluster     writer pg2 (settled), 1 claims to be it" in done.stdout
    for name in ("pg1", rig.cluster.members["pg1"].api_url):
        done = rig.pointsman.command("why", name)
        assert "pg_primary/pg1 (" in done.stdout and "pg_replicas/pg1 (" in done.stdout and "/pg2 (" not in done.stdout
    done = rig.pointsman.command("why", "pg7")
    assert done.returncode == 1 and "there are pg_primary/pg1, " in done.stderr
    rig.pointsman.stop()
    done = rig.pointsman.command("why", "pg_primary/pg2")
    assert done.returncode == 0 and "own look" in done.stdout and "wanted      in, claims_writer" in done.stdout


def test_why_at_says_what_was_decided_then(make_rig):
    rig = make_rig()
    time.sleep(0.05)
    early = now()
    time.sleep(0.05)
    switch(rig, "pg2")
    time.sleep(0.05)
    rig.pointsman.stop()

    def why(server, at):
        done = rig.pointsman.command("why", server, "--at", at)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    before, after = why("pg_primary/pg1", early), why("pg_primary/pg1", now())
    assert "from the journal" in before and "wanted      in, claims_writer" in before
    assert "wanted      out, other_is_writer" in after and f"by pid {rig_pid(rig)} ({journal(rig)}:" in after
    assert "pg_primary then sent new connections to pg2" in why("pg2", "0s ago")
    assert "wanted      out, other_is_writer" in why("pg_primary/pg1", now().replace("T", " "))
    done = rig.pointsman.command("why", "pg1", "--at", "2020-01-01")
    assert done.returncode == 64 and "no time" in done.stderr
    done = rig.pointsman.command("why", "pg1", "--at", "2020-01-01T00:00:00Z")
    assert done.returncode == 1 and "no decision up to 2020-01-01T00:00:00.000Z" in done.stderr
    done = rig.pointsman.command("why", "pg1", "--at", "2999-01-01T00:00:00Z")
    assert done.returncode == 64 and "yet to come" in done.stderr


def rig_pid(rig):
    return entries(rig, "decision")[0]["pid"]


def test_why_at_doubts_a_decision_of_a_pointsman_that_has_ended_since(make_rig):
    rig = make_rig()
    rig.pointsman.stop()
    time.sleep(0.1)
    between = now()
    rig.pointsman.start()
    rig.wait_steered(5)
    wait_until(lambda: len({entry["pid"] for entry in entries(rig, "decision")}) == 2, 3, "the second one has decided")
    done = rig.pointsman.command("why", "pg_primary/pg1", "--at", between)
    assert "is another process's: this one may have ended before" in done.stdout, done.stdout + done.stderr
    done = rig.pointsman.command("why", "pg_primary/pg1", "--at", now())
    assert "another process" not in done.stdout


def test_a_full_disk_stops_nothing_and_leaves_no_half_line(make_rig):
    rig = make_rig()
    switch(rig, "pg2")
    pid, full = rig.pointsman.process.pid, os.path.getsize(journal(rig)) + 100
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
    for name in ("pg3", "pg1", "pg2"):
        rig.cluster.switch(name)
        rig.wait_steered(3)
    wait_until(lambda: rig.metric("pointsman_journal_writable") == 0, 3, "the metrics say so")
    assert len(rig.log_lines("cannot write the journal", "File too large")) == 1
    assert "cannot write the journal" in rig.status_json()["journal_trouble"]
    assert "ALARMS\n  journal: cannot write the journal" in rig.pointsman.command("status").stdout
    assert rig.pointsman.command("replay", journal(rig)).returncode == 0  # no half line
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    wait_until(lambda: rig.log_lines("the journal is written again; 0 lines are lost"), 5, "it is written again")
    switch(rig, "pg3")
    done = rig.pointsman.command("replay", journal(rig))
    assert done.returncode == 0, done.stdout
    writers = [entry["decided"]["clusters"][0].get("writer") for entry in entries(rig, "decision")]
    assert writers[-1] == rig.cluster.members["pg3"].api_url
    assert rig.cluster.members["pg1"].api_url in writers[writers.index(rig.cluster.members["pg2"].api_url):]  # nothing was lost


def test_a_folder_that_is_not_there_stops_nothing_and_is_said_once(make_rig):
    rig = make_rig(run=False)
    folder = f"{rig.pointsman.folder}/later"
    rig.settings["journal"] = {"path": folder, "keep": "1MB"}
    rig.pointsman.write_settings()
    rig.pointsman.start()
    rig.wait_steered(5)
    rig.cluster.switch("pg2")
    rig.wait_steered(3)
    assert len(rig.log_lines("cannot write the journal", folder, "No such file or directory")) == 1
    assert journal(rig) is None
    os.mkdir(folder)
    wait_until(lambda: journal(rig, folder), 3, "it is written once there is a folder")


@pytest.mark.parametrize("command", ["run", "once"])
def test_no_journal_is_written_where_it_is_off(make_rig, command):
    rig = make_rig(run=False)
    rig.settings["journal"] = "off"
    rig.pointsman.write_settings()
    if command == "run":
        rig.pointsman.start()
        rig.wait_steered(5)
    assert command == "run" or rig.pointsman.command("once").returncode == 0
    assert journal(rig) is None
    done = rig.pointsman.command("why", "pg1", "--at", "0s ago")
    assert done.returncode == 1 and "journal: off" in done.stderr


def test_once_writes_what_it_does_and_plan_and_status_write_nothing(make_rig):
    rig = make_rig(run=False)
    rig.cluster.switch("pg2")
    for command in ("plan", "status"):
        rig.pointsman.command(command)
        assert journal(rig) is None
    assert rig.pointsman.command("once").returncode == 0
    assert entries(rig, "decision") and entries(rig, "outcome")
    wait_until(lambda: rig.steered(), 15, "HAProxy's own checks agree")
    before = lines(rig)
    for _ in range(3):
        assert rig.pointsman.command("once").returncode == 0
    assert lines(rig) == before
    rig.cluster.switch("pg3")
    assert rig.pointsman.command("once").returncode == 0
    assert len(lines(rig)) > len(before)
    assert rig.pointsman.command("replay", journal(rig)).returncode == 0


def test_nothing_secret_is_written(make_rig):
    rig = make_rig(run=False)
    rig.pointsman.hook()  # a token
    with open(rig.settings["http"]["token_file"]) as file:
        token = file.read().strip()
    rig.pointsman.start()
    rig.wait_steered(5)
    switch(rig, "pg2")
    text = "\n".join(lines(rig))
    assert token not in text and "token" not in text and "password" not in text
