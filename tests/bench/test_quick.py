"""The benchmark as its user starts it: it runs, says all it should, and no door of pointsman leads to a wrong server."""

import json
import os
import re
import subprocess
import xml.etree.ElementTree

import pytest

from doors import KINDS

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    words = ["/usr/bin/python3", "-B", f"{HERE}/failover.py", "--quick", "--json", f"{folder}/json", "--svg", f"{folder}/svg"]
    result = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    print(result.stdout, result.stderr)
    assert result.returncode == 0, result.stderr
    with open(f"{folder}/json") as file:
        result.json = json.load(file)
    result.picture = xml.etree.ElementTree.parse(f"{folder}/svg")
    return result


def test_every_door_stands_in_every_table(done):
    tables = re.findall(r"^(\w+) x 1: ", done.stdout, re.M)
    assert tables == ["switchover", "kill"]
    for kind in KINDS:
        there = len(re.findall(rf"^{re.escape(kind.title)} +\d", done.stdout, re.M))
        assert there == (0 if kind.title in done.json["left_out"] else 2)


def test_the_doors_of_pointsman_lead_to_no_wrong_server(done):
    doors = {kind.name for kind in KINDS if kind.is_pointsman and kind.title not in done.json["left_out"]}
    assert {"runtime", "file"} <= doors
    for event in done.json["events"]:
        for name in doors:
            figures = event["doors"][name]
            assert figures["attempts_a"] > 10 and figures["attempts_b"] > 5 and figures["attempts_c"] > 50
            assert figures["first_good"] is not None and not figures["not_calm"]
            assert (figures["wrong_writes"], figures["wrong_connections"], figures["wrong_logged"]) == (0, 0, 0)
            assert figures["disagreeing"] == 0


def test_it_says_on_what_it_ran_and_what_it_cost(done):
    for word in ("HAProxy version", "patroni", "PostgreSQL", "etcd", "pointsman", "ttl 20", "cores", "of one core", "busy"):
        assert word in done.stdout, word
    for event, cost in zip(("switchover", "kill"), done.json["costs"]):
        assert cost["event"] == event and cost["turns"] > 500 and cost["not_started"] == 0


def test_the_picture_shows_the_doors(done):
    texts = [element.text for element in done.picture.getroot().iter()]
    assert {kind.title for kind in KINDS if kind.title not in done.json["left_out"]} <= set(texts)


@pytest.mark.parametrize("arguments, says", [
    (["--events", "earthquake:1"], "there is no event 'earthquake'"), (["--doors", "barn"], "there is no door barn"),
    (["--every", "1,2,3"], "three numbers from 5 to 1000"),
])
def test_wrong_usage_is_named(arguments, says):
    result = subprocess.run([f"{HERE}/failover.py", *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 2 and says in result.stderr
