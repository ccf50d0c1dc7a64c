"""The objects that the client returns. Times are aware datetimes; fields that a newer service adds are ignored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from quintet._decoding import decode, parse_time
from quintet._generated import event, factory, orders, sequence, specstore
from quintet._generated.console import DeadLetter, Queue, Trace, TraceEntry
from quintet._generated.event import BlockingEvent, SchemaKey, StoredEventHeader, System, Trigger
from quintet._generated.factory import Bucket
from quintet._generated.orders import OrderSummary, ReportedRow, RuleViolation, UndoStatus
from quintet._generated.sequence import IssuedRange
from quintet._generated.specstore import CancelResult, Plan, PlannedPipeline, StoredFile

__all__ = [
    "BlockingEvent",
    "Bucket",
    "CancelResult",
    "Chart",
    "ConsumerState",
    "Dataset",
    "DeadLetter",
    "Event",
    "FactoryState",
    "FlowStatus",
    "ImportStatus",
    "IssuedNumbers",
    "IssuedRange",
    "LoadStatus",
    "NewEvent",
    "Order",
    "OrderSummary",
    "ParkedEvent",
    "PipelineStatus",
    "Plan",
    "PlannedPipeline",
    "Queue",
    "ReportedRow",
    "Retention",
    "Revision",
    "RuleViolation",
    "SchemaKey",
    "Sequence",
    "Sprocket",
    "StoredFile",
    "StreamState",
    "System",
    "Trace",
    "TraceEntry",
    "TransferProgress",
    "Trigger",
    "UndoStatus",
]


@dataclass(frozen=True)
class TransferProgress:
    """How much of a file has been sent or received. An attempt that is repeated begins at 0 again.

    `name` is the file, if several are downloaded one after the other.
    """

    done_bytes: int
    total_bytes: int | None
    name: str | None = None

    @property
    def percent(self) -> float | None:
        """Return None if the size is unknown."""
        if self.total_bytes is None:
            return None
        return 100.0 * self.done_bytes / self.total_bytes if self.total_bytes else 100.0


class Sequence(sequence.SequenceState):
    """A sequence: its definition, and where it is."""

    @property
    def is_exhausted(self) -> bool:
        return self.next is None


@dataclass(frozen=True)
class IssuedNumbers:
    """Numbers that no other caller receives within the same cycle, as integers and as text."""

    numbers: list[int] = field(metadata={"json": "sequence_list"})
    formatted: list[str]
    period: str | None = None


class StreamState(event.StreamState):
    """A stream: its producer, its last position, and how many events of each name it has."""

    @property
    def event_count(self) -> int:
        return sum(self.events.values())


@dataclass(frozen=True)
class NewEvent:
    """An event to append; `system` and `trigger` override parts of the defaults of the stream."""

    name: str
    payload: dict[str, Any]
    version: int = 1
    system: dict[str, Any] | None = None
    trigger: dict[str, Any] | None = None


class _Named:
    """Shortcuts to the header of an event."""

    event: StoredEventHeader

    @property
    def id(self) -> str:
        return self.event.id

    @property
    def name(self) -> str:
        return self.event.name

    @property
    def version(self) -> int:
        return self.event.version


@dataclass(frozen=True, kw_only=True)
class Event(_Named, event.StoredEvent):
    """An event of a stream; after its erasure, `payload` is empty, and `system` and `trigger` are None."""

    payload: dict[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "payload", self.payload or {})

    @property
    def is_erased(self) -> bool:
        return self.erased_at is not None


@dataclass(frozen=True, kw_only=True)
class ParkedEvent(_Named, event.ParkedEvent):
    """An event that was set aside for one consumer after too many failed attempts."""

    payload: dict[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "payload", self.payload or {})


class ConsumerState(event.ConsumerState):
    """The offset of a consumer for one event name, and how many events follow it."""

    @property
    def is_stuck(self) -> bool:
        return self.stuck is not None


class Retention(event.RetentionState):
    """The limits of a stream; None if there is none."""


class Order(orders.Order):
    """A stored order. `birthday` is text such as `February 27, 1963`."""


class ImportStatus(orders.ImportStatus):
    """The state of an import and its counts."""

    @property
    def is_finished(self) -> bool:
        return self.status in ("SUCCESS", "FAILURE")


class Dataset(specstore.DatasetState):
    """A dataset and its latest revision."""


class Revision(specstore.RevisionState):
    """A revision of a dataset."""


class PipelineStatus(specstore.PipelineStatus):
    """The state of a pipeline; `stats` has `path`, `bytes`, `hash` and more once it has succeeded."""


class FlowStatus(specstore.FlowStatus):
    """The state of a flow and of its pipelines."""

    @property
    def is_finished(self) -> bool:
        return self.state in ("SUCCEEDED", "FAILED")


@dataclass(frozen=True)
class Chart:
    """Production over time, as three lists of equal length; `seconds` are the times as Unix seconds."""

    seconds: list[int]
    actual: list[int]
    goal: list[int]

    @property
    def time(self) -> list[datetime]:
        return [parse_time(seconds) for seconds in self.seconds]

    def points(self) -> Iterator[tuple[datetime, int, int]]:
        """Yield time, actual and goal of each point."""
        return zip(self.time, self.actual, self.goal, strict=True)

    def __len__(self) -> int:
        return len(self.seconds)

    @classmethod
    def from_json(cls, document: Any) -> Chart:
        data = decode(factory.ChartData, document["chart_data"])
        return cls(data.time, data.sprocket_production_actual, data.sprocket_production_goal)


@dataclass(frozen=True)
class FactoryState:
    """A factory with its chart."""

    id: int
    name: str
    chart: Chart

    @classmethod
    def from_json(cls, document: Any) -> FactoryState:
        return cls(document["id"], document["name"], Chart.from_json(document["factory"]))


class LoadStatus(factory.Load):
    """The state of a loaded file and its counts."""

    @property
    def is_finished(self) -> bool:
        return self.status in ("SUCCESS", "FAILURE")


class Sprocket(factory.StoredSprocket):
    """A sprocket and its four numbers."""
