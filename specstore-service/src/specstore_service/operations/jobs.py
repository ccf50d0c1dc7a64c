"""A pipeline that is ready is run, by whichever worker comes first: begun, worked on, ended, each step safe to lose."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import chain, repeat

from chassis import strictjson
from chassis.errors import Conflict, Invalid, NotFound, Problem, Unavailable
from chassis.messaging.attempts import Interrupted, Surroundings
from chassis.runtime import logs
from specstore_service.domain import files, plans
from specstore_service.domain.sources import sources_of
from specstore_service.domain.specs import Spec
from specstore_service.operations import packages, reports, tables, updates
from specstore_service.operations.copies import Failed, Place
from specstore_service.operations.leases import Lease, Lost
from specstore_service.operations.making import Made, Work
from specstore_service.operations.updates import Cause, Update
from specstore_service.store import flows, jobs
from specstore_service.store.jobs import Attempt, Result
from specstore_service.store.objects import Objects

log = logs.logger(__name__)

_MAKERS: dict[str, Callable[[Work], Made]] = {
    plans.REPORT: reports.make_report,
    plans.CSV: tables.make_csv,
    plans.JSON: tables.make_json,
    plans.ZIP: packages.make_zip,
    plans.PREVIEW: tables.make_preview,
    plans.TABULAR: packages.make_copy,
    plans.ORIGINAL: packages.make_copy,
    plans.PACKAGE: packages.make_package,
}
_ENDING_PAUSES = (0.5, 1.0, 2.0, 5.0)


def run(around: Surroundings, objects: Objects, pipeline: str, request_id: str) -> None:
    """1. Take the pipeline: a lease, and the number of this attempt. 2. Make its file, outside any transaction.

    3. Keep the file under a name of this attempt's own. 4. In one transaction, if the attempt is still the newest: the
    file becomes the result, and the pipeline ends. A worker that dies in between leaves nothing that anybody sees.
    """
    cause = Cause(request_id)
    lease_seconds = around.settings.pipeline_lease_seconds
    with around.database.transaction() as tx:
        try:
            if updates.take(tx, pipeline, datetime.now(UTC), cause) is None:
                return
        except NotFound:
            raise Invalid.field("pipeline", "is not known") from None
        job = jobs.get_job(tx, pipeline)
        attempt = Attempt(job["flow"], job["position"], job["attempt"])
        jobs.renew(tx, attempt, lease_seconds)
        results, kinds = jobs.list_results(tx, attempt.flow), jobs.list_kinds(tx, attempt.flow)
    lease = Lease(around.database, attempt, lease_seconds, around.ending)
    spec = Spec.model_validate(strictjson.loads(job["spec"].encode()), strict=True)
    place = Place(around.database, objects, around.settings, spec.meta.ownerid, job["flow_id"], attempt, lease)
    try:
        with lease.kept(), ExitStack() as opened:
            work = Work(spec, sources_of(spec), pipeline, job["kind"], job["target"], results, kinds, place, opened)
            _work(work, cause)
    except Lost:
        log.info("pipeline.lost", pipeline=pipeline, attempt=attempt.number)
    except OSError as error:
        raise Unavailable("files cannot be kept at the moment") from error
    finally:
        _release(around, attempt)


def _work(work: Work, cause: Cause) -> None:
    attempt, lease = work.place.attempt, work.place.lease
    lease.check()
    try:
        made = _made(work)
    except Failed as problem:
        update = Update(work.pipeline, "finish", success=False, errors=problem.errors, attempt=attempt.number)
        _end(work, update, None, cause)
        return
    path = _paths(work)[attempt.position]
    result = Result(
        attempt.position, path, _key(work, path, attempt.number), made.bytes, made.hash, made.rows,
        files.content_type(path),
    )  # fmt: skip
    lease.check()
    work.place.objects.put(result.object, made.file)
    stats = {"bytes": made.bytes, "count_of_rows": made.rows, "hash": made.hash, "path": path, **made.stats}
    success = not made.errors
    update = Update(work.pipeline, "finish", success, made.errors, made.log, stats, attempt.number)
    if _end(work, update, result, cause):
        older = [_key(work, path, number) for number in range(1, attempt.number)]
        work.place.objects.delete(older)
    else:
        work.place.objects.delete([result.object])


def _made(work: Work) -> Made:
    """Raises Failed, Lost, Interrupted, Unavailable and OSError; anything else is a mistake of ours or of a library."""
    try:
        return _MAKERS[work.kind](work)
    except (Failed, Lost, Interrupted, Unavailable, Conflict, OSError):
        raise
    except Exception as error:
        log.exception("pipeline.failed", pipeline=work.pipeline)
        raise Failed(f"an unexpected error ({type(error).__name__}); the worker's log has it") from error


def _paths(work: Work) -> list[str]:
    return files.paths_of(work.kinds, {source.name: source.format or "json" for source in work.sources})


def _key(work: Work, path: str, attempt: int) -> str:
    """Each attempt has its own, so one that was taken over cannot touch what counts."""
    return f"flows/{work.place.flow_id}/{work.place.attempt.position}.{attempt}-{path}"


def _end(work: Work, update: Update, result: Result | None, cause: Cause) -> bool:
    """Whether this attempt still counted. An hour's work is not lost because Postgres restarts at its end."""
    for pause in chain(_ENDING_PAUSES, repeat(_ENDING_PAUSES[-1])):
        try:
            return _ended(work, update, result, cause)
        except (Unavailable, Conflict) as problem:
            log.warning("pipeline.end_not_told", pipeline=work.pipeline, reason=problem.detail)
            work.place.lease.pause(pause)
    return False


def _ended(work: Work, update: Update, result: Result | None, cause: Cause) -> bool:
    attempt = work.place.attempt
    with work.place.database.transaction() as tx:
        flows.lock_flow_of(tx, work.pipeline)
        if not jobs.renew(tx, attempt, work.place.settings.pipeline_lease_seconds):
            return False
        if result:
            jobs.insert_result(tx, attempt.flow, result)
        updates.apply(tx, update, datetime.now(UTC), cause)
    return True


def _release(around: Surroundings, attempt: Attempt) -> None:
    """Where it goes back to the queue, the next one need not wait for the lease to end."""
    try:
        with around.database.transaction() as tx:
            jobs.release(tx, attempt)
    except Problem as problem:
        log.warning("pipeline.not_released", reason=problem.detail)
