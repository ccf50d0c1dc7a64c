"""Serves responses from Redis if they have the current version, otherwise from Postgres.

1. Concurrent readers share one statement that reads the current versions, and one command that reads the cached values.
2. A cached value is served only if it has the current version. Any other value is ignored.
3. Otherwise one reader among all processes reads version and document from Postgres in one statement and caches them.
"""

import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import NamedTuple

from prometheus_client import Counter

from chassis.errors import Unavailable
from chassis.runtime.batching import Batcher
from factory_service.cache.client import Lock, RedisClient, RedisUnavailable
from factory_service.cache.current_versions import CurrentVersions
from factory_service.domain.charts import check_point_count
from factory_service.store.replica import Query, ReplicaAwareReader

MAX_CACHED_BYTES = 4 * 1024 * 1024
# Lifetime of the lock of a key, and how long the other readers wait for the reader that holds it.
LOCK_SECONDS = 3.0
_POLL_SECONDS = 0.01


class CachedResponse(NamedTuple):
    version: str
    body: bytes
    # Time since the response was stored; None unless it may be stale because Postgres is down.
    age_seconds: int | None = None


class _LookupResult(NamedTuple):
    """The version in Postgres and the value in Redis.

    `version` is None if the resource does not exist, and the error if Postgres is unavailable.
    """

    version: str | Unavailable | None
    value: bytes | None
    is_redis_available: bool


class ResponseCache:
    """A cache of complete responses; without `redis`, every response is read from Postgres."""

    def __init__(
        self, redis: RedisClient | None, versions: CurrentVersions, documents: ReplicaAwareReader, requests: Counter
    ) -> None:
        """Count each request for an existing resource in `requests`, by its result."""
        self._redis, self._versions, self._documents, self._requests = redis, versions, documents, requests
        for result in ("hit", "miss", "stale", "error"):
            requests.labels(result)
        self._lookups: Batcher[tuple[str, str], _LookupResult] = Batcher(self._look_up)
        self._reads: dict[tuple[str, str], Future[CachedResponse | None]] = {}

    def read(
        self,
        resource: str,
        variant: str,
        query: Query,
        check_size: Callable[[int], None] = check_point_count,
    ) -> CachedResponse | None:
        """Return the response, or None if the resource does not exist.

        `variant` distinguishes the responses of one resource, such as the pages of a list. `check_size` raises Invalid
        if the response would have too many points or buckets.
        """
        version, value, is_redis_available = self._lookups.submit((resource, variant))
        if isinstance(version, Unavailable):
            stale = _stale_response(value, version)
            self._requests.labels("stale").inc()
            return stale
        if version is None:
            return None
        if (cached := _unpack_current(value, version)) and cached.body:
            self._requests.labels("hit").inc()
            return cached
        self._requests.labels("miss" if is_redis_available else "error").inc()

        def read_document() -> CachedResponse | None:
            row = self._documents.find(version, query)
            if row is None:
                return None
            for size in row[2:]:
                check_size(size)
            return CachedResponse(row[0], row[1].encode())

        return self._read_once(cache_key(resource, variant), version, read_document)

    def _look_up(self, lookups: list[tuple[str, str]]) -> list[_LookupResult]:
        versions: dict[str, str] = {}
        unavailable = None
        try:
            versions = self._versions.find({resource for resource, _ in lookups})
        except Unavailable as error:
            unavailable = error
        values = self._find_values({cache_key(*lookup) for lookup in lookups})
        return [
            _LookupResult(
                unavailable or versions.get(resource),
                values.get(cache_key(resource, variant)) if values else None,
                values is not None,
            )
            for resource, variant in lookups
        ]

    def _find_values(self, keys: Collection[str]) -> dict[str, bytes | None] | None:
        """Return None if Redis is unavailable."""
        try:
            return self._redis.find([*keys]) if self._redis else {}
        except RedisUnavailable:
            return None

    def _read_once(
        self, key: str, version: str, read_document: Callable[[], CachedResponse | None]
    ) -> CachedResponse | None:
        """Share one read among the requests of this process that need the same version.

        The version was current when each of these requests began, so none of them receives a stale response.
        """
        own: Future[CachedResponse | None] = Future()
        shared = self._reads.setdefault((key, version), own)
        if shared is own:
            try:
                own.set_result(self._fill(key, version, read_document))
            except BaseException as error:
                own.set_exception(error)
            finally:
                del self._reads[key, version]
        return shared.result()

    def _fill(
        self, key: str, version: str, read_document: Callable[[], CachedResponse | None]
    ) -> CachedResponse | None:
        """Read from Postgres if this process locks the key first, otherwise wait for the value of the lock holder.

        Read from Postgres as well if the value does not arrive in time or is too large to be cached.
        """
        deadline = time.monotonic() + LOCK_SECONDS
        while self._redis and time.monotonic() < deadline:
            try:
                lock, value = self._redis.lock_and_find(key, LOCK_SECONDS)
            except RedisUnavailable:
                break
            if cached := _unpack_current(value, version):
                self._redis.store_and_unlock({}, lock)
                return cached if cached.body else read_document()
            if lock:
                return self._read_and_store(self._redis, key, lock, read_document)
            time.sleep(_POLL_SECONDS)
        return read_document()

    @staticmethod
    def _read_and_store(
        redis: RedisClient, key: str, lock: Lock, read_document: Callable[[], CachedResponse | None]
    ) -> CachedResponse | None:
        response = None
        try:
            response = read_document()
            return response
        finally:
            redis.store_and_unlock({key: pack(response.version, response.body)} if response else {}, lock)


def cache_key(resource: str, variant: str) -> str:
    return f"quintet:factory:{resource}{variant}"


def pack(version: str, body: bytes) -> bytes:
    """Return the value to cache. An empty body marks a response that is too large, so that its readers do not wait."""
    return b"%b %d\n%b" % (version.encode(), int(time.time()), body if len(body) <= MAX_CACHED_BYTES else b"")


def _unpack(value: bytes) -> tuple[CachedResponse, int]:
    """Return the response and the Unix time at which it was stored."""
    head, _, body = value.partition(b"\n")
    version, stored_at = head.decode().split(" ")
    return CachedResponse(version, body), int(stored_at)


def _unpack_current(value: bytes | None, version: str) -> CachedResponse | None:
    response = _unpack(value)[0] if value else None
    return response if response and response.version == version else None


def _stale_response(value: bytes | None, unavailable: Unavailable) -> CachedResponse:
    """Return the cached response with its age; raise Unavailable if there is none."""
    if value:
        response, stored_at = _unpack(value)
        if response.body:
            return response._replace(age_seconds=max(0, int(time.time()) - stored_at))
    raise Unavailable(unavailable.detail)
