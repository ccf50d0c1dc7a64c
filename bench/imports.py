"""An import of orders, from the first byte of the upload to SUCCESS, compared with other ways to import."""

import json
import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests
from measuring import Application, Credentials, Round, Row
from processes import Usage, difference, groups_of, peak_memory_mb, read_usage
from reporting import Table
from serving import PEERS, PYTHON

from quintet_local.testing import TestStack
from quintet_testing.waiting import eventually

PATH = "/acme_orders/api/v1/orders/import"
RAW_COPY = "raw COPY: text, no checks"
CASE = "import orders"
_STATES = ("AL", "AZ", "CA", "CO", "DE", "FL", "GA", "HI", "IA", "KS", "ME", "MI", "NC", "NJ", "NV", "NY", "OH", "TX")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Slow methods import a part of the file.
_METHODS = {
    "copy": (RAW_COPY, 1.0),
    "polars": ("polars, COPY", 1.0),
    "duckdb": ("DuckDB, COPY", 1.0),
    "django": ("Django bulk_create, 5,000 rows each", 0.05),
    "sqlalchemy": ("SQLAlchemy, COMMIT and message to Redis per row", 0.003),
}


@dataclass(frozen=True)
class Importer:
    """Imports a file of orders into the stack, and as others would."""

    stack: TestStack
    ours: Application
    credentials: Credentials
    background: Usage
    file: Path

    def ours_round(self, rows: int) -> Round:
        session = requests.Session()
        session.auth = (self.credentials.user, self.credentials.password)
        before, started_at = read_usage(self.ours.groups), time.monotonic()
        with self.file.open("rb") as content:
            url = self.ours.address + PATH
            response = session.put(url, data=content, headers={"Content-Type": "text/csv"}, timeout=600)
        response.raise_for_status()
        accepted_ms = 1000 * (time.monotonic() - started_at)
        status_url = f"{url}/status/{response.json()['result']['task_id']}"

        def final_status() -> str | None:
            status = str(session.get(status_url, timeout=60).json()["result"]["status"])
            return None if status in ("PENDING", "PROGRESS") else status

        status = eventually(final_status, 600)
        if status != "SUCCESS":
            raise RuntimeError(f"the import must end with SUCCESS, not {status}")
        seconds, after = time.monotonic() - started_at, read_usage(self.ours.groups)
        return _round(rows, seconds, accepted_ms, difference(before, after))

    def peer_round(self, method: str, rows: int) -> Round:
        groups = {group: pids for group, pids in groups_of(self.stack).items() if group in ("Postgres", "Redis")}
        urls = [self.stack.admin_database_url, self.stack.cache.url()]
        command = [str(PYTHON), str(PEERS / "import_orders.py"), method, *urls, str(self.file), str(rows)]
        before, started_at = read_usage(groups), time.monotonic()
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        elapsed, usage = time.monotonic() - started_at, difference(before, read_usage(groups))
        seconds, processor_seconds = json.loads(output)
        charged = {group: max(0.0, used - self.background[group] * elapsed) for group, used in usage.items()}
        return _round(rows, seconds, 1000 * seconds, {**charged, "web": processor_seconds})


def measure_imports(importer: Importer, rounds: int, rows: int) -> Table:
    results: list[list[Round]] = []
    for number in range(rounds):
        importer.file.write_text("".join(order_lines(rows, number, number * rows)))
        peers = [importer.peer_round(method, int(rows * share)) for method, (_, share) in _METHODS.items()]
        results.append([importer.ours_round(rows), *peers])
    names = [importer.ours.name, *(name for name, _ in _METHODS.values())]
    table_rows = [Row(CASE, name, column) for name, column in zip(names, zip(*results, strict=True), strict=True)]
    size_mb = importer.file.stat().st_size / 1e6
    peaks = [peak_memory_mb([importer.stack.pid(f"orders-{kind}")]) for kind in ("web", "worker")]
    notes = (
        f"{rows:,} rows, {size_mb:.0f} MB, 0.5 % of them duplicates; a third of the orders violates a rule. Django "
        "imports 5 % of the rows and SQLAlchemy 0.3 %. The latency of our row is the time until the 202, that of the "
        f"others the time of the import. Peak memory of our web processes is {peaks[0]:.0f} MB, of the worker "
        f"{peaks[1]:.0f} MB."
    )
    return Table("imports", "What does it cost to import orders?", table_rows, "row", notes)


def order_lines(count: int, seed: int, first_id: int) -> Iterator[str]:
    """Yield a header and rows with IDs in random order, 0.5 % of them duplicates, a third of the orders invalid."""
    rng = random.Random(seed)
    ids = list(range(first_id, first_id + count))
    rng.shuffle(ids)
    for _ in range(count // 200):
        ids[rng.randrange(count)] = ids[rng.randrange(count)]
    yield "id|name|email|state|zipcode|birthday\n"
    for id_ in ids:
        zipcode = f"{rng.randrange(100_000):05}" if rng.random() < 0.3 else f"{rng.randrange(5_000):05}"
        birthday = f"{rng.choice(_MONTHS)} {rng.randrange(1, 29)}, {rng.randrange(1930, 2005)}"
        yield f"{id_}|Ann Smith {id_ % 997}|ann.smith{id_}@example.com|{rng.choice(_STATES)}|{zipcode}|{birthday}\n"


def _round(rows: int, seconds: float, latency_ms: float, usage: Usage) -> Round:
    return Round(rows, seconds, latency_ms, latency_ms, {group: used * 1e6 / rows for group, used in usage.items()})
