"""The one way in which the state of a pipeline changes.

Whoever has something to say of a pipeline says it here: an external runner over HTTP, the built-in runner, the timer
of those that have fallen silent, an owner who cancels. What follows from it (dependants released or failed, the end of
the flow told once) happens in the same transaction, under the lock of the flow's row. Nothing here depends on the order
in which updates arrive, or on how often (domain.flows).

The built-in runner, for each job of the queue `specstore.pipeline`:

1. `take(tx, pipeline, …)` in a transaction of its own. None: there is nothing to do (any more), acknowledge.
   Unavailable: another worker has it; the message waits. A number: this attempt.
2. The work, outside any transaction, while the lease is renewed (store.jobs.renew): where that finds the attempt over
   (cancelled, timed out, or taken over by another worker) it stops and does nothing more.
3. `apply(tx, Update(pipeline, "finish", success=…, errors=…, log=…, stats=…, attempt=…), …)`, then acknowledge.
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
from specstore_service.operations import telling
from specstore_service.store import flows, pipelines

# Until it is renewed for the first time.
_FIRST_LEASE_SECONDS = 30
_MOST_SILENT = 100


@dataclass(frozen=True)
class Update:
    """`attempt` is the built-in runner's: what an attempt says that is not the newest is not heard."""

    pipeline: str
    event: Literal["queue", "start", "progress", "finish"]
    success: bool = False
    errors: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    stats: dict[str, Any] = field(default_factory=dict)
    attempt: int | None = None


@dataclass(frozen=True)
class Outcome:
    """`is_over`: the pipeline has ended, or another attempt has taken its place."""

    flow_id: str
    state: str
    errors: list[str]
    is_over: bool


@dataclass(frozen=True)
class Cause:
    """What events name as their trigger: a request, or a timer."""

    request_id: str = ""
    timer: str = ""


def apply(tx: Transaction, update: Update, now: datetime, cause: Cause) -> Outcome:
    """The flow as it then stands. What comes late, twice or out of order changes nothing. Raises NotFound."""
    flow, before, it = _locked(tx, update.pipeline)
    if update.attempt is not None and pipelines.find_lease(tx, flow["id"], it.position)["attempt"] != update.attempt:
        return _outcome(tx, flow, before, is_over=True)
    after = list(before)
    if it.succeeded is None:
        after[it.position] = _noted(tx, flow, it, update)
    state, now_stand = _settle(tx, flow, before, after, now, cause)
    flow = {**flow, "state": state}
    return _outcome(tx, flow, now_stand, is_over=now_stand[it.position].state in rules.ENDED)


def take(tx: Transaction, pipeline: str, now: datetime, cause: Cause) -> int | None:
    """The number of an attempt that this worker may begin; None where none is wanted. Raises Unavailable while

    another one is under way: its worker may have died, and then its lease ends.
    """
    flow, before, it = _locked(tx, pipeline)
    if flow["is_external"] or it.state in rules.ENDED or it.succeeded is not None or not it.is_ready:
        return None
    if pipelines.find_lease(tx, flow["id"], it.position)["is_held"]:
        raise Unavailable("another worker runs this pipeline")
    attempt = pipelines.begin_attempt(tx, flow["id"], it.position, _FIRST_LEASE_SECONDS)
    after = list(before)
    after[it.position] = replace(it, has_begun=True)
    _settle(tx, flow, before, after, now, cause)
    return attempt


def cancel(tx: Transaction, flow_id: int, now: datetime, cause: Cause) -> tuple[str, int]:
    """The flow's state then, and how many pipelines this has ended."""
    flow = flows.lock_flow(tx, flow_id)
    if flow is None:
        raise NotFound("there is no such flow")
    before = pipelines.list_pipelines(tx, flow_id)
    open_ones = [it for it in before if it.state not in rules.ENDED]
    state = _fail(tx, flow, before, open_ones, rules.CANCELLED, now, cause)
    return state, len(open_ones)


def time_out(tx: Transaction, silent_seconds: float, now: datetime) -> None:
    """Ends what was not heard of for so long; what only waits for the built-in runner is put out once more.

    Its job may have been lost with the broker's data, and a second one does no harm.
    """
    for flow_id in pipelines.list_flows_with_silent(tx, silent_seconds, _MOST_SILENT):
        # Somebody who has it at hand is saying something of it.
        if flow := flows.lock_flow(tx, flow_id, skip_locked=True):
            _time_out(tx, flow, silent_seconds, now)


