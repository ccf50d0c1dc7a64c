"""The same requests with 1, 100 and 10,000 times the stored data, which SQL creates in bulk."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace

import cases
import psycopg2
from imports import Importer, order_lines
from measuring import Application, Credentials, Round, Row, compare
from reporting import Table
from wrk import Request

from quintet_local.testing import TestStack

# With size 1: two events in each of a hundred streams, and 101 in the one whose pages are read.
_PAGE_STREAM, _PAGE_EVENTS = "bench-page", 100
_POINTS, _ORDERS, _SEQUENCES = 5000, 100, 10
_IMPORTED_ORDERS = 20_000
COLD_CHART = "read a cold chart: all points, reduced to 200"

# Adds events to a stream.
_ADD_EVENTS = """
    WITH extended AS (
        UPDATE event.streams SET position = position + %(count)s WHERE name = %(stream)s
        RETURNING id, position - %(count)s AS position
    ), counted AS (
        UPDATE event.series SET last = last + %(count)s FROM extended
        WHERE stream_id = extended.id AND name = 'BenchEvent'
        RETURNING series.id, stream_id, last - %(count)s AS sequence, position
    )
    INSERT INTO event.events (stream_id, position, series_id, sequence, id, received_at, request_id, username, version,
                              system, trigger, payload)
    SELECT stream_id, position + n, counted.id, sequence + n, gen_random_uuid(), now(), '', 'bench', '1',
           %(system)s, %(trigger)s, %(payload)s
    FROM counted, generate_series(1, %(count)s) AS n
"""
# What FastAPI serves is a copy.
_COPY_EVENTS = """
    INSERT INTO fastapi.streams SELECT name, position FROM event.streams WHERE name LIKE 'bench-%'
    ON CONFLICT (name) DO UPDATE SET position = excluded.position;
    TRUNCATE fastapi.events;
    INSERT INTO fastapi.events (stream, position, id, producer, name, body)
    SELECT streams.name, events.position, events.id, 'bench', 'BenchEvent',
           json_build_object('system', system, 'trigger', trigger, 'payload', payload)
    FROM event.events JOIN event.streams ON streams.id = stream_id WHERE streams.name LIKE 'bench-%';
"""
# One point per second that reaches its goal. Without the trigger, which would take an hour; the roll-ups are computed.
_ADD_POINTS = """
    ALTER TABLE factory.points DISABLE TRIGGER USER;
    ALTER TABLE factory.points DROP CONSTRAINT points_pkey;
    INSERT INTO factory.points (factory_id, time, actual, goal, sent)
    SELECT {id}, time, 40 + time % 5, 32, 0 FROM generate_series({first}, {last}) AS time;
    ALTER TABLE factory.points ADD CONSTRAINT points_pkey PRIMARY KEY (factory_id, time);
    ALTER TABLE factory.points ENABLE TRIGGER USER;
    DELETE FROM factory.rollups WHERE factory_id = {id};
    INSERT INTO factory.rollups
    SELECT {id}, width, start, count, 40 * count + rest * (rest - 1) / 2 + count / 5 * 10, 32 * count, 0, 0, 0, 0,
           40::bigint << 20, (44::bigint << 20) + 1048575 - 4, 32::bigint << 20, (32::bigint << 20) + 1048575
    FROM (VALUES (900), (3600), (86400), (604800)) AS widths (width),
         LATERAL (SELECT start, least(start + width, {last} + 1) - greatest(start, {origin}) AS count
                  FROM generate_series({origin}, {last}, width) AS start) AS parts,
         LATERAL (SELECT count % 5 AS rest) AS rests;
    UPDATE factory.factories SET points = {last} - {origin} + 1, version = version + 1, mark = gen_random_uuid()::text
    WHERE id = {id};
    ANALYZE factory.points, factory.rollups;
"""
# A Monday, so that every roll-up begins with the first point.
_ORIGIN = 604800 * 2660 - 259200
_WRONG_ROLLUPS = """
    SELECT * FROM factory.rollups AS stored
    WHERE factory_id = {id} AND width = 900 AND start IN ({origin}, {last} / 900 * 900) AND NOT EXISTS (
        SELECT FROM factory.rolled_up_points({id}, ARRAY[stored.start]) AS computed WHERE computed = stored)
"""
_ADD_SEQUENCES = """
    INSERT INTO sequence.sequences (name, minimum, maximum, cycle)
    SELECT 'stored-' || n, 1, 1000000, true FROM generate_series(1, %(count)s) AS n ON CONFLICT DO NOTHING
