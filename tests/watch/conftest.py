"""Fixtures: a folder whose processes end with the test, an etcd in it, and a program that prints what its watch tells."""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))

import pytest  # noqa: E402

from etcd import Etcd, Printer  # noqa: E402
from processes import end_everything, new_folder, wait_until  # noqa: E402
from measured import measured, pytest_terminal_summary  # noqa: E402, F401

@pytest.fixture
def folder():
    path, keeper = new_folder()
    yield path
    keeper.stdin.close()
    keeper.wait()
    end_everything(path)
    wait_until(lambda: not os.path.exists(path), 10, f"{path} is gone")


@pytest.fixture
def etcd(folder):
    started = Etcd(folder)
    started.start()
    return started


@pytest.fixture
def make_printer(folder):
    """make_printer(watch, check=10_000, answer=5_000): prints what a `watch` of these words tells."""
    return lambda watch, **pace: Printer(folder, watch, **pace)