def _time_out(tx: Transaction, flow: dict[str, Any], silent_seconds: float, now: datetime) -> None:
    before = pipelines.list_pipelines(tx, flow["id"])
    silent = [before[place] for place in pipelines.list_silent(tx, flow["id"], silent_seconds)]
    waiting = [it for it in silent if not (it.has_begun or flow["is_external"])]
    for it in waiting:
        pipelines.touch(tx, flow["id"], it.position)
        outbox.add(tx, telling.job(flow["name"], it.id, flow["request_id"]))
    dead = [it for it in silent if it not in waiting]
    if dead:
        _fail(tx, flow, before, dead, TIMED_OUT, now, Cause(flow["request_id"], timer="time-outs"))


def unknown_pipeline() -> NotFound:
    return NotFound("pipeline not found")


def _locked(tx: Transaction, pipeline: str) -> tuple[dict[str, Any], list[Pipeline], Pipeline]:
    flow = flows.lock_flow_of(tx, pipeline)
    if flow is None:
        raise unknown_pipeline()
    all_ = pipelines.list_pipelines(tx, flow["id"])
    return flow, all_, next(it for it in all_ if it.id == pipeline)


def _noted(tx: Transaction, flow: dict[str, Any], it: Pipeline, update: Update) -> Pipeline:
    """The pipeline, which has not told its own end, with what this says of it."""
    if update.event == "finish":
        errors = [] if update.success else update.errors
        pipelines.update_report(tx, flow["id"], it.position, Report(errors, update.log, update.stats))
        return replace(it, has_begun=True, succeeded=update.success)
    if it.state in rules.ENDED:
        return it
    pipelines.touch(tx, flow["id"], it.position)
    if update.event == "queue":
        return it
    if update.log or update.stats:
        known = pipelines.get_report(tx, flow["id"], it.position)
        log, stats = rules.later(known.log, update.log), rules.later(known.stats, update.stats)
        pipelines.update_report(tx, flow["id"], it.position, Report([], log, stats))
    return replace(it, has_begun=True)


def _fail(
    tx: Transaction,
    flow: dict[str, Any],
    before: list[Pipeline],
    which: Sequence[Pipeline],
    reason: str,
    now: datetime,
    cause: Cause,
) -> str:
    after = list(before)
    for it in which:
        after[it.position] = replace(it, succeeded=False)
    pipelines.set_errors(tx, flow["id"], [it.position for it in which], [reason])
    return _settle(tx, flow, before, after, now, cause)[0]


def _settle(
    tx: Transaction, flow: dict[str, Any], before: list[Pipeline], after: list[Pipeline], now: datetime, cause: Cause
) -> tuple[str, list[Pipeline]]:
    """Writes what follows, and tells it: dependants that are ready now, the flow's beginning and its end."""
    if after == before:
        return flow["state"], before
    after = rules.settled(after)
    changed = [new for old, new in zip(before, after, strict=True) if new != old]
    pipelines.update_states(tx, flow["id"], changed)
    cut_off = [it.position for it in changed if it.state == FAILED and it.succeeded is None]
    pipelines.forget_progress(tx, flow["id"], cut_off)
    state = rules.state_of(after)
    messages = [
        telling.job(flow["name"], it.id, flow["request_id"])
        for it in changed
        if it.is_ready and not before[it.position].is_ready and it.state == QUEUED and not flow["is_external"]
    ]
    request_id = cause.request_id or flow["request_id"]
    if flow["state"] == QUEUED and any(it.has_begun for it in after):
        messages.append(telling.event("FlowStarted", telling.subject(flow), request_id, now, cause.timer))
    has_ended = state in rules.ENDED
    if has_ended and flow["finished_at"] is None:
        errors = rules.error_log(after, pipelines.list_errors(tx, flow["id"]))
        messages.append(
            telling.finished(
                flow, success=state == SUCCEEDED, errors=errors, request_id=request_id, now=now, timer=cause.timer
            )
        )
    if flow["finished_at"] is None:
        flows.update_flow(tx, flow["id"], state, has_ended=has_ended, now=now)
    outbox.add_all(tx, messages)
    return state, after


def _outcome(tx: Transaction, flow: dict[str, Any], stand: list[Pipeline], *, is_over: bool) -> Outcome:
    errors = rules.error_log(stand, pipelines.list_errors(tx, flow["id"])) if flow["state"] == FAILED else []
    return Outcome(flow["name"], flow["state"], errors, is_over)
