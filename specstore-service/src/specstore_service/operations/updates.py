"""Updates of pipelines. The state of a pipeline changes only here.

Updates come from an external runner (over HTTP), the built-in runner (attempts.py), the timer for silent pipelines,
and owners who cancel. All consequences (dependents become ready or fail, the end of the flow is published once) are
stored in the same transaction, under the lock of the flow's row. The result depends neither on the order of the updates
nor on their number (domain.flows).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from chassis.db import Transaction
from chassis.errors import NotFound, Unavailable
from chassis.messaging import outbox
from specstore_service.domain import flows as rules
from specstore_service.domain.flows import FAILED, QUEUED, SUCCEEDED, TIMED_OUT, Pipeline, Report
from specstore_service.operations import messages
from specstore_service.store import flows, pipelines

_MAX_SILENT_PIPELINES = 100


@dataclass(frozen=True)
class Update:
    pipeline: str
    event: Literal["queue", "start", "progress", "finish"]
    success: bool = False
    errors: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    stats: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class UpdatedFlow:
    """The flow after an update."""

    flow_id: str
    state: str
    errors: list[str]


@dataclass(frozen=True)
class Trigger:
    """The trigger of events: a request, or a timer."""

    request_id: str = ""
    timer: str = ""


def apply(tx: Transaction, update: Update, now: datetime, trigger: Trigger) -> UpdatedFlow:
    """Apply an update. A late, repeated or out-of-order update changes nothing. Raise NotFound."""
    flow, before, pipeline = _lock_pipeline(tx, update.pipeline)
    after = list(before)
    if pipeline.succeeded is None:
        after[pipeline.position] = _apply_update(tx, flow, pipeline, update)
    state, after = _save_transitions(tx, flow, before, after, now, trigger)
    errors = rules.error_log(after, pipelines.list_errors(tx, flow["id"])) if state == FAILED else []
    return UpdatedFlow(flow["name"], state, errors)


def begin_attempt(
    tx: Transaction, pipeline_id: str, lease_seconds: float, now: datetime, trigger: Trigger
) -> int | None:
    """Begin an attempt of the built-in runner, with a lease, and return its number; None if none is needed.

    Raise Unavailable while another attempt holds the lease, which expires soon if its worker has died.
    """
    flow, before, pipeline = _lock_pipeline(tx, pipeline_id)
    has_ended = pipeline.state in rules.ENDED or pipeline.succeeded is not None
    if flow["is_external"] or has_ended or not pipeline.is_ready:
        return None
    attempt = pipelines.claim_lease(tx, flow["id"], pipeline.position, lease_seconds)
    if attempt is None:
        raise Unavailable("another worker is running this pipeline")
    after = list(before)
    after[pipeline.position] = replace(pipeline, has_begun=True)
    _save_transitions(tx, flow, before, after, now, trigger)
    return attempt


def cancel(tx: Transaction, flow_row_id: int, now: datetime, trigger: Trigger) -> tuple[str, int]:
    """Cancel the unfinished pipelines of a flow. Return its new state and the number of canceled pipelines."""
    flow = flows.lock_flow(tx, flow_row_id)
    if flow is None:
        raise NotFound("flow not found")
    before = pipelines.list_pipelines(tx, flow_row_id)
    unfinished = [pipeline for pipeline in before if pipeline.state not in rules.ENDED]
    state = _fail(tx, flow, before, unfinished, rules.CANCELLED, now, trigger)
    return state, len(unfinished)


def time_out(tx: Transaction, silent_seconds: float, now: datetime) -> None:
    """Fail the pipelines that received no update for too long.

    For those waiting for the built-in runner, send the job again instead: it may have been lost with the broker's data,
    and a second one is harmless.
    """
    for flow_row_id in pipelines.list_flows_with_silent_pipelines(tx, silent_seconds, _MAX_SILENT_PIPELINES):
        # If the flow is locked, an update is being applied.
        if flow := flows.lock_flow(tx, flow_row_id, skip_locked=True):
            _time_out(tx, flow, silent_seconds, now)


def _time_out(tx: Transaction, flow: dict[str, Any], silent_seconds: float, now: datetime) -> None:
    before = pipelines.list_pipelines(tx, flow["id"])
    silent = [before[position] for position in pipelines.list_silent_positions(tx, flow["id"], silent_seconds)]
    waiting = [pipeline for pipeline in silent if not (pipeline.has_begun or flow["is_external"])]
    for pipeline in waiting:
        pipelines.update_heard_at(tx, flow["id"], pipeline.position)
        outbox.add(tx, messages.pipeline_job(flow["name"], pipeline.id, flow["request_id"]))
    timed_out = [pipeline for pipeline in silent if pipeline not in waiting]
    if timed_out:
        _fail(tx, flow, before, timed_out, TIMED_OUT, now, Trigger(flow["request_id"], timer="time-outs"))


def unknown_pipeline() -> NotFound:
    return NotFound("pipeline not found")


def _lock_pipeline(tx: Transaction, pipeline_id: str) -> tuple[dict[str, Any], list[Pipeline], Pipeline]:
    """Lock the flow of a pipeline, and return the flow, all of its pipelines, and this one."""
    flow = flows.lock_flow_of_pipeline(tx, pipeline_id)
    if flow is None:
        raise unknown_pipeline()
    flow_pipelines = pipelines.list_pipelines(tx, flow["id"])
    return flow, flow_pipelines, next(pipeline for pipeline in flow_pipelines if pipeline.id == pipeline_id)


def _apply_update(tx: Transaction, flow: dict[str, Any], pipeline: Pipeline, update: Update) -> Pipeline:
    """Store the report of an update, and return the pipeline after it. The pipeline must not have reported its end."""
    if update.event == "finish":
        errors = [] if update.success else update.errors
        pipelines.update_report(tx, flow["id"], pipeline.position, Report(errors, update.log, update.stats))
        return replace(pipeline, has_begun=True, succeeded=update.success)
    if pipeline.state in rules.ENDED:
        return pipeline
    pipelines.update_heard_at(tx, flow["id"], pipeline.position)
    if update.event == "queue":
        return pipeline
    if update.log or update.stats:
        stored = pipelines.get_report(tx, flow["id"], pipeline.position)
        log, stats = rules.merge_progress(stored.log, update.log), rules.merge_progress(stored.stats, update.stats)
        pipelines.update_report(tx, flow["id"], pipeline.position, Report([], log, stats))
    return replace(pipeline, has_begun=True)


def _fail(
    tx: Transaction,
    flow: dict[str, Any],
    before: list[Pipeline],
    failing: Sequence[Pipeline],
    reason: str,
    now: datetime,
    trigger: Trigger,
) -> str:
    after = list(before)
    for pipeline in failing:
        after[pipeline.position] = replace(pipeline, succeeded=False)
    pipelines.update_errors(tx, flow["id"], [pipeline.position for pipeline in failing], [reason])
    return _save_transitions(tx, flow, before, after, now, trigger)[0]


def _save_transitions(
    tx: Transaction,
    flow: dict[str, Any],
    before: list[Pipeline],
    after: list[Pipeline],
    now: datetime,
    trigger: Trigger,
) -> tuple[str, list[Pipeline]]:
    """Store the states that follow, and publish the jobs of ready dependents, the flow's start and its end."""
    if after == before:
        return flow["state"], before
    after = rules.resolve_states(after)
    changed = [new for old, new in zip(before, after, strict=True) if new != old]
    pipelines.update_states(tx, flow["id"], changed)
    failed_early = [
        pipeline.position for pipeline in changed if pipeline.state == FAILED and pipeline.succeeded is None
    ]
    pipelines.delete_progress(tx, flow["id"], failed_early)
    state = rules.flow_state(after)
    outgoing = [
        messages.pipeline_job(flow["name"], pipeline.id, flow["request_id"])
        for pipeline in changed
        if pipeline.is_ready
        and not before[pipeline.position].is_ready
        and pipeline.state == QUEUED
        and not flow["is_external"]
    ]
    request_id = trigger.request_id or flow["request_id"]
    if flow["state"] == QUEUED and any(pipeline.has_begun for pipeline in after):
        outgoing.append(messages.event("FlowStarted", messages.flow_reference(flow), request_id, now, trigger.timer))
    has_ended = state in rules.ENDED
    if has_ended and flow["finished_at"] is None:
        errors = rules.error_log(after, pipelines.list_errors(tx, flow["id"]))
        outgoing.append(
            messages.flow_finished(
                flow, success=state == SUCCEEDED, errors=errors, request_id=request_id, now=now, timer=trigger.timer
            )
        )
    if flow["finished_at"] is None:
        flows.update_flow(tx, flow["id"], state, has_ended=has_ended, now=now)
    outbox.add_all(tx, outgoing)
    return state, after
