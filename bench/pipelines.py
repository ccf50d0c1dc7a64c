"""The pipelines of a CSV file, from the source to the output file with its hash, compared with copies by others."""

import csv
import json
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from measuring import Round, Row
from reporting import Table
from serving import PEERS, PYTHON

from specstore_service.domain.sources import Source, sources_of
from specstore_service.domain.specs import Spec
from specstore_service.operations import csv_files, json_files, reports, row_batches
from specstore_service.operations.pipeline_context import HashingWriter

CASE = "process a CSV file of five columns"
_ROWS = 200_000
_FIELDS = {"id": "integer", "name": "string", "price": "number", "day": "date", "ok": "boolean"}
_SCHEMA = {"fields": [{"name": name, "type": type_} for name, type_ in _FIELDS.items()]}
_RESOURCE = {"name": "rows", "path": "rows.csv", "schema": _SCHEMA}
_SPEC = {
    "meta": {"owner": "bench", "ownerid": "bench", "dataset": "bench"},
    "inputs": [
        {
            "kind": "datapackage",
            "url": "datapackage.json",
            "parameters": {"descriptor": {"resources": [_RESOURCE]}},
        }
    ],
}
_MAX_UNPACKED_BYTES = 2**28


def measure_pipelines(folder: Path, rounds: int) -> Table:
    file = folder / "rows.csv"
    _write_source(file)
    (source,) = sources_of(Spec.model_validate(_SPEC))
    variants: dict[str, Callable[[], Round]] = {
        "Quintet, CSV pipeline": lambda: _here(lambda: _run(csv_files.write_csv, source, file, folder / "output.csv")),
        "Quintet, JSON pipeline": lambda: _here(
            lambda: _run(json_files.write_json, source, file, folder / "output.json")
        ),
        "Quintet, checks by frictionless": lambda: _here(
            lambda: reports.check_tables([source], {"rows": file}, _MAX_UNPACKED_BYTES, lambda: None)
        ),
        "Python's csv, no types": lambda: _here(lambda: _copy(file, folder / "copy.csv")),
        "DuckDB, typed": lambda: _peer("duckdb", file, folder / "duckdb.csv"),
        "polars, typed": lambda: _peer("polars", file, folder / "polars.csv"),
    }
    results = [[measure() for measure in variants.values()] for _ in range(rounds)]
    rows = [Row(CASE, name, column) for name, column in zip(variants, zip(*results, strict=True), strict=True)]
    notes = (
        f"{_ROWS:,} rows. The latency is that of the file. Only our pipelines report each invalid value and compute a "
        "hash of the output. qsv is not compared: no package registry that the benchmark uses has it."
    )
    return Table("pipelines", "What does it cost to process a CSV file?", rows, "row", notes)


def _write_source(path: Path) -> None:
    rng = random.Random(7)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_FIELDS)
        for number in range(_ROWS):
            day = f"20{10 + number % 10}-0{1 + number % 9}-1{number % 9}"
            writer.writerow([number, f"name {number}", f"{rng.random() * 100:.2f}", day, str(number % 2 == 1).lower()])


def _copy(source: Path, target: Path) -> None:
    with source.open(newline="") as reader, target.open("w", newline="") as writer:
        csv.writer(writer).writerows(csv.reader(reader))


def _run(write: Callable[..., int], source: Source, file: Path, target: Path) -> None:
    with HashingWriter(target) as writer, row_batches.read_batches(source, file, _MAX_UNPACKED_BYTES) as batches:
        count = write(writer, source, batches)
    if count != _ROWS or not writer.hash:
        raise RuntimeError(f"the pipeline must write {_ROWS} rows, not {count}")


def _here(run: Callable[[], object]) -> Round:
    started_at, processor_started_at = time.monotonic(), time.process_time()
    run()
    return _round(time.monotonic() - started_at, time.process_time() - processor_started_at)


def _peer(method: str, source: Path, target: Path) -> Round:
    command = [str(PYTHON), str(PEERS / "copy_csv.py"), method, str(source), str(target)]
    return _round(*json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def _round(seconds: float, processor_seconds: float) -> Round:
    return Round(_ROWS, seconds, 1000 * seconds, 1000 * seconds, {"workers": processor_seconds * 1e6 / _ROWS})
