"""Uploads: a request body that is read as a stream, with limits on size and time and a check that it is complete."""

import socket
import time
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
    """The body of a request, for routes that accept files. The body must not be read through the request as well.

    Creating the stream raises Problem (415) if the body is compressed. Reading raises Invalid if the client disconnects
    early, and Problem (413) once the body exceeds `max_bytes`. Reading raises Problem (408) if the upload takes longer
    than UPLOAD_MAX_SECONDS, or if after a grace period the client's average rate is below UPLOAD_MIN_BYTES_PER_SECOND;
    only time spent waiting for the client counts for the rate. This is detected even while the client sends nothing.
    After a 408 the stream is at its end, and the server closes the connection.
    """

    grace_seconds = 20.0

    def __init__(self, request: Request, max_bytes: int, field: str = "body") -> None:
        if request.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
            raise Problem("Content-Encoding is not supported: send the file uncompressed", status=415)
        self._max_bytes = max_bytes
        self._check_size(request.content_length or 0)
        # One byte more: otherwise reading beyond a body of the maximum size, to detect its end, would fail.
        request.max_content_length = max_bytes + 1
        settings = cast(UploadSettings, this_app().settings)
        self._request = request
        self._min_bytes_per_second = settings.upload_min_bytes_per_second
        self._deadline = time.monotonic() + settings.upload_max_seconds
        self._field = field
        self._remaining = request.content_length or 0
        self._received = 0
        self._waited_seconds = 0.0
        self._is_aborted = False

    def read(self, max_bytes: int) -> bytes:
        """Return the next bytes, or b"" at the end of the body."""
        if self._is_aborted:
            return b""
        # A read returns only once it is complete: small reads first, so that a low rate is detected in time.
        size = min(max_bytes, max(_FIRST_READ_BYTES, self._received))
        started_at = time.monotonic()
        timeout_seconds, timeout = self._timeout_for(size, started_at)
        try:
            if timeout_seconds <= 0:
                raise timeout
            with gevent.Timeout(timeout_seconds, timeout):
                data = self._request.stream.read(size)
        except Problem:
            self._abort()
            raise
        except RequestEntityTooLarge:
            raise self._too_large() from None
        self._waited_seconds += time.monotonic() - started_at
        self._received += len(data)
        self._check_size(self._received)
        self._remaining -= len(data)
        if not data and self._remaining > 0:
            raise Invalid.field(self._field, "the upload ended before its declared length")
        # Yield to other greenlets: otherwise a client that sends fast would block other requests.
        time.sleep(0)
        return data

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise self._too_large()

    def _too_large(self) -> Problem:
        parameters = {"max_bytes": self._max_bytes}
        return Problem("the body is larger than %(max_bytes)s bytes", parameters=parameters, status=413)

    def _timeout_for(self, size: int, now: float) -> tuple[float, Problem]:
        """Return how many seconds reading the next `size` bytes may take, and the error to raise after that."""
        timeout_seconds, detail = self._deadline - now, TOO_LONG
        if self._min_bytes_per_second:
            max_wait_seconds = max(self.grace_seconds, (self._received + size) / self._min_bytes_per_second)
            remaining_seconds = max_wait_seconds - self._waited_seconds
            if remaining_seconds < timeout_seconds:
                timeout_seconds, detail = remaining_seconds, TOO_SLOW
        return timeout_seconds, Problem(detail, status=408)

    def _abort(self) -> None:
        """Stop receiving on this connection: otherwise the server would wait for the rest of the body."""
        self._is_aborted = True
        with suppress(OSError, KeyError):
            self._request.environ["gunicorn.socket"].shutdown(socket.SHUT_RD)
