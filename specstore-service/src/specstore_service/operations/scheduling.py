"""Scheduled runs: each due dataset gets one new flow, regardless of the number of workers."""

from datetime import datetime

from chassis import strictjson
from chassis.db import Transaction
from chassis.errors import Invalid
from chassis.runtime import logs
from specstore_service.domain import schedules
from specstore_service.domain.plans import plan
from specstore_service.operations import uploads
from specstore_service.operations.uploads import Revision
from specstore_service.store import datasets

log = logs.logger(__name__)

_MAX_RUNS = 50


def run_due(tx: Transaction, now: datetime, *, is_external: bool) -> None:
    """Create one new flow for each due dataset. A single flow makes up for all missed runs."""
    for _ in range(_MAX_RUNS):
        dataset = datasets.claim_due(tx, now)
        if dataset is None:
            break
        next_due_at = schedules.next_due(dataset["due_at"], dataset["every_seconds"], now)
        try:
            spec = uploads.parse_spec(strictjson.loads(dataset["spec"].encode()))
            plan(spec, spec.dataset_id)
        except Invalid as problem:
            # An older version accepted this spec. It must not block the other datasets.
            log.error("schedule.spec_rejected", dataset=dataset["id"], reason=problem.detail)
            datasets.update_due(tx, dataset["id"], next_due_at)
            continue
        revision = Revision(spec, dataset["spec"], "", is_external)
        uploads.create_revision(tx, revision, now, due_at=dataset["due_at"], next_due_at=next_due_at)
