"""`python bench/imports.py`: an import of a million orders, from upload to SUCCESS, compared with raw COPY.

It is also compared with an ORM that commits and publishes its progress to Redis for each row. The three alternate in
one run, with the same rows and the same primary key. It prints a table and stores it in bench/imports.md.
"""

import argparse
import io
import itertools
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import requests
from orm import rows_per_second

from quintet_local.testing import TestStack, running_stack

PATH = "/acme_orders/api/v1/orders/import"
HEADER = "id|name|email|state|zipcode|birthday\n"
STATES = ("AL", "AZ", "CA", "CO", "DE", "FL", "GA", "HI", "IA", "KS", "ME", "MI", "NC", "NJ", "NV", "NY", "OH", "TX")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--orm-rows", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quintet-bench-") as folder, running_stack(RATE_LIMITS="off") as stack:
        file = Path(folder) / "orders.csv"
        rounds = []
        for number in range(arguments.rounds):
            file.write_text(HEADER + "".join(_rows(arguments.rows, number)))
            copy_seconds = _raw_copy(stack, file)
            import_seconds = _import(stack, file)
            rounds.append((copy_seconds, *import_seconds, _orm_rate(stack, file, arguments.orm_rows)))
            print(
                "raw COPY {:.2f} s, upload {:.2f} s, import {:.2f} s, ORM {:.0f} rows/s".format(*rounds[-1]), flush=True
            )
        report = "\n".join(_report(arguments.rows, file.stat().st_size, rounds, _peak_memory(stack))) + "\n"
    print(report)
    (Path(__file__).resolve().parent / "imports.md").write_text(report)


def _rows(count: int, number: int) -> Iterator[str]:
    """Yield rows with new IDs in random order, 0.5 % of them duplicates, a third of the orders invalid."""
    rng = random.Random(number)
    ids = list(range(number * count, (number + 1) * count))
    rng.shuffle(ids)
    for _ in range(count // 200):
        ids[rng.randrange(count)] = ids[rng.randrange(count)]
    for id_ in ids:
        zipcode = f"{rng.randrange(100_000):05}" if rng.random() < 0.3 else f"{rng.randrange(5_000):05}"
        birthday = f"{rng.choice(MONTHS)} {rng.randrange(1, 29)}, {rng.randrange(1930, 2005)}"
        yield f"{id_}|Ann Smith {id_ % 997}|ann.smith{id_}@example.com|{rng.choice(STATES)}|{zipcode}|{birthday}\n"


def _raw_copy(stack: TestStack, file: Path) -> float:
    """Return the seconds of a COPY of the rows without duplicates, into text columns, without validation."""
    ids: set[str] = set()
    lines = []
    for line in file.read_text().splitlines(keepends=True)[1:]:
        id_ = line.split("|", 1)[0]
        if id_ not in ids:
            ids.add(id_)
            lines.append(line)
    content = io.BytesIO("".join(lines).encode())
    with psycopg2.connect(stack.admin_database_url) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS raw")
        cursor.execute(
            "CREATE TABLE raw (id bigint PRIMARY KEY, name text, email text, state text, zipcode text, birthday text)"
        )
        connection.commit()
        started_at = time.monotonic()
        cursor.copy_expert("COPY raw FROM STDIN (DELIMITER '|')", content, size=1024 * 1024)
        connection.commit()
        seconds = time.monotonic() - started_at
    connection.close()
    return seconds


def _import(stack: TestStack, file: Path) -> tuple[float, float]:
    """Return the seconds until the upload was accepted, and until SUCCESS."""
    session = requests.Session()
    session.auth = (stack.user, stack.password)
    started_at = time.monotonic()
    with file.open("rb") as content:
        response = session.put(stack.url + PATH, data=content, headers={"Content-Type": "text/csv"}, timeout=600)
    upload_seconds = time.monotonic() - started_at
    status_url = f"{stack.url}{PATH}/status/{response.json()['result']['task_id']}"
    while (status := session.get(status_url, timeout=60).json()["result"])["status"] in ("PENDING", "PROGRESS"):
        time.sleep(0.1)
    assert status["status"] == "SUCCESS", status
    return upload_seconds, time.monotonic() - started_at


def _orm_rate(stack: TestStack, file: Path, count: int) -> float:
    """Return the rows per second of the ORM, measured with `count` rows because it is slow."""
    with file.open() as lines:
        return rows_per_second(stack.admin_database_url, stack.cache.url(), itertools.islice(lines, 1, 1 + count))


def _peak_memory(stack: TestStack) -> dict[str, float]:
    """Return the peak memory in MB of the largest web process and of the worker."""
    peaks: dict[str, float] = {"web": 0, "worker": 0}
    for process in psutil.process_iter(["pid", "cmdline", "environ"]):
        command = " ".join(process.info["cmdline"] or [])
        if "orders_service" not in command or str(stack.layout.home) not in str(process.info["environ"]):
            continue
        kind = "worker" if command.endswith("worker") else "web"
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1000
        peaks[kind] = max(peaks[kind], peak)
    return peaks


def _report(rows: int, size_bytes: int, rounds: Sequence[tuple[float, ...]], peaks: dict[str, float]) -> list[str]:
    copy, upload, total, orm_rate = (statistics.median(values) for values in zip(*rounds, strict=True))
    ratios = sorted(copy_ / total_ for copy_, _, total_, _ in rounds)
    ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"
    factors = sorted(rows / total_ / orm_ for _, _, total_, orm_ in rounds)
    factor = f"{statistics.median(factors):.0f} ({factors[0]:.0f}–{factors[-1]:.0f})"

    def row(name: str, *values: Any) -> str:
        return f"| {name} | " + " | ".join(str(value) for value in values) + " |"

    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    return [
        "# An import of a million orders",
        "",
        f"{when} UTC, {psutil.cpu_count()} processors ({platform.machine()}), Python {platform.python_version()}. "
        f"{rows:,} rows, {size_bytes / 1e6:.0f} MB, median of {len(rounds)} alternating rounds; "
        "the load average of the machine was "
        f"{os.getloadavg()[1]:.0f}, and if it exceeds the number of processors, only the ratios are meaningful.",
        "",
        "| | seconds | rows/s |",
        "|---|---|---|",
        row("raw COPY into a table with the same key", f"{copy:.2f}", f"{rows / copy:,.0f}"),
        row("import: upload, until the 202", f"{upload:.2f}", f"{rows / upload:,.0f}"),
        row("import: from the first byte to SUCCESS", f"{total:.2f}", f"{rows / total:,.0f}"),
        row("an ORM with a COMMIT and a message to Redis for each row", "", f"{orm_rate:,.0f}"),
        "",
        f"Ratio to raw COPY {ratio}; goal 0.30. {factor} times the ORM; goal 200. "
        f"Peak memory: web {peaks['web']:.0f} MB (goal < 120), "
        f"worker {peaks['worker']:.0f} MB (goal < 320).",
    ]


if __name__ == "__main__":
    main()
