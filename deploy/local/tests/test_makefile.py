"""What the Makefile itself decides, before a program is called."""

import os
import subprocess

import pytest

from quintet_local.layout import CHECKOUT


@pytest.mark.parametrize("command", ["up", "clean", "help"])
def test_an_unknown_way_to_run_names_the_valid_ones_and_makes_nothing(command):
    dry = dry_run(command, "STACK=foo")
    assert dry.returncode != 0
    assert 'STACK must be compose or local, not "foo"' in dry.stderr
    assert dry.stdout == ""


@pytest.mark.parametrize("stack", ["compose", "local"])
def test_a_known_way_to_run_calls_its_program(stack):
    dry = dry_run("url", f"STACK={stack}")
    assert dry.returncode == 0
    assert f"deploy/{stack} url" in dry.stdout


def dry_run(*words):
    # Called from another make, as by `make test` of a CI that runs make itself, it would say that it enters a folder.
    outer = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    command = ["make", "--dry-run", *words]
    return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True)
