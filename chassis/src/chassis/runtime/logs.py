"""JSON lines on stdout: one constant event word, fields beside it, request and message id in each."""

import io
import logging
import re
import sys
from typing import Any

import structlog

# Signed tokens, in whatever was logged: a path, a query, the text of an exception.
_TOKEN = re.compile(r"eyJ(?:[A-Za-z0-9_.=-]|%[0-9A-Fa-f]{2}){10,}")


def configure(service: str, level: str = "info") -> None:
    """Libraries' lines come out in the same shape as ours."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _named(service),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=repr),
            _mask_tokens,
        ],
    )
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A line is written whatever it says and whatever the locale is.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in ("gunicorn.error", "gunicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    logging.getLogger("pika").setLevel(logging.CRITICAL if level != "debug" else logging.DEBUG)


def _named(service: str) -> Any:
    def add(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        event["service"] = service
        return event

    return add


def _mask_tokens(_logger: Any, _method: str, line: Any) -> str:
    return _TOKEN.sub("<token>", line)


def logger(name: str) -> Any:
    return structlog.get_logger(name)


bound = structlog.contextvars.bound_contextvars
bind = structlog.contextvars.bind_contextvars
