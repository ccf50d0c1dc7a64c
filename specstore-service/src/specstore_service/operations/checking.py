"""Rows against their Table Schema, by frictionless.

Also a program of its own, `python -m specstore_service.operations.checking`: a pattern in a schema may take for ever to
match, and keys that must be unique may fill the memory. Then it is this process that is ended, not the worker with all
that it has at hand.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from specstore_service.domain.files import refer, slugs
from specstore_service.domain.sources import Source, sources_of
from specstore_service.domain.specs import Spec
from specstore_service.operations import reading
from specstore_service.operations.copies import Failed

MOST_ERRORS = 200
_LONGEST_CELL = 100
_MEMORY_BYTES = 768 * 1024 * 1024
# What its process ends with.
TOO_MUCH_MEMORY, NOT_KEPT = 3, 4


def check(
    spec: Spec, paths: dict[str, Path], unpacked_bytes: int, progress: Callable[[], None]
) -> list[dict[str, Any]]:
    """A report on each table: {name, rows, errors: [{row, field, type, reason}]}."""
    from frictionless import FrictionlessException, Package

    tables = [source for source in sources_of(spec) if source.is_tabular]
    given_names = [table.name for table in tables]
    names = dict(zip(given_names, slugs(given_names), strict=True))
    try:
        package = Package(
            resources=[
                _resource(table, names, _rows(table, paths.get(table.name), unpacked_bytes, progress))
                for table in tables
            ]
        )
    except FrictionlessException as problem:
        raise Failed(*(f"schema: {error.note}" for error in problem.reasons or [problem.error])) from None
    left, found = MOST_ERRORS, []
    for table, given in zip(tables, package.resources, strict=True):
        report = _report(table, given, max(left, 1))
        left -= len(report["errors"])
        found.append(report)
    return found


def _resource(source: Source, names: dict[str, str], rows: Callable[[], Iterator[list[Any]]]) -> Any:
    from frictionless import Schema
    from frictionless.resources import TableResource

    # The reader has them all as text where no schema says otherwise: nothing is guessed from the first rows.
    schema = source.schema or {"fields": [{"name": str(name), "type": "any"} for name in next(rows(), [])]}
    return TableResource(name=names[source.name], data=rows, schema=Schema.from_descriptor(refer(schema, names)))


def _rows(
    source: Source, path: Path | None, unpacked_bytes: int, progress: Callable[[], None]
) -> Callable[[], Iterator[list[Any]]]:
    missing = (source.schema or {}).get("missingValues", [""])
    # To frictionless, a row that ends with None is too short.
    blank = "" if "" in missing or not missing else missing[0]

    def rows() -> Iterator[list[Any]]:
        with reading.batches_of(source, path, unpacked_bytes) as batches:
            for batch in batches:
                progress()
                yield from ([blank if cell is None else cell for cell in row] for row in batch)

    return rows


def _report(source: Source, given: Any, most_errors: int) -> dict[str, Any]:
    tasks = given.validate(limit_errors=most_errors).tasks
    errors = [_error(source, error) for task in tasks for error in task.errors]
    if len(errors) >= most_errors:
        errors = [*errors[:most_errors], _told(None, None, "and-more", "there are more errors than are told")]
    return {"name": source.name, "rows": tasks[0].stats.get("rows") if tasks else None, "errors": errors}


def _error(source: Source, error: Any) -> dict[str, Any]:
    row = getattr(error, "row_number", None)
    cell = getattr(error, "cell", None)
    field = getattr(error, "field_name", None) or getattr(error, "label", None) or None
    reason = f"{error.title.lower()}: {error.note}" if error.note else error.title.lower()
    if cell not in (None, ""):
        reason += f" (in {cell!r:.{_LONGEST_CELL}})"
    # The report counts from the headers, its reader from the first row of the source.
    return _told(row and row + source.tabulator.headers - 1, field, error.type, reason)


def _told(row: int | None, field: str | None, type_: str, reason: str) -> dict[str, Any]:
    return {"row": row, "field": field, "type": type_, "reason": reason}


def _main() -> None:
    """Its task comes as JSON; a dot for each step goes out, and the outcome into a file."""
    task = json.loads(sys.stdin.buffer.read())
    _end_with(task["parent"])
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    paths = {name: Path(path) for name, path in task["paths"].items()}
    spec = Spec.model_validate_json(task["spec"], strict=True)
    try:
        outcome: dict[str, Any] = {"tables": check(spec, paths, task["unpacked_bytes"], lambda: _dot())}
    except Failed as problem:
        outcome = {"failed": problem.errors}
    except MemoryError:
        sys.exit(TOO_MUCH_MEMORY)
    try:
        Path(task["outcome"]).write_text(json.dumps(outcome), encoding="utf-8")
    except OSError:
        sys.exit(NOT_KEPT)


def _dot() -> None:
    os.write(1, b".")


def _end_with(parent: int) -> None:
    """The kernel sees to it, even while a pattern is being matched."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit()


if __name__ == "__main__":
    _main()
