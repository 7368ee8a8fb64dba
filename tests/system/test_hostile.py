"""What a member says is hostile until checked: each case is refused with one line, and HAProxy gets nothing of it."""

import time

import pytest

from fake_patroni import FakeCluster, head
from processes import wait_until
from rig import Rig

GOOD = b'{"state": "running", "role": "replica", "patroni": {"version": "3.0.2", "scope": "main"}'
EVIL = ("evil", "6.6.6.6", "shutdown frontend", "script")


def sends(*parts):
    """Answers with these bytes at once."""
    return lambda connection, member: connection.sendall(b"".join(parts))


def for_ever(first, again, pause=0.0):
    """Never ends of itself."""
    def answer(connection, member):
        connection.sendall(first)
        while True:
            connection.sendall(again)
            time.sleep(pause)

    return answer


def huge(connection, member):
    connection.sendall(head() + GOOD + b', "x": "')
    for _ in range(50):
        connection.sendall(b"x" * 1_000_000)
    connection.sendall(b'"}')


CASES = {
    "a name with a line break": sends(head(503), GOOD[:-1], rb', "name": "x\n server evil 6.6.6.6:1"}}'),
    "a name with a command": sends(head(503), GOOD[:-1], b', "name": "a;shutdown frontend"}}'),
    "a scope with a line break": sends(head(503), GOOD.replace(b'"main"', rb'"main\n server evil 6.6.6.6:1"'), b"}"),
    "a body of 50 MB": huge,
    "a body that never ends": for_ever(head() + b'{"evil": "', b"x" * 65536),
    "a body that drips": for_ever(head() + b'{"evil": "', b"x", 0.02),
    "a header that never ends": for_ever(head()[:-2], b"X-Evil: 6.6.6.6\r\n" * 1000),
    "a header line that never ends": for_ever(head()[:-2] + b"X-Evil: ", b"x" * 65536),
    "a header that drips": for_ever(head()[:-2] + b"X-Evil: ", b"x", 0.02),
    "a status line that drips": for_ever(b"HTTP/1.0 503 ", b"evil ", 0.05),
    "JSON a thousand deep": sends(head(), b'{"evil": ', b"[" * 1000, b"]" * 1000, b"}"),
    "JSON 200,000 deep": sends(head(), b'{"evil": ', b"[" * 200_000, b"]" * 200_000, b"}"),
    "invalid UTF-8": sends(head(503), GOOD, b', "evil": "\xff\xfe\xc3("}'),
    "HTML": sends(head(200, "text/html"), b"<!DOCTYPE html><html><script>evil()</script></html>"),
    "a body that ends early": sends(head(503), GOOD),
    "no HTTP at all": sends(b"\x00\x01evil\r\n\r\n" * 20),
    "a key twice": sends(head(200), GOOD.replace(b'"role"', b'"role": "master", "role"'), b"}"),
    "a timeline below zero": sends(head(503), GOOD, b', "timeline": -1}'),
    "another code": sends(head(418), GOOD, b"}"),
}


@pytest.fixture(scope="module")
def rig():
    with FakeCluster() as cluster:
        rig = Rig(cluster, poll={"calm": "100ms", "alert": "50ms", "timeout": "400ms"})
        try:
            rig.start()
            yield rig
        finally:
            rig.close()


def no_evil(rig):
    state = rig.haproxy.ask("show servers state")
    sent = "\n".join(rig.recorder.lines)
    return not any(word in text for word in EVIL for text in (state, sent))


def refusals(rig, after, path="/primary"):
    return rig.log_lines(path, "is refused", after=after)


@pytest.mark.parametrize("case", CASES)
def test_a_bad_answer_is_refused_with_one_line(rig, case):
    cluster, member = rig.cluster, rig.cluster.members["pg3"]
    rig.wait_steered()
    wait_until(lambda: rig.member_status("pg3")["silent_for"] is None, 5, "pg3 is well")
    before, known = rig.haproxy.state(), len(rig.log().splitlines())
    sent = len(rig.recorder.commands())
    bad = rig.metric('pointsman_bad_answers_total{scope="main"}')
    member.asked.clear()
    member.tricks["/primary"] = CASES[case]
    try:
        wait_until(lambda: rig.member_status("pg3")["silent_why"] == "bad_answer", 5, "it counts as one that answers badly")
        again = 2 if "drips" in case else 4  # one that hangs is asked after 1 s, then 2 s, then every 4 s
        wait_until(lambda: member.asked.count("/primary") >= again, 10, "it was asked again")
        assert rig.haproxy.state() == before
        assert rig.recorder.commands()[sent:] == []

        # It delays nobody: the others' switch is carried out as ever.
        old, new = cluster.leader().name, "pg2" if cluster.leader().name == "pg1" else "pg1"
        begin = time.monotonic()
        cluster.switch(new)
        wait_until(lambda: rig.haproxy.usable("pg_primary") == {new}, 5, "the switch is carried out", every=0.002)
        took = time.monotonic() - begin
        assert took < 0.3, f"the switch from {old} to {new} took {took * 1000:.0f} ms"
        assert "pg3" in rig.haproxy.usable("pg_replicas")
    finally:
        member.tricks.clear()
    wait_until(lambda: rig.log_lines(member.api_url, "answers well again", after=known), 10, "it answers well again")
    lines = refusals(rig, known)
    assert len(lines) == 1 and " warning " in lines[0] and member.api_url in lines[0], lines
    assert lines[0].isascii() and lines[0].isprintable() and len(lines[0]) < 500
    assert rig.metric('pointsman_bad_answers_total{scope="main"}') >= bad + 2
    assert no_evil(rig)
