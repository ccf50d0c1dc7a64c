"""Retries: when a request is repeated, and which error a caller receives if it is not. Performs no I/O itself."""

from __future__ import annotations

import email.utils
import logging
import random
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone

import httpx

from quintet._responses import error_from_response
from quintet.errors import InvalidInput, OutcomeUnknown, ResponseError, Unavailable

log = logging.getLogger("quintet")

# The services send 503 only if nothing was done; the gateway sends 502 or 504 if a connection broke or timed out.
_RETRYABLE_STATUSES = frozenset({429, 502, 503, 504})
_UNKNOWN_OUTCOMES = frozenset({502, 504})
# More cannot be slept.
_MAX_RETRY_AFTER_SECONDS = 1e6
# The request was not sent.
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with full jitter, until `total_seconds` have passed; None repeats indefinitely."""

    total_seconds: float | None = 60.0
    initial_seconds: float = 0.1
    max_seconds: float = 5.0

    def until(self, remaining_seconds: float) -> RetryPolicy:
        """Return this policy, or one that ends after the remaining seconds if that is earlier."""
        if self.total_seconds is not None and self.total_seconds <= remaining_seconds:
            return self
        return replace(self, total_seconds=max(0.0, remaining_seconds))


class Backoff:
    """The delays between the attempts of one call.

    The time until the deadline begins with the call, or with its first failure if `is_transfer`: sending or receiving a
    file may take longer, and would not be repeated otherwise.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        is_transfer: bool = False,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._policy, self._clock, self._jitter = policy, clock, jitter
        self._started_at = None if is_transfer else clock()
        self._count = 0

    def next_delay(self, retry_after: float = 0.0) -> float | None:
        """Return the seconds to wait, at least `retry_after`; None if the deadline is earlier."""
        limit: float = min(self._policy.max_seconds, self._policy.initial_seconds * 2.0 ** min(self._count, 20))
        self._count += 1
        delay = self._jitter() * limit
        if self._policy.total_seconds is not None:
            now = self._clock()
            self._started_at = now if self._started_at is None else self._started_at
            remaining = self._started_at + self._policy.total_seconds - now
            if remaining <= 0 or retry_after > remaining:
                return None
            delay = min(delay, remaining)
        return max(delay, retry_after)

    def reset(self) -> None:
        """Begin with short delays again, after a success."""
        self._count = 0


def parse_retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds in `Retry-After`, which may also be a date; 0 if it is absent or invalid."""
    text = headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return min(float(text), _MAX_RETRY_AFTER_SECONDS)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        return 0.0
    return min(max(0.0, (moment - datetime.now(timezone.utc)).total_seconds()), _MAX_RETRY_AFTER_SECONDS)


class Attempts:
    """The attempts of one call: decides after each one whether it is the last.

    `settled_statuses` are errors that mean success if an earlier attempt may have been applied: after a `DELETE` whose
    response was lost, 404 means that it was done. A call that is not `is_repeatable` is repeated only if it is known
    that nothing was done.
    """

    def __init__(
        self,
        backoff: Backoff,
        *,
        request_id: str,
        is_read: bool,
        is_repeatable: bool = True,
        settled_statuses: Collection[int] = (),
    ) -> None:
        self._backoff, self._request_id = backoff, request_id
        self._is_read, self._is_repeatable = is_read, is_repeatable
        self._settled_statuses = settled_statuses
        self._may_be_applied = False

    def after_response(self, status: int, headers: Mapping[str, str], body: bytes) -> float | None:
        """Return the seconds until the next attempt, or None after a success; raise the error if it is final."""
        if 200 <= status < 300 or (self._may_be_applied and status in self._settled_statuses):
            return None
        error = error_from_response(status, headers, body)
        error.request_id = error.request_id or self._request_id
        if status not in _RETRYABLE_STATUSES and not (status == 409 and "retry-after" in headers):
            raise error
        self._record(is_unknown=status in _UNKNOWN_OUTCOMES)
        return self._delay_or_raise(error, parse_retry_after(headers))

    def after_failure(self, failure: httpx.RequestError) -> float:
        """Return the seconds until the next attempt; raise the error if it is final."""
        reason = f"{type(failure).__name__}: {failure}" if str(failure) else type(failure).__name__
        if isinstance(failure, httpx.LocalProtocolError):
            # For instance a header with a line break, which is not sent.
            raise InvalidInput(f"the request is invalid ({reason})", request_id=self._request_id) from failure
        error = Unavailable(f"the connection failed ({reason})", request_id=self._request_id)
        if _is_permanent(failure):
            raise error from failure
        self._record(is_unknown=not isinstance(failure, _UNSENT))
        try:
            return self._delay_or_raise(error, 0.0)
        except ResponseError as final:
            raise final from failure

    def _record(self, *, is_unknown: bool) -> None:
        self._may_be_applied = self._may_be_applied or (is_unknown and not self._is_read)

    def _delay_or_raise(self, error: ResponseError, retry_after: float) -> float:
        may_repeat = self._is_repeatable or not self._may_be_applied
        delay = self._backoff.next_delay(retry_after) if may_repeat else None
        if delay is None:
            raise self._as_unknown(error) if self._may_be_applied else error
        log.info("%s; next attempt in %.1f s, request %s", error.detail.rstrip("."), delay, self._request_id)
        return delay

    def _as_unknown(self, error: ResponseError) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"it is unknown whether the request was applied: {error.detail}",
            status=error.status,
            title=error.title,
            errors=error.errors,
            request_id=error.request_id,
        )


def _is_permanent(failure: httpx.RequestError) -> bool:
    """Return whether a repetition would fail too: an unknown scheme, or a certificate that is not trusted."""
    if isinstance(failure, httpx.UnsupportedProtocol):
        return True
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
