"""Fills a stack with as much data as the contract of the console names."""

import io
import random

import psycopg2

from quintet_e2e.clients import Client, ok_json
from quintet_e2e.orders import API, CSV, orders_file
from quintet_e2e.streams import event_body, stream_path
from quintet_testing.waiting import eventually

EVENT_COUNT, ORDER_COUNT, POINT_COUNT = 1_000_000, 1_000_000, 5_000_000
FIRST_TIME = 1_700_000_000
LOAD_SECONDS = 600


def fill_streams(client: Client, stream: str) -> None:
    """Append one event to the stream and copy it within the database, as appends of one event each."""
    ok_json(client.post(f"{stream_path(stream)}/events", json=event_body(), headers={"X-Producer-ID": "warehouse"}))
    with psycopg2.connect(client.stack.database_url, options="-csearch_path=event") as connection:
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


def fill_orders(client: Client) -> None:
    response = ok_json(client.put(f"{API}/import", data=orders_file(1, ORDER_COUNT), headers=CSV))
    wait_for_success(client, f"{API}/import/status/{response['result']['task_id']}")


def fill_factories(client: Client, factory_count: int = 10) -> None:
    """Create factories with a point per minute each."""
    rng = random.Random(1)
    for number in range(factory_count):
        factory = ok_json(client.post("/api/factories", json={"name": f"Plant {number}"}))["id"]
        rows = io.StringIO()
        rows.write("time,actual,goal\n")
        for minute in range(POINT_COUNT // factory_count):
            rows.write(f"{FIRST_TIME + 60 * minute},{rng.randint(80, 120)},100\n")
        path = f"/api/factory/{factory}/production"
        response = client.post(path, data=rows.getvalue(), headers={"Content-Type": "text/csv"})
        assert response.status_code == 202, response.text
        wait_for_success(client, response.headers["Location"])


def wait_for_success(client: Client, path: str) -> None:
    def is_finished() -> bool:
        status = ok_json(client.get(path))
        status = status.get("result", status)["status"]
        assert status != "FAILURE"
        return bool(status == "SUCCESS")

    eventually(is_finished, LOAD_SECONDS)
