"""users.py, which maintains the users' files."""

import base64
import hashlib
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

USERS_SCRIPT = Path(__file__).resolve().parents[1] / "users.py"
PASSWORD = r"[A-Za-z0-9_-]{32}"  # 192 bits


@pytest.fixture
def users(tmp_path):
    def run(*arguments, **environment):
        settings = {"GATEWAY_USERS_DIR": str(tmp_path / "users"), **environment}
        return subprocess.run(
            [sys.executable, str(USERS_SCRIPT), *arguments],
            env=settings,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    return run


def is_password_valid(tmp_path, name, password):
    lines = (tmp_path / "users" / "htpasswd").read_text().splitlines()
    entry = next(line.removeprefix(f"{name}:{{SSHA}}") for line in lines if line.startswith(f"{name}:{{SSHA}}"))
    decoded = base64.b64decode(entry)
    return hashlib.sha1(password.encode() + decoded[20:]).digest() == decoded[:20] and len(decoded) >= 28


def test_generated_password_is_printed_once(users, tmp_path):
    first = re.fullmatch(rf"added ann \(writer\), password: ({PASSWORD})\n", users("add", "ann").stdout)[1]
    assert is_password_valid(tmp_path, "ann", first)
    second = users("add", "ann", PASSWORD="chosen by a user").stdout
    second = re.fullmatch(rf"replaced the password of ann \(writer\), password: ({PASSWORD})\n", second)[1]
    assert is_password_valid(tmp_path, "ann", second) and not is_password_valid(tmp_path, "ann", first)


def test_roles_are_set_listed_and_kept(users):
    users("add", "ann", "--role", "admin")
    users("add", "b.b", "--role", "reader")
    users("add", "run", "--role", "runner")
    users("add", "cyd")
    assert users("list").stdout == "ann admin\nb.b reader\ncyd writer\nrun runner\n"
    users("add", "b.b")  # the role is kept
    users("add", "cyd", "--role", "admin")
    assert users("list").stdout == "ann admin\nb.b reader\ncyd admin\nrun runner\n"
    assert users("remove", "ann").stdout == "removed ann\n"
    assert users("add", "ann").stdout.startswith("added ann (writer)")


def test_condition_only_adds_or_only_replaces(users):
    assert users("add", "ann", "--role", "reader", "--new").stdout.startswith("added ann (reader)")
    result = users("add", "ann", "--role", "admin", "--new")
    assert result.returncode == 1 and "the user 'ann' exists: choose another name" in result.stderr
    assert users("add", "ann", "--existing").stdout.startswith("replaced the password of ann (reader)")
    result = users("add", "bob", "--existing")
    assert result.returncode == 1 and "unknown user 'bob'; existing users: ann" in result.stderr
    assert users("add", "ann", "--new", "--existing").returncode == 2
    assert users("list").stdout == "ann reader\n"


def test_last_admin_cannot_be_removed_or_lose_the_role(users):
    users("add", "ann", "--role", "admin")
    users("add", "bob")
    for arguments in (("remove", "ann"), ("add", "ann", "--role", "writer")):
        result = users(*arguments)
        assert result.returncode == 1 and "'ann' is the last admin" in result.stderr
    assert users("list").stdout == "ann admin\nbob writer\n"
    assert users("add", "ann").returncode == 0  # a new password only
    users("add", "bob", "--role", "admin")
    assert users("remove", "ann").returncode == 0


def test_role_without_a_password_is_dropped(users, tmp_path):
    users("add", "ann")
    roles = tmp_path / "users" / "roles.conf"
    roles.write_text(roles.read_text() + '":Zoe" admin;\n":bob" admin;\n')
    assert users("add", "zoe").stdout.startswith("added zoe (writer)")
    assert users("add", "bob").stdout.startswith("added bob (writer)")
    assert roles.read_text() == '":ann" writer;\n":bob" writer;\n":zoe" writer;\n'


def test_names_must_differ_in_more_than_case(users):
    users("add", "ann")
    result = users("add", "Ann", "--role", "admin")
    assert result.returncode == 1 and "the user 'ann' exists" in result.stderr
    assert users("list").stdout == "ann writer\n"


def test_administrator_has_the_password_in_the_environment(users, tmp_path):
    result = users("administrator", "root", ADMIN_PASSWORD="a long passphrase: 1")
    assert (result.returncode, result.stdout) == (0, "root is an admin\n")
    assert is_password_valid(tmp_path, "root", "a long passphrase: 1")
    users("add", "bob", "--role", "admin")
    users("add", "root", "--role", "reader")
    users("administrator", "root", ADMIN_PASSWORD="another long passphrase")
    assert users("list").stdout == "bob admin\nroot admin\n" and is_password_valid(
        tmp_path, "root", "another long passphrase"
    )


@pytest.mark.parametrize("password", ["", "x" * 19, "ä" * 30, "a long passphrase\n: 1", "a long passphrase\x7f: 1"])
def test_weak_administrator_password_is_rejected(users, tmp_path, password):
    result = users("administrator", "root", ADMIN_PASSWORD=password)
    assert result.returncode == 1 and "ADMIN_PASSWORD must have at least 20 characters" in result.stderr
    assert not (tmp_path / "users").exists()


@pytest.mark.parametrize("name", ["", "-a", ".a", "a:b", "a b", "!a", "ä", "a\n", "x" * 65, "../a", "a/b", '"', 'a";'])
def test_invalid_name_is_rejected(users, name, tmp_path):
    result = users("add", "--", name)
    assert result.returncode == 1 and "a user name must have 1 to 64 characters" in result.stderr and not result.stdout
    assert "must have 1 to 64 characters" in users("administrator", "--", name, ADMIN_PASSWORD="x" * 20).stderr
    assert not (tmp_path / "users").exists()


def test_error_messages_state_what_to_do(users, tmp_path):
    users("add", "ann")
    assert "unknown user 'bob'; existing users: ann" in users("remove", "bob").stderr
    assert "must be one of admin, writer, reader, runner: 'king'" in users("add", "ann", "--role", "king").stderr
    assert "GATEWAY_USERS_MODE must be" in users("list", GATEWAY_USERS_MODE="9").stderr
    assert "GATEWAY_USERS_DIR must name" in users("list", GATEWAY_USERS_DIR="").stderr
    (tmp_path / "file").write_text("")
    assert "File exists" in users("add", "ann", GATEWAY_USERS_DIR=str(tmp_path / "file")).stderr


@pytest.mark.parametrize("role", ['":ann" reader ;', '":ann" reader; ', '":ann" king;', ":ann reader;", "ann:reader"])
def test_malformed_role_grants_nothing_and_is_reported(users, tmp_path, role):
    users("add", "ann", "--role", "reader")
    users("add", "bob")
    (tmp_path / "users" / "roles.conf").write_text(f'{role}\n":bob" writer;\n')
    assert users("list").stdout == "ann (no role: rejected)\nbob writer\n"
    result = users("administrator", "root", ADMIN_PASSWORD="a long passphrase: 1")  # what `make up` calls
    assert "removed a malformed line" in result.stderr and "roles.conf:1 (user 'ann')" in result.stderr
    assert (tmp_path / "users" / "roles.conf").read_text() == '":bob" writer;\n":root" admin;\n'


def test_password_hash_of_an_older_version_is_reported_and_removed(users, tmp_path):
    users("add", "ann")
    hashes = tmp_path / "users" / "htpasswd"
    hashes.write_bytes(b"bob:$2b$08$abcdefghijklmnopqrstuv\xff\n" + hashes.read_bytes())
    result = users("administrator", "root", ADMIN_PASSWORD="a long passphrase: 1")
    assert "htpasswd:1 (user 'bob')" in result.stderr and "add its user again with `make user`" in result.stderr
    assert "$2b$" not in hashes.read_text()
    assert users("list").stdout == "ann writer\nroot admin\n"


def test_concurrent_changes_keep_every_user(users):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: users("add", f"user{n}"), range(16)))
    assert len(users("list").stdout.splitlines()) == 16


def test_only_the_owner_and_the_group_can_read_the_files(users, tmp_path):
    users("add", "ann")
    folder = tmp_path / "users"
    assert {oct(os.stat(folder / name).st_mode & 0o777) for name in ("htpasswd", "roles.conf")} == {"0o640"}
    assert os.stat(folder).st_mode & 0o777 == 0o750
    users("add", "ann", GATEWAY_USERS_MODE="644")
    assert (os.stat(folder / "htpasswd").st_mode & 0o777, os.stat(folder).st_mode & 0o777) == (0o644, 0o755)
    assert {file.name for file in folder.iterdir()} == {"htpasswd", "roles.conf", ".lock"}
