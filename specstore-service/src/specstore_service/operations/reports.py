"""The report on a flow's tables: whether each row is what its schema says."""

import json
import os
import select
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from chassis import strictjson
from chassis.errors import Unavailable
from chassis.runtime import logs
from specstore_service.operations import checking
from specstore_service.operations.copies import Failed
from specstore_service.operations.making import Made, Work

log = logs.logger(__name__)

# More than this, or a pattern, is checked by a process of its own.
_SMALL_BYTES = 1024 * 1024
_SILENT_SECONDS = 120.0
_LOOK_SECONDS = 0.5
# Where it is killed: by the kernel, perhaps, while others need the memory, too.
_PAUSES = (1.0, 5.0)


def make_report(work: Work) -> Made:
    """Made of bad rows too: then its errors fail the pipeline."""
    with ExitStack() as copies:
        paths = {
            source.name: copies.enter_context(work.copy(source))
            for source in work.sources
            if source.is_tabular and source.rows is None
        }
        tables = _checked(work, paths)
    valid = not any(table["errors"] for table in tables)
    with work.sink() as sink:
        sink.write(json.dumps({"valid": valid, "tables": tables}, ensure_ascii=False, indent=1).encode())
    log_ = [f"{table['name']}: {table['rows']} rows checked" for table in tables]
    return work.made(
        sink, errors=[_line(table["name"], error) for table in tables for error in table["errors"]], log=log_
    )


def _line(table: str, error: dict[str, Any]) -> str:
    row = f" row {error['row']}," if error["row"] else ""
    field = f" field {error['field']}," if error["field"] else ""
    return f"{table}:{row}{field} {error['reason']}".replace("\0", "")


def _checked(work: Work, paths: dict[str, Path]) -> list[dict[str, Any]]:
    size = sum(path.stat().st_size for path in paths.values())
    has_pattern = any('"pattern"' in strictjson.dumps(source.schema) for source in work.sources if source.schema)
    unpacked = work.place.settings.unpacked_bytes
    if size <= _SMALL_BYTES and not has_pattern:
        return checking.check(work.spec, paths, unpacked, work.place.lease.check)
    outcome = work.scratch()
    _run(work, {
        "spec": work.spec.model_dump_json(by_alias=True, exclude_unset=True),
        "paths": {name: str(path) for name, path in paths.items()},
        "unpacked_bytes": unpacked,
        "outcome": str(outcome),
        "parent": os.getpid(),
    })  # fmt: skip
    told = json.loads(outcome.read_bytes())
    if "failed" in told:
        raise Failed(*told["failed"])
    return told["tables"]


def _run(work: Work, task: dict[str, Any]) -> None:
    """Until it has ended, or does not get on with its work, or nobody wants its result any more."""
    for pause in (*_PAUSES, None):
        code = _exit_code(work, task)
        if code == 0:
            return
        log.error("report.child_failed", code=code)
        if code == checking.TOO_MUCH_MEMORY:
            raise Failed("the tables need too much memory to be checked")
        if code == checking.NOT_KEPT:
            raise Unavailable("files cannot be kept at the moment")
        if code > 0:
            raise Failed("the tables cannot be checked; the worker's log has why")
        if pause is not None:
            work.place.lease.pause(pause)
    raise Failed("the process that checks the tables was killed again and again: perhaps they need too much memory")


def _exit_code(work: Work, task: dict[str, Any]) -> int:
    command = [sys.executable, "-m", "specstore_service.operations.checking"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin and child.stdout
        try:
            with suppress(BrokenPipeError), child.stdin:
                child.stdin.write(json.dumps(task).encode())
            _wait(work, child.stdout)
            return child.wait()
        finally:
            child.kill()


def _wait(work: Work, progress: Any) -> None:
    heard_at = time.monotonic()
    while True:
        work.place.lease.check()
        if select.select([progress], [], [], _LOOK_SECONDS)[0]:
            if not os.read(progress.fileno(), 65536):
                return
            heard_at = time.monotonic()
        elif time.monotonic() - heard_at > _SILENT_SECONDS:
            raise Failed("a row takes too long to be checked: which pattern is it that has no end?")
