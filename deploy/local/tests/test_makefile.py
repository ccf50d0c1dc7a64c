"""What the Makefile itself decides, before a program is called."""

import subprocess

import pytest

from quintet_local.layout import CHECKOUT


@pytest.mark.parametrize("command", ["up", "clean", "help"])
def test_an_unknown_way_to_run_names_the_valid_ones_and_makes_nothing(command):
    dry = subprocess.run(["make", "--dry-run", command, "STACK=foo"], cwd=CHECKOUT, capture_output=True, text=True)
    assert dry.returncode != 0
    assert 'STACK must be compose or local, not "foo"' in dry.stderr
    assert dry.stdout == ""


@pytest.mark.parametrize("stack", ["compose", "local"])
def test_a_known_way_to_run_calls_its_program(stack):
    dry = subprocess.run(
        ["make", "--dry-run", "url", f"STACK={stack}"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert f"deploy/{stack} url" in dry.stdout
