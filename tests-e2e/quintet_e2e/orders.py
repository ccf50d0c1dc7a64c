"""Files of orders, and what becomes of them."""

import secrets
from contextlib import closing
from typing import Any

import psycopg2

from quintet_e2e.clients import Client, done
from quintet_e2e.stacks import CHECKOUT, Running
from quintet_testing.waiting import eventually

PAGE = "/acme_orders"
API = f"{PAGE}/api/v1/orders"
CSV = {"Content-Type": "text/csv"}
FATES = ("valid", "invalid", "duplicates", "rejected")
IMPORTED_WITHIN = 90
_HEADER = "id|name|email|state|zipcode|birthday\n"
_SAMPLE = CHECKOUT / "orders-service" / "samples" / "orders.csv"
# Valid, and wrong by one rule each; a row that says the same as the one before it is always valid.
_KINDS = (
    ("Stone Dominguez", "stone@example.org", "IA", "05130", "Feb 27, 1963"),
    ("Davis Walters", "davis@example.edu", "PA", "67102", "Mar 21,1941"),
    ("Ümit Ø'Neil", "u@example.com", "KY", "12345", "1936-06-20"),
    ("Knox Weber", "knox@example.com", "TX", "11111-2222", "December 12, 1957"),
    ("Aubrey Ang", "aubrey example.com", "CA", "10101", "Dec 12 1957"),
    ("Gil Oh", "gil@example.net", "NY", "10001", "Jan 1, 1980"),
    ("Gil Again", "gil again", "NY", "10001", "Jan 1, 1980"),
    ("Zoe Young", "zoe@example.com", "OH", "10002", "Jan 1, 2020"),
)
_VALID_KINDS = (True, False, True, True, False, False, True, False)


def new_ids() -> int:
    """The first of a million that nobody else has."""
    return secrets.randbelow(2**41) * 2**20 + 1


def sample(first: int) -> bytes:
    """The file that the service is shown with, its ids moved behind `first`."""
    head, *rows = _SAMPLE.read_text(encoding="utf-8").splitlines()
    moved = (row.partition("|") for row in rows)
    return "\n".join([head, *(f"{first + int(number)}|{rest}" for number, _, rest in moved), ""]).encode()


def orders(first: int, count: int, *, spoiled: bool = False) -> bytes:
    """All valid or invalid, no two with one id; unless spoiled."""
    id_at = _spoiled if spoiled else lambda first, place: str(first + place)
    rows = ("|".join((id_at(first, place), *_KINDS[place % len(_KINDS)])) for place in range(count))
    return (_HEADER + "\n".join(rows) + "\n").encode()


def _spoiled(first: int, place: int) -> str:
    """Now and then the id of another row, near by or far away, or none at all."""
    near, far = first + place - 1, first + place - place % 4096
    return {10: str(near), 20: str(far), 30: "none"}.get(place % 211, str(first + place))


def fates_of(count: int) -> dict[str, int]:
    """Of such a file."""
    valid = sum(_VALID_KINDS[place % len(_KINDS)] for place in range(count))
    return {"valid": valid, "invalid": count - valid, "duplicates": 0, "rejected": 0}


def upload(client: Client, content: bytes, name: str = "orders.csv", **query: Any) -> str:
    """Asked for again until it is known to be in; the id of the import."""
    params = {"file_name": name, **query}
    return done(client.until_known("PUT", f"{API}/import", headers=CSV, data=content, params=params))["result"][
        "task_id"
    ]


def status_of(client: Client, task_id: str) -> dict[str, Any]:
    return done(client.get(f"{API}/import/status/{task_id}"))["result"]


def ended(client: Client, task_id: str, within_seconds: float = IMPORTED_WITHIN) -> dict[str, Any]:
    """The import, once it is at its end; what is told of it meanwhile adds up and never goes back."""
    seen: list[dict[str, Any]] = []

    def look() -> bool:
        seen.append(status_of(client, task_id))
        assert_sums_hold(seen[-1])
        assert seen[-1]["current"] >= seen[max(0, len(seen) - 2)]["current"], seen[-2:]
        return seen[-1]["status"] in ("SUCCESS", "FAILURE")

    eventually(look, within_seconds)
    return seen[-1]


def assert_sums_hold(status: dict[str, Any]) -> None:
    assert sum(status[fate] for fate in FATES) == status["current"] <= status["total"], status
    assert status["status"] != "SUCCESS" or status["current"] == status["total"], status


def fates_in(status: dict[str, Any]) -> dict[str, int]:
    return {fate: status[fate] for fate in FATES}


def errors_of(client: Client, task_id: str) -> list[str]:
    """Line, rule and message of each row that is reported."""
    answer = client.get(f"{API}/import/{task_id}/errors.csv")
    assert answer.ok, answer.text
    return ["|".join(row.rsplit("|", 3)[1:]) for row in answer.content.decode().splitlines()]


def ask_database(stack: Running, statement: str, **parts: Any) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(stack.database_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, parts)
            return cursor.fetchall() if cursor.description else []


def stored(stack: Running, first: int, count: int) -> tuple[Any, ...]:
    """How many there are, how many of them are valid, and a sum over all that is known of each."""
    return ask_database(
        stack,
        """
        SELECT count(*), count(*) FILTER (WHERE failed = 0), sum(hashtextextended(
            concat_ws('|', id - %(first)s, name, email, state, zipcode, birthday, failed), 0)::numeric)
        FROM orders.orders WHERE id >= %(first)s AND id < %(first)s + %(count)s
        """,
        first=first,
        count=count,
    )[0]
