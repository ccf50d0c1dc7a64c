"""A client of Quintet: sequences, event streams, orders, datasets and factories.

`Quintet` is synchronous and `AsyncQuintet` asynchronous; both have the same methods. See the README for examples.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quintet._async.client import AsyncQuintet
    from quintet._async.consumer_states import AsyncConsumer
    from quintet._async.consumers import AsyncConsumption, AsyncReceivedEvent
    from quintet._async.datasets import AsyncFlow
    from quintet._async.factories import AsyncFactory, AsyncLoad
    from quintet._async.orders import AsyncImportTask
    from quintet._async.streams import AsyncStream
    from quintet._sync.client import Quintet
    from quintet._sync.consumer_states import Consumer
    from quintet._sync.consumers import Consumption, ReceivedEvent
    from quintet._sync.datasets import Flow
    from quintet._sync.factories import Factory, Load
    from quintet._sync.orders import ImportTask
    from quintet._sync.streams import Stream
    from quintet.errors import (
        Conflict,
        FlowFailed,
        Forbidden,
        ImportFailed,
        InvalidInput,
        KeyReused,
        LoadFailed,
        Locked,
        NotConfigured,
        NotFound,
        OutcomeUnknown,
        PreconditionFailed,
        QuintetError,
        RateLimited,
        ResponseError,
        ServerError,
        TimedOut,
        TooLarge,
        Unauthorized,
        Unavailable,
    )
    from quintet.models import Event, NewEvent, TransferProgress

__all__ = [
    "AsyncConsumer",
    "AsyncConsumption",
    "AsyncFactory",
    "AsyncFlow",
    "AsyncImportTask",
    "AsyncLoad",
    "AsyncQuintet",
    "AsyncReceivedEvent",
    "AsyncStream",
    "Conflict",
    "Consumer",
    "Consumption",
    "Event",
    "Factory",
    "Flow",
    "FlowFailed",
    "Forbidden",
    "ImportFailed",
    "ImportTask",
    "InvalidInput",
    "KeyReused",
    "Load",
    "LoadFailed",
    "Locked",
    "NewEvent",
    "NotConfigured",
    "NotFound",
    "OutcomeUnknown",
    "PreconditionFailed",
    "Quintet",
    "QuintetError",
    "RateLimited",
    "ReceivedEvent",
    "ResponseError",
    "ServerError",
    "Stream",
    "TimedOut",
    "TooLarge",
    "TransferProgress",
    "Unauthorized",
    "Unavailable",
]

# The module of each name that is not an exception.
_MODULES = {
    name: module
    for module, names in {
        "quintet._async.client": "AsyncQuintet",
        "quintet._async.consumer_states": "AsyncConsumer",
        "quintet._async.consumers": "AsyncConsumption AsyncReceivedEvent",
        "quintet._async.datasets": "AsyncFlow",
        "quintet._async.factories": "AsyncFactory AsyncLoad",
        "quintet._async.orders": "AsyncImportTask",
        "quintet._async.streams": "AsyncStream",
        "quintet._sync.client": "Quintet",
        "quintet._sync.consumer_states": "Consumer",
        "quintet._sync.consumers": "Consumption ReceivedEvent",
        "quintet._sync.datasets": "Flow",
        "quintet._sync.factories": "Factory Load",
        "quintet._sync.orders": "ImportTask",
        "quintet._sync.streams": "Stream",
        "quintet.models": "Event NewEvent TransferProgress",
    }.items()
    for name in names.split()
}


def __getattr__(name: str) -> Any:
    """Import a name when it is used: httpx takes most of the time in which the command line starts."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES.get(name, "quintet.errors")), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
