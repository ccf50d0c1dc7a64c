"""Stores that the FastAPI application can append events to; each returns when the events are durable."""

import asyncio
import json
import os
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import aio_pika
import asyncpg
import nats
import redis.asyncio


class Event(NamedTuple):
    id: str
    name: str
    body: str


class Store(Protocol):
    async def append(self, stream: str, producer: str, events: Sequence[Event]) -> None: ...


class Postgres:
    """A row per event, with a position that has no gaps, in one transaction."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def append(self, stream: str, producer: str, events: Sequence[Event]) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await self._insert(connection, stream, producer, events)

    async def _insert(
        self, connection: asyncpg.Connection, stream: str, producer: str, events: Sequence[Event]
    ) -> None:
        last = await connection.fetchval(
            "INSERT INTO fastapi.streams VALUES ($1, $2) "
            "ON CONFLICT (name) DO UPDATE SET position = streams.position + excluded.position RETURNING position",
            stream,
            len(events),
        )
        await connection.execute(
            "INSERT INTO fastapi.events (stream, producer, position, id, name, body) "
            "SELECT $1, $2, * FROM unnest($3::bigint[], $4::uuid[], $5::text[], $6::json[])",
            stream,
            producer,
            range(last - len(events) + 1, last + 1),
            [event.id for event in events],
            [event.name for event in events],
            [event.body for event in events],
        )


class PublishingPostgres(Postgres):
    """As Postgres; in addition, a name belongs to its first producer, and each event is published from an outbox."""

    def __init__(self, pool: asyncpg.Pool, exchange: aio_pika.abc.AbstractExchange) -> None:
        super().__init__(pool)
        self._exchange = exchange
        self._has_messages = asyncio.Event()
        self._relay = asyncio.create_task(self._publish_messages())

    async def append(self, stream: str, producer: str, events: Sequence[Event]) -> None:
        names = sorted({event.name for event in events})
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO fastapi.owners SELECT $1, unnest($2::text[]), $3 ON CONFLICT DO NOTHING",
                stream,
                names,
                producer,
            )
            is_owned_by_others = await connection.fetchval(
                "SELECT EXISTS (SELECT FROM fastapi.owners WHERE stream = $1 AND name = ANY ($2) AND producer <> $3)",
                stream,
                names,
                producer,
            )
            if is_owned_by_others:
                raise PermissionError(f"{names}: another producer owns one of them")
            await self._insert(connection, stream, producer, events)
            await connection.execute(
                "INSERT INTO fastapi.outbox (routing_key, body) SELECT * FROM unnest($1::text[], $2::text[])",
                [f"{stream}.{event.name}" for event in events],
                [event.body for event in events],
            )
        self._has_messages.set()

    async def _publish_messages(self) -> None:
        """Publish what was appended, in order; each message is confirmed before it is deleted."""
        while await self._has_messages.wait():
            self._has_messages.clear()
            while await self._publish_next():
                pass

    async def _publish_next(self) -> bool:
        async with self._pool.acquire() as connection, connection.transaction():
            # The relays of the processes take turns.
            await connection.execute("SELECT pg_advisory_xact_lock(1)")
            rows = await connection.fetch(
                "DELETE FROM fastapi.outbox WHERE id IN (SELECT id FROM fastapi.outbox ORDER BY id LIMIT 500) "
                "RETURNING id, routing_key, body"
            )
            rows.sort(key=lambda row: row["id"])
            await asyncio.gather(*(self._publish(row["routing_key"], row["body"]) for row in rows))
        return bool(rows)

    async def _publish(self, routing_key: str, body: str) -> None:
        message = aio_pika.Message(body.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await self._exchange.publish(message, routing_key, mandatory=False)


class MessageDb:
    """A call of message-db's write_message per event, in one transaction."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def append(self, stream: str, producer: str, events: Sequence[Event]) -> None:
        metadata = json.dumps({"producer": producer})
        rows = [(event.id, stream, event.name, event.body, metadata) for event in events]
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.executemany("SELECT write_message($1, $2, $3, $4, $5)", rows)


class JetStream:
    """A message per event; each is acknowledged by the server, which syncs every message to the disk."""

    def __init__(self, client: nats.NATS) -> None:
        self._client = client.jetstream()

    async def append(self, stream: str, producer: str, events: Sequence[Event]) -> None:
        headers = {"X-Producer-ID": producer}
        futures = [
            await self._client.publish_async(
                f"bench.{stream}", event.body.encode(), headers={**headers, "Nats-Msg-Id": event.id}
            )
            for event in events
        ]
        for future in futures:
            await future


class Valkey:
    """An entry of a Valkey stream per event, in one transaction; the server syncs before it responds."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def append(self, stream: str, producer: str, events: Sequence[Event]) -> None:
        async with self._client.pipeline(transaction=True) as pipeline:
            for event in events:
                pipeline.xadd(stream, {"id": event.id, "name": event.name, "producer": producer, "body": event.body})
            await pipeline.execute()


async def open_store(pool: asyncpg.Pool) -> Store:
    """Return the store that the variable STORE names; STORE_URL is its address unless it is in Postgres."""
    match os.environ["STORE"]:
        case "postgres":
            return Postgres(pool)
        case "outbox":
            channel = await (await aio_pika.connect(os.environ["STORE_URL"])).channel()
            return PublishingPostgres(pool, await channel.declare_exchange("bench", "topic"))
        case "message-db":
            settings = {"search_path": "message_store"}
            return MessageDb(
                await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=8, max_size=8, server_settings=settings)
            )
        case "jetstream":
            return JetStream(await nats.connect(os.environ["STORE_URL"]))
        case "valkey":
            return Valkey(redis.asyncio.Redis.from_url(os.environ["STORE_URL"]))
        case name:
            raise ValueError(f"STORE must be postgres, outbox, message-db, jetstream or valkey, not {name!r}")
