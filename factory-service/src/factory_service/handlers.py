"""Entry points of messages, timers and commands: charts of accepted production, load files, roll-ups."""

import functools
import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from chassis.db import Database, Transaction, stored_uploads
from chassis.errors import Invalid
from chassis.messaging import inbox
from chassis.messaging.consumer import ConsumerConfig
from chassis.messaging.delivery import Delivery
from chassis.messaging.message_processor import Interrupted, JobContext
from chassis.messaging.worker import Timer
from chassis.messaging.worker_metrics import StateGauge
from chassis.runtime import logs
from chassis.web.input_errors import checked
from factory_service.cache import warming
from factory_service.cache.client import RedisClient
from factory_service.domain.charts import MAX_BATCH_POINTS, Points, Times, Values
from factory_service.domain.files import Entry, parse_entries, read_charts
from factory_service.domain.production_files import parse_production
from factory_service.operations import factories, loading
from factory_service.settings import Settings
from factory_service.store import factories as factory_store
from factory_service.store import loads, rollups
from factory_service.store.replica import find_lag_seconds

log = logs.logger(__name__)

_DELETED_POINTS_PER_RUN = 20_000
_ROLLED_UP_POINTS_PER_RUN = 20_000
# In addition to the maximum duration of an upload.
_ABANDONED_AFTER_SECONDS = 600
_SPROCKETS_PER_BATCH = 1000

PositiveInteger = Annotated[int, Field(ge=1, le=2**63 - 1)]


