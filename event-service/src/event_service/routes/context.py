"""State that the routes of an app share, and the caller of a request."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from flask import Response, current_app, request
from prometheus_client import Gauge

from chassis.runtime.batching import Batcher
from chassis.runtime.fair_semaphore import FairSemaphore
from chassis.web.app import role, username
from event_service.cache import SchemaCache
from event_service.domain.events import Append
from event_service.domain.ownership import Caller, create_caller
from event_service.poller import AppendPoller
from event_service.settings import Settings

_LARGE_BODY_BYTES = 16 * 1024
_MAX_LARGE_REQUESTS = 4


@dataclass(frozen=True)
class Context:
    settings: Settings
    append_batcher: Batcher[Append, None]
    schema_cache: SchemaCache
    poller: AppendPoller
    # By kind: `long_poll` or `sse`.
    live_readers: Gauge
    large_requests: FairSemaphore = field(default_factory=lambda: FairSemaphore(_MAX_LARGE_REQUESTS))


def context() -> Context:
    shared: Context = current_app.extensions["event"]
    return shared


def caller() -> Caller:
    return create_caller(username(), role())


def limit_large_requests(view: Callable[..., Response]) -> Callable[..., Response]:
    """Parse only a few large bodies concurrently, because a parsed body takes ten times as much memory as its bytes."""

    @wraps(view)
    def limited_view(**path: Any) -> Response:
        if len(request.get_data()) < _LARGE_BODY_BYTES:
            return view(**path)
        with context().large_requests:
            return view(**path)

    return limited_view
