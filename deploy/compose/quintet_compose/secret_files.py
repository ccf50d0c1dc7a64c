"""The secrets of docker-compose.yml: one file for each, generated from .env.

Only its owner can enter the folder; the files in it are readable by any user that a container runs as.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from quintet_local import broker_users, envfile
from quintet_local.settings import secret_variables, settings_class

DATABASE = "quintet"
# This file exists while containers may still run with the previous content of a secret.
CHANGED_MARKER = "changed"
# The secrets of a service that contain the password of its role in Postgres.
ROLE_SECRETS = ("db_password", "database_url")


@dataclass(frozen=True)
class Addresses:
    """Where programs reach the servers; the database's address follows the user and password in its URL."""

    database: str = f"/{DATABASE}?host=/run/postgresql"
    broker: str = "rabbitmq:5672"
    cache: str = "redis:6379"


COMPOSE_ADDRESSES = Addresses()


def write(
    folder: Path, settings: Mapping[str, str], services: Iterable[str], addresses: Addresses = COMPOSE_ADDRESSES
) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    for name, content in contents(settings, services, addresses).items():
        file = folder / name
        if file.exists() and file.read_text() != content:
            (folder / CHANGED_MARKER).touch()
        if not file.exists() or file.read_text() != content:
            new = folder / f"{name}.new"
            new.write_text(content)
            new.chmod(0o444)
            new.replace(file)


def update_in_place(
    folder: Path, settings: Mapping[str, str], services: Iterable[str], rotated: Collection[str]
) -> None:
    """Change the files that running containers have mounted, which do not see a file that replaces another.

    The role of a service keeps its password in Postgres until the service is among `rotated`: `roles`, which runs
    whenever a container is replaced, sets the passwords of all roles, and a container may restart at any time.
    """
    services = list(services)
    kept = {f"{service}_{name}" for service in services if service not in rotated for name in ROLE_SECRETS}
    for name, content in contents(settings, services).items():
        file = folder / name
        if name not in kept and file.read_text() != content:
            file.chmod(0o644)
            # Without emptying the file first: a program may start at any time, and this one may be killed.
            with file.open("r+") as out:
                out.write(content)
                out.truncate()
            file.chmod(0o444)


def contents(
    settings: Mapping[str, str], services: Iterable[str], addresses: Addresses = COMPOSE_ADDRESSES
) -> dict[str, str]:
    services = list(services)
    secrets = {
        "postgres_password": settings["POSTGRES_PASSWORD"],
        "redis_password": settings["REDIS_PASSWORD"],
        "rabbitmq_erlang_cookie": settings["RABBITMQ_ERLANG_COOKIE"],
        "rabbitmq_definitions": broker_users.definitions(settings, services),
    }
    for service in services:
        secrets |= {
            f"{service}_{name}": content for name, content in service_secrets(settings, service, addresses).items()
        }
    return secrets


def service_secrets(settings: Mapping[str, str], service: str, addresses: Addresses) -> dict[str, str]:
    """Return the secrets of one service by their names without the name of the service."""
    database_password = settings[envfile.database_password_name(service)]
    broker_password = settings[envfile.broker_password_name(service)]
    secrets = {
        "db_password": database_password,
        "database_url": f"postgresql://{service}:{quote(database_password, safe='')}@{addresses.database}",
        "amqp_url": broker_users.url(service, broker_password, addresses.broker),
    }
    if "redis_url" in settings_class(service).model_fields:
        secrets["redis_url"] = f"redis://:{quote(settings['REDIS_PASSWORD'], safe='')}@{addresses.cache}/0"
    # An empty file means that the setting is unset.
    return secrets | {name.lower(): settings.get(name, "") for name in secret_variables(service)}