class AcceptedProduction(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    factory: PositiveInteger
    sent: PositiveInteger
    time: Annotated[Times, Field(min_length=1, max_length=MAX_BATCH_POINTS)]
    actual: Values
    goal: Values


class AcceptedLoad(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    load: Annotated[str, Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


def on_production(context: JobContext, delivery: Delivery) -> None:
    """Record the points. For each time, the greatest send number wins, so the order of delivery does not matter."""
    accepted = checked(lambda: AcceptedProduction.model_validate(delivery.body))
    points = Points(accepted.time, accepted.actual, accepted.goal)
    with context.database.transaction() as tx:
        if not inbox.claim_message(tx, delivery.message_id, delivery.queue, delivery.request_id):
            return
        point_count = factories.record_production(
            tx, accepted.factory, points, accepted.sent, datetime.now(UTC), delivery.request_id
        )
        if point_count is not None:
            warmed = warming.factory_responses(tx, accepted.factory, point_count)
            warming.store_after_commit(tx, _redis(context.settings), warmed)


def on_load(context: JobContext, delivery: Delivery) -> None:
    """Load the entries of the file, but only after the whole file has been validated."""
    load = checked(lambda: AcceptedLoad.model_validate(delivery.body)).load
    with context.database.transaction() as tx:
        next_entry = loads.begin_load(tx, load)
    if next_entry is None:
        return
    open_file = functools.partial(_read_chunks, context, load)
    error = None
    try:
        digests = [entry.digest for entry in parse_entries(open_file()) if entry.sprocket is None]
    except Invalid as problem:
        error = problem.detail
    else:
        if digests:
            _load_factories(context.database, load, next_entry, zip(digests, read_charts(open_file), strict=True))
        else:
            _load_sprockets(context.database, load, next_entry, parse_entries(open_file()))
    with context.database.transaction() as tx:
        loading.finish_load(tx, load, error, datetime.now(UTC))


def on_production_load(context: JobContext, delivery: Delivery) -> None:
    """Record the production of the file, but only after the whole file has been validated."""
    load = checked(lambda: AcceptedLoad.model_validate(delivery.body)).load
    with context.database.transaction() as tx:
        next_batch = loads.begin_load(tx, load)
    if next_batch is None:
        return
    try:
        for _ in parse_production(_read_chunks(context, load)):
            pass
    except Invalid as problem:
        error: str | None = problem.detail
    else:
        batches = itertools.islice(enumerate(parse_production(_read_chunks(context, load))), next_batch, None)
        error = _record_batches(context.database, load, batches)
    with context.database.transaction() as tx:
        loading.finish_load(tx, load, error, datetime.now(UTC))


def _record_batches(database: Database, load: str, batches: Iterable[tuple[int, Points]]) -> str | None:
    """Return None once all batches are recorded, or the reason why not."""
    for number, points in batches:
        with database.transaction() as tx:
            if not loading.add_production(tx, load, number, points, datetime.now(UTC)):
                return "the factory was deleted before all its production was recorded"
    return None


def _read_chunks(context: JobContext, load: str) -> Iterator[bytes]:
    for number in itertools.count():
        if context.stop_event.is_set():
            raise Interrupted
        with context.database.transaction() as tx:
            content = stored_uploads.get_chunks(tx, load, number, number + 1)
        if not content:
            return
        yield content


def _load_factories(
    database: Database, load: str, next_entry: int, charts: Iterable[tuple[bytes, Iterable[Points]]]
) -> None:
    for number, (digest, batches) in enumerate(charts):
        if number < next_entry:
            continue
        with database.transaction() as tx:
            if not loading.begin_factory(tx, load, number, digest):
                continue
        for batch, points in enumerate(batches):
            with database.transaction() as tx:
                loading.add_points(tx, load, number, batch, points)
        with database.transaction() as tx:
            loading.finish_factory(tx, load, number, datetime.now(UTC))


def _load_sprockets(database: Database, load: str, next_entry: int, entries: Iterator[Entry]) -> None:
    """Load in batches whose boundaries depend only on the file, so that they are the same after a crash."""
    for first in itertools.count(0, _SPROCKETS_PER_BATCH):
        batch = list(itertools.islice(entries, _SPROCKETS_PER_BATCH))
        if not batch:
            return
        if first >= next_entry:
            with database.transaction() as tx:
                loading.add_sprockets(tx, load, first, batch, datetime.now(UTC))


@functools.lru_cache(maxsize=8)
def _redis(settings: Settings) -> RedisClient | None:
    """Return the client of this process, so that its connections are reused."""
    return RedisClient(settings.redis_url, settings.redis_timeout_seconds) if settings.redis_url else None


def timers(settings: Settings) -> Mapping[str, Timer]:
    def delete_points(tx: Transaction, _now: datetime) -> bool:
        return factory_store.delete_points_of_deleted_factory(tx, _DELETED_POINTS_PER_RUN) is not None

    def build_rollups(tx: Transaction, _now: datetime) -> bool:
        return rollups.build_next(tx, _ROLLED_UP_POINTS_PER_RUN) is not None

    def delete_stale_uploads(tx: Transaction, _now: datetime) -> None:
        loads.delete_stale_uploads(tx, settings.upload_max_seconds + _ABANDONED_AFTER_SECONDS)

    return {
        "points of deleted factories": Timer(15, delete_points),
        "roll-ups": Timer(15, build_rollups),
        "stale uploads": Timer(15, delete_stale_uploads),
    }


def gauges(settings: Settings) -> Sequence[StateGauge]:
    replica_url = settings.read_database_url
    if not replica_url:
        return []

    def read_lag(tx: Transaction) -> Mapping[str, float]:
        lag = find_lag_seconds(tx, replica_url)
        return {} if lag is None else {"": lag}

    return [StateGauge("follower_lag_seconds", "Age of the newest state that the read replica has", read_lag)]


def rebuild_rollups(settings: Settings, arguments: list[str]) -> None:
    """Build the roll-ups of one factory or of all factories again, in steps, while other processes read and write.

    Until its roll-ups are complete, a factory is read from its points. If the command is interrupted, the worker's
    timer continues.
    """
    id_ = _factory_id(arguments)
    with closing(Database(settings.database_url, name="factory-rollups", size=1, wait_seconds=30)) as database:
        with database.transaction() as tx:
            count = rollups.insert_incomplete(tx, id_)
        if id_ and not count:
            sys.exit(f"factory {id_} does not exist")
        is_complete = False
        while not is_complete:
            with database.transaction() as tx:
                is_complete = rollups.build_next(tx, _ROLLED_UP_POINTS_PER_RUN) is None
    log.info("rollups.rebuilt", factories=count)


def _factory_id(arguments: list[str]) -> int | None:
    match arguments:
        case []:
            return None
        case [text] if text.isascii() and text.isdigit() and 0 < int(text) < 2**63:
            return int(text)
        case _:
            sys.exit("rebuild-rollups accepts at most one argument, the ID of a factory")


HANDLERS = {
    "factory.production": ConsumerConfig(on_production, is_long_running=True),
    "factory.load": ConsumerConfig(on_load, is_long_running=True, in_order=True),
    "factory.production_load": ConsumerConfig(on_production_load, is_long_running=True, in_order=True),
}

COMMANDS = {"rebuild-rollups": rebuild_rollups}
