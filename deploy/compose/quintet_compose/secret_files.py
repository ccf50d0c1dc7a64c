"""What the containers of docker-compose.yml read as secrets: a file for each, made from .env.

The folder is for its owner only; the files in it can be read by whichever user a container runs as.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from quintet_local import broker_users, envfile
from quintet_local.broker_users import VHOST
from quintet_local.settings import secret_variables, settings_class

DATABASE = "quintet"
# There while containers may still run with what a file said before.
CHANGED = "changed"


def write(folder: Path, settings: Mapping[str, str], services: Iterable[str]) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    for name, content in contents(settings, services).items():
        file = folder / name
        if file.exists() and file.read_text() != content:
            (folder / CHANGED).touch()
        if not file.exists() or file.read_text() != content:
            new = folder / f"{name}.new"
            new.write_text(content)
            new.chmod(0o444)
            new.replace(file)


def contents(settings: Mapping[str, str], services: Iterable[str]) -> dict[str, str]:
    services = list(services)
    made = {
        "postgres_password": settings["POSTGRES_PASSWORD"],
        "redis_password": settings["REDIS_PASSWORD"],
        "rabbitmq_erlang_cookie": settings["RABBITMQ_ERLANG_COOKIE"],
        "rabbitmq_definitions": broker_users.definitions(settings, services),
    }
    for service in services:
        made |= {f"{service}_{name}": content for name, content in _of_service(settings, service).items()}
    return made


def _of_service(settings: Mapping[str, str], service: str) -> dict[str, str]:
    database_password = settings[envfile.database_password_name(service)]
    broker_password = settings[envfile.broker_password_name(service)]
    made = {
        "db_password": database_password,
        "database_url": f"postgresql://{service}:{quote(database_password, safe='')}@/{DATABASE}?host=/run/postgresql",
        "amqp_url": f"amqp://{service}:{quote(broker_password, safe='')}@rabbitmq:5672/{VHOST}",
    }
    if "redis_url" in settings_class(service).model_fields:
        made["redis_url"] = f"redis://:{quote(settings['REDIS_PASSWORD'], safe='')}@redis:6379/0"
    # An empty file counts as not set.
    return made | {name.lower(): settings.get(name, "") for name in secret_variables(service)}
