"""Files of orders, their upload, and the state of their import."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2

from quintet_e2e.clients import Client, ok_json
from quintet_e2e.stacks import CHECKOUT, RunningStack
from quintet_testing.waiting import eventually

PAGE = "/acme_orders"
API = f"{PAGE}/api/v1/orders"
CSV = {"Content-Type": "text/csv"}
COUNTERS = ("valid", "invalid", "duplicates", "rejected")
IMPORT_SECONDS = 90
_HEADER = "id|name|email|state|zipcode|birthday\n"
_SAMPLE = CHECKOUT / "orders-service" / "samples" / "orders.csv"
# Valid rows, and rows that violate one rule each. A row with state and zipcode of the previous row is always valid.
_ROWS = (
    ("Stone Dominguez", "stone@example.org", "IA", "05130", "Feb 27, 1963"),
    ("Davis Walters", "davis@example.edu", "PA", "67102", "Mar 21,1941"),
    ("Ümit Ø'Neil", "u@example.com", "KY", "12345", "1936-06-20"),
    ("Knox Weber", "knox@example.com", "TX", "11111-2222", "December 12, 1957"),
    ("Aubrey Ang", "aubrey example.com", "CA", "10101", "Dec 12 1957"),
    ("Gil Oh", "gil@example.net", "NY", "10001", "Jan 1, 1980"),
    ("Gil Again", "gil again", "NY", "10001", "Jan 1, 1980"),
    ("Zoe Young", "zoe@example.com", "OH", "10002", "Jan 1, 2020"),
)
_IS_VALID = (True, False, True, True, False, False, True, False)


def first_unused_id() -> int:
    """Return the first of a million order IDs that no other test uses."""
    return secrets.randbelow(2**41) * 2**20 + 1


def sample_file(first_id: int) -> bytes:
    """Return the sample file of the service with its IDs shifted by `first_id`."""
    header, *rows = _SAMPLE.read_text(encoding="utf-8").splitlines()
    shifted = (row.partition("|") for row in rows)
    return "\n".join([header, *(f"{first_id + int(number)}|{rest}" for number, _, rest in shifted), ""]).encode()


def orders_file(first_id: int, count: int, *, has_bad_ids: bool = False) -> bytes:
    """Return a file of valid and invalid orders. With bad IDs, some rows are duplicates and some are rejected."""
    id_at = _possibly_bad_id if has_bad_ids else lambda first_id, index: str(first_id + index)
    rows = ("|".join((id_at(first_id, index), *_ROWS[index % len(_ROWS)])) for index in range(count))
    return (_HEADER + "\n".join(rows) + "\n").encode()


def _possibly_bad_id(first_id: int, index: int) -> str:
    """Return the row's ID, or for some rows the ID of a near or distant row, or text that is not an ID."""
    near, distant = first_id + index - 1, first_id + index - index % 4096
    return {10: str(near), 20: str(distant), 30: "none"}.get(index % 211, str(first_id + index))


def expected_counts(count: int) -> dict[str, int]:
    """Return the counters of the import of `orders_file` with `count` rows."""
    valid = sum(_IS_VALID[index % len(_ROWS)] for index in range(count))
    return {"valid": valid, "invalid": count - valid, "duplicates": 0, "rejected": 0}


def upload(client: Client, content: bytes, name: str = "orders.csv", **query: Any) -> str:
    """Upload the file, with retries until the outcome is known, and return the ID of the import."""
    params = {"file_name": name, **query}
    response = client.send_with_retry("PUT", f"{API}/import", headers=CSV, data=content, params=params)
    task_id: str = ok_json(response)["result"]["task_id"]
    return task_id


def get_status(client: Client, task_id: str) -> dict[str, Any]:
    status: dict[str, Any] = ok_json(client.get(f"{API}/import/status/{task_id}"))["result"]
    return status


def wait_for_end(client: Client, task_id: str, within_seconds: float = IMPORT_SECONDS) -> dict[str, Any]:
    """Return the status of the import after its end; check that its counters add up and never decrease."""
    history: list[dict[str, Any]] = []

    def has_ended() -> bool:
        history.append(get_status(client, task_id))
        assert_counters_add_up(history[-1])
        assert history[-1]["current"] >= history[max(0, len(history) - 2)]["current"], history[-2:]
        return history[-1]["status"] in ("SUCCESS", "FAILURE")

    eventually(has_ended, within_seconds)
    return history[-1]


def assert_counters_add_up(status: dict[str, Any]) -> None:
    assert sum(status[counter] for counter in COUNTERS) == status["current"] <= status["total"], status
    assert status["status"] != "SUCCESS" or status["current"] == status["total"], status


def row_counts(status: dict[str, Any]) -> dict[str, int]:
    return {counter: status[counter] for counter in COUNTERS}


def get_errors(client: Client, task_id: str) -> list[str]:
    """Return line, rule and message of each row of the error report."""
    response = client.get(f"{API}/import/{task_id}/errors.csv")
    assert response.ok, response.text
    return ["|".join(row.rsplit("|", 3)[1:]) for row in response.content.decode().splitlines()]


def query_database(stack: RunningStack, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(stack.database_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []


def stored_summary(stack: RunningStack, first_id: int, count: int) -> tuple[Any, ...]:
    """Return how many orders with IDs of this range are stored, how many of them are valid, and their checksum."""
    return query_database(
        stack,
        """
        SELECT count(*), count(*) FILTER (WHERE failed = 0), sum(hashtextextended(
            concat_ws('|', id - %(first_id)s, name, email, state, zipcode, birthday, failed), 0)::numeric)
        FROM orders.orders WHERE id >= %(first_id)s AND id < %(first_id)s + %(count)s
        """,
        first_id=first_id,
        count=count,
    )[0]


@contextmanager
def worker_blocked(
    stack: RunningStack,
    task_id: str,
    within_seconds: float,
    is_over: Callable[[], bool] = lambda: False,
    is_stopped: bool = False,
) -> Iterator[None]:
    """Run the block while the worker waits for the lock of the import's row, or its work is over; then release it.

    A worker that is stopped is started after the row has been locked, so that it cannot end its work before.
    """
    with closing(psycopg2.connect(stack.database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT FROM orders.imports WHERE id = %s FOR UPDATE", (task_id,))
        if is_stopped:
            stack.start("orders-worker")
        waits = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'orders' AND wait_event_type = 'Lock'"
        eventually(lambda: query_database(stack, waits) > [(0,)] or is_over(), within_seconds)
        yield
        connection.commit()
