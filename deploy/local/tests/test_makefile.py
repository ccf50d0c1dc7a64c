"""Decisions of the Makefile itself, before it calls a program."""

import os
import subprocess

import pytest

from quintet_local.layout import CHECKOUT


@pytest.mark.parametrize("command", ["up", "clean", "help"])
def test_unknown_stack_is_rejected_with_valid_values_and_runs_nothing(command):
    result = dry_run(command, "STACK=foo")
    assert result.returncode != 0
    assert 'STACK must be compose or local, not "foo"' in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("stack", ["compose", "local"])
def test_valid_stack_calls_its_program(stack):
    result = dry_run("url", f"STACK={stack}")
    assert result.returncode == 0
    assert f"deploy/{stack} url" in result.stdout


def dry_run(*arguments):
    # Without these, a nested make (as in CI) would print the folder that it enters.
    make_variables = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}
    environment = {name: value for name, value in os.environ.items() if name not in make_variables}
    command = ["make", "--dry-run", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True)
