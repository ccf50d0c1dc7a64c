"""The report on a flow's tables: frictionless validates each row against its Table Schema."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import chain
from typing import Any

from specstore_service.domain.files import unique_slugs
from specstore_service.domain.schemas import null_text, retarget_foreign_keys
from specstore_service.domain.sources import Source
from specstore_service.operations.cells import create_schema
from specstore_service.operations.pipeline_context import OutputFile, PipelineContext, PipelineFailed
from specstore_service.operations.row_batches import Files, read_batches
from specstore_service.operations.source_cache import table_files
from specstore_service.operations.table_rows import RowNumbers

MAX_ERRORS = 200
_MAX_CELL_CHARACTERS = 100
# Compressed tables are unpacked at the same time, since foreign keys refer to other tables.
_MAX_UNPACKED_SOURCES = 10
# By the messages of Python: frictionless compares such values all the same.
_INCOMPARABLE_VALUES = {
    "unhashable": "unique values, and those of keys, must not be lists or objects",
    "offset-naive": "times must have an offset from UTC if the bounds of their field have one, and none otherwise",
}
# Without it, frictionless rejects properties of version 2 of the standard.
_V2_RESOURCE = "https://datapackage.org/profiles/2.0/dataresource.json"


def create_report(context: PipelineContext) -> OutputFile:
    """Create the report. It is also written if there are invalid rows, although they fail the pipeline."""
    tables = [source for source in context.task.sources if source.is_tabular]
    with ExitStack() as files:
        paths = _open_tables(context, tables, files)
        # A pattern in a schema may take indefinitely long to match.
        reports = check_tables(tables, paths, context.settings.unpacked_bytes, lambda: context.report_progress(True))
        context.report_progress(False)
    is_valid = not any(report["errors"] for report in reports)
    log = list(chain.from_iterable(report.pop("log") for report in reports))
    with context.writer() as writer:
        writer.write(json.dumps({"valid": is_valid, "tables": reports}, ensure_ascii=False, indent=1).encode())
    return writer.output(
        errors=[_error_line(report["name"], error) for report in reports for error in report["errors"]],
        log=log,
    )


def _open_tables(context: PipelineContext, tables: list[Source], stack: ExitStack) -> dict[str, Files]:
    """Return the files of all tables. The disk must have room for those that are unpacked. Raise PipelineFailed."""
    paths, unpacked_bytes = dict[str, Files](), 0
    max_bytes = _MAX_UNPACKED_SOURCES * context.settings.source_bytes
    for table in tables:
        files = stack.enter_context(table_files(context, table))
        paths[table.name] = files
        if files and table.compression:
            unpacked_bytes += sum(file.stat().st_size for file in files)
        if unpacked_bytes > max_bytes:
            raise PipelineFailed(f"{table.name}: compressed tables are larger than {max_bytes} bytes when unpacked")
    return paths


def _error_line(table: str, error: dict[str, Any]) -> str:
    row = f" row {error['row']}," if error["row"] else ""
    field = f" field {error['field']}," if error["field"] else ""
    return f"{table}:{row}{field} {error['reason']}".replace("\0", "")


def check_tables(
    tables: list[Source], paths: Mapping[str, Files], unpacked_bytes: int, report_progress: Callable[[], None]
) -> list[dict[str, Any]]:
    """Return a report on each table: {name, rows, errors: [{row, field, type, reason}], log}."""
    from frictionless import FrictionlessException, Package

    table_names = [table.name for table in tables]
    names = dict(zip(table_names, unique_slugs(table_names), strict=True))
    numbers = [RowNumbers() for _ in tables]
    try:
        package = Package(
            resources=[
                _resource(
                    table, names, _row_reader(table, paths.get(table.name), unpacked_bytes, report_progress, number)
                )
                for table, number in zip(tables, numbers, strict=True)
            ]
        )
    except FrictionlessException as problem:
        raise PipelineFailed(*(f"schema: {error.note}" for error in problem.reasons or [problem.error])) from None
    errors_left, reports = MAX_ERRORS, []
    for table, resource, row_numbers in zip(tables, package.resources, numbers, strict=True):
        report = _report(table, resource, row_numbers, max(errors_left, 1))
        errors_left -= len(report["errors"])
        reports.append(report)
    return reports


def _resource(source: Source, names: dict[str, str], rows: Callable[[], Iterator[list[Any]]]) -> Any:
    from frictionless.resources import TableResource

    # Without a schema all cells are strings: types are not inferred from the first rows.
    schema = source.schema or {"fields": [{"name": str(name), "type": "any"} for name in next(rows(), [])]}
    schema = create_schema(source.name, retarget_foreign_keys(schema, names))
    return TableResource(name=names[source.name], data=rows, schema=schema, schema_profile=_V2_RESOURCE)


def _row_reader(
    source: Source,
    files: Files,
    unpacked_bytes: int,
    report_progress: Callable[[], None],
    numbers: RowNumbers,
) -> Callable[[], Iterator[list[Any]]]:
    # frictionless considers a row that ends with None too short.
    empty_cell = null_text(source.schema)

    def rows() -> Iterator[list[Any]]:
        with read_batches(source, files, unpacked_bytes, numbers) as batches:
            for batch in batches:
                report_progress()
                yield from ([empty_cell if cell is None else cell for cell in row] for row in batch)

    return rows


def _report(source: Source, resource: Any, numbers: RowNumbers, max_errors: int) -> dict[str, Any]:
    from specstore_service.operations.report_checks import create_checklist

    try:
        tasks = resource.validate(create_checklist(), limit_errors=max_errors).tasks
    except TypeError as error:
        reasons = (reason for message, reason in _INCOMPARABLE_VALUES.items() if message in str(error))
        if reason := next(reasons, None):
            raise PipelineFailed(f"{source.name}: {reason}") from None
        raise
    errors = [_error(numbers, error) for task in tasks for error in task.errors]
    if len(errors) >= max_errors:
        omitted = {"row": None, "field": None, "type": "and-more", "reason": "further errors are omitted"}
        errors = [*errors[:max_errors], omitted]
    rows = tasks[0].stats.get("rows") if tasks else None
    log = [f"{source.name}: {rows} rows checked", *_blank_row_warnings(source.name, numbers)]
    return {"name": source.name, "rows": rows, "errors": errors, "log": log}


def _blank_row_warnings(table: str, numbers: RowNumbers) -> list[str]:
    blank = numbers.blank_rows
    if not blank.count:
        return []
    first = ", ".join(str(numbers.source_number(number)) for number in blank.first_numbers)
    return [f"{table}: warning: {blank.count} blank rows were dropped, at first rows {first}"]


def _error(numbers: RowNumbers, error: Any) -> dict[str, Any]:
    row = getattr(error, "row_number", None)
    cell = getattr(error, "cell", None)
    field = getattr(error, "field_name", None) or getattr(error, "label", None) or None
    reason = f"{error.title.lower()}: {error.note}" if error.note else error.title.lower()
    if cell not in (None, ""):
        reason += f" (in {cell!r:.{_MAX_CELL_CHARACTERS}})"
    # frictionless counts rows from the headers; users count from the first row of the source.
    row = row and numbers.source_number(numbers.blank_rows.number_at(row))
    return {"row": row, "field": field, "type": error.type, "reason": reason}
