"""Settings in .env and in the environment: of the services' Settings classes, the gateway, the console and Compose."""

import os
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from chassis.runtime.config import ConfigError, ServiceSettings
from console_service.settings import Settings as ConsoleSettings
from quintet_local import envfile
from quintet_local.layout import CHECKOUT
from quintet_local.progress import StackError, log_progress

# The stack itself sets the addresses and folders that its programs use.
_STACK_VARIABLES = re.compile(
    r"DATABASE_URL|AMQP_URL|REDIS_URL|(WORKER_)?BIND|DATA_DIR|RESERVED_STREAMS|SEQUENCE_URL|SDX_SEQUENCE_POSTGRES_\w+"
)
_CONSOLE_STACK_VARIABLES = (
    "BIND", "SERVICES", "SERVICE_URL", "USERS_FILE", "USERS_PROGRAM", "ACCESS_LOG_FILE", "WEB_CONCURRENCY",
)  # fmt: skip
# Later commands depend on them: whether the gateway serves HTTPS, and where a backup finds the files.
_DEPLOYMENT_VARIABLES = ("TLS_CERT", "TLS_KEY", "S3_BUCKET", "S3_ENDPOINT_URL", "S3_REGION")
# For backups, migrations and people.
_RESERVED_CONNECTIONS = 10
_UNUSED_URL = "postgresql://unused"


def settings_class(service: str) -> type[ServiceSettings]:
    settings: type[ServiceSettings] = import_module(f"{service}_service.settings").Settings
    return settings


def variables(service: str) -> list[str]:
    """Return the variables that can be set for a service."""
    return [name for name in _all_variables(service) if not _STACK_VARIABLES.fullmatch(name)]


def secret_variables(service: str) -> list[str]:
    """Return the variables of a service that no log and no container description may show."""
    fields = settings_class(service).model_fields
    return [name for name in variables(service) if not fields[name.lower()].repr]


def gateway_variables() -> list[str]:
    """Return the variables that can be set for the gateway: the first block of its script."""
    script = (CHECKOUT / "gateway" / "render.sh").read_text()
    return re.findall(r'^: "\$\{([A-Z_]+):=', script, re.MULTILINE)


def console_variables() -> list[str]:
    return [name.upper() for name in ConsoleSettings.model_fields if name.upper() not in _CONSOLE_STACK_VARIABLES]


def configurable_variables(services: Iterable[str]) -> set[str]:
    """Return the settings of all programs of the stack."""
    of_services = {name for service in services for name in variables(service)}
    return of_services | set(gateway_variables()) | set(console_variables())


def env_file_only(services: Iterable[str]) -> set[str]:
    """Return the settings that are read from .env only, because the environment may have those of another stack.

    These are the settings that `make up` writes, such as ports and passwords, and all other secrets.
    """
    services = list(services)
    secrets = {name for service in services for name in secret_variables(service)}
    return {*envfile.setting_names(services), *secrets, *_DEPLOYMENT_VARIABLES}


def from_environment(services: Iterable[str]) -> dict[str, str]:
    """Return the settings of programs in the environment of this command. They win over .env, as in Compose."""
    services = list(services)
    names = configurable_variables(services) - env_file_only(services)
    return {name: os.environ[name] for name in sorted(names) if name in os.environ}


def load(env_file: Path, services: Iterable[str]) -> dict[str, str]:
    """Return the settings of this folder's stack; raise a StackError if it has none."""
    return envfile.load_existing(env_file) | from_environment(services)


def validate(settings: Mapping[str, str], services: Iterable[str]) -> None:
    """Warn about each line of .env that has no effect; raise a StackError for a value that a service rejects."""
    services = list(services)
    for warning in warnings(settings, services):
        log_progress(f"WARNING: {warning}")
    connection_count = 0
    for service in services:
        values = {name: settings[name] for name in variables(service) if name in settings}
        try:
            loaded = settings_class(service).load(values | {"DATABASE_URL": _UNUSED_URL})
        except ConfigError as error:
            raise StackError(f"the settings of {service}-service must be valid:\n{error}") from None
        connection_count += loaded.connection_count
    if connection_count > (available := max_connections() - _RESERVED_CONNECTIONS):
        raise StackError(
            f"POOL_SIZE, WEB_CONCURRENCY and WORKER_THREADS must allow at most {available} connections to"
            f" Postgres, but the services would need up to {connection_count}"
        )


def max_connections() -> int:
    """Return how many connections Postgres accepts."""
    configuration = (CHECKOUT / "deploy" / "postgres" / "postgresql.conf").read_text()
    return int(re.findall(r"^max_connections = (\d+)$", configuration, re.MULTILINE)[0])


def warnings(settings: Mapping[str, str], services: Iterable[str]) -> list[str]:
    services = list(services)
    set_by_stack = {
        name for service in services for name in _all_variables(service) if _STACK_VARIABLES.fullmatch(name)
    }
    supported = configurable_variables(services) | _compose_variables() | set(envfile.setting_names(services))
    messages = []
    for name in settings:
        if name in set_by_stack:
            messages.append(f"{name} in .env has no effect: the stack sets it itself")
        elif name not in supported and not name.startswith("COMPOSE_"):
            nearest = get_close_matches(name, supported, 1)
            messages.append(
                f"{name} in .env is not a known setting" + (f": did you mean {nearest[0]}?" if nearest else "")
            )
    return messages


def _all_variables(service: str) -> list[str]:
    return [name.upper() for name in settings_class(service).model_fields]


def _compose_variables() -> set[str]:
    return set(re.findall(r"\$\{([A-Z_]+)", (CHECKOUT / "docker-compose.yml").read_text()))
