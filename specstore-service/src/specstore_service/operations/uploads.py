"""A spec becomes the next revision of its dataset, planned and queued."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chassis.db import Transaction
from chassis.errors import Problem
from chassis.messaging import outbox
from chassis.web.validation import checked
from specstore_service.domain import schedules
from specstore_service.domain.plans import plan
from specstore_service.domain.specs import PRIVATE, Spec
from specstore_service.operations import messages
from specstore_service.store import datasets, flows


@dataclass(frozen=True)
class Revision:
    """A spec that is to become one. `text` is what was sent, as JSON."""

    spec: Spec
    text: str
    request_id: str
    # Whether pipelines are run elsewhere (DPP_URL).
    is_external: bool


def parse_spec(contents: Any) -> Spec:
    """Raises Invalid that names each wrong field."""
    spec: Spec = checked(lambda: Spec.model_validate(contents, strict=True))
    schedules.parse(spec.schedule)
    return spec


def upload_spec(tx: Transaction, wanted: Revision, max_datasets: int, now: datetime) -> str:
    """The id of the flow. Its schedule holds from now on."""
    meta, every = wanted.spec.meta, wanted.spec.every_seconds
    schedule = datasets.Schedule(every, now + timedelta(seconds=every)) if every else None
    said = (meta.ownerid, meta.dataset, meta.findability, schedule, now)
    dataset = datasets.claim_upload_revision(tx, *said)
    if dataset is None:
        count = datasets.lock_owner(tx, meta.ownerid)
        # Somebody else may have made it before the owner was locked.
        dataset = datasets.claim_upload_revision(tx, *said)
        if dataset is None:
            if count >= max_datasets:
                raise Problem(f"Max datasets for user exceeded plan limit ({max_datasets})", status=403)
            dataset = datasets.insert_dataset(tx, *said)
    return _begin(tx, wanted, dataset, now)


def create_revision(
    tx: Transaction,
    wanted: Revision,
    now: datetime,
    *,
    due_at: datetime | None = None,
    next_due_at: datetime | None = None,
) -> str:
    """The id of a new flow of a spec that was uploaded before; the dataset's schedule stays as it is.

    While the dataset is private, so is each new revision, whatever its spec said before that.
    """
    dataset = datasets.claim_revision(tx, wanted.spec.meta.ownerid, wanted.spec.meta.dataset, now, next_due_at)
    return _begin(tx, wanted, dataset, now, due_at)


def _begin(
    tx: Transaction, wanted: Revision, dataset: dict[str, Any], now: datetime, due_at: datetime | None = None
) -> str:
    flow_id = f"{wanted.spec.dataset_id}/{dataset['revision']}"
    planned = plan(wanted.spec, flow_id)
    is_private = dataset["findability"] == PRIVATE
    flow = flows.insert_flow(
        tx,
        planned,
        dataset=dataset["id"],
        revision=dataset["revision"],
        name=flow_id,
        spec=wanted.text,
        findability=PRIVATE if is_private else wanted.spec.meta.findability,
        is_external=wanted.is_external,
        due_at=due_at,
        request_id=wanted.request_id,
        now=now,
    )
    timer = "schedules" if due_at else ""
    outgoing = [messages.event("FlowQueued", messages.flow_reference(flow), wanted.request_id, now, timer)]
    if wanted.is_external:
        outgoing.append(outbox.job("specstore.refresh", {"flow": flow_id}, request_id=wanted.request_id))
    else:
        ready = [pipeline.id for pipeline in planned if not pipeline.needs]
        outgoing += [messages.pipeline_job(flow_id, pipeline, wanted.request_id) for pipeline in ready]
    outbox.add_all(tx, outgoing)
    return flow_id
