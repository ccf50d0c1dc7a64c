"""Reads the responses that a write changes, in its own transaction, and caches them after the commit."""

from collections.abc import Iterable
from typing import Any

from chassis.db import Transaction
from factory_service.cache.client import RedisClient
from factory_service.cache.response_cache import cache_key, pack
from factory_service.domain.charts import FULL_RANGE
from factory_service.store import charts, sprockets
from factory_service.store.replica import Row

# Larger charts are cached when a client requests them.
_MAX_POINTS = 2000
FIRST_PAGE = {"limit": 100, "offset": 0}

# Resource, variant and row.
WarmedResponse = tuple[str, str, Row]


def page_variant(page: dict[str, int]) -> str:
    return f"?{page['limit']}&{page['offset']}"


def factory_responses(tx: Transaction, id_: int, point_count: int) -> Iterable[WarmedResponse]:
    for part, sql in charts.FULL.items() if point_count <= _MAX_POINTS else ():
        yield from _read(tx, f"factory:{id_}", part, sql, id=id_, **FULL_RANGE)


def factory_list_responses(tx: Transaction) -> Iterable[WarmedResponse]:
    return _read(tx, "factories", page_variant(FIRST_PAGE), charts.PAGE, max_points=_MAX_POINTS, **FIRST_PAGE)


def sprocket_responses(tx: Transaction, id_: int) -> list[WarmedResponse]:
    return _read(tx, f"sprocket:{id_}", "", sprockets.ONE, id=id_)


def sprocket_list_responses(tx: Transaction) -> Iterable[WarmedResponse]:
    return _read(tx, "sprockets", page_variant(FIRST_PAGE), sprockets.PAGE, **FIRST_PAGE)


def _read(tx: Transaction, resource: str, variant: str, sql: str, **params: Any) -> list[WarmedResponse]:
    return [(resource, variant, row) for row in tx.rows(sql, **params)]


def store_after_commit(tx: Transaction, redis: RedisClient | None, *warmed: Iterable[WarmedResponse]) -> None:
    """Cache the responses once the transaction has committed.

    Call this after the last change in the transaction, so that the rows have the versions that it commits.
    """
    if redis is None:
        return
    values = {
        cache_key(resource, variant): pack(version, body.encode())
        for responses in warmed
        for resource, variant, (version, body, *_) in responses
        if body is not None
    }
    tx.after_commit.append(lambda: redis.store_and_unlock(values))
