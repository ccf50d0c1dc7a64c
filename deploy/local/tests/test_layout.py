"""Ownership of a stack's folder: by one checkout, with containers or without, and not by a copy."""

import os
import pty
import shutil
import subprocess
import sys

import pytest

from quintet_local.layout import CHECKOUT, MARKER, Layout, default_layout
from quintet_local.progress import StackError
from quintet_local.stack import Stack


def layout(home, checkout):
    """Return the layout of a stack of a checkout, which is created."""
    checkout.mkdir(exist_ok=True)
    (checkout / "Makefile").touch()
    return Layout(home=home, env_file=home / ".env", checkout=checkout)


def test_stack_of_another_checkout_is_neither_used_nor_removed(folder):
    home = folder / "stack"
    layout(home, folder / "one").create_folders()
    other = layout(home, folder / "other")
    with pytest.raises(StackError, match="one"):
        other.create_folders()
    for command in (Stack(other).down, Stack(other).clean):
        with pytest.raises(StackError, match="one"):
            command()
    assert home.exists()


def test_stack_of_a_deleted_checkout_can_be_removed(folder):
    home = folder / "stack"
    layout(home, folder / "one").create_folders()
    shutil.rmtree(folder / "one")
    Stack(layout(home, folder / "other")).clean()
    assert not home.exists()


@pytest.mark.parametrize("stack_dir", [None, "stack"])
def test_command_of_a_program_uses_the_stack_of_the_program(folder, monkeypatch, stack_dir):
    monkeypatch.delenv("STACK_DIR", raising=False)
    if stack_dir:
        monkeypatch.setenv("STACK_DIR", str(folder / stack_dir))
    own_layout = default_layout()
    monkeypatch.delenv("STACK_DIR", raising=False)
    for name, value in own_layout.command_environment.items():
        monkeypatch.setenv(name, value)
    assert default_layout() == own_layout


def test_cleaning_a_copy_keeps_programs_of_the_original_running(folder):
    original = layout(folder / "original", folder / "one")
    original.create_folders()
    lock = ["flock", "--shared", "--no-fork", str(original.programs_lock)]
    with subprocess.Popen([*lock, "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE) as program:
        program.stdout.readline()
        shutil.copytree(original.home, folder / "copy")
        copy = layout(folder / "copy", folder / "one")
        Stack(copy).clean()
        assert not copy.home.exists()
        assert program.poll() is None
        program.kill()


def test_clean_keeps_env_while_a_stack_in_containers_needs_it(folder):
    own_layout = Layout(home=folder / ".local", env_file=folder / ".env")
    own_layout.create_folders()
    own_layout.env_file.write_text("COMPOSE_PROJECT_NAME=quintet-0\n")
    Stack(own_layout).clean()
    assert own_layout.env_file.exists() and not own_layout.home.exists()
    own_layout.env_file.write_text("ADMIN_USER=admin\n")
    Stack(own_layout).clean()
    assert not own_layout.env_file.exists()


def test_clean_keeps_files_of_a_stack_in_containers_in_a_shared_folder(folder):
    home = folder / "stack"
    own_layout = Layout(home=home, env_file=home / ".env")
    own_layout.create_folders()
    own_layout.env_file.write_text("COMPOSE_PROJECT_NAME=quintet-0\n")
    for name in (".secrets", ".users"):
        (home / name).mkdir()
        (home / name / "file").touch()
    assert not {home, home / ".env", home / ".secrets", home / ".users"} & {*Stack(own_layout).removable_paths()}
    assert home / MARKER in Stack(own_layout).removable_paths()
    Stack(own_layout).clean()
    assert {path.name for path in home.iterdir()} == {".env", ".secrets", ".users"}
    assert all((home / name / "file").exists() for name in (".secrets", ".users"))
    Stack(own_layout).clean()
    assert own_layout.env_file.exists()
    own_layout.create_folders()
    own_layout.env_file.write_text("ADMIN_USER=admin\n")
    Stack(own_layout).clean()
    assert not home.exists()


@pytest.mark.parametrize("reply, is_removed", [("\n", False), ("n\n", False), ("y\n", True)])
def test_clean_asks_for_confirmation_on_a_terminal(folder, reply, is_removed):
    home = folder / "stack"
    Layout(home=home, env_file=home / ".env").create_folders()
    keyboard, terminal = pty.openpty()
    os.write(keyboard, reply.encode())
    result = subprocess.run(
        [sys.executable, str(CHECKOUT / "deploy" / "local"), "clean"],
        env=os.environ | {"STACK_DIR": str(home), "YES": ""},
        stdin=terminal,
        capture_output=True,
        text=True,
        timeout=60,
    )
    os.close(keyboard)
    os.close(terminal)
    assert str(home) in result.stderr and "[y/N]" in result.stderr
    assert (result.returncode == 0) is is_removed
    assert home.exists() is not is_removed
