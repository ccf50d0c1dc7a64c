"""Reading for a consumer: in order or with leases, and waiting for events."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from flask import request

from chassis.errors import Invalid, Problem
from chassis.web.app import role, this_app
from event_service.domain.feeds import ALL_NAMES
from event_service.domain.offsets import check_may_lease, check_may_read_in_order, new_numbers
from event_service.domain.ownership import not_consumer_owner_error
from event_service.operations import consuming
from event_service.routes.context import caller, context
from event_service.store import feeds, leases

# A NACK in another process may release an event before its lease ends; it is noticed after this time.
_MAX_LEASE_WAIT_SECONDS = 1.0
# A reader that received nothing, because another one leased what was available, reads again after this time.
_MIN_LEASE_WAIT_SECONDS = 0.05
# Greater than every number, so that no append wakes the reader.
_NO_APPEND = 2**62


class _Page(NamedTuple):
    """If there are no documents, read again after an append of a number greater than `last`, or after the time."""

    documents: list[str]
    last: int
    retry_seconds: float | None = None


def read_for_consumer(
    stream: str, name: str, consumer: str, *, limit: int, wait_seconds: float, lease_seconds: float | None
) -> list[str]:
    """Return the next events as documents; wait for the first one if there is none."""
    if lease_seconds is None:
        return _wait_for_documents(stream, name, wait_seconds, lambda: _read_in_order(stream, name, consumer, limit))
    if role() == "reader":
        raise Problem("leases require the role writer or admin, because they withhold events from others", status=403)
    if request.method == "HEAD":
        raise Invalid.field("lease", "must not be used with HEAD")
    seconds = lease_seconds
    return _wait_for_documents(stream, name, wait_seconds, lambda: _lease(stream, name, consumer, limit, seconds))


def _wait_for_documents(stream: str, name: str, wait_seconds: float, read: Callable[[], _Page]) -> list[str]:
    """Read until there are documents or the time has passed. Replays and offsets that are set back wake no reader."""
    poller = context().poller
    deadline = time.monotonic() + wait_seconds
    page = read()
    while not page.documents and (seconds := deadline - time.monotonic()) > 0 and not poller.is_stopping():
        if page.retry_seconds is not None:
            seconds = min(seconds, page.retry_seconds)
        with context().live_readers.labels("long_poll").track_inprogress():
            poller.wait(stream, None if name == ALL_NAMES else name, page.last, seconds)
        page = read()
    return page.documents


def _read_in_order(stream: str, name: str, consumer: str, limit: int) -> _Page:
    with this_app().database.statements() as tx:
        page = feeds.find_unread_page(tx, stream, name, consumer, limit)
        if page is None:
            raise consuming.unknown_stream_error(stream)
        check_may_read_in_order(page.has_leases)
    if name == ALL_NAMES and page.is_new and role() != "reader" and request.method == "GET":
        with this_app().database.transaction() as tx:
            consuming.register_reader_of_all_names(tx, page.stream_id, consumer, caller(), datetime.now(UTC))
    return _Page(page.documents, _NO_APPEND if page.is_delayed else page.last, page.delay_seconds)


def _lease(stream: str, name: str, consumer: str, limit: int, seconds: float) -> _Page:
    """Lease events. Without any that can be leased, neither lock nor change anything: many readers may wait."""
    with this_app().database.statements() as tx:
        state = leases.find_lease_state(tx, stream, name, consumer)
    if state is None:
        raise consuming.unknown_stream_error(stream)
    if not caller().may_act_for(state.owner):
        raise not_consumer_owner_error()
    check_may_lease(state.has_leases)
    is_available = state.available_seconds is not None and state.available_seconds <= 0
    if state.feed_id and (is_available or new_numbers(state.acknowledged, state.last_leased, state.last)):
        with this_app().database.transaction() as tx:
            documents = consuming.lease_events(
                tx, state, state.feed_id, consumer, caller(), limit=limit, seconds=seconds, now=datetime.now(UTC)
            )
        # Without documents, another reader leased the events, and `state` does not include its lease.
        return _Page(documents, state.last, _MIN_LEASE_WAIT_SECONDS)
    return _Page([], state.last, _lease_retry_seconds(state))


def _lease_retry_seconds(state: leases.LeaseState) -> float | None:
    if state.available_seconds is None:
        return None
    return min(max(state.available_seconds, _MIN_LEASE_WAIT_SECONDS), _MAX_LEASE_WAIT_SECONDS)
