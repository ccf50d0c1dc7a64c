"""A Redis client that uses one round trip per call and backs off for a second after Redis did not respond in time."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from chassis.runtime import logs

log = logs.logger(__name__)

TTL_SECONDS = 86400
_BACKOFF_SECONDS = 1.0
# More than a web process has concurrent requests: reaching the limit would make Redis appear unavailable.
_MAX_CONNECTIONS = 10_000

# Another reader may hold the lock if it expired.
_UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"

Result = TypeVar("Result")


class Lock(NamedTuple):
    """The lock of a key until it is released or expires; the token distinguishes it from locks of other readers."""

    key: str
    token: str


class RedisUnavailable(Exception):
    """Redis did not confirm a command; the command may have been executed, or may be executed later."""


class RedisClient:
    def __init__(self, url: str, timeout_seconds: float) -> None:
        # A connection that broke while it was idle is replaced; a command that timed out is not retried.
        retry = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
        self._client: Any = redis.Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=retry,
            max_connections=_MAX_CONNECTIONS,
        )
        self._backoff_until = 0.0

    def ping(self) -> None:
        self._run(self._client.ping)

    def find(self, keys: Sequence[str]) -> dict[str, bytes | None]:
        return self._run(lambda: dict(zip(keys, self._client.mget(keys), strict=True)))

    def lock_and_find(self, key: str, lock_seconds: float) -> tuple[Lock | None, bytes | None]:
        """Return the lock of the key if the caller acquired it, and the value as read after that."""
        lock = Lock(f"{key}:lock", secrets.token_hex(8))
        pipeline = self._client.pipeline(transaction=False)
        pipeline.set(lock.key, lock.token, nx=True, px=int(lock_seconds * 1000))
        pipeline.get(key)
        is_locked, value = self._run(pipeline.execute)
        return lock if is_locked else None, value

    def store_and_unlock(self, values: Mapping[str, bytes], lock: Lock | None = None) -> None:
        """Store the values and release the lock, unless it has expired; a failure is logged and has no other effect.

        The next reader of a key that has no value, or an outdated one, stores the current value.
        """
        pipeline = self._client.pipeline(transaction=False)
        for key, value in values.items():
            pipeline.set(key, value, ex=TTL_SECONDS)
        if lock:
            pipeline.eval(_UNLOCK, 1, *lock)
        try:
            self._run(pipeline.execute)
        except RedisUnavailable as error:
            log.info("cache.store_failed", reason=str(error))

    def _run(self, command: Callable[[], Result]) -> Result:
        if time.monotonic() < self._backoff_until:
            raise RedisUnavailable("Redis was unreachable less than a second ago")
        try:
            return command()
        except redis.ResponseError as error:
            # Redis responds: when it is full it rejects writes and still serves reads.
            raise RedisUnavailable(str(error)) from error
        except (redis.RedisError, OSError) as error:
            log.warning("redis.unavailable", reason=repr(error))
            self._backoff_until = time.monotonic() + _BACKOFF_SECONDS
            raise RedisUnavailable(str(error)) from error
