"""A Redis client that uses one round trip per call and backs off for a second after Redis did not respond in time."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from chassis.runtime import logs

log = logs.logger(__name__)

TTL_SECONDS = 86400
_BACKOFF_SECONDS = 1.0
# More than a web process has concurrent requests: reaching the limit would make Redis appear unavailable.
_MAX_CONNECTIONS = 10_000

Result = TypeVar("Result")


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

    def lock_and_find(self, key: str, lock_seconds: float) -> tuple[bool, bytes | None]:
        """Return whether the caller acquired the lock of the key, and the value as read after that."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.set(_lock_key(key), "1", nx=True, px=int(lock_seconds * 1000))
        pipeline.get(key)
        is_locked, value = self._run(pipeline.execute)
        return bool(is_locked), value

    def store_and_unlock(self, values: Mapping[str, bytes], locked_keys: Sequence[str] = ()) -> None:
        """Store the values and release the locks; a failure is logged and has no other effect.

        The next reader of a key that has no value, or an outdated one, stores the current value.
        """
        pipeline = self._client.pipeline(transaction=False)
        for key, value in values.items():
            pipeline.set(key, value, ex=TTL_SECONDS)
        for key in locked_keys:
            pipeline.delete(_lock_key(key))
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


def _lock_key(key: str) -> str:
    return f"{key}:lock"
