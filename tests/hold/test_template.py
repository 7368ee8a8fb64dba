"""The example haproxy.cfg and the fragment's template load hold.lua and hold by it."""

import os
import re
import subprocess

import pytest

from rig import HERE, LUA, words_for

TEMPLATES = os.path.abspath(f"{HERE}/../../templates")
BACKEND = """backend {name}
    mode tcp
{rules}    server pg1 10.0.0.11:5432
"""


def read(name):
    with open(f"{TEMPLATES}/{name}") as file:
        return file.read()


def conditional_rules():
    """The template's lines that hold."""
    return re.search(r"^\.if defined\(POINTSMAN_HOLD\)\n.*?^\.endif\n", read("pg_backends.cfg.mustache"), re.M | re.S).group()


def check(version, tmp_path, main, fragment):
    (tmp_path / "haproxy.cfg").write_text(main.replace("/usr/share/pointsman/hold.lua", LUA))
    (tmp_path / "pg_backends.cfg").write_text(fragment)
    words = ["-c", "-dW", "-f", str(tmp_path / "haproxy.cfg"), "-f", str(tmp_path / "pg_backends.cfg")]
    run = subprocess.run(words_for(version) + words, capture_output=True, text=True)
    return run.returncode, run.stdout + run.stderr


@pytest.mark.parametrize("holds", [True, False])
def test_the_template_holds_where_the_example_loads_hold_lua_and_is_taken_where_it_does_not(version, tmp_path, holds):
    main = read("haproxy.cfg")
    if not holds:
        main = re.sub(r"^ *(setenv POINTSMAN_HOLD|lua-load) .*\n", "", main, flags=re.M)
    rules = conditional_rules()
    assert "tcp-request content lua.hold" in rules
    fragment = "".join(BACKEND.format(name=name, rules=rules) for name in ("pg_primary", "pg_replicas"))
    code, text = check(version, tmp_path, main, fragment)
    assert code == 0, text
    broken = fragment.replace("lua.hold", "lua.no_such_action")
    assert check(version, tmp_path, main, broken)[0] == (1 if holds else 0)


def test_the_backend_in_the_examples_comments_is_taken(version, tmp_path):
    main = read("haproxy.cfg")
    commented = re.search(r"^#   backend pg_primary\n#       tcp-request.*?(?=^#$)", main, re.M | re.S).group()
    fragment = re.sub(r"^#   ", "", commented, flags=re.M) + BACKEND.format(name="pg_replicas", rules="")
    code, text = check(version, tmp_path, main, fragment)
    assert code == 0, text
