"""Redis, one round trip for each call; taken for unavailable during a second after it did not reply in time."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from chassis.runtime import logs

log = logs.logger(__name__)

KEPT_SECONDS = 86400
_UNAVAILABLE_SECONDS = 1.0
# More than the requests that a web process has at a time: a limit would make Redis look unavailable.
_MAX_CONNECTIONS = 10_000

Result = TypeVar("Result")


class RedisUnavailable(Exception):
    """Redis did not confirm a command, which may have been executed or may still be."""


class RedisClient:
    def __init__(self, url: str, timeout_seconds: float) -> None:
        # A connection that broke while it was idle is replaced; a timeout is not tried again.
        retry = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
        self._client: Any = redis.Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=retry,
            max_connections=_MAX_CONNECTIONS,
        )
        self._unavailable_until = 0.0

    def ping(self) -> None:
        self._run(self._client.ping)

    def find(self, keys: Sequence[str]) -> dict[str, bytes | None]:
        return self._run(lambda: dict(zip(keys, self._client.mget(keys), strict=True)))

    def lock_and_find(self, key: str, lock_seconds: float) -> tuple[bool, bytes | None]:
        """Whether the caller is now the only one to fill the key, and its value, read after that."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.set(_lock_of(key), "1", nx=True, px=int(lock_seconds * 1000))
        pipeline.get(key)
        is_locked, value = self._run(pipeline.execute)
        return bool(is_locked), value

    def store_and_unlock(self, values: Mapping[str, bytes], locked: Sequence[str] = ()) -> None:
        """Nothing depends on its success: a key without its value, or with an old one, is filled by its next reader."""
        pipeline = self._client.pipeline(transaction=False)
        for key, value in values.items():
            pipeline.set(key, value, ex=KEPT_SECONDS)
        for key in locked:
            pipeline.delete(_lock_of(key))
        try:
            self._run(pipeline.execute)
        except RedisUnavailable as error:
            log.info("cache.not_stored", reason=str(error))

    def _run(self, command: Callable[[], Result]) -> Result:
        if time.monotonic() < self._unavailable_until:
            raise RedisUnavailable("it was unavailable a moment ago")
        try:
            return command()
        except redis.ResponseError as error:
            # It responds: a full Redis rejects writes and serves reads.
            raise RedisUnavailable(str(error)) from error
        except (redis.RedisError, OSError) as error:
            log.warning("redis.unavailable", reason=repr(error))
            self._unavailable_until = time.monotonic() + _UNAVAILABLE_SECONDS
            raise RedisUnavailable(str(error)) from error


def _lock_of(key: str) -> str:
    return f"{key}:lock"
