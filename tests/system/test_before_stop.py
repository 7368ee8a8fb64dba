"""The script that Patroni's `before_stop` hook runs: listeners of every kind, and the finished program."""

import http.server
import os
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

import pytest

from pointsman import HOOK
from processes import wait_until

NET = os.environ.get("POINTSMAN_NET", "127.0.0")
TOKEN = 's3cret "\\$(x) %s'


class Listener:
    """A pointsman that answers `held` after a while, and notes who was announced to it, and what commands ran meanwhile."""

    def __init__(self, takes=0.0):
        self.asked, self.commands = [], ""
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                if takes:
                    listener.commands = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
                path, _, query = self.requestline.split()[1].partition("?")  # self.path makes one slash of two
                listener.asked.append((path, dict(urllib.parse.parse_qsl(query)), self.headers["Authorization"]))
                time.sleep(takes)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"held\n")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((f"{NET}.82", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://{NET}.82:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def listen():
    """listen(takes=0.0): a Listener; all end with the test."""
    listeners = []

    def make(**keys):
        listeners.append(Listener(**keys))
        return listeners[-1]

    yield make
    for each in listeners:
        each.close()


@pytest.fixture
def silent():
    """The address of one that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind((f"{NET}.82", 0))
        listener.listen()
        yield f"http://{NET}.82:{listener.getsockname()[1]}"


@pytest.fixture
def token_file(tmp_path):
    def write(text):
        path = tmp_path / "token"
        path.write_text(text, encoding="utf-8", newline="")
        return str(path)

    return write


def run(*arguments, environment=None):
    """As Patroni calls it: with the words of the configuration and no others, waiting for it alone. `seconds`: how long it took."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        begin = time.monotonic()
        done = subprocess.run([HOOK, *arguments], stdout=out, stderr=errors, timeout=10, check=False,
                              env={**os.environ, **(environment or {})})
        done.seconds = time.monotonic() - begin
        out.seek(0), errors.seek(0)
        done.stdout, done.stderr = out.read(), errors.read()
    return done


def test_a_stop_is_announced_to_every_pointsman_side_by_side(listen):
    first, second = listen(takes=0.6), listen(takes=0.6)
    done = run("pg1", first.url, f"{second.url}/")
    assert done.returncode == 0 and done.seconds < 1.1
    assert sorted(done.stdout.splitlines()) == sorted([f"pointsman {first.url}: held", f"pointsman {second.url}/: held"])
    for each in (first, second):
        assert each.asked == [("/hold", {"member": "pg1"}, None)]


def test_one_that_hangs_takes_a_second_and_keeps_nobody_else_out(listen, silent):
    good = listen()
    done = run("pg1", silent, good.url)
    assert done.returncode == 0 and 0.9 < done.seconds < 1.8
    assert f"pointsman {good.url}: held" in done.stdout
    assert f"pointsman {silent}: curl: (28)" in done.stdout


def test_one_that_is_not_there_costs_nothing(listen):
    gone = listen()
    gone.close()
    done = run("pg1", gone.url)
    assert done.returncode == 0 and done.seconds < 0.9
    assert f"pointsman {gone.url}: curl: (7)" in done.stdout


def test_names_are_told_as_they_are(listen):
    there = listen()
    run("-s", "sales & more", "pg one/ü", there.url)
    assert there.asked == [("/hold", {"member": "pg one/ü", "scope": "sales & more"}, None)]


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["bare", "line", "crlf"])
def test_the_token_is_shown_to_the_pointsman_and_to_nobody_else(listen, token_file, end):
    there = listen(takes=0.1)
    done = run("-t", token_file(TOKEN + end), "pg1", there.url)
    assert there.asked == [("/hold", {"member": "pg1"}, f"Bearer {TOKEN}")]
    assert there.url in there.commands and "s3cret" not in there.commands + done.stdout + done.stderr


def test_a_token_that_cannot_be_read_is_named_and_stops_nothing(listen):
    there = listen()
    done = run("-t", "/nowhere/token", "pg1", there.url)
    assert done.returncode == 0 and "/nowhere/token" in done.stderr
    assert there.asked == [("/hold", {"member": "pg1"}, None)]


def test_what_the_user_has_set_for_curl_does_not_lead_it_elsewhere(listen, silent, tmp_path):
    there = listen()
    (tmp_path / ".curlrc").write_text("max-time = 9\nhead\n")
    assert f"{there.url}: held" in run("pg1", there.url, environment={"HOME": str(tmp_path), "http_proxy": silent}).stdout


@pytest.mark.parametrize("arguments", [[], ["pg1"], ["-x", "pg1", "http://127.0.0.1:1"]], ids=["nothing", "no-url", "unknown"])
def test_wrong_usage_is_said(arguments):
    done = run(*arguments)
    assert done.returncode == 64 and "usage:" in done.stderr


def test_the_program_holds_by_its_word(make_rig):
    rig = make_rig("hold", run=False)
    words = rig.pointsman.hook().format(name="pg1").split()[1:]
    rig.pointsman.start()
    rig.wait_steered()
    wait_until(lambda: rig.member_status("pg1")["name"] == "pg1", 5, "the names are known")
    done = run(*words)
    assert done.stdout.endswith(": held\n"), done.stdout + done.stderr
    assert rig.status_json()["clusters"][0]["hold"] == "stop"
    assert ": wrong token, or none" in run(*words[2:]).stdout
    assert ": pg2 is not the writer: nothing to hold" in run(*[word.replace("pg1", "pg2") for word in words]).stdout
