"""A real cluster on loopback: etcd, and three Patroni members with PostgreSQL."""

import http.client
import json
import os
import shutil
import signal
import time

import psycopg2
import yaml

from namespaces import Namespaces
from processes import HarnessError, kill9_in, let_go, new_folder, processes_in, refuse_leftovers, send, spawn, wait_until
from root import Root

AS_POSTGRES = ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
SCOPE = "main"
ROLES = ("writer", "reader", "probe", "app")  # PostgreSQL's log tells clients apart by them, also where they are refused

SCHEMA = """
CREATE TABLE writes (run text NOT NULL, n bigint NOT NULL, server text NOT NULL, timeline int NOT NULL, at timestamptz NOT NULL
  DEFAULT clock_timestamp(), PRIMARY KEY (run, n));
CREATE TABLE php_writes (id bigserial PRIMARY KEY, client text NOT NULL, server text NOT NULL);
"""


class Member:
    """One Patroni with its PostgreSQL, both on an address of their own."""

    def __init__(self, cluster, name, address):
        self.cluster, self.name, self.address = cluster, name, address
        self.folder = f"{cluster.folder}/{name}"
        self.data = f"{self.folder}/data"
        self.patroni = None

    @property
    def api_url(self):
        return f"http://{self.address}:8008"

    def configuration(self):
        cluster = self.cluster
        parameters = {
            "fsync": "off", "full_page_writes": "off", "wal_log_hints": "on", "wal_keep_size": "256MB",
            "max_connections": 300, "shared_buffers": "32MB", "unix_socket_directories": self.folder, "log_connections": "on",
            "log_line_prefix": "%n|%p|%u|", "log_destination": "stderr", "logging_collector": "on",
            "log_directory": self.folder, "log_filename": "postgresql.log", "log_rotation_size": 0, "log_rotation_age": 0,
            "log_file_mode": "0644", "dynamic_shared_memory_type": "mmap", "wal_retrieve_retry_interval": "500ms",
            "max_wal_size": "256MB", "checkpoint_completion_target": 0.1, **cluster.parameters,
        }
        trust = ["local all all trust"]
        for net in ("127.0.0.0/8", f"{cluster.net}.0/24"):
            trust += [f"host all all {net} trust", f"host replication all {net} trust"]
        hooks = {"before_stop": cluster.before_stop.format(name=self.name)} if cluster.before_stop else {}
        return {
            "scope": SCOPE, "name": self.name,
            "restapi": {"listen": f"{self.address}:8008", "connect_address": f"{self.address}:8008"},
            "etcd3": {"hosts": f"{cluster.etcd_address}:2379"},
            "bootstrap": {
                # A short turn until the cluster stands, so that it stands soon; then `settle` sets the real one.
                "dcs": {"ttl": cluster.ttl, "loop_wait": 1, "retry_timeout": cluster.retry_timeout,
                        "maximum_lag_on_failover": 1048576, "postgresql": {"use_pg_rewind": True, "use_slots": True}},
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "no-sync"],
            },
            "postgresql": {
                "listen": f"{self.address}:5432", "connect_address": f"{self.address}:5432", "data_dir": self.data,
                "bin_dir": cluster.patroni.postgresql_bin, "pgpass": f"{self.folder}/pgpass", "pg_hba": trust, "parameters": parameters,
                "authentication": {"superuser": {"username": "postgres"}, "replication": {"username": "replicator"},
                                   "rewind": {"username": "postgres"}},
                "basebackup": [{"checkpoint": "fast"}, "no-sync"],
                "remove_data_directory_on_rewind_failure": True, "remove_data_directory_on_diverged_timelines": True,
                **hooks,
            },
        }

    def start(self):
        if self.running():
            raise HarnessError(f"{self.name} is running already")
        if not os.path.isdir(self.folder):
            os.mkdir(self.folder, 0o755)
            shutil.chown(self.folder, "postgres", "postgres")
        with open(f"{self.folder}/patroni.yml", "w") as file:
            yaml.safe_dump(self.configuration(), file)
        root, namespaces = self.cluster.patroni, self.cluster.namespaces
        words = [*(namespaces.inside(self) if namespaces else []), *root.inside(), *AS_POSTGRES, "/usr/bin/patroni",
                 f"{self.folder}/patroni.yml"]
        environment = {"PATH": f"{root.postgresql_bin}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/var/lib/postgresql"}
        self.patroni = spawn(words, self.folder, f"{self.folder}/patroni.log", env=environment)

    def running(self):
        return self.patroni is not None and self.patroni.poll() is None

    def stop(self, timeout=30):
        """Stops Patroni as systemd does; it stops its PostgreSQL."""
        self.patroni.terminate()
        self.patroni.wait(timeout)
        wait_until(lambda: not processes_in(self.folder), timeout, f"the processes of {self.name} have ended")

    def kill9(self):
        """SIGKILL to Patroni and every PostgreSQL process of it."""
        send(processes_in(self.folder), signal.SIGSTOP)  # all at one moment: none sees another one die and reacts
        kill9_in(self.folder)
        self.patroni.wait()

    def kill9_postmaster(self):
        """SIGKILL to PostgreSQL's first process alone; its others end when they notice."""
        with open(f"{self.data}/postmaster.pid") as file:
            send([int(file.readline())], signal.SIGKILL)

    def freeze(self, patroni_only=False):
        send([self.patroni.pid] if patroni_only else processes_in(self.folder), signal.SIGSTOP)

    def thaw(self):
        send(processes_in(self.folder), signal.SIGCONT)

    def ask(self, path="/primary", method="GET", body=None, timeout=3.0):
        """(status, parsed body or text) of Patroni's REST API; (None, reason) when it does not answer."""
        connection = http.client.HTTPConnection(self.address, 8008, timeout=timeout)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return None, repr(error)
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def sql(self, query, parameters=(), database="postgres"):
        """Rows of a query sent to this member itself, past HAProxy, as superuser."""
        connection = psycopg2.connect(host=self.address, port=5432, user="postgres", dbname=database, connect_timeout=3,
                                      sslmode="disable", application_name="harness")
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(query, parameters or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def log(self):
        """PostgreSQL's log, whole."""
        try:
            with open(f"{self.folder}/postgresql.log", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""


class Cluster:
    """etcd and three members. A context manager: everything ends with it, and with this process, however it ends.

    namespaces: each member in a network namespace of its own, so that `cut` and `join` work; needs root. `roles` and `parameters` are
    PostgreSQL's, beside those that it has anyway. patroni: the Root that Patroni and PostgreSQL come from. `before_stop` is Patroni's
    hook of that name, with {name} for the member's; set it before they start.
    """

    def __init__(self, net=None, ttl=30, loop_wait=10, retry_timeout=10, namespaces=False, roles=(), parameters=None, patroni=Root()):
        self.net = net or os.environ.get("POINTSMAN_NET", "127.0.0")
        self.namespaces = Namespaces(self.net) if namespaces else None
        self.roles, self.parameters = (*ROLES, *roles), parameters or {}
        self.patroni, self.before_stop = patroni, ""
        if self.namespaces:
            self.net = self.namespaces.net
        self.ttl, self.loop_wait, self.retry_timeout = ttl, loop_wait, retry_timeout
        self.etcd_address = f"{self.net}.10"
        addresses = [f"{self.net}.{last}" for last in (11, 12, 13)]
        if not namespaces:
            refuse_leftovers([(self.etcd_address, 2379), (self.etcd_address, 2380)] +
                             [(address, port) for address in addresses for port in (5432, 8008)])
        self.folder, self.keeper = new_folder()
        self.members = {f"pg{i}": Member(self, f"pg{i}", address) for i, address in enumerate(addresses, 1)}
        self.etcd = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends everything and removes the folder, unless POINTSMAN_KEEP_FOLDER asks to keep a copy of it."""
        copy = os.environ.get("POINTSMAN_KEEP_FOLDER")
        if copy and os.path.isdir(self.folder):
            left_out = shutil.ignore_patterns("data", "etcd", "*.sock*", ".s.*", "notify")
            shutil.copytree(self.folder, copy, dirs_exist_ok=True, ignore=left_out)
        if self.keeper.stdin and not self.keeper.stdin.closed:
            self.keeper.stdin.close()
        self.keeper.wait()

    def leave_running(self):
        """The processes stay when this one ends; `processes.py clean FOLDER` ends them."""
        let_go(self.keeper)

    def start(self):
        if self.namespaces:
            self.namespaces.set_up(self.folder, self.members.values())
        self.start_etcd()
        first, *others = self.members.values()
        first.start()
        wait_until(lambda: is_primary(first), 40, "the first member is primary", every=0.1)
        for role in self.roles:
            first.sql(f"CREATE ROLE {role} LOGIN")
        first.sql("CREATE DATABASE app")
        first.sql(SCHEMA, database="app")
        first.sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC",
                  database="app")
        for member in others:
            member.start()
        self.wait_healthy(60)
        self.settle()

    def start_etcd(self):
        folder = f"{self.folder}/etcd"
        os.mkdir(folder)
        client, peer = f"http://{self.etcd_address}:2379", f"http://{self.etcd_address}:2380"
        self.etcd = spawn(["/usr/bin/etcd", "--name", "etcd", "--data-dir", f"{folder}/data", "--listen-client-urls", client,
                           "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                           "--initial-cluster", f"etcd={peer}", "--log-level", "warn"], folder, f"{folder}/etcd.log")
        wait_until(self.etcd_healthy, 20, "etcd answers")

    def etcd_healthy(self):
        connection = http.client.HTTPConnection(self.etcd_address, 2379, timeout=1)
        try:
            connection.request("GET", "/health")
            return b"true" in connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def settle(self):
        """Sets the timings that the run asked for."""
        timings = {"ttl": self.ttl, "loop_wait": self.loop_wait, "retry_timeout": self.retry_timeout}
        status, body = self.leader().ask("/config", "PATCH", timings)
        if status != 200:
            raise HarnessError(f"PATCH /config: {status} {body}")
        self.timings_from = time.monotonic()

    def leader(self):
        """The member that holds the lock and whose PostgreSQL runs as primary; None when there is none."""
        found = [member for member in self.members.values() if member.running() and is_primary(member)]
        return found[0] if len(found) == 1 else None

    def replicas(self):
        leader = self.leader()
        return [member for member in self.members.values() if member is not leader]

    def healthy(self):
        """The leader when all three run, the two others streaming from it; else None."""
        leader = self.leader()
        if leader is None:
            return None
        _, body = leader.ask()
        if not isinstance(body, dict):
            return None
        streaming = {row["application_name"] for row in body.get("replication", []) if row["state"] == "streaming"}
        for member in self.members.values():
            if member is not leader:
                status, own = member.ask("/replica")
                if status != 200 or member.name not in streaming or own.get("timeline") not in (None, body["timeline"]):
                    return None
        return leader

    def wait_healthy(self, timeout=60):
        try:
            return wait_until(self.healthy, timeout, "one primary, two streaming replicas", every=0.1)
        except HarnessError as error:
            raise HarnessError(f"{error}; {'; '.join(self.described(member) for member in self.members.values())}") from None

    @staticmethod
    def described(member):
        status, body = member.ask()
        if not isinstance(body, dict):
            return f"{member.name} {status} {body}"
        return f"{member.name} {status} {body.get('role')} {body.get('state')} timeline {body.get('timeline')}"

    def switchover(self, to=None, timeout=40):
        """A planned switchover through Patroni's API; returns the new leader when Patroni says it is done."""
        leader = wait_until(self.leader, 10, "there is a leader")
        to = to or next(member for member in self.members.values() if member is not leader)
        status, body = leader.ask("/switchover", "POST", {"leader": leader.name, "candidate": to.name}, timeout=timeout)
        if status != 200:
            raise HarnessError(f"switchover from {leader.name} to {to.name}: {status} {body}")
        return wait_until(lambda: to if is_primary(to) else None, timeout, f"{to.name} is primary")

    def cut(self, member):
        """Cuts a member off from the others, etcd, every HAProxy and every client."""
        self.namespaces.cut(member)

    def join(self, member):
        """Ends what `cut` did."""
        self.namespaces.join(member)

    def revive(self, timeout=90):
        """Brings every member back, whatever a test did to it, and waits until the cluster is healthy."""
        for member in self.members.values():
            if self.namespaces:
                self.join(member)
            member.thaw()
            if not member.running():
                member.start()
        return self.wait_healthy(timeout)


def is_primary(member):
    status, body = member.ask()
    return status == 200 and isinstance(body, dict) and body.get("role") in ("master", "primary") and body["state"] == "running"
