"""Creation, deletion and changes of sequences, and the record of their numbers."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from chassis.db import Transaction
from chassis.errors import Conflict, NotFound
from sequence_service.domain.formats import check_format
from sequence_service.domain.sequences import BUILT_IN_RANGES, Sequence
from sequence_service.operations.events import publish, publish_thresholds
from sequence_service.store import issued as audit_trail
from sequence_service.store import sequences


@dataclass(frozen=True)
class Change:
    """The values that a request sets; None leaves a value as it is."""

    next: int | None
    maximum: int | None
    username: str
    request_id: str


def create_sequence(tx: Transaction, definition: Sequence) -> tuple[Sequence, bool]:
    """Return the sequence, and whether this call created or revived it.

    A deleted sequence continues where it stopped, so that none of its numbers is issued twice.
    Raise Conflict if the name has a different definition, and Invalid if the format is new and not a valid one.
    """
    # A sequence keeps a format that only an earlier version accepted, and its definition can be repeated.
    if not sequences.has_format(tx, definition.name, definition.format, definition.reset):
        check_format(definition.format, definition.reset)
    created = sequences.insert_or_revive_sequence(tx, definition)
    if created:
        return created, True
    existing, is_deleted = sequences.get_sequence_including_deleted(tx, definition.name)
    if replace(existing, issued=0, period=None) == definition:
        return existing, False
    if is_deleted:
        raise Conflict(
            f"the name {definition.name} is reserved by a deleted sequence with a different definition "
            f"({_describe(existing)}): repeat that definition to revive it, or choose another name"
        )
    raise Conflict(f"the sequence {definition.name} already exists with a different definition ({_describe(existing)})")


def _describe(sequence: Sequence) -> str:
    definition = [
        f"minimum {sequence.minimum}, maximum {sequence.maximum}, cycle {str(sequence.cycle).lower()}",
        f"format {sequence.format}",
    ]
    if sequence.reset:
        definition.append(f"reset {sequence.reset}, timezone {sequence.timezone}")
    if sequence.audit:
        definition.append("audit true")
    return ", ".join(definition)


def delete_sequence(tx: Transaction, name: str) -> None:
    if name in BUILT_IN_RANGES:
        raise Conflict(f"the sequence {name} is built in and cannot be deleted")
    if not sequences.delete_sequence(tx, name):
        raise unknown_sequence_error(name)


def get_sequence(tx: Transaction, name: str) -> Sequence:
    sequence = sequences.find_sequence(tx, name)
    if sequence is None:
        raise unknown_sequence_error(name)
    return sequence


def change_sequence(tx: Transaction, name: str, change: Change, now: datetime) -> Sequence:
    """Extend the range first, then skip to the next number; publish the change, unless nothing changes."""
    if name in BUILT_IN_RANGES:
        raise Conflict(f"the sequence {name} is built in and cannot be changed")
    old = sequences.lock_sequence(tx, name)
    if old is None:
        raise unknown_sequence_error(name)
    extended = old if change.maximum is None else old.extend_to(change.maximum)
    new = extended if change.next is None else extended.skip_to(change.next)
    if new == old:
        return old
    sequences.update_sequence(tx, new)
    _publish_advance(tx, old, new, change.username, now, change.request_id)
    publish_thresholds(tx, new, extended.issued, new.issued - extended.issued, now, change.request_id)
    return new


def skip_in_all(tx: Transaction, count: int, now: datetime) -> int:
    """Skip the next `count` numbers of every sequence; return the number of sequences.

    After a restore, the numbers that were issued after the backup must not be issued again. Deleted sequences are
    included, because they can be revived.
    """
    locked = sequences.lock_all_sequences(tx)
    for old, is_deleted in locked:
        new = old.skip(count)
        sequences.update_sequence(tx, new)
        if not is_deleted:
            _publish_advance(tx, old, new, "restore", now, "")
            publish_thresholds(tx, new, old.issued, new.issued - old.issued, now, "")
    return len(locked)


def _publish_advance(
    tx: Transaction, old: Sequence, new: Sequence, username: str, now: datetime, request_id: str
) -> None:
    old_values, new_values = ({"next": sequence.next, "maximum": sequence.maximum} for sequence in (old, new))
    payload = {"old": old_values, "new": new_values, "user": username}
    publish(tx, new, "SequenceAdvanced", payload, now, request_id)


def list_issued(
    tx: Transaction, name: str, number: int | None, before: int | None, limit: int
) -> tuple[list[dict[str, Any]], int]:
    """Return a page of the records, newest first, and their total; raise Conflict if the sequence has no records."""
    if not get_sequence(tx, name).audit:
        raise Conflict(f"the sequence {name} was created without audit, so that its numbers are not recorded")
    return audit_trail.list_issued(tx, name, number, before, limit), audit_trail.count_issued(tx, name, number)


def unknown_sequence_error(name: str) -> NotFound:
    return NotFound(f"sequence {name} not found")
