"""Decisions of the Makefile itself, before it calls a program, and the width of its help."""

import os
import subprocess

import pytest

from quintet_local.layout import CHECKOUT, Layout

MAX_HELP_COLUMNS = 120


@pytest.fixture
def docker_engine(tmp_path, monkeypatch):
    """Put a `docker` program on the PATH that responds as if an engine were running."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


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


@pytest.mark.usefixtures("docker_engine")
def test_new_folder_uses_containers_if_an_engine_responds(folder):
    assert "deploy/compose clean" in dry_run("clean", f"STACK_DIR={folder}").stdout


@pytest.mark.usefixtures("docker_engine")
def test_stopped_stack_without_containers_is_used_although_an_engine_responds(folder):
    layout = Layout(home=folder, env_file=folder / ".env")
    layout.create_folders()
    assert "deploy/local clean" in dry_run("clean", f"STACK_DIR={folder}").stdout
    layout.env_file.write_text("ADMIN_USER=admin\n")
    assert "deploy/local clean" in dry_run("clean", f"STACK_DIR={folder}").stdout


@pytest.mark.usefixtures("docker_engine")
def test_stack_in_containers_is_used_unless_the_one_without_containers_is_running(folder):
    layout = Layout(home=folder, env_file=folder / ".env")
    layout.create_folders()
    layout.env_file.write_text("COMPOSE_PROJECT_NAME='quintet-0'\n")
    assert "deploy/compose clean" in dry_run("clean", f"STACK_DIR={folder}").stdout
    (folder / "supervisord.pid").touch()
    assert "deploy/local clean" in dry_run("clean", f"STACK_DIR={folder}").stdout


def test_folder_of_a_backup_may_contain_spaces():
    assert 'backup "my backups/monday"' in dry_run("backup", "TO=my backups/monday", "STACK=local").stdout
    assert 'restore "my backups/monday"' in dry_run("restore", "FROM=my backups/monday", "STACK=local").stdout
    assert dry_run("backup", "STACK=local").stdout.splitlines()[-1].endswith("deploy/local backup ")


def test_each_line_of_help_fits_120_columns_and_describes_its_target():
    lines = run_make("--silent", "help").stdout.splitlines()
    assert len(lines) > 20
    assert [line for line in lines if len(line) > MAX_HELP_COLUMNS or len(line.split()) < 4] == []


def dry_run(*arguments):
    return run_make("--dry-run", *arguments)


def run_make(*arguments):
    # Without these, a nested make (as in CI) would print the folder that it enters, or use the stack of the outer one.
    make_variables = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "STACK", "STACK_DIR"}
    environment = {name: value for name, value in os.environ.items() if name not in make_variables}
    return subprocess.run(["make", *arguments], cwd=CHECKOUT, env=environment, capture_output=True, text=True)
