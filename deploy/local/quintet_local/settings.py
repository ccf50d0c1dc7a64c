"""Which variables a line of .env may set: whatever a service's Settings class, the gateway or Compose knows."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module

from chassis.runtime.config import ConfigError, ServiceSettings
from console_service.settings import Settings as ConsoleSettings
from quintet_local import envfile
from quintet_local.layout import CHECKOUT
from quintet_local.progress import StackError, say

# Where things are is told to the programs by the stack itself.
_SET_BY_THE_STACK = re.compile(
    r"DATABASE_URL|AMQP_URL|REDIS_URL|BIND|DATA_DIR|RESERVED_STREAMS|SEQUENCE_URL|SDX_SEQUENCE_POSTGRES_\w+"
)
_SET_FOR_THE_CONSOLE = ("BIND", "SERVICES", "SERVICE_URL", "WEB_CONCURRENCY")
_UNUSED = "postgresql://unused"


def settings_class(word: str) -> type[ServiceSettings]:
    found: type[ServiceSettings] = import_module(f"{word}_service.settings").Settings
    return found


def variables(word: str) -> list[str]:
    """Return what can be set for a service."""
    return [name for name in _all_variables(word) if not _SET_BY_THE_STACK.fullmatch(name)]


def secret_variables(word: str) -> list[str]:
    """Return those of them that no log, and no description of a container, may show."""
    fields = settings_class(word).model_fields
    return [name for name in variables(word) if not fields[name.lower()].repr]


def gateway_variables() -> list[str]:
    """Return what can be set for the gateway: the first block of its script."""
    script = (CHECKOUT / "gateway" / "render.sh").read_text()
    return re.findall(r'^: "\$\{([A-Z_]+):=', script, re.MULTILINE)


def console_variables() -> list[str]:
    return [name.upper() for name in ConsoleSettings.model_fields if name.upper() not in _SET_FOR_THE_CONSOLE]


def told_to_programs(words: Iterable[str]) -> set[str]:
    """Return what reaches a service, the gateway or the console: from .env alone, not from a developer's shell."""
    return {name for word in words for name in variables(word)} | set(gateway_variables()) | set(console_variables())


def check(settings: Mapping[str, str], words: Iterable[str]) -> None:
    """Warn of each line of .env that has no effect; raise a StackError for a value that a service would refuse."""
    words = list(words)
    for warning in warnings(settings, words):
        say(f"WARNING: {warning}")
    for word in words:
        values = {name: settings[name] for name in variables(word) if name in settings}
        try:
            settings_class(word).load(values | {"DATABASE_URL": _UNUSED})
        except ConfigError as error:
            raise StackError(f".env has a value that {word}-service refuses:\n{error}") from None


def warnings(settings: Mapping[str, str], words: Iterable[str]) -> list[str]:
    words = list(words)
    own = {name for word in words for name in _all_variables(word) if _SET_BY_THE_STACK.fullmatch(name)}
    known = told_to_programs(words) | _compose_variables() | set(envfile.names(words))
    found = []
    for name in settings:
        if name in own:
            found.append(f"{name} in .env has no effect: the stack sets it itself")
        elif name not in known and not name.startswith("COMPOSE_"):
            nearest = get_close_matches(name, known, 1)
            found.append(f"{name} in .env is not known" + (f": is {nearest[0]} meant?" if nearest else ""))
    return found


def _all_variables(word: str) -> list[str]:
    return [name.upper() for name in settings_class(word).model_fields]


def _compose_variables() -> set[str]:
    return set(re.findall(r"\$\{([A-Z_]+)", (CHECKOUT / "docker-compose.yml").read_text()))
