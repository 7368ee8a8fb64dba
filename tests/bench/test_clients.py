"""The clients themselves, against servers that are none."""

import os
import socket
import subprocess

import pytest

from crowd import clients_binary
from processes import wait_until
from traffic import Notes

NET = os.environ.get("POINTSMAN_NET", "127.0.0")


@pytest.fixture
def silent():
    """(address, port) that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind((f"{NET}.81", 0))
        listener.listen(200)
        yield listener.getsockname()


@pytest.fixture
def start(tmp_path):
    """start(line...): the clients of that table; ends them with the test."""
    running = []

    def begin(*lines):
        process = subprocess.Popen([clients_binary(), "run", f"{tmp_path}/out"], stdin=subprocess.PIPE)
        running.append(process)
        process.stdin.write("".join(f"{line}\n" for line in (*lines, "")).encode())
        process.stdin.flush()
        return process, Notes(f"{tmp_path}/out")

    yield begin
    for process in running:
        process.kill()
        process.wait()


def attempts(notes, client):
    return [record for record in notes.read() if record.get("client") == client]


def test_attempts_that_hang_hold_back_no_others(start, silent):
    _, notes = start(f"new_a new 20 400 {silent[1]} {silent[0]}", f"refused_a new 20 400 {silent[1]} {NET}.82")
    wait_until(lambda: len(attempts(notes, "new_a")) >= 20, 10, "20 attempts timed out")
    for record in attempts(notes, "new_a"):
        assert not record["ok"] and record["error"] == "timeout expired"
        assert 0.4 <= record["end"] - record["start"] < 1.0
    starts = [record["start"] for record in attempts(notes, "new_a")]
    # 20 attempts one after the other would take 8 s.
    assert starts[19] - starts[0] < 2.0
    refused = attempts(notes, "refused_a")
    assert len(refused) >= 20
    assert all("refused" in record["error"] and record["end"] - record["start"] < 0.3 for record in refused)


def test_a_host_that_hangs_is_given_up_for_the_next_one(start, silent):
    _, notes = start(f"both_a new 50 300 {silent[1]} {silent[0]} {NET}.82")
    wait_until(lambda: len(attempts(notes, "both_a")) >= 3, 10, "three attempts ended")
    for record in attempts(notes, "both_a")[:3]:
        assert "refused" in record["error"] and 0.3 <= record["end"] - record["start"] < 0.9


def test_a_kept_connection_has_one_attempt_at_a_time(start, silent):
    _, notes = start(f"kept_c kept 20 200 {silent[1]} {silent[0]}")
    wait_until(lambda: len(attempts(notes, "kept_c")) >= 4, 10, "four attempts ended")
    records = attempts(notes, "kept_c")
    assert all(later["start"] >= earlier["end"] for earlier, later in zip(records, records[1:]))


def test_the_end_waits_for_what_connects_and_says_what_it_all_cost(start, silent):
    process, notes = start(f"new_a new 100 1000 {silent[1]} {silent[0]}")
    wait_until(lambda: attempts(notes, "new_a"), 10, "one attempt ended, with others in flight")
    process.stdin.close()
    assert process.wait(10) == 0
    assert len(attempts(notes, "new_a")) >= 5 and not any(record.get("hanging") for record in attempts(notes, "new_a"))
    costs = notes.read()[-1]
    assert costs["turns"] == len(attempts(notes, "new_a")) and costs["not_started"] == 0
    assert 0 < costs["cpu_seconds"] < 1 and len(costs["late_ms"]) == 3


def test_a_table_that_makes_no_sense_is_refused():
    for table in ("\n", "a new 0 10 5432 127.0.0.1\n\n", "a new 20 10 5432\n\n"):
        done = subprocess.run([clients_binary(), "run", "/dev/null"], input=table, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "no client in the table" in done.stderr
