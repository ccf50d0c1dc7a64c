"""Ways to import orders that others would choose, each with the rules of orders-service and the same primary key.

`python import_orders.py METHOD DATABASE_URL REDIS_URL FILE ROWS` imports the first rows of the file and prints the
seconds and the processor seconds of this process. Rows with an ID that exists are skipped.
"""

import importlib
import io
import itertools
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg2

COLUMNS = ("id", "name", "email", "state", "zipcode", "birthday", "failed")
TABLE = """
    DROP TABLE IF EXISTS orders_of_peers;
    CREATE TABLE orders_of_peers (
        id bigint PRIMARY KEY, name text NOT NULL, email text NOT NULL, state text NOT NULL, zipcode text NOT NULL,
        birthday {birthday} NOT NULL, failed text NOT NULL DEFAULT ''
    )
"""
_EMAIL = r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$"
_IS_EMAIL = re.compile(_EMAIL)
_EXCLUDED_STATES = ("NJ", "CT", "PA", "MA", "IL", "ID", "OR")


def copy(database_url: str, _redis_url: str, source: Path) -> None:
    """Copy text, unchecked; the caller has removed duplicates."""
    columns = ", ".join(COLUMNS[:-1])
    with source.open("rb") as content, psycopg2.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.copy_expert(f"COPY orders_of_peers ({columns}) FROM STDIN (DELIMITER '|')", content, 2**20)


def polars(database_url: str, _redis_url: str, source: Path) -> None:
    import polars as pl

    orders = pl.read_csv(
        source, separator="|", has_header=False, new_columns=COLUMNS[:-1], infer_schema=False
    ).with_columns(
        pl.col("id").cast(pl.Int64),
        pl.col("birthday").str.to_date("%b %d, %Y"),
        pl.col("state").str.to_uppercase().alias("upper_state"),
        pl.col("zipcode").str.replace_all(r"[^0-9]", "").alias("digits"),
    )
    today = datetime.now(UTC).date()
    digits = pl.col("digits").str.split("").list.eval(pl.element().cast(pl.Int32, strict=False)).list.sum()
    violations = {
        "allowed_state": pl.col("upper_state").is_in(_EXCLUDED_STATES),
        "email_pattern": ~pl.col("email").str.contains(_EMAIL),
        "zipcode_sum": digits > 20,
        "zipcode_length": ~pl.col("digits").str.len_bytes().is_in((5, 9)),
        "email_state": (pl.col("upper_state") == "NY") & pl.col("email").str.to_lowercase().str.ends_with(".net"),
        "allowed_age": pl.col("birthday") > today.replace(year=today.year - 21),
    }
    is_exempt = (pl.col("state") == pl.col("state").shift()) & (pl.col("zipcode") == pl.col("zipcode").shift())
    names = [
        pl.when(violated & ~is_exempt.fill_null(False)).then(pl.lit(name)) for name, violated in violations.items()
    ]
    orders = orders.with_columns(pl.concat_str(names, separator=",", ignore_nulls=True).alias("failed"))
    content = io.BytesIO()
    orders.unique("id", keep="first").select(COLUMNS).write_csv(content, include_header=False, separator="|")
    content.seek(0)
    _copy_csv(database_url, content)


def duckdb(database_url: str, _redis_url: str, source: Path) -> None:
    import duckdb as engine

    target = source.with_suffix(".valid")
    excluded = ", ".join(f"'{state}'" for state in _EXCLUDED_STATES)
    rules = {
        "allowed_state": f"upper(state) IN ({excluded})",
        "email_pattern": f"NOT regexp_matches(email, '{_EMAIL}')",
        "zipcode_sum": "list_sum(list_transform(string_split(digits, ''), lambda digit: TRY_CAST(digit AS INT))) > 20",
        "zipcode_length": "length(digits) NOT IN (5, 9)",
        "email_state": "upper(state) = 'NY' AND lower(email) LIKE '%.net'",
        "allowed_age": "birth_date > current_date - INTERVAL 21 YEAR",
    }
    failed = ", ".join(f"CASE WHEN NOT is_exempt AND {rule} THEN '{name}' END" for name, rule in rules.items())
    engine.execute(
        f"""
        COPY (
            SELECT id, name, email, state, zipcode, birth_date, coalesce(concat_ws(',', {failed}), '') FROM (
                SELECT *, strptime(birthday, '%b %d, %Y')::DATE AS birth_date,
                       regexp_replace(zipcode, '[^0-9]', '', 'g') AS digits,
                       coalesce((state, zipcode) = lag((state, zipcode)) OVER (ORDER BY number), false) AS is_exempt
                FROM (
                    SELECT *, row_number() OVER () AS number FROM read_csv('{source}', delim = '|', header = false,
                        columns = {{id: 'BIGINT', name: 'VARCHAR', email: 'VARCHAR', state: 'VARCHAR',
                                    zipcode: 'VARCHAR', birthday: 'VARCHAR'}})
                )
            ) QUALIFY row_number() OVER (PARTITION BY id ORDER BY number) = 1
        ) TO '{target}' (DELIMITER '|', HEADER false)
        """
    )
    with target.open("rb") as content:
        _copy_csv(database_url, content)


