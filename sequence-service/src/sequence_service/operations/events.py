"""Events about sequences."""

from datetime import datetime
from typing import Any

from chassis.db import Transaction
from chassis.messaging import outbox
from sequence_service.domain.sequences import Sequence


def publish(
    tx: Transaction, sequence: Sequence, event: str, payload: dict[str, Any], now: datetime, request_id: str
) -> None:
    """Publish an event about the sequence, with its name and, if it restarts, its period."""
    period = {"period": sequence.period} if sequence.period else {}
    payload = {"name": sequence.name, **period, **payload}
    outbox.add(tx, outbox.service_event("sequence", event, payload, now=now, request_id=request_id))


def publish_thresholds(
    tx: Transaction, sequence: Sequence, first_ticket: int, count: int, now: datetime, request_id: str
) -> None:
    """Publish that a cycle has ended or that the range is nearly exhausted, if these tickets cause it."""
    end = first_ticket + count
    if sequence.completes_cycle(first_ticket, count):
        publish(tx, sequence, "SequenceWrapped", {"cycles": end // sequence.size}, now, request_id)
    if sequence.becomes_nearly_exhausted(first_ticket, count):
        publish(tx, sequence, "SequenceNearlyExhausted", {"remaining": sequence.size - end}, now, request_id)
