"""What `hold` and `show hold` answer, so that a program can rely on it."""

import pytest

USAGE = "usage: hold BACKEND MILLISECONDS (0 to 60000)\n\n"
HEADER = "# backend waiting left_ms held_total expired_total longest_ms\n"


@pytest.mark.parametrize("command, reply", [
    ("hold pg 1", "held pg 1\n\n"), ("hold pg 60000", "held pg 60000\n\n"), ("hold pg 0", "held pg 0\n\n"),
    ("hold nosuch 1000", "no such backend: nosuch\n\n"), ("hold door 1000", "no such backend: door\n\n"),
    ("hold pg 60001", USAGE), ("hold pg -1", USAGE), ("hold pg 1.5", USAGE), ("hold pg 1e3", USAGE),
    ("hold pg 99999999999999999999", USAGE),
    ("hold pg 1000 1000", USAGE), ("hold pg abc", USAGE), ("hold pg", USAGE), ("hold", USAGE)])
def test_the_first_word_of_the_reply_tells_whether_it_was_done(shared_rig, command, reply):
    assert shared_rig.ask(command) == reply
    assert shared_rig.ask("set severity-output number; " + command) == "\n" + reply
    assert shared_rig.ask("@1 " + command + "; quit", f"{shared_rig.folder}/master.sock") == reply
    shared_rig.ask("hold pg 0")


def test_a_batch_answers_in_order_and_any_level_may(shared_rig):
    reply = shared_rig.ask("hold pg 500; show hold; hold pg 0", f"{shared_rig.folder}/user.sock")
    held, shown, ended, rest = reply.split("\n\n")
    assert (held, ended, rest) == ("held pg 500", "held pg 0", "")
    assert shown.startswith(HEADER + "pg 0 ")


def test_the_commands_are_in_the_help_and_their_words_belong_to_nobody_else(shared_rig):
    ours = [line.strip() for line in shared_rig.ask("help").splitlines() if "hold" in line.split(":")[0].lower().split()]
    assert [line.split(":")[0].strip() for line in ours] == ["hold BACKEND MILLISECONDS", "show hold"]
