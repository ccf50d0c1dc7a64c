"""Selection of log lines by request ID and by level. The programs of a stack log in several formats."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

LEVELS = ("debug", "info", "warning", "error", "critical")
# Levels in the logs of nginx, RabbitMQ, Postgres, the supervisor and Redis (or Valkey), which uses characters.
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
    "trac": "debug",
    "debg": "debug",
    "erro": "error",
    ".": "debug",
    "-": "debug",
    "*": "info",
    "#": "warning",
}
_LEVEL_IN_TEXT = re.compile(
    r"\[(debug|info|notice|warn|warning|error|crit|critical|alert|emerg)\]"
    r"|\b(LOG|DETAIL|HINT|STATEMENT|WARNING|ERROR|FATAL|PANIC): "
    r"|^[\d-]+ [\d:,]+ (TRAC|DEBG|INFO|WARN|ERRO|CRIT) "
    r"|\b\d+:[MSCX] \d+ \w+ \d+ [\d:.]+ ([.*#-]) "
)

_CLEAR_LINE = "\x1b[2K"


@dataclass(frozen=True)
class LogFilter:
    """Accepts the lines of one request, of a level or above it, or both."""

    request_id: str = ""
    min_level: str = ""

    def accepts(self, line: str) -> bool:
        if self.request_id and self.request_id not in line:
            return False
        fields = _parse_fields(line)
        if self.request_id and fields.get("request_id") != self.request_id:
            return False
        return not self.min_level or _level_index(line, fields) >= LEVELS.index(self.min_level)

    def select(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield the accepted lines, without the sequence with which `docker compose logs` clears a terminal's line."""
        return (line.removeprefix(_CLEAR_LINE) for line in lines if self.accepts(line))


def sorted_by_time(lines: Iterable[str]) -> list[str]:
    """Return JSON lines in the order of their `time`.

    The gateway logs whole seconds, so its line may precede those of the services.
    """
    return sorted(lines, key=_time_of)


def _time_of(line: str) -> datetime:
    """Return the time of a JSON line; a line without a valid time is the first."""
    try:
        # The gateway logs the local time with its offset from UTC, the services log UTC.
        return datetime.fromisoformat(str(_parse_fields(line).get("time"))).astimezone(UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _parse_fields(line: str) -> dict[str, Any]:
    """Return the fields of a JSON line, with or without the prefix of `docker compose logs`."""
    start = line.find("{")
    if start < 0:
        return {}
    try:
        fields = json.loads(line[start:])
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _level_index(line: str, fields: dict[str, Any]) -> int:
    """Return an index into LEVELS; a line without a level counts as `info`."""
    level = fields.get("level")
    if level is None and (match := _LEVEL_IN_TEXT.search(line)):
        level = (match[match.lastindex or 0]).lower()
    level = _SYNONYMS.get(str(level), str(level))
    return LEVELS.index(level) if level in LEVELS else LEVELS.index("info")
