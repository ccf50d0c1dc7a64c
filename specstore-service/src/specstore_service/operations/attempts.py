"""Runs a ready pipeline. Each attempt is a separate process, whose lease the worker renews."""

import functools
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chassis import strictjson
from chassis.errors import Conflict, Invalid, NotFound, Problem, Unavailable
from chassis.messaging.message_processor import Interrupted, JobContext
from chassis.runtime import logs
from chassis.web.input_errors import checked
from specstore_service.domain import files
from specstore_service.domain.metadata import package_properties
from specstore_service.domain.sources import Source, sources_of
from specstore_service.domain.specs import Spec
from specstore_service.operations import pipeline_process, updates
from specstore_service.operations.pipeline_context import Task
from specstore_service.operations.pipeline_process import Outcome, Postponed
from specstore_service.operations.processes import ForkServer, ProcessDied, ProcessStuck
from specstore_service.operations.updates import Trigger, Update
from specstore_service.settings import Settings
from specstore_service.store import flows, jobs
from specstore_service.store.jobs import Attempt
from specstore_service.store.objects import ObjectStore, translate_storage_errors

log = logs.logger(__name__)

_MAX_RENEWAL_INTERVAL_SECONDS = 2.0
_BATCH_TIMEOUT_SECONDS = 120.0
_DEATH_RETRY_SECONDS = (1.0, 5.0)
_PUBLISH_RETRY_SECONDS = 1.0


class LeaseLost(Exception):
    """The pipeline has ended (canceled, timed out), or another worker has claimed it: the attempt is obsolete."""


def run(context: JobContext, objects: ObjectStore, pipeline: str, request_id: str) -> None:
    """Run a pipeline. The worker may die between any two steps.

    1. Begin an attempt, which has a number and a lease.
    2. Start a process that creates the file and stores it under a key that contains the attempt's number. Renew the
       lease while it runs. If the lease is lost, or the worker stops, kill the process.
    3. In one transaction, if the attempt is still the newest: insert the file as the result, and end the pipeline.

    A worker or process that dies before step 3 leaves no visible effects.
    """
    trigger = Trigger(request_id)
    task = _begin(context, pipeline, trigger)
    if task is None:
        return
    lease = Lease(context, task.attempt)
    try:
        if task.spec_errors:
            outcome: Outcome | Postponed = Outcome(task.spec_errors)
        else:
            outcome = _execute(context, objects, task, lease, request_id)
        if isinstance(outcome, Postponed):
            raise Unavailable(outcome.reason)
        _publish(context, objects, task, outcome, trigger)
    except LeaseLost:
        log.info("pipeline.lease_lost", pipeline=pipeline, attempt=task.attempt.number)
        objects.delete([task.object_key(task.attempt.number)])
    finally:
        lease.release()


class Lease:
    """The exclusive claim of an attempt on its pipeline. It expires unless it is renewed."""

    def __init__(self, context: JobContext, attempt: Attempt) -> None:
        self._context, self._attempt = context, attempt
        self._seconds = context.settings.pipeline_lease_seconds
        self._renewed_at = time.monotonic()

    def renew_if_due(self) -> None:
        """Renew the lease if a renewal is due. Raise LeaseLost, and Interrupted if the worker stops.

        While Postgres is unavailable the work continues. Its result is published if the attempt is still the newest.
        """
        if self._context.stop_event.is_set():
            raise Interrupted
        if time.monotonic() - self._renewed_at < min(self._seconds / 4, _MAX_RENEWAL_INTERVAL_SECONDS):
            return
        self._renewed_at = time.monotonic()
        try:
            with self._context.database.transaction() as tx:
                is_renewed = jobs.renew_lease(tx, self._attempt, self._seconds)
        except Problem as problem:
            log.warning("pipeline.lease_not_renewed", reason=problem.detail)
            return
        if not is_renewed:
            raise LeaseLost

    def wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.renew_if_due()
            self._context.stop_event.wait(0.2)

    def release(self) -> None:
        """End the lease, so that the next attempt of a requeued job need not wait until it expires."""
        try:
            with self._context.database.transaction() as tx:
                jobs.release_lease(tx, self._attempt)
        except Problem as problem:
            log.warning("pipeline.lease_not_released", reason=problem.detail)


