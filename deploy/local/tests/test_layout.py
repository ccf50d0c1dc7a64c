"""The folder of a stack without containers belongs to one checkout, and a copy of it is not the original."""

import os
import pty
import shutil
import subprocess
import sys

import pytest

from quintet_local.layout import CHECKOUT, MARKER, Layout
from quintet_local.progress import StackError
from quintet_local.stack import Stack


def layout(home, checkout):
    checkout.mkdir(exist_ok=True)
    (checkout / "Makefile").touch()
    return Layout(home=home, env_file=home / ".env", checkout=checkout)


def test_the_stack_of_another_checkout_is_neither_used_nor_removed(folder):
    home = folder / "stack"
    layout(home, folder / "one").make()
    other = layout(home, folder / "other")
    with pytest.raises(StackError, match="one"):
        other.make()
    for command in (Stack(other).down, Stack(other).clean):
        with pytest.raises(StackError, match="one"):
            command()
    assert home.exists()


def test_the_stack_of_a_checkout_that_is_gone_can_be_removed(folder):
    home = folder / "stack"
    layout(home, folder / "one").make()
    shutil.rmtree(folder / "one")
    Stack(layout(home, folder / "other")).clean()
    assert not home.exists()


def test_cleaning_a_copy_ends_no_program_of_the_original(folder):
    original = layout(folder / "original", folder / "one")
    original.make()
    lock = ["flock", "--shared", "--no-fork", str(original.programs_lock)]
    with subprocess.Popen([*lock, "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE) as program:
        program.stdout.readline()
        shutil.copytree(original.home, folder / "copy")
        copy = layout(folder / "copy", folder / "one")
        Stack(copy).clean()
        assert not copy.home.exists()
        assert program.poll() is None
        program.kill()


def test_the_passwords_stay_while_a_stack_in_containers_needs_them(folder):
    ours = Layout(home=folder / ".local", env_file=folder / ".env")
    ours.make()
    ours.env_file.write_text("COMPOSE_PROJECT_NAME=quintet-0\n")
    Stack(ours).clean()
    assert ours.env_file.exists() and not ours.home.exists()
    ours.env_file.write_text("ADMIN_USER=admin\n")
    Stack(ours).clean()
    assert not ours.env_file.exists()


def test_a_stack_in_containers_keeps_its_files_in_a_folder_that_both_use(folder):
    home = folder / "stack"
    ours = Layout(home=home, env_file=home / ".env")
    ours.make()
    ours.env_file.write_text("COMPOSE_PROJECT_NAME=quintet-0\n")
    for name in (".secrets", ".users"):
        (home / name).mkdir()
        (home / name / "file").touch()
    assert not {home, home / ".env", home / ".secrets", home / ".users"} & {*Stack(ours).remains()}
    assert home / MARKER in Stack(ours).remains()
    Stack(ours).clean()
    assert {path.name for path in home.iterdir()} == {".env", ".secrets", ".users"}
    assert all((home / name / "file").exists() for name in (".secrets", ".users"))
    Stack(ours).clean()
    assert ours.env_file.exists()
    ours.make()
    ours.env_file.write_text("ADMIN_USER=admin\n")
    Stack(ours).clean()
    assert not home.exists()


@pytest.mark.parametrize("reply, is_removed", [("\n", False), ("n\n", False), ("y\n", True)])
def test_on_a_terminal_clean_asks(folder, reply, is_removed):
    home = folder / "stack"
    Layout(home=home, env_file=home / ".env").make()
    keyboard, terminal = pty.openpty()
    os.write(keyboard, reply.encode())
    done = subprocess.run(
        [sys.executable, str(CHECKOUT / "deploy" / "local"), "clean"],
        env=os.environ | {"STACK_DIR": str(home), "YES": ""},
        stdin=terminal,
        capture_output=True,
        text=True,
        timeout=60,
    )
    os.close(keyboard)
    os.close(terminal)
    assert str(home) in done.stderr and "[y/N]" in done.stderr
    assert (done.returncode == 0) is is_removed
    assert home.exists() is not is_removed
