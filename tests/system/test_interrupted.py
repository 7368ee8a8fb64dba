"""`once` by method file, interrupted at every system call by which it changes a file: killed before it, or told ENOSPC."""

import os
import subprocess

import pytest

MODE, OWNER, GROUP = 0o664, 65534, 64999
INTERRUPT = os.path.abspath(os.environ.get("POINTSMAN_INTERRUPT", f"{os.path.dirname(__file__)}/../../build/release/tests/interrupt"))
WRITERS = ("pg1", "pg2")


class World:
    """Two members that take turns as the writer, and the fragment of each."""

    def __init__(self, rig):
        self.rig = rig
        self.fragment = rig.haproxy.fragment
        self.state = f"{rig.pointsman.folder}/state"
        self.temporary = f"{rig.pointsman.folder}/tmp"
        os.mkdir(self.temporary)
        self.fragments = {}
        for name in reversed(WRITERS):
            self.finish(name)
            self.fragments[name] = self.read()
        os.chmod(self.fragment, MODE)
        os.chown(self.fragment, OWNER, GROUP)
        self.kept = self.names()

    def names(self):
        """What is in the folders that it writes in."""
        return [sorted(os.listdir(folder)) for folder in (os.path.dirname(self.fragment), self.state, self.temporary)]

    def read(self):
        with open(self.fragment) as file:
            return file.read()

    def once(self, *before):
        return subprocess.run([*before, *self.rig.pointsman.words("once")], cwd=self.rig.pointsman.folder,
                              env=dict(os.environ, TMPDIR=self.temporary), capture_output=True, text=True, timeout=30, check=False)

    def finish(self, writer):
        """One that nobody interrupts."""
        self.rig.cluster.switch(writer)
        done = self.once()
        assert done.returncode == 0, done.stdout + done.stderr
        assert "starting without it" not in done.stderr, done.stderr  # the state file was whole
        first = self.rig.haproxy.ask("show servers state pg_primary").splitlines()[2].split()[3]
        assert first == writer

    def interrupted(self, kind, at, writer):
        """The exit code, and the calls: fewer than `at` where it was not."""
        self.rig.cluster.switch(writer)
        file = f"{self.rig.pointsman.folder}/calls"
        done = self.once(INTERRUPT, kind, str(at), file)
        with open(file) as calls:
            return done.returncode, calls.read().splitlines()

    def check_fragment(self):
        """Old or new, as it was, and one that HAProxy takes."""
        assert self.read() in self.fragments.values()
        status = os.stat(self.fragment)
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (MODE, OWNER, GROUP)
        words = self.rig.haproxy.words()
        check = [words[0], "-c", *words[words.index("-f"):]]
        checked = subprocess.run(check, capture_output=True, text=True, timeout=10, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("kind", ["kill", "fail"])
def test_an_interrupted_once_leaves_a_whole_fragment_and_the_next_one_puts_all_right(make_rig, kind):
    world = World(make_rig("fragment", "file", run=False))
    at = 0
    while True:
        at += 1
        writer, other = WRITERS[at % 2], WRITERS[1 - at % 2]
        code, calls = world.interrupted(kind, at, writer)
        world.check_fragment()
        if len(calls) < at:
            break
        assert code == 128 + 9 if kind == "kill" else code in (0, 1), calls
        world.finish(writer)
        world.check_fragment()
        assert world.read() == world.fragments[writer], calls
        if kind == "fail" and world.names() != world.kept:
            # What it was told that it cannot remove is removed where the next one makes its own.
            world.finish(other)
            world.finish(writer)
        assert world.names() == world.kept, calls
    assert code == 0 and world.read() == world.fragments[writer]
    changed = " ".join(calls)
    assert at > 40 and all(name in changed for name in (".last-good", ".json", "pointsman-check.", world.fragment)), calls
