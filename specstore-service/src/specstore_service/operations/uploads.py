"""Uploads: a spec becomes the next revision of its dataset, whose pipelines are planned and queued."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chassis.db import Transaction
from chassis.errors import Problem
from chassis.messaging import outbox
from chassis.web.input_errors import checked
from specstore_service.domain import schedules
from specstore_service.domain.plans import plan
from specstore_service.domain.specs import PRIVATE, Spec
from specstore_service.operations import messages
from specstore_service.store import datasets, flows


@dataclass(frozen=True)
class Revision:
    """A revision to be created. `text` is the spec as received, in JSON."""

    spec: Spec
    text: str
    request_id: str
    # Whether an external runner (DPP_URL) executes the pipelines.
    is_external: bool


def parse_spec(contents: Any) -> Spec:
    """Return the validated spec. Raise Invalid, which names each invalid field."""
    spec: Spec = checked(lambda: Spec.model_validate(contents, strict=True))
    schedules.parse(spec.schedule)
    return spec


def upload_spec(tx: Transaction, revision: Revision, max_datasets: int, now: datetime) -> str:
    """Create a revision, and the dataset if it is new. The dataset's schedule is replaced. Return the flow's ID."""
    meta, every_seconds = revision.spec.meta, revision.spec.every_seconds
    schedule = datasets.Schedule(every_seconds, now + timedelta(seconds=every_seconds)) if every_seconds else None
    properties = (meta.ownerid, meta.dataset, meta.findability, schedule, now)
    dataset = datasets.claim_upload_revision(tx, *properties)
    if dataset is None:
        count = datasets.lock_owner(tx, meta.ownerid)
        # A concurrent upload may have created the dataset before the owner was locked.
        dataset = datasets.claim_upload_revision(tx, *properties)
        if dataset is None:
            if count >= max_datasets:
                raise Problem(f"Max datasets for user exceeded plan limit ({max_datasets})", status=403)
            dataset = datasets.insert_dataset(tx, *properties)
    return _create_flow(tx, revision, dataset, now)


def create_revision(
    tx: Transaction,
    revision: Revision,
    now: datetime,
    *,
    due_at: datetime | None = None,
    next_due_at: datetime | None = None,
) -> str:
    """Create a revision of a spec that was uploaded before, keeping the dataset's schedule. Return the flow's ID.

    While the dataset is private, the new revision is, too, regardless of the spec.
    """
    meta = revision.spec.meta
    dataset = datasets.claim_revision(tx, meta.ownerid, meta.dataset, now, next_due_at)
    return _create_flow(tx, revision, dataset, now, due_at)


def _create_flow(
    tx: Transaction, revision: Revision, dataset: dict[str, Any], now: datetime, due_at: datetime | None = None
) -> str:
    flow_id = f"{revision.spec.dataset_id}/{dataset['revision']}"
    entries = plan(revision.spec, flow_id)
    is_private = dataset["findability"] == PRIVATE
    flow = flows.insert_flow(
        tx,
        entries,
        dataset=dataset["id"],
        revision=dataset["revision"],
        name=flow_id,
        spec=revision.text,
        findability=PRIVATE if is_private else revision.spec.meta.findability,
        is_external=revision.is_external,
        due_at=due_at,
        request_id=revision.request_id,
        now=now,
    )
    timer = "schedules" if due_at else ""
    outgoing = [messages.event("FlowQueued", messages.flow_reference(flow), revision.request_id, now, timer)]
    if revision.is_external:
        outgoing.append(outbox.job("specstore.refresh", {"flow": flow_id}, request_id=revision.request_id))
    else:
        ready = [entry.id for entry in entries if not entry.needs]
        outgoing += [messages.pipeline_job(flow_id, pipeline, revision.request_id) for pipeline in ready]
    outbox.add_all(tx, outgoing)
    return flow_id