def _begin(context: JobContext, pipeline: str, trigger: Trigger) -> Task | None:
    """Return None if there is nothing to do. Raise Unavailable while another attempt holds the lease."""
    with context.database.transaction() as tx:
        try:
            lease_seconds = context.settings.pipeline_lease_seconds
            if updates.begin_attempt(tx, pipeline, lease_seconds, datetime.now(UTC), trigger) is None:
                return None
        except NotFound:
            raise Invalid.field("pipeline", "does not exist") from None
        job = jobs.get_job(tx, pipeline)
        results = jobs.list_results(tx, job["flow"])
        kinds_and_targets = jobs.list_kinds_and_targets(tx, job["flow"])
    sources, package, spec_errors = _parse_sources(job["spec"])
    paths = files.file_paths(kinds_and_targets, {source.name: source.copy_format for source in sources})
    owner, dataset, _ = job["flow_id"].split("/")
    return Task(
        attempt=Attempt(job["flow"], job["position"], job["attempt"]),
        pipeline=pipeline,
        kind=job["kind"],
        target=job["target"],
        flow_id=job["flow_id"],
        owner=owner,
        dataset=dataset,
        sources=sources,
        kinds_and_targets=kinds_and_targets,
        results=results,
        path=paths[job["position"]],
        package=package,
        spec_errors=spec_errors,
    )


def _parse_sources(text: str) -> tuple[list[Source], dict[str, Any], list[str]]:
    """Return the sources of a stored spec and the properties of its package, or the reasons why it is rejected.

    Another version has accepted it.
    """
    try:
        spec = checked(lambda: Spec.model_validate(strictjson.loads(text.encode()), strict=True))
        return sources_of(spec), package_properties(spec.inputs[0].parameters.descriptor), []
    except Invalid as problem:
        return [], {}, [f"the spec is no longer supported: {field}: {message}" for field, message in problem.errors]


def _execute(
    context: JobContext, objects: ObjectStore, task: Task, lease: Lease, request_id: str
) -> Outcome | Postponed:
    """Return the outcome of the process. Restart it if it is killed: memory may be short only temporarily."""
    fork_server = _fork_server(context.settings)
    for retry_seconds in (*_DEATH_RETRY_SECONDS, None):
        with _scratch_folder(objects) as folder:
            try:
                return fork_server.call(
                    pipeline_process.run, context.settings, task, folder, request_id,
                    progress_seconds=_BATCH_TIMEOUT_SECONDS, while_running=lease.renew_if_due,
                )  # fmt: skip
            except ProcessStuck:
                return Outcome(["validating a row takes too long: check the patterns of the schema"])
            except ProcessDied:
                log.error("pipeline.process_died", pipeline=task.pipeline, retry_seconds=retry_seconds)
        if retry_seconds is not None:
            lease.wait(retry_seconds)
    return Outcome(["the process of this pipeline was killed repeatedly: it may need too much memory"])


@functools.cache
def _fork_server(settings: Settings) -> ForkServer:
    return ForkServer(pipeline_process.prepare, settings)


@contextmanager
def _scratch_folder(objects: ObjectStore) -> Iterator[Path]:
    """Yield a scratch folder, which is deleted even if the process that writes to it is killed."""
    with translate_storage_errors():
        objects.scratch.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=objects.scratch, ignore_cleanup_errors=True)
    with folder as name:
        yield Path(name)


def _publish(context: JobContext, objects: ObjectStore, task: Task, outcome: Outcome, trigger: Trigger) -> None:
    """Publish the outcome, with retries while Postgres is unavailable, so that no work is lost. Raise LeaseLost."""
    while True:
        try:
            is_published = _try_publish(context, task, outcome, trigger)
            break
        except (Unavailable, Conflict) as problem:
            log.warning("pipeline.not_published", pipeline=task.pipeline, reason=problem.detail)
            if context.stop_event.wait(_PUBLISH_RETRY_SECONDS):
                raise Interrupted from None
    if not is_published:
        raise LeaseLost
    last_obsolete = task.attempt.number if outcome.result is None else task.attempt.number - 1
    objects.delete([task.object_key(number) for number in range(1, last_obsolete + 1)])


def _try_publish(context: JobContext, task: Task, outcome: Outcome, trigger: Trigger) -> bool:
    attempt = task.attempt
    with context.database.transaction() as tx:
        flows.lock_flow_of_pipeline(tx, task.pipeline)
        if not jobs.renew_lease(tx, attempt, context.settings.pipeline_lease_seconds):
            # The outcome may have been committed before, and the connection lost before Postgres confirmed it.
            stored = jobs.find_result(tx, attempt.flow, task.path)
            return stored is not None and stored == outcome.result
        if outcome.result:
            jobs.insert_result(tx, attempt.flow, outcome.result)
        is_success = not outcome.errors
        update = Update(task.pipeline, "finish", is_success, outcome.errors, outcome.log, outcome.stats)
        updates.apply(tx, update, datetime.now(UTC), trigger)
    return True
