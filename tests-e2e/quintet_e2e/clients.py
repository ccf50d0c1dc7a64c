"""Clients of the gateway, whose requests have unique IDs and whose attempts also record broken connections."""

import itertools
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from quintet_e2e.stacks import RunningStack

# A request may receive these statuses while a part of the stack is down.
UNAVAILABLE_STATUSES = frozenset({502, 503, 504})
TOO_MANY_REQUESTS = 429  # the user has reached the gateway's limit of concurrent uploads
IN_PROGRESS = 409  # an earlier request with the same Idempotency-Key, whose client has disconnected, is in progress
TIMEOUT_SECONDS = 40
# A reload of the gateway can close several connections in succession while they are used.
_MAX_ATTEMPTS = 5


class Client:
    """HTTP client of one user, safe for concurrent use by threads. All its request IDs have the same unique prefix."""

    def __init__(self, stack: RunningStack, user: str | None = None, password: str | None = None) -> None:
        self.stack = stack
        self.credentials = (user or stack.user, password or stack.password)
        self.request_id_prefix = f"e2e-{secrets.token_hex(4)}"
        self._numbers = itertools.count(1)
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    def send(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any
    ) -> requests.Response:
        all_headers = {"X-Request-ID": self.request_id(), **(headers or {})}
        options.setdefault("timeout", TIMEOUT_SECONDS)
        return self._session().request(method, self.stack.url + path, headers=all_headers, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.send("GET", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.send("POST", path, **options)

    def put(self, path: str, **options: Any) -> requests.Response:
        return self.send("PUT", path, **options)

    def request_id(self) -> str:
        return f"{self.request_id_prefix}-{next(self._numbers)}"

    def send_with_retry(self, method: str, path: str, *, headers: dict[str, str], **options: Any) -> requests.Response:
        """Repeat the request with one Idempotency-Key until its outcome is known."""
        unknown_outcomes = UNAVAILABLE_STATUSES | {IN_PROGRESS, TOO_MANY_REQUESTS}
        headers = headers | {"Idempotency-Key": secrets.token_hex(16)}
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            attempt = attempt_request(lambda: self.send(method, path, headers=headers, **options))
            response = attempt.response
            if response is not None and response.status_code not in unknown_outcomes:
                return response
            assert time.monotonic() < deadline, f"no outcome within {TIMEOUT_SECONDS} s: {attempt.description}"
            time.sleep(0.05)

    def close(self) -> None:
        for session in self._sessions:
            session.close()

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False
            session.auth = self.credentials
            self._sessions.append(session)
        return session


def describe(response: requests.Response) -> str:
    return f"{response.status_code} {response.text[:300]} ({response.headers.get('X-Request-ID')})"


def ok_json(response: requests.Response) -> Any:
    """Return the JSON body of a response whose status must indicate success."""
    assert response.ok, describe(response)
    return response.json()


@dataclass(frozen=True)
class Attempt:
    """A request during which a fault may occur; `response` is None if the connection broke before its end."""

    started_at: float
    ended_at: float
    response: requests.Response | None

    @property
    def is_ok(self) -> bool:
        return self.response is not None and self.response.status_code == 200

    @property
    def is_unavailable(self) -> bool:
        """Whether the connection broke, even within a body, or the status reports that a service is unavailable."""
        return self.response is None or self.response.status_code in UNAVAILABLE_STATUSES

    @property
    def description(self) -> str:
        return "the connection broke" if self.response is None else describe(self.response)

    @property
    def seconds(self) -> float:
        return self.ended_at - self.started_at


def attempt_request(send: Callable[[], requests.Response]) -> Attempt:
    started_at = time.monotonic()
    try:
        response: requests.Response | None = send()
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError):
        response = None
    return Attempt(started_at, time.monotonic(), response)


def resend_if_disconnected(send: Callable[[], requests.Response]) -> requests.Response:
    """Send the request again if a reload of the gateway closed the connection. The request must be safe to repeat."""
    for _ in range(_MAX_ATTEMPTS):
        if (attempt := attempt_request(send)).response is not None:
            return attempt.response
    return send()


@contextmanager
def background_threads(count: int, work: Callable[[int], None]) -> Iterator[None]:
    """Run `work(number)` repeatedly in each thread until the block ends, and then raise an exception of a thread."""
    stop_event = threading.Event()

    def repeat(number: int) -> None:
        while not stop_event.is_set():
            work(number)

    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(repeat, number) for number in range(count)]
        try:
            yield
        finally:
            stop_event.set()
        for future in futures:
            future.result()


def run_concurrently(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Start `work(number)` in all threads at the same moment and return the results in order."""
    barrier = threading.Barrier(count)

    def start(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(count)))
