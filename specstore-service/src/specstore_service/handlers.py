"""Messages in: an external runner is told of new pipelines; the built-in one runs them."""

from typing import Any

from chassis.errors import Invalid
from chassis.messaging.attempts import Delivery, Surroundings
from chassis.messaging.consumer import Consumption
from specstore_service.clients import neighbours
from specstore_service.operations import jobs
from specstore_service.store.opening import objects_of


def on_refresh_wanted(around: Surroundings, delivery: Delivery) -> None:
    """Where it does not answer the message waits, and harms nobody."""
    if around.settings.dpp_url:
        neighbours.refresh_pipelines(around.settings.dpp_url)


def on_pipeline_ready(around: Surroundings, delivery: Delivery) -> None:
    body = delivery.body
    if not isinstance(body, dict) or not isinstance(body.get("pipeline"), str):
        raise Invalid.field("pipeline", "is missing")
    jobs.run(around, objects_of(around.settings), body["pipeline"], delivery.request_id)


HANDLERS: dict[str, Any] = {
    "specstore.pipeline": Consumption(on_pipeline_ready, is_long=True),
    "specstore.refresh": Consumption(on_refresh_wanted, is_long=True),
}
