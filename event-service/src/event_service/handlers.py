"""Message handlers: events that other services publish are appended to their streams; and timers."""

from functools import partial

from pydantic import TypeAdapter

from chassis.db import Transaction
from chassis.errors import Invalid
from chassis.messaging.consumer import ConsumerConfig
from chassis.messaging.delivery import Delivery
from chassis.messaging.worker import Timer
from chassis.web.input_errors import checked
from event_service.domain.events import Append, PostedEvent
from event_service.operations import events, retention
from event_service.settings import Settings

# Events with this `app_id` were appended over HTTP before they were published.
_OWN_APP_ID = "event"
_POSTED_EVENT = TypeAdapter(PostedEvent)


def on_event_published(tx: Transaction, delivery: Delivery, *, services: frozenset[str]) -> None:
    """Append the event exactly once, regardless of whether the inbox still contains its message ID.

    Ignore an event that was appended over HTTP: its stream contains it already.
    """
    if delivery.app_id == _OWN_APP_ID:
        return
    if delivery.app_id not in services:
        raise Invalid.field("app_id", f"must be one of {', '.join(sorted(services))}")
    posted = checked(lambda: _POSTED_EVENT.validate_python(delivery.body, strict=True))
    # No schemas apply: users may have set some before the stream was reserved.
    append = Append(
        delivery.app_id, delivery.app_id, delivery.request_id, [delivery.message_id], [posted], schemas_revision=None
    )
    events.append_published(tx, append)


TIMERS = {"retention": Timer(15, retention.delete_due_events)}


def handlers_for(settings: Settings) -> dict[str, ConsumerConfig]:
    services = settings.reserved - {_OWN_APP_ID}
    return {
        "event.append": ConsumerConfig(
            partial(on_event_published, services=services),
            bindings=tuple(f"{service}.#" for service in sorted(services)),
            in_order=True,
        )
    }