def django(database_url: str, _redis_url: str, source: Path) -> None:
    """Create objects in batches, each in one transaction."""
    import os

    os.environ["DATABASE_URL"] = database_url
    from django_app import models

    class Order(models.Model):
        id = models.BigIntegerField(primary_key=True)
        name, email, state, zipcode, failed = (models.TextField() for _ in range(5))
        birthday = models.DateField()

        class Meta:
            app_label = "bench"
            db_table = "orders_of_peers"

    orders = (Order(**order) for order in _validated(source))
    while batch := [*itertools.islice(orders, 5000)]:
        Order.objects.bulk_create(batch, ignore_conflicts=True)


def sqlalchemy(database_url: str, redis_url: str, source: Path) -> None:
    """Create an object, commit and publish the progress for each row, as a Celery task does."""
    import redis
    import sqlalchemy as sa
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

    class Base(DeclarativeBase):
        pass

    class Order(Base):
        __tablename__ = "orders_of_peers"
        id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
        name: Mapped[str]
        email: Mapped[str]
        state: Mapped[str]
        zipcode: Mapped[str]
        birthday: Mapped[date]
        failed: Mapped[str]

    engine = sa.create_engine(database_url.replace("postgresql:", "postgresql+psycopg2:"))
    progress = redis.Redis.from_url(redis_url)
    with Session(engine) as session:
        for count, order in enumerate(_validated(source), 1):
            session.add(Order(**order))
            try:
                session.commit()
            except sa.exc.IntegrityError:
                session.rollback()
            value = json.dumps({"status": "PROGRESS", "result": {"current": count, "msg": f"{count} orders"}})
            with progress.pipeline() as pipeline:
                pipeline.set("orm-import", value, ex=86400)
                pipeline.publish("orm-import", value)
                pipeline.execute()


def _copy_csv(database_url: str, content: Any) -> None:
    with psycopg2.connect(database_url) as connection, connection.cursor() as cursor:
        options = "FORMAT csv, DELIMITER '|', FORCE_NOT_NULL (failed)"
        cursor.copy_expert(f"COPY orders_of_peers ({', '.join(COLUMNS)}) FROM STDIN ({options})", content, 2**20)


def _validated(source: Path) -> Iterator[dict[str, Any]]:
    previous = None
    today = datetime.now(UTC).date()
    for row in source.open():
        id_, name, email, state, zipcode, birthday = row.rstrip("\n").split("|")
        order = {"id": int(id_), "name": name, "email": email, "state": state, "zipcode": zipcode}
        order["birthday"] = datetime.strptime(birthday, "%b %d, %Y").date()
        is_exempt = (state, zipcode) == previous
        previous = state, zipcode
        yield {**order, "failed": "" if is_exempt else ",".join(_failed_rules(order, today))}


def _failed_rules(order: dict[str, Any], today: date) -> Iterable[str]:
    digits = [int(char) for char in order["zipcode"] if char in "0123456789"]
    state, birthday = order["state"].upper(), order["birthday"]
    violations = {
        "allowed_state": state in _EXCLUDED_STATES,
        "email_pattern": not _IS_EMAIL.search(order["email"]),
        "zipcode_sum": sum(digits) > 20,
        "zipcode_length": len(digits) not in (5, 9),
        "email_state": state == "NY" and order["email"].lower().endswith(".net"),
        "allowed_age": birthday > today.replace(year=today.year - 21),
    }
    return (name for name, is_violated in violations.items() if is_violated)


METHODS: dict[str, Callable[[str, str, Path], None]] = {
    method.__name__: method for method in (copy, polars, duckdb, django, sqlalchemy)
}


def main(method: str, database_url: str, redis_url: str, file: str, count: str) -> None:
    with psycopg2.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute(TABLE.format(birthday="text" if method == "copy" else "date"))
    with open(file) as lines:
        rows = [*itertools.islice(lines, 1, 1 + int(count))]
    if method == "copy":
        rows = [*{row.split("|", 1)[0]: row for row in reversed(rows)}.values()]
    source = Path(file).with_suffix(".rows")
    source.write_text("".join(rows))
    if method != "copy":
        importlib.import_module(method)
    started_at, processor_started_at = time.monotonic(), time.process_time()
    METHODS[method](database_url, redis_url, source)
    print(json.dumps([time.monotonic() - started_at, time.process_time() - processor_started_at]))


if __name__ == "__main__":
    main(*sys.argv[1:])
