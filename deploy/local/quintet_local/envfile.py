"""The `.env` file: made once, mode 600, added to when a service joins, never overwritten."""

import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import dotenv

from quintet_local.progress import NO_STACK, StackError

HEADER = "# Made by `make up` on its first run. Secrets: keep this file out of version control.\n"
SECRET_BYTES = 24
FIRST_GATEWAY_PORT = 8080
# Which folder the file was made for: a copy of a whole checkout does not take its original for its own.
HOME = "STACK_HOME"
PROJECT, STACK_ID = "COMPOSE_PROJECT_NAME", "STACK_ID"


def load(file: Path) -> dict[str, str]:
    """Return the settings, of which none refers to another or to the environment; nothing where no file is."""
    return {name: value for name, value in dotenv.dotenv_values(file, interpolate=False).items() if value is not None}


def load_own(file: Path) -> dict[str, str]:
    """Return the settings, but not those of another folder's stack."""
    if original := original_of(file):
        raise StackError(f"{file} is a copy of {original} and names its stack: `make up` gives this folder its own")
    return load(file)


def load_existing(file: Path) -> dict[str, str]:
    """Return the settings of this folder's stack, or raise a StackError if it has none."""
    settings = load_own(file)
    if "ADMIN_PASSWORD" not in settings:
        raise StackError(NO_STACK)
    return settings


def ensure(file: Path, services: Iterable[str], free_port_from: Callable[[int], int]) -> dict[str, str]:
    """The settings in the file, after making what is missing in it."""
    settle(file)
    kept = load(file)
    put(file, {name: make() for name, make in _wanted(file, services, free_port_from).items() if name not in kept})
    file.chmod(0o600)
    return load(file)


def put(file: Path, settings: Mapping[str, str]) -> None:
    """New lines come last; those that stay are untouched."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(HEADER)
    kept = load(file)
    for name, value in settings.items():
        if kept.get(name) != value:
            dotenv.set_key(file, name, value, quote_mode="auto")


def remove(file: Path, *names: str) -> None:
    for name in {*names} & {*load(file)}:
        dotenv.unset_key(file, name)


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
        put(file, ({STACK_ID: ""} if is_old else {}) | {HOME: str(file.parent)})
    return original


def names(services: Iterable[str]) -> list[str]:
    """Return what a .env made here may hold."""
    return [*_wanted(Path(), services, lambda port: port), PROJECT, STACK_ID]


def database_password_name(service: str) -> str:
    return f"{service.upper()}_DB_PASSWORD"


def broker_password_name(service: str) -> str:
    return f"{service.upper()}_AMQP_PASSWORD"


def _wanted(file: Path, services: Iterable[str], free_port_from: Callable[[int], int]) -> dict[str, Callable[[], str]]:
    first_port = int(os.environ.get("GATEWAY_PORT") or FIRST_GATEWAY_PORT)
    return {
        HOME: lambda: str(file.parent),
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
