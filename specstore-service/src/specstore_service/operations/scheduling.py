"""What is due is run again, once, whichever number of workers look."""

from datetime import datetime

from chassis import strictjson
from chassis.db import Transaction
from chassis.errors import Invalid
from chassis.runtime import logs
from specstore_service.domain import schedules
from specstore_service.operations import uploads
from specstore_service.operations.uploads import Revision
from specstore_service.store import datasets

log = logs.logger(__name__)

_MAX_RUNS = 50


def run_due(tx: Transaction, now: datetime, *, is_external: bool) -> None:
    """One new flow for each dataset that is due, however many times were missed."""
    for _ in range(_MAX_RUNS):
        due = datasets.claim_due(tx, now)
        if due is None:
            break
        next_due_at = schedules.next_due(due["due_at"], due["every_seconds"], now)
        try:
            spec = uploads.parse_spec(strictjson.loads(due["spec"].encode()))
        except Invalid as problem:
            # Taken by an older version; it must not hold up the others.
            log.error("schedule.spec_refused", dataset=due["id"], reason=problem.detail)
            datasets.update_due(tx, due["id"], next_due_at)
            continue
        wanted = Revision(spec, due["spec"], "", is_external)
        uploads.create_revision(tx, wanted, now, due_at=due["due_at"], next_due_at=next_due_at)
