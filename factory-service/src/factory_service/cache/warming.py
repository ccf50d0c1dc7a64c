"""What a write puts in the place of what it took away: the answers as its own transaction sees them."""

from typing import Any

from chassis.db import Transaction
from factory_service.cache.changes import Change
from factory_service.domain.charts import LATEST_TIME
from factory_service.store import charts, sprockets

# Larger charts are put together when somebody asks for them.
_MOST_POINTS = 2000
EVERYTHING = {"first": 0, "last": LATEST_TIME, "cut": False}
FIRST_PAGE = {"limit": 100, "offset": 0}


def way_of_page(page: dict[str, int]) -> str:
    return f"?{page['limit']}&{page['offset']}"


def factory(tx: Transaction, change: Change, id_: int, points: int) -> None:
    for part, sql in charts.WHOLE.items() if points <= _MOST_POINTS else ():
        _put(change, f"factory:{id_}", part or "/", tx.rows(sql, id=id_, **EVERYTHING))


def factories(tx: Transaction, change: Change) -> None:
    _put(change, "factories", way_of_page(FIRST_PAGE), tx.rows(charts.PAGE, most=_MOST_POINTS, **FIRST_PAGE))


def sprocket(tx: Transaction, change: Change, id_: int) -> None:
    _put(change, f"sprocket:{id_}", "/", tx.rows(sprockets.ONE, id=id_))


def list_of_sprockets(tx: Transaction, change: Change) -> None:
    _put(change, "sprockets", way_of_page(FIRST_PAGE), tx.rows(sprockets.PAGE, **FIRST_PAGE))


def _put(change: Change, entity: str, way: str, rows: list[tuple[Any, ...]]) -> None:
    for tag, body, *_ in rows:
        if body is not None:
            change.put(entity, way, (tag, body))
