"""Reads responses from Redis while their version is current, else from Postgres.

1. Readers that arrive together share one statement for the current versions, and one command for what Redis holds.
2. What Redis holds is sent only if it has the current version. What it holds otherwise does not matter.
3. Else one reader of all processes reads version and document from Postgres in one statement and stores them together.
"""

import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any, NamedTuple

from chassis.errors import Unavailable
from chassis.runtime.batching import Batcher
from factory_service.cache.client import RedisClient, RedisUnavailable
from factory_service.cache.versions import CurrentVersions
from factory_service.domain.charts import check_points
from factory_service.store.replica import ReplicaAwareReader

MAX_BYTES = 4 * 1024 * 1024
# For how long the other readers wait for the one that fills a key.
FILL_SECONDS = 3.0
_RETRY_SECONDS = 0.01


class CachedResponse(NamedTuple):
    version: str
    body: bytes
    # Since it was stored; None unless it may be stale, because Postgres is down.
    age_seconds: int | None = None


class _Lookup(NamedTuple):
    """What Postgres and Redis have of a response; `version` is None if the thing does not exist."""

    version: str | Unavailable | None
    value: bytes | None


class ResponseCache:
    """Without `redis` all responses are read from Postgres."""

    def __init__(self, redis: RedisClient | None, versions: CurrentVersions, documents: ReplicaAwareReader) -> None:
        self._redis, self._versions, self._documents = redis, versions, documents
        self._lookups: Batcher[tuple[str, str], _Lookup] = Batcher(self._look_up)
        self._loads: dict[tuple[str, str], Future[CachedResponse | None]] = {}

    def read(
        self, thing: str, variant: str, sql: str, params: dict[str, Any], check: Callable[[int], None] = check_points
    ) -> CachedResponse | None:
        """None if the thing does not exist. `check` raises Invalid if there is too much of it for one response."""
        version, value = self._lookups.submit((thing, variant))
        if isinstance(version, Unavailable):
            return _stale_response(value, version)
        if version is None:
            return None
        if (cached := _unpack_current(value, version)) and cached.body:
            return cached

        def load() -> CachedResponse | None:
            row = self._documents.find(version, sql, params)
            if row is None:
                return None
            for size in row[2:]:
                check(size)
            return CachedResponse(row[0], row[1].encode())

        return self._load_once(key_of(thing, variant), version, load)

    def _look_up(self, lookups: list[tuple[str, str]]) -> list[_Lookup]:
        versions: dict[str, str] = {}
        unavailable = None
        try:
            versions = self._versions.find({thing for thing, _ in lookups})
        except Unavailable as error:
            unavailable = error
        values = self._find_values({key_of(*lookup) for lookup in lookups})
        return [
            _Lookup(unavailable or versions.get(thing), values.get(key_of(thing, variant)))
            for thing, variant in lookups
        ]

    def _find_values(self, keys: Collection[str]) -> dict[str, bytes | None]:
        try:
            return self._redis.find([*keys]) if self._redis else {}
        except RedisUnavailable:
            return {}

    def _load_once(self, key: str, version: str, load: Callable[[], CachedResponse | None]) -> CachedResponse | None:
        """Those of this process that need the same version share it: it was current when each of them began."""
        own: Future[CachedResponse | None] = Future()
        shared = self._loads.setdefault((key, version), own)
        if shared is own:
            try:
                own.set_result(self._fill(key, version, load))
            except BaseException as error:
                own.set_exception(error)
            finally:
                del self._loads[key, version]
        return shared.result()

    def _fill(self, key: str, version: str, load: Callable[[], CachedResponse | None]) -> CachedResponse | None:
        """The first process to lock the key reads from Postgres, the others wait for what it stores."""
        ends_at = time.monotonic() + FILL_SECONDS
        while self._redis and time.monotonic() < ends_at:
            try:
                is_locked, value = self._redis.lock_and_find(key, FILL_SECONDS)
            except RedisUnavailable:
                break
            if stored := _unpack_current(value, version):
                self._redis.store_and_unlock({}, [key])
                return stored if stored.body else load()
            if is_locked:
                return self._load_and_store(self._redis, key, load)
            time.sleep(_RETRY_SECONDS)
        return load()

    @staticmethod
    def _load_and_store(
        redis: RedisClient, key: str, load: Callable[[], CachedResponse | None]
    ) -> CachedResponse | None:
        response = None
        try:
            response = load()
            return response
        finally:
            redis.store_and_unlock({key: pack(response.version, response.body)} if response else {}, [key])


def key_of(thing: str, variant: str) -> str:
    return f"quintet:factory:{thing}{variant}"


def pack(version: str, body: bytes) -> bytes:
    """A body that is too large for Redis is left out: its readers then know that they need not wait for it."""
    return b"%b %d\n%b" % (version.encode(), int(time.time()), body if len(body) <= MAX_BYTES else b"")


def _unpack(value: bytes) -> tuple[CachedResponse, int]:
    """With the unix time at which it was stored."""
    head, _, body = value.partition(b"\n")
    version, stored_at = head.decode().split(" ")
    return CachedResponse(version, body), int(stored_at)


def _unpack_current(value: bytes | None, version: str) -> CachedResponse | None:
    response = _unpack(value)[0] if value else None
    return response if response and response.version == version else None


def _stale_response(value: bytes | None, unavailable: Unavailable) -> CachedResponse:
    """Raises Unavailable if Redis does not have one."""
    if value:
        response, stored_at = _unpack(value)
        if response.body:
            return response._replace(age_seconds=max(0, int(time.time()) - stored_at))
    raise Unavailable(unavailable.detail)
