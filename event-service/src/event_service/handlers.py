"""Messages in: what the other services publish is appended to their streams."""

import re
from functools import partial

from pydantic import TypeAdapter, ValidationError

from chassis.db import Transaction
from chassis.errors import Invalid
from chassis.messaging.consumer import ConsumerConfig
from chassis.messaging.message_processor import Delivery
from event_service.domain.events import Append, PostedEvent
from event_service.operations import events
from event_service.settings import Settings

_PLAIN = re.compile(r"[A-Za-z0-9._-]{0,128}\Z")


# Its own events were appended over HTTP.
_OWN = "event"


def on_event_published(tx: Transaction, delivery: Delivery, *, services: frozenset[str]) -> None:
    """Once for ever, whatever the inbox still remembers; what came in over HTTP is in its stream already."""
    if delivery.app_id == _OWN:
        return
    if delivery.app_id not in services:
        raise Invalid.field("app_id", f"must be one of {', '.join(sorted(services))}")
    try:
        posted = TypeAdapter(PostedEvent).validate_python(delivery.body, strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        raise Invalid.field(".".join(map(str, problem["loc"])) or "body", problem["msg"]) from None
    request_id = delivery.request_id if _PLAIN.match(delivery.request_id) else ""
    # Schemas that were set before the stream was reserved do not apply.
    append = Append(
        delivery.app_id, delivery.app_id, request_id, [delivery.message_id], [posted], schemas_revision=None
    )
    events.append_published(tx, append)


def handlers_for(settings: Settings) -> dict[str, ConsumerConfig]:
    services = settings.reserved - {_OWN}
    return {
        "event.append": ConsumerConfig(
            partial(on_event_published, services=services),
            bindings=tuple(f"{service}.#" for service in sorted(services)),
            in_order=True,
        )
    }
