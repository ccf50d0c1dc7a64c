"""A client of Quintet: sequences, event streams, orders, datasets and factories.

`Quintet` is synchronous and `AsyncQuintet` asynchronous; both have the same methods. See the README for examples.
"""

from quintet._async.client import AsyncQuintet
from quintet._async.consumers import AsyncConsumer, AsyncConsumption, AsyncReceivedEvent
from quintet._async.datasets import AsyncFlow
from quintet._async.factories import AsyncFactory, AsyncLoad
from quintet._async.orders import AsyncImportTask
from quintet._async.streams import AsyncStream
from quintet._sync.client import Quintet
from quintet._sync.consumers import Consumer, Consumption, ReceivedEvent
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
