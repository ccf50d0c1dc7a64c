"""gunicorn's gevent worker, which also knows when it has nothing left to do."""

import time
from types import TracebackType
from typing import Any

import gevent
from gunicorn.http.parser import Parser
from gunicorn.workers.ggevent import GeventWorker

# The proxy may send one more request on a connection that it keeps; the answer to that tells it to close.
LINGER_SECONDS = 2
# What a route leaves unread of a body is discarded up to here, and the connection closed beyond.
_MAX_UNREAD_BYTES, _MAX_UNREAD_SECONDS = 2 * 1024 * 1024, 2

_finish_body = Parser.finish_body


def _finish_body_within_limits(parser: Parser) -> bool:
    """gunicorn would discard gigabytes, and let no other request run while they arrive fast."""
    return _finish_body(parser, time.monotonic() + _MAX_UNREAD_SECONDS, _MAX_UNREAD_BYTES)


# gunicorn has no setting for it.
Parser.finish_body = _finish_body_within_limits


class Worker(GeventWorker):
    """When told to stop, what is under way ends, and connections that only wait are closed after two seconds.

    gunicorn's own would wait until the proxy gives up its idle connections, or for the whole graceful timeout.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.idle: dict[gevent.Greenlet, gevent.Timeout] = {}
        self._stops_at: float | None = None

    def timeout_ctx(self) -> "_Idle":
        return _Idle(self)

    def notify(self) -> None:
        """gunicorn calls it each second, also while it waits for the end of what is under way."""
        super().notify()
        if self.alive:
            return
        if self._stops_at is None:
            self._stops_at = time.monotonic() + LINGER_SECONDS
        if time.monotonic() >= self._stops_at:
            for waiting, timeout in list(self.idle.items()):
                gevent.kill(waiting, timeout, block=False)


class _Idle:
    """Around the wait for a next request: ends it when the keep-alive time is over or the worker stops."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._timeout = gevent.Timeout(worker.cfg.keepalive)

    def __enter__(self) -> None:
        self._timeout.start()
        self._worker.idle[gevent.getcurrent()] = self._timeout

    def __exit__(
        self, _type: type[BaseException] | None, value: BaseException | None, _traceback: TracebackType | None
    ) -> bool:
        del self._worker.idle[gevent.getcurrent()]
        self._timeout.close()
        return value is self._timeout
