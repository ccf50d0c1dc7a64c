"""The `.env` file: created once with mode 600, extended when a service is added, never overwritten."""

import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import dotenv

from quintet_local.progress import NO_STACK, StackError

HEADER = "# Created by the first `make up`. It contains secrets: keep this file out of version control.\n"
SECRET_BYTES = 24
# The first port that is tried for each.
PORT_VARIABLES = {"GATEWAY_PORT": 8080, "METRICS_PORT": 9180}
# The folder for which the file was created, so that a copied checkout is recognized as a copy.
HOME_VARIABLE = "STACK_HOME"
PROJECT_VARIABLE, STACK_ID_VARIABLE = "COMPOSE_PROJECT_NAME", "STACK_ID"


def load(file: Path) -> dict[str, str]:
    """Return the settings without expanding references, or an empty dict if the file does not exist."""
    return {name: value for name, value in dotenv.dotenv_values(file, interpolate=False).items() if value is not None}


def load_own(file: Path) -> dict[str, str]:
    """Return the settings; raise a StackError if they belong to the stack of another folder."""
    if original := original_of(file):
        raise StackError(
            f"{file} is a copy of {original} and names its stack: run `make up` to give this folder its own"
        )
    return load(file)


def load_existing(file: Path) -> dict[str, str]:
    """Return the settings of this folder's stack; raise a StackError if it has none."""
    settings = load_own(file)
    if "ADMIN_PASSWORD" not in settings:
        raise StackError(NO_STACK)
    return settings


def ensure(file: Path, services: Iterable[str], next_free_port: Callable[[int], int]) -> dict[str, str]:
    """Return the settings in the file after generating those that it does not contain."""
    bind_to_folder(file)
    existing = load(file)
    generators = _generators(file, services, next_free_port)
    set_values(file, {name: generate() for name, generate in generators.items() if name not in existing})
    file.chmod(0o600)
    return load(file)


def set_values(file: Path, settings: Mapping[str, str]) -> None:
    """Set the values; append new lines at the end, and leave all other lines unchanged."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(HEADER)
    existing = load(file)
    for name, value in settings.items():
        if existing.get(name) != value:
            dotenv.set_key(file, name, value, quote_mode="auto")


def unset_values(file: Path, *names: str) -> None:
    for name in {*names} & {*load(file)}:
        dotenv.unset_key(file, name)


def has_project_name(file: Path) -> bool:
    """Return whether the file has a Compose project, which only a stack in containers has."""
    return PROJECT_VARIABLE in load(file)


def has_recorded_folder(file: Path) -> bool:
    """Return whether the file has the folder for which it was created; files of older versions do not."""
    return HOME_VARIABLE in load(file)


def original_of(file: Path) -> Path | None:
    """Return the .env that this one is a copy of, or None if it was created here or moved with its folder."""
    settings = load(file)
    home = settings.get(HOME_VARIABLE)
    if not home or Path(home) == file.parent:
        return None
    original = Path(home) / file.name
    compared = ("POSTGRES_PASSWORD", HOME_VARIABLE)
    is_copied = all(load(original).get(name) == settings.get(name) for name in compared)
    return original if is_copied else None


def bind_to_folder(file: Path) -> Path | None:
    """Make the file name the folder that contains it, and return the original if it was a copy.

    A copy keeps the passwords and loses the settings that identify the stack of its original. A file of a version that
    did not record the folder gets an empty stack ID, because its volumes have no such label.
    """
    original, settings = original_of(file), load(file)
    if original:
        unset_values(file, PROJECT_VARIABLE, STACK_ID_VARIABLE, *PORT_VARIABLES, HOME_VARIABLE)
    if settings:
        is_legacy = HOME_VARIABLE not in settings and "POSTGRES_PASSWORD" in settings
        set_values(file, ({STACK_ID_VARIABLE: ""} if is_legacy else {}) | {HOME_VARIABLE: str(file.parent)})
    return original


def setting_names(services: Iterable[str]) -> list[str]:
    """Return the names of all settings that the stack itself writes to .env."""
    return [*_generators(Path(), services, lambda port: port), PROJECT_VARIABLE, STACK_ID_VARIABLE]


def database_password_name(service: str) -> str:
    return f"{service.upper()}_DB_PASSWORD"


def broker_password_name(service: str) -> str:
    return f"{service.upper()}_AMQP_PASSWORD"


def password_names(services: Iterable[str]) -> list[str]:
    """Return the settings that are passwords of servers."""
    of_services = [name(service) for service in services for name in (database_password_name, broker_password_name)]
    return ["POSTGRES_PASSWORD", "RABBITMQ_PASSWORD", "REDIS_PASSWORD", *of_services]


def _generators(
    file: Path, services: Iterable[str], next_free_port: Callable[[int], int]
) -> dict[str, Callable[[], str]]:
    def choose_port(name: str) -> Callable[[], str]:
        return lambda: str(next_free_port(int(os.environ.get(name) or PORT_VARIABLES[name])))

    return {
        HOME_VARIABLE: lambda: str(file.parent),
        **{name: choose_port(name) for name in PORT_VARIABLES},
        "ADMIN_USER": lambda: "admin",
        "ADMIN_PASSWORD": new_secret,
        "RABBITMQ_ERLANG_COOKIE": new_secret,
        **dict.fromkeys(password_names(services), new_secret),
    }


def new_secret() -> str:
    # Hexadecimal needs no quoting in a URL, in SQL, in a shell or in a configuration file.
    return secrets.token_hex(SECRET_BYTES)
