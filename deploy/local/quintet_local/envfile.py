"""The `.env` file: made once, mode 600, added to when a service joins, never overwritten."""

import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from quintet_local.progress import StackError

HEADER = "# Made by `make up` on its first run. Secrets: keep this file out of version control.\n"
SECRET_BYTES = 24
FIRST_GATEWAY_PORT = 8080
# Which folder the file was made for: a copy of a whole checkout does not take its original for its own.
HOME = "STACK_HOME"
PROJECT, STACK_ID = "COMPOSE_PROJECT_NAME", "STACK_ID"


def load(file: Path) -> dict[str, str]:
    """NAME=value lines; comments and blank lines are passed over, quotes around a value taken off."""
    if not file.exists():
        return {}
    settings = {}
    for line in file.read_text().splitlines():
        name, value = _parsed(line)
        if name:
            settings[name] = value
    return settings


def load_own(file: Path) -> dict[str, str]:
    """Return the settings, but not those of another folder's stack."""
    if original := original_of(file):
        raise StackError(f"{file} is a copy of {original} and names its stack: `make up` gives this folder its own")
    return load(file)


def ensure(file: Path, services: Iterable[str], free_port_from: Callable[[int], int]) -> dict[str, str]:
    """The settings in the file, after making what is missing in it."""
    settle(file)
    kept = load(file)
    put(file, {name: make() for name, make in _wanted(file, services, free_port_from).items() if name not in kept})
    file.chmod(0o600)
    return load(file)


def put(file: Path, settings: Mapping[str, str]) -> None:
    """New lines come last; those that stay are untouched."""
    old = file.read_text() if file.exists() else HEADER
    changed = {name: value for name, value in settings.items() if load(file).get(name) != _plain(value)}
    if changed:
        new = "".join(f"{name}={value}\n" for name, value in changed.items())
        _replace(file, _without(old, changed) + new)


def remove(file: Path, *names: str) -> None:
    _replace(file, _without(file.read_text(), names))


def names_containers(file: Path) -> bool:
    """Tell whether a stack in containers was made with this file."""
    return PROJECT in load(file)


def names_folder(file: Path) -> bool:
    """Tell whether the file says for which folder it was made; older ones do not."""
    return HOME in load(file)


def original_of(file: Path) -> Path | None:
    """Return the .env that this one is a copy of; None if it was made here, or moved here with its folder."""
    settings = load(file)
    home = settings.get(HOME)
    if not home or Path(home) == file.parent:
        return None
    original = Path(home) / file.name
    same = ("POSTGRES_PASSWORD", HOME)
    is_copied = all(load(original).get(name) == settings.get(name) for name in same)
    return original if is_copied else None


def settle(file: Path) -> Path | None:
    """Make the file speak of the folder that it is in; return the original if it was a copy.

    A copy keeps the passwords, and loses what names the stack of its original. A file from before there were homes
    gets an empty ID: the volumes made with it have none.
    """
    original, settings = original_of(file), load(file)
    if original:
        remove(file, PROJECT, STACK_ID, "GATEWAY_PORT", HOME)
    if settings:
        is_old = HOME not in settings and "POSTGRES_PASSWORD" in settings
        put(file, {HOME: _home_of(file)} | ({STACK_ID: ""} if is_old else {}))
    return original


def names(services: Iterable[str]) -> list[str]:
    """Return what a .env made here may hold."""
    return [*_wanted(Path(), services, lambda port: port), PROJECT, STACK_ID]


def database_password_name(service: str) -> str:
    return f"{service.upper()}_DB_PASSWORD"


def broker_password_name(service: str) -> str:
    return f"{service.upper()}_AMQP_PASSWORD"


def _parsed(line: str) -> tuple[str, str]:
    name, equals, value = line.strip().partition("=")
    if not equals or name.startswith("#"):
        return "", ""
    return name.strip(), _plain(value)


def _plain(value: str) -> str:
    return value.strip().strip("'\"")


def _without(text: str, names: Iterable[str]) -> str:
    lines = [line for line in text.splitlines() if _parsed(line)[0] not in names]
    return "".join(f"{line}\n" for line in lines)


def _home_of(file: Path) -> str:
    """Quoted, for Compose reads the file too."""
    return f"'{file.parent}'"


def _wanted(file: Path, services: Iterable[str], free_port_from: Callable[[int], int]) -> dict[str, Callable[[], str]]:
    first_port = int(os.environ.get("GATEWAY_PORT") or FIRST_GATEWAY_PORT)
    return {
        HOME: lambda: _home_of(file),
        "GATEWAY_PORT": lambda: str(free_port_from(first_port)),
        "ADMIN_USER": lambda: "admin",
        "ADMIN_PASSWORD": _secret,
        "POSTGRES_PASSWORD": _secret,
        "RABBITMQ_PASSWORD": _secret,
        "RABBITMQ_ERLANG_COOKIE": _secret,
        "REDIS_PASSWORD": _secret,
        **{name(service): _secret for service in services for name in (database_password_name, broker_password_name)},
    }


def _secret() -> str:
    """Hexadecimal: needs no quoting in a URL, in SQL, in a shell or in a configuration file."""
    return secrets.token_hex(SECRET_BYTES)


def _replace(file: Path, text: str) -> None:
    """A reader sees the old file or the new one, never a part."""
    new = file.with_name(file.name + ".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    new.replace(file)
