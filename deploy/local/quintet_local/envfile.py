"""The `.env` file: made once, mode 600, added to when a service joins, never overwritten."""

import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

HEADER = "# Made by `make up` on its first run. Secrets: keep this file out of version control.\n"
SECRET_BYTES = 24
FIRST_GATEWAY_PORT = 8080


def load(file: Path) -> dict[str, str]:
    """NAME=value lines; comments and blank lines are passed over, quotes around a value taken off."""
    if not file.exists():
        return {}
    settings = {}
    for line in file.read_text().splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            settings[name.strip()] = value.strip().strip("'\"")
    return settings


def ensure(file: Path, services: Iterable[str], free_port_from: Callable[[int], int]) -> dict[str, str]:
    """The settings in the file, after making what is missing in it."""
    kept = load(file)
    missing = {name: make() for name, make in _wanted(services, free_port_from).items() if name not in kept}
    if missing:
        _write(file, missing)
    file.chmod(0o600)
    return kept | missing


def password_name(service: str) -> str:
    return f"{service.upper()}_DB_PASSWORD"


def _wanted(services: Iterable[str], free_port_from: Callable[[int], int]) -> dict[str, Callable[[], str]]:
    first_port = int(os.environ.get("GATEWAY_PORT") or FIRST_GATEWAY_PORT)
    return {
        "GATEWAY_PORT": lambda: str(free_port_from(first_port)),
        "ADMIN_USER": lambda: "admin",
        "ADMIN_PASSWORD": _secret,
        "POSTGRES_PASSWORD": _secret,
        "RABBITMQ_PASSWORD": _secret,
        "REDIS_PASSWORD": _secret,
        **{password_name(service): _secret for service in services},
    }


def _secret() -> str:
    """Hexadecimal: needs no quoting in a URL, in SQL, in a shell or in a configuration file."""
    return secrets.token_hex(SECRET_BYTES)


def _write(file: Path, added: dict[str, str]) -> None:
    """Old lines first and untouched; a reader sees the old file or the new one, never a part."""
    old = file.read_text() if file.exists() else HEADER
    if not old.endswith("\n"):
        old += "\n"
    new = file.with_name(file.name + ".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(old + "".join(f"{name}={value}\n" for name, value in added.items()))
    new.replace(file)
