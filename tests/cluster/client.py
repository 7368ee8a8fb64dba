#!/usr/bin/python3
"""A client as an application would be: a new connection every so often, each attempt noted as a line of JSON.

Attempts run side by side, so that one that blocks does not hold back the next. It ends when its standard input does, after the
attempts in flight have ended.
"""

import argparse
import json
import sys
import threading
import time

import psycopg2
import psycopg2.extensions

WHERE = "SELECT host(inet_server_addr()), pg_is_in_recovery()"
INSERT = """INSERT INTO writes (run, n, server, timeline)
  VALUES (%s, %s, host(inet_server_addr()), ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int)
  RETURNING timeline"""


class Client:
    def __init__(self, options):
        self.options = options
        self.out = open(options.out, "a", buffering=1)
        self.lock = threading.Lock()

    def note(self, record):
        with self.lock:
            self.out.write(json.dumps(record) + "\n")

    def attempt(self, number):
        """One connection: where did it lead, and (writer) was the row committed? `phase` tells how far it came."""
        options = self.options
        record = {"n": number, "start": time.monotonic(), "ok": False, "phase": "connect"}
        connection = None
        try:
            connection = psycopg2.connect(host=options.host, port=options.port, user=options.kind, dbname="app",
                                          connect_timeout=options.patience, sslmode="disable", application_name=f"pointsman-{options.kind}")
            record["connected"] = time.monotonic()
            record["phase"] = "look"
            with connection.cursor() as cursor:
                cursor.execute(WHERE)
                record["server"], record["recovery"] = cursor.fetchone()
                if options.kind == "writer" and not record["recovery"]:
                    record["phase"] = "insert"
                    cursor.execute(INSERT, (options.run, number))
                    record["timeline"] = cursor.fetchone()[0]
                record["phase"] = "commit"
                connection.commit()
            record["ok"] = options.kind == "reader" or not record["recovery"]
            record["phase"] = "done"
        except psycopg2.Error as error:
            record["error"] = " ".join(str(error).split())[:200]
        finally:
            if connection is not None:
                connection.close()
        record["end"] = time.monotonic()
        self.note(record)

    def run(self):
        ended = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
        threads = []
        due = time.monotonic()
        number = 0
        while not ended.is_set():
            number += 1
            threads = [thread for thread in threads if thread.is_alive()]
            if len(threads) < self.options.most:
                thread = threading.Thread(target=self.attempt, args=(number,), daemon=True)
                thread.start()
                threads.append(thread)
            else:
                self.note({"n": number, "start": time.monotonic(), "end": time.monotonic(), "ok": False, "phase": "none",
                           "error": f"{self.options.most} attempts in flight already"})
            due = max(due + self.options.every, time.monotonic() - 5 * self.options.every)
            ended.wait(max(0.0, due - time.monotonic()))
        end = time.monotonic() + 5
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        self.note({"done": True, "hanging": sum(thread.is_alive() for thread in threads)})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", choices=("writer", "reader"), required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--every", type=float, default=0.02)
    parser.add_argument("--patience", type=int, default=2, help="its connect_timeout, in seconds")
    parser.add_argument("--most", type=int, default=250)
    parser.add_argument("--run", default="run")
    parser.add_argument("--out", required=True)
    Client(parser.parse_args()).run()


if __name__ == "__main__":
    main()
