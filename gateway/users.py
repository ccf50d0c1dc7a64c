"""Manages the gateway's users: `users.py add NAME [--role ROLE] [--new|--existing]`, `remove NAME`, `list`,
`administrator NAME`.

The directory GATEWAY_USERS_DIR holds `htpasswd` ({SSHA} hashes) and `roles.conf` (the lines of an nginx map).
nginx reads the first at every request and the second at startup and reload, so reload it after each change.
"""

import argparse
import base64
import fcntl
import hashlib
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROLES = ("admin", "writer", "reader", "runner")
PASSWORD_BYTES = 24
SALT_BYTES = 8
MIN_ADMIN_PASSWORD_LENGTH = 20

_NAME = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"
_NAME_RULE = "must have 1 to 64 characters of A-Z a-z 0-9 . _ @ - and begin with a letter or digit"
_HASH_LINE = re.compile(rf"({_NAME}):(\{{SSHA\}}[A-Za-z0-9+/]+=*)")
_ROLE_LINE = re.compile(rf'":({_NAME})" ({"|".join(ROLES)});')


class UserError(Exception):
    """The command cannot be executed; the message states why and what to do instead."""


class Users:
    """The users of one gateway. Malformed lines grant nothing, are reported, and are removed by `save`."""

    def __init__(self, directory: Path, mode: int) -> None:
        self.directory = directory
        self.mode = mode
        self.malformed: list[str] = []
        self.hashes = self._read("htpasswd", _HASH_LINE)
        self.roles = self._read("roles.conf", _ROLE_LINE)

    def _read(self, name: str, pattern: re.Pattern[str]) -> dict[str, str]:
        file = self.directory / name
        entries: dict[str, str] = {}
        for number, line in enumerate(file.read_text(errors="replace").split("\n") if file.exists() else [], start=1):
            if match := pattern.fullmatch(line):
                entries[match[1]] = match[2]
            elif line:
                user = re.match(r'"?:?([^:"; ]*)', line)
                self.malformed.append(f"{file}:{number} (user {user[1]!r})" if user else f"{file}:{number}")
        return entries

    def admins(self) -> list[str]:
        return [name for name in self.hashes if self.roles.get(name) == "admin"]

    def put(self, name: str, password: str, role: str) -> None:
        similar = next((other for other in self.hashes if other != name and other.lower() == name.lower()), None)
        if similar:
            # nginx compares the names in a map case-insensitively.
            raise UserError(f"names must differ in more than case: the user {similar!r} exists")
        if role != "admin" and self.admins() == [name]:
            raise UserError(f"{name!r} is the last admin and must keep this role: add another admin first")
        self.hashes[name] = ssha(password)
        self.roles[name] = role
        self.save()

    def remove(self, name: str) -> None:
        self.check_exists(name)
        if self.admins() == [name]:
            raise UserError(f"{name!r} is the last admin and must not be removed: add another admin first")
        del self.hashes[name]
        self.roles.pop(name, None)
        self.save()

    def check_exists(self, name: str) -> None:
        if name not in self.hashes:
            raise UserError(f"unknown user {name!r}; existing users: {', '.join(sorted(self.hashes)) or 'none'}")

    def save(self) -> None:
        # Either order is safe: a user with only a password or only a role is rejected.
        self._write("htpasswd", [f"{name}:{value}" for name, value in sorted(self.hashes.items())])
        roles = {name: role for name, role in self.roles.items() if name in self.hashes}
        self._write("roles.conf", [f'":{name}" {role};' for name, role in sorted(roles.items())])

    def _write(self, name: str, lines: list[str]) -> None:
        """Replace the file atomically and durably, so that nginx never reads a partial file."""
        descriptor, temporary = tempfile.mkstemp(dir=self.directory, prefix=f".{name}.")
        with os.fdopen(descriptor, "w") as file:
            file.write("".join(f"{line}\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), self.mode)
        os.replace(temporary, self.directory / name)
        folder = os.open(self.directory, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def ssha(password: str) -> str:
    """Hash a password as nginx's auth_basic checks it: salted SHA-1.

    A fast hash is safe here, because a generated password has 192 bits and cannot be guessed.
    """
    salt = secrets.token_bytes(SALT_BYTES)
    digest = hashlib.sha1(password.encode() + salt).digest()
    return "{SSHA}" + base64.b64encode(digest + salt).decode()


@contextmanager
def locked_users(directory: Path, mode: int) -> Iterator[Users]:
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(mode | (mode & 0o444) >> 2)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        users = Users(directory, mode)
        yield users
        for line in users.malformed:
            print(f"users.py: removed a malformed line, {line}: add its user again with `make user`", file=sys.stderr)


def add(directory: Path, mode: int, name: str, role: str | None, condition: str | None = None) -> str:
    """Add a user, or replace the password (and the role, if it is not None) of an existing one.

    The condition `new` only adds, and the condition `existing` only replaces.
    """
    if not re.fullmatch(_NAME, name):
        raise UserError(f"a user name {_NAME_RULE}: {name!r}")
    if role and role not in ROLES:
        raise UserError(f"the role must be one of {', '.join(ROLES)}: {role!r}")
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    with locked_users(directory, mode) as users:
        exists = name in users.hashes
        if condition == "existing":
            users.check_exists(name)
        if condition == "new" and exists:
            raise UserError(f"the user {name!r} exists: choose another name, or replace the password")
        role = role or (users.roles.get(name, "writer") if exists else "writer")
        users.put(name, password, role)
    change = f"replaced the password of {name}" if exists else f"added {name}"
    return f"{change} ({role}), password: {password}"


def set_administrator(directory: Path, mode: int, name: str) -> str:
    """Make sure that the administrator of .env exists and has the password in ADMIN_PASSWORD."""
    password = os.environ.get("ADMIN_PASSWORD", "")
    if len(password) < MIN_ADMIN_PASSWORD_LENGTH or not password.isascii() or not password.isprintable():
        raise UserError(
            f"ADMIN_PASSWORD must have at least {MIN_ADMIN_PASSWORD_LENGTH} characters, all printable ASCII"
        )
    if not re.fullmatch(_NAME, name):
        raise UserError(f"ADMIN_USER {_NAME_RULE}: {name!r}")
    with locked_users(directory, mode) as users:
        users.put(name, password, "admin")
    return f"{name} is an admin"


def list_users(directory: Path, mode: int) -> str:
    users = Users(directory, mode)
    return (
        "\n".join(f"{name} {users.roles.get(name, '(no role: rejected)')}" for name in sorted(users.hashes))
        or "no users"
    )


def main(arguments: list[str]) -> str:
    parser = argparse.ArgumentParser(prog="users.py", description="Manage the gateway's users.")
    commands = parser.add_subparsers(dest="command", required=True)
    add_parser = commands.add_parser("add", help="add a user, or replace the password or role of an existing one")
    add_parser.add_argument("name")
    add_parser.add_argument("--role", help=f"{', '.join(ROLES)}; by default the current role, or writer for a new user")
    conditions = add_parser.add_mutually_exclusive_group()
    for condition, text in (("new", "fail if the user exists"), ("existing", "fail if the user does not exist")):
        conditions.add_argument(f"--{condition}", dest="condition", action="store_const", const=condition, help=text)
    commands.add_parser("remove", help="remove a user").add_argument("name")
    commands.add_parser(
        "administrator", help="set the administrator, with the password in ADMIN_PASSWORD"
    ).add_argument("name")
    commands.add_parser("list", help="list users and roles")
    parsed = parser.parse_args(arguments)
    directory = os.environ.get("GATEWAY_USERS_DIR")
    if not directory:
        raise UserError("GATEWAY_USERS_DIR must name the directory of the files htpasswd and roles.conf")
    mode = os.environ.get("GATEWAY_USERS_MODE", "640")
    if not re.fullmatch("[0-7]{3}", mode):
        raise UserError(f"GATEWAY_USERS_MODE must be three octal digits, the mode of the files: {mode!r}")
    directory_and_mode = Path(directory), int(mode, 8)
    if parsed.command == "add":
        return add(*directory_and_mode, parsed.name, parsed.role, parsed.condition)
    if parsed.command == "administrator":
        return set_administrator(*directory_and_mode, parsed.name)
    if parsed.command == "list":
        return list_users(*directory_and_mode)
    with locked_users(*directory_and_mode) as users:
        users.remove(parsed.name)
    return f"removed {parsed.name}"


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]))
    except UserError as error:
        sys.exit(f"users.py: {error}")
    except OSError as error:
        sys.exit(f"users.py: {error.strerror}: {error.filename}")
