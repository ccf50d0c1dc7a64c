"""Logging as JSON lines on stdout: a constant event name and fields, including the request ID and the message ID."""

import _thread
import atexit
import io
import logging
import re
import select
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any, TextIO, cast

# structlog imports rich if it is installed, which takes 4 MB in each program, and which only the client needs.
_rich = sys.modules.setdefault("rich", cast(Any, None))
import structlog  # noqa: E402
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger  # noqa: E402

if not _rich:
    del sys.modules["rich"]

# A signed token, wherever it is logged: in a path, a query, or the text of an exception.
_TOKEN = re.compile(r"eyJ(?:[A-Za-z0-9_.=-]|%[0-9A-Fa-f]{2}){10,}")


# What collects the lines, the supervisor for example, takes longer for one line than the process that writes it.
_MAX_DELAY_SECONDS = 0.25


class _Stdout:
    """Loses lines that cannot be written, as handlers of the standard library do: no request may fail because of one.

    A web process that survives its master, for example, has a stdout that nobody reads.
    """

    def __init__(self) -> None:
        self._is_delayed = self._is_waiting = False
        self._lines: deque[str] = deque()
        self._lock = threading.Lock()

    def delay(self) -> None:
        self._is_delayed = True
        atexit.register(self._end_delay)

    def write(self, line: str) -> None:
        if not self._is_delayed:
            self._write(line)
            return
        self._lines.append(line)
        if not self._is_waiting:
            self._is_waiting = True
            try:
                # Unlike Thread.start(), this does not wait, which under gevent could block all requests: structlog
                # holds a lock meanwhile.
                _thread.start_new_thread(self._write_later, ())
            except RuntimeError:
                self._write_waiting()

    def flush(self) -> None:
        """Do nothing: `write` flushes."""

    def _end_delay(self) -> None:
        self._is_delayed = False
        self._write_waiting()

    def _write_later(self) -> None:
        time.sleep(_MAX_DELAY_SECONDS)
        self._write_waiting()

    def _write_waiting(self) -> None:
        with self._lock:
            self._is_waiting = False
            text, size = "", 0
            while self._lines:
                line = self._lines.popleft()
                line_size = len(line.encode(errors="backslashreplace"))
                # Processes that share a pipe do not cut each other's lines if each writes at most this much at once.
                if size + line_size > select.PIPE_BUF:
                    self._write(text)
                    text, size = "", 0
                text, size = text + line, size + line_size
            self._write(text)

    def _write(self, text: str) -> None:
        with suppress(OSError, RuntimeError, ValueError):
            sys.stdout.write(text)
            sys.stdout.flush()


_stdout = _Stdout()


def delay_lines() -> None:
    """Write the lines of the service at most 250 ms later, many at once, from now on until the process exits.

    A process that is killed loses those that wait.
    """
    _stdout.delay()


def configure(service: str, level: str = "info") -> None:
    """Write the log lines of the service and of its libraries to stdout, in the same format."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A line must be written regardless of its characters and of the locale.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    add_fields: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _add_service(service),
    ]
    render: list[Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(ensure_ascii=False, default=repr),
        _mask_tokens,
    ]
    # The service's own lines bypass the standard library, which would take three times as long.
    structlog.configure(
        processors=[*add_fields, *render],
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _stdout)),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*add_fields, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in ("gunicorn.error", "gunicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    # pika logs every failed connection as an error; the consumer and the relay log it as one warning.
    logging.getLogger("pika").setLevel(logging.CRITICAL if level != "debug" else logging.DEBUG)


def _add_service(service: str) -> Processor:
    def add_service(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
        fields["service"] = service
        return fields

    return add_service


def _mask_tokens(_logger: WrappedLogger, _method: str, line: Any) -> str:
    return _TOKEN.sub("<token>", line)


def logger(name: str) -> FilteringBoundLogger:
    return cast(FilteringBoundLogger, structlog.get_logger(name))


bound = structlog.contextvars.bound_contextvars
bind = structlog.contextvars.bind_contextvars
