"""Message entry points: notify an external runner of new pipelines, or run them."""

from collections.abc import Mapping

from chassis.errors import Invalid
from chassis.messaging.consumer import ConsumerConfig
from chassis.messaging.delivery import Delivery
from chassis.messaging.message_processor import JobContext
from specstore_service.clients import http_apis
from specstore_service.operations import attempts
from specstore_service.store.object_stores import create_object_store


def on_refresh_requested(context: JobContext, delivery: Delivery) -> None:
    """Notify the external runner. While it is unreachable, the message is retried without delaying others."""
    if context.settings.dpp_url:
        http_apis.refresh_pipelines(context.settings.dpp_url)


def on_pipeline_ready(context: JobContext, delivery: Delivery) -> None:
    body = delivery.body
    if not isinstance(body, dict) or not isinstance(body.get("pipeline"), str):
        raise Invalid.field("pipeline", "is required")
    attempts.run(context, create_object_store(context.settings), body["pipeline"], delivery.request_id)


HANDLERS: Mapping[str, ConsumerConfig] = {
    "specstore.pipeline": ConsumerConfig(on_pipeline_ready, is_long_running=True),
    "specstore.refresh": ConsumerConfig(on_refresh_requested, is_long_running=True),
}
