"""The one way in which the state of a pipeline changes.

Whoever has something to say of a pipeline says it here: an external runner over HTTP, the built-in runner
(attempts.py), the timer of those that have fallen silent, an owner who cancels. What follows from it (dependants
released or failed, the end of the flow told once) happens in the same transaction, under the lock of the flow's row.
Nothing here depends on the order in which updates arrive, or on how often (domain.flows).
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
class Outcome:
    """The flow after an update."""

    flow_id: str
    state: str
    errors: list[str]


@dataclass(frozen=True)
class Trigger:
    """What events name as their trigger: a request, or a timer."""

    request_id: str = ""
    timer: str = ""


def apply(tx: Transaction, update: Update, now: datetime, trigger: Trigger) -> Outcome:
    """A late, repeated or out-of-order update changes nothing. Raises NotFound."""
    flow, before, it = _locked(tx, update.pipeline)
    after = list(before)
    if it.succeeded is None:
        after[it.position] = _apply_update(tx, flow, it, update)
    state, after = _save_transitions(tx, flow, before, after, now, trigger)
    errors = rules.error_log(after, pipelines.list_errors(tx, flow["id"])) if state == FAILED else []
    return Outcome(flow["name"], state, errors)


def begin_attempt(tx: Transaction, pipeline: str, lease_seconds: float, now: datetime, trigger: Trigger) -> int | None:
    """Return the number of an attempt of the built-in runner, which has the lease now; None if none is needed.

    Raises Unavailable while another attempt has the lease: if its worker has died, the lease ends soon.
    """
    flow, before, it = _locked(tx, pipeline)
    if flow["is_external"] or it.state in rules.ENDED or it.succeeded is not None or not it.is_ready:
        return None
    attempt = pipelines.claim_lease(tx, flow["id"], it.position, lease_seconds)
    if attempt is None:
        raise Unavailable("another worker runs this pipeline")
    after = list(before)
    after[it.position] = replace(it, has_begun=True)
    _save_transitions(tx, flow, before, after, now, trigger)
    return attempt


def cancel(tx: Transaction, flow_id: int, now: datetime, trigger: Trigger) -> tuple[str, int]:
    """The flow's state then, and how many pipelines this has ended."""
    flow = flows.lock_flow(tx, flow_id)
    if flow is None:
        raise NotFound("there is no such flow")
    before = pipelines.list_pipelines(tx, flow_id)
    open_ones = [it for it in before if it.state not in rules.ENDED]
    state = _fail(tx, flow, before, open_ones, rules.CANCELLED, now, trigger)
    return state, len(open_ones)


def time_out(tx: Transaction, silent_seconds: float, now: datetime) -> None:
    """Ends what was not heard of for so long; what only waits for the built-in runner is put out once more.

    Its job may have been lost with the broker's data, and a second one does no harm.
    """
    for flow_id in pipelines.list_flows_with_silent_pipelines(tx, silent_seconds, _MAX_SILENT_PIPELINES):
        # Somebody who has it at hand is saying something of it.
        if flow := flows.lock_flow(tx, flow_id, skip_locked=True):
            _time_out(tx, flow, silent_seconds, now)


def _time_out(tx: Transaction, flow: dict[str, Any], silent_seconds: float, now: datetime) -> None:
    before = pipelines.list_pipelines(tx, flow["id"])
    silent = [before[place] for place in pipelines.list_silent_positions(tx, flow["id"], silent_seconds)]
    waiting = [it for it in silent if not (it.has_begun or flow["is_external"])]
    for it in waiting:
        pipelines.update_heard_at(tx, flow["id"], it.position)
        outbox.add(tx, messages.pipeline_job(flow["name"], it.id, flow["request_id"]))
    dead = [it for it in silent if it not in waiting]
    if dead:
        _fail(tx, flow, before, dead, TIMED_OUT, now, Trigger(flow["request_id"], timer="time-outs"))


def unknown_pipeline() -> NotFound:
    return NotFound("pipeline not found")


def _locked(tx: Transaction, pipeline: str) -> tuple[dict[str, Any], list[Pipeline], Pipeline]:
    flow = flows.lock_flow_of_pipeline(tx, pipeline)
    if flow is None:
        raise unknown_pipeline()
    all_ = pipelines.list_pipelines(tx, flow["id"])
    return flow, all_, next(it for it in all_ if it.id == pipeline)


def _apply_update(tx: Transaction, flow: dict[str, Any], it: Pipeline, update: Update) -> Pipeline:
    """The pipeline, which has not told its own end, with what this says of it."""
    if update.event == "finish":
        errors = [] if update.success else update.errors
        pipelines.update_report(tx, flow["id"], it.position, Report(errors, update.log, update.stats))
        return replace(it, has_begun=True, succeeded=update.success)
    if it.state in rules.ENDED:
        return it
    pipelines.update_heard_at(tx, flow["id"], it.position)
    if update.event == "queue":
        return it
    if update.log or update.stats:
        known = pipelines.get_report(tx, flow["id"], it.position)
        log, stats = rules.merge_progress(known.log, update.log), rules.merge_progress(known.stats, update.stats)
        pipelines.update_report(tx, flow["id"], it.position, Report([], log, stats))
    return replace(it, has_begun=True)


def _fail(
    tx: Transaction,
    flow: dict[str, Any],
    before: list[Pipeline],
    which: Sequence[Pipeline],
    reason: str,
    now: datetime,
    trigger: Trigger,
) -> str:
    after = list(before)
    for it in which:
        after[it.position] = replace(it, succeeded=False)
    pipelines.update_errors(tx, flow["id"], [it.position for it in which], [reason])
    return _save_transitions(tx, flow, before, after, now, trigger)[0]


def _save_transitions(
    tx: Transaction,
    flow: dict[str, Any],
    before: list[Pipeline],
    after: list[Pipeline],
    now: datetime,
    trigger: Trigger,
) -> tuple[str, list[Pipeline]]:
    """Writes what follows, and tells it: dependants that are ready now, the flow's beginning and its end."""
    if after == before:
        return flow["state"], before
    after = rules.resolve_states(after)
    changed = [new for old, new in zip(before, after, strict=True) if new != old]
    pipelines.update_states(tx, flow["id"], changed)
    cut_off = [it.position for it in changed if it.state == FAILED and it.succeeded is None]
    pipelines.delete_progress(tx, flow["id"], cut_off)
    state = rules.flow_state(after)
    outgoing = [
        messages.pipeline_job(flow["name"], it.id, flow["request_id"])
        for it in changed
        if it.is_ready and not before[it.position].is_ready and it.state == QUEUED and not flow["is_external"]
    ]
    request_id = trigger.request_id or flow["request_id"]
    if flow["state"] == QUEUED and any(it.has_begun for it in after):
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
