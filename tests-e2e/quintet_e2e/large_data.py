"""Fills a stack with as much data as the contract of the console names."""

import io
import random

import psycopg2

from quintet import Quintet
from quintet_e2e.orders import orders_file
from quintet_e2e.stacks import RunningStack

EVENT_COUNT, ORDER_COUNT, POINT_COUNT = 1_000_000, 1_000_000, 5_000_000
FIRST_TIME = 1_700_000_000
LOAD_SECONDS = 600


def fill_streams(stack: RunningStack, client: Quintet, stream: str) -> None:
    """Append one event to the stream and copy it within the database, as appends of one event each."""
    client.streams(stream, producer="warehouse").append("OrderPlaced", {})
    with psycopg2.connect(stack.database_url, options="-csearch_path=event") as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT id FROM streams WHERE name = %s", [stream])
        parameters = {"stream_id": cursor.fetchone()[0], "count": EVENT_COUNT}
        cursor.execute("SELECT * FROM events WHERE stream_id = %(stream_id)s", parameters)
        copied = {"position": "position + n", "sequence": "sequence + n"}
        copied |= {"id": "gen_random_uuid()", "received_at": "received_at + n * interval '1 microsecond'"}
        columns = [column.name for column in cursor.description]
        cursor.execute(
            f"""
            INSERT INTO events ({", ".join(columns)})
            SELECT {", ".join(copied.get(column, column) for column in columns)}
            FROM events, generate_series(1, %(count)s - 1) AS n WHERE stream_id = %(stream_id)s
            """,
            parameters,
        )
        cursor.execute("UPDATE streams SET position = %(count)s WHERE id = %(stream_id)s", parameters)
        cursor.execute("UPDATE series SET last = %(count)s WHERE stream_id = %(stream_id)s", parameters)
    connection.close()


def fill_orders(client: Quintet) -> None:
    client.orders.upload(io.BytesIO(orders_file(1, ORDER_COUNT))).wait(timeout_seconds=LOAD_SECONDS)


def fill_factories(client: Quintet, factory_count: int = 10) -> None:
    """Create factories with a point per minute each."""
    rng = random.Random(1)
    for number in range(factory_count):
        rows = io.BytesIO()
        rows.write(b"time,actual,goal\n")
        for minute in range(POINT_COUNT // factory_count):
            rows.write(b"%d,%d,100\n" % (FIRST_TIME + 60 * minute, rng.randint(80, 120)))
        rows.seek(0)
        client.factories.create(f"Plant {number}").load_csv(rows).wait(timeout_seconds=LOAD_SECONDS)
