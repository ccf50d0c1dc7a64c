"""The tool that keeps the users' files."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bcrypt
import pytest

TOOL = Path(__file__).resolve().parents[1] / "users.py"


@pytest.fixture
def users(tmp_path):
    def run(*arguments, **environment):
        settings = {"GATEWAY_USERS_DIR": str(tmp_path / "users"), **environment}
        return subprocess.run(
            [sys.executable, str(TOOL), *arguments],
            env=settings,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    return run


def entry(tmp_path, name):
    lines = (tmp_path / "users" / "htpasswd").read_text().splitlines()
    return next((line.split(":", 1)[1] for line in lines if line.startswith(f"{name}:")), None)


def test_password_is_generated_and_shown_once(users, tmp_path):
    done = users("add", "ann")
    password = re.fullmatch(r"added ann \(writer\), password: (\S{24})\n", done.stdout)[1]
    assert bcrypt.checkpw(password.encode(), entry(tmp_path, "ann").encode())
    assert users("add", "ann").stdout.startswith("changed ann (writer), password: ")


def test_password_given_is_not_shown(users, tmp_path):
    assert users("add", "ann", PASSWORD="s3cret: ä").stdout == "added ann (writer)\n"
    assert bcrypt.checkpw("s3cret: ä".encode(), entry(tmp_path, "ann").encode())


def test_roles(users):
    users("add", "ann", "--role", "admin", PASSWORD="x")
    users("add", "b.b", "--role", "reader", PASSWORD="x")
    users("add", "cyd", PASSWORD="x")
    assert users("list").stdout == "ann admin\nb.b reader\ncyd writer\n"
    users("add", "ann", PASSWORD="y")  # keeps the role
    users("add", "b.b", "--role", "writer", PASSWORD="x")
    assert users("list").stdout == "ann admin\nb.b writer\ncyd writer\n"
    assert users("remove", "ann").stdout == "removed ann\n"
    assert users("add", "ann", PASSWORD="x").stdout == "added ann (writer)\n"


@pytest.mark.parametrize("name", ["", "-a", ".a", "a:b", "a b", "!nobody", "ä", "a\n", "x" * 65, "../a", "a/b", '"'])
def test_bad_name_is_refused(users, name, tmp_path):
    done = users("add", "--", name, PASSWORD="x")
    assert done.returncode == 1 and "is no user name" in done.stderr and not done.stdout
    assert not (tmp_path / "users").exists()


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "is empty"),
        ("x" * 73, "longer than 72 bytes"),
        ("ä" * 37, "longer than 72 bytes"),
        ("a\nb", "control character"),
    ],
)
def test_bad_password_is_refused(users, password, why):
    done = users("add", "ann", PASSWORD=password)
    assert done.returncode == 1 and why in done.stderr


def test_other_errors_say_what_to_do(users, tmp_path):
    users("add", "ann", PASSWORD="x")
    assert "there is no user 'bob'; there are: ann" in users("remove", "bob").stderr
    assert "there is no user '!nobody'" in users("remove", "!nobody").stderr
    assert "there are admin, writer, reader" in users("add", "ann", "--role", "king", PASSWORD="x").stderr
    assert "GATEWAY_USERS_DIR is not set" in users("list", GATEWAY_USERS_DIR="").stderr
    (tmp_path / "file").write_text("")
    (tmp_path / "users" / "roles").write_text('"~^ann$" reader;\n')
    assert "roles has a line that is not NAME:" in users("add", "bob", PASSWORD="x").stderr
    assert "File exists" in users("add", "ann", PASSWORD="x", GATEWAY_USERS_DIR=str(tmp_path / "file")).stderr


def test_many_at_once_lose_nobody(users):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: users("add", f"user{n}", PASSWORD="x"), range(16)))
    assert len(users("list").stdout.splitlines()) == 16


def test_files_are_not_for_everybody(users, tmp_path):
    users("add", "ann", PASSWORD="x")
    folder = tmp_path / "users"
    assert {oct(os.stat(folder / name).st_mode & 0o777) for name in ("htpasswd", "roles")} == {"0o640"}
    assert os.stat(folder).st_mode & 0o777 == 0o750
    users("add", "ann", PASSWORD="x", GATEWAY_USERS_MODE="644")
    assert (os.stat(folder / "htpasswd").st_mode & 0o777, os.stat(folder).st_mode & 0o777) == (0o644, 0o755)
    assert {file.name for file in folder.iterdir()} == {"htpasswd", "roles", ".lock"}
