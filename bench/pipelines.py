"""Rows/s of the CSV pipeline, from the source file to the output file with its hash, compared with a copy by `csv`.

The JSON pipeline and frictionless' checks are measured as well. The rounds alternate, and the rates are rows per second
of processor time.
"""

import csv
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from specstore_service.domain.sources import Source, sources_of
from specstore_service.domain.specs import Spec
from specstore_service.operations import csv_files, json_files, reports, row_batches
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
MAX_UNPACKED_BYTES = 2**28


def measure(folder: Path, rounds: int) -> list[str]:
    source_file = folder / "rows.csv"
    _write_source(source_file)
    spec = Spec.model_validate(SPEC)
    (source,) = sources_of(spec)
    variants: dict[str, Callable[[], object]] = {
        "plain copy": lambda: _copy(source_file, folder / "copy.csv"),
        "CSV pipeline": lambda: _run_pipeline(csv_files.write_csv, source, source_file, folder / "output.csv"),
        "JSON pipeline": lambda: _run_pipeline(json_files.write_json, source, source_file, folder / "output.json"),
        "frictionless' checks": lambda: reports.check_tables(
            [source], {"rows": source_file}, MAX_UNPACKED_BYTES, lambda: None
        ),
    }
    seconds = [[_processor_seconds(run) for run in variants.values()] for _ in range(rounds + 1)][1:]
    baselines = [round_[0] for round_ in seconds]
    lines = ["| rows of five columns | rows/s | ratio to plain copy (min–max) |", "|---|---|---|"]
    for index, name in enumerate(variants):
        rate = ROWS / statistics.median(round_[index] for round_ in seconds)
        ratios = sorted(baseline / round_[index] for baseline, round_ in zip(baselines, seconds, strict=True))
        lines.append(f"| {name} | {rate:,.0f} | {statistics.median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f}) |")
    return lines


def _write_source(path: Path) -> None:
    rng = random.Random(7)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        for number in range(ROWS):
            day = f"20{10 + number % 10}-0{1 + number % 9}-1{number % 9}"
            price = f"{rng.random() * 100:.2f}"
            writer.writerow([number, f"name {number}", price, day, "true" if number % 2 else "false"])


def _copy(source: Path, target: Path) -> None:
    with source.open(newline="") as reader, target.open("w", newline="") as writer:
        csv.writer(writer).writerows(csv.reader(reader))


def _run_pipeline(write: Callable[..., int], source: Source, source_file: Path, target: Path) -> None:
    with HashingWriter(target) as writer, row_batches.read_batches(source, source_file, MAX_UNPACKED_BYTES) as batches:
        count = write(writer, source, batches)
    assert count == ROWS and writer.hash


def _processor_seconds(run: Callable[[], object]) -> float:
    started_at = time.process_time()
    run()
    return time.process_time() - started_at


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory(prefix="quintet-bench-") as name:
        print("\n".join(measure(Path(name), 3)))
