"""Rows/s of the csv pipeline, from the source's file to the result's with its hash, beside a plain copy by `csv`; of

the json pipeline and of frictionless' checks too. Processor time of one process, in turn.
"""

import csv
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from specstore_service.domain.sources import Source, sources_of
from specstore_service.domain.specs import Spec
from specstore_service.operations import reports, row_batches, tables
from specstore_service.operations.pipeline_context import HashingWriter

ROWS = 200_000
FIELDS = {"id": "integer", "name": "string", "price": "number", "day": "date", "ok": "boolean"}
SPEC = {
    "meta": {"owner": "bench", "ownerid": "bench", "dataset": "bench"},
    "inputs": [
        {
            "kind": "datapackage",
            "url": "datapackage.json",
            "parameters": {
                "descriptor": {
                    "resources": [
                        {
                            "name": "rows",
                            "path": "rows.csv",
                            "schema": {"fields": [{"name": name, "type": type_} for name, type_ in FIELDS.items()]},
                        }
                    ]
                }
            },
        }
    ],
}
UNPACKED_BYTES = 2**28


def lines(folder: Path, rounds: int) -> list[str]:
    given = folder / "rows.csv"
    _write(given)
    spec = Spec.model_validate(SPEC)
    (source,) = sources_of(spec)
    ways: dict[str, Callable[[], object]] = {
        "a plain copy": lambda: _copy(given, folder / "copy.csv"),
        "the csv pipeline": lambda: _made(tables.write_csv, source, given, folder / "made.csv"),
        "the json pipeline": lambda: _made(tables.write_json, source, given, folder / "made.json"),
        "frictionless' checks": lambda: reports.check_tables([source], {"rows": given}, UNPACKED_BYTES, lambda: None),
    }
    seconds = [[_seconds(way) for way in ways.values()] for _ in range(rounds + 1)][1:]
    ceilings = [taken[0] for taken in seconds]
    found = ["| rows of five columns | rows/s | ratio to a plain copy (min–max) |", "|---|---|---|"]
    for place, name in enumerate(ways):
        rate = ROWS / statistics.median(taken[place] for taken in seconds)
        ratios = sorted(top / taken[place] for top, taken in zip(ceilings, seconds, strict=True))
        found.append(f"| {name} | {rate:,.0f} | {statistics.median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f}) |")
    return found


def _write(path: Path) -> None:
    chance = random.Random(7)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        for number in range(ROWS):
            day = f"20{10 + number % 10}-0{1 + number % 9}-1{number % 9}"
            price = f"{chance.random() * 100:.2f}"
            writer.writerow([number, f"name {number}", price, day, "true" if number % 2 else "false"])


def _copy(source: Path, target: Path) -> None:
    with source.open(newline="") as given, target.open("w", newline="") as taken:
        csv.writer(taken).writerows(csv.reader(given))


def _made(write: Callable[..., int], source: Source, given: Path, target: Path) -> None:
    writer = HashingWriter(target)
    with row_batches.read_batches(source, given, UNPACKED_BYTES) as batches, tables._text(writer) as text:
        count = write(text, batches, is_text=True) if write is tables.write_csv else write(text, source, batches)
    assert count == ROWS and writer.hash


def _seconds(way: Callable[[], object]) -> float:
    began = time.process_time()
    way()
    return time.process_time() - began


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory(prefix="quintet-bench-") as name:
        print("\n".join(lines(Path(name), 3)))
