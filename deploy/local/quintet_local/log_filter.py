"""Select log lines by request ID and by level: the programs of a stack log in several formats."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

LEVELS = ("debug", "info", "warning", "error", "critical")
# Names of the levels in the logs of nginx, RabbitMQ, Redis and Postgres.
_SYNONYMS = {
    "notice": "info",
    "log": "info",
    "detail": "info",
    "hint": "info",
    "statement": "info",
    "warn": "warning",
    "crit": "critical",
    "alert": "critical",
    "emerg": "critical",
    "fatal": "critical",
    "panic": "critical",
}
_LEVEL_IN_TEXT = re.compile(
    r"\[(debug|info|notice|warn|warning|error|crit|critical|alert|emerg)\]"
    r"|\b(LOG|DETAIL|HINT|STATEMENT|WARNING|ERROR|FATAL|PANIC): "
)


@dataclass(frozen=True)
class LogFilter:
    """Accepts the lines of one request, of a level or above it, or both."""

    request_id: str = ""
    min_level: str = ""

    def __bool__(self) -> bool:
        return bool(self.request_id or self.min_level)

    def accepts(self, line: str) -> bool:
        if self.request_id and self.request_id not in line:
            return False
        fields = _fields_of(line)
        if self.request_id and fields.get("request_id") != self.request_id:
            return False
        return not self.min_level or _level_of(line, fields) >= LEVELS.index(self.min_level)

    def select(self, lines: Iterable[str]) -> Iterator[str]:
        return (line for line in lines if self.accepts(line))


def sorted_by_time(lines: Iterable[str]) -> list[str]:
    """Return JSON lines in the order of their `time`; lines of the gateway have no fractions of a second."""
    return sorted(lines, key=lambda line: str(_fields_of(line).get("time", "")))


def _fields_of(line: str) -> dict[str, Any]:
    """Return the fields of a JSON line, with or without the prefix of `docker compose logs`."""
    start = line.find("{")
    if start < 0:
        return {}
    try:
        fields = json.loads(line[start:])
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _level_of(line: str, fields: dict[str, Any]) -> int:
    """Return an index into LEVELS; a line without a level counts as `info`."""
    level = fields.get("level")
    if level is None and (match := _LEVEL_IN_TEXT.search(line)):
        level = (match.group(1) or match.group(2)).lower()
    level = _SYNONYMS.get(str(level), str(level))
    return LEVELS.index(level) if level in LEVELS else LEVELS.index("info")
