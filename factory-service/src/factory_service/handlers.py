"""Messages in: production that was accepted, files that were taken in."""

import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from chassis import inbox
from chassis.attempts import Delivery, Interrupted, Surroundings
from chassis.consumer import Consumption
from chassis.db import Transaction
from chassis.validation import checked
from chassis.worker import Timer
from factory_service.cache import warming
from factory_service.cache.client import RedisClient
from factory_service.domain.charts import MOST_AT_ONCE, Points, Times, Values
from factory_service.operations import factories, loading
from factory_service.settings import Settings
from factory_service.store import factories as store
from factory_service.store import loads

_SWEPT_AT_ONCE = 20_000
_ABANDONED_AFTER_SECONDS = 600

Number = Annotated[int, Field(ge=1, le=2**63 - 1)]


class AcceptedProduction(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    factory: Number
    sent: Number
    time: Annotated[Times, Field(min_length=1, max_length=MOST_AT_ONCE)]
    actual: Values
    goal: Values


class AcceptedLoad(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    load: Annotated[str, Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


def on_production(around: Surroundings, delivery: Delivery) -> None:
    """Late or twice: of two values for one time the one with the greater number stays."""
    accepted = checked(lambda: AcceptedProduction.model_validate(delivery.body))
    points = Points(accepted.time, accepted.actual, accepted.goal)
    with around.database.transaction() as tx:
        if not inbox.is_first(tx, delivery.message_id, delivery.queue):
            return
        total = factories.record_production(
            tx, accepted.factory, points, accepted.sent, datetime.now(UTC), delivery.request_id
        )
        if total is not None:
            warming.store_after_commit(tx, _redis(around.settings), warming.factory(tx, accepted.factory, total))


def on_load(around: Surroundings, delivery: Delivery) -> None:
    accepted = checked(lambda: AcceptedLoad.model_validate(delivery.body))
    while True:
        if around.ending.is_set():
            raise Interrupted
        with around.database.transaction() as tx:
            if not loading.step(tx, accepted.load, datetime.now(UTC)):
                return


@functools.lru_cache(maxsize=8)
def _redis(settings: Settings) -> RedisClient | None:
    """One for the process: its connections are kept."""
    return RedisClient(settings.redis_url, settings.redis_timeout_seconds) if settings.redis_url else None


def sweep(tx: Transaction, _now: datetime) -> None:
    store.sweep(tx, _SWEPT_AT_ONCE)


def timers(settings: Settings) -> Mapping[str, Timer]:
    def delete_abandoned_loads(tx: Transaction, _now: datetime) -> None:
        loads.delete_abandoned(tx, settings.upload_max_seconds + _ABANDONED_AFTER_SECONDS)

    return {"sweep": Timer(1, sweep), "abandoned loads": Timer(60, delete_abandoned_loads)}


HANDLERS = {
    "factory.production": Consumption(on_production, is_long=True),
    "factory.load": Consumption(on_load, is_long=True, in_order=True),
}
