"""The process of an attempt: it creates the pipeline's file, stores it, and returns the report."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import localcontext
from pathlib import Path
from typing import Any

from chassis.db import Database
from chassis.errors import Conflict, Unavailable
from chassis.runtime import logs
from specstore_service.domain import files, plans
from specstore_service.operations import csv_files, json_files, packages, parquet_files, reports
from specstore_service.operations.pipeline_context import OutputFile, PipelineContext, PipelineFailed, Task
from specstore_service.operations.references import resolve_references
from specstore_service.settings import Settings
from specstore_service.store.jobs import Result
from specstore_service.store.object_stores import create_object_store

log = logs.logger(__name__)

# frictionless computes with the numbers of a JSON source, which have at most about 4300 digits (documents.py).
_MAX_DIGITS = 10_000

_CREATORS: dict[str, Callable[[PipelineContext], OutputFile]] = {
    plans.REPORT: reports.create_report,
    plans.CSV: csv_files.create_csv,
    plans.JSON: json_files.create_json,
    plans.PARQUET: parquet_files.create_parquet,
    plans.ZIP: packages.create_zip,
    plans.PREVIEW: csv_files.create_preview,
    plans.TABULAR: packages.create_copy,
    plans.ORIGINAL: packages.create_copy,
    plans.PACKAGE: packages.create_package,
}


@dataclass(frozen=True)
class Outcome:
    """The outcome of an attempt. `result` is the stored file, if there is one; the worker publishes it."""

    errors: list[str]
    result: Result | None = None
    log: list[str] = field(default_factory=list)
    stats: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Postponed:
    """Postgres or the object store is unavailable. Another attempt may succeed later."""

    reason: str


def prepare(settings: Settings) -> None:
    """Load the libraries in the fork server, so that neither the worker nor each process has to load them."""
    import frictionless
    import openpyxl  # noqa: F401

    # frictionless loads some of its modules on first use.
    frictionless.validate([["name"], ["value"]], type="table")
    create_object_store(settings)


def run(
    report_progress: Callable[[bool], None], settings: Settings, task: Task, folder: Path, request_id: str
) -> Outcome | Postponed:
    logs.configure("specstore", settings.log_level)
    database = Database(settings.database_url, name="specstore-pipeline", size=1, wait_seconds=30)
    try:
        with logs.bound(request_id=request_id):
            objects = create_object_store(settings, scratch=folder)
            return _create_outcome(PipelineContext(task, settings, database, objects, report_progress))
    except (Unavailable, Conflict) as problem:
        return Postponed(problem.detail)
    except OSError as error:
        log.warning("pipeline.storage_failed", pipeline=task.pipeline, cause=repr(error))
        return Postponed("files cannot be stored at the moment")
    finally:
        database.close()


def _create_outcome(context: PipelineContext) -> Outcome:
    task = context.task
    try:
        with localcontext(prec=_MAX_DIGITS):
            output = _CREATORS[task.kind](resolve_references(context))
    except PipelineFailed as failure:
        return Outcome(failure.errors)
    except MemoryError:
        return Outcome(["the data needs too much memory"])
    except (Unavailable, Conflict, OSError):
        raise
    except Exception as error:
        log.exception("pipeline.failed", pipeline=task.pipeline)
        return Outcome([f"unexpected error ({type(error).__name__}): see the worker's log"])
    key = task.object_key(task.attempt.number)
    context.objects.put(key, output.path)
    type_ = files.content_type(task.path)
    result = Result(task.attempt.position, task.path, key, output.bytes, output.hash, output.rows, type_)
    stats = {"bytes": output.bytes, "count_of_rows": output.rows, "hash": output.hash, "path": task.path}
    return Outcome(output.errors, result, output.log, {**stats, **output.stats})
