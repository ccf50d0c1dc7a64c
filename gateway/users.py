"""The gateway's users: `users.py add NAME [--role admin|writer|reader]`, `remove NAME`, `list`.

Works on the directory GATEWAY_USERS_DIR: `htpasswd` (bcrypt hashes) and `roles` (who is not a writer).
nginx reads them at each check; after a removal or a change, reload it, which ends the live streams there are.
"""

import argparse
import fcntl
import getpass
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
ROLES = ("admin", "writer", "reader")

# A hash holds up one of nginx's workers: cost 8 for about 15 ms, cost 10 for 60. README.md says more.
COST = 8
LONGEST_PASSWORD = 72  # bytes; bcrypt looks no further
# An entry nobody can log in with. Unknown names are checked against it, and take as long as known ones.
DECOY = "!nobody"


class Refused(Exception):
    """What was asked for cannot be done; the message says why and what to do instead."""


class Users:
    def __init__(self, directory: Path, mode: int) -> None:
        self.directory = directory
        self.mode = mode
        self.hashes = self._read("htpasswd")
        self.roles = self._read("roles")

    def _read(self, name: str) -> dict[str, str]:
        file = self.directory / name
        lines = file.read_text().splitlines() if file.exists() else []
        entries = [line.partition(":") for line in lines if line]
        if strange := [line for line, colon, _ in entries if not colon]:
            raise Refused(f"{file} has a line that is not NAME:..., {strange[0]!r}; correct it or remove it")
        return {user: entry for user, _, entry in entries}

    def role_of(self, name: str) -> str:
        return self.roles.get(name, "writer")

    def names(self) -> list[str]:
        return sorted(name for name in self.hashes if name != DECOY)

    def put(self, name: str, password: str, role: str) -> None:
        self.hashes[name] = hash_of(password)
        self.roles.pop(name, None)
        if role != "writer":
            self.roles[name] = role
        self.save()

    def remove(self, name: str) -> None:
        if name not in self.hashes or name == DECOY:
            raise Refused(f"there is no user {name!r}; there are: {', '.join(self.names()) or 'none'}")
        del self.hashes[name]
        self.save()
        self.roles.pop(name, None)
        self.save()

    def save(self) -> None:
        # The role first: a reader left with a password and no role would be a writer.
        if DECOY not in self.hashes:
            self.hashes[DECOY] = hash_of(secrets.token_urlsafe(32))
        self._write("roles", self.roles)
        self._write("htpasswd", self.hashes)

    def _write(self, name: str, entries: dict[str, str]) -> None:
        """All or nothing, and durable: nginx never reads half a file."""
        number, temporary = tempfile.mkstemp(dir=self.directory, prefix=f".{name}.")
        with os.fdopen(number, "w") as file:
            file.write("".join(f"{user}:{entry}\n" for user, entry in sorted(entries.items())))
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), self.mode)
        os.replace(temporary, self.directory / name)


def hash_of(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(COST)).decode()


@contextmanager
def locked_users(directory: Path, mode: int) -> Iterator[Users]:
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(mode | (mode & 0o444) >> 2)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Users(directory, mode)


def chosen_password(name: str) -> tuple[str, bool]:
    """The password and whether it was made up here: from a terminal, else from PASSWORD, else generated."""
    given = os.environ.get("PASSWORD")
    if given is None and sys.stdin.isatty():
        given = getpass.getpass(f"Password for {name} (empty: one is generated): ") or None
        if given is not None and getpass.getpass("Once more: ") != given:
            raise Refused("the two passwords differ; nothing was changed")
    if given is None:
        return secrets.token_urlsafe(18), True
    if not given:
        raise Refused("PASSWORD is empty; give one, or unset it to have one generated")
    if len(given.encode()) > LONGEST_PASSWORD:
        raise Refused(f"the password is longer than {LONGEST_PASSWORD} bytes, and bcrypt looks at no more")
    if any(ord(character) < 32 or ord(character) == 127 for character in given):
        raise Refused("the password has a control character in it; HTTP basic authentication cannot carry it")
    return given, False


def add(directory: Path, mode: int, name: str, role: str | None) -> str:
    if not NAME.fullmatch(name):
        raise Refused(f"{name!r} is no user name: 1 to 64 of A-Z a-z 0-9 . _ @ -, first a letter or digit")
    if role and role not in ROLES:
        raise Refused(f"{role!r} is no role; there are {', '.join(ROLES)}")
    password, generated = chosen_password(name)
    with locked_users(directory, mode) as users:
        new = name not in users.hashes
        users.put(name, password, role or users.role_of(name))
        done = f"{'added' if new else 'changed'} {name} ({users.role_of(name)})"
    return f"{done}, password: {password}" if generated else done


def remove(directory: Path, mode: int, name: str) -> str:
    with locked_users(directory, mode) as users:
        users.remove(name)
    return f"removed {name}"


def listed(directory: Path, mode: int) -> str:
    users = Users(directory, mode)
    return "\n".join(f"{name} {users.role_of(name)}" for name in users.names()) or "no users"


def main(arguments: list[str]) -> str:
    parser = argparse.ArgumentParser(prog="users.py", description="The gateway's users")
    commands = parser.add_subparsers(dest="command", required=True)
    adding = commands.add_parser("add", help="a user, or a new password or role for one there is")
    adding.add_argument("name")
    adding.add_argument("--role", help="admin, writer or reader; if not given, what the user has, else writer")
    commands.add_parser("remove").add_argument("name")
    commands.add_parser("list")
    asked = parser.parse_args(arguments)
    directory = os.environ.get("GATEWAY_USERS_DIR")
    if not directory:
        raise Refused("GATEWAY_USERS_DIR is not set: the directory of the files htpasswd and roles")
    place = Path(directory), int(os.environ.get("GATEWAY_USERS_MODE", "640"), 8)
    if asked.command == "add":
        return add(*place, asked.name, asked.role)
    return remove(*place, asked.name) if asked.command == "remove" else listed(*place)


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]))
    except Refused as refused:
        sys.exit(f"users.py: {refused}")
    except OSError as problem:
        sys.exit(f"users.py: {problem.strerror}: {problem.filename}")
