"""`python bench/imports.py`: an import of a million orders, from upload to SUCCESS, beside raw COPY of the same rows.

And beside the way of the seed: an ORM with a COMMIT and a word of progress to Redis for each row. All in turn in one
run, into tables with the same key. Prints a table and keeps it in bench/imports.md.
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
from collections.abc import Iterator
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
    parser.add_argument("--rows-one-by-one", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quintet-bench-") as folder, running_stack(RATE_LIMITS="off") as stack:
        file = Path(folder) / "orders.csv"
        rounds = []
        for number in range(given.rounds):
            file.write_text(HEADER + "".join(_rows(given.rows, number)))
            raw = _raw_copy(stack, file)
            whole = _import(stack, file)
            rounds.append((raw, *whole, _one_by_one(stack, file, given.rows_one_by_one)))
            print(
                "raw {:.2f} s, upload {:.2f} s, all {:.2f} s, one by one {:.0f} rows/s".format(*rounds[-1]), flush=True
            )
        report = "\n".join(_report(given.rows, file.stat().st_size, rounds, _peaks(stack))) + "\n"
    print(report)
    (Path(__file__).resolve().parent / "imports.md").write_text(report)


def _rows(count: int, number: int) -> Iterator[str]:
    """New ids in any order, one in two hundred twice, a third of the orders invalid."""
    chance = random.Random(number)
    ids = list(range(number * count, (number + 1) * count))
    chance.shuffle(ids)
    for _ in range(count // 200):
        ids[chance.randrange(count)] = ids[chance.randrange(count)]
    for id_ in ids:
        zipcode = f"{chance.randrange(100_000):05}" if chance.random() < 0.3 else f"{chance.randrange(5_000):05}"
        born = f"{chance.choice(MONTHS)} {chance.randrange(1, 29)}, {chance.randrange(1930, 2005)}"
        yield f"{id_}|Ann Smith {id_ % 997}|ann.smith{id_}@example.com|{chance.choice(STATES)}|{zipcode}|{born}\n"


def _raw_copy(stack: TestStack, file: Path) -> float:
    """Of the rows without their repetitions, which a key refuses; texts as texts, so that nothing is judged."""
    seen: set[str] = set()
    lines = []
    for line in file.read_text().splitlines(keepends=True)[1:]:
        id_ = line.split("|", 1)[0]
        if id_ not in seen:
            seen.add(id_)
            lines.append(line)
    content = io.BytesIO("".join(lines).encode())
    with psycopg2.connect(stack.admin_database_url) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS raw")
        cursor.execute(
            "CREATE TABLE raw (id bigint PRIMARY KEY, name text, email text, state text, zipcode text, birthday text)"
        )
        connection.commit()
        began = time.monotonic()
        cursor.copy_expert("COPY raw FROM STDIN (DELIMITER '|')", content, size=1024 * 1024)
        connection.commit()
        took = time.monotonic() - began
    connection.close()
    return took


def _import(stack: TestStack, file: Path) -> tuple[float, float]:
    """Seconds of the upload, and until SUCCESS."""
    session = requests.Session()
    session.auth = (stack.user, stack.password)
    began = time.monotonic()
    with file.open("rb") as content:
        answer = session.put(stack.url + PATH, data=content, headers={"Content-Type": "text/csv"}, timeout=600)
    uploaded = time.monotonic() - began
    where = stack.url + answer.json()["result"]["task_id"].join((f"{PATH}/status/", ""))
    while (status := session.get(where, timeout=60).json()["result"])["status"] in ("PENDING", "PROGRESS"):
        time.sleep(0.1)
    assert status["status"] == "SUCCESS", status
    return uploaded, time.monotonic() - began


def _one_by_one(stack: TestStack, file: Path, count: int) -> float:
    """Rows a second of the ORM, for as many rows as do not take long."""
    with file.open() as lines:
        return rows_per_second(stack.admin_database_url, stack.cache.url(), itertools.islice(lines, 1, 1 + count))


def _peaks(stack: TestStack) -> dict[str, float]:
    """MB that the largest web process and the worker have been."""
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


def _report(rows: int, size: int, rounds: list[tuple[float, ...]], peaks: dict[str, float]) -> list[str]:
    raw, upload, whole, one_by_one = (statistics.median(values) for values in zip(*rounds, strict=True))
    ratios = sorted(copy / all_ for copy, _, all_, _ in rounds)
    ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"
    times = sorted(rows / all_ / single for _, _, all_, single in rounds)
    many = f"{statistics.median(times):.0f} ({times[0]:.0f}–{times[-1]:.0f})"

    def row(name: str, *values: Any) -> str:
        return f"| {name} | " + " | ".join(str(value) for value in values) + " |"

    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    return [
        "# An import of a million orders",
        "",
        f"{when} UTC, {psutil.cpu_count()} processors ({platform.machine()}), Python {platform.python_version()}. "
        f"{rows:,} rows, {size / 1e6:.0f} MB, median of {len(rounds)} rounds in turn; the load of the machine was "
        f"{os.getloadavg()[1]:.0f}, so that only the ratio tells much where it is more than its processors.",
        "",
        "| | seconds | rows/s |",
        "|---|---|---|",
        row("raw COPY into a table with the same key", f"{raw:.2f}", f"{rows / raw:,.0f}"),
        row("import: upload, up to the 202", f"{upload:.2f}", f"{rows / upload:,.0f}"),
        row("import: from the first byte to SUCCESS", f"{whole:.2f}", f"{rows / whole:,.0f}"),
        row("an ORM, a COMMIT and a word to Redis for each row", "", f"{one_by_one:,.0f}"),
        "",
        f"Ratio to raw COPY {ratio}; wanted 0.30. {many} times the ORM; wanted 200. "
        f"Peak memory: web {peaks['web']:.0f} MB (wanted < 120), "
        f"worker {peaks['worker']:.0f} MB (wanted < 320).",
    ]


if __name__ == "__main__":
    main()
