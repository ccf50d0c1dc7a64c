"""The responses that a write stores in Redis after its commit, as its own transaction sees them."""

from collections.abc import Iterable
from typing import Any

from chassis.db import Transaction
from factory_service.cache.client import RedisClient
from factory_service.cache.responses import key_of, pack
from factory_service.domain.charts import WHOLE_SPAN
from factory_service.store import charts, sprockets
from factory_service.store.replica import Row

# Larger charts are read when a client requests them.
_MAX_POINTS = 2000
FIRST_PAGE = {"limit": 100, "offset": 0}

Warmed = tuple[str, str, Row]


def page_variant(page: dict[str, int]) -> str:
    return f"?{page['limit']}&{page['offset']}"


def factory(tx: Transaction, id_: int, points: int) -> Iterable[Warmed]:
    for part, sql in charts.WHOLE.items() if points <= _MAX_POINTS else ():
        yield from _rows(tx, f"factory:{id_}", part, sql, id=id_, **WHOLE_SPAN)


def factories(tx: Transaction) -> Iterable[Warmed]:
    return _rows(tx, "factories", page_variant(FIRST_PAGE), charts.PAGE, max_points=_MAX_POINTS, **FIRST_PAGE)


def sprocket(tx: Transaction, id_: int) -> list[Warmed]:
    return _rows(tx, f"sprocket:{id_}", "", sprockets.ONE, id=id_)


def sprocket_list(tx: Transaction) -> Iterable[Warmed]:
    return _rows(tx, "sprockets", page_variant(FIRST_PAGE), sprockets.PAGE, **FIRST_PAGE)


def _rows(tx: Transaction, thing: str, variant: str, sql: str, **params: Any) -> list[Warmed]:
    return [(thing, variant, row) for row in tx.rows(sql, **params)]


def store_after_commit(tx: Transaction, redis: RedisClient | None, *warmed: Iterable[Warmed]) -> None:
    """Call it after the last change in the transaction, so that the rows have the versions that it commits."""
    if redis is None:
        return
    values = {
        key_of(thing, variant): pack(version, body.encode())
        for responses in warmed
        for thing, variant, (version, body, *_) in responses
        if body is not None
    }
    tx.after_commit.append(lambda: redis.store_and_unlock(values))
