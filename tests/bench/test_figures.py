"""The figures of a door, from records made up so that the answer is plain."""

import xml.etree.ElementTree

import pytest

import timeline
from doors import KINDS
from events import parse_events
from figures import figure, longest_gap, truth_of
from verdict import spans

DOCUMENTED, LIBPQ = KINDS[0], KINDS[2]
OLD, NEW = "10.0.0.1", "10.0.0.2"


def probe(server, state, asked, answered, before, timeline_=None):
    return {"server": server, "state": state, "timeline": timeline_, "asked": asked, "answered": answered, "before_until": before}


# The old one takes writes until 10.0; the new one is a replica until 11.0, and takes writes from 11.01 on.
PROBED = [
    probe(OLD, "writable", 0, 0, 0, 1), probe(OLD, "down", 10.005, 10.01, 10.0),
    probe(NEW, "replica", 0, 0, 0), probe(NEW, "writable", 11.0, 11.01, 11.0, 2),
]
TRUTH = truth_of(PROBED, 9.5)


def attempt(client, n, start, end, server=None, ok=True, recovery=False, timeline_=1, **more):
    record = {"client": client, "n": n, "start": start, "end": end, "ok": ok, **more}
    return {**record, "server": server, "recovery": recovery, "timeline": timeline_} if server else record


def figures(records, kind=DOCUMENTED, logged=None, rows=None, ended=13.0, probed=None):
    probed = probed or PROBED
    table = {}
    for record in records:
        if record["ok"]:
            table.setdefault(record["client"], {})[record["n"]] = (record["server"], record["timeline"])
    return figure(kind, records, truth_of(probed, 9.5), spans(probed), logged or {}, table if rows is None else rows, ended)


GOOD = [attempt("documented_a", 1, 9.0, 9.01, OLD), attempt("documented_a", 2, 9.6, 9.61, OLD),
        attempt("documented_a", 3, 10.1, 10.2, ok=False, error="refused"),
        attempt("documented_b", 1, 10.3, 11.2, NEW, timeline_=2), attempt("documented_a", 4, 11.4, 11.41, NEW, timeline_=2)]


def test_the_truth_is_the_first_change_of_writer_after_the_event():
    assert (TRUTH.old, TRUTH.old_stopped, TRUTH.new, TRUTH.new_writable) == (OLD, 10.0, NEW, 11.01)
    assert TRUTH.away == pytest.approx(1.01)
    assert truth_of(PROBED, 12.0) is None


def test_a_primary_that_comes_back_itself_is_the_new_writer():
    probed = PROBED[:2] + [probe(OLD, "writable", 12.0, 12.01, 11.99, 1)]
    truth = truth_of(probed, 9.5)
    assert (truth.old, truth.new, truth.new_writable) == (OLD, OLD, 12.01)
    # The write after the event was begun and before it had an effect is not the first good one.
    assert figures([*GOOD[:2], attempt("documented_a", 9, 12.1, 12.11, OLD)], probed=probed).first_good == pytest.approx(100)


def test_a_primary_that_is_cut_off_is_away_from_then_on():
    assert truth_of(PROBED, 9.5, cut=True).away == pytest.approx(11.01 - 9.5)


def test_the_first_good_write_counts_from_when_the_new_primary_took_writes():
    found = figures(GOOD)
    assert found.first_good == pytest.approx(190)
    assert found.slowest_b == pytest.approx(900)
    assert (found.failed_a, found.failed_b, found.errors_c, found.attempts_a) == (1, 0, 0, 3)
    assert (found.wrong, found.gone, found.disagreeing) == (0, 0, 0)


def test_a_write_that_the_old_primary_still_took_is_not_the_first_good_one():
    assert figures([*GOOD, attempt("documented_c", 1, 9.9, 11.05, OLD)]).first_good == pytest.approx(190)


def test_the_gap_is_that_of_new_connections():
    found = figures(GOOD)
    assert found.gap == pytest.approx((11.41 - 9.61) * 1000)
    assert found.gap_c == pytest.approx(4000)  # it never wrote, from half a second before the event to the end


def test_a_client_that_is_never_good_again_has_a_gap_up_to_the_end():
    assert longest_gap([1.0, 2.0], 0.5, 9.0) == pytest.approx(7000)
    assert figures(GOOD[:3]).first_good is None


def test_a_write_on_the_old_server_beside_the_new_one_is_wrong():
    found = figures([*GOOD, attempt("documented_c", 1, 11.5, 11.6, OLD)])
    assert (found.wrong_writes, found.wrong_connections) == (1, 1)


def test_a_connection_to_a_replica_is_wrong_by_the_client_and_by_the_log():
    asked = attempt("documented_a", 9, 10.3, 10.31, NEW, ok=False, recovery=True)
    assert figures([*GOOD, asked]).wrong_connections == 1
    # The server itself says that it is in recovery, whatever the probe had time to see.
    asked = attempt("documented_a", 9, 9.8, 9.81, OLD, ok=False, recovery=True)
    assert figures([*GOOD, asked]).wrong_connections == 1
    logged = {NEW: {"documented_a": [(10.3, False), (11.5, False)], "somebody": [(10.3, False)]}}
    assert figures(GOOD, logged=logged).wrong_logged == 1
    assert figures(GOOD, kind=LIBPQ, logged=logged).wrong_logged is None


def test_an_acknowledged_write_that_is_not_in_the_table_is_gone():
    rows = {"documented_a": {1: (OLD, 1), 4: (NEW, 2)}, "documented_b": {1: (OLD, 1)}}
    found = figures(GOOD, rows=rows)
    assert (found.gone, found.disagreeing) == (1, 1)


def test_events_are_named_with_how_often():
    assert parse_events("switchover:10,kill") == [("switchover", 10), ("kill", 1)]
    for wrong in ("nothing:1", "kill:0", "kill:x", ""):
        with pytest.raises(ValueError):
            parse_events(wrong)


def test_the_picture_has_a_lane_for_each_door_and_no_script():
    picture = timeline.draw("switchover", [DOCUMENTED, LIBPQ], GOOD, TRUTH, "a < b")
    root = xml.etree.ElementTree.fromstring(picture)
    tags = [element.tag.split("}")[1] for element in root.iter()]
    texts = [element.text for element in root.iter() if element.text]
    assert tags.count("rect") == 2 and "script" not in tags
    assert {DOCUMENTED.title, LIBPQ.title, "old stopped", "new writable", "a < b"} <= set(texts)
    paths = [element.attrib for element in root.iter() if element.tag.endswith("path")]
    assert [path["class"] for path in paths].count("f") == 1
    assert "prefers-color-scheme:dark" in picture
