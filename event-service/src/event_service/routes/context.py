"""What the routes share while the app runs, and the user of a request."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from flask import Response, current_app, request

from chassis.runtime.batching import Batcher
from chassis.runtime.fair_semaphore import FairSemaphore
from chassis.web.app import role, username
from event_service.cache import SchemaCache
from event_service.domain.events import Append
from event_service.domain.ownership import Caller, caller_of
from event_service.poller import AppendPoller
from event_service.settings import Settings

_LARGE_BYTES = 16 * 1024
_MAX_LARGE_REQUESTS = 4


@dataclass(frozen=True)
class Context:
    settings: Settings
    append_batcher: Batcher[Append, None]
    schema_cache: SchemaCache
    poller: AppendPoller
    large_requests: FairSemaphore = field(default_factory=lambda: FairSemaphore(_MAX_LARGE_REQUESTS))


def context() -> Context:
    return current_app.extensions["event"]


def caller() -> Caller:
    return caller_of(username(), role())


def limit_large_requests(view: Callable[..., Response]) -> Callable[..., Response]:
    """Let large bodies wait as bytes: what is parsed from each takes ten times their memory."""

    @wraps(view)
    def admitted(**path: Any) -> Response:
        if len(request.get_data()) < _LARGE_BYTES:
            return view(**path)
        with context().large_requests:
            return view(**path)

    return admitted
