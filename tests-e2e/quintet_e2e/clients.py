"""Clients of the gateway: each request with an id of its own, each outcome known or known to be unknown."""

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

from quintet_e2e.stacks import Running

# What a request may be told while something is down.
AWAY = frozenset({502, 503, 504})
TOO_MANY = 429  # the user has as many uploads open as the gateway admits
STILL_UNDER_WAY = 409  # another request with the same Idempotency-Key, whose client has given up
TIMEOUT_SECONDS = 40
# One for each connection that a reload may close as it is used, and some.
_MOST_SENDS = 5


class Client:
    """One user; any number of threads."""

    def __init__(self, stack: Running, user: str | None = None, password: str | None = None) -> None:
        self.stack = stack
        self.credentials = (user or stack.user, password or stack.password)
        # All its request ids begin with it.
        self.label = f"e2e-{secrets.token_hex(4)}"
        self._numbers = itertools.count(1)
        self._own = threading.local()
        self._sessions: list[requests.Session] = []

    def send(self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> requests.Response:
        given = {"X-Request-ID": self.request_id(), **(headers or {})}
        more.setdefault("timeout", TIMEOUT_SECONDS)
        return self._session().request(method, self.stack.url + path, headers=given, **more)

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.send("GET", path, **more)

    def post(self, path: str, **more: Any) -> requests.Response:
        return self.send("POST", path, **more)

    def put(self, path: str, **more: Any) -> requests.Response:
        return self.send("PUT", path, **more)

    def request_id(self) -> str:
        return f"{self.label}-{next(self._numbers)}"

    def until_known(self, method: str, path: str, *, headers: dict[str, str], **more: Any) -> requests.Response:
        """Repeats with one Idempotency-Key until the outcome is no longer unknown."""
        keyed = headers | {"Idempotency-Key": secrets.token_hex(16)}
        ends = time.monotonic() + TIMEOUT_SECONDS
        while True:
            tried = attempt(lambda: self.send(method, path, headers=keyed, **more))
            if tried.answer is not None and tried.answer.status_code not in AWAY | {STILL_UNDER_WAY, TOO_MANY}:
                return tried.answer
            assert time.monotonic() < ends, f"no outcome within {TIMEOUT_SECONDS} s: {tried.told}"
            time.sleep(0.05)

    def close(self) -> None:
        for session in self._sessions:
            session.close()

    def _session(self) -> requests.Session:
        if not hasattr(self._own, "session"):
            self._own.session = requests.Session()
            self._own.session.trust_env = False
            self._own.session.auth = self.credentials
            self._sessions.append(self._own.session)
        return self._own.session


def told(answer: requests.Response) -> str:
    return f"{answer.status_code} {answer.text[:300]} ({answer.headers.get('X-Request-ID')})"


def done(answer: requests.Response) -> Any:
    """The body of an answer that has to be a good one."""
    assert answer.ok, told(answer)
    return answer.json()


@dataclass(frozen=True)
class Attempt:
    """A request that may meet a fault; no answer where the connection broke before the end of one."""

    began: float
    ended: float
    answer: requests.Response | None

    @property
    def is_ok(self) -> bool:
        return self.answer is not None and self.answer.status_code == 200

    @property
    def is_away(self) -> bool:
        """A body that is cut off is told by its Content-Length: the process died while it wrote."""
        return self.answer is None or self.answer.status_code in AWAY

    @property
    def told(self) -> str:
        return "the connection broke" if self.answer is None else told(self.answer)

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def attempt(send: Callable[[], requests.Response]) -> Attempt:
    began = time.monotonic()
    try:
        answer: requests.Response | None = send()
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError):
        answer = None
    return Attempt(began, time.monotonic(), answer)


def answered(send: Callable[[], requests.Response]) -> requests.Response:
    """Sends again where the connection broke; for what may be done twice while the gateway reloads."""
    for _ in range(_MOST_SENDS):
        if (tried := attempt(send)).answer is not None:
            return tried.answer
    return send()


@contextmanager
def crowd(size: int, work: Callable[[int], None]) -> Iterator[None]:
    """So many threads, each doing its work again and again until the block is left. What one raises is raised."""
    leaving = threading.Event()

    def go_on(number: int) -> None:
        while not leaving.is_set():
            work(number)

    with ThreadPoolExecutor(size) as pool:
        going = [pool.submit(go_on, number) for number in range(size)]
        try:
            yield
        finally:
            leaving.set()
        for thread in going:
            thread.result()


def all_at_once(size: int, work: Callable[[int], Any]) -> list[Any]:
    """So many threads that begin at the same moment; what each returned."""
    barrier = threading.Barrier(size)

    def begin(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(begin, range(size)))
