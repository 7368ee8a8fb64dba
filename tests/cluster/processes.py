#!/usr/bin/python3
"""Processes of one test run: started in a folder, found by it, and ended with it.

Every process of a run has its working directory inside the run's folder (PostgreSQL's postmaster goes to its data directory by
itself), so that the folder alone names them, however they were forked or re-parented. A keeper, a process of its own, waits for
the harness to go away, by whatever end, and then ends what is left and removes the folder.
"""

import ctypes
import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PREFIX = "pointsman-cluster-"
NETWORK_FILE = "network"  # in the run's folder: a line for each link and namespace that it made


class HarnessError(Exception):
    """The harness itself could not do what was asked."""


def wait_until(condition, timeout, what, every=0.02):
    """Returns the first true value of condition(); a HarnessError names `what` after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise HarnessError(f"after {timeout} s still not true: {what}")
        time.sleep(every)


def processes_in(folder):
    """The ids of all processes whose working directory is `folder` or below it.

    Where this runs in a chroot, the directory of a process in another mount namespace is seen with the chroot's own path before it.
    """
    folder = os.path.realpath(folder)
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            where = os.readlink(f"/proc/{entry}/cwd").removesuffix(" (deleted)")
            with open(f"/proc/{entry}/stat") as stat:
                dead = stat.read().rsplit(")", 1)[1].split()[0] in "ZX"
        except OSError:
            continue
        if not dead and f"{folder}/" in f"{where}/":
            found.append(int(entry))
    return found


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def kill9_in(folder):
    """SIGKILL to everything in `folder` until nothing is left there. Returns how many were killed at first."""
    first = processes_in(folder)

    def gone():
        left = processes_in(folder)
        send(left, signal.SIGKILL)
        return not left

    wait_until(gone, 10, f"SIGKILL ends the processes in {folder}", every=0.005)
    return len(first)


def spawn(words, folder, log, env=None, stdin=subprocess.DEVNULL, stdout=None):
    """Starts a process in `folder`, with `env` added to the harness's environment; it writes into the file `log`."""
    environment = dict(os.environ)
    environment.pop("NOTIFY_SOCKET", None)
    environment.update(env or {})
    with open(log, "ab") as output:
        return subprocess.Popen(words, cwd=folder, stdin=stdin, stdout=stdout or output, stderr=output, env=environment,
                                start_new_session=True)


def new_folder():
    """A folder for one run, watched by a keeper. Returns (path, keeper)."""
    folder = tempfile.mkdtemp(prefix=PREFIX, dir="/tmp")
    os.chmod(folder, 0o755)
    keeper = subprocess.Popen(["/usr/bin/python3", os.path.abspath(__file__), "keep", folder], stdin=subprocess.PIPE, cwd="/",
                              start_new_session=True)
    return folder, keeper


def let_go(keeper):
    """Tells the keeper that the run shall outlive the harness."""
    keeper.stdin.write(b"leave")
    keeper.stdin.close()
    keeper.wait()


def end_everything(folder):
    """Ends all processes of a run and removes it; PostgreSQL by an immediate shutdown, as it then gives back its memory."""
    postmasters = []
    for pidfile in glob.glob(f"{folder}/*/data/postmaster.pid"):
        try:
            with open(pidfile) as file:
                postmasters.append(int(file.readline()))
        except (OSError, ValueError):
            pass
    here = processes_in(folder)
    postmasters = [pid for pid in postmasters if pid in here]
    send(here, signal.SIGCONT)
    send([pid for pid in here if "postgres" not in name_of(pid)], signal.SIGKILL)
    send(postmasters, signal.SIGQUIT)
    try:
        wait_until(lambda: not set(postmasters) & set(processes_in(folder)), 5, "PostgreSQL has ended")
    except HarnessError:
        pass
    kill9_in(folder)
    for pidfile in glob.glob(f"{folder}/*/data/postmaster.pid"):
        remove_shared_memory(pidfile)
    remove_network(f"{folder}/{NETWORK_FILE}")
    shutil.rmtree(folder, ignore_errors=True)
    for lock in glob.glob(f"/run/pointsman/*{os.path.basename(folder)}*"):
        os.unlink(lock)


def remove_shared_memory(pidfile):
    """A postmaster killed by SIGKILL leaves its System V segment behind; its id is on line 7 of postmaster.pid."""
    try:
        with open(pidfile) as file:
            segment = int(file.read().splitlines()[6].split()[1])
        ctypes.CDLL(None, use_errno=True).shmctl(segment, 0, None)  # 0: IPC_RMID
    except (OSError, ValueError, IndexError):
        pass


def remove_network(path):
    try:
        with open(path) as file:
            made = [line.split() for line in file]
    except FileNotFoundError:
        return
    for kind, name in made:
        subprocess.run(["/usr/sbin/ip", kind, "del", name], stderr=subprocess.DEVNULL, check=False)


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip() or name_of(pid)
    except OSError:
        return "?"


def listener_of(address, port):
    """The process that listens on address:port, as a text; empty when it cannot be told."""
    wanted = "%08X:%04X" % (int.from_bytes(socket.inet_aton(address), "little"), port)
    inodes = set()
    with open("/proc/net/tcp") as table:
        for line in list(table)[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[1] in (wanted, "00000000:" + wanted[9:]):
                inodes.add(f"socket:[{fields[9]}]")
    for fd in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            if os.readlink(fd) in inodes:
                pid = int(fd.split("/")[2])
                return f"process {pid} ({command_of(pid)[:60]}, started in {os.readlink(f'/proc/{pid}/cwd')})"
        except OSError:
            continue
    return ""


def refuse_leftovers(addresses):
    """A HarnessError when one of the (address, port) is in use, with who uses it and how to end an earlier run that crashed."""
    for address, port in addresses:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
                probe.listen(1)
            except OSError as error:
                who = listener_of(address, port) or "an unknown process"
                raise HarnessError(f"{address}:{port} is in use by {who}: {error.strerror}. Left over from an earlier run? "
                                   f"`{os.path.abspath(__file__)} clean` ends such runs. "
                                   "Or move this one: POINTSMAN_NET=127.0.7") from None


def abandoned():
    """Folders of runs whose keeper is gone."""
    kept = {command_of(int(pid)).split()[-1] for pid in os.listdir("/proc")
            if pid.isdigit() and "processes.py keep" in command_of(int(pid))}
    return [folder for folder in sorted(glob.glob(f"/tmp/{PREFIX}*")) if folder not in kept]


def keep(folder):
    """The keeper: waits for the end of its standard input, then for "leave" leaves everything, else ends it."""
    if sys.stdin.buffer.read() != b"leave":
        end_everything(folder)


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "keep":
        keep(sys.argv[2])
    elif len(sys.argv) == 3 and sys.argv[1] == "clean":
        end_everything(sys.argv[2])
    elif sys.argv[1:] == ["clean"]:
        for folder in abandoned():
            print(f"ending {folder} ({len(processes_in(folder))} processes)")
            end_everything(folder)
    else:
        sys.exit("usage: processes.py clean [FOLDER]")


if __name__ == "__main__":
    main()
