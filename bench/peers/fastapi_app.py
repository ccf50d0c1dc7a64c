"""The benchmarked requests in FastAPI with asyncpg: a connection pool, one transaction per request, pydantic models.

Run as a program with DATABASE_URL, it creates its tables; run by uvicorn, it serves them. Charts are cached in Redis
for a minute, so a reader may receive one that has changed since.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import uuid4

import asyncpg
import event_stores
import orjson
import redis.asyncio
from fastapi import FastAPI, Header, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

DATABASE_URL = os.environ["DATABASE_URL"]
TABLES = """
    CREATE SCHEMA fastapi;
    CREATE TABLE fastapi.sequences (name text PRIMARY KEY, issued bigint NOT NULL) WITH (fillfactor = 20);
    INSERT INTO fastapi.sequences VALUES ('sequence', 0), ('json-sequence', 0);
    CREATE TABLE fastapi.streams (name text PRIMARY KEY, position bigint NOT NULL) WITH (fillfactor = 50);
    CREATE TABLE fastapi.events (
        stream text NOT NULL, position bigint NOT NULL, id uuid NOT NULL UNIQUE, producer text NOT NULL,
        name text NOT NULL, body json NOT NULL, received_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (stream, position)
    );
    CREATE TABLE fastapi.owners (stream text, name text, producer text NOT NULL, PRIMARY KEY (stream, name));
    CREATE TABLE fastapi.outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, routing_key text NOT NULL, body text NOT NULL
    );
    CREATE TABLE fastapi.factories AS SELECT id, name FROM factory.factories;
    CREATE TABLE fastapi.points AS SELECT factory_id, time, actual, goal FROM factory.points;
    ALTER TABLE fastapi.factories ADD PRIMARY KEY (id);
    ALTER TABLE fastapi.points ADD PRIMARY KEY (factory_id, time);
    ANALYZE fastapi.factories, fastapi.points;
"""


class Numbers(BaseModel):
    sequence_no: int | None = None
    sequence_list: list[int]


class EventType(BaseModel):
    name: str
    version: int


class Event(BaseModel):
    event: EventType
    system: dict[str, Any]
    trigger: dict[str, Any]
    payload: Any = Field(...)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(DATABASE_URL, min_size=8, max_size=8) as pool:
        app.state.pool = pool
        app.state.store = await event_stores.open_store(pool)
        app.state.cache = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"], retry=Retry(NoBackoff(), 0))
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/sequence")
async def issue_number(request: Request, n: Annotated[int, Query(ge=0, le=9000)] = 1) -> Numbers:
    numbers = await _issue(request.app.state.pool, "sequence", n, 1000, 9000)
    return Numbers(sequence_no=numbers[0] if n == 1 else None, sequence_list=numbers)


@app.get("/json-sequence")
async def issue_numbers(request: Request, n: Annotated[int, Query(ge=0, le=10000)] = 1) -> Numbers:
    return Numbers(sequence_list=await _issue(request.app.state.pool, "json-sequence", n, 1, 999_999_999))


async def _issue(pool: asyncpg.Pool, name: str, count: int, minimum: int, size: int) -> list[int]:
    async with pool.acquire() as connection:
        issued = await connection.fetchval(
            "UPDATE fastapi.sequences SET issued = issued + $2 WHERE name = $1 RETURNING issued", name, count
        )
    return [minimum + ticket % size for ticket in range(issued - count, issued)]


@app.post("/api/v1/streams/{stream}/events")
async def append_events(
    request: Request, stream: str, body: Event | list[Event], x_producer_id: Annotated[str, Header()]
) -> Any:
    posted = body if isinstance(body, list) else [body]
    events = [
        event_stores.Event(str(uuid4()), event.event.name, orjson.dumps(event.model_dump()).decode())
        for event in posted
    ]
    await request.app.state.store.append(stream, x_producer_id, events)
    ids = [event.id for event in events]
    return ids if isinstance(body, list) else ids[0]


@app.get("/api/factory/{factory_id}")
async def get_chart(request: Request, factory_id: int, if_none_match: Annotated[str, Header()] = "") -> Response:
    body = await _read_cached(request, factory_id)
    etag = f'"{hashlib.md5(body).hexdigest()}"'
    if etag in if_none_match:
        return Response(status_code=304, headers={"ETag": etag})
    return Response(body, media_type="application/json", headers={"ETag": etag})


async def _read_cached(request: Request, factory_id: int) -> bytes:
    cache, key = request.app.state.cache, f"fastapi:factory:{factory_id}"
    try:
        if cached := await cache.get(key):
            return cached
        body = await _read_chart(request.app.state.pool, factory_id)
        await cache.set(key, body, ex=60)
    except redis.RedisError:
        body = await _read_chart(request.app.state.pool, factory_id)
    return body


async def _read_chart(pool: asyncpg.Pool, factory_id: int) -> bytes:
    async with pool.acquire() as connection:
        name = await connection.fetchval("SELECT name FROM fastapi.factories WHERE id = $1", factory_id)
        if name is None:
            raise HTTPException(404)
        points = await connection.fetch(
            "SELECT time, actual, goal FROM fastapi.points WHERE factory_id = $1 ORDER BY time", factory_id
        )
    data = {
        "sprocket_production_actual": [point["actual"] for point in points],
        "sprocket_production_goal": [point["goal"] for point in points],
        "time": [point["time"] for point in points],
    }
    return orjson.dumps({"id": factory_id, "name": name, "factory": {"chart_data": data}})


async def create_tables() -> None:
    connection = await asyncpg.connect(DATABASE_URL)
    await connection.execute(TABLES)
    await connection.close()


if __name__ == "__main__":
    asyncio.run(create_tables())
