"""Messages in: an external runner is told of new pipelines; the built-in one runs them."""

from typing import Any

from chassis.attempts import Delivery, Surroundings
from chassis.consumer import Consumption
from specstore_service.clients import neighbours


def on_refresh_wanted(around: Surroundings, delivery: Delivery) -> None:
    """Where it does not answer the message waits, and harms nobody."""
    if around.settings.dpp_url:
        neighbours.refresh_pipelines(around.settings.dpp_url)


HANDLERS: dict[str, Any] = {
    "specstore.refresh": Consumption(on_refresh_wanted, is_long=True),
}
