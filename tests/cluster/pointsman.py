"""The program under test: its configuration for one HAProxy, and its commands."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid

import yaml

from processes import HarnessError, spawn, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
HOOK = os.path.abspath(f"{HERE}/../../packaging/patroni_before_stop.sh")


def binary():
    return os.path.abspath(os.environ.get("POINTSMAN", f"{HERE}/../../build/release/pointsman"))


class Pointsman:
    """method: runtime or file. `write_through`: the fragment with the runtime method. `cluster_keys` go into its cluster, other
    keywords into `haproxy:`."""

    def __init__(self, cluster, haproxy, method="runtime", write_through=False, name="pointsman", port=8010, cluster_keys=None,
                 **haproxy_keys):
        self.cluster, self.haproxy, self.method = cluster, haproxy, method
        self.folder = f"{cluster.folder}/{name}-{haproxy.kind}-{method}"
        os.makedirs(f"{self.folder}/state", exist_ok=True)
        self.file = f"{self.folder}/pointsman.yml"
        self.http_address = (f"{cluster.net}.1", port)
        self.process = None
        self.runs = 0
        keys = {"method": method, "socket": haproxy.socket, "master_socket": haproxy.master_socket, **haproxy_keys}
        if method == "file" or write_through:
            keys["fragment"] = haproxy.fragment
            keys["template"] = os.path.abspath(f"{HERE}/../../templates/pg_backends.cfg.mustache")
        self.settings = {
            "clusters": [{
                "scope": "main", "members": [member.api_url for member in cluster.members.values()],
                "backends": [{"name": "pg_primary", "serves": "primary"},
                             {"name": "pg_replicas", "serves": "replica", "max_lag": "16MB", "fallback": "primary"}],
                **(cluster_keys or {}),
            }],
            "haproxy": keys,
            "http": {"listen": f"{self.http_address[0]}:{port}"},
            "state": f"{self.folder}/state",
        }
        self.write_settings()

    def write_settings(self):
        with open(self.file, "w") as file:
            yaml.safe_dump(self.settings, file)

    def hook(self):
        """For Cluster.before_stop: tells this one of the member's stop. From its next start on it asks for a token.

        A copy of the script: Patroni's user cannot read what stands in root's home."""
        script = shutil.copy(HOOK, self.folder)
        token = f"{self.folder}/token"
        with open(token, "w") as file:
            file.write(f"{uuid.uuid4()}\n")
        self.settings["http"]["token_file"] = token
        self.write_settings()
        return f"{script} -t {token} {{name}} http://{self.http_address[0]}:{self.http_address[1]}"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def words(self, command, *arguments):
        return [binary(), command, "--config", self.file, *arguments]

    def start(self, timeout=15):
        """Starts `run` and waits until it tells systemd that it is ready."""
        path = f"{self.folder}/notify"
        if os.path.exists(path):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.setblocking(False)
            self.process = spawn(self.words("run"), self.folder, f"{self.folder}/log", env={"NOTIFY_SOCKET": path})
            self.runs += 1

            def ready():
                if self.process.poll() is not None:
                    raise HarnessError(f"pointsman run ended with {self.process.returncode}:\n{self.log()[-3000:]}")
                try:
                    return "READY=1" in notify.recv(4096).decode().split("\n")
                except BlockingIOError:
                    return False

            wait_until(ready, timeout, "pointsman is ready", every=0.005)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, timeout=10):
        """SIGTERM; the exit code."""
        if self.process is None:
            return None
        if self.running():
            self.process.terminate()
        code = self.process.wait(timeout)
        self.process = None
        return code

    def kill9(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def command(self, command, *arguments, timeout=30):
        """Runs another command to its end: CompletedProcess, with `seconds` (wall) added."""
        begin = time.monotonic()
        done = subprocess.run(self.words(command, *arguments), cwd=self.folder, capture_output=True, text=True, timeout=timeout,
                              check=False)
        done.seconds = time.monotonic() - begin
        return done

    def launch(self, command, *arguments):
        """Starts another command and does not wait for it."""
        return spawn(self.words(command, *arguments), self.folder, f"{self.folder}/log")

    def get(self, path):
        """(status, body) of its own HTTP listener; (None, reason) when it does not answer."""
        connection = http.client.HTTPConnection(*self.http_address, timeout=2)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return None, repr(error)
        finally:
            connection.close()

    def status(self):
        done = self.command("status", "--json")
        if done.returncode != 0:
            raise HarnessError(f"pointsman status: {done.returncode} {done.stderr}")
        return json.loads(done.stdout)

    def cpu_seconds(self):
        """Used so far by `run` and all its threads: the kernel's own clock of that process."""
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def log(self):
        try:
            with open(f"{self.folder}/log", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""
