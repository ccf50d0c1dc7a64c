"""A message as the broker delivers it, and as its handler receives it."""

import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from chassis import strictjson
from chassis.errors import Invalid
from chassis.messaging.broker import Properties
from chassis.runtime import logs, request_ids, tracing


class Received(NamedTuple):
    """A message as the broker delivers it."""

    properties: Properties
    body: bytes


@dataclass(frozen=True)
class Delivery:
    """A message as its handler receives it; `body` is parsed JSON."""

    queue: str
    message_id: str
    type: str
    app_id: str
    request_id: str
    headers: dict[str, Any]
    body: Any


def parse_delivery(queue: str, message: Received) -> Delivery:
    """Return the parsed message; raise Invalid if it cannot be parsed."""
    properties = message.properties
    try:
        message_id = str(uuid.UUID(properties.message_id or ""))
    except ValueError:
        raise Invalid("message_id: must be a UUID") from None
    request_id = properties.correlation_id or ""
    return Delivery(
        queue=queue,
        message_id=message_id,
        type=properties.type or "",
        app_id=properties.app_id or "",
        request_id=request_id if request_ids.is_valid(request_id) else "",
        headers=properties.headers or {},
        body=strictjson.loads(message.body),
    )


@contextmanager
def handling(queue: str, properties: Properties) -> Iterator[dict[str, Any]]:
    """Log and trace the block as the handling of a message; yield the attributes of its span."""
    attributes = {"messaging.system": "rabbitmq", "messaging.message.id": properties.message_id or ""}
    with (
        _identified(properties),
        tracing.entry_span("CONSUMER", f"handle {queue}", _traceparent(properties), attributes),
    ):
        yield attributes


@contextmanager
def reporting(properties: Properties) -> Iterator[None]:
    """Log the block as part of the handling of a message, whose span has ended."""
    with _identified(properties), tracing.continued(_traceparent(properties)):
        yield


def _identified(properties: Properties) -> AbstractContextManager[None]:
    return logs.bound(request_id=properties.correlation_id or "", message_id=properties.message_id or "")


def _traceparent(properties: Properties) -> object:
    return (properties.headers or {}).get(tracing.HEADER)
