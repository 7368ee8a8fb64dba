#!/usr/bin/python3
"""Looks at each member itself, past HAProxy, every 10 ms: is it writable, a replica, or down?

A line of JSON for each change: the state, when the question that first showed it was asked and answered, and until when the one
before it was seen. It ends when its standard input does.
"""

import argparse
import json
import sys
import threading
import time

import psycopg2

# Writable is shown by a transaction that takes an id. CASE evaluates nothing of the other branch.
LOOK = """SELECT CASE WHEN pg_is_in_recovery() THEN NULL WHEN txid_current() > 0
  THEN ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END"""


class Probe:
    def __init__(self, address, every, note):
        self.address, self.every, self.note = address, every, note
        self.connection = None

    def look(self):
        """(state, timeline)"""
        try:
            if self.connection is None:
                self.connection = psycopg2.connect(host=self.address, port=5432, user="probe", dbname="app", connect_timeout=2,
                                                   sslmode="disable", application_name="pointsman-probe")
                self.connection.autocommit = True
            with self.connection.cursor() as cursor:
                cursor.execute(LOOK)
                timeline = cursor.fetchone()[0]
                return ("replica", None) if timeline is None else ("writable", timeline)
        except psycopg2.Error:
            if self.connection is not None:
                self.connection.close()
            self.connection = None
            return "down", None

    def run(self, ended):
        last = None
        seen = due = time.monotonic()
        while not ended.is_set():
            asked = time.monotonic()
            state, timeline = self.look()
            answered = time.monotonic()
            if (state, timeline) != last:
                self.note({"server": self.address, "state": state, "timeline": timeline, "asked": asked, "answered": answered,
                           "before_until": seen})
                last = (state, timeline)
            seen = asked if state == "down" else answered
            due = max(due + self.every, time.monotonic())
            ended.wait(max(0.0, due - time.monotonic()))
        self.note({"server": self.address, "state": "end", "timeline": None, "asked": seen, "answered": seen,
                   "before_until": seen})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=float, default=0.01)
    parser.add_argument("--out", required=True)
    parser.add_argument("addresses", nargs="+")
    options = parser.parse_args()
    lock = threading.Lock()
    out = open(options.out, "a", buffering=1)

    def note(record):
        with lock:
            out.write(json.dumps(record) + "\n")

    ended = threading.Event()
    threads = [threading.Thread(target=Probe(address, options.every, note).run, args=(ended,), daemon=True)
               for address in options.addresses]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join(3)


if __name__ == "__main__":
    main()
