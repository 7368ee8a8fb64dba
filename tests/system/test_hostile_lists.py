"""`/cluster` is hearsay about names and addresses, and as hostile as the rest: nothing of a bad one is taken."""

import pytest

from processes import wait_until
from test_hostile import EVIL, no_evil

LISTED = {
    "a name with a line break": {"name": "x\n server evil 6.6.6.6:1"},
    "a name with a command": {"name": "a;shutdown frontend"},
    "an address with spaces": {"host": "6.6.6.6 evil"},
    "an address with a command": {"host": "6.6.6.6; shutdown frontend fe_primary"},
    "a port of 70000": {"port": 70000},
    "a port of 0": {"port": 0},
    "an API address with spaces": {"api_url": "http://6.6.6.6 evil:8008/patroni"},
}


@pytest.mark.parametrize("case", LISTED)
def test_a_bad_list_of_members_is_refused_with_one_line_for_each_that_tells_it(make_rig, cluster, case):
    evil = cluster.members["pg3"]
    listed = evil.listed
    evil.listed = lambda: listed() | LISTED[case]
    rig = make_rig()  # HAProxy's own checks ask the members' APIs, by which the servers are known as well
    wait_until(lambda: rig.metric('pointsman_bad_answers_total{scope="main"}') >= 1, 5, "bad answers are counted")
    for member in cluster.members.values():
        lines = rig.log_lines(f"{member.api_url}/cluster is refused")
        assert len(lines) <= 1
        assert all(" warning " in line and line.isascii() and line.isprintable() for line in lines)
    assert rig.log_lines("/cluster is refused")
    assert no_evil(rig)

    assert rig.member_status("pg3")["postgres"] is None
    # Who the writer is was never read from there.
    cluster.switch("pg2")
    rig.wait_steered(3)


def test_a_list_is_taken_when_it_is_good_again(make_rig, cluster):
    evil = cluster.members["pg3"]
    listed = evil.listed
    evil.listed = lambda: listed() | {"port": 70000}
    rig = make_rig()
    wait_until(lambda: rig.log_lines("/cluster is refused"), 5, "it is refused")
    del evil.listed
    wait_until(lambda: rig.member_status("pg3")["postgres"] == f"{evil.address}:5432", 10, "the list is taken")
    assert rig.steered()


def test_nothing_evil_reaches_the_fragment(make_rig, cluster):
    cluster.members["pg3"].patroni["name"] = "x\n server evil 6.6.6.6:1"
    rig = make_rig("fragment", "file", run=False)
    first = rig.pointsman.command("once")
    with open(rig.haproxy.fragment) as file:
        text = file.read()
    assert not any(word in text for word in EVIL)
    assert first.stderr.count("is refused") == 1
    assert no_evil(rig)