"""


class StoredData:
    """Grows the data of a stack; `measure` adds a row for each request with the data that is stored then."""

    def __init__(
        self, stack: TestStack, ours: Application, peer: Application, credentials: Credentials, importer: Importer
    ) -> None:
        self._stack, self._ours, self._peer = stack, ours, peer
        self._credentials, self._importer = credentials, importer
        with cases.session_of(stack) as session:
            created = session.post(f"{stack.url}/api/factories", json={"name": "Stored data"}, timeout=30)
            self._chart = created.headers["Location"]
            for stream in [*cases.STREAMS, f"/api/v1/streams/{_PAGE_STREAM}/events"]:
                headers = {"X-Producer-ID": "bench"}
                response = session.post(stack.url + stream, json=cases.EVENT, headers=headers, timeout=30)
                response.raise_for_status()
        self._factory_paths = cases.create_factories(stack)
        self._size, self._last_point = 0, _ORIGIN - 1
        self._next_order = 0

    def measure(self, sizes: Sequence[int], rounds: int, seconds: int) -> Table:
        rows: dict[str, list[Row]] = {}
        for size in sizes:
            print(f"  bench: {size:,} times the stored data", flush=True)
            self._grow(size)
            for case, (application, request) in self._requests().items():
                named = replace(application, name=f"{size:,}×")
                rows.setdefault(case, []).extend(compare(case, request, [named], self._credentials, rounds, seconds))
            case, imports = (
                f"import {_IMPORTED_ORDERS:,} orders",
                [self._import(_IMPORTED_ORDERS) for _ in range(rounds)],
            )
            rows.setdefault(case, []).append(Row(case, f"{size:,}×", imports))
        notes = (
            f"1× is about {_PAGE_EVENTS + 2 * len(cases.STREAMS)} events, {_POINTS:,} points of one factory, {_ORDERS} "
            f"orders and {_SEQUENCES} sequences; what the requests themselves add is not removed. A cold chart is "
            "requested by one client, each time with another range, so it is in no cache; its points are one per "
            "second. A request of the import is a row."
        )
        ordered = [row for case in rows.values() for row in case]
        return Table("stored", "What becomes slower with more stored data?", ordered, notes=notes, reference="1×")

    def _requests(self) -> Mapping[str, tuple[Application, Request]]:
        # More than a run sends, because a response that was read before would be in the cache.
        queries = [f"from={_ORIGIN + n % 2500}&points={200 + n // 2500}" for n in range(20_000)]
        cold = Request([f"{self._chart}/chart-data?{query}" for query in queries], connections=1)
        page = replace(cases.READ_PAGE, paths=[f"/api/v1/streams/{_PAGE_STREAM}/events?eventName=BenchEvent&limit=100"])
        return {
            "issue one number": (self._ours, cases.ISSUE_ONE),
            "append one event": (self._ours, cases.APPEND_ONE),
            "append one event, FastAPI": (self._peer, cases.APPEND_ONE),
            "append 100 events": (self._ours, cases.APPEND_HUNDRED),
            "append 100 events, FastAPI": (self._peer, cases.APPEND_HUNDRED),
            "read a page of 100 events": (self._ours, page),
            "read a chart": (self._ours, Request(self._factory_paths)),
            COLD_CHART: (self._ours, cold),
        }

    def _grow(self, size: int) -> None:
        added = size - self._size
        events = dict.fromkeys((stream.split("/")[4] for stream in cases.STREAMS), added)
        events[_PAGE_STREAM] = _PAGE_EVENTS * added
        parts = {name: json.dumps(cases.EVENT[name]) for name in ("system", "trigger", "payload")}
        points = {"id": int(self._chart.split("/")[-1]), "origin": _ORIGIN, "first": self._last_point + 1}
        points["last"] = self._last_point = _ORIGIN + _POINTS * size - 1
        with closing(psycopg2.connect(self._stack.admin_database_url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for stream, count in events.items():
                    cursor.execute(_ADD_EVENTS, {"stream": stream, "count": count, **parts})
                cursor.execute(_COPY_EVENTS)
                cursor.execute(_ADD_POINTS.format(**points))
                cursor.execute("SET search_path TO factory")
                cursor.execute(_WRONG_ROLLUPS.format(**points))
                if wrong := cursor.fetchall():
                    raise RuntimeError(f"roll-ups that differ from those of factory-service: {wrong}")
                cursor.execute(_ADD_SEQUENCES, {"count": _SEQUENCES * size})
                cursor.execute("ANALYZE event.events, fastapi.events, sequence.sequences")
                cursor.execute("CHECKPOINT")
        self._import(_ORDERS * added)
        self._size = size

    def _import(self, count: int) -> Round:
        self._importer.file.write_text("".join(order_lines(count, 1, self._next_order)))
        self._next_order += count
        return self._importer.ours_round(count)
