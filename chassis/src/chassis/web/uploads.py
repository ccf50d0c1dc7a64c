"""A request body that is read as a stream: within limits of size and time, in chunks, and known to be whole."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import cast

import gevent
from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from chassis.errors import Invalid, Problem
from chassis.runtime.config import UploadSettings
from chassis.web.app import this_app

TOO_SLOW = "the upload is too slow: send the file over a faster connection"
TOO_LONG = "the upload takes too long: send the file over a faster connection, or split it into smaller files"
_FIRST_READ_BYTES = 1024


class UploadStream:
    """The body of a request, for routes that take files: read it here only, not from the request as well.

    Creating it raises Problem (415) if the body is compressed. Reading raises Invalid if the client broke off, and
    Problem (413) once there are more than `max_bytes`. It raises Problem (408) once the client's average rate is below
    UPLOAD_MIN_BYTES_PER_SECOND after a grace period, or the upload lasts longer than UPLOAD_MAX_SECONDS, also while the
    client sends nothing. The rate counts only time spent waiting for the client. Afterwards the body has ended, and the
    server closes the connection.
    """

    grace_seconds = 20.0

    def __init__(self, request: Request, max_bytes: int, field: str = "body") -> None:
        if request.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
            raise Problem("Content-Encoding is not supported: send the file uncompressed", status=415)
        self._max_bytes = max_bytes
        self._refuse_more_than_allowed(request.content_length or 0)
        # One byte more, or reading on to see that the body ends would be an error.
        request.max_content_length = max_bytes + 1
        settings = cast(UploadSettings, this_app().settings)
        self._request = request
        self._min_rate = settings.upload_min_bytes_per_second
        self._ends_at = time.monotonic() + settings.upload_max_seconds
        self._field = field
        self._missing = request.content_length or 0
        self._received = 0
        self._waited_seconds = 0.0
        self._is_cut = False

    def read(self, max_bytes: int) -> bytes:
        """Return the next bytes, or none at the end of the body."""
        if self._is_cut:
            return b""
        # A read returns only once it is complete: small ones first, so that a low rate shows in time.
        size = min(max_bytes, max(_FIRST_READ_BYTES, self._received))
        began = time.monotonic()
        seconds, too_late = self._time_for(size, began)
        try:
            if seconds <= 0:
                raise too_late
            with gevent.Timeout(seconds, too_late):
                data = self._request.stream.read(size)
        except Problem:
            self._cut()
            raise
        except RequestEntityTooLarge:
            raise self._too_large() from None
        self._waited_seconds += time.monotonic() - began
        self._received += len(data)
        self._refuse_more_than_allowed(self._received)
        self._missing -= len(data)
        if not data and self._missing > 0:
            raise Invalid.field(self._field, "the upload ended before its declared length")
        # Under gevent a client that sends fast would otherwise keep other requests waiting.
        time.sleep(0)
        return data

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield the body in chunks of exactly that size; the last one may be smaller."""
        gathered = b""
        while data := self.read(size - len(gathered)):
            gathered += data
            if len(gathered) == size:
                yield gathered
                gathered = b""
        if gathered:
            yield gathered

    def _refuse_more_than_allowed(self, size: int) -> None:
        if size > self._max_bytes:
            raise self._too_large()

    def _too_large(self) -> Problem:
        return Problem(f"the body is larger than {self._max_bytes} bytes", status=413)

    def _time_for(self, size: int, now: float) -> tuple[float, Problem]:
        """Return how many seconds the next bytes may take, and what to raise if they take longer."""
        seconds, detail = self._ends_at - now, TOO_LONG
        if self._min_rate:
            slowest = max(self.grace_seconds, (self._received + size) / self._min_rate) - self._waited_seconds
            if slowest < seconds:
                seconds, detail = slowest, TOO_SLOW
        return seconds, Problem(detail, status=408)

    def _cut(self) -> None:
        """Accept no more from this connection: the server would otherwise wait for the rest of the body."""
        self._is_cut = True
        with suppress(OSError, KeyError):
            self._request.environ["gunicorn.socket"].shutdown(socket.SHUT_RD)
